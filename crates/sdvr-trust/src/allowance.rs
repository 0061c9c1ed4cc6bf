//! How many new cameras may come how fast: a site may switch a thousand on together, a flood of keys must not fill the disk.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// New cameras at once.
pub(crate) const NEW_BURST: f64 = 1024.0;
/// How fast that many more may come.
pub(crate) const NEW_PER_SECOND: f64 = 200.0;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Allowance {
    tokens: f64,
    since: Timestamp,
}

impl Allowance {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            tokens: NEW_BURST,
            since: now,
        }
    }

    fn refill(&mut self, now: Timestamp) {
        let passed = now
            .saturating_since(self.since)
            .min(Duration::from_secs(60));
        self.since = self.since.max(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * NEW_PER_SECOND).min(NEW_BURST);
    }

    /// Whether one more may come.
    pub(crate) fn has_any(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.tokens >= 1.0
    }

    /// Lets one more come, if it may.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        let has_any = self.has_any(now);
        if has_any {
            self.tokens -= 1.0;
        }
        has_any
    }

    /// Takes back what was taken for cameras that were not let in after all.
    pub(crate) fn give_back(&mut self, count: usize) {
        for _ in 0..count {
            self.tokens = (self.tokens + 1.0).min(NEW_BURST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(allowance: &mut Allowance, now: Timestamp) -> usize {
        (0..10_000).filter(|_| allowance.take(now)).count()
    }

    #[test]
    fn a_burst_comes_at_once_and_then_so_many_a_second() {
        let start = Timestamp::from_nanoseconds(0);
        let mut allowance = Allowance::new(start);
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
        let mut allowance = Allowance::new(start);
        assert_eq!(taken(&mut allowance, start), 1024);
        assert_eq!(taken(&mut allowance, start - Duration::from_secs(50)), 0);
        assert_eq!(taken(&mut allowance, start), 0);
    }

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let start = Timestamp::from_nanoseconds(0);
        let mut allowance = Allowance::new(start);
        assert_eq!(taken(&mut allowance, start), 1024);
        allowance.give_back(3);
        assert_eq!(taken(&mut allowance, start), 3);
        allowance.give_back(5000);
        assert_eq!(taken(&mut allowance, start), 1024);
    }
}
