//! The shared memory that all rings have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that rings take from and give back to. Shared by all shards.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total_bytes: u64,
    used_bytes: AtomicU64,
    refusals: AtomicU64,
}

/// What one camera has of the budget, in all its rings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    used_bytes: Arc<AtomicU64>,
}

/// A part of the budget that one camera has, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    shared: Arc<Shared>,
    account: Account,
    bytes: u64,
}

/// How much there is for a new ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The whole budget.
    pub(crate) total_bytes: u64,
    /// What nobody has.
    pub(crate) free_bytes: u64,
    /// What the camera has in other rings.
    pub(crate) camera_bytes: u64,
}

impl Budget {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                total_bytes,
                used_bytes: AtomicU64::new(0),
                refusals: AtomicU64::new(0),
            }),
        }
    }

    /// How much there is for a ring of a camera that takes the place of one with `replaced_bytes`.
    pub(crate) fn room(&self, account: &Account, replaced_bytes: u64) -> Room {
        // Relaxed, here and below: the numbers stand for themselves, no other memory hangs on them.
        let used = self.shared.used_bytes.load(Ordering::Relaxed);
        let camera = account.used_bytes.load(Ordering::Relaxed);
        Room {
            total_bytes: self.shared.total_bytes,
            free_bytes: self.shared.total_bytes.saturating_sub(used),
            camera_bytes: camera.saturating_sub(replaced_bytes),
        }
    }

    /// How much there is in all, and how much of it is free.
    pub(crate) fn total_room(&self) -> Room {
        self.room(&Account::default(), 0)
    }

    /// Takes `bytes`; `None` when so much is not free.
    pub(crate) fn take(&self, bytes: u64, account: &Account) -> Option<Share> {
        let fits = |used: u64| {
            used.checked_add(bytes)
                .filter(|&used| used <= self.shared.total_bytes)
        };
        self.shared
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        account.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Share {
            shared: Arc::clone(&self.shared),
            account: account.clone(),
            bytes,
        })
    }

    /// Tells all shards that a camera found no room.
    pub(crate) fn was_short(&self) {
        self.shared.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a camera found no room. When it grows, whoever keeps memory for cameras that are gone lets go of it.
    pub(crate) fn times_short(&self) -> u64 {
        self.shared.refusals.load(Ordering::Relaxed)
    }
}

impl Share {
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
        self.account
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_free_again_for_all_and_for_the_camera() {
        let budget = Budget::new(100);
        let (one, other) = (Account::default(), Account::default());
        let first = budget.take(60, &one).unwrap();
        assert!(budget.take(41, &other).is_none() && budget.take(u64::MAX, &other).is_none());
        let second = budget.take(30, &other).unwrap();
        let room = |free_bytes, camera_bytes| Room {
            total_bytes: 100,
            free_bytes,
            camera_bytes,
        };
        assert_eq!(budget.room(&one, 0), room(10, 60));
        assert_eq!(budget.room(&one, 60), room(10, 0));
        drop(first);
        assert_eq!(budget.room(&one, 0), room(70, 0));
        assert_eq!(budget.room(&other, 0), room(70, 30));
        drop(second);
        assert_eq!(budget.room(&other, 0), room(100, 0));
    }
}
