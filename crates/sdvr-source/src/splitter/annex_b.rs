//! H.264 and H.265 with start codes (annex B of either), cut into access units.
//!
//! An access unit ends where the next begins: at the first of certain NAL units after its last slice (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4). So a frame
//! is complete only when the next one begins, or the stream ends: over a pipe that is one frame later, whatever one does; the first bytes
//! of a delimiter or parameter set are enough. Its capture time is still that of its own last byte. The two fields of an interlaced
//! picture are one frame (`field.rs`).
//!
//! Decoding can begin at IDR pictures of H.264, at IRAP pictures of H.265 (IDR, CRA, BLA), and in both at a recovery point: the message that marks
//! open groups of pictures and the first picture of an intra refresh. "When the decoding process is started with the access unit in
//! decoding order associated with the recovery point SEI message", pictures are right from the recovery point on (H.264, D.2.8; H.265, D.3.8), whatever its
//! `recovery_frame_cnt`; before it they mend from one to the next. So a count above 0 is a key frame too: a stream that only ever refreshes in
//! stripes would else have none, and whoever waits for one would wait for ever. An I picture without the message is none: what
//! follows it may need what was before it. ffmpeg decides likewise, except that it does not look at the recovery points of H.265.

use memchr::memmem::Finder;
use sdvr_frame::{FourCc, FrameFlags, h264, h265};

use super::field::{FieldSyntax, Fields, SLICE_HEAD_BYTES};
use super::{FrameEnd, SplitError, sei};

/// Bytes before the first start code of a stream: zeros, or the rest of a NAL unit whose beginning was missed.
const LEAD_MOST_BYTES: usize = 1024;
/// A parameter set is shorter, and so is what stands before a slice.
const SPS_MOST_BYTES: usize = 1024;
/// What stands between two fields of a picture is shorter.
const BETWEEN_FIELDS_MOST_BYTES: usize = 4096;
/// Of a NAL unit, the header and the first byte of a slice are needed to tell what it is.
const NAL_HEAD_BYTES: usize = 3;

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
    /// H.264: how slices speak of fields, if the stream may have some.
    field_syntax: Option<FieldSyntax>,
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
    /// Where the SEI is that was found last and whose end was not.
    open_sei: Option<usize>,
    fields: Fields,
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
    Prefix(Prefix),
    /// Belongs to the slice that follows it, which need not be the first of its picture (H.264 with layers: annex F, G).
    SlicePrefix,
    /// Belongs to the picture before it.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    Sps,
    Sei,
    Other,
}

impl AnnexB {
    pub(crate) fn h264() -> Self {
        Self::new(Codec::H264)
    }

    pub(crate) fn h265() -> Self {
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
            field_syntax: None,
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
            // IRAP pictures, where the parameter sets come another way. As H.264: types that begin no stream, an SEI unit with nal_ref_idc 1,
            // which 7.4.1 forbids, or a parameter set numbered 127 or more.
            [0x20 | 0x22 | 0x24 | 0x26 | 0x28 | 0x2a, 0x01] => Some(Self::h265()),
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

    pub(crate) const fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    pub(crate) fn restart(&mut self) {
        (self.at, self.unit) = (0, Unit::default());
    }

    pub(crate) fn next_frame(
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
            // An end makes do with less.
            if nal.len() < self.head_bytes() && !is_end {
                self.at = code;
                return Ok(None);
            }
            self.close_sei(buffer, code);
            let mut nal_kind = self.classify(nal);
            if nal_kind == Nal::SlicePrefix && self.unit.has_slice {
                let Some(following) = self.following(nal, is_end) else {
                    self.at = code;
                    return Ok(None);
                };
                nal_kind = following;
            }
            if self.unit.has_slice && begins_unit(nal_kind) {
                match self.goes_on_with_other_field(buffer, code, is_end) {
                    Some(true) => self.unit.fields = Fields::AwaitsOther,
                    Some(false) => return Ok(Some(self.finish(boundary(buffer, code)))),
                    None => {
                        self.at = code;
                        return Ok(None);
                    }
                }
            }
            if nal_kind == Nal::Prefix(Prefix::Sps) && !self.handle_sps(nal, is_end) {
                self.at = code;
                return Ok(None);
            }
            self.at = code.saturating_add(3);
            self.note(nal_kind, nal);
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

    /// Notes a NAL unit that belongs to the unit looked at, and begins at `self.at`.
    fn note(&mut self, kind: Nal, nal: &[u8]) {
        self.unit.has_nal = true;
        match kind {
            Nal::Slice {
                is_first,
                is_random_access,
                is_reference,
            } => {
                if !self.unit.has_slice && is_first {
                    let field = self.field_syntax.and_then(|syntax| syntax.parse_slice(nal));
                    self.unit.fields = field.map_or(Fields::Whole, Fields::One);
                } else if self.unit.fields == Fields::AwaitsOther {
                    self.unit.fields = Fields::Whole;
                }
                self.unit.has_slice = true;
                self.unit.has_random_access |= is_random_access;
                self.unit.has_reference |= is_reference;
            }
            Nal::Prefix(Prefix::Sei) => self.unit.open_sei = Some(self.at),
            Nal::Prefix(_) | Nal::SlicePrefix | Nal::Other => {}
        }
    }

    /// Reads the messages of the SEI that ends before the start code at `code`.
    fn close_sei(&mut self, buffer: &[u8], code: usize) {
        let header_bytes = match self.codec {
            Codec::H264 => 1,
            Codec::H265 => 2,
        };
        if let Some(at) = self.unit.open_sei.take()
            && let Some(messages) = buffer.get(at.saturating_add(header_bytes)..code)
            && sei::has_recovery_point(messages)
        {
            self.unit.has_random_access = true;
        }
    }

    /// How much of a NAL unit is needed to tell what it is.
    const fn head_bytes(&self) -> usize {
        match self.field_syntax {
            Some(_) => SLICE_HEAD_BYTES,
            None => NAL_HEAD_BYTES,
        }
    }

    /// Whether the picture that begins at `code` is the other field of the unit's; `None` when not enough of it has come.
    fn goes_on_with_other_field(&self, buffer: &[u8], code: usize, is_end: bool) -> Option<bool> {
        let (first, syntax) = match (self.unit.fields, self.field_syntax) {
            (Fields::One(first), Some(syntax)) => (first, syntax),
            (Fields::AwaitsOther, _) => return Some(true),
            (Fields::One(_) | Fields::Whole, _) => return Some(false),
        };
        let rest = buffer.get(code..).unwrap_or_default();
        let near = rest.get(..BETWEEN_FIELDS_MOST_BYTES).unwrap_or(rest);
        let is_all = is_end || near.len() == BETWEEN_FIELDS_MOST_BYTES;
        let mut at = 0;
        loop {
            let found = near.get(at..).and_then(|rest| self.finder.find(rest));
            let Some(found) = found else {
                return is_all.then_some(false);
            };
            at = at.saturating_add(found).saturating_add(3);
            let nal = near.get(at..).unwrap_or_default();
            if nal.len() < SLICE_HEAD_BYTES && !is_all {
                return None;
            }
            match self.classify(nal) {
                Nal::Slice { is_first: true, .. } => {
                    let next = syntax.parse_slice(nal);
                    return Some(next.is_some_and(|next| first.is_completed_by(next)));
                }
                Nal::Prefix(Prefix::Sei | Prefix::Other) | Nal::SlicePrefix => {}
                Nal::Prefix(Prefix::Sps) | Nal::Slice { .. } | Nal::Other => return Some(false),
            }
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
                6 => Nal::Prefix(Prefix::Sei),
                7 => Nal::Prefix(Prefix::Sps),
                8 | 9 | 15..=18 => Nal::Prefix(Prefix::Other),
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
                    33 if layer == 0 => Nal::Prefix(Prefix::Sps),
                    39 if layer == 0 => Nal::Prefix(Prefix::Sei),
                    32 | 34 | 35 | 41..=44 | 48..=55 if layer == 0 => Nal::Prefix(Prefix::Other),
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
            Codec::H264 => {
                let sequence = h264::SequenceParameters::parse(sps);
                if let Some(sequence) = &sequence {
                    self.field_syntax = FieldSyntax::of(sequence);
                }
                sequence.map(|sequence| (sequence.width, sequence.height))
            }
            Codec::H265 => h265::SequenceParameters::parse(sps)
                .map(|sequence| (sequence.width, sequence.height)),
        };
        // What does not parse, or to no size, says nothing new.
        self.size = size.filter(is_plausible).or(self.size);
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
            _ => Some(Nal::Prefix(Prefix::Other)),
        }
    }
}

fn is_plausible((width, height): &(u32, u32)) -> bool {
    (1..=32_768).contains(width) && (1..=32_768).contains(height)
}

const fn begins_unit(nal: Nal) -> bool {
    match nal {
        Nal::Slice { is_first, .. } => is_first,
        Nal::Prefix(_) | Nal::SlicePrefix => true,
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
