//! Waiting on many rings at once, by `futex_waitv`. The rules are those of LAYOUT.md, "Waking".

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::Timespec;
use sdvr_frame::Timestamp;

use crate::file_lock;
use crate::reader::{RingReader, is_unlinked};
use crate::shared_memory::Mapping;
use crate::slot;
use crate::sync::{Ordering, fence};
use crate::wakeup::{
    self, Futex, Patience, READER_WAKES, REFUSED_SLEEP, SHORT_WAIT, Sleep, WAKE_ALL,
};

/// On how many rings [`wait_many`] can wait: the kernel takes 128 words, and one is the bell's.
pub const WAIT_MANY_MOST: usize = 127;
/// Looks fall on multiples of this, so that many rings are looked at together.
const LOOK_GRID_NS: i64 = 25_000_000;

/// A frame of a ring that is waited for together with those of other rings. Keeps the ring mapped, and may be sent to another thread.
#[derive(Debug)]
pub struct Awaited {
    mapping: Arc<Mapping>,
    file: Arc<OwnedFd>,
    patience: Patience,
    n: u64,
    /// What the futex word held when the ring was looked at last.
    value: u32,
    /// When to look whether the writer lives; `None` when a wait begins.
    next_look: Option<Timestamp>,
    has_news: bool,
}

impl Awaited {
    pub(crate) fn new(
        mapping: Arc<Mapping>,
        file: Arc<OwnedFd>,
        patience: Patience,
        n: u64,
    ) -> Self {
        Self {
            mapping,
            file,
            patience,
            n,
            value: 0,
            next_look: None,
            has_news: false,
        }
    }

    /// Whether the frame has come, the state is final, or nothing more will come: the writer is gone, or the ring has lost its name. As
    /// the last [`wait_many`] saw it; stays so.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.has_news
    }

    /// Whether it waits for frame `n` of this ring.
    #[must_use]
    pub fn is_for(&self, reader: &RingReader, n: u64) -> bool {
        self.n == n && self.is_of(reader)
    }

    fn is_of(&self, reader: &RingReader) -> bool {
        Arc::ptr_eq(&self.mapping, reader.mapping())
    }

    /// Waits for frame `n` next, if that is of the same ring: what was learned of lost wakes is kept. Else gives itself up.
    #[must_use]
    pub fn again(self, reader: &RingReader, n: u64) -> Option<Self> {
        let is_same = self.is_of(reader);
        is_same.then_some(Self {
            n,
            next_look: None,
            has_news: false,
            ..self
        })
    }

    /// Before a wait: what the word holds, and then what has happened.
    fn prepare(&mut self, now: Timestamp) {
        self.value = self.word().load(Ordering::Relaxed);
        // Pairs with the writer's store of the word: who sees it sees the head and the state before it.
        fence(Ordering::Acquire);
        self.look();
        let patience = &self.patience;
        self.next_look.get_or_insert_with(|| {
            let look = patience.next_look(now).as_nanoseconds();
            let earlier = look - look.rem_euclid(LOOK_GRID_NS);
            Timestamp::from_nanoseconds(earlier)
        });
    }

    /// After a wait, however it ended.
    fn finish(&mut self, slept: Sleep, now: Timestamp) {
        // One call can take the wakes of several words and tell of one. Relaxed: only whether it changed counts.
        if self.word().load(Ordering::Relaxed) != self.value {
            self.mapping.wake(wakeup::word_of(self.n), READER_WAKES);
        }
        self.look();
        if self.has_news {
            if slept == Sleep::TimedOut && slot::head(self.mapping.words()) > self.n {
                self.patience.wake_was_lost(now);
            }
        } else if self.next_look.is_some_and(|look| look <= now) {
            self.next_look = None;
            if self.is_over() {
                self.has_news = true;
            }
        }
    }

    fn look(&mut self) {
        let words = self.mapping.words();
        let state = slot::state(words);
        // Pairs with the writer's store of the state: who sees it sees the head before it.
        fence(Ordering::Acquire);
        if state.is_final() || slot::head(words) > self.n {
            self.has_news = true;
        }
    }

    fn is_over(&self) -> bool {
        !file_lock::is_locked(self.file.as_fd()).unwrap_or(false) || is_unlinked(&self.file)
    }

    fn word(&self) -> &AtomicU32 {
        self.mapping.word(wakeup::word_of(self.n))
    }
}

/// Interrupts a [`wait_many`] of the same process.
#[derive(Debug, Default)]
pub struct Doorbell {
    rings: AtomicU32,
}

impl Doorbell {
    /// How often it rang. What was done before a ring that is counted here is visible afterwards.
    #[must_use]
    pub fn rings(&self) -> u32 {
        // Pairs with `ring`.
        self.rings.load(Ordering::Acquire)
    }

    /// Ends the wait of whoever waits with an earlier count of [`Self::rings`], now or later.
    pub fn ring(&self) {
        // Pairs with `rings`.
        self.rings.fetch_add(1, Ordering::Release);
        // Fails only for memory that is none.
        let _ = futex::wake(&self.rings, futex::Flags::PRIVATE, WAKE_ALL);
    }
}

/// Waits until one of the rings has news, `bell` has rung more than `heard` times, the rings were to be looked at, or `deadline`: may return without any
/// of these, so look at each [`Awaited::has_news`] and wait again.
///
/// Whoever was woken wakes two more readers of the ring, as every reader does; on every word that has moved, since one call takes the wakes of several. The
/// liveness of the writers is looked at here, as often as [`RingReader::wait`] would return for it.
///
/// Rings after the first [`WAIT_MANY_MOST`] are looked at every 50 ms and not waited on. Where the kernel cannot wait on many words (before Linux 5.16, or
/// where a filter refuses it), all are looked at every 10 ms.
///
/// ```
/// use sdvr_frame::Timestamp;
/// use sdvr_ring::{Doorbell, wait_many};
///
/// let bell = Doorbell::default();
/// let heard = bell.rings();
/// bell.ring();
/// // It has rung since, so that this does not wait.
/// wait_many(&mut [], &bell, heard, Timestamp::NEVER);
/// ```
pub fn wait_many(awaited: &mut [&mut Awaited], bell: &Doorbell, heard: u32, deadline: Timestamp) {
    let start = Timestamp::now();
    let mut until = deadline;
    if awaited.len() > WAIT_MANY_MOST {
        until = until.min(start + SHORT_WAIT);
    }
    let mut has_news = false;
    for one in awaited.iter_mut() {
        one.prepare(start);
        has_news |= one.has_news;
        until = one.next_look.map_or(until, |look| look.min(until));
    }
    if has_news || bell.rings() != heard {
        return;
    }
    let rest = until.saturating_since(start);
    let slept = if rest.is_zero() {
        Sleep::Again
    } else {
        sleep(awaited, bell, heard, rest)
    };
    if slept == Sleep::Refused {
        std::thread::sleep(rest.min(REFUSED_SLEEP));
    }
    let end = Timestamp::now();
    for one in awaited.iter_mut() {
        one.finish(slept, end);
    }
}

fn sleep(awaited: &[&mut Awaited], bell: &Doorbell, heard: u32, rest: Duration) -> Sleep {
    let of_bell = waiter(&bell.rings, heard, WaitFlags::SIZE_U32 | WaitFlags::PRIVATE);
    // No flag: shared between processes.
    let of_rings = awaited
        .iter()
        .take(WAIT_MANY_MOST)
        .map(|one| waiter(one.word(), one.value, WaitFlags::SIZE_U32));
    let waiters: Vec<futex::Wait> = std::iter::once(of_bell).chain(of_rings).collect();
    // The call takes a point in time, and of the clocks that go on evenly only this one.
    let clock = rustix::time::ClockId::Monotonic;
    let until = rustix::time::clock_gettime(clock);
    let until = Duration::new(
        u64::try_from(until.tv_sec).unwrap_or(0),
        u32::try_from(until.tv_nsec).unwrap_or(0),
    )
    .saturating_add(rest);
    let until = Timespec {
        tv_sec: i64::try_from(until.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: until.subsec_nanos().into(),
    };
    match futex::waitv(&waiters, WaitvFlags::empty(), Some(&until), clock) {
        Ok(_) => Sleep::Woken,
        Err(Errno::TIMEDOUT) => Sleep::TimedOut,
        Err(Errno::AGAIN | Errno::INTR) => Sleep::Again,
        Err(_) => Sleep::Refused,
    }
}

fn waiter(word: &AtomicU32, value: u32, flags: WaitFlags) -> futex::Wait {
    let mut waiter = futex::Wait::new();
    waiter.val = value.into();
    waiter.uaddr = WaitPtr::new(word.as_ptr().cast::<c_void>());
    waiter.flags = flags;
    waiter
}

#[cfg(test)]
mod tests;
