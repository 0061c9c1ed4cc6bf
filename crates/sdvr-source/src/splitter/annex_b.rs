//! H.264 and H.265 with start codes (annex B of either), cut into access units.
//!
//! An access unit ends where the next begins: at the first of certain NAL units after its last slice (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4). So a frame
//! is complete only when the next one begins, or the stream ends: over a pipe that is one frame later, whatever one does; the first bytes
//! of a delimiter or parameter set are enough. Its capture time is still that of its own last byte.

use memchr::memmem::Finder;
use sdvr_frame::{FourCc, FrameFlags};

use super::sps;
use super::{FrameEnd, SplitError};

/// Bytes before the first start code of a stream: zeros, or the rest of a NAL unit whose beginning was missed.
const LEAD_MOST_BYTES: usize = 1024;
/// A parameter set is shorter, and so is what stands before a slice.
const SPS_MOST_BYTES: usize = 1024;

/// Finds the ends of access units.
#[derive(Debug)]
pub struct AnnexB {
    codec: Codec,
    finder: Finder<'static>,
    at: usize,
    unit: Unit,
    size: Option<(u32, u32)>,
    /// H.265: the highest temporal sub-layer there can be, if a parameter set has told.
    highest_layer: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    H264,
    H265,
}

/// What is known of the access unit that is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Unit {
    has_nal: bool,
    has_slice: bool,
    has_random_access: bool,
    has_reference: bool,
}

/// What a NAL unit means for the cutting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nal {
    /// A piece of a picture.
    Slice {
        is_first: bool,
        is_random_access: bool,
        is_reference: bool,
    },
    /// Belongs to the picture that follows it.
    Prefix { is_sps: bool },
    /// Belongs to the slice that follows it, which need not be the first of its picture (H.264 with layers: annex F, G).
    SlicePrefix,
    /// Belongs to the picture before it.
    Other,
}

impl AnnexB {
    pub(super) fn h264() -> Self {
        Self::new(Codec::H264)
    }

    pub(super) fn h265() -> Self {
        Self::new(Codec::H265)
    }

    fn new(codec: Codec) -> Self {
        Self {
            codec,
            finder: Finder::new(&[0, 0, 1]),
            at: 0,
            unit: Unit::default(),
            size: None,
            highest_layer: None,
        }
    }

    /// The codec of a stream that begins like one.
    pub(super) fn detect(start: &[u8]) -> Option<Self> {
        let zeros = start.iter().take_while(|&&byte| byte == 0).count();
        let nal = start
            .get(zeros..)?
            .strip_prefix(&[1])
            .filter(|_| zeros >= 2)?;
        match *nal.first_chunk::<2>()? {
            // VPS, SPS, PPS, delimiter or SEI of H.265, layer 0, temporal id 0. As H.264 these would be types that begin no stream.
            [0x40 | 0x42 | 0x44 | 0x46 | 0x4e, 0x01] => Some(Self::h265()),
            // Not forbidden, and a type that begins a stream of H.264: slice, IDR, SEI, SPS, PPS, delimiter.
            [first, _] if first & 0x80 == 0 && matches!(first & 0x1f, 1 | 5 | 6 | 7 | 8 | 9) => {
                Some(Self::h264())
            }
            _ => None,
        }
    }

    pub(super) const fn fourcc(&self) -> FourCc {
        match self.codec {
            Codec::H264 => FourCc::H264,
            Codec::H265 => FourCc::HEVC,
        }
    }

    pub(super) const fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    pub(super) fn restart(&mut self) {
        (self.at, self.unit) = (0, Unit::default());
    }

    pub(super) fn next_frame(
        &mut self,
        buffer: &[u8],
        is_end: bool,
    ) -> Result<Option<FrameEnd>, SplitError> {
        loop {
            let Some(found) = buffer
                .get(self.at..)
                .and_then(|rest| self.finder.find(rest))
            else {
                // The last two bytes may be the beginning of a start code.
                self.at = self.at.max(buffer.len().saturating_sub(2));
                self.check_lead(self.at)?;
                break;
            };
            let code = self.at.saturating_add(found);
            self.check_lead(code)?;
            let nal = buffer.get(code.saturating_add(3)..).unwrap_or_default();
            // The header and the first byte of a slice are needed to tell; an end makes do with less.
            if nal.len() < 3 && !is_end {
                self.at = code;
                return Ok(None);
            }
            let mut nal_kind = self.classify(nal);
            if nal_kind == Nal::SlicePrefix && self.unit.has_slice {
                let Some(following) = self.following(nal, is_end) else {
                    self.at = code;
                    return Ok(None);
                };
                nal_kind = following;
            }
            if self.unit.has_slice && begins_unit(nal_kind) {
                return Ok(Some(self.finish(boundary(buffer, code))));
            }
            if matches!(nal_kind, Nal::Prefix { is_sps: true }) && !self.handle_sps(nal, is_end) {
                self.at = code;
                return Ok(None);
            }
            self.note(nal_kind);
            self.at = code.saturating_add(3);
        }
        if is_end && self.unit.has_slice {
            Ok(Some(self.finish(buffer.len())))
        } else {
            Ok(None)
        }
    }

    /// Checks that the first start code of a unit is not too far from its start.
    const fn check_lead(&self, bytes: usize) -> Result<(), SplitError> {
        if !self.unit.has_nal && bytes > LEAD_MOST_BYTES {
            return Err(SplitError::NoStartCode);
        }
        Ok(())
    }

    fn finish(&mut self, consumed: usize) -> FrameEnd {
        let unit = std::mem::take(&mut self.unit);
        self.at = 0;
        let key = if unit.has_random_access {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        };
        let discardable = if unit.has_reference {
            FrameFlags::NONE
        } else {
            FrameFlags::DISCARDABLE
        };
        FrameEnd::whole(consumed, key | discardable)
    }

    fn note(&mut self, nal: Nal) {
        self.unit.has_nal = true;
        if let Nal::Slice {
            is_random_access,
            is_reference,
            ..
        } = nal
        {
            self.unit.has_slice = true;
            self.unit.has_random_access |= is_random_access;
            self.unit.has_reference |= is_reference;
        }
    }

    fn classify(&self, nal: &[u8]) -> Nal {
        let first = nal.first().copied().unwrap_or(0);
        let second = nal.get(1).copied().unwrap_or(0);
        match self.codec {
            Codec::H264 => match first & 0x1f {
                kind @ (1 | 2 | 5) => Nal::Slice {
                    // first_mb_in_slice is 0: the one-bit Exp-Golomb code.
                    is_first: second & 0x80 != 0,
                    is_random_access: kind == 5,
                    is_reference: first & 0x60 != 0,
                },
                14 => Nal::SlicePrefix,
                6..=9 | 15..=18 => Nal::Prefix {
                    is_sps: first & 0x1f == 7,
                },
                _ => Nal::Other,
            },
            Codec::H265 => {
                let layer = (first & 1) << 5 | second >> 3;
                match first >> 1 & 0x3f {
                    kind @ (0..=9 | 16..=21) if layer == 0 => Nal::Slice {
                        is_first: nal.get(2).is_some_and(|byte| byte & 0x80 != 0),
                        is_random_access: kind >= 16,
                        // Pictures of an even type below 16 are no reference within their temporal sub-layer (7.4.2.2); those of a
                        // higher one may still need them.
                        is_reference: kind >= 16
                            || kind % 2 == 1
                            || self.highest_layer != Some((second & 7).saturating_sub(1)),
                    },
                    kind @ (32..=35 | 39 | 41..=44 | 48..=55) if layer == 0 => {
                        Nal::Prefix { is_sps: kind == 33 }
                    }
                    _ => Nal::Other,
                }
            }
        }
    }

    /// Reads the size out of a sequence parameter set; false when not all of it has come.
    fn handle_sps(&mut self, nal: &[u8], is_end: bool) -> bool {
        let end = self.finder.find(nal);
        if end.is_none() && !is_end && nal.len() < SPS_MOST_BYTES {
            return false;
        }
        let sps = nal
            .get(..end.unwrap_or(nal.len()).min(SPS_MOST_BYTES))
            .unwrap_or(nal);
        let size = match self.codec {
            Codec::H264 => sps::h264_size(sps),
            Codec::H265 => sps::h265_size(sps),
        };
        self.size = size.or(self.size);
        if self.codec == Codec::H265 {
            // Behind the two bytes of the header: four bits of the video parameter set's id, then sps_max_sub_layers_minus1.
            self.highest_layer = sps.get(2).map(|byte| byte >> 1 & 7);
        }
        true
    }

    /// What the NAL unit after a slice's prefix makes of that; `None` when it has not come.
    fn following(&self, prefix: &[u8], is_end: bool) -> Option<Nal> {
        let near = prefix.get(..SPS_MOST_BYTES).unwrap_or(prefix);
        let found = self.finder.find(near).map(|code| code.saturating_add(3));
        let following = found.and_then(|at| prefix.get(at..)).unwrap_or_default();
        let is_there = following.len() >= 3 || found.is_none() && prefix.len() >= SPS_MOST_BYTES;
        if !is_there && !is_end {
            return None;
        }
        // Only what goes on with the same picture does not begin another.
        match self.classify(following) {
            Nal::Slice {
                is_first: false, ..
            } if !following.is_empty() => Some(Nal::Other),
            _ => Some(Nal::Prefix { is_sps: false }),
        }
    }
}

const fn begins_unit(nal: Nal) -> bool {
    match nal {
        Nal::Slice { is_first, .. } => is_first,
        Nal::Prefix { .. } | Nal::SlicePrefix => true,
        Nal::Other => false,
    }
}

/// Where the unit of the start code at `code` begins: a zero byte before it is part of it (`zero_byte`), more are the trailing
/// zeros of the unit before.
fn boundary(buffer: &[u8], code: usize) -> usize {
    match code.checked_sub(1) {
        Some(before) if buffer.get(before) == Some(&0) => before,
        _ => code,
    }
}
