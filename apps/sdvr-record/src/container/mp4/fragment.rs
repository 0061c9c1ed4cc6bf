//! A fragment: where its frames are and how long each is shown, then their bytes (ISO/IEC 14496-12, 8.8).
//!
//! ```text
//! bytes  8            16                          8
//!      +------------+---------------------------+------------+
//!      | n "moof"   | 16 "mfhd" 0 sequence      | n "traf"   |
//!      +------------+------------+--------------+------------+-------+
//!      | 16 "tfhd" 020000 track  | 20 "tfdt" 01000000 time of 8 bytes |
//!      +-------------------------+----------------------+------------+
//!      | n "trun" 000701 count, place of the first byte | 20 bytes
//!      +------------------------------------------------+
//!      | duration, bytes, flags                         | 12 bytes, count times
//!      |   or with 01000f01, if any is shown at another | 16 bytes
//!      |   time: duration, bytes, flags, how much later |
//!      +------------+------------+----------------------+
//!      | 8 "free"   | n "mdat"   | the frames, one behind the other
//!      +------------+------------+-------------------------------------
//! ```
//!
//! Numbers are big-endian, of four bytes where nothing else is said. The time is that of the first frame, in microseconds since that of the file.
//!
//! ffmpeg reads all of a file's indexes before it plays, and refuses a file in which one is cut off within `tfhd` or `trun`. So there is a box of nothing
//! behind those, for who cuts in front of `mdat`, and a box of nothing before a fragment if the index would else go beyond a page: what a kill,
//! a full disk or a power cut leaves of a file ends with a page.

use super::super::fields::Fields;
use super::TRACK;
use super::boxes::{HEADER_BYTES, boxed, header};

/// Up to the first sample.
pub(super) const FIXED_BYTES: usize = 88;
/// From the last sample to the frames.
const BEHIND_BYTES: usize = 16;
/// What files are written by.
const PAGE_BYTES: usize = 4096;
/// A box of nothing.
const NOTHING: [u8; 8] = *b"\0\0\0\x08free";

/// The place is counted from the beginning of the fragment.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// Flags of a sample (8.8.3.1): it depends on no other.
const DEPENDS_ON_NONE: u32 = 0x0200_0000;
/// … it depends on others, and is no place to begin.
const DEPENDS_ON_OTHERS: u32 = 0x0101_0000;

/// What is said of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// In ticks.
    pub(super) duration: u32,
    pub(super) bytes: u32,
    pub(super) is_key: bool,
    /// How much later it is shown than decoded, in ticks.
    pub(super) shown_later: i32,
}

/// What is said before the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) time: u64,
    pub(super) count: u32,
    form: RunForm,
}

/// What a run says of each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunForm {
    /// Its duration, its length and its flags: samples are shown when they are decoded.
    InOrder,
    /// And how much later it is shown, or earlier.
    Reordered,
}

impl RunForm {
    fn of(samples: &[Sample]) -> Self {
        if samples.iter().any(|sample| sample.shown_later != 0) {
            Self::Reordered
        } else {
            Self::InOrder
        }
    }

    /// Version and flags; both forms say besides where the bytes are.
    const fn flags(self) -> u32 {
        match self {
            Self::InOrder => 0x0701,
            Self::Reordered => 0x0100_0f01,
        }
    }

    const fn of_flags(flags: u32) -> Option<Self> {
        match flags {
            0x0701 => Some(Self::InOrder),
            0x0100_0f01 => Some(Self::Reordered),
            _ => None,
        }
    }

    const fn sample_bytes(self) -> usize {
        match self {
            Self::InOrder => 12,
            Self::Reordered => 16,
        }
    }
}

/// What comes before a fragment of these samples that begins behind `offset`: nothing, or a box of it.
pub(super) fn padding(offset: u64, samples: &[Sample]) -> Vec<u8> {
    let page = PAGE_BYTES as u64;
    let index_bytes = samples
        .len()
        .saturating_mul(RunForm::of(samples).sample_bytes())
        .saturating_add(FIXED_BYTES + BEHIND_BYTES);
    let used = usize::try_from(offset % page).unwrap_or(0);
    let left = PAGE_BYTES.saturating_sub(used);
    if index_bytes <= left || index_bytes > PAGE_BYTES {
        return Vec::new();
    }
    boxed(b"free", &vec![0; left.saturating_sub(HEADER_BYTES)])
}

/// The length of the box of nothing that may come before a fragment.
pub(super) fn parse_padding(bytes: &[u8]) -> Option<u64> {
    let (length, kind) = header(bytes)?;
    (kind == *b"free" && length <= PAGE_BYTES as u64).then_some(length)
}

/// All that comes before the frames' bytes, of which there are `payload_bytes`.
pub(super) fn write(sequence: u32, time: u64, samples: &[Sample], payload_bytes: usize) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
    let form = RunForm::of(samples);
    let table_bytes = samples.len().saturating_mul(form.sample_bytes());
    let moof_bytes = table_bytes.saturating_add(FIXED_BYTES + NOTHING.len());
    let mut run = Vec::with_capacity(table_bytes.saturating_add(12));
    run.extend(form.flags().to_be_bytes());
    run.extend(number(samples.len()));
    run.extend(number(moof_bytes.saturating_add(HEADER_BYTES)));
    for sample in samples {
        let flags = if sample.is_key {
            DEPENDS_ON_NONE
        } else {
            DEPENDS_ON_OTHERS
        };
        for value in [sample.duration, sample.bytes, flags] {
            run.extend(value.to_be_bytes());
        }
        if form == RunForm::Reordered {
            run.extend(sample.shown_later.to_be_bytes());
        }
    }
    let words = |first: u32, second: u32| [first.to_be_bytes(), second.to_be_bytes()].concat();
    let decoding_time = [&[1, 0, 0, 0], time.to_be_bytes().as_slice()].concat();
    let track = [
        boxed(b"tfhd", &words(BASE_IS_MOOF, TRACK)),
        boxed(b"tfdt", &decoding_time),
        boxed(b"trun", &run),
    ];
    let fragment = [
        boxed(b"mfhd", &words(0, sequence)),
        boxed(b"traf", &track.concat()),
        NOTHING.to_vec(),
    ];
    let mut bytes = boxed(b"moof", &fragment.concat());
    bytes.extend(number(payload_bytes.saturating_add(HEADER_BYTES)));
    bytes.extend(b"mdat");
    bytes
}

/// The first [`FIXED_BYTES`] of a fragment; `None` if they are none of ours.
pub(super) fn parse_start(bytes: &[u8]) -> Option<Start> {
    let mut fields = Fields::new(bytes);
    let moof_bytes = fields.u32()?;
    fields.expect(b"moof\0\0\0\x10mfhd\0\0\0\0")?;
    let _sequence = fields.u32()?;
    let traf_bytes = fields.u32()?;
    fields.expect(b"traf\0\0\0\x10tfhd")?;
    fields.expect(&BASE_IS_MOOF.to_be_bytes())?;
    fields.expect(&TRACK.to_be_bytes())?;
    fields.expect(b"\0\0\0\x14tfdt\x01\0\0\0")?;
    let time = fields.u64()?;
    let trun_bytes = fields.u32()?;
    fields.expect(b"trun")?;
    let form = RunForm::of_flags(fields.u32()?)?;
    let count = fields.u32()?;
    let place = fields.u32()?;
    let moof = u64::from(moof_bytes);
    let table = u64::from(count).checked_mul(form.sample_bytes() as u64)?;
    let is_right = count > 0
        && Some(moof) == table.checked_add((FIXED_BYTES + NOTHING.len()) as u64)
        && Some(traf_bytes) == moof_bytes.checked_sub(32)
        && Some(u64::from(trun_bytes)) == table.checked_add(20)
        && Some(u64::from(place)) == moof.checked_add(HEADER_BYTES as u64);
    is_right.then_some(Start { time, count, form })
}

/// How many bytes there are from [`FIXED_BYTES`] on up to the frames.
pub(super) fn rest_bytes(start: Start) -> u64 {
    let table_bytes = u64::from(start.count).saturating_mul(start.form.sample_bytes() as u64);
    table_bytes.saturating_add(BEHIND_BYTES as u64)
}

/// Whether fewer than [`FIXED_BYTES`] can be the first ones of a fragment, or of the box of nothing before one.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        // Not even a length.
        return true;
    };
    if rest.len() < HEADER_BYTES && b"free".starts_with(rest) {
        return true;
    }
    [RunForm::InOrder, RunForm::Reordered]
        .iter()
        .any(|form| can_begin(u32::from_be_bytes(*length), bytes, *form))
}

/// Whether these can be the first bytes of a fragment of this form.
fn can_begin(moof_bytes: u32, bytes: &[u8], form: RunForm) -> bool {
    let table_bytes = u64::from(moof_bytes).saturating_sub((FIXED_BYTES + NOTHING.len()) as u64);
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let moof = u64::from(moof_bytes);
    // All that the length tells, and then what is there: it must be one.
    let fields = [
        (24, number(moof.saturating_sub(32))),
        (68, number(table_bytes.saturating_add(20))),
        (76, form.flags().to_be_bytes()),
        (80, number(table_bytes / form.sample_bytes() as u64)),
        (84, number(moof.saturating_add(HEADER_BYTES as u64))),
    ];
    let mut whole = write(0, 0, &[], 0);
    let pieces = fields.iter().map(|(at, field)| (*at, field.as_slice()));
    for (at, piece) in pieces.chain([(0, bytes)]) {
        let end = piece.len().saturating_add(at);
        if let Some(place) = whole.get_mut(at..end) {
            place.copy_from_slice(piece);
        }
    }
    parse_start(&whole).is_some()
}

/// The samples of a fragment, and how many bytes they have, of what follows [`Start`] up to the frames; `None` if it is none of ours.
pub(super) fn parse_samples(start: Start, bytes: &[u8]) -> Option<(Vec<Sample>, u64)> {
    let table_bytes = usize::try_from(start.count)
        .ok()?
        .checked_mul(start.form.sample_bytes())?;
    let mut fields = Fields::new(bytes);
    let mut table = Fields::new(fields.take(table_bytes)?);
    let mut samples = Vec::with_capacity(table_bytes / start.form.sample_bytes());
    let mut payload_bytes = 0_u64;
    while !table.rest().is_empty() {
        let (duration, bytes, flags) = (table.u32()?, table.u32()?, table.u32()?);
        payload_bytes = payload_bytes.checked_add(bytes.into())?;
        let shown_later = match start.form {
            RunForm::InOrder => 0,
            RunForm::Reordered => table.u32()?.cast_signed(),
        };
        samples.push(Sample {
            duration,
            bytes,
            is_key: flags == DEPENDS_ON_NONE,
            shown_later,
        });
    }
    fields.expect(&NOTHING)?;
    let mdat_bytes = u64::from(fields.u32()?);
    fields.expect(b"mdat")?;
    let is_right = payload_bytes.checked_add(HEADER_BYTES as u64) == Some(mdat_bytes);
    is_right.then_some((samples, payload_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let sample = |duration, bytes, is_key| Sample {
            duration,
            bytes,
            is_key,
            shown_later: 0,
        };
        vec![sample(40_000, 1000, true), sample(u32::MAX, 0, false)]
    }

    /// The same in both forms.
    fn forms() -> [Vec<Sample>; 2] {
        let mut reordered = samples();
        reordered[0].shown_later = i32::MAX;
        reordered[1].shown_later = -40_000;
        [samples(), reordered]
    }

    #[test]
    fn what_is_written_reads_back() {
        for (samples, sample_bytes) in forms().into_iter().zip([12, 16]) {
            let bytes = write(7, u64::MAX, &samples, 1000);
            let (start, rest) = bytes.split_at(FIXED_BYTES);
            let start = parse_start(start).unwrap();
            assert_eq!((start.time, start.count), (u64::MAX, 2));
            assert_eq!(parse_samples(start, rest), Some((samples, 1000)));
            assert_eq!(rest.len(), 2 * sample_bytes + BEHIND_BYTES);
            assert_eq!(rest.len() as u64, rest_bytes(start));
        }
    }

    #[test]
    fn what_is_cut_off_or_of_others_is_none() {
        for samples in forms() {
            is_none_cut_off_or_of_others(&samples);
        }
    }

    fn is_none_cut_off_or_of_others(samples: &[Sample]) {
        let bytes = write(7, 5, samples, 1000);
        let (start, rest) = bytes.split_at(FIXED_BYTES);
        for cut in 0..FIXED_BYTES {
            assert_eq!(parse_start(&start[..cut]), None);
        }
        let parsed = parse_start(start).unwrap();
        for cut in 0..rest.len() {
            assert_eq!(parse_samples(parsed, &rest[..cut]), None);
        }
        for cut in 0..FIXED_BYTES {
            assert!(is_beginning(&start[..cut]), "{cut}");
            let count = 3984 / RunForm::of(samples).sample_bytes();
            let nothing = padding(100, &vec![samples[0]; count]);
            assert!(is_beginning(&nothing[..cut.min(HEADER_BYTES)]));
            for index in (4..cut).filter(|index| !matches!(index, 20..24 | 60..68)) {
                let mut wrong = start[..cut].to_vec();
                wrong[index] ^= 1;
                assert!(!is_beginning(&wrong), "{cut}, {index}");
            }
        }
        // All but the sequence number and the time are told by the rest.
        for index in (0..20).chain(24..60).chain(68..FIXED_BYTES) {
            let mut wrong = start.to_vec();
            wrong[index] ^= 1;
            assert_eq!(parse_start(&wrong), None, "{index}");
        }
        assert_eq!(
            parse_samples(parsed, &write(7, 5, samples, 999)[FIXED_BYTES..]),
            None
        );
    }

    #[test]
    fn an_index_is_in_one_page_if_it_fits_in_any() {
        let [in_order, reordered] = forms().map(|samples| samples[0]);
        let lots = [1, 30, 300, 332, 400].map(|count| (vec![in_order; count], 12 * count));
        let others = [1, 30, 249, 300].map(|count| (vec![reordered; count], 16 * count));
        for (samples, table_bytes) in lots.into_iter().chain(others) {
            for offset in (0..3 * PAGE_BYTES).map(|offset| offset as u64) {
                let padding = padding(offset, &samples);
                if !padding.is_empty() {
                    assert_eq!(parse_padding(&padding), Some(padding.len() as u64));
                }
                let index_bytes = FIXED_BYTES + table_bytes + BEHIND_BYTES;
                let begins = offset + padding.len() as u64;
                let ends = begins + index_bytes as u64 - 1;
                let page = |place| place / PAGE_BYTES as u64;
                // A box of nothing has eight bytes at least, which may be too many by some.
                let is_in_one = page(begins) == page(ends) || begins % PAGE_BYTES as u64 == 7;
                assert!(
                    is_in_one || index_bytes > PAGE_BYTES - 8,
                    "{}, {offset}",
                    samples.len()
                );
            }
        }
    }
}
