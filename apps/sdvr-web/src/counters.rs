//! What the server counts of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that goes up, or up and down.
#[derive(Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

/// One of those that a counter counts while they are there.
#[derive(Debug)]
pub(crate) struct Held(Arc<AtomicU64>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// Relaxed, all of it: figures for people, on which nothing hangs.
impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// One more, until what is given is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.add(1);
        Held(Arc::clone(&self.0))
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Open now.
    pub(crate) connections: Counter,
    /// Pages with a socket now.
    pub(crate) sockets: Counter,
    /// Cameras that are read now, each once for every kind.
    pub(crate) readers: Counter,
    /// Frames read and packed, whoever they were for.
    pub(crate) frames_packed: Counter,
    /// Frames sent, each once for every page.
    pub(crate) frames_sent: Counter,
    /// Frames that a page was not sent, since it had no room or newer ones were there.
    pub(crate) frames_skipped: Counter,
    /// Of frames.
    pub(crate) bytes_sent: Counter,
}
