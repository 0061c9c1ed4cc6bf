//! Where it is drawn: the pixels of a window, of which nothing outside is touched whatever is asked for.

/// Red, green and blue in the lower 24 bits.
pub(crate) type Colour = u32;

pub(crate) const BLACK: Colour = 0x0000_0000;
pub(crate) const WHITE: Colour = 0x00ff_ffff;

/// A rectangle of pixels. One without width or height has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Area {
    pub(crate) const fn of_size(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    pub(crate) const fn contains(self, x: u32, y: u32) -> bool {
        x >= self.x && x - self.x < self.width && y >= self.y && y - self.y < self.height
    }

    /// The largest area of such proportions in the middle of this one: as large as `width` x `height` or smaller if that is all there is room
    /// for, larger only as far as the room is. Empty when there are no proportions, else at least a pixel each way if this has one.
    pub(crate) fn fitting(self, width: u32, height: u32) -> Self {
        if self.is_empty() || width == 0 || height == 0 {
            return Self::default();
        }
        let (room_width, room_height) = (u64::from(self.width), u64::from(self.height));
        let (width, height) = (u64::from(width), u64::from(height));
        let scaled = |side: u64, by: u64, of: u64| {
            let scaled = side.saturating_mul(by).saturating_add(of / 2) / of;
            u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
        };
        let (inner_width, inner_height) = if room_width * height <= room_height * width {
            (
                self.width,
                scaled(height, room_width, width).min(self.height),
            )
        } else {
            (
                scaled(width, room_height, height).min(self.width),
                self.height,
            )
        };
        Self {
            x: self.x.saturating_add((self.width - inner_width) / 2),
            y: self.y.saturating_add((self.height - inner_height) / 2),
            width: inner_width,
            height: inner_height,
        }
    }
}

/// Pixels, row by row.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    pixels: &'a mut [u32],
    width: u32,
    height: u32,
}

impl<'a> Canvas<'a> {
    /// Rows of `width` pixels; what is left of `pixels` behind the last whole row is no part of it.
    pub(crate) fn new(pixels: &'a mut [u32], width: u32) -> Self {
        let rows = pixels.len() / (width as usize).max(1);
        Self {
            pixels,
            width,
            height: u32::try_from(rows).unwrap_or(u32::MAX),
        }
    }

    pub(crate) const fn area(&self) -> Area {
        Area::of_size(self.width, self.height)
    }

    /// The pixels of the area's rows, as far as they are on the canvas.
    pub(crate) fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [u32]> {
        let width = (self.width as usize).max(1);
        let (from, to) = (area.x as usize, area.x.saturating_add(area.width) as usize);
        let rows = self.pixels.chunks_exact_mut(width);
        rows.skip(area.y as usize)
            .take(area.height as usize)
            .map(move |row| {
                row.get_mut(from.min(width)..to.min(width))
                    .unwrap_or_default()
            })
    }

    pub(crate) fn fill(&mut self, area: Area, colour: Colour) {
        self.rows(area).for_each(|row| row.fill(colour));
    }

    /// Fills all of `area` but what is in `hole`.
    pub(crate) fn fill_around(&mut self, area: Area, hole: Area, colour: Colour) {
        if hole.is_empty() {
            return self.fill(area, colour);
        }
        let (right, bottom) = (area.x + area.width, area.y + area.height);
        let (hole_right, hole_bottom) = (hole.x + hole.width, hole.y + hole.height);
        for (x, y, to_x, to_y) in [
            (area.x, area.y, right, hole.y),
            (area.x, hole_bottom, right, bottom),
            (area.x, hole.y, hole.x, hole_bottom),
            (hole_right, hole.y, right, hole_bottom),
        ] {
            let part = Area {
                x,
                y,
                width: to_x.saturating_sub(x),
                height: to_y.saturating_sub(y),
            };
            self.fill(part, colour);
        }
    }

    /// Makes what is there darker: of each colour half is left, or a quarter.
    pub(crate) fn darken(&mut self, area: Area, darkness: Darkness) {
        let (shift, mask) = match darkness {
            Darkness::Half => (1, 0x007f_7f7f),
            Darkness::Quarter => (2, 0x003f_3f3f),
        };
        for row in self.rows(area) {
            for pixel in row {
                *pixel = (*pixel >> shift) & mask;
            }
        }
    }
}

/// How much of the light goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Darkness {
    /// Half of it is left.
    Half,
    /// A quarter is left.
    Quarter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(room: (u32, u32), picture: (u32, u32), expected: (u32, u32, u32, u32)) {
        let fitting = Area::of_size(room.0, room.1).fitting(picture.0, picture.1);
        let (x, y, width, height) = expected;
        assert_eq!(
            fitting,
            Area {
                x,
                y,
                width,
                height
            }
        );
    }

    #[test]
    fn pictures_fit_with_their_proportions_kept() {
        check((640, 480), (640, 480), (0, 0, 640, 480));
        check((1280, 1024), (640, 480), (0, 32, 1280, 960));
        check((1000, 100), (100, 100), (450, 0, 100, 100));
        check((1920, 1080), (7680, 4320), (0, 0, 1920, 1080));
        check((101, 77), (1, 1), (12, 0, 77, 77));
    }

    #[test]
    fn whatever_the_proportions_a_pixel_is_left_and_nothing_is_outside() {
        check((100, 100), (65_535, 1), (0, 49, 100, 1));
        check((100, 100), (1, u32::MAX), (49, 0, 1, 100));
        check((0, 100), (10, 10), (0, 0, 0, 0));
        check((100, 100), (0, 10), (0, 0, 0, 0));
        check(
            (u32::MAX, u32::MAX),
            (u32::MAX, u32::MAX),
            (0, 0, u32::MAX, u32::MAX),
        );
    }

    #[test]
    fn what_is_outside_is_not_drawn_on() {
        let mut pixels = vec![7; 12];
        let mut canvas = Canvas::new(&mut pixels, 4);
        assert_eq!(canvas.area(), Area::of_size(4, 3));
        let outside = Area {
            x: 3,
            y: 2,
            width: u32::MAX,
            height: 9,
        };
        canvas.fill(outside, WHITE);
        canvas.fill(Area { x: 9, ..outside }, BLACK);
        assert_eq!(pixels, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, WHITE]);
    }

    #[test]
    fn a_frame_is_filled_around_a_hole() {
        let mut pixels = vec![7; 16];
        let hole = Area {
            x: 1,
            y: 1,
            width: 2,
            height: 1,
        };
        Canvas::new(&mut pixels, 4).fill_around(Area::of_size(4, 4), hole, BLACK);
        let kept: Vec<usize> = (0..16).filter(|&at| pixels[at] == 7).collect();
        assert_eq!(kept, [5, 6]);
    }
}
