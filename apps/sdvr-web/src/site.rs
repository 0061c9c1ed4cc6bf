//! What all requests share.

use std::sync::{Arc, Mutex};

use sdvr::Monitor;
use tokio::sync::{Semaphore, watch};

use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::readers::Readers;

#[derive(Debug)]
pub(crate) struct Site {
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

/// Waits until the server ends.
pub(crate) async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means the same: nobody is left to say so.
    let _ = ending.wait_for(|ends| *ends).await;
}
