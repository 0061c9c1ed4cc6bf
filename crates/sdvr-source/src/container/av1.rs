//! AV1: open bitstream units (OBUs; AV1 specification, 5.3 to 5.9), put together to temporal units that can be decoded one after the other.
//!
//! Containers leave out what a stream without them needs: the delimiter before each temporal unit, the length of its last OBU, and sometimes the
//! sequence header at key frames.

use sdvr_frame::FrameFlags;

use super::ContainerError;
use super::fields::Fields;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const PADDING: u8 = 15;

const DELIMITER: [u8; 2] = [TEMPORAL_DELIMITER << 3 | HAS_SIZE, 0];
const HAS_EXTENSION: u8 = 4;
const HAS_SIZE: u8 = 2;

const WRONG: ContainerError =
    ContainerError::Malformed("the lengths of its open bitstream units do not fit the sample's");

/// Makes temporal units.
#[derive(Debug)]
pub(super) struct TemporalUnits {
    /// The sequence header, as an OBU with its length; empty until there was one.
    sequence: Vec<u8>,
    is_still_picture: bool,
}

struct Obu<'a> {
    kind: u8,
    /// Of one that has an extension.
    extension: Option<u8>,
    payload: &'a [u8],
}

impl TemporalUnits {
    /// `record` is `av1C`: four bytes of facts, then OBUs.
    pub(super) fn new(record: &[u8]) -> Result<Self, ContainerError> {
        let mut units = Self {
            sequence: Vec::new(),
            is_still_picture: false,
        };
        let mut fields = Fields::new(record.get(4..).unwrap_or_default());
        while !fields.rest().is_empty() {
            let obu = take_obu(&mut fields).ok_or(ContainerError::Malformed(
                "the parameters of its codec are cut off",
            ))?;
            if obu.kind == SEQUENCE_HEADER {
                units.learn(&obu);
            }
        }
        Ok(units)
    }

    /// Appends the temporal unit in `sample` to `frame`.
    pub(super) fn append(
        &mut self,
        sample: &[u8],
        frame: &mut Vec<u8>,
    ) -> Result<FrameFlags, ContainerError> {
        frame.extend_from_slice(&DELIMITER);
        let start = frame.len();
        let mut fields = Fields::new(sample);
        let (mut has_sequence, mut is_key) = (false, None);
        while !fields.rest().is_empty() {
            let obu = take_obu(&mut fields).ok_or(WRONG)?;
            match obu.kind {
                TEMPORAL_DELIMITER | PADDING => continue,
                SEQUENCE_HEADER => {
                    has_sequence = true;
                    self.learn(&obu);
                }
                FRAME_HEADER | FRAME if is_key.is_none() => {
                    // show_existing_frame, frame_type (2 bits, 0 of a key frame), show_frame.
                    let first = obu.payload.first().copied().unwrap_or(0xff);
                    is_key = Some(self.is_still_picture || first & 0xf0 == 0x10);
                }
                _ => {}
            }
            append_obu(&obu, frame);
        }
        if is_key != Some(true) {
            return Ok(FrameFlags::NONE);
        }
        if !has_sequence {
            frame.splice(start..start, self.sequence.iter().copied());
        }
        Ok(FrameFlags::KEY)
    }

    fn learn(&mut self, sequence: &Obu<'_>) {
        self.sequence.clear();
        append_obu(sequence, &mut self.sequence);
        // seq_profile (3 bits), still_picture, reduced_still_picture_header.
        let first = sequence.payload.first().copied().unwrap_or(0);
        self.is_still_picture = first & 0x08 != 0;
    }
}

/// Whether a temporal unit has a sequence header before anything but delimiters.
pub(super) fn begins_with_sequence(unit: &[u8]) -> bool {
    let mut fields = Fields::new(unit);
    loop {
        let kind = fields.rest().first().map(|first| first >> 3 & 0xf);
        match (kind, kind == Some(TEMPORAL_DELIMITER)) {
            (_, true) if take_obu(&mut fields).is_some() => {}
            (kind, _) => return kind == Some(SEQUENCE_HEADER),
        }
    }
}

fn append_obu(obu: &Obu<'_>, to: &mut Vec<u8>) {
    let extension = obu.extension.map_or(0, |_| HAS_EXTENSION);
    to.push(obu.kind << 3 | extension | HAS_SIZE);
    to.extend(obu.extension);
    let mut rest = obu.payload.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        to.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(obu.payload);
}

fn take_obu<'a>(fields: &mut Fields<'a>) -> Option<Obu<'a>> {
    let first = fields.u8()?;
    let extension = match first & HAS_EXTENSION {
        0 => None,
        _ => Some(fields.u8()?),
    };
    let length = match first & HAS_SIZE {
        0 => fields.rest().len(),
        _ => leb128(fields)?,
    };
    Some(Obu {
        kind: first >> 3 & 0xf,
        extension,
        payload: fields.take(length)?,
    })
}

fn leb128(fields: &mut Fields<'_>) -> Option<usize> {
    let mut value = 0_u64;
    for index in 0..8 {
        let byte = fields.u8()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return usize::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Profile 0, no still picture.
    const SEQUENCE: [u8; 4] = [0x0a, 2, 0x00, 0x77];
    const KEY_FRAME: [u8; 4] = [0x32, 2, 0x10, 0x55];
    const INTER_FRAME: [u8; 4] = [0x32, 2, 0x30, 0x55];

    fn unit(units: &mut TemporalUnits, sample: &[u8]) -> (Vec<u8>, FrameFlags) {
        let mut frame = Vec::new();
        let flags = units.append(sample, &mut frame).unwrap();
        (frame, flags)
    }

    #[test]
    fn key_frames_have_a_delimiter_and_a_sequence_header() {
        let record = [[0x81, 0, 0, 0], SEQUENCE].concat();
        let mut units = TemporalUnits::new(&record).unwrap();
        let whole = [DELIMITER.as_slice(), &SEQUENCE, &KEY_FRAME].concat();
        // The last OBU may go without its length; a delimiter may be there.
        for sample in [
            KEY_FRAME.to_vec(),
            vec![0x30, 0x10, 0x55],
            [SEQUENCE, KEY_FRAME].concat(),
            [&DELIMITER, SEQUENCE.as_slice(), &KEY_FRAME].concat(),
            [&SEQUENCE, [0x7a, 1, 0x80].as_slice(), &KEY_FRAME].concat(),
        ] {
            let found = unit(&mut units, &sample);
            assert_eq!(found, (whole.clone(), FrameFlags::KEY), "{sample:02x?}");
        }
        let (frame, flags) = unit(&mut units, &INTER_FRAME);
        assert_eq!(frame, [DELIMITER.as_slice(), &INTER_FRAME].concat());
        assert_eq!(flags, FrameFlags::NONE);
        // Showing a frame of before is none to begin at.
        assert_eq!(unit(&mut units, &[0x1a, 1, 0x80]).1, FrameFlags::NONE);
    }

    #[test]
    fn long_units_keep_their_length_and_wrong_ones_are_refused() {
        let mut units = TemporalUnits::new(&[]).unwrap();
        let long = [[0x32, 0xac, 0x02].as_slice(), &[0x33; 300]].concat();
        assert_eq!(
            unit(&mut units, &long).0,
            [DELIMITER.as_slice(), &long].concat()
        );
        for wrong in [
            [0x32].as_slice(),
            &[0x32, 9, 1],
            &[0x36],
            &[0x32, 0xff, 0xff],
        ] {
            assert!(units.append(wrong, &mut Vec::new()).is_err(), "{wrong:?}");
        }
        assert!(TemporalUnits::new(&[0x81, 0, 0, 0, 0x0a, 9]).is_err());
    }
}
