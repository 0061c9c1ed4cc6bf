//! Where decoding can begin: what the driver does not say is found in the bitstream.

use sdvr_frame::{FourCc, FrameFlags};

use super::abi;
use crate::splitter::AnnexB;

/// Tells key frames of one stream.
#[derive(Debug)]
pub(crate) enum KeyFinder {
    /// Every frame is whole.
    Always,
    /// In the bitstream; the driver's word is not needed.
    Bitstream(Box<AnnexB>),
    /// Only the driver knows.
    Driver,
}

impl KeyFinder {
    pub(crate) fn new(fourcc: FourCc, is_compressed: bool) -> Self {
        match fourcc {
            FourCc::H264 => Self::Bitstream(Box::new(AnnexB::h264())),
            FourCc::HEVC => Self::Bitstream(Box::new(AnnexB::h265())),
            FourCc::MJPG => Self::Always,
            _ if is_compressed => Self::Driver,
            _ => Self::Always,
        }
    }

    /// The flags of a frame, of which the driver says `buffer_flags`.
    pub(crate) fn flags(&mut self, payload: &[u8], buffer_flags: u32) -> FrameFlags {
        match self {
            Self::Always => FrameFlags::KEY,
            Self::Driver => {
                let needs_others = abi::BUFFER_P_FRAME | abi::BUFFER_B_FRAME;
                if buffer_flags & abi::BUFFER_KEY_FRAME != 0 || buffer_flags & needs_others == 0 {
                    FrameFlags::KEY
                } else {
                    FrameFlags::NONE
                }
            }
            Self::Bitstream(annex_b) => {
                annex_b.restart();
                match annex_b.next_frame(payload, true) {
                    Ok(Some(end)) => end.flags,
                    // Parameter sets alone, or nothing that is known: no picture to begin with.
                    Ok(None) | Err(_) => FrameFlags::NONE,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_found_in_the_bitstream() {
        let mut finder = KeyFinder::new(FourCc::H264, true);
        let idr = [0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x65, 0x88, 0x80, 0x10];
        let other = [0, 0, 0, 1, 0x41, 0x9a, 0x24, 0x6c];
        for _ in 0..2 {
            assert!(finder.flags(&idr, 0).contains(FrameFlags::KEY));
            // The driver's word does not count.
            let flags = finder.flags(&other, abi::BUFFER_KEY_FRAME);
            assert!(!flags.contains(FrameFlags::KEY));
            assert_eq!(finder.flags(&[], 0), FrameFlags::NONE);
            assert_eq!(finder.flags(&[1; 5000], 0), FrameFlags::NONE);
        }
        let mut finder = KeyFinder::new(FourCc::HEVC, true);
        let idr = [0, 0, 0, 1, 0x26, 0x01, 0xaf, 0x08, 0x40];
        assert!(finder.flags(&idr, 0).contains(FrameFlags::KEY));
    }

    #[test]
    fn whole_pictures_are_key_frames() {
        let mut jpeg = KeyFinder::new(FourCc::MJPG, true);
        let mut raw = KeyFinder::new(FourCc(*b"RGB3"), false);
        assert_eq!(jpeg.flags(&[], abi::BUFFER_P_FRAME), FrameFlags::KEY);
        assert_eq!(raw.flags(&[], 0), FrameFlags::KEY);
    }

    #[test]
    fn of_other_bitstreams_the_driver_tells() {
        let mut finder = KeyFinder::new(FourCc(*b"VP80"), true);
        assert_eq!(finder.flags(&[], abi::BUFFER_KEY_FRAME), FrameFlags::KEY);
        assert_eq!(finder.flags(&[], abi::BUFFER_P_FRAME), FrameFlags::NONE);
    }
}
