//! How long frames may gather in the ring before they are taken.
//!
//! Who wakes for each frame of 64 cameras wakes 2,000 times a second; who takes what has gathered wakes a hundred times, and reads the same. The ring is the
//! buffer, as far as it is deep enough.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Frames gather for so long at most: a camera that goes is noticed soon, and what a crash may cost stays small.
const LONGEST: Duration = Duration::from_millis(500);
/// It is not worth less: a ring that holds less than this four times is one of large frames, which cost much and waking little, and it is soon full.
const SHORTEST: Duration = Duration::from_millis(80);
/// A part of what the ring holds: a reader that is late by twice as much has lost nothing.
const PART: u32 = 4;

/// Measures the frames of a ring.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Of the frames since the last turn: how many, their bytes, and when the first and last were published.
    frames: u64,
    bytes: u64,
    began: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// What a ring holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    pub(super) slots: u64,
    pub(super) bytes: u64,
}

impl Pace {
    pub(super) fn count(&mut self, bytes: usize, published: Timestamp) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.began.get_or_insert(published);
        self.last = Some(published);
    }

    /// How long to let frames gather now, from what has come since the last turn. Nothing while that is not known, as in the beginning, or when the ring is too shallow.
    pub(super) fn take_rest(&mut self, depth: Depth) -> Option<Duration> {
        let seen = std::mem::take(self);
        let span = seen.last?.saturating_since(seen.began?);
        let intervals = u32::try_from(seen.frames.checked_sub(1)?).ok()?;
        let interval = span.checked_div(intervals)?;
        let frame_bytes = seen.bytes.checked_div(seen.frames)?.max(1);
        let held = depth.slots.min(depth.bytes.checked_div(frame_bytes)?);
        let held = interval.saturating_mul(u32::try_from(held).unwrap_or(u32::MAX));
        let rest = held.checked_div(PART)?.min(LONGEST);
        (rest >= SHORTEST).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(count: u32, interval_ms: i64, bytes: usize, depth: Depth) -> Option<Duration> {
        let mut pace = Pace::default();
        for n in 0..i64::from(count) {
            pace.count(
                bytes,
                Timestamp::from_nanoseconds(n * interval_ms * 1_000_000),
            );
        }
        pace.take_rest(depth)
    }

    #[test]
    fn a_deep_ring_is_read_twice_a_second() {
        let two_seconds = Depth {
            slots: 64,
            bytes: 2 << 20,
        };
        assert_eq!(rest(15, 33, 20_000, two_seconds), Some(LONGEST));
    }

    #[test]
    fn a_shallow_one_at_each_frame() {
        let of = |frames: u64| Depth {
            slots: 64,
            bytes: frames * 16_600_000,
        };
        assert_eq!(rest(15, 33, 16_600_000, of(8)), None);
        let sixteen = rest(15, 33, 16_600_000, of(16));
        assert_eq!(sixteen, Some(Duration::from_millis(132)));
    }

    #[test]
    fn nothing_is_known_of_a_single_frame_or_of_none() {
        let depth = Depth {
            slots: 64,
            bytes: 1 << 20,
        };
        assert_eq!(rest(0, 33, 1, depth), None);
        assert_eq!(rest(1, 33, 1, depth), None);
        assert_eq!(rest(2, 0, 1, depth), None);
    }

    #[test]
    fn every_turn_is_measured_by_itself() {
        let mut pace = Pace::default();
        let depth = Depth {
            slots: 64,
            bytes: 1 << 30,
        };
        pace.count(1, Timestamp::from_nanoseconds(0));
        pace.count(1, Timestamp::from_nanoseconds(1_000_000_000));
        assert_eq!(pace.take_rest(depth), Some(LONGEST));
        pace.count(1, Timestamp::from_nanoseconds(2_000_000_000));
        assert_eq!(pace.take_rest(depth), None);
    }
}
