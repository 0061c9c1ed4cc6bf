//! Streams made by hand, and the ways to cut them.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "a test that cannot go on must stop, with the place; not every file uses every helper"
)]

pub(crate) mod clips;
pub(crate) mod sources;

use sdvr_frame::{FourCc, FrameFlags};
use sdvr_source::splitter::{SplitError, Splitter};

pub(crate) const KEY: FrameFlags = FrameFlags::KEY;
pub(crate) const NONE: FrameFlags = FrameFlags::NONE;
pub(crate) const DISCARDABLE: FrameFlags = FrameFlags::DISCARDABLE;

/// A frame that was cut off a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// All its bytes in the stream.
    pub(crate) consumed: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) trailer: Vec<u8>,
    pub(crate) flags: FrameFlags,
}

/// What a stream was cut into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) frames: Vec<Cut>,
    pub(crate) rest: Vec<u8>,
    pub(crate) error: Option<SplitError>,
    pub(crate) size: (u32, u32),
    pub(crate) is_cut_off: bool,
}

impl Frames {
    pub(crate) fn lengths(&self) -> Vec<usize> {
        assert_eq!(self.error, None);
        self.frames
            .iter()
            .map(|frame| frame.consumed.len())
            .collect()
    }

    pub(crate) fn payloads(&self) -> Vec<&[u8]> {
        assert_eq!(self.error, None);
        self.frames
            .iter()
            .map(|frame| frame.payload.as_slice())
            .collect()
    }

    pub(crate) fn flags(&self) -> Vec<FrameFlags> {
        self.frames.iter().map(|frame| frame.flags).collect()
    }
}

/// Cuts `stream`, which comes in pieces of `chunk` bytes.
pub(crate) fn cut(stream: &[u8], forced: Option<FourCc>, chunk: usize) -> Frames {
    let mut splitter = None;
    let (mut start, mut end) = (0, 0);
    let mut frames = Vec::new();
    let mut error = None;
    loop {
        end = (end + chunk).min(stream.len());
        let is_end = end == stream.len();
        if splitter.is_none() {
            match Splitter::detect(&stream[..end], is_end, forced) {
                Ok(found) => splitter = found,
                Err(problem) => error = Some(problem),
            }
        }
        while let Some(splitter) = &mut splitter {
            match splitter.next_frame(&stream[start..end], is_end) {
                Ok(Some(found)) => {
                    assert!(found.consumed > 0, "it would never end");
                    let consumed = stream[start..end][..found.consumed].to_vec();
                    frames.push(Cut {
                        payload: consumed[found.payload].to_vec(),
                        trailer: found.trailer,
                        flags: found.flags,
                        consumed,
                    });
                    start += found.consumed;
                }
                Ok(None) => break,
                Err(problem) => {
                    error = Some(problem);
                    break;
                }
            }
        }
        if is_end || error.is_some() {
            break;
        }
    }
    let format = splitter.as_ref().map(Splitter::format);
    let rest = stream[start..].to_vec();
    Frames {
        frames,
        is_cut_off: splitter.is_some_and(|splitter| splitter.is_cut_off(&rest)),
        rest,
        error,
        size: format.map_or((0, 0), |format| (format.width, format.height)),
    }
}

/// A marker segment.
pub(crate) fn segment(code: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, code], length.as_slice(), content].concat()
}

/// A JPEG of one scan with this entropy-coded data.
pub(crate) fn jpeg(width: u16, height: u16, scan: &[u8]) -> Vec<u8> {
    jpeg_with(&[], width, height, &[scan])
}

/// A JPEG with more segments at its start, and with several scans.
pub(crate) fn jpeg_with(more: &[u8], width: u16, height: u16, scans: &[&[u8]]) -> Vec<u8> {
    let [w, h] = [width, height].map(u16::to_be_bytes);
    let frame = [8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0];
    let mut image = vec![0xff, 0xd8];
    image.extend(more);
    image.extend(segment(0xdb, &[0; 65]));
    image.extend(segment(0xc0, &frame));
    for scan in scans {
        image.extend(segment(0xc4, &[0; 17]));
        image.extend(segment(0xda, &[1, 1, 0, 0, 63, 0]));
        image.extend(*scan);
    }
    image.extend([0xff, 0xd9]);
    image
}

/// NAL units, each after a start code of three or four bytes.
pub(crate) fn annex_b(nals: &[(usize, &[u8])]) -> Vec<u8> {
    nals.iter()
        .flat_map(|(code_bytes, nal)| {
            let code: &[u8] = match code_bytes {
                3 => &[0, 0, 1],
                _ => &[0, 0, 0, 1],
            };
            [code, *nal].concat()
        })
        .collect()
}

/// Cuts it at once and in pieces of several sizes, checks what always holds, and gives what came out.
pub(crate) fn cut_every_way(stream: &[u8], forced: Option<FourCc>) -> Frames {
    let whole = cut(stream, forced, stream.len().max(1));
    for chunk in [1, 2, 3, 7, 64, 1000] {
        let pieces = cut(stream, forced, chunk);
        assert_eq!(pieces, whole, "in pieces of {chunk}");
    }
    let mut all: Vec<u8> = whole
        .frames
        .iter()
        .flat_map(|frame| frame.consumed.iter().copied())
        .collect();
    all.extend(&whole.rest);
    assert_eq!(all, stream, "all frames together are the stream");
    whole
}

pub(crate) fn is_unknown(frames: &Frames) -> bool {
    matches!(frames.error, Some(SplitError::Unknown(_)))
}

/// A slice of H.264: its header byte, then whether it is the first of its picture.
pub(crate) fn slice(header: u8, is_first: bool) -> Vec<u8> {
    vec![header, if is_first { 0x88 } else { 0x48 }, 0x84, 0x21, 0xa0]
}

pub(crate) const AUD: &[u8] = &[0x09, 0xf0];
pub(crate) const SEI: &[u8] = &[0x06, 0x05, 0x01, 0x00, 0x80];
pub(crate) const PPS: &[u8] = &[0x68, 0xeb, 0xef, 0x20];
/// 176 by 144, of x264.
pub(crate) const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0a, 0xda, 0x0b, 0x13, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x0a, 0x0f, 0x12, 0x26, 0xa0,
];

/// A slice of H.265 of a type.
pub(crate) fn slice265(kind: u8, is_first: bool) -> Vec<u8> {
    vec![kind << 1, 1, if is_first { 0xaf } else { 0x2f }, 0x11, 0x80]
}

pub(crate) fn nal265(kind: u8) -> Vec<u8> {
    vec![kind << 1, 1, 0x55, 0x66, 0x80]
}

pub(crate) fn y4m(header: &str, frame_bytes: usize, parameters: &[&str]) -> Vec<u8> {
    let mut stream = format!("YUV4MPEG2 {header}\n").into_bytes();
    for (number, parameters) in parameters.iter().enumerate() {
        stream.extend(format!("FRAME{parameters}\n").bytes());
        stream.extend((0..frame_bytes).map(|at| (at * 7 + number) as u8));
    }
    stream
}

/// Puts a file together again from what travels: the header, then payloads and trailers.
pub(crate) fn rebuilt(header: &[u8], frames: &Frames) -> Vec<u8> {
    let mut stream = header.to_vec();
    for frame in &frames.frames {
        stream.extend(b"FRAME");
        stream.extend(&frame.trailer);
        stream.push(b'\n');
        stream.extend(&frame.payload);
    }
    stream
}

/// 16 by 32, interlaced: frame_mbs_only_flag is 0, and so is log2_max_frame_num_minus4. ffmpeg decodes 8 pictures out of 8 times two of [`skipped`].
pub(crate) const INTERLACED_SPS: &[u8] = &[0x67, 0x4d, 0x00, 0x1e, 0xda, 0x64, 0x80];
/// The slice of a picture that is all skipped: a frame (`None`), or the top or the bottom field of one.
pub(crate) fn skipped(header: u8, frame_number: u32, is_bottom: Option<bool>) -> Vec<u8> {
    let field = is_bottom.map_or(0, |is_bottom| 2 | u32::from(is_bottom));
    let bits = 0b100_1101 << 17 | frame_number << 13 | field << 11 | 0b1_0101 << 3;
    [&[header], &bits.to_be_bytes()[1..]].concat()
}
