//! Time as SDVR keeps it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds of `CLOCK_BOOTTIME` of some host: it never jumps, and it counts while suspended.
///
/// Which host's clock is meant is said where a timestamp is kept. Arithmetic saturates, so that
/// no number a peer sends can overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time later than any other: a timer that never fires.
    pub const NEVER: Self = Self(i64::MAX);

    /// The time `nanoseconds` after the host's boot.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds after the host's boot.
    #[must_use]
    pub const fn as_nanoseconds(self) -> i64 {
        self.0
    }

    /// Reads this host's clock.
    #[must_use]
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Self(
            time.tv_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_nsec),
        )
    }

    /// How long this is after `earlier`; zero when it is not.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Nanoseconds from `other` to this, negative when `other` is later.
    #[must_use]
    pub const fn nanoseconds_since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// This time moved by `nanoseconds`, which may be negative.
    #[must_use]
    pub const fn offset_by(self, nanoseconds: i64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }
}

fn saturating_nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanoseconds(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanoseconds(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::NEVER + Duration::from_secs(1), Timestamp::NEVER);
        let first = Timestamp::from_nanoseconds(i64::MIN);
        assert_eq!(first - Duration::from_secs(1), first);
        assert_eq!(first.saturating_since(Timestamp::NEVER), Duration::ZERO);
        assert_eq!(Timestamp::NEVER.nanoseconds_since(first), i64::MAX);
    }

    #[test]
    fn the_clock_goes_forward() {
        let before = Timestamp::now();
        assert!(Timestamp::now() >= before && before.as_nanoseconds() > 0);
    }
}
