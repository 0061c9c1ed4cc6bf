//! Waking and waiting: the two futex words of LAYOUT.md, how long a reader waits at most, and who wakes whom.
//!
//! The system's calls come in as [`Futex`], so that the model checker runs this code with a kernel of its own.

use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};

use crate::layout::Words;
use crate::slot;
use crate::sync::{AtomicU32, Ordering, fence};

/// Waiters that the writer wakes itself.
pub(crate) const WRITER_WAKES: u32 = 4;
/// Waiters that a woken reader wakes.
pub(crate) const READER_WAKES: u32 = 2;
/// More than there can be.
pub(crate) const WAKE_ALL: u32 = i32::MAX.unsigned_abs();
/// Changes with the state, so that a waiter sees it without a new frame.
const STATE_BIT: u32 = 1 << 31;

pub(crate) const SHORT_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How long waits stay short after a wake was lost.
const DISTRUST: Duration = Duration::from_secs(10);
/// How long to sleep where the kernel refuses to wait, which it does for memory that is none.
pub(crate) const REFUSED_SLEEP: Duration = Duration::from_millis(10);

/// The two futex words of a ring, and the kernel behind them.
pub(crate) trait Futex {
    /// The word of even (0) or odd (1) frames.
    fn word(&self, index: usize) -> &AtomicU32;

    /// Sleeps while the word holds `value`, until a wake or for `timeout`.
    fn wait(&self, index: usize, value: u32, timeout: Duration) -> Sleep;

    /// Wakes up to `count` sleepers.
    fn wake(&self, index: usize, count: u32);
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Somebody called [`Futex::wake`].
    Woken,
    /// The time was up.
    TimedOut,
    /// It had not begun, since the word had changed, or a signal ended it.
    Again,
    /// The kernel cannot wait there.
    Refused,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The frame is there.
    Ready,
    /// The stream's state has changed, and the frame was not published before it did.
    StateChanged,
    /// Nothing happened for a while: the frame has not come, the state is the same. A moment to look whether the writer lives.
    Nothing,
}

/// Which of the two words belongs to frame `n`.
pub(crate) const fn word_of(n: u64) -> usize {
    if n.is_multiple_of(2) { 0 } else { 1 }
}

/// The writer's half. Keeps what it stored, so that it never reads it back.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    words: [u32; 2],
}

impl Bell {
    /// Tells that frame `n` is published. Costs the same for any number of readers.
    pub(crate) fn announce_frame(&mut self, futex: &impl Futex, n: u64) {
        let index = word_of(n);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low bits of a count tell frames apart as well"
        )]
        let count = n.wrapping_add(1) as u32 & !STATE_BIT;
        let word = &mut self.words[index];
        *word = (*word & STATE_BIT) | count;
        // Pairs with the fence of a reader that has loaded the word: it then sees the head.
        futex.word(index).store(*word, Ordering::Release);
        // Always: asking who waits would cost as much.
        futex.wake(index, WRITER_WAKES);
    }

    /// Tells everyone that the state is another one.
    pub(crate) fn announce_state(&mut self, futex: &impl Futex) {
        for (index, word) in self.words.iter_mut().enumerate() {
            *word ^= STATE_BIT;
            // Pairs with the fence of a reader that has loaded the word: it then sees the state.
            futex.word(index).store(*word, Ordering::Release);
            futex.wake(index, WAKE_ALL);
        }
    }
}

/// The value of a word after a change of state, whose writer is gone.
pub(crate) const fn with_other_state_bit(word: u32) -> u32 {
    word ^ STATE_BIT
}

/// Waits for frame `n`, for a state other than `state`, or for as long as `patience` has, but not past `deadline`.
pub(crate) fn wait(
    futex: &impl Futex,
    words: Words<'_>,
    patience: &mut Patience,
    n: u64,
    state: StreamState,
    deadline: Timestamp,
) -> Wait {
    let index = word_of(n);
    let word = futex.word(index);
    let mut give_up = None;
    loop {
        let value = word.load(Ordering::Relaxed);
        // Pairs with the writer's store of the word: who sees it sees the head and the state before it.
        fence(Ordering::Acquire);
        let state_changed = slot::state(words) != state;
        // Pairs with the writer's store of the state: who sees it sees the head before it, so that no frame is missed
        // at the end.
        fence(Ordering::Acquire);
        if slot::head(words) > n {
            return Wait::Ready;
        }
        if state_changed {
            return Wait::StateChanged;
        }
        // From the first look on: a reader that wakes others for nothing must not put it off.
        let now = Timestamp::now();
        let give_up = *give_up.get_or_insert_with(|| deadline.min(patience.next_look(now)));
        let rest = give_up.saturating_since(now);
        if rest.is_zero() {
            return Wait::Nothing;
        }
        match futex.wait(index, value, rest) {
            // Whoever was woken passes it on before it works. Relaxed: only whether it changed counts. A wake without
            // a change is not the writer's, and would be passed on for ever.
            Sleep::Woken if word.load(Ordering::Relaxed) != value => {
                futex.wake(index, READER_WAKES);
            }
            Sleep::TimedOut if slot::head(words) > n => {
                patience.wake_was_lost(Timestamp::now());
                return Wait::Ready;
            }
            Sleep::Refused => std::thread::sleep(rest.min(REFUSED_SLEEP)),
            Sleep::Woken | Sleep::TimedOut | Sleep::Again => {}
        }
    }
}

/// A reader's patience: how long it lets the kernel hold it before it looks for itself.
#[derive(Clone, Debug)]
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

    /// That of somebody who never looks.
    #[cfg(all(test, not(loom)))]
    pub(crate) const fn endless() -> Self {
        Self {
            usual: Duration::from_secs(3600),
            distrust_until: None,
        }
    }

    /// When a wait that begins now ends at the latest.
    pub(crate) fn next_look(&self, now: Timestamp) -> Timestamp {
        now + if self.distrust_until.is_some_and(|until| now < until) {
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

#[cfg(all(test, not(loom)))]
mod tests;
