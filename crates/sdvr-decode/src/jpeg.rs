//! MJPG frames made into JPEG files that every program opens, without decoding them: ITU-T T.81, annex B.
//!
//! A webcam's frame is nearly a JPEG file. Many leave out the Huffman tables, which are always the same (the USB video class allows it, and
//! AVI files do so, too), and pad the frame behind the image. Video players know that; image viewers refuse such a file or show grey.

pub(crate) mod scan;
mod tables;

use std::borrow::Cow;

use tables::STANDARD_TABLES;

/// More bytes than this before an image are no padding.
const PADDING_MOST_BYTES: usize = 64 * 1024;

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
/// Markers, by their second byte.
const DEFINE_HUFFMAN_TABLES: u8 = 0xc4;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Why a frame is no JPEG image. The camera, or what carried its bytes, is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// No image begins in it.
    #[error("no JPEG image begins in it")]
    NoImage,
    /// It ends within the image: its end was lost on the way from the camera, for example.
    #[error("the image ends too early, after {bytes} bytes")]
    Truncated {
        /// How much there is of it.
        bytes: usize,
    },
    /// There is something else where a marker must be.
    #[error("no marker at byte {at} of the image, where one must be")]
    NoMarker {
        /// Where, counted from the image's begin.
        at: usize,
    },
    /// A segment does not hold what it must.
    #[error("segment FF{marker:02X} at byte {at} of the image is damaged")]
    Segment {
        /// Which, by the second byte of its marker.
        marker: u8,
        /// Where, counted from the image's begin.
        at: usize,
    },
    /// It ends before any picture.
    #[error("there is no picture in the image")]
    NoPicture,
}

/// The JPEG image in an MJPG frame, with the Huffman tables that its camera left out.
///
/// The tables are those of ITU-T T.81, annex K.3, which stand for missing ones by convention; an image that has all it needs is borrowed as it is.
/// Progressive, lossless and arithmetic images have no such convention, and are left as they are. What stands in the frame before and behind the image is left
/// off: padding, and the second one of two images (the other field of an interlaced picture). Nothing is decoded: whether the picture's bits are
/// right is not looked at.
///
/// # Errors
///
/// [`Malformed`] when there is no whole image in the frame.
///
/// ```
/// use sdvr_decode::jpeg::{Malformed, with_huffman_tables};
///
/// // A frame that was damaged on its way from the webcam is left out.
/// assert_eq!(with_huffman_tables(b"no image"), Err(Malformed::NoImage));
/// ```
pub fn with_huffman_tables(frame: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let image = from_start_of_image(frame)?;
    let mut segments = Segments::new(image);
    let mut coding = None;
    let mut defined = TableSet::default();
    // What goes before image[copied..].
    let (mut mended, mut copied) = (Vec::new(), 0);
    let mut has_scan = false;
    loop {
        let segment = segments.next()?;
        match segment.marker {
            DEFINE_HUFFMAN_TABLES => defined.add(TableSet::defined_by(&segment)?),
            START_OF_SCAN => {
                let needed = TableSet::needed_by(&segment)?;
                if coding.ok_or(Malformed::NoPicture)? == Coding::Baseline {
                    let missing = defined.missing(needed);
                    if !missing.is_empty() {
                        mended.extend_from_slice(image.get(copied..segment.at).unwrap_or_default());
                        missing.write_segment(&mut mended);
                        copied = segment.at;
                        defined.add(missing);
                    }
                }
                has_scan = true;
                segments.skip_entropy_coded();
            }
            END_OF_IMAGE if !has_scan => return Err(Malformed::NoPicture),
            END_OF_IMAGE => {
                let rest = image.get(copied..segments.at).unwrap_or_default();
                if mended.is_empty() {
                    return Ok(Cow::Borrowed(rest));
                }
                mended.extend_from_slice(rest);
                return Ok(Cow::Owned(mended));
            }
            marker => coding = Coding::of(marker, segment.content).or(coding),
        }
    }
}

/// The frame without what stands before its image.
fn from_start_of_image(frame: &[u8]) -> Result<&[u8], Malformed> {
    let begin = frame
        .windows(START_OF_IMAGE.len())
        .take(PADDING_MOST_BYTES)
        .position(|bytes| bytes == START_OF_IMAGE)
        .ok_or(Malformed::NoImage)?;
    frame.get(begin..).ok_or(Malformed::NoImage)
}

/// How a picture's bits are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Sequential, Huffman, 8 bits a sample: what the standard tables are made for.
    Baseline,
    Other,
}

impl Coding {
    /// What a segment says, if it is a frame header: annex B.2.2, table B.1.
    fn of(marker: u8, content: &[u8]) -> Option<Self> {
        match marker {
            0xc0 | 0xc1 if content.first() == Some(&8) => Some(Self::Baseline),
            // C8 is reserved, CC defines conditionings.
            0xc0..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => Some(Self::Other),
            _ => None,
        }
    }
}

/// A marker and what belongs to it.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    marker: u8,
    /// Where the marker is.
    at: usize,
    /// Without the length; empty for a marker that stands alone.
    content: &'a [u8],
}

impl Segment<'_> {
    const fn damaged(&self) -> Malformed {
        Malformed::Segment {
            marker: self.marker,
            at: self.at,
        }
    }
}

/// Goes over an image from one marker to the next.
#[derive(Debug)]
struct Segments<'a> {
    image: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    const fn new(image: &'a [u8]) -> Self {
        let at = START_OF_IMAGE.len();
        Self { image, at }
    }

    fn next(&mut self) -> Result<Segment<'a>, Malformed> {
        let at = self.at;
        let truncated = Malformed::Truncated {
            bytes: self.image.len(),
        };
        let rest = self.image.get(at..).ok_or(truncated)?;
        // Any number of FF bytes may stand before a marker's code.
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        let (&marker, rest) = rest
            .get(fill..)
            .and_then(<[u8]>::split_first)
            .ok_or(truncated)?;
        if fill == 0 {
            return Err(Malformed::NoMarker { at });
        }
        let mut segment = Segment {
            marker,
            at,
            content: &[],
        };
        let begin = at.saturating_add(fill).saturating_add(1);
        match marker {
            0x01 | 0xd0..=0xd7 | END_OF_IMAGE => self.at = begin,
            // A second image begins where this one has not ended.
            0xd8 => return Err(Malformed::Truncated { bytes: at }),
            0x00 | 0x02..=0xbf => return Err(segment.damaged()),
            _ => {
                let (&length, _) = rest.split_first_chunk().ok_or(truncated)?;
                let length = usize::from(u16::from_be_bytes(length));
                let whole = rest.get(..length).ok_or(truncated)?;
                segment.content = whole.get(2..).ok_or_else(|| segment.damaged())?;
                self.at = begin.saturating_add(length);
            }
        }
        Ok(segment)
    }

    /// Goes to the marker behind entropy-coded data, in which an FF byte is followed by 00 or belongs to a restart marker.
    fn skip_entropy_coded(&mut self) {
        let rest = self.image.get(self.at..).unwrap_or_default();
        let length = memchr::memchr_iter(0xff, rest)
            .find(|at| {
                let code = rest.get(at.saturating_add(1));
                code.is_some_and(|code| !matches!(code, 0x00 | 0xd0..=0xd7 | 0xff))
            })
            .unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
    }
}

/// Some of the eight Huffman tables that an image can have at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TableSet {
    /// Bit 4 × class + number.
    bits: u8,
}

impl TableSet {
    /// The table of a class and number, as one byte; `None` when there is none.
    fn of(class_and_number: u8) -> Option<Self> {
        let (class, number) = (class_and_number >> 4, class_and_number & 15);
        (class <= 1 && number <= 3).then(|| Self {
            bits: 1 << (4 * class + number),
        })
    }

    fn standard() -> Self {
        let mut all = Self::default();
        for table in &STANDARD_TABLES {
            all.add(Self::of(table.class_and_number).unwrap_or_default());
        }
        all
    }

    /// The tables in a DHT segment: annex B.2.4.2.
    fn defined_by(segment: &Segment<'_>) -> Result<Self, Malformed> {
        let mut defined = Self::default();
        let mut rest = segment.content;
        while let Some((&class_and_number, tables)) = rest.split_first() {
            let table = Self::of(class_and_number).ok_or_else(|| segment.damaged())?;
            let (counts, values) = tables
                .split_first_chunk::<16>()
                .ok_or_else(|| segment.damaged())?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            rest = values.get(count..).ok_or_else(|| segment.damaged())?;
            defined.add(table);
        }
        Ok(defined)
    }

    /// The tables that a scan's header names: annex B.2.3.
    fn needed_by(scan: &Segment<'_>) -> Result<Self, Malformed> {
        let (&count, rest) = scan.content.split_first().ok_or_else(|| scan.damaged())?;
        let components = rest
            .get(..2 * usize::from(count))
            .filter(|_| (1..=4).contains(&count))
            .ok_or_else(|| scan.damaged())?;
        let mut needed = Self::default();
        for tables in components.iter().skip(1).step_by(2) {
            for class_and_number in [tables >> 4, 0x10 | tables & 15] {
                needed.add(Self::of(class_and_number).ok_or_else(|| scan.damaged())?);
            }
        }
        Ok(needed)
    }

    /// The standard tables that must be added for a scan; all of them where none was ever defined, for the scans that follow.
    fn missing(self, needed: Self) -> Self {
        let missing = needed.bits & !self.bits & Self::standard().bits;
        if missing != 0 && self.is_empty() {
            return Self::standard();
        }
        Self { bits: missing }
    }

    const fn is_empty(self) -> bool {
        self.bits == 0
    }

    const fn add(&mut self, other: Self) {
        self.bits |= other.bits;
    }

    const fn contains(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }

    /// Writes a DHT segment with the standard tables of this set.
    fn write_segment(self, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        for table in &STANDARD_TABLES {
            if Self::of(table.class_and_number).is_some_and(|own| self.contains(own)) {
                content.push(table.class_and_number);
                content.extend_from_slice(&table.code_counts);
                content.extend_from_slice(table.values);
            }
        }
        let length = u16::try_from(content.len().saturating_add(2))
            .expect("all four tables together have 416 bytes");
        out.extend_from_slice(&[0xff, DEFINE_HUFFMAN_TABLES]);
        out.extend_from_slice(&length.to_be_bytes());
        out.append(&mut content);
    }
}

#[cfg(test)]
mod tests;
