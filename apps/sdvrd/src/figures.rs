//! What the daemon counts, and the thread that puts it on the page beside the rings.
//!
//! Every part has counters of its own, which it alone adds to; nothing waits for anything.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::{RingDirectory, Statistics, StatisticsPage};
use tracing::warn;

use crate::budget::Budget;

/// How often the page is written: programs take a daemon whose page is a second old for one that hangs.
const BEAT: Duration = Duration::from_millis(250);

/// A number that one thread changes and another one reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        // Relaxed, here and below: the numbers stand for themselves, no other memory hangs on them.
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Sets what is no count, but how many there are now.
    pub(crate) fn set(&self, value: usize) {
        self.0
            .store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the door counts.
#[derive(Debug, Default)]
pub(crate) struct DoorCounters {
    pub(crate) handshakes: Counter,
    pub(crate) strangers: Counter,
    pub(crate) refused: Counter,
    pub(crate) other_labels: Counter,
    pub(crate) new_cameras: Counter,
    pub(crate) without_descriptor: Counter,
}

/// What a shard counts.
#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    pub(crate) cameras_connected: Counter,
    pub(crate) streams: Counter,
    pub(crate) sessions: Counter,
    pub(crate) frames: Counter,
    pub(crate) frame_bytes: Counter,
    pub(crate) frames_missing: Counter,
    pub(crate) without_memory: Counter,
}

/// All counters of the daemon.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) started: Timestamp,
    pub(crate) door: Arc<DoorCounters>,
    pub(crate) shards: Vec<Arc<ShardCounters>>,
    pub(crate) budget: Budget,
}

impl Figures {
    fn now(&self, now: Timestamp) -> Statistics {
        let sum = |counter: fn(&ShardCounters) -> &Counter| -> u64 {
            self.shards.iter().map(|shard| counter(shard).read()).sum()
        };
        let door = &self.door;
        let memory = self.budget.total_room();
        let mut statistics = Statistics::default();
        statistics.heartbeat_ns = now.as_nanoseconds().cast_unsigned();
        statistics.started_ns = self.started.as_nanoseconds().cast_unsigned();
        statistics.process = std::process::id().into();
        statistics.cameras_connected = sum(|shard| &shard.cameras_connected);
        statistics.streams = sum(|shard| &shard.streams);
        statistics.sessions = sum(|shard| &shard.sessions);
        statistics.handshakes = door.handshakes.read();
        statistics.strangers = door.strangers.read();
        statistics.refused = door.refused.read();
        statistics.other_labels = door.other_labels.read();
        statistics.new_cameras = door.new_cameras.read();
        statistics.without_descriptor = door.without_descriptor.read();
        statistics.frames = sum(|shard| &shard.frames);
        statistics.frame_bytes = sum(|shard| &shard.frame_bytes);
        statistics.frames_missing = sum(|shard| &shard.frames_missing);
        statistics.without_memory = sum(|shard| &shard.without_memory);
        statistics.memory_used_bytes = memory.total_bytes.saturating_sub(memory.free_bytes);
        statistics.memory_total_bytes = memory.total_bytes;
        statistics
    }

    /// Writes the page until the other end of `end` is dropped, in a thread that has `guard` as long as it runs.
    ///
    /// # Errors
    ///
    /// When the page cannot be made, or no thread.
    pub(crate) fn publish(
        self,
        directory: &RingDirectory,
        end: Receiver<()>,
        guard: impl Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let page = StatisticsPage::create(directory)?;
        // Before anybody is told that the daemon is ready.
        page.write(&self.now(Timestamp::now()))?;
        thread::Builder::new()
            .name("figures".to_owned())
            .spawn(move || {
                let _guard = guard;
                self.run(&page, &end);
            })
    }

    fn run(&self, page: &StatisticsPage, end: &Receiver<()>) {
        let mut is_said = false;
        while end.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let written = page.write(&self.now(Timestamp::now()));
            if let Err(error) = written
                && !std::mem::replace(&mut is_said, true)
            {
                warn!(%error, "the statistics page cannot be written; programs will take this daemon for one that hangs");
            }
        }
    }
}
