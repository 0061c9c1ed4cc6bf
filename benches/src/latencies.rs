//! How long frames took.

use std::fmt;
use std::time::Duration;

use sdvr_frame::percentile;

/// Times in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0
            .push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(crate) const fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many per cent do not exceed, in microseconds; 0 when there are none.
    pub(crate) fn at(&self, per_cent: usize) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        percentile(&sorted, per_cent).unwrap_or(0)
    }
}

impl From<Vec<u64>> for Latencies {
    fn from(microseconds: Vec<u64>) -> Self {
        Self(microseconds)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "p50 {} us, p90 {} us, p99 {} us, max {} us",
            self.at(50),
            self.at(90),
            self.at(99),
            self.at(100)
        )
    }
}
