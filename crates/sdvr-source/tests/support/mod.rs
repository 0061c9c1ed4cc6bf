//! Streams made by hand, and the ways to cut them.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "a test that cannot go on must stop, with the place; not every file uses every helper"
)]

use sdvr_frame::{FourCc, FrameFlags};
use sdvr_source::splitter::{SplitError, Splitter};

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
