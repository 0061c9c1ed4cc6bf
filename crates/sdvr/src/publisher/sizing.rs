//! How large the ring of a published stream is.

use sdvr_frame::{FourCc, StreamKind};
use sdvr_ring::FRAME_MOST_BYTES;

use super::{PublishError, PublishOptions};

/// Uncompressed frames are kept by their number: a ring that fits the cache makes readers cheaper.
const RAW_FRAMES: u64 = 8;
/// Others for so long.
const KEPT_SECONDS: u64 = 2;
/// Where frames have no rate, they are taken to come so often.
const UNPACED_RATE: u64 = 30;
const FRAMES_LEAST: u64 = 8;
const FRAMES_MOST: u64 = 4096;
/// Of the longest frames, as many fit at the beginning; so many always: one that is written, one that is read, and two between.
const LONGEST_FRAMES: u64 = 8;
const LONGEST_FRAMES_LEAST: u64 = 4;
/// A usual frame of those that vary in length is so many times shorter than the longest.
const USUAL_PART: u64 = 4;
/// A JPEG image has rarely more than a byte for so many pixels, ...
const PIXELS_A_BYTE: u64 = 4;
/// ... and what is small has more for headers and tables.
const CODED_LEAST_BYTES: u64 = 64 << 10;
const METADATA_BYTES: u64 = 16 << 10;
const FRAME_ALIGNMENT: u64 = 64;
const SLOTS_LEAST: u64 = 64;
const SLOTS_MOST: u64 = 1 << 16;

/// The sizes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingSize {
    /// Frames it can hold at most.
    pub(super) slots: u32,
    /// Bytes for frames, a power of two.
    pub(super) data_bytes: u64,
}

impl RingSize {
    /// For a stream whose frames are as long as `options` says, or tell by their format.
    pub(super) fn of(options: &PublishOptions) -> Result<Self, PublishError> {
        let longest = options
            .frame_most_bytes
            .unwrap_or_else(|| usual_longest(options));
        if longest > FRAME_MOST_BYTES {
            return Err(PublishError::TooLarge { bytes: longest });
        }
        let longest = place_of(longest);
        let frames = frames(options);
        let bytes = if options.format.fourcc.is_raw() {
            longest.checked_mul(frames)
        } else {
            let of_usual = place_of(longest / USUAL_PART).checked_mul(frames);
            of_usual.map(|bytes| bytes.max(longest * frames.min(LONGEST_FRAMES)))
        };
        let data_bytes = bytes
            .and_then(u64::checked_next_power_of_two)
            .ok_or(PublishError::TooLarge { bytes: u64::MAX })?;
        // Frames may be shorter than was thought, and then more fit.
        let slots = frames
            .saturating_mul(USUAL_PART)
            .clamp(SLOTS_LEAST, SLOTS_MOST);
        Ok(Self {
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            data_bytes,
        })
    }

    /// The size that is needed for a frame of so many bytes, if this one is not enough.
    pub(super) fn for_frame(
        self,
        options: &PublishOptions,
        bytes: u64,
    ) -> Result<Option<Self>, PublishError> {
        if bytes == 0 {
            return Err(PublishError::Empty);
        }
        if bytes > FRAME_MOST_BYTES {
            return Err(PublishError::TooLarge { bytes });
        }
        let needed = place_of(bytes) * frames(options).min(LONGEST_FRAMES_LEAST);
        Ok((needed > self.data_bytes).then(|| Self {
            data_bytes: needed.next_power_of_two(),
            ..self
        }))
    }
}

const fn place_of(bytes: u64) -> u64 {
    let bytes = if bytes == 0 { 1 } else { bytes };
    bytes.next_multiple_of(FRAME_ALIGNMENT)
}

fn frames(options: &PublishOptions) -> u64 {
    if let Some(frames) = options.frames {
        return u64::from(frames).max(1);
    }
    if options.format.fourcc.is_raw() {
        return RAW_FRAMES;
    }
    let rate = options.format.rate;
    let a_second = match rate.numerator {
        0 => UNPACED_RATE,
        numerator => u64::from(numerator).div_ceil(rate.denominator.max(1).into()),
    };
    (a_second * KEPT_SECONDS).clamp(FRAMES_LEAST, FRAMES_MOST)
}

/// How long frames are at most, as a rule.
fn usual_longest(options: &PublishOptions) -> u64 {
    let format = options.format;
    let pixels = u64::from(format.width) * u64::from(format.height);
    match options.kind {
        StreamKind::Metadata => METADATA_BYTES,
        _ if format.fourcc == FourCc::Y4M => pixels.saturating_mul(3).max(CODED_LEAST_BYTES),
        _ => format
            .fourcc
            .raw_frame_bytes(format.width, format.height)
            .unwrap_or_else(|| (pixels / PIXELS_A_BYTE).max(CODED_LEAST_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use sdvr_frame::{FrameRate, StreamFormat};

    use super::*;

    fn options(fourcc: FourCc, rate: u32) -> PublishOptions {
        PublishOptions::new(StreamFormat {
            fourcc,
            width: 1920,
            height: 1080,
            rate: FrameRate::from_whole(rate),
        })
    }

    fn kib(options: &PublishOptions) -> u64 {
        RingSize::of(options).unwrap().data_bytes >> 10
    }

    #[test]
    fn a_format_tells_how_much_is_kept() {
        assert_eq!(kib(&options(FourCc::NV12, 30)), 32 << 10);
        assert_eq!(kib(&options(FourCc::MJPG, 30)), 8 << 10);
        assert_eq!(kib(&options(FourCc::MJPG, 0)), 8 << 10);
        let json = PublishOptions::metadata(FourCc(*b"JSON"), FrameRate::from_whole(30));
        assert_eq!(kib(&json), 256);
        let few = PublishOptions {
            frames: Some(1),
            frame_most_bytes: Some(1 << 20),
            ..json
        };
        assert_eq!(kib(&few), 1 << 10);
    }

    #[test]
    fn a_ring_grows_before_a_frame_is_alone_in_it() {
        let options = PublishOptions {
            frames: Some(8),
            frame_most_bytes: Some(1024),
            ..options(FourCc::MJPG, 30)
        };
        let size = RingSize::of(&options).unwrap();
        assert_eq!(size.data_bytes, 8 << 10);
        assert_eq!(size.for_frame(&options, 2048).unwrap(), None);
        let larger = size.for_frame(&options, 2049).unwrap().unwrap();
        assert_eq!((larger.data_bytes, larger.slots), (16 << 10, size.slots));
        let largest = size.for_frame(&options, FRAME_MOST_BYTES).unwrap().unwrap();
        assert_eq!(largest.data_bytes, 1 << 30);
    }

    #[test]
    fn what_no_ring_can_hold_is_refused() {
        let mut options = options(FourCc::GREY, 30);
        let size = RingSize::of(&options).unwrap();
        let too_large = |result| matches!(result, Err(PublishError::TooLarge { .. }));
        assert!(too_large(
            size.for_frame(&options, FRAME_MOST_BYTES + 1).map(|_| ())
        ));
        assert!(matches!(
            size.for_frame(&options, 0),
            Err(PublishError::Empty)
        ));
        (options.format.width, options.format.height) = (u32::MAX, u32::MAX);
        assert!(too_large(RingSize::of(&options).map(|_| ())));
    }
}
