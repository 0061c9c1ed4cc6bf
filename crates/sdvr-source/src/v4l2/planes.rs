//! What a frame of several planes, or of padded lines, is as one run of bytes: the only copies that capturing makes.

use std::ops::Range;

use sdvr_frame::FourCc;

use super::choice::JPEG;
use super::formats::Layout;

/// Formats whose planes lie in memory of their own, and what they are called when one follows the other.
const JOINED: [(&[u8; 4], &[u8; 4]); 8] = [
    (b"NM12", b"NV12"),
    (b"NM21", b"NV21"),
    (b"NM16", b"NV16"),
    (b"NM61", b"NV61"),
    (b"YM12", b"YU12"),
    (b"YM21", b"YV12"),
    (b"YM16", b"422P"),
    (b"YM24", b"444P"),
];

/// What a format's frames are called once they are one run of bytes.
pub(crate) fn stream_fourcc(fourcc: FourCc) -> FourCc {
    if fourcc == JPEG {
        return FourCc::MJPG;
    }
    let joined = JOINED.iter().find(|(apart, _)| **apart == fourcc.0);
    joined.map_or(fourcc, |(_, together)| FourCc(**together))
}

/// Lines of equal length, one below the other, each with bytes after it that are no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Which of the buffer's planes they are in.
    plane: usize,
    /// Where the first begins.
    start: usize,
    count: usize,
    bytes: usize,
    /// From the beginning of one to that of the next.
    stride: usize,
}

impl Lines {
    /// Where they are in their plane, one after the other; together they are all of the picture.
    fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.count).map(move |line| {
            let start = line.saturating_mul(self.stride).saturating_add(self.start);
            start..start.saturating_add(self.bytes)
        })
    }
}

/// How frames are to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As they are: compressed, or of a format whose lines are not known.
    AsTheyAre,
    /// The first bytes of their only plane: there is no padding but at the end.
    First(usize),
    /// Put together of these.
    Lines(Vec<Lines>),
}

impl Packing {
    pub(crate) fn of(layout: &Layout) -> Self {
        let Some(parts) = parts(layout) else {
            return Self::AsTheyAre;
        };
        let is_tight =
            layout.planes.len() == 1 && parts.iter().all(|lines| lines.stride == lines.bytes);
        if is_tight {
            Self::First(parts.iter().map(|lines| lines.bytes * lines.count).sum())
        } else {
            Self::Lines(parts)
        }
    }

    /// How long a frame is, if that is known.
    pub(crate) fn frame_bytes(&self) -> Option<usize> {
        match self {
            Self::AsTheyAre => None,
            Self::First(bytes) => Some(*bytes),
            Self::Lines(parts) => Some(parts.iter().map(|lines| lines.bytes * lines.count).sum()),
        }
    }
}

/// Puts a frame together; false when the planes are shorter than they should be.
pub(crate) fn join<'a>(
    parts: &[Lines],
    plane: impl Fn(usize) -> Option<&'a [u8]>,
    joined: &mut Vec<u8>,
) -> bool {
    joined.clear();
    for lines in parts {
        let Some(bytes) = plane(lines.plane) else {
            return false;
        };
        for range in lines.ranges() {
            match bytes.get(range) {
                Some(line) => joined.extend_from_slice(line),
                None => return false,
            }
        }
    }
    true
}

/// Across and down, how many pixels share a sample of colour in planes of their own; and how many of those planes there are.
#[derive(Clone, Copy)]
enum Chroma {
    /// No planes, and so many bytes for two pixels.
    Packed(usize),
    /// One plane with both samples in turn.
    Paired { across: usize, down: usize },
    /// Two planes.
    Apart { across: usize, down: usize },
}

fn chroma(fourcc: FourCc) -> Option<Chroma> {
    Some(match &fourcc.0 {
        b"GREY" => Chroma::Packed(2),
        b"YUYV" | b"UYVY" | b"YVYU" | b"VYUY" => Chroma::Packed(4),
        b"NV12" | b"NV21" => Chroma::Paired { across: 2, down: 2 },
        b"NV16" | b"NV61" => Chroma::Paired { across: 2, down: 1 },
        b"YU12" | b"YV12" => Chroma::Apart { across: 2, down: 2 },
        b"422P" => Chroma::Apart { across: 2, down: 1 },
        b"444P" => Chroma::Apart { across: 1, down: 1 },
        _ => return None,
    })
}

/// The lines of all planes; `None` for formats whose lines are not known, and for numbers of the driver that cannot be.
fn parts(layout: &Layout) -> Option<Vec<Lines>> {
    const SIDE_MOST: u32 = 1 << 16;
    if layout.width.max(layout.height) > SIDE_MOST {
        return None;
    }
    let width = usize::try_from(layout.width).ok()?;
    let height = usize::try_from(layout.height).ok()?;
    let chroma = chroma(stream_fourcc(layout.fourcc))?;
    let first_stride = usize::try_from(layout.planes.first()?.line_bytes).ok()?;
    // Of each part: lines, bytes a line, and how often the first plane's stride is divided for it.
    let shapes = match chroma {
        Chroma::Packed(bytes) => vec![(height, width.div_ceil(2) * bytes, 1)],
        Chroma::Paired { across, down } => vec![
            (height, width, 1),
            (height.div_ceil(down), width.div_ceil(across) * 2, 1),
        ],
        Chroma::Apart { across, down } => {
            let part = (height.div_ceil(down), width.div_ceil(across), across);
            vec![(height, width, 1), part, part]
        }
    };
    let shapes = match chroma {
        // One byte a pixel, also of an odd width.
        Chroma::Packed(2) => vec![(height, width, 1)],
        _ => shapes,
    };
    let is_apart = layout.planes.len() > 1;
    if is_apart && layout.planes.len() != shapes.len() {
        return None;
    }
    let mut parts = Vec::new();
    let mut start = 0_usize;
    for (index, (count, bytes, divisor)) in shapes.into_iter().enumerate() {
        let plane = if is_apart { index } else { 0 };
        let stride = if is_apart {
            usize::try_from(layout.planes.get(index)?.line_bytes).ok()?
        } else {
            first_stride / divisor
        };
        // Some drivers leave it out.
        let stride = if stride == 0 { bytes } else { stride };
        if stride < bytes {
            return None;
        }
        parts.push(Lines {
            plane,
            start: if is_apart { 0 } else { start },
            count,
            bytes,
            stride,
        });
        start = start.checked_add(count.checked_mul(stride)?)?;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::formats::PlaneLayout;

    fn layout(fourcc: &[u8; 4], width: u32, height: u32, strides: &[u32]) -> Layout {
        let planes = strides.iter().map(|line_bytes| PlaneLayout {
            line_bytes: *line_bytes,
            image_bytes: 4096,
        });
        Layout {
            fourcc: FourCc(*fourcc),
            width,
            height,
            is_single_fields: false,
            planes: planes.collect(),
        }
    }

    /// A frame put together of planes whose bytes count up.
    fn joined(layout: &Layout, plane_bytes: usize) -> Option<Vec<u8>> {
        let Packing::Lines(parts) = Packing::of(layout) else {
            panic!("there is nothing to put together");
        };
        let plane: Vec<u8> = (0..=255).cycle().take(plane_bytes).collect();
        let mut joined = vec![9; 99];
        join(&parts, |_| Some(&plane), &mut joined).then_some(joined)
    }

    #[test]
    fn what_has_no_padding_is_not_copied() {
        let packing = |fourcc, strides: &[u32]| Packing::of(&layout(fourcc, 4, 2, strides));
        assert_eq!(packing(b"YUYV", &[8]), Packing::First(16));
        assert_eq!(packing(b"NV12", &[4]), Packing::First(12));
        assert_eq!(packing(b"YU12", &[4]), Packing::First(12));
        assert_eq!(packing(b"YU12", &[0]), Packing::First(12));
        assert_eq!(packing(b"GREY", &[4]), Packing::First(8));
        for (fourcc, strides) in [(b"MJPG", [0]), (b"RGB3", [99]), (b"NV12", [2])] {
            assert_eq!(packing(fourcc, &strides), Packing::AsTheyAre);
        }
        let huge = layout(b"NV12", u32::MAX, u32::MAX, &[u32::MAX]);
        assert_eq!(Packing::of(&huge), Packing::AsTheyAre);
    }

    #[test]
    fn lengths_are_those_that_readers_expect() {
        for (fourcc, width, height) in [
            (FourCc::NV12, 6, 5),
            (FourCc::YU12, 3, 3),
            (FourCc::YUYV, 6, 3),
            (FourCc::GREY, 3, 3),
            (FourCc::YUV422P, 3, 3),
            (FourCc::YUV444P, 3, 3),
        ] {
            let packing = Packing::of(&layout(&fourcc.0, width, height, &[64]));
            let bytes = fourcc.raw_frame_bytes(width, height).unwrap();
            assert_eq!(
                packing.frame_bytes(),
                usize::try_from(bytes).ok(),
                "{fourcc}"
            );
        }
    }

    #[test]
    fn padding_at_the_end_of_lines_is_left_out() {
        let padded = layout(b"YUYV", 2, 2, &[6]);
        assert_eq!(joined(&padded, 12), Some(vec![0, 1, 2, 3, 6, 7, 8, 9]));
        let padded = layout(b"NV12", 2, 2, &[4]);
        assert_eq!(joined(&padded, 12), Some(vec![0, 1, 4, 5, 8, 9]));
        let padded = layout(b"YU12", 2, 2, &[4]);
        assert_eq!(joined(&padded, 12), Some(vec![0, 1, 4, 5, 8, 10]));
        // The last line may end where the picture does, not before.
        assert!(joined(&layout(b"YUYV", 2, 2, &[6]), 10).is_some());
        assert!(joined(&layout(b"YUYV", 2, 2, &[6]), 9).is_none());
    }

    #[test]
    fn planes_apart_become_one_run_of_bytes() {
        let apart = layout(b"NM12", 2, 2, &[4, 2]);
        assert_eq!(joined(&apart, 6), Some(vec![0, 1, 4, 5, 0, 1]));
        let apart = layout(b"YM12", 2, 2, &[2, 1, 3]);
        assert_eq!(joined(&apart, 4), Some(vec![0, 1, 2, 3, 0, 0]));
        assert_eq!(
            Packing::of(&layout(b"NM12", 2, 2, &[2, 2, 2])),
            Packing::AsTheyAre
        );
        assert_eq!(stream_fourcc(FourCc(*b"YM12")), FourCc::YU12);
    }
}
