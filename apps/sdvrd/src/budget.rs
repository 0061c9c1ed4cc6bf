//! The shared memory that all rings have together: who has how much of it, and who makes room for whom.
//!
//! What is free goes to whoever asks, as far as [`crate::sizing`] lets it. When not even a small ring finds room, others are asked: first
//! cameras that are lost give up their rings, then the deepest rings are made anew at half their depth. Half a ring has to be free for
//! that, so as much is kept free as long as there is a ring that can be made smaller.

mod ledger;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::ledger::{Entry, Ledger};
pub(crate) use self::ledger::{Plea, Room};
use crate::sizing::RingSize;

/// A number of bytes that rings take from and give back to. Shared by all shards.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Taken when rings come and go and when memory is short, never for a frame.
    ledger: Mutex<Ledger>,
    /// Whether anybody is asked for memory, so that the others need not look into the ledger.
    has_pleas: AtomicBool,
}

/// What one camera has of the budget.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// In rings that take frames.
    held_bytes: Arc<AtomicU64>,
    /// In rings that have ended, and whose memory is given back soon.
    leaving_bytes: Arc<AtomicU64>,
}

/// A part of the budget that one ring has, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    shared: Arc<Shared>,
    number: u64,
}

/// A place among those who wait for memory, in the order in which they came. Given up on drop.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

/// A ring that memory is wanted for.
#[derive(Debug)]
pub(crate) struct Wish<'a, S> {
    pub(crate) account: &'a Account,
    /// What the ring has whose place it takes. It has its memory for two seconds more; it does not count against its successor.
    pub(crate) instead_of: Option<&'a Share>,
    /// The smallest ring that would do.
    pub(crate) least: RingSize,
    /// The ring that it should be, where there is so much room.
    pub(crate) choose: S,
}

/// What is done for a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Room is made, if there is not enough.
    MakeRoom,
    /// It is now or never, and what is kept may be taken.
    TakeAny,
    /// What is there and not kept may be taken.
    TakeSpare,
}

/// What becomes of a wish.
#[derive(Debug)]
pub(crate) enum Reserved {
    Now(RingSize, Share),
    /// There will be room, or more of it, in a moment: to be asked for again.
    Soon(Ticket),
    /// There is no room, and nobody to make it.
    Never,
}

impl Budget {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                ledger: Mutex::new(Ledger::new(total_bytes)),
                has_pleas: AtomicBool::new(false),
            }),
        }
    }

    /// How much there is for another ring of a camera.
    pub(crate) fn room(&self, account: &Account) -> Room {
        self.shared.lock().room_for(account, None)
    }

    /// How much there is in all, and how much of it is free.
    pub(crate) fn total_room(&self) -> Room {
        self.shared.lock().room()
    }

    /// Takes memory for a ring, or has room made for it.
    ///
    /// `ticket` is from the time before, if there was one.
    pub(crate) fn reserve<S: Fn(Room) -> Option<RingSize>>(
        &self,
        wish: &Wish<'_, S>,
        ticket: Option<Ticket>,
        effort: Effort,
    ) -> Reserved {
        let mut ledger = self.shared.lock();
        let room = ledger.room_for(wish.account, wish.instead_of.map(|share| share.number));
        let earlier = ledger.wanted_bytes(ticket.as_ref().map(|ticket| ticket.number));
        let kept_bytes = ledger.kept_bytes() + earlier;
        let now = (wish.choose)(Room { kept_bytes, ..room })
            .filter(|size| size.total_bytes() <= room.camera_may_take_bytes);
        let soon = (wish.choose)(Room {
            free_bytes: room.free_bytes + ledger.leaving_bytes(),
            kept_bytes,
            ..room
        });
        let is_best = |size: &RingSize| soon.is_none_or(|soon| !soon.is_deeper_than(*size));
        let taken = match effort {
            Effort::MakeRoom => now.filter(is_best),
            Effort::TakeSpare => now,
            // What is kept is for those who come later: better this one than nobody.
            Effort::TakeAny => now.or_else(|| {
                (wish.choose)(Room {
                    kept_bytes: earlier,
                    ..room
                })
            }),
        };
        if let Some(size) = taken {
            let share = self.take(&mut ledger, size, wish);
            drop(ledger);
            return Reserved::Now(size, share);
        }
        let may_ever = (wish.choose)(Room {
            free_bytes: room.total_bytes,
            kept_bytes: 0,
            ..room
        });
        let needed_bytes = wish.least.total_bytes();
        let is_in_reach = soon.is_some() || ledger.can_free(needed_bytes + earlier);
        if effort != Effort::MakeRoom || may_ever.is_none() || !is_in_reach {
            drop(ledger);
            return Reserved::Never;
        }
        let number = match &ticket {
            Some(ticket) => ticket.number,
            None => ledger.number(),
        };
        ledger.wants(number, needed_bytes);
        if soon.is_none() {
            ledger.ask_around();
            self.shared.look_for_pleas(&ledger);
        }
        drop(ledger);
        Reserved::Soon(ticket.unwrap_or_else(|| Ticket {
            shared: Arc::clone(&self.shared),
            number,
        }))
    }

    /// Takes memory for a ring of this size in the place of another, if so much is free.
    pub(crate) fn exchange(
        &self,
        size: RingSize,
        account: &Account,
        instead_of: &Share,
    ) -> Option<Share> {
        let mut ledger = self.shared.lock();
        if size.total_bytes() > ledger.room().free_bytes {
            return None;
        }
        let least = ledger.least_of(instead_of.number)?;
        let wish = Wish {
            account,
            instead_of: Some(instead_of),
            least,
            choose: (),
        };
        let share = self.take(&mut ledger, size, &wish);
        drop(ledger);
        Some(share)
    }

    fn take<S>(&self, ledger: &mut Ledger, size: RingSize, wish: &Wish<'_, S>) -> Share {
        let number = ledger.enter(
            Entry::new(size, wish.least, wish.account.clone()),
            wish.instead_of.map(|share| share.number),
        );
        Share {
            shared: Arc::clone(&self.shared),
            number,
        }
    }

    /// Counts what an earlier daemon's ring has, which is given back soon, as far as the budget goes. `None` when nothing is left of that.
    pub(crate) fn take_over(&self, bytes: u64) -> Option<Share> {
        let mut ledger = self.shared.lock();
        let size = RingSize::of_total_bytes(bytes.min(ledger.room().free_bytes))?;
        let number = ledger.enter(Entry::new(size, size, Account::default()), None);
        ledger.leave(number);
        drop(ledger);
        Some(Share {
            shared: Arc::clone(&self.shared),
            number,
        })
    }

    /// The file system has not as much as it should: has lost cameras give up rings, if that makes up for the `missing_bytes`.
    pub(crate) fn was_short(&self, missing_bytes: u64) {
        let mut ledger = self.shared.lock();
        ledger.ask_lost(missing_bytes);
        self.shared.look_for_pleas(&ledger);
    }

    /// Whether any ring's owner is asked for memory.
    pub(crate) fn has_pleas(&self) -> bool {
        // Relaxed: who sees it late looks again soon.
        self.shared.has_pleas.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Nothing that is done to it can panic half way.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_pleas(&self, ledger: &Ledger) {
        self.has_pleas.store(ledger.has_pleas(), Ordering::Relaxed);
    }
}

impl Account {
    // Relaxed, in all of these: they are changed under the ledger's lock.
    fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    fn leaving_bytes(&self) -> u64 {
        self.leaving_bytes.load(Ordering::Relaxed)
    }
}

impl Share {
    /// The ring has ended, and its memory is given back soon.
    pub(crate) fn leave(&self) {
        let mut ledger = self.shared.lock();
        ledger.leave(self.number);
        self.shared.look_for_pleas(&ledger);
    }

    /// Whether the ring waits for a camera that is lost.
    pub(crate) fn set_lost(&self, is_lost: bool) {
        let mut ledger = self.shared.lock();
        ledger.set_lost(self.number, is_lost);
        self.shared.look_for_pleas(&ledger);
    }

    /// What is asked of the ring's owner.
    pub(crate) fn plea(&self) -> Option<Plea> {
        self.shared.lock().plea(self.number)
    }

    /// The ring cannot be made smaller, or its camera is back.
    pub(crate) fn decline(&self) {
        let mut ledger = self.shared.lock();
        ledger.decline(self.number);
        self.shared.look_for_pleas(&ledger);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut ledger = self.shared.lock();
        ledger.strike(self.number);
        self.shared.look_for_pleas(&ledger);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut ledger = self.shared.lock();
        ledger.leave_queue(self.number);
        self.shared.look_for_pleas(&ledger);
    }
}

#[cfg(test)]
mod tests;
