//! Times as they are in files: microseconds since the first frame.

use crate::sample::{About, UtcTime};

/// In both containers.
pub(super) const TICKS_PER_SECOND: u32 = 1_000_000;
pub(super) const NS_PER_TICK: i64 = 1000;
/// Of a frame that nothing is known of: a rate that players take for unknown ones.
const INTERVAL_UNKNOWN: u64 = 40_000;

/// The times of a file's frames, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    begins: UtcTime,
    last: Option<u64>,
    /// From one frame to the next, as they were the last two times; before, as the stream announces it.
    intervals: [u64; 2],
}

impl Ticks {
    pub(super) fn new(about: &About) -> Self {
        let announced_ns = about.format.rate.interval_ns();
        let announced = announced_ns.map(|ns| ns / NS_PER_TICK.unsigned_abs());
        let interval = announced
            .filter(|&ticks| ticks > 0)
            .unwrap_or(INTERVAL_UNKNOWN);
        Self {
            begins: about.begins,
            last: None,
            intervals: [interval; 2],
        }
    }

    /// The time of the next frame: later than that of the one before.
    pub(super) fn next(&mut self, captured: UtcTime) -> u64 {
        let since_ns = captured.0.saturating_sub(self.begins.0);
        let since = u64::try_from(since_ns / NS_PER_TICK).unwrap_or(0);
        let ticks = match self.last {
            Some(last) => since.max(last.saturating_add(1)),
            None => since,
        };
        self.went_on(ticks);
        ticks
    }

    /// Goes on as if a frame with this time had been the next.
    pub(super) fn went_on(&mut self, ticks: u64) {
        if let Some(last) = self.last {
            let [_, before] = self.intervals;
            self.intervals = [before, ticks.saturating_sub(last).max(1)];
        }
        self.last = Some(ticks);
    }

    /// The time of the last frame.
    pub(super) const fn last(&self) -> Option<u64> {
        self.last
    }

    /// What the time from the last frame to the next may be: the shorter of the last two, for one of them may have been a gap.
    pub(super) fn interval(&self) -> u64 {
        let [before, last] = self.intervals;
        before.min(last)
    }

    /// The date of a time, to the microsecond; the last there is if it is beyond it.
    pub(super) fn date(&self, ticks: u64) -> UtcTime {
        let since_ns = i64::try_from(ticks)
            .unwrap_or(i64::MAX)
            .saturating_mul(NS_PER_TICK);
        UtcTime(self.begins.0.saturating_add(since_ns))
    }

    /// The time of a date that [`Self::date`] gave.
    pub(super) fn of_date(begins: UtcTime, date: UtcTime) -> u64 {
        u64::try_from(date.0.saturating_sub(begins.0) / NS_PER_TICK).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use sdvr_frame::{FourCc, FrameRate, StreamFormat};

    use super::*;

    fn ticks(begins: i64, rate: u32) -> Ticks {
        Ticks::new(&About {
            label: "front".parse().unwrap(),
            fingerprint: None,
            format: StreamFormat {
                fourcc: FourCc::MJPG,
                width: 1,
                height: 1,
                rate: FrameRate::from_whole(rate),
            },
            begins: UtcTime(begins),
        })
    }

    #[test]
    fn times_go_up_whatever_the_clock_does() {
        let mut ticks = ticks(5_000, 25);
        let of = [
            5_000,
            5_999,
            5_000,
            -7,
            90_000,
            i64::MAX,
            i64::MAX,
            i64::MIN,
        ];
        let found = of.map(|ns| ticks.next(UtcTime(ns)));
        let last = u64::try_from((i64::MAX - 5_000) / 1000).unwrap();
        assert_eq!(found, [0, 1, 2, 3, 85, last, last + 1, last + 2]);
        assert_eq!(ticks.date(85), UtcTime(90_000));
        assert_eq!(ticks.date(u64::MAX), UtcTime(i64::MAX));
    }

    #[test]
    fn the_next_interval_is_as_before_and_no_gap() {
        let mut ticks = ticks(0, 25);
        let after = [0, 33_000_000, 67_000_000, 7_067_000_000, 7_100_000_000];
        let found = after.map(|ns| {
            ticks.next(UtcTime(ns));
            ticks.interval()
        });
        assert_eq!(found, [40_000, 33_000, 33_000, 34_000, 33_000]);
    }
}
