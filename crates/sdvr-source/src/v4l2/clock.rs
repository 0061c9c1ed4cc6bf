//! When a frame was captured, on the clock that everything uses (`CLOCK_BOOTTIME`), out of what the driver says.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sdvr_frame::Timestamp;

/// A time so much before the stream was started is of another clock.
const BEFORE_START_MOST: Duration = Duration::from_secs(1);
/// A time so much in the future is of another clock, too. Some drivers are up to a frame ahead of the time.
const AHEAD_MOST_NS: i64 = 1_000_000_000;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) boottime: Timestamp,
    pub(crate) monotonic_ns: i64,
}

impl Clocks {
    pub(crate) fn read() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        Self {
            boottime: Timestamp::now(),
            monotonic_ns: time
                .tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_nsec),
        }
    }

    /// When a frame was captured that a driver stamped with this time (if with any). Never in the future, never before `not_before`: a frame is
    /// not captured before the one before it. What cannot be a time of this stream is replaced by now, when the frame was taken.
    pub(crate) fn captured(
        self,
        stamp_ns: Option<i64>,
        started: Timestamp,
        not_before: Timestamp,
    ) -> Timestamp {
        let now = self.boottime;
        let Some(stamp_ns) = stamp_ns else {
            return now;
        };
        let ahead_ns = stamp_ns.saturating_sub(self.monotonic_ns);
        let time = now.offset_by(ahead_ns);
        if ahead_ns > AHEAD_MOST_NS || time < started - BEFORE_START_MOST {
            return now;
        }
        time.max(not_before).min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// A host that has slept for 100 s: 1000 s after boot, its monotonic clock says 900. The stream began 10 s ago.
    fn captured(stamp_ns: Option<i64>, not_before_s: i64) -> i64 {
        let clocks = Clocks {
            boottime: Timestamp::from_nanoseconds(1000 * SECOND),
            monotonic_ns: 900 * SECOND,
        };
        let at = |seconds| Timestamp::from_nanoseconds(seconds * SECOND);
        clocks
            .captured(stamp_ns, at(990), at(not_before_s))
            .as_nanoseconds()
    }

    #[test]
    fn the_driver_s_time_is_carried_over() {
        assert_eq!(captured(Some(899 * SECOND), 0), 999 * SECOND);
        assert_eq!(captured(Some(900 * SECOND - 5), 0), 1000 * SECOND - 5);
    }

    #[test]
    fn nothing_is_captured_in_the_future() {
        assert_eq!(captured(Some(900 * SECOND + 33_000_000), 0), 1000 * SECOND);
        assert_eq!(captured(Some(i64::MAX), 0), 1000 * SECOND);
    }

    #[test]
    fn times_of_other_clocks_are_replaced_by_now() {
        assert_eq!(captured(None, 0), 1000 * SECOND);
        assert_eq!(captured(Some(1), 0), 1000 * SECOND);
        assert_eq!(captured(Some(i64::MIN), 0), 1000 * SECOND);
        // Seconds since 1970.
        assert_eq!(captured(Some(1_790_000_000 * SECOND), 0), 1000 * SECOND);
        assert_eq!(captured(Some(880 * SECOND), 0), 1000 * SECOND);
    }

    #[test]
    fn times_never_go_back() {
        assert_eq!(captured(Some(898 * SECOND), 999), 999 * SECOND);
    }

    #[test]
    fn both_clocks_are_read() {
        let clocks = Clocks::read();
        assert!(clocks.boottime.as_nanoseconds() >= clocks.monotonic_ns - SECOND);
    }
}
