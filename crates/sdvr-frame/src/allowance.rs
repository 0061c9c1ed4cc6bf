//! How often something may happen: a burst, then so many a second.

use crate::Timestamp;

/// A token bucket. It starts full.
///
/// ```
/// use std::time::Duration;
/// use sdvr_frame::{Allowance, Timestamp};
///
/// let now = Timestamp::now();
/// let mut allowance = Allowance::new(now, 2.0, 10.0);
/// assert!(allowance.take(now) && allowance.take(now) && !allowance.take(now));
/// assert!(allowance.take(now + Duration::from_millis(100)));
/// ```
#[derive(Debug)]
pub struct Allowance {
    burst: f64,
    per_second: f64,
    tokens: f64,
    since: Timestamp,
}

impl Allowance {
    /// `burst` times at once, and `per_second` times a second when that is used up.
    #[must_use]
    pub const fn new(now: Timestamp, burst: f64, per_second: f64) -> Self {
        Self {
            burst,
            per_second,
            tokens: burst,
            since: now,
        }
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = now.saturating_since(self.since);
        self.since = self.since.max(now);
        self.tokens = passed
            .as_secs_f64()
            .mul_add(self.per_second, self.tokens)
            .min(self.burst);
    }

    /// Whether it may happen once more.
    pub fn has_any(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.tokens >= 1.0
    }

    /// Lets it happen once more; false if it may not.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let has_any = self.has_any(now);
        if has_any {
            self.tokens -= 1.0;
        }
        has_any
    }

    /// Takes back what was taken for something that did not happen after all.
    pub fn give_back(&mut self, count: usize) {
        for _ in 0..count {
            self.tokens = (self.tokens + 1.0).min(self.burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(allowance: &mut Allowance, now: Timestamp) -> usize {
        (0..10_000).filter(|_| allowance.take(now)).count()
    }

    #[test]
    fn a_burst_comes_at_once_and_then_so_many_a_second() {
        let start = Timestamp::from_nanoseconds(0);
        let mut allowance = Allowance::new(start, 1024.0, 200.0);
        assert_eq!(taken(&mut allowance, start), 1024);
        assert_eq!(taken(&mut allowance, start + Duration::from_millis(4)), 0);
        assert_eq!(taken(&mut allowance, start + Duration::from_secs(1)), 200);
        assert_eq!(
            taken(&mut allowance, start + Duration::from_secs(3600)),
            1024
        );
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let start = Timestamp::from_nanoseconds(0) + Duration::from_secs(100);
        let mut allowance = Allowance::new(start, 1024.0, 200.0);
        assert_eq!(taken(&mut allowance, start), 1024);
        assert_eq!(taken(&mut allowance, start - Duration::from_secs(50)), 0);
        assert_eq!(taken(&mut allowance, start), 0);
    }

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let start = Timestamp::from_nanoseconds(0);
        let mut allowance = Allowance::new(start, 1024.0, 200.0);
        assert_eq!(taken(&mut allowance, start), 1024);
        allowance.give_back(3);
        assert_eq!(taken(&mut allowance, start), 3);
        allowance.give_back(5000);
        assert_eq!(taken(&mut allowance, start), 1024);
    }
}
