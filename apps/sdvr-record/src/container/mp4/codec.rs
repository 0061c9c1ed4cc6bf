//! What decoders must know before the first frame, and frames as MP4 has them.
//!
//! Parameter sets stand in the head alone, as `avc1`, `hvc1` and `av01` have them, which all players take (Apple's take no others): those that a frame brings
//! are left out of it if the head has them. All else of a frame is kept.

use mp4_atom::{Av01, Av1c, Avc1, Avcc, AvccExt, Decode, Hvc1, HvcCArray, Hvcc, Visual};
use sdvr_frame::FourCc;
use sdvr_frame::annex_b::units;
use sdvr_frame::bits::{Bits, without_emulation_prevention};

use super::super::NotRecordable;
use super::av1::{self, Obus};
use super::boxes::find;
use super::h265;
use super::nal::{self, START_CODE, Set, units_by_length};

/// More than these the lengths in files cannot tell.
const SET_MOST_BYTES: usize = 0xffff;
const SETS_MOST: usize = 31;

/// A codec, and what all frames of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// H.264 or H.265.
    Nal {
        fourcc: FourCc,
        /// In the order in which the key frame has them.
        sets: Vec<Vec<u8>>,
    },
    Av1 {
        /// An open bitstream unit.
        sequence: Vec<u8>,
    },
}

impl Codec {
    /// That of a stream with this key frame.
    pub(super) fn of(fourcc: FourCc, key_frame: &[u8]) -> Result<Self, NotRecordable> {
        if fourcc == FourCc::AV01 {
            let sequence = Obus::new(key_frame)
                .flatten()
                .find(|obu| obu.kind == av1::SEQUENCE_HEADER);
            let sequence =
                sequence.ok_or(NotRecordable::NoParameters(fourcc, "sequence header"))?;
            return Ok(Self::Av1 {
                sequence: sequence.whole.to_vec(),
            });
        }
        let mut sets: Vec<Vec<u8>> = Vec::new();
        for unit in units(key_frame).filter(|unit| nal::set(fourcc, unit).is_some()) {
            if !sets.iter().any(|set| set == unit) {
                sets.push(unit.to_vec());
            }
        }
        let count = |kind| of_kind(fourcc, &sets, kind).count();
        let wanted = [
            (Set::Video, "video parameter set"),
            (Set::Sequence, "sequence parameter set"),
            (Set::Picture, "picture parameter set"),
        ];
        for (kind, name) in wanted {
            match count(kind) {
                0 if kind == Set::Video && fourcc == FourCc::H264 => {}
                0 => return Err(NotRecordable::NoParameters(fourcc, name)),
                1..=SETS_MOST => {}
                _ => return Err(NotRecordable::WrongParameters(fourcc, name)),
            }
        }
        if sets.iter().any(|set| set.len() > SET_MOST_BYTES) {
            return Err(NotRecordable::WrongParameters(fourcc, "parameter set"));
        }
        Ok(Self::Nal { fourcc, sets })
    }

    /// Whether the parameter sets that a key frame brings are in the head.
    pub(super) fn knows_all(&self, key_frame: &[u8]) -> bool {
        match self {
            Self::Nal { fourcc, sets } => units(key_frame)
                .filter(|unit| nal::set(*fourcc, unit).is_some())
                .all(|unit| sets.iter().any(|set| set == unit)),
            Self::Av1 { sequence } => Obus::new(key_frame)
                .flatten()
                .filter(|obu| obu.kind == av1::SEQUENCE_HEADER)
                .all(|obu| obu.whole == sequence),
        }
    }

    /// Appends the sample that a frame is; nothing if the frame says nothing that the head does not.
    pub(super) fn append_sample(&self, frame: &[u8], to: &mut Vec<u8>) {
        match self {
            Self::Nal { fourcc, sets } => {
                let is_known = |unit: &&[u8]| {
                    unit.is_empty()
                        || nal::set(*fourcc, unit).is_some() && sets.iter().any(|set| set == unit)
                };
                let start = to.len();
                to.reserve(frame.len().saturating_add(16));
                let mut has_more = false;
                for unit in units(frame).filter(|unit| !is_known(unit)) {
                    has_more |= !nal::is_delimiter(*fourcc, unit);
                    to.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
                    to.extend_from_slice(unit);
                }
                if !has_more {
                    to.truncate(start);
                }
            }
            Self::Av1 { .. } => {
                for obu in Obus::new(frame) {
                    match obu {
                        // The file's samples tell temporal units apart.
                        Ok(obu) if obu.kind == av1::TEMPORAL_DELIMITER => {}
                        Ok(obu) => to.extend_from_slice(obu.whole),
                        Err(rest) => to.extend_from_slice(rest),
                    }
                }
            }
        }
    }

    /// What describes the samples, for pictures of this size.
    pub(super) fn sample_entry(&self, visual: Visual) -> Result<mp4_atom::Codec, NotRecordable> {
        match self {
            Self::Nal { fourcc, sets } if *fourcc == FourCc::HEVC => {
                let sequence = self.first(Set::Sequence);
                let damaged = NotRecordable::WrongParameters(*fourcc, "sequence parameter set");
                let mut hvcc = h265::configuration(sequence).ok_or(damaged)?;
                let of_kind = |kind, nal_unit_type| HvcCArray {
                    completeness: true,
                    nal_unit_type,
                    nalus: of_kind(*fourcc, sets, kind).cloned().collect(),
                };
                hvcc.arrays = vec![
                    of_kind(Set::Video, 32),
                    of_kind(Set::Sequence, 33),
                    of_kind(Set::Picture, 34),
                ];
                Ok(mp4_atom::Codec::Hvc1(Hvc1 {
                    visual,
                    hvcc,
                    ..Hvc1::default()
                }))
            }
            Self::Nal { fourcc, sets } => {
                let sequence = self.first(Set::Sequence);
                let damaged = || NotRecordable::WrongParameters(*fourcc, "sequence parameter set");
                let mut avcc = Avcc::new(sequence, &[]).map_err(|_| damaged())?;
                avcc.sequence_parameter_sets =
                    of_kind(*fourcc, sets, Set::Sequence).cloned().collect();
                avcc.picture_parameter_sets =
                    of_kind(*fourcc, sets, Set::Picture).cloned().collect();
                avcc.ext = h264_chroma(sequence).ok_or_else(damaged)?;
                Ok(mp4_atom::Codec::Avc1(Avc1 {
                    visual,
                    avcc,
                    ..Avc1::default()
                }))
            }
            Self::Av1 { sequence } => {
                let damaged = NotRecordable::WrongParameters(FourCc::AV01, "sequence header");
                let payload = Obus::new(sequence).flatten().next();
                let facts = payload.and_then(|obu| av1::configuration(obu.payload));
                Ok(mp4_atom::Codec::Av01(Av01 {
                    visual,
                    av1c: Av1c {
                        config_obus: sequence.clone(),
                        ..facts.ok_or(damaged)?
                    },
                    ..Av01::default()
                }))
            }
        }
    }

    fn first(&self, kind: Set) -> &[u8] {
        match self {
            Self::Nal { fourcc, sets } => of_kind(*fourcc, sets, kind)
                .next()
                .map_or(&[], Vec::as_slice),
            Self::Av1 { sequence } => sequence,
        }
    }
}

/// The parameter sets of a kind, in their order.
pub(super) fn of_kind(
    fourcc: FourCc,
    sets: &[Vec<u8>],
    kind: Set,
) -> impl Iterator<Item = &Vec<u8>> {
    sets.iter()
        .filter(move |set| nal::set(fourcc, set) == Some(kind))
}

/// What `avcC` says more of the higher profiles (H.264, 7.3.2.1.1); `Some(None)` of others.
#[expect(
    clippy::option_option,
    reason = "damaged, or of a profile of which nothing is said"
)]
fn h264_chroma(sequence: &[u8]) -> Option<Option<AvccExt>> {
    let payload = without_emulation_prevention(sequence.get(1..)?);
    let mut bits = Bits::new(&payload);
    let profile = bits.take(8)?;
    if !matches!(profile, 100 | 110 | 122 | 144) {
        return Some(None);
    }
    bits.take(16)?;
    bits.unsigned()?;
    let chroma_format = bits.unsigned()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    let mut depth = || u8::try_from(bits.unsigned()?).ok()?.checked_add(8);
    let (bit_depth_luma, bit_depth_chroma) = (depth()?, depth()?);
    let is_right = chroma_format < 4 && bit_depth_luma < 16 && bit_depth_chroma < 16;
    is_right.then_some(Some(AvccExt {
        chroma_format: u8::try_from(chroma_format).ok()?,
        bit_depth_luma,
        bit_depth_chroma,
        sequence_parameter_sets_ext: Vec::new(),
    }))
}

/// Makes frames out of a file's samples again: as cameras send them.
#[derive(Clone, Debug)]
pub(in super::super) struct Restorer {
    fourcc: FourCc,
    /// What goes before a key frame that does not bring its own.
    parameters: Vec<u8>,
}

impl Restorer {
    /// Of the body of a sample entry behind what all visual ones have; `None` if it is none of ours.
    pub(super) fn of_entry(fourcc: FourCc, boxes: &[u8]) -> Option<Self> {
        let with_header = |kind: &[u8; 4]| {
            let (at, body) = find(boxes, kind)?;
            boxes.get(at.checked_sub(8)?..at.checked_add(body.len())?)
        };
        let sets: Vec<Vec<u8>> = match fourcc {
            FourCc::H264 => {
                let avcc = Avcc::decode(&mut with_header(b"avcC")?).ok()?;
                [avcc.sequence_parameter_sets, avcc.picture_parameter_sets].concat()
            }
            FourCc::HEVC => {
                let hvcc: Hvcc = Hvcc::decode(&mut with_header(b"hvcC")?).ok()?;
                hvcc.arrays.into_iter().flat_map(|one| one.nalus).collect()
            }
            _ => {
                let av1c = Av1c::decode(&mut with_header(b"av1C")?).ok()?;
                return Some(Self {
                    fourcc,
                    parameters: av1c.config_obus,
                });
            }
        };
        let parameters = sets
            .into_iter()
            .flat_map(|set| [&START_CODE, set.as_slice()].concat());
        Some(Self {
            fourcc,
            parameters: parameters.collect(),
        })
    }

    /// Puts the frame that a sample is into `frame`, in place of what is there. Of a sample that is damaged it is what can be told.
    pub(in super::super) fn restore(&self, sample: &[u8], is_key: bool, frame: &mut Vec<u8>) {
        frame.clear();
        if self.fourcc == FourCc::AV01 {
            frame.extend(av1::DELIMITER);
            let brings_own = Obus::new(sample)
                .flatten()
                .any(|obu| obu.kind == av1::SEQUENCE_HEADER);
            if is_key && !brings_own {
                frame.extend_from_slice(&self.parameters);
            }
            frame.extend_from_slice(sample);
            return;
        }
        let mut units = units_by_length(sample).flatten().peekable();
        if let Some(first) = units.next_if(|unit| nal::is_delimiter(self.fourcc, unit)) {
            append(first, frame);
        }
        if is_key {
            frame.extend_from_slice(&self.parameters);
        }
        for unit in units {
            append(unit, frame);
        }
    }
}

fn append(unit: &[u8], frame: &mut Vec<u8>) {
    frame.extend(START_CODE);
    frame.extend_from_slice(unit);
}
