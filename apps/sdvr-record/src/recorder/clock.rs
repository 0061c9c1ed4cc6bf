//! Capture times as dates.
//!
//! Frames are captured on a clock that nobody can set; dates are asked of one that can be. Within a file the one goes on from where the other was when the file
//! began, so that no step of the host's clock makes its times jump. After a step the file ends at the next place where one can begin, and the one after it is named by the new
//! time.

use std::time::{Duration, SystemTime};

use sdvr_frame::Timestamp;

use crate::sample::UtcTime;

/// A clock that was set, and not only corrected by a little.
const STEP_LEAST: Duration = Duration::from_millis(500);

/// How capture times become dates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    offset_ns: i64,
}

impl Dates {
    /// By a frame that was captured then, and at that date by the host's clock as it is set now.
    pub(super) fn of(captured: Timestamp, date: SystemTime) -> Self {
        let since_epoch = match date.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos())
                .unwrap_or(i64::MAX)
                .saturating_neg(),
        };
        Self {
            offset_ns: since_epoch.saturating_sub(captured.as_nanoseconds()),
        }
    }

    pub(super) fn date(self, captured: Timestamp) -> UtcTime {
        UtcTime(captured.as_nanoseconds().saturating_add(self.offset_ns))
    }

    /// By how much the host's clock was set forward (or back, below zero) since this one, in nanoseconds, if it was set.
    pub(super) fn step_to(self, now: Self) -> Option<i64> {
        let step_ns = now.offset_ns.saturating_sub(self.offset_ns);
        (u128::from(step_ns.unsigned_abs()) >= STEP_LEAST.as_nanos()).then_some(step_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn dates(captured_s: i64, date_s: u64) -> Dates {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date_s);
        Dates::of(Timestamp::from_nanoseconds(captured_s * S), date)
    }

    #[test]
    fn dates_go_on_as_the_clock_that_nobody_sets() {
        let dates = dates(100, 1_800_000_000);
        let later = Timestamp::from_nanoseconds(103 * S + 5);
        assert_eq!(dates.date(later), UtcTime(1_800_000_003 * S + 5));
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_one_that_drifts_is_not() {
        let before = dates(100, 1_800_000_000);
        assert_eq!(before.step_to(dates(160, 1_800_000_060)), None);
        let years = 10 * 365 * 86_400;
        assert_eq!(
            before.step_to(dates(160, 1_800_000_060 + years)),
            Some(i64::try_from(years).unwrap() * S)
        );
        assert_eq!(
            before.step_to(dates(160, 1_800_000_060 - years)),
            Some(-i64::try_from(years).unwrap() * S)
        );
    }
}
