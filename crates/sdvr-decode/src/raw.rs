//! Frames that are pixels already: which format lies how, and whether a frame is as long as it must be.

use sdvr_frame::{FourCc, StreamFormat};

use crate::colours::Colours;
use crate::convert::{Converter, Source};
use crate::decoder::Coded;
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};

/// A frame may be longer by what a `FRAME` line of YUV4MPEG2 can say (it stands behind the pixels).
const TRAILER_MOST_BYTES: usize = 256;

/// Makes pictures of raw frames.
#[derive(Debug)]
pub(crate) struct Raw {
    fourcc: FourCc,
    layout: Layout,
    sample_bits: u8,
    width: u32,
    height: u32,
    converter: Converter,
}

impl Raw {
    /// `None` when the format is not raw.
    pub(crate) fn new(
        format: &StreamFormat,
        extradata: &[u8],
    ) -> Result<Option<Self>, DecodeError> {
        let (layout, sample_bits) = if format.fourcc == FourCc::Y4M {
            y4m_layout(extradata).ok_or(DecodeError::Unsupported {
                format: format.fourcc,
                hint: "only the YUV4MPEG2 header, which is the stream's extradata, tells its layout; give one with a colour space of 420, 422, 444, 411, 444alpha or mono",
            })?
        } else if let Some(layout) = layout_of(format.fourcc) {
            let is_wide = matches!(layout, Layout::Gray16 | Layout::Gray16BigEndian);
            (layout, if is_wide { 16 } else { 8 })
        } else {
            return Ok(None);
        };
        let (width, height) = (format.width, format.height);
        DecodeError::check_size(width, height)?;
        Ok(Some(Self {
            fourcc: format.fourcc,
            layout,
            sample_bits,
            width,
            height,
            converter: Converter::default(),
        }))
    }

    pub(crate) fn decode(
        &mut self,
        frame: Coded<'_>,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<(), DecodeError> {
        let source = self.source(frame.bytes)?;
        self.converter.convert(&source, pixels, picture)?;
        picture.number = frame.number;
        Ok(())
    }

    /// The frame's planes, once it is known to have them.
    fn source<'a>(&self, bytes: &'a [u8]) -> Result<Source<'a>, DecodeError> {
        let (width, height) = (self.width, self.height);
        let length = |expected: Option<usize>| DecodeError::Length {
            format: self.fourcc,
            width,
            height,
            expected_bytes: expected.map_or(u64::MAX, |bytes| bytes as u64),
            actual_bytes: bytes.len() as u64,
        };
        let expected = self.layout.picture_bytes(width, height);
        let expected = expected.ok_or_else(|| length(expected))?;
        let surplus = bytes.len().checked_sub(expected);
        // Padding behind each row would be a byte a row at least, and then nothing is where it is looked for.
        let is_fitting = surplus.is_some_and(|surplus| {
            surplus <= TRAILER_MOST_BYTES || (surplus as u64) < u64::from(height)
        });
        let source = Source::of_rows_without_padding(self.layout, width, height, bytes);
        let mut source = source
            .filter(|_| is_fitting)
            .ok_or_else(|| length(Some(expected)))?;
        source.sample_bits = self.sample_bits;
        source.colours = colours_of(self.layout);
        Ok(source)
    }
}

/// How a format's frames lie; `None` when it is not raw.
fn layout_of(fourcc: FourCc) -> Option<Layout> {
    Some(match &fourcc.0 {
        b"YUYV" => Layout::Yuyv,
        b"UYVY" => Layout::Uyvy,
        b"YVYU" => Layout::Yvyu,
        b"VYUY" => Layout::Vyuy,
        b"NV12" | b"NM12" => Layout::Nv12,
        b"NV21" | b"NM21" => Layout::Nv21,
        b"NV16" | b"NM16" => Layout::Nv16,
        b"NV61" | b"NM61" => Layout::Nv61,
        b"YU12" | b"YM12" => Layout::Yuv420,
        b"YV12" | b"YM21" => Layout::Yvu420,
        b"422P" | b"YM16" => Layout::Yuv422,
        b"444P" | b"YM24" => Layout::Yuv444,
        b"GREY" => Layout::Gray,
        b"Y16 " => Layout::Gray16,
        b"Y16\xa0" => Layout::Gray16BigEndian,
        b"RGB3" => Layout::Rgb,
        b"BGR3" => Layout::Bgr,
        b"BA81" => Layout::BayerBggr,
        b"GBRG" => Layout::BayerGbrg,
        b"GRBG" => Layout::BayerGrbg,
        b"RGGB" => Layout::BayerRggb,
        _ => return None,
    })
}

/// The layout that a YUV4MPEG2 header names, and its bits a sample: `yuv4mpeg(5)`, with the deep ones as libav writes them.
fn y4m_layout(header: &[u8]) -> Option<(Layout, u8)> {
    let line = header.split(|&byte| byte == b'\n').next()?;
    let words = std::str::from_utf8(line).ok()?.strip_prefix("YUV4MPEG2")?;
    let colour = words.split(' ').find_map(|word| word.strip_prefix('C'));
    let colour = colour.unwrap_or("420jpeg");
    let mono = colour.strip_prefix("mono");
    let (base, depth) = match (mono, colour.split_once('p')) {
        (Some(depth), _) => ("mono", depth),
        (None, Some((base, depth))) if depth.parse::<u8>().is_ok() => (base, depth),
        _ => (colour, ""),
    };
    let bits = if depth.is_empty() {
        8
    } else {
        depth.parse().ok()?
    };
    let is_deep = match bits {
        8 => false,
        9..=16 => true,
        _ => return None,
    };
    let layout = match (base, is_deep) {
        ("420" | "420jpeg" | "420mpeg2" | "420paldv", false) => Layout::Yuv420,
        ("422", false) => Layout::Yuv422,
        ("444", false) => Layout::Yuv444,
        ("411", false) => Layout::Yuv411,
        ("444alpha", false) => Layout::Yuva444,
        ("mono", false) => Layout::Gray,
        ("420", true) => Layout::Yuv420Deep,
        ("422", true) => Layout::Yuv422Deep,
        ("444", true) => Layout::Yuv444Deep,
        ("mono", true) => Layout::Gray16,
        _ => return None,
    };
    Some((layout, bits))
}

const fn colours_of(layout: Layout) -> Colours {
    match layout {
        Layout::Gray
        | Layout::Gray16
        | Layout::Gray16BigEndian
        | Layout::Rgb
        | Layout::Bgr
        | Layout::BayerBggr
        | Layout::BayerGbrg
        | Layout::BayerGrbg
        | Layout::BayerRggb => Colours::FULL_601,
        _ => Colours::LIMITED_601,
    }
}
