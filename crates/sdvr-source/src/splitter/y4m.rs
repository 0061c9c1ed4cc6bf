//! YUV4MPEG2: a header line, then frames, each a `FRAME` line and planes without padding. The format is that of mjpegtools (`yuv4mpeg(5)`).

use memchr::memchr;
use sdvr_frame::{FourCc, FrameFlags, FrameRate};

use super::{FrameEnd, SplitError};

/// The most bytes of the header line, its end included; it travels as the stream's extradata.
const HEADER_MOST_BYTES: usize = 1024;
/// The most bytes of a `FRAME` line.
const FRAME_LINE_MOST_BYTES: usize = 256;

/// Finds the ends of frames.
#[derive(Debug, Default)]
pub struct Y4m {
    header: Option<Header>,
    /// Whether the first frame was handed out; until then the next bytes are the header, known already or not.
    header_is_past: bool,
    /// Where the line is that was looked at last.
    at: usize,
}

#[derive(Debug, Clone)]
struct Header {
    line: Vec<u8>,
    fourcc: FourCc,
    width: u32,
    height: u32,
    rate: FrameRate,
    frame_bytes: usize,
}

impl Y4m {
    pub(super) fn restart(&mut self) {
        (self.header_is_past, self.at) = (false, 0);
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn header(&self) -> &[u8] {
        self.header.as_ref().map_or(&[], |header| &header.line)
    }

    pub(super) fn format(&self) -> (FourCc, (u32, u32), FrameRate) {
        self.header
            .as_ref()
            .map_or((FourCc::Y4M, (0, 0), FrameRate::UNPACED), |header| {
                (header.fourcc, (header.width, header.height), header.rate)
            })
    }

    pub(super) fn next_frame(&mut self, buffer: &[u8]) -> Result<Option<FrameEnd>, SplitError> {
        let mut start = 0;
        self.at = start;
        if !self.header_is_past {
            let Some(line) = line(buffer, HEADER_MOST_BYTES)
                .map_err(|()| SplitError::Y4m("its header is longer than 1 KiB"))?
            else {
                return Ok(None);
            };
            start = line.len();
            if self.header.is_none() {
                self.header = Some(Header::parse(line)?);
            }
        }
        self.at = start;
        let Some(header) = &self.header else {
            return Ok(None);
        };
        let rest = buffer.get(start..).unwrap_or_default();
        let Some(line) = line(rest, FRAME_LINE_MOST_BYTES)
            .map_err(|()| SplitError::Y4m("a FRAME line is longer than 256 bytes"))?
        else {
            return Ok(None);
        };
        let parameters = line
            .strip_prefix(b"FRAME")
            .and_then(|rest| rest.strip_suffix(b"\n"));
        let parameters = parameters.ok_or(SplitError::Y4m("a frame does not begin with FRAME"))?;
        let payload_start = start + line.len();
        let consumed = payload_start + header.frame_bytes;
        if buffer.len() < consumed {
            return Ok(None);
        }
        self.header_is_past = true;
        let trailer = parameters.to_vec();
        let flags = if trailer.is_empty() {
            FrameFlags::KEY
        } else {
            FrameFlags::KEY | FrameFlags::TRAILER
        };
        Ok(Some(FrameEnd {
            consumed,
            payload: payload_start..consumed,
            trailer,
            flags,
        }))
    }
}

/// The line `buffer` begins with, its end included; `None` when that has not come.
fn line(buffer: &[u8], most_bytes: usize) -> Result<Option<&[u8]>, ()> {
    match memchr(b'\n', buffer.get(..most_bytes).unwrap_or(buffer)) {
        Some(end) => Ok(buffer.get(..=end)),
        None if buffer.len() >= most_bytes => Err(()),
        None => Ok(None),
    }
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, SplitError> {
        let text =
            std::str::from_utf8(line).map_err(|_| SplitError::Y4m("its header is no text"))?;
        let mut words = text.trim_end_matches('\n').split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(SplitError::Y4m("its header does not begin with YUV4MPEG2"));
        }
        let (mut width, mut height, mut rate, mut colour) = (0, 0, FrameRate::UNPACED, "420jpeg");
        for word in words.filter(|word| !word.is_empty()) {
            let (key, value) = word
                .split_at_checked(1)
                .ok_or(SplitError::Y4m("its header is no text"))?;
            let side = || {
                value
                    .parse::<u32>()
                    .ok()
                    .filter(|side| (1..=32_768).contains(side))
                    .ok_or(SplitError::Y4m("its size is impossible"))
            };
            match key {
                "W" => width = side()?,
                "H" => height = side()?,
                "F" => {
                    rate = value
                        .replace(':', "/")
                        .parse()
                        .unwrap_or(FrameRate::UNPACED)
                }
                "C" => colour = value,
                // Interlacing, aspect and comments: kept in the line.
                _ => {}
            }
        }
        if width == 0 || height == 0 {
            return Err(SplitError::Y4m("its header has no size"));
        }
        let layout = layout(colour).ok_or(SplitError::Y4m("its colour space is unknown"))?;
        let frame_bytes = layout
            .frame_bytes(width, height)
            .filter(|&bytes| bytes <= super::FRAME_MOST_BYTES);
        let frame_bytes =
            frame_bytes.ok_or(SplitError::Y4m("its frames are larger than 64 MiB"))?;
        Ok(Self {
            line: line.to_vec(),
            fourcc: layout.fourcc,
            width,
            height,
            rate,
            frame_bytes,
        })
    }
}

/// How a colour space lays out its planes.
struct Layout {
    fourcc: FourCc,
    sample_bytes: u64,
    /// How many luma samples share a chroma sample, across and down; `None`: no chroma.
    chroma: Option<(u64, u64)>,
    has_alpha: bool,
}

impl Layout {
    fn frame_bytes(&self, width: u32, height: u32) -> Option<usize> {
        let (width, height) = (u64::from(width), u64::from(height));
        let luma = width * height;
        let chroma = self.chroma.map_or(0, |(across, down)| {
            2 * width.div_ceil(across) * height.div_ceil(down)
        });
        let alpha = if self.has_alpha { luma } else { 0 };
        usize::try_from((luma + chroma + alpha) * self.sample_bytes).ok()
    }
}

fn layout(colour: &str) -> Option<Layout> {
    // Deep samples have two bytes: 420p10, mono12, 444p16 and the like.
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (base, depth) = match (colour.strip_prefix("mono"), colour.split_once('p')) {
        (Some(depth), _) => ("mono", depth),
        (None, Some((base, depth))) if is_number(depth) => (base, depth),
        _ => (colour, ""),
    };
    let is_deep = match depth {
        "" | "8" => false,
        "9" | "10" | "11" | "12" | "13" | "14" | "15" | "16" => true,
        _ => return None,
    };
    let (fourcc, chroma, has_alpha) = match base {
        "mono" => (FourCc::GREY, None, false),
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => (FourCc::YU12, Some((2, 2)), false),
        "422" => (FourCc::YUV422P, Some((2, 1)), false),
        "444" => (FourCc::YUV444P, Some((1, 1)), false),
        "411" => (FourCc::Y4M, Some((4, 1)), false),
        "444alpha" => (FourCc::Y4M, Some((1, 1)), true),
        _ => return None,
    };
    Some(Layout {
        fourcc: if is_deep { FourCc::Y4M } else { fourcc },
        sample_bytes: if is_deep { 2 } else { 1 },
        chroma,
        has_alpha,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_spaces_have_the_sizes_of_their_planes() {
        let bytes = |colour: &str| layout(colour).and_then(|layout| layout.frame_bytes(6, 4));
        assert_eq!(bytes("420jpeg"), Some(24 + 12));
        assert_eq!(bytes("420mpeg2"), Some(36));
        assert_eq!(bytes("420paldv"), Some(36));
        assert_eq!(bytes("420p10"), Some(72));
        assert_eq!(bytes("422"), Some(48));
        assert_eq!(bytes("444"), Some(72));
        assert_eq!(bytes("444alpha"), Some(96));
        assert_eq!(bytes("411"), Some(24 + 2 * 2 * 4));
        assert_eq!(bytes("mono"), Some(24));
        assert_eq!(bytes("mono16"), Some(48));
        assert_eq!(bytes("cmyk"), None);
    }
}
