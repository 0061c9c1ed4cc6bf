//! What all requests share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sdvr::Monitor;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::readers::Readers;

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) began: Instant,
    pub(crate) catalog: Catalog,
    pub(crate) readers: Readers,
    pub(crate) counters: Arc<Counters>,
    /// Pages that may be open at a time.
    pub(crate) sockets_most: u64,
    /// Places for those who make pictures.
    pub(crate) snapshots: Arc<Semaphore>,
    /// What figures of cameras are compared with for whoever asks.
    pub(crate) monitor: Mutex<Monitor>,
    /// True when the server ends.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Site {
    /// When the next second of the server begins: what is done each second for each page is done for all of them at once, which wakes the server once.
    pub(crate) fn next_second(&self) -> Instant {
        let begun = self.began.elapsed().as_secs();
        let next = Duration::from_secs(begun.saturating_add(1));
        self.began.checked_add(next).unwrap_or(self.began)
    }
}

/// Waits until the server ends.
pub(crate) async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means the same: nobody is left to say so.
    let _ = ending.wait_for(|ends| *ends).await;
}
