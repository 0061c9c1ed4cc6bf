//! Which frames are not among those that were written, and why.

use std::time::{Duration, Instant};

use sdvr::{Error, InstanceId};

use crate::output::say;

/// How often damaged frames are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// Which pictures of a run of the source were not taken, counted by the numbers of those that were: encoders send some in another order than they are
/// shown in.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The run, and its first and last number so far.
    span: Option<(InstanceId, u64, u64)>,
    /// Of those numbers, how many are accounted for: taken, damaged or told as missed.
    known: u64,
    /// Of runs before.
    between_runs: u64,
}

/// So many numbers may be missing that come later: what H.264 and H.265 allow.
pub(super) const REORDERED_MOST: u64 = 16;

impl Account {
    /// A picture was taken.
    pub(super) fn take(&mut self, instance: InstanceId, number: u64) {
        self.span = match self.span {
            Some((of, first, last)) if of == instance => {
                Some((of, first.min(number), last.max(number)))
            }
            _ => {
                self.between_runs = self.between_runs.saturating_add(self.untold(0));
                self.known = 0;
                Some((instance, number, number))
            }
        };
        self.known = self.known.saturating_add(1);
    }

    /// A frame that came and gave no picture, so that it was not missed.
    pub(super) fn pass_damaged(&mut self) {
        if self.span.is_some() {
            self.known = self.known.saturating_add(1);
        }
    }

    /// What is missing and was not told, but for so many.
    fn untold(&self, may_come: u64) -> u64 {
        let span = self.span.map_or(0, |(_, first, last)| {
            last.saturating_sub(first).saturating_add(1)
        });
        span.saturating_sub(self.known).saturating_sub(may_come)
    }

    /// Tells it: of this run, and of those before.
    pub(super) fn tell(&mut self, may_come: u64) -> (u64, u64) {
        let of_run = self.untold(may_come);
        self.known = self.known.saturating_add(of_run);
        (of_run, std::mem::take(&mut self.between_runs))
    }
}

/// Damaged frames, said once a second at most.
#[derive(Debug, Default)]
pub(crate) struct WithoutPicture {
    pub(crate) in_all: u64,
    said_at: Option<Instant>,
}

impl WithoutPicture {
    pub(crate) fn count(&mut self, error: &Error) {
        self.in_all = self.in_all.saturating_add(1);
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            say(format_args!("sdvr: {error} ({} in all)", self.in_all));
            self.said_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numbers: &[u64], may_come: u64, told: &[u64], at_end: u64) {
        let mut account = Account::default();
        let run = InstanceId([1; 16]);
        let is: Vec<u64> = numbers
            .iter()
            .map(|&number| {
                account.take(run, number);
                account.tell(may_come).0
            })
            .collect();
        assert_eq!(is, told);
        assert_eq!(account.tell(0).0, at_end);
        // And to another run it is handed over.
        account.take(InstanceId([2; 16]), 0);
        assert_eq!(account.tell(0), (0, 0));
    }

    #[test]
    fn what_is_missing_is_told_once() {
        check(&[5, 6, 9, 10], 0, &[0, 0, 2, 0], 0);
        check(&[0, 4, 2, 1, 3, 8, 6, 5, 7], 16, &[0; 9], 0);
        check(&[0, 4, 2, 3], 16, &[0; 4], 1);
        check(&[0, 20, 21], 16, &[0, 3, 0], 16);
    }

    #[test]
    fn damaged_frames_are_not_missed_and_the_end_of_a_run_is_told_in_the_next() {
        let mut account = Account::default();
        account.pass_damaged();
        account.take(InstanceId([1; 16]), 3);
        account.pass_damaged();
        account.take(InstanceId([1; 16]), 6);
        assert_eq!(account.untold(0), 1);
        account.take(InstanceId([2; 16]), 0);
        assert_eq!(account.tell(16), (0, 1));
    }
}
