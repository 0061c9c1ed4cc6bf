//! Samples made into frames: what a decoder can be given one after the other, from any key frame on.

use sdvr_frame::{FourCc, FrameFlags};

use super::av1::TemporalUnits;
use super::nal::NalUnits;
use super::{Codec, ContainerError, Track};

/// Makes frames of a track's samples.
#[derive(Debug)]
pub(crate) struct Frames {
    codec: Codec,
    kind: Kind,
    /// What each description's samples begin with and do not have.
    stripped: Vec<Vec<u8>>,
    /// A sample with what was stripped off it.
    whole: Vec<u8>,
    size: (u32, u32),
}

#[derive(Debug)]
enum Kind {
    NalUnits(Box<NalUnits>),
    TemporalUnits(TemporalUnits),
    Vp8,
    Vp9,
    Jpeg,
    /// Pixels: so many bytes at the least.
    Raw {
        least_bytes: u64,
    },
}

impl Frames {
    /// # Errors
    ///
    /// What the track says of its codec is none of it.
    pub(crate) fn new(track: &Track) -> Result<Self, ContainerError> {
        let Some(first) = track.descriptions.first() else {
            return Err(ContainerError::NoVideo);
        };
        let records = track.descriptions.iter().map(|one| one.record.as_slice());
        let kind = match first.codec {
            Codec::H264 | Codec::H265 => {
                Kind::NalUnits(Box::new(NalUnits::new(first.codec, records)?))
            }
            Codec::Av1 => Kind::TemporalUnits(TemporalUnits::new(&first.record)?),
            Codec::Vp8 => Kind::Vp8,
            Codec::Vp9 => Kind::Vp9,
            Codec::Jpeg => Kind::Jpeg,
            Codec::Raw(fourcc) => Kind::Raw {
                least_bytes: raw_bytes(fourcc, track)?,
            },
        };
        let stripped = track.descriptions.iter().map(|one| one.stripped.clone());
        Ok(Self {
            codec: first.codec,
            kind,
            stripped: stripped.collect(),
            whole: Vec::new(),
            size: (track.width, track.height),
        })
    }

    pub(crate) const fn codec(&self) -> Codec {
        self.codec
    }

    /// Pixels across and down, as the bitstream tells, or else the container.
    pub(crate) fn size(&self) -> (u32, u32) {
        match &self.kind {
            Kind::NalUnits(units) => units.size().unwrap_or(self.size),
            _ => self.size,
        }
    }

    /// How long every frame is, if it is pixels.
    pub(crate) fn frame_bytes(&self) -> Option<usize> {
        match self.kind {
            Kind::Raw { least_bytes } => usize::try_from(least_bytes).ok(),
            _ => None,
        }
    }

    /// Puts the frame that a sample is into `frame`, in place of what is there.
    pub(crate) fn make(
        &mut self,
        sample: &[u8],
        description: usize,
        frame: &mut Vec<u8>,
    ) -> Result<FrameFlags, ContainerError> {
        frame.clear();
        let sample = match self.stripped.get(description) {
            Some(stripped) if !stripped.is_empty() => {
                self.whole.clear();
                self.whole.extend_from_slice(stripped);
                self.whole.extend_from_slice(sample);
                &self.whole
            }
            _ => sample,
        };
        let is_key = match &mut self.kind {
            Kind::NalUnits(units) => return units.append(sample, description, frame),
            Kind::TemporalUnits(units) => return units.append(sample, frame),
            Kind::Vp8 => is_vp8_key(sample),
            Kind::Vp9 => is_vp9_key(sample),
            Kind::Jpeg if !sample.starts_with(&[0xff, 0xd8]) => {
                return Err(ContainerError::Malformed(
                    "a sample of its MJPEG track is no JPEG image",
                ));
            }
            Kind::Jpeg => true,
            Kind::Raw { least_bytes } if (sample.len() as u64) < *least_bytes => {
                return Err(ContainerError::Malformed(
                    "a frame of its uncompressed track is shorter than its size and format make it",
                ));
            }
            // Rows behind the picture, as some devices add, are as little in the way as with a camera.
            Kind::Raw { .. } => true,
        };
        frame.extend_from_slice(sample);
        Ok(if is_key {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        })
    }
}

/// How long a frame of a track of pixels is.
fn raw_bytes(fourcc: FourCc, track: &Track) -> Result<u64, ContainerError> {
    fourcc
        .raw_frame_bytes(track.width, track.height)
        .filter(|&bytes| bytes > 0)
        .ok_or(ContainerError::Malformed(
            "its uncompressed track does not say how large its pictures are",
        ))
}

/// Whether a frame of VP8, VP9 or AV1 that begins so is a key frame. Encoders put a sequence header before each one of AV1.
pub(super) fn begins_key(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => is_vp8_key(frame),
        Codec::Vp9 => is_vp9_key(frame),
        Codec::Av1 => super::av1::begins_with_sequence(frame),
        Codec::H264 | Codec::H265 => false,
        Codec::Jpeg | Codec::Raw(_) => true,
    }
}

fn is_vp8_key(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 0)
}

/// VP9, 6.2: a marker (2 bits, 10), the profile (2), of profile 3 a zero; `show_existing_frame`, `frame_type` (0 of a key frame). The first frame of
/// a superframe is looked at.
fn is_vp9_key(frame: &[u8]) -> bool {
    let Some(&first) = frame.first() else {
        return false;
    };
    let facts = match first >> 4 {
        0b1011 => first << 1,
        marker if marker >> 2 == 0b10 => first,
        _ => return false,
    };
    facts & 0b1100 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_of_vp9_are_told_in_every_profile() {
        for (first, is_key) in [
            (0b1000_0010, true),
            (0b1000_0110, false),
            (0b1000_1010, false),
            (0b1001_0010, true),
            (0b1010_0110, false),
            (0b1011_0001, true),
            (0b1011_0011, false),
            (0b0100_0010, false),
        ] {
            assert_eq!(is_vp9_key(&[first, 0]), is_key, "{first:08b}");
        }
        assert!(!is_vp9_key(&[]));
    }
}
