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
}

/// A part of the budget, given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(total_bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                total_bytes,
                used_bytes: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.shared.total_bytes
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        // Relaxed: the number stands for itself, no other memory hangs on it.
        self.shared
            .total_bytes
            .saturating_sub(self.shared.used_bytes.load(Ordering::Relaxed))
    }

    /// Takes `bytes`; `None` when so much is not free.
    pub(crate) fn take(&self, bytes: u64) -> Option<Share> {
        let fits = |used: u64| {
            used.checked_add(bytes)
                .filter(|&used| used <= self.shared.total_bytes)
        };
        // Relaxed: as above.
        self.shared
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(Share {
            shared: Arc::clone(&self.shared),
            bytes,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_free_again() {
        let budget = Budget::new(100);
        let first = budget.take(60).unwrap();
        assert!(budget.take(41).is_none() && budget.take(u64::MAX).is_none());
        drop(first);
        assert_eq!(budget.free_bytes(), 100);
    }
}
