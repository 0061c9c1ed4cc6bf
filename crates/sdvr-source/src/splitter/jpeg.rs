//! JPEG images one after the other: ITU-T T.81, annex B.
//!
//! Marker segments are stepped over by their length, so that a thumbnail in one does not end the image; in entropy-coded data an FF byte is
//! followed by 00, a restart marker, or a real marker. Bytes between two images (padding, a multipart boundary) go with the image that
//! follows them, so that an image is complete with its last byte; those behind the last image of a file go with that one. An image whose end is
//! missing, as USB cameras send them when a transfer was cut short, ends where the next one begins: it is damaged, and the stream goes on. So does
//! an image with a marker that cannot be, unless it is the stream's first: then the stream is none of JPEG images.

use memchr::memchr;
use sdvr_frame::FrameFlags;

use super::{FrameEnd, SplitError};

/// More bytes than this between two images are no padding.
const PADDING_MOST_BYTES: usize = 64 * 1024;

/// Finds the ends of JPEG images.
#[derive(Debug, Default)]
pub struct Jpeg {
    at: usize,
    state: State,
    size: Option<(u32, u32)>,
    /// Whether an image was whole.
    has_seen_image: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before an image.
    #[default]
    Between,
    /// A marker is next.
    Marker,
    /// In entropy-coded data.
    Scan,
    /// Behind something that cannot be in an image: the next one is looked for.
    Damaged,
}

impl Jpeg {
    /// Pixels across and down, of the image seen last.
    pub(super) const fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    pub(super) fn next_frame(&mut self, buffer: &[u8]) -> Result<Option<FrameEnd>, SplitError> {
        while let Some(rest) = buffer.get(self.at..).filter(|rest| !rest.is_empty()) {
            let state = self.state;
            let moved = match state {
                State::Between => self.find_image(rest)?,
                State::Scan if rest.starts_with(&[0xff, 0xd8]) => {
                    let consumed = self.at;
                    (self.at, self.state) = (0, State::Between);
                    return Ok(Some(FrameEnd::whole(consumed, FrameFlags::KEY)));
                }
                State::Damaged if rest.starts_with(&[0xff, 0xd8, 0xff]) => {
                    let consumed = self.at;
                    (self.at, self.state) = (0, State::Between);
                    return Ok(Some(FrameEnd::whole(consumed, FrameFlags::KEY)));
                }
                State::Damaged => find_next_image(rest),
                State::Scan => self.skip_scan(rest),
                State::Marker => match self.step_marker(rest) {
                    Err(_) if self.has_seen_image => {
                        self.state = State::Damaged;
                        0
                    }
                    Err(error) => return Err(error),
                    Ok(Step::End(bytes)) => {
                        self.has_seen_image = true;
                        let consumed = self.at.saturating_add(bytes);
                        (self.at, self.state) = (0, State::Between);
                        return Ok(Some(FrameEnd::whole(consumed, FrameFlags::KEY)));
                    }
                    Ok(Step::Over(bytes)) => bytes,
                    Ok(Step::NeedsMore) => 0,
                },
            };
            if moved == 0 && self.state == state {
                break;
            }
            self.at = self.at.saturating_add(moved);
        }
        Ok(None)
    }

    /// Whether no image begins in these bytes, which follow one.
    pub(crate) fn is_padding(rest: &[u8]) -> bool {
        rest.len() <= PADDING_MOST_BYTES && memchr::memmem::find(rest, &[0xff, 0xd8]).is_none()
    }

    /// Up to where the bytes were looked at.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Whether an image has begun and not ended.
    pub(super) fn is_in_image(&self) -> bool {
        self.state != State::Between
    }

    /// Steps over padding and the start-of-image marker.
    fn find_image(&mut self, rest: &[u8]) -> Result<usize, SplitError> {
        let found = memchr::memmem::find(rest, &[0xff, 0xd8]);
        // The last byte may be half a marker.
        let padding = found.unwrap_or(rest.len() - 1);
        if self.at.saturating_add(padding) > PADDING_MOST_BYTES {
            return Err(SplitError::NoImage);
        }
        if found.is_none() {
            return Ok(padding);
        }
        self.state = State::Marker;
        Ok(padding + 2)
    }

    fn skip_scan(&mut self, rest: &[u8]) -> usize {
        let Some(found) = memchr(0xff, rest) else {
            return rest.len();
        };
        match rest.get(found + 1) {
            None => found,
            Some(0x00 | 0xd0..=0xd7) => found + 2,
            // Fill bytes: the marker may begin at the next one. The start of an image is looked at where it begins.
            Some(0xff) => found + 1,
            Some(0xd8) => found,
            Some(_) => {
                self.state = State::Marker;
                found
            }
        }
    }

    fn step_marker(&mut self, rest: &[u8]) -> Result<Step, SplitError> {
        // Any number of FF bytes may stand before a marker's code.
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        let Some(&code) = rest.get(fill) else {
            // All but one of them are done with.
            return Ok(Step::Over(fill.saturating_sub(1)));
        };
        if fill == 0 {
            return Err(SplitError::NoMarker(code));
        }
        match code {
            0xd9 => Ok(Step::End(fill + 1)),
            // Markers without a segment.
            0x01 | 0xd0..=0xd7 => Ok(Step::Over(fill + 1)),
            0x02..=0xbf | 0xd8 | 0x00 => Err(SplitError::Marker(code)),
            _ => {
                let Some(&[high, low]) = rest.get(fill + 1..).and_then(|rest| rest.first_chunk())
                else {
                    return Ok(Step::NeedsMore);
                };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(segment) = rest
                    .get(fill + 1..)
                    .and_then(|rest| rest.get(..length.max(2)))
                else {
                    return Ok(Step::NeedsMore);
                };
                self.handle_segment(code, segment);
                Ok(Step::Over(fill + 1 + segment.len()))
            }
        }
    }

    fn handle_segment(&mut self, code: u8, segment: &[u8]) {
        // Start of scan: entropy-coded data follows.
        if code == 0xda {
            self.state = State::Scan;
        }
        // Start of frame, of any process: length 2, precision 1, lines 2, columns 2.
        if matches!(code, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)
            && let Some(&[_, _, _, a, b, c, d]) = segment.first_chunk()
        {
            self.size = Some((
                u16::from_be_bytes([c, d]).into(),
                u16::from_be_bytes([a, b]).into(),
            ));
        }
    }
}

/// How many bytes stand before the next image, or before what may be the beginning of one.
fn find_next_image(rest: &[u8]) -> usize {
    // Where one stands already, it is the damaged image's own second byte that was looked at.
    let found = memchr::memmem::find(rest.get(1..).unwrap_or_default(), &[0xff, 0xd8, 0xff]);
    found.map_or_else(|| rest.len().saturating_sub(2), |found| found + 1)
}

enum Step {
    End(usize),
    Over(usize),
    NeedsMore,
}
