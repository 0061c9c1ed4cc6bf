//! When a program that has ended is started again.

use std::process::ExitStatus;
use std::time::Duration;

/// Which ends are followed by another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Restart {
    /// Whatever it exits with.
    Always,
    /// When it exits with another code than 0, or by a signal.
    OnFailure,
    /// None.
    Never,
}

impl Restart {
    /// Whether a program that has ended so is started again.
    pub(super) fn follows(self, status: ExitStatus) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => !status.success(),
            Self::Never => false,
        }
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(500);
const DELAY_MOST: Duration = Duration::from_secs(30);
/// A program that has run for so long has not failed because of how it is started.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// The pauses between a program's starts, longer each time that it did not live long.
#[derive(Debug)]
pub(super) struct Restarts {
    delay: Duration,
    count: u64,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            delay: FIRST_DELAY,
            count: 0,
        }
    }
}

impl Restarts {
    /// The pause after a program that has lived for so long, and how many there were with this one.
    pub(super) fn after(&mut self, life: Duration) -> (Duration, u64) {
        if life >= LONG_LIFE {
            self.delay = FIRST_DELAY;
        }
        let delay = self.delay;
        self.delay = delay.saturating_mul(2).min(DELAY_MOST);
        self.count = self.count.saturating_add(1);
        (delay, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_begin_anew_after_a_long_life() {
        let mut restarts = Restarts::default();
        let mut after = |seconds| restarts.after(Duration::from_secs(seconds));
        let pauses: Vec<u128> = (0..9).map(|_| after(1).0.as_millis()).collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
        );
        assert_eq!(after(10), (FIRST_DELAY, 10));
        assert_eq!(after(9), (2 * FIRST_DELAY, 11));
    }
}
