//! When the next frame is due.

use sdvr_frame::{FrameRate, Timestamp};

/// After a longer stall (the host slept) the pace begins anew instead of catching up.
pub(crate) const STALL_NS: u64 = 1_000_000_000;

/// Evenly spaced moments, without drift.
#[derive(Debug)]
pub(crate) struct Pace {
    interval_ns: u64,
    next: Option<Timestamp>,
}

impl Pace {
    /// `None` for a rate of zero.
    pub(crate) fn new(rate: FrameRate) -> Option<Self> {
        let interval_ns = rate.interval_ns().filter(|&interval| interval > 0)?;
        Some(Self {
            interval_ns,
            next: None,
        })
    }

    /// When the next frame is due; at once before the first.
    pub(crate) fn due(&self) -> Timestamp {
        self.next.unwrap_or(Timestamp::from_nanoseconds(i64::MIN))
    }

    /// If a frame is due: its moment, and how many moments before it were missed.
    pub(crate) fn take(&mut self, now: Timestamp, may_miss: bool) -> Option<(Timestamp, u64)> {
        let due = self.next.unwrap_or(now);
        if now < due {
            return None;
        }
        let late_ns = u64::try_from(now.nanoseconds_since(due)).unwrap_or(0);
        let interval = i64::try_from(self.interval_ns).unwrap_or(i64::MAX);
        if !may_miss {
            // A frame that waits for its moment is not lost by being late.
            let due = if late_ns > STALL_NS { now } else { due };
            self.next = Some(due.offset_by(interval));
            return Some((due, 0));
        }
        let missed = late_ns / self.interval_ns;
        let due = due
            .offset_by(i64::try_from(missed.saturating_mul(self.interval_ns)).unwrap_or(i64::MAX));
        self.next = Some(due.offset_by(interval));
        Some((due, missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanoseconds(ms * MS)
    }

    #[test]
    fn missed_moments_are_counted_and_the_grid_stays() {
        let mut pace = Pace::new(FrameRate::from_whole(100)).unwrap();
        assert_eq!(pace.take(at(1000), true), Some((at(1000), 0)));
        assert_eq!(pace.take(at(1009), true), None);
        assert_eq!(pace.take(at(1047), true), Some((at(1040), 3)));
        assert_eq!(pace.due(), at(1050));
    }

    #[test]
    fn a_file_misses_nothing() {
        let mut pace = Pace::new(FrameRate::from_whole(100)).unwrap();
        assert_eq!(pace.take(at(0), false), Some((at(0), 0)));
        assert_eq!(pace.take(at(47), false), Some((at(10), 0)));
        assert_eq!(pace.take(at(47), false), Some((at(20), 0)));
        assert_eq!(pace.take(at(5000), false), Some((at(5000), 0)));
    }

    #[test]
    fn no_rate_no_pace() {
        assert!(Pace::new(FrameRate::UNPACED).is_none());
    }
}
