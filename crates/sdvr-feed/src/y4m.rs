//! YUV4MPEG2: a line that tells the size, the rate and the colour space, then planes of brightness and colour, frame after frame.
//!
//! Known to every program that takes uncompressed video, since `mjpegtools` had it; its `man 5 yuv4mpeg` is the description. That samples use all values
//! says the mark of ffmpeg, `XCOLORRANGE`.

use std::io::{self, Write};

use sdvr::{Camera, Layout, Picture, Range};

use crate::shape::Shape;

/// The header line of a YUV4MPEG2 source is its stream's extradata.
const MAGIC: &[u8] = b"YUV4MPEG2";
/// A rate must be said. Where the source has none it is the one that players take for unknown ones.
const UNKNOWN_RATE: (u32, u32) = (25, 1);

/// The header of a camera whose source is such a stream.
pub(crate) fn header_of(camera: &Camera) -> Option<&[u8]> {
    let extradata = camera.info().map(|info| info.extradata.as_slice());
    extradata.filter(|extradata| extradata.starts_with(MAGIC))
}

/// Writes the header of a stream whose colour space has that name.
pub(crate) fn write_header(shape: &Shape, colours: &str, out: &mut impl Write) -> io::Result<()> {
    let (numerator, denominator) = match shape.rate.numerator {
        0 => UNKNOWN_RATE,
        numerator => (numerator, shape.rate.denominator),
    };
    let (width, height) = (shape.width, shape.height);
    writeln!(
        out,
        "YUV4MPEG2 W{width} H{height} F{numerator}:{denominator} Ip A0:0 C{colours}"
    )
}

/// The name of the colour space that a picture's planes are written in, and its range if it is not the usual one. `None` for pixels that are not
/// brightness and colour.
pub(crate) fn colours(picture: &Picture) -> Option<String> {
    let bits = picture.sample_bits();
    let space = match picture.layout() {
        Layout::Gray => "mono".to_owned(),
        Layout::Gray16 => "mono16".to_owned(),
        Layout::Nv12 | Layout::Nv21 | Layout::Yuv420 | Layout::Yvu420 => "420jpeg".to_owned(),
        Layout::Yuyv
        | Layout::Uyvy
        | Layout::Yvyu
        | Layout::Vyuy
        | Layout::Nv16
        | Layout::Nv61
        | Layout::Yuv422 => "422".to_owned(),
        Layout::Yuv411 => "411".to_owned(),
        Layout::Ycbcr | Layout::Yuv444 => "444".to_owned(),
        Layout::Yuv420Deep if bits > 8 => format!("420p{bits} XYSCSS=420P{bits}"),
        Layout::Yuv422Deep if bits > 8 => format!("422p{bits} XYSCSS=422P{bits}"),
        Layout::Yuv444Deep if bits > 8 => format!("444p{bits} XYSCSS=444P{bits}"),
        _ => return None,
    };
    let is_full = picture.colours().range == Range::Full && picture.layout() != Layout::Gray;
    Some(if is_full {
        format!("{space} XCOLORRANGE=FULL")
    } else {
        space
    })
}

/// Writes a frame. `planes` is memory that is used again.
pub(crate) fn write_frame(
    picture: &Picture,
    planes: &mut Vec<u8>,
    out: &mut impl Write,
) -> io::Result<()> {
    out.write_all(b"FRAME\n")?;
    write_planes(picture, planes, out)
}

/// Writes a picture's planes; of pixels that are not brightness and colour, all of them as they lie. `planes` is memory that is used again.
pub(crate) fn write_planes(
    picture: &Picture,
    planes: &mut Vec<u8>,
    out: &mut impl Write,
) -> io::Result<()> {
    planes.clear();
    match picture.layout() {
        // Brightness, and two samples of colour for each pair of pixels.
        Layout::Yuyv => split::<4>(picture, [&[0, 2], &[1], &[3]], planes),
        Layout::Uyvy => split::<4>(picture, [&[1, 3], &[0], &[2]], planes),
        Layout::Yvyu => split::<4>(picture, [&[0, 2], &[3], &[1]], planes),
        Layout::Vyuy => split::<4>(picture, [&[1, 3], &[2], &[0]], planes),
        Layout::Ycbcr => split::<3>(picture, [&[0], &[1], &[2]], planes),
        Layout::Nv12 | Layout::Nv16 => divide_colour(picture, [0, 1], planes),
        Layout::Nv21 | Layout::Nv61 => divide_colour(picture, [1, 0], planes),
        Layout::Yvu420 => {
            let mut all = picture.planes();
            let (brightness, red, blue) = (all.next(), all.next(), all.next());
            for plane in [brightness, blue, red].into_iter().flatten() {
                planes.extend_from_slice(plane.bytes);
            }
        }
        _ => return out.write_all(picture.bytes()),
    }
    out.write_all(planes)
}

/// Planes out of one in which samples lie in groups of `GROUP` bytes: of each plane it is said which bytes of a group are its samples.
fn split<const GROUP: usize>(picture: &Picture, wanted: [&[usize]; 3], planes: &mut Vec<u8>) {
    let Some(packed) = picture.planes().next() else {
        return;
    };
    let width = usize::try_from(picture.width()).unwrap_or(usize::MAX);
    for samples in wanted {
        for row in packed.bytes.chunks_exact(packed.row_bytes) {
            let begin = planes.len();
            let (groups, _) = row.as_chunks::<GROUP>();
            match samples {
                [one] => planes.extend(groups.iter().map(|group| group[*one])),
                samples => {
                    for group in groups {
                        planes.extend(samples.iter().map(|&sample| group[sample]));
                    }
                }
            }
            // The second pixel of a pair that only fills it up at an odd width.
            planes.truncate(begin.saturating_add(width));
        }
    }
}

/// The plane of brightness, then the one of colour in two: first the samples at `order`.
fn divide_colour(picture: &Picture, order: [usize; 2], planes: &mut Vec<u8>) {
    let mut all = picture.planes();
    if let Some(brightness) = all.next() {
        planes.extend_from_slice(brightness.bytes);
    }
    if let Some(colour) = all.next() {
        for sample in order {
            planes.extend(colour.bytes.iter().skip(sample).step_by(2));
        }
    }
}
