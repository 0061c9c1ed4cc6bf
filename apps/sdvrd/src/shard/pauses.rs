//! When a thread had better look by itself than be woken for every little that comes.
//!
//! ```text
//! woken for each:   ▁█▁█▁█▁█▁█▁█▁█▁█     to be woken and to fall asleep takes as long as a dozen packets
//! after pauses:     ▁▁▁▁▁▁▁▁████████     the same packets, in one turn; the last of them up to a pause later
//! ```
//!
//! As network cards do with their interrupts, this begins only where packets come faster than threads fall asleep, and ends with the first pause
//! in which few have come.

use std::ops::AddAssign;
use std::time::Duration;

/// How long a pause is. The kernel makes it half as much longer.
pub(super) const PAUSE: Duration = Duration::from_micros(100);
/// Whoever is woken after so little would have done better not to fall asleep.
const SHORT_SLEEP: Duration = Duration::from_micros(50);
/// So many short sleeps, one after the other, are no chance. A frame of 100 KB that comes at a gigabit a second is over before.
const SHORT_SLEEPS_LEAST: u32 = 16;
/// What must have come in a pause for another one: more than a wake costs.
const DATAGRAMS_LEAST: usize = 16;

/// What came in a turn of work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) datagrams: usize,
    /// There may be more now.
    pub(super) is_part: bool,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.is_part |= other.is_part;
    }
}

/// Whether a thread pauses.
#[derive(Debug)]
pub(super) enum Pauses {
    /// It does not: it is woken as soon as something comes. The last so many sleeps were short.
    Never { short_sleeps: u32 },
    /// It does before each time that it waits.
    Always,
    /// It did, and goes on without one, as it has not taken all that has come.
    Suspended,
}

impl Default for Pauses {
    fn default() -> Self {
        Self::Never { short_sleeps: 0 }
    }
}

impl Pauses {
    /// Whether to pause now, before the next wait.
    pub(super) const fn is_due(&self) -> bool {
        matches!(self, Self::Always)
    }

    /// A turn of work is over, before which the thread was asleep for so long.
    pub(super) fn turn(&mut self, asleep: Duration, taken: Taken) {
        *self = match self {
            _ if taken.datagrams == 0 => Self::default(),
            Self::Never { short_sleeps } if asleep < SHORT_SLEEP => {
                let short_sleeps = short_sleeps.saturating_add(1);
                if short_sleeps < SHORT_SLEEPS_LEAST {
                    Self::Never { short_sleeps }
                } else if taken.is_part {
                    Self::Suspended
                } else {
                    Self::Always
                }
            }
            Self::Always | Self::Suspended if taken.is_part => Self::Suspended,
            Self::Suspended => Self::Always,
            Self::Always if taken.datagrams >= DATAGRAMS_LEAST => Self::Always,
            Self::Never { .. } | Self::Always => Self::default(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(5);
    const LONG: Duration = Duration::from_millis(1);

    fn taken(datagrams: usize) -> Taken {
        Taken {
            datagrams,
            is_part: false,
        }
    }

    fn after_many_short_sleeps() -> Pauses {
        let mut pauses = Pauses::default();
        for _ in 0..SHORT_SLEEPS_LEAST {
            assert!(!pauses.is_due());
            pauses.turn(SHORT, taken(1));
        }
        pauses
    }

    #[test]
    fn packets_that_come_faster_than_threads_fall_asleep_are_looked_for_in_pauses() {
        let mut pauses = after_many_short_sleeps();
        for _ in 0..100 {
            assert!(pauses.is_due());
            pauses.turn(SHORT, taken(60));
        }
        pauses.turn(SHORT, taken(3));
        assert!(!pauses.is_due());
    }

    #[test]
    fn who_sleeps_long_or_finds_nothing_is_woken() {
        let mut pauses = Pauses::default();
        for turn in 1..1_000 {
            let asleep = if turn % SHORT_SLEEPS_LEAST == 0 {
                LONG
            } else {
                SHORT
            };
            pauses.turn(asleep, taken(1));
            assert!(!pauses.is_due());
        }
        let mut pauses = after_many_short_sleeps();
        pauses.turn(SHORT, taken(0));
        assert!(!pauses.is_due());
    }

    #[test]
    fn what_is_there_already_is_taken_without_a_pause() {
        let mut pauses = after_many_short_sleeps();
        for _ in 0..3 {
            pauses.turn(
                Duration::ZERO,
                Taken {
                    datagrams: 256,
                    is_part: true,
                },
            );
            assert!(!pauses.is_due());
        }
        pauses.turn(Duration::ZERO, taken(1));
        assert!(pauses.is_due());
    }
}
