//! H.264 and H.265 as containers have them, made into Annex B.
//!
//! A container has the length before each NAL unit instead of a start code, and keeps the parameter sets apart (ISO/IEC 14496-15). Whoever begins to
//! read at a key frame needs them with it, so they go before each that does not bring its own.

use sdvr_frame::FrameFlags;

use super::fields::Fields;
use super::{Codec, ContainerError};
use crate::splitter::AnnexB;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const CUT_OFF: ContainerError =
    ContainerError::Malformed("the parameters of its codec are cut off");

/// Makes access units.
#[derive(Debug)]
pub(super) struct NalUnits {
    codec: Codec,
    records: Vec<Record>,
    /// Of which the parameter sets are.
    current: usize,
    /// What goes before a key frame, with start codes.
    parameters: Vec<u8>,
    splitter: AnnexB,
}

/// What `avcC` and `hvcC` say.
#[derive(Debug)]
struct Record {
    length_bytes: usize,
    parameters: Vec<u8>,
}

/// What kinds of parameter sets a unit has: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds(u8);

impl NalUnits {
    /// # Errors
    ///
    /// The records are none.
    pub(super) fn new<'a>(
        codec: Codec,
        records: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, ContainerError> {
        let records: Vec<Record> = records
            .map(|record| match codec {
                Codec::H265 => parse_hvcc(record),
                _ => parse_avcc(record),
            })
            .collect::<Option<_>>()
            .ok_or(CUT_OFF)?;
        let mut units = Self {
            codec,
            records,
            current: usize::MAX,
            parameters: Vec::new(),
            splitter: match codec {
                Codec::H265 => AnnexB::h265(),
                _ => AnnexB::h264(),
            },
        };
        units.change_record(0);
        Ok(units)
    }

    pub(super) const fn size(&self) -> Option<(u32, u32)> {
        self.splitter.size()
    }

    fn change_record(&mut self, record: usize) {
        if self.current == record {
            return;
        }
        self.current = record;
        if let Some(record) = self.records.get(record) {
            self.parameters.clone_from(&record.parameters);
            // Sizes and fields are told by the parameter sets.
            self.splitter.restart();
            let _ = self.splitter.next_frame(&self.parameters, true);
        }
    }

    /// Appends the access unit in `sample` to `frame`.
    pub(super) fn append(
        &mut self,
        sample: &[u8],
        record: usize,
        frame: &mut Vec<u8>,
    ) -> Result<FrameFlags, ContainerError> {
        self.change_record(record);
        let length_bytes = self
            .records
            .get(record)
            .map_or(4, |record| record.length_bytes);
        let start = frame.len();
        let mut fields = Fields::new(sample);
        let mut kinds = Kinds::default();
        let mut own_parameters = Vec::new();
        // A delimiter has to stay the first.
        let mut parameters_at = start;
        while !fields.rest().is_empty() {
            let nal = take_nal(&mut fields, length_bytes).ok_or(ContainerError::Malformed(
                "the lengths of its NAL units do not fit the sample's",
            ))?;
            if nal.is_empty() {
                continue;
            }
            let kind = self.nal_type(nal);
            if let Some(parameters) = self.parameter_kind(kind) {
                kinds.0 |= parameters.0;
                own_parameters.extend_from_slice(&START_CODE);
                own_parameters.extend_from_slice(nal);
            }
            let is_first = frame.len() == start;
            frame.extend_from_slice(&START_CODE);
            frame.extend_from_slice(nal);
            if is_first && self.is_delimiter(kind) {
                parameters_at = frame.len();
            }
        }
        let has_all = kinds == self.all_kinds();
        if has_all {
            self.parameters = own_parameters;
        }
        let flags = self.flags(frame.get(start..).unwrap_or_default());
        if flags.contains(FrameFlags::KEY) && !has_all {
            frame.splice(
                parameters_at..parameters_at,
                self.parameters.iter().copied(),
            );
        }
        Ok(flags)
    }

    /// What the splitter of streams finds in the unit.
    fn flags(&mut self, unit: &[u8]) -> FrameFlags {
        self.splitter.restart();
        match self.splitter.next_frame(unit, true) {
            Ok(Some(end)) => end.flags,
            // No picture at all.
            Ok(None) | Err(_) => FrameFlags::NONE,
        }
    }

    fn nal_type(&self, nal: &[u8]) -> u8 {
        let first = nal.first().copied().unwrap_or(0);
        match self.codec {
            Codec::H265 => first >> 1 & 0x3f,
            _ => first & 0x1f,
        }
    }

    fn parameter_kind(&self, nal_type: u8) -> Option<Kinds> {
        match (self.codec, nal_type) {
            (Codec::H265, 32) => Some(Kinds(1)),
            (Codec::H265, 33) | (Codec::H264, 7) => Some(Kinds(2)),
            (Codec::H265, 34) | (Codec::H264, 8) => Some(Kinds(4)),
            _ => None,
        }
    }

    fn all_kinds(&self) -> Kinds {
        match self.codec {
            Codec::H265 => Kinds(7),
            _ => Kinds(6),
        }
    }

    fn is_delimiter(&self, nal_type: u8) -> bool {
        matches!((self.codec, nal_type), (Codec::H265, 35) | (Codec::H264, 9))
    }
}

fn take_nal<'a>(fields: &mut Fields<'a>, length_bytes: usize) -> Option<&'a [u8]> {
    let length = fields
        .take(length_bytes)?
        .iter()
        .fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    fields.take(length)
}

/// A parameter set with 16 bits of length, to be put behind a start code.
fn take_set(fields: &mut Fields<'_>, parameters: &mut Vec<u8>) -> Option<()> {
    let nal = take_nal(fields, 2)?;
    if !nal.is_empty() {
        parameters.extend_from_slice(&START_CODE);
        parameters.extend_from_slice(nal);
    }
    Some(())
}

/// ISO/IEC 14496-15, 5.3.3.1.
fn parse_avcc(record: &[u8]) -> Option<Record> {
    let mut fields = Fields::new(record);
    fields.take(4)?;
    let length_bytes = usize::from(fields.u8()? & 3) + 1;
    let mut parameters = Vec::new();
    for mask in [0x1f, 0xff] {
        for _ in 0..fields.u8()? & mask {
            take_set(&mut fields, &mut parameters)?;
        }
    }
    Some(Record {
        length_bytes,
        parameters,
    })
}

/// ISO/IEC 14496-15, 8.3.3.1. Besides parameter sets there may be messages, which go with them.
fn parse_hvcc(record: &[u8]) -> Option<Record> {
    let mut fields = Fields::new(record);
    fields.take(21)?;
    let length_bytes = usize::from(fields.u8()? & 3) + 1;
    let mut parameters = Vec::new();
    for _ in 0..fields.u8()? {
        fields.u8()?;
        for _ in 0..fields.u16()? {
            take_set(&mut fields, &mut parameters)?;
        }
    }
    Some(Record {
        length_bytes,
        parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 1];
    const PPS: &[u8] = &[0x68, 2];
    const DELIMITER: &[u8] = &[0x09, 0xf0];
    const IDR: &[u8] = &[0x65, 0x88, 0x84];
    const PICTURE: &[u8] = &[0x41, 0x9a, 0x21];
    const UNUSED: &[u8] = &[0x01, 0x9a, 0x21];

    fn avcc(length_bytes: u8) -> Vec<u8> {
        let head = [1, 66, 0, 30, 0xfc | (length_bytes - 1)];
        [&head, [0xe1, 0, 2].as_slice(), SPS, &[1, 0, 2], PPS].concat()
    }

    fn sample(length_bytes: usize, nals: &[&[u8]]) -> Vec<u8> {
        let one = |nal: &&[u8]| {
            let length = u32::try_from(nal.len()).unwrap().to_be_bytes();
            [&length[4 - length_bytes..], nal].concat()
        };
        nals.iter().flat_map(one).collect()
    }

    fn coded(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter()
            .flat_map(|nal| [&START_CODE, *nal].concat())
            .collect()
    }

    #[track_caller]
    fn check(
        units: &mut NalUnits,
        length_bytes: usize,
        from: &[&[u8]],
        to: &[&[u8]],
    ) -> FrameFlags {
        let mut frame = Vec::new();
        let flags = units.append(&sample(length_bytes, from), 0, &mut frame);
        assert_eq!(frame, coded(to));
        flags.unwrap()
    }

    #[test]
    fn key_frames_have_their_parameter_sets_once() {
        for length_bytes in [1_u8, 2, 4] {
            let record = avcc(length_bytes);
            let mut units = NalUnits::new(Codec::H264, [record.as_slice()].into_iter()).unwrap();
            let length_bytes = length_bytes.into();
            let key = check(&mut units, length_bytes, &[IDR], &[SPS, PPS, IDR]);
            assert_eq!(key, FrameFlags::KEY);
            let next = check(&mut units, length_bytes, &[PICTURE], &[PICTURE]);
            assert_eq!(next, FrameFlags::NONE);
            let unused = check(&mut units, length_bytes, &[UNUSED], &[UNUSED]);
            assert_eq!(unused, FrameFlags::DISCARDABLE);
            check(
                &mut units,
                length_bytes,
                &[DELIMITER, IDR],
                &[DELIMITER, SPS, PPS, IDR],
            );
            // Those that come along are the ones that hold from then on.
            let own: [&[u8]; 3] = [&[0x67, 9], PPS, IDR];
            check(&mut units, length_bytes, &own, &own);
            check(&mut units, length_bytes, &[IDR], &own);
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let record = avcc(4);
        let mut units = NalUnits::new(Codec::H264, [record.as_slice()].into_iter()).unwrap();
        for wrong in [[0, 0, 0, 9, 0x65].as_slice(), &[0, 0], &[0xff; 8]] {
            assert!(
                units.append(wrong, 0, &mut Vec::new()).is_err(),
                "{wrong:?}"
            );
        }
        for cut in 0..record.len() {
            let cut = NalUnits::new(Codec::H264, [&record[..cut]].into_iter());
            assert!(cut.is_err());
        }
    }
}
