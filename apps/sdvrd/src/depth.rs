//! How far back the ring of an inter-coded stream must reach: to its last key frame but one, so that a program that begins to
//! read finds a key frame with all that follows it, and one that is late finds the one before.
//!
//! Arithmetic only. It asks for a deeper ring while the frames that are wanted are still there, and never for a shallower one: so
//! it cannot go to and fro.

use std::time::Duration;

use sdvr_frame::{FrameFlags, Timestamp};

use crate::sizing::RingSize;

/// No ring has to reach back further.
const REACH_MOST: Duration = Duration::from_secs(30);
/// How soon a deeper ring is asked for again when there was no memory for it.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What a ring must hold besides what its stream's format tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
}

/// The key frames of a stream, as far as they matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Depth {
    /// Of all frames.
    total: Reach,
    largest_bytes: u64,
    last_key: Option<Mark>,
    key_before: Option<Mark>,
    /// Before then no deeper ring is asked for.
    retry_at: Option<Timestamp>,
    /// Whether it is known that there is no memory for one.
    is_refused: bool,
}

/// Where a key frame began.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    before: Reach,
}

impl Depth {
    /// A frame of an inter-coded stream was published.
    pub(crate) fn count(&mut self, at: Timestamp, flags: FrameFlags, frame_bytes: u64) {
        if flags.contains(FrameFlags::KEY) {
            self.key_before = self.last_key;
            self.last_key = Some(Mark {
                at,
                before: self.total,
            });
        }
        self.largest_bytes = self.largest_bytes.max(frame_bytes);
        self.total.bytes += RingSize::place_of(frame_bytes);
        self.total.frames += 1;
    }

    /// What a ring in the place of one of `size` should hold, if that one is about to lose the key frame to which it should reach
    /// back.
    pub(crate) fn wants_more(&self, now: Timestamp, size: RingSize) -> Option<Reach> {
        let needed = self.needed(now)?;
        let is_short =
            needed.bytes > size.data_bytes / 4 * 3 || needed.frames > u64::from(size.slots) / 4 * 3;
        let is_due = self.retry_at.is_none_or(|retry_at| now >= retry_at);
        (is_short && is_due).then(|| self.foreseen(now)).flatten()
    }

    /// There is no memory for a deeper ring; true when that was not known.
    pub(crate) fn was_refused(&mut self, now: Timestamp) -> bool {
        self.wait(now);
        !std::mem::replace(&mut self.is_refused, true)
    }

    /// The ring was made smaller for others: it is not to take their memory back at once.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        self.retry_at = Some(now + RETRY_AFTER);
    }

    /// What the ring must hold now.
    fn needed(&self, now: Timestamp) -> Option<Reach> {
        let mark = self.key_before.or(self.last_key)?;
        let reach = self.since(mark).within(now.saturating_since(mark.at));
        // Before the end of the ring that a frame does not fit into, and for the one that is being written.
        Some(Reach {
            bytes: reach
                .bytes
                .saturating_add(self.largest_bytes.saturating_mul(2)),
            frames: reach.frames + 2,
        })
    }

    /// What it will have to hold, as far as can be told: two intervals like the last one if there was one, and else twice what
    /// it is now. With a quarter more, since frames differ.
    pub(crate) fn foreseen(&self, now: Timestamp) -> Option<Reach> {
        let needed = self.needed(now)?;
        let (reach, time) = match (self.key_before, self.last_key) {
            (Some(before), Some(last)) => {
                let interval = Reach {
                    bytes: last.before.bytes - before.before.bytes,
                    frames: last.before.frames - before.before.frames,
                };
                (interval.twice(), last.at.saturating_since(before.at) * 2)
            }
            (None, Some(last)) => (self.since(last).twice(), now.saturating_since(last.at) * 2),
            (_, None) => return None,
        };
        let foreseen = reach.within(time);
        Some(Reach {
            bytes: with_a_quarter(needed.bytes.max(foreseen.bytes)),
            frames: with_a_quarter(needed.frames.max(foreseen.frames)),
        })
    }

    fn since(&self, mark: Mark) -> Reach {
        Reach {
            bytes: self.total.bytes - mark.before.bytes,
            frames: self.total.frames - mark.before.frames,
        }
    }
}

impl Reach {
    const fn twice(self) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(2),
            frames: self.frames.saturating_mul(2),
        }
    }

    /// As much of it as is needed when it took `time`, on the average.
    fn within(self, time: Duration) -> Self {
        if time <= REACH_MOST {
            return self;
        }
        let part = |amount: u64| {
            let part = u128::from(amount) * REACH_MOST.as_nanos() / time.as_nanos();
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        Self {
            bytes: part(self.bytes),
            frames: part(self.frames),
        }
    }
}

const fn with_a_quarter(amount: u64) -> u64 {
    amount.saturating_add(amount / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: RingSize = RingSize {
        slots: 1024,
        data_bytes: 1 << 20,
    };

    /// Frames of 10,048 bytes, ten a second, every `interval`th a key frame; gives the time after the last one.
    fn stream(depth: &mut Depth, begin: u32, frames: u32, interval: u32) -> Timestamp {
        let at = |n: u32| Timestamp::from_nanoseconds(0) + Duration::from_millis(100) * n;
        for n in begin..begin + frames {
            let flags = if n.is_multiple_of(interval) {
                FrameFlags::KEY
            } else {
                FrameFlags::NONE
            };
            depth.count(at(n), flags, 10_048);
        }
        at(begin + frames)
    }

    #[test]
    fn a_ring_that_holds_two_intervals_is_left_as_it_is() {
        let mut depth = Depth::default();
        for begin in (0..1000).step_by(10) {
            let now = stream(&mut depth, begin, 10, 30);
            assert_eq!(depth.wants_more(now, SMALL), None, "{begin}");
        }
    }

    #[test]
    fn a_deeper_one_is_asked_for_before_the_key_frame_is_lost_and_holds_two_intervals() {
        let mut depth = Depth::default();
        let mut size = SMALL;
        let mut rings = 0;
        for n in 0..2000 {
            let now = stream(&mut depth, n, 1, 100);
            if let Some(reach) = depth.wants_more(now, size) {
                size.data_bytes = reach.bytes.next_power_of_two();
                size.slots = u32::try_from(reach.frames.next_power_of_two().max(1024)).unwrap();
                rings += 1;
            }
            let needed = (n % 100 + 1 + if n < 100 { 0 } else { 100 }) * 10_048;
            assert!(
                u64::from(needed) + 10_048 < size.data_bytes,
                "{n}: {size:?}"
            );
        }
        assert!(rings <= 2, "it flaps: {rings}");
        assert!(size.data_bytes <= 4 << 20, "{size:?}");
    }

    #[test]
    fn small_frames_take_slots() {
        let mut depth = Depth::default();
        let size = RingSize {
            slots: 64,
            data_bytes: 1 << 30,
        };
        let now = stream(&mut depth, 0, 50, 40);
        let reach = depth.wants_more(now, size).unwrap();
        assert!(reach.frames >= 80, "{reach:?}");
    }

    #[test]
    fn half_a_minute_is_enough() {
        let mut depth = Depth::default();
        let now = stream(&mut depth, 0, 5000, 100_000);
        let reach = depth.wants_more(now, SMALL).unwrap();
        assert!((300..=400).contains(&reach.frames), "{reach:?}");
        assert!(reach.bytes <= 400 * 10_048, "{reach:?}");
        let size = RingSize {
            slots: 1024,
            data_bytes: reach.bytes.next_power_of_two() * 2,
        };
        let now = stream(&mut depth, 5000, 50_000, 100_000);
        assert_eq!(depth.wants_more(now, size), None);
    }

    #[test]
    fn without_a_key_frame_there_is_nothing_to_reach() {
        let mut depth = Depth::default();
        let now = stream(&mut depth, 1, 5000, 100_000);
        assert_eq!(depth.wants_more(now, SMALL), None);
    }

    #[test]
    fn a_ring_that_was_made_smaller_is_not_made_deeper_again_at_once() {
        let mut depth = Depth::default();
        let now = stream(&mut depth, 0, 200, 1000);
        depth.wait(now);
        assert_eq!(depth.wants_more(now, SMALL), None);
        let later = stream(&mut depth, 200, 400, 1000);
        assert!(depth.wants_more(later, SMALL).is_some());
        assert!(depth.was_refused(later), "nobody knows yet");
    }

    #[test]
    fn a_refusal_is_known_for_half_a_minute_and_said_once() {
        let mut depth = Depth::default();
        let now = stream(&mut depth, 0, 200, 1000);
        assert!(depth.wants_more(now, SMALL).is_some());
        assert!(depth.was_refused(now));
        assert_eq!(depth.wants_more(now, SMALL), None);
        let later = stream(&mut depth, 200, 400, 1000);
        assert!(depth.wants_more(later, SMALL).is_some());
        assert!(!depth.was_refused(later));
    }
}
