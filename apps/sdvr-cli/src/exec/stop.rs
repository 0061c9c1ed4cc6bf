//! Being asked to end, and to end at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How often the user asked to end. What is read and written here orders nothing else: all accesses are relaxed.
#[derive(Clone, Debug)]
pub(super) struct Stop(Arc<AtomicUsize>);

/// The user has lost patience, whatever hangs.
const ENOUGH: usize = 3;

impl Stop {
    /// From now on SIGINT and SIGTERM do not end the program but this value tells of them.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicUsize::new(0));
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
        let counted = Arc::clone(&asked);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for _ in signals.forever() {
                    if counted.fetch_add(1, Ordering::Relaxed) + 1 >= ENOUGH {
                        std::process::exit(130);
                    }
                }
            })
            .context("cannot start a thread")?;
        Ok(Self(asked))
    }

    /// As if the user had asked, unless that is so already.
    pub(super) fn set(&self) {
        let _ = self
            .0
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether it is to end.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether it is not to wait for anything.
    pub(super) fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}
