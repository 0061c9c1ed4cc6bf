//! A picture of any size onto an area of any size, in one pass over what is seen.
//!
//! Where the sizes are the same, pixels are copied. Else each row of the area is mixed out of two rows of the picture, and each pixel of it out of two of that
//! mixed row: neighbours, by how near they are; of a picture that is made less than half as large, two that are half a step apart, so that the four that are looked at lie
//! evenly in what the pixel stands for. It is not the best that is known and takes a few milliseconds, which is what a live picture has time for.

use sdvr::Picture;

use crate::canvas::{Area, Canvas};

/// Weights are of 256.
const WHOLE: u32 = 256;
const PIXEL_BYTES: usize = 4;

/// The tables of one size to another, and memory for a row. Kept from picture to picture.
#[derive(Debug, Default)]
pub(crate) struct Scaler {
    from: (u32, u32),
    to: (u32, u32),
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    mixed: Vec<u8>,
}

/// Two places of which one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tap {
    first: u32,
    second: u32,
    /// How much the second counts.
    weight: u32,
}

impl Scaler {
    /// Draws `picture`, which was decoded as [`sdvr::Pixels::Rgba`], onto `area`.
    pub(crate) fn draw(&mut self, picture: &Picture, canvas: &mut Canvas<'_>, area: Area) {
        self.draw_bytes(
            picture.bytes(),
            (picture.width(), picture.height()),
            canvas,
            area,
        );
    }

    fn draw_bytes(&mut self, bytes: &[u8], from: (u32, u32), canvas: &mut Canvas<'_>, area: Area) {
        let row_bytes = (from.0 as usize).saturating_mul(PIXEL_BYTES);
        if area.is_empty() || row_bytes == 0 {
            return;
        }
        let to = (area.width, area.height);
        if from == to {
            for (to, row) in canvas.rows(area).zip(bytes.chunks_exact(row_bytes)) {
                for (to, pixel) in to.iter_mut().zip(row.as_chunks::<PIXEL_BYTES>().0) {
                    *to = screen(*pixel);
                }
            }
            return;
        }
        if (self.from, self.to) != (from, to) {
            (self.from, self.to) = (from, to);
            self.columns = taps(from.0, to.0);
            self.rows = taps(from.1, to.1);
            self.mixed.clear();
            self.mixed.resize(row_bytes, 0);
        }
        let row = |row: u32| {
            let start = (row as usize).saturating_mul(row_bytes);
            bytes.get(start..start.saturating_add(row_bytes))
        };
        let mut in_memory = None;
        for (to, tap) in canvas.rows(area).zip(&self.rows) {
            let (Some(first), Some(second)) = (row(tap.first), row(tap.second)) else {
                return;
            };
            let mixed = if tap.weight == 0 {
                first
            } else {
                if in_memory != Some(*tap) {
                    mix_rows(first, second, tap.weight, &mut self.mixed);
                    in_memory = Some(*tap);
                }
                &self.mixed
            };
            let (pixels, _) = mixed.as_chunks::<PIXEL_BYTES>();
            for (to, tap) in to.iter_mut().zip(&self.columns) {
                let pixel = |at: u32| screen(pixels.get(at as usize).copied().unwrap_or_default());
                *to = mix(pixel(tap.first), pixel(tap.second), tap.weight);
            }
        }
    }
}

/// Red, green, blue and something as a pixel of the screen.
const fn screen([red, green, blue, _]: [u8; PIXEL_BYTES]) -> u32 {
    u32::from_be_bytes([0, red, green, blue])
}

/// Two colours of a pixel at a time, which lie 16 bits apart so that products have room.
const fn mix(first: u32, second: u32, weight: u32) -> u32 {
    const TWO: u32 = 0x00ff_00ff;
    let low = ((first & TWO) * (WHOLE - weight) + (second & TWO) * weight) >> 8;
    let high = ((first >> 8) & TWO) * (WHOLE - weight) + ((second >> 8) & TWO) * weight;
    (low & TWO) | (high & !TWO)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a mean of two bytes is one; weights are at most 256"
)]
fn mix_rows(first: &[u8], second: &[u8], weight: u32, mixed: &mut [u8]) {
    // In 16 bits, of which a vector holds twice as many as of 32.
    let (of_second, of_first) = (weight as u16, (WHOLE - weight) as u16);
    for ((mixed, &first), &second) in mixed.iter_mut().zip(first).zip(second) {
        *mixed = ((u16::from(first) * of_first + u16::from(second) * of_second) >> 8) as u8;
    }
}

/// For each of `to` places the two of `from` of which it is made.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places lie between 0 and the last one, weights between 0 and 256"
)]
fn taps(from: u32, to: u32) -> Vec<Tap> {
    let step = f64::from(from) / f64::from(to.max(1));
    let last = f64::from(from.saturating_sub(1));
    let tap = |place: u32| {
        let centre = (f64::from(place) + 0.5) * step - 0.5;
        if step > 2.0 {
            let at = |place: f64| place.round().clamp(0.0, last) as u32;
            return Tap {
                first: at(centre - step / 4.0),
                second: at(centre + step / 4.0),
                weight: WHOLE / 2,
            };
        }
        let centre = centre.clamp(0.0, last);
        let first = centre.floor();
        Tap {
            first: first as u32,
            second: (first + 1.0).min(last) as u32,
            weight: ((centre - first) * f64::from(WHOLE)).round() as u32,
        }
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests;
