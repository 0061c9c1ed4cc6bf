//! How long a reader waits at most, and what the futex words hold.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Waiters that the writer wakes itself.
pub(crate) const WRITER_WAKES: u32 = 4;
/// Waiters that a woken reader wakes.
pub(crate) const READER_WAKES: u32 = 2;
/// Changes with the state, so that a waiter sees it without a new frame.
const STATE_BIT: u32 = 1 << 31;

const SHORT_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How long waits stay short after a wake was lost.
const DISTRUST: Duration = Duration::from_secs(10);

/// The value of a futex word after frame `published - 1`, with the state's bit.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits of a count tell frames apart as well"
)]
pub(crate) const fn word(published: u64, state_bit: bool) -> u32 {
    (published as u32 & !STATE_BIT) | if state_bit { STATE_BIT } else { 0 }
}

/// Which of the two words belongs to frame `n`.
pub(crate) const fn word_of(n: u64) -> usize {
    if n.is_multiple_of(2) { 0 } else { 1 }
}

/// A reader's patience: how long it lets the kernel hold it before it looks for itself.
#[derive(Debug)]
pub(crate) struct Patience {
    usual: Duration,
    distrust_until: Option<Timestamp>,
}

impl Patience {
    /// For frames that come every `interval`, if that is known.
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        let usual = interval.map_or(LONGEST_WAIT, |interval| interval.saturating_mul(3) / 2);
        Self {
            usual: usual.clamp(SHORT_WAIT, LONGEST_WAIT),
            distrust_until: None,
        }
    }

    /// The longest wait from `now` on.
    pub(crate) fn longest_wait(&self, now: Timestamp) -> Duration {
        if self.distrust_until.is_some_and(|until| now < until) {
            SHORT_WAIT
        } else {
            self.usual
        }
    }

    /// A deadline passed and the frame was there: its wake was lost, or taken away by another reader.
    pub(crate) fn wake_was_lost(&mut self, now: Timestamp) {
        self.distrust_until = Some(now + DISTRUST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_short_after_a_lost_wake() {
        let now = Timestamp::from_nanoseconds(0);
        let mut patience = Patience::new(Some(Duration::from_millis(100)));
        assert_eq!(patience.longest_wait(now), Duration::from_millis(150));
        patience.wake_was_lost(now);
        assert_eq!(
            patience.longest_wait(now + Duration::from_secs(9)),
            SHORT_WAIT
        );
        assert_eq!(
            patience.longest_wait(now + Duration::from_secs(10)),
            Duration::from_millis(150)
        );
    }

    #[test]
    fn waits_stay_within_bounds() {
        let now = Timestamp::from_nanoseconds(0);
        assert_eq!(Patience::new(None).longest_wait(now), LONGEST_WAIT);
        assert_eq!(
            Patience::new(Some(Duration::MAX)).longest_wait(now),
            LONGEST_WAIT
        );
        assert_eq!(
            Patience::new(Some(Duration::ZERO)).longest_wait(now),
            SHORT_WAIT
        );
    }

    #[test]
    fn a_new_state_changes_the_word_and_nothing_else() {
        assert_ne!(word(7, false), word(7, true));
        assert_eq!(word(u64::MAX, false) & STATE_BIT, 0);
    }
}
