//! What could not be done: when it is tried again, and what is said of it.

use std::time::{Duration, Instant};

/// How soon it is tried again, and how late when that fails again and again.
const WAIT_LEAST: Duration = Duration::from_secs(1);
const WAIT_MOST: Duration = Duration::from_secs(30);
/// So many different reasons are said.
const SAID_MOST: usize = 16;

/// Attempts at one thing.
#[derive(Debug, Default)]
pub(super) struct Retries {
    /// Those that failed, one after the other.
    failed: Option<Failed>,
    said: Vec<String>,
}

#[derive(Debug)]
struct Failed {
    wait: Duration,
    try_again: Instant,
}

impl Retries {
    /// It was tried in vain. Whether the reason has not been said yet, and is to be.
    pub(super) fn fail(&mut self, now: Instant, why: &str) -> bool {
        let wait = self.failed.as_ref().map_or(WAIT_LEAST, |failed| {
            failed.wait.saturating_mul(2).min(WAIT_MOST)
        });
        self.failed = Some(Failed {
            wait,
            try_again: now + wait,
        });
        let is_new = self.said.len() < SAID_MOST && !self.said.iter().any(|said| said == why);
        if is_new {
            self.said.push(why.to_owned());
        }
        is_new
    }

    /// It has succeeded, or will as soon as somebody else is done: the next failure is as the first.
    pub(super) fn begin_anew(&mut self) {
        self.failed = None;
    }

    /// How long until it is worth another try; zero if it is now.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        self.failed.as_ref().map_or(Duration::ZERO, |failed| {
            failed.try_again.saturating_duration_since(now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_less_and_less_and_at_once_when_it_was_well_meanwhile() {
        let (mut retries, mut now) = (Retries::default(), Instant::now());
        assert_eq!(retries.due_in(now), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..7 {
            retries.fail(now, "broken");
            let wait = retries.due_in(now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        retries.begin_anew();
        assert_eq!(retries.due_in(now), Duration::ZERO);
        retries.fail(now, "broken");
        assert_eq!(retries.due_in(now), WAIT_LEAST);
    }

    #[test]
    fn each_reason_is_said_once_and_not_endlessly_many_are() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        assert!(retries.fail(now, "broken") && retries.fail(now, "stolen"));
        assert!(!retries.fail(now, "broken") && !retries.fail(now, "stolen"));
        retries.begin_anew();
        assert!(!retries.fail(now, "broken"));
        let said = (0..100).filter(|n| retries.fail(now, &n.to_string()));
        assert_eq!(said.count(), SAID_MOST - 2);
    }
}
