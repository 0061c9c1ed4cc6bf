//! The measuring frame: a payload any reader can recompute.
//!
//! ```text
//! byte 0          8                16            24
//!      +----------+----------------+-------------+-----------------------------------
//!      | sequence | capture time   | length      | words, the last one cut short
//!      +----------+----------------+-------------+-----------------------------------
//! ```
//!
//! Integers are little-endian; the time is nanoseconds of the capturing host's `CLOCK_BOOTTIME`;
//! the length is that of the whole frame. Word `i` is `sequence * A + i * B` modulo 2^64, so that
//! a byte of another frame, of another place or of no frame at all does not fit.

use crate::{FrameNumber, Timestamp};

/// Bytes before the pattern, and so the shortest measuring frame.
pub const HEADER_BYTES: usize = 24;

/// Odd, so that the products of different sequence numbers differ; from the golden ratio, so that
/// they differ in every byte.
const SEQUENCE_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const WORD_FACTOR: u64 = 0xd1b5_4a32_d192_ed03;

/// What a measuring frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchHeader {
    /// The frame's number.
    pub sequence: FrameNumber,
    /// When it was made, on the clock of the host that made it.
    pub captured: Timestamp,
}

/// Fills all of `frame` with a measuring frame.
///
/// # Panics
///
/// If `frame` is shorter than [`HEADER_BYTES`].
pub fn fill(frame: &mut [u8], header: BenchHeader) {
    assert!(
        frame.len() >= HEADER_BYTES,
        "a measuring frame has at least {HEADER_BYTES} bytes"
    );
    let length = frame.len() as u64;
    let (head, pattern) = frame.split_at_mut(HEADER_BYTES);
    let fields = [
        header.sequence.0,
        header.captured.as_nanoseconds().cast_unsigned(),
        length,
    ];
    for (bytes, field) in head.chunks_exact_mut(8).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    let mut word = first_word(header.sequence);
    let mut chunks = pattern.chunks_exact_mut(8);
    for bytes in &mut chunks {
        bytes.copy_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(WORD_FACTOR);
    }
    for (byte, expected) in chunks.into_remainder().iter_mut().zip(word.to_le_bytes()) {
        *byte = expected;
    }
}

/// Checks every byte of `frame`; `None` when it is not one whole measuring frame.
#[must_use]
pub fn check(frame: &[u8]) -> Option<BenchHeader> {
    let (head, pattern) = frame.split_at_checked(HEADER_BYTES)?;
    let mut fields = head
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let sequence = FrameNumber(fields.next()?);
    let captured = Timestamp::from_nanoseconds(fields.next()?.cast_signed());
    if fields.next()? != frame.len() as u64 {
        return None;
    }
    let mut word = first_word(sequence);
    let mut differences = 0;
    let chunks = pattern.chunks_exact(8);
    let rest = chunks.remainder();
    for bytes in chunks {
        differences |= u64::from_le_bytes(bytes.try_into().unwrap_or_default()) ^ word;
        word = word.wrapping_add(WORD_FACTOR);
    }
    let rest_fits = rest
        .iter()
        .zip(word.to_le_bytes())
        .all(|(&byte, expected)| byte == expected);
    (differences == 0 && rest_fits).then_some(BenchHeader { sequence, captured })
}

fn first_word(sequence: FrameNumber) -> u64 {
    sequence.0.wrapping_mul(SEQUENCE_FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sequence: u64, length: usize) -> Vec<u8> {
        let mut frame = vec![0; length];
        fill(
            &mut frame,
            BenchHeader {
                sequence: FrameNumber(sequence),
                captured: Timestamp::from_nanoseconds(-5),
            },
        );
        frame
    }

    #[test]
    fn finds_every_changed_bit() {
        for length in [32, 33, 39, 57] {
            let good = frame(77, length);
            assert!(check(&good).is_some());
            // The capture time is the frame's own word; nothing contradicts it.
            for bit in (0..length * 8).filter(|bit| !(64..128).contains(bit)) {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(check(&bad).is_none(), "length {length}, bit {bit}");
            }
        }
    }

    #[test]
    fn finds_halves_of_two_frames() {
        let (old, new) = (frame(1, 4096), frame(2, 4096));
        for cut in (32..4096).step_by(8) {
            let torn = [&new[..cut], &old[cut..]].concat();
            assert!(check(&torn).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn refuses_short_input() {
        assert!((0..HEADER_BYTES).all(|length| check(&frame(0, 64)[..length]).is_none()));
    }
}
