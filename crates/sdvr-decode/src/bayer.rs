//! Colour out of a sensor's mosaic: of each 2 x 2 pixels one has red, one blue, two green, and what a pixel lacks is the mean of its neighbours.
//!
//! Bilinear, as OpenCV's and V4L2's own converters do by default. Beyond the edge the picture is mirrored, which keeps the mosaic's order.

/// Which colour the first pixel has, and the one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mosaic {
    /// 0 or 1: in which column of each pair, and in which row, red is.
    pub(crate) red_column: usize,
    pub(crate) red_row: usize,
}

/// Where red, green and blue go in a pixel of `BYTES` bytes; a fourth byte becomes 255.
pub(crate) fn demosaic<const BYTES: usize>(
    mosaic: Mosaic,
    samples: &[u8],
    width: usize,
    order: [usize; 3],
    out: &mut [u8],
) {
    if width == 0 {
        return;
    }
    let rows: Vec<&[u8]> = samples.chunks_exact(width).collect();
    let height = rows.len();
    for (y, out) in out.chunks_exact_mut(width * BYTES).enumerate().take(height) {
        let (above, below) = neighbours(y, height);
        let lines = [rows[above], rows[y], rows[below]];
        let has_red = y % 2 == mosaic.red_row;
        for (x, pixel) in out.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
            let (left, right) = neighbours(x, width);
            let colours = colours_at(lines, [left, x, right], mosaic, has_red);
            for (value, place) in colours.into_iter().zip(order) {
                pixel[place] = value;
            }
            if let Some(alpha) = pixel.get_mut(3) {
                *alpha = 255;
            }
        }
    }
}

/// Red, green and blue of the pixel in the middle.
fn colours_at(
    lines: [&[u8]; 3],
    columns: [usize; 3],
    mosaic: Mosaic,
    row_has_red: bool,
) -> [u8; 3] {
    let [left, x, right] = columns;
    let [above, own, below] = lines;
    let half =
        |a: u8, b: u8| u8::try_from((u16::from(a) + u16::from(b)).div_ceil(2)).unwrap_or(u8::MAX);
    let quarter = |a: u8, b: u8, c: u8, d: u8| {
        let sum = u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d);
        u8::try_from((sum + 2) / 4).unwrap_or(u8::MAX)
    };
    let column_has_red = x % 2 == mosaic.red_column;
    let across = || half(own[left], own[right]);
    let down = || half(above[x], below[x]);
    let cross = || quarter(own[left], own[right], above[x], below[x]);
    let corners = || quarter(above[left], above[right], below[left], below[right]);
    match (row_has_red, column_has_red) {
        (true, true) => [own[x], cross(), corners()],
        (false, false) => [corners(), cross(), own[x]],
        (true, false) => [across(), own[x], down()],
        (false, true) => [down(), own[x], across()],
    }
}

/// The places before and behind `at` of `count`; at an edge both are on the inner side, and alone is alone.
fn neighbours(at: usize, count: usize) -> (usize, usize) {
    let behind = if at + 1 < count {
        at + 1
    } else {
        at.saturating_sub(1)
    };
    (at.checked_sub(1).unwrap_or(behind), behind)
}
