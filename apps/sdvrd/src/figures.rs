//! What the daemon counts, and the thread that puts it on the page beside the rings.
//!
//! Every part has counters of its own, which it alone adds to; nothing waits for anything.

mod process;
mod socket_trouble;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::{RingDirectory, Statistics, StatisticsPage};
use sdvr_session::{HandshakeError, StreamCode};
use sdvr_transport::DatagramSocket;
use sdvr_trust::Refusal;
use tracing::warn;

pub(crate) use self::process::OwnProcess;
use self::socket_trouble::SocketTrouble;
use crate::budget::Budget;
use crate::ingest::Ending;
use crate::knock::TurnedAway;

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

/// Since when a thread has been at the same turn of work: who never comes to its end hangs.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// In nanoseconds; 0 while the thread waits for something to do.
    since: AtomicI64,
}

impl Turn {
    pub(crate) fn begin(&self, now: Timestamp) {
        self.since.store(now.as_nanoseconds(), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn lasts(&self, now: Timestamp) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_since(Timestamp::from_nanoseconds(since)),
        }
    }
}

/// What the door counts.
#[derive(Debug, Default)]
pub(crate) struct DoorCounters {
    pub(crate) turn: Turn,
    pub(crate) handshakes: Counter,
    pub(crate) new_cameras: Counter,
    pub(crate) other_labels: Counter,
    pub(crate) without_descriptor: Counter,
    strangers: StrangerCounters,
    refused: RefusedCounters,
}

/// Strangers that went or had to go, by cause.
#[derive(Debug, Default)]
struct StrangerCounters {
    gone: Counter,
    slow: Counter,
    crowded: Counter,
    not_sdvr: Counter,
    version: Counter,
    not_authentic: Counter,
}

/// Cameras that were refused at the door, by cause.
#[derive(Debug, Default)]
struct RefusedCounters {
    revoked: Counter,
    waiting: Counter,
    unknown: Counter,
    label: Counter,
    old_key: Counter,
    too_many: Counter,
    not_stored: Counter,
}

impl DoorCounters {
    /// Somebody went, or had to, before it had introduced itself.
    pub(crate) fn count_turned_away(&self, reason: &TurnedAway) {
        let strangers = &self.strangers;
        let counter = match reason {
            TurnedAway::Gone => &strangers.gone,
            TurnedAway::Slow => &strangers.slow,
            TurnedAway::Crowded | TurnedAway::Unanswered => &strangers.crowded,
            TurnedAway::TooMuch | TurnedAway::Handshake(HandshakeError::Malformed(_)) => {
                &strangers.not_sdvr
            }
            TurnedAway::Handshake(HandshakeError::Version { .. } | HandshakeError::Suite) => {
                &strangers.version
            }
            TurnedAway::Handshake(_) | TurnedAway::Session(_) => &strangers.not_authentic,
            TurnedAway::Unknown(_) => &self.refused.unknown,
        };
        counter.count();
    }

    /// A camera that introduced itself was refused.
    pub(crate) fn count_refused(&self, refusal: &Refusal) {
        let refused = &self.refused;
        let counter = match refusal {
            Refusal::LabelTaken { .. } => &refused.label,
            Refusal::Revoked { .. } => &refused.revoked,
            Refusal::Pending { .. } => &refused.waiting,
            Refusal::Closed { .. } => &refused.unknown,
            Refusal::KeyReplaced { .. } => &refused.old_key,
            Refusal::StoreFailed { .. } | Refusal::NotNoted { .. } => &refused.not_stored,
            Refusal::TooManyNewKeys
            | Refusal::TooManyPending { .. }
            | Refusal::NotedTooFast { .. } => &refused.too_many,
        };
        counter.count();
    }
}

/// What a shard counts.
#[derive(Debug, Default)]
pub(crate) struct ShardCounters {
    pub(crate) turn: Turn,
    pub(crate) cameras_connected: Counter,
    pub(crate) streams: Counter,
    pub(crate) sessions: Counter,
    pub(crate) refused_cloned: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) frames: Counter,
    pub(crate) frame_bytes: Counter,
    pub(crate) missing_at_source: Counter,
    pub(crate) missing_while_away: Counter,
    pub(crate) missing_on_link: Counter,
    pub(crate) packets_retransmitted: Counter,
    pub(crate) ended: EndedCounters,
    refused_streams: RefusedStreamCounters,
}

/// Sessions that ended, by cause.
#[derive(Debug, Default)]
pub(crate) struct EndedCounters {
    finished: Counter,
    cut: Counter,
    silent: Counter,
    broken: Counter,
    deaf: Counter,
    pub(crate) replaced: Counter,
    pub(crate) dismissed: Counter,
}

impl EndedCounters {
    pub(crate) const fn of(&self, ending: &Ending) -> &Counter {
        match ending {
            Ending::Said(_) => &self.finished,
            Ending::Cut => &self.cut,
            Ending::Silent => &self.silent,
            Ending::Broken(_) => &self.broken,
            Ending::Deaf => &self.deaf,
        }
    }
}

/// Streams that were refused, by cause.
#[derive(Debug, Default)]
struct RefusedStreamCounters {
    without_memory: Counter,
    too_large: Counter,
    too_many: Counter,
    too_often: Counter,
    failed: Counter,
}

impl ShardCounters {
    /// A camera hears that its stream is open, or why not.
    pub(crate) fn count_answer(&self, code: StreamCode) {
        let refused = &self.refused_streams;
        let counter = match code {
            StreamCode::Open => return,
            StreamCode::NoMemory => &refused.without_memory,
            StreamCode::FramesTooLarge => &refused.too_large,
            StreamCode::TooManyStreams => &refused.too_many,
            StreamCode::TooOften => &refused.too_often,
            _ => &refused.failed,
        };
        counter.count();
    }
}

/// All counters of the daemon.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) started: Timestamp,
    pub(crate) door: Arc<DoorCounters>,
    pub(crate) shards: Vec<Arc<ShardCounters>>,
    pub(crate) budget: Budget,
    /// By which datagrams come.
    pub(crate) sockets: Vec<Arc<DatagramSocket>>,
    pub(crate) process: OwnProcess,
}

impl Figures {
    fn now(&self, now: Timestamp) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.heartbeat_ns = now.as_nanoseconds().cast_unsigned();
        statistics.started_ns = self.started.as_nanoseconds().cast_unsigned();
        statistics.process = std::process::id().into();
        statistics.busy_ms = u64::try_from(self.busy(now).as_millis()).unwrap_or(u64::MAX);
        self.add_door(&mut statistics);
        self.shards
            .iter()
            .for_each(|shard| add_shard(&mut statistics, shard));
        let memory = self.budget.total_room();
        statistics.memory_used_bytes = memory.total_bytes.saturating_sub(memory.free_bytes);
        statistics.memory_total_bytes = memory.total_bytes;
        statistics.packets_dropped = self.packets_dropped();
        statistics.resident_bytes = self.process.resident_bytes().unwrap_or(0);
        statistics.cpu_us = OwnProcess::cpu_us();
        with_sums(statistics)
    }

    /// Packets for which the kernel had no room.
    fn packets_dropped(&self) -> u64 {
        let dropped = self.sockets.iter().map(|socket| socket.dropped());
        dropped.map(|count| count.map_or(0, u64::from)).sum()
    }

    /// How long the longest turn of work lasts that is not at its end.
    fn busy(&self, now: Timestamp) -> Duration {
        let turns = self.shards.iter().map(|shard| &shard.turn);
        turns
            .chain(std::iter::once(&self.door.turn))
            .map(|turn| turn.lasts(now))
            .max()
            .unwrap_or_default()
    }

    fn add_door(&self, statistics: &mut Statistics) {
        let DoorCounters {
            strangers, refused, ..
        } = &*self.door;
        statistics.handshakes = self.door.handshakes.read();
        statistics.new_cameras = self.door.new_cameras.read();
        statistics.other_labels = self.door.other_labels.read();
        statistics.without_descriptor = self.door.without_descriptor.read();
        statistics.strangers_gone = strangers.gone.read();
        statistics.strangers_slow = strangers.slow.read();
        statistics.strangers_crowded = strangers.crowded.read();
        statistics.strangers_not_sdvr = strangers.not_sdvr.read();
        statistics.strangers_version = strangers.version.read();
        statistics.strangers_not_authentic = strangers.not_authentic.read();
        statistics.refused_revoked = refused.revoked.read();
        statistics.refused_waiting = refused.waiting.read();
        statistics.refused_unknown = refused.unknown.read();
        statistics.refused_label = refused.label.read();
        statistics.refused_old_key = refused.old_key.read();
        statistics.refused_too_many = refused.too_many.read();
        statistics.refused_not_stored = refused.not_stored.read();
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
        let mut sockets = SocketTrouble::default();
        while end.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let now = Timestamp::now();
            let statistics = self.now(now);
            sockets.look(now, statistics.packets_dropped, &self.sockets);
            let written = page.write(&statistics);
            if let Err(error) = written
                && !std::mem::replace(&mut is_said, true)
            {
                warn!(%error, "the statistics page cannot be written; programs will take this daemon for one that hangs");
            }
        }
    }
}

fn add_shard(statistics: &mut Statistics, shard: &ShardCounters) {
    let (ended, refused) = (&shard.ended, &shard.refused_streams);
    statistics.cameras_connected += shard.cameras_connected.read();
    statistics.streams += shard.streams.read();
    statistics.sessions += shard.sessions.read();
    statistics.sessions_finished += ended.finished.read();
    statistics.sessions_cut += ended.cut.read();
    statistics.sessions_silent += ended.silent.read();
    statistics.sessions_broken += ended.broken.read();
    statistics.sessions_deaf += ended.deaf.read();
    statistics.sessions_replaced += ended.replaced.read();
    statistics.sessions_dismissed += ended.dismissed.read();
    statistics.refused_cloned += shard.refused_cloned.read();
    statistics.received_bytes += shard.received_bytes.read();
    statistics.frames += shard.frames.read();
    statistics.frame_bytes += shard.frame_bytes.read();
    statistics.missing_at_source += shard.missing_at_source.read();
    statistics.missing_while_away += shard.missing_while_away.read();
    statistics.missing_on_link += shard.missing_on_link.read();
    statistics.packets_retransmitted += shard.packets_retransmitted.read();
    statistics.without_memory += refused.without_memory.read();
    statistics.streams_too_large += refused.too_large.read();
    statistics.streams_too_many += refused.too_many.read();
    statistics.streams_too_often += refused.too_often.read();
    statistics.streams_failed += refused.failed.read();
}

/// Works out what is the sum of its causes.
const fn with_sums(mut statistics: Statistics) -> Statistics {
    statistics.strangers = statistics.strangers_gone
        + statistics.strangers_slow
        + statistics.strangers_crowded
        + statistics.strangers_not_sdvr
        + statistics.strangers_version
        + statistics.strangers_not_authentic;
    statistics.refused = statistics.refused_revoked
        + statistics.refused_waiting
        + statistics.refused_unknown
        + statistics.refused_label
        + statistics.refused_cloned
        + statistics.refused_old_key
        + statistics.refused_too_many
        + statistics.refused_not_stored;
    statistics.frames_missing = statistics
        .missing_at_source
        .saturating_add(statistics.missing_while_away)
        .saturating_add(statistics.missing_on_link);
    statistics.streams_refused = statistics.without_memory
        + statistics.streams_too_large
        + statistics.streams_too_many
        + statistics.streams_too_often
        + statistics.streams_failed;
    statistics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_hangs_is_told_from_parts_that_wait() {
        let figures = Figures {
            started: Timestamp::from_nanoseconds(1),
            door: Arc::default(),
            shards: vec![Arc::default(), Arc::default()],
            budget: Budget::new(1),
            sockets: Vec::new(),
            process: OwnProcess::open(),
        };
        let at = |seconds: i64| Timestamp::from_nanoseconds(seconds * 1_000_000_000);
        let busy_ms = |now| figures.now(at(now)).busy_ms;
        assert_eq!(busy_ms(1000), 0);
        figures.shards[1].turn.begin(at(1000));
        figures.door.turn.begin(at(1002));
        assert_eq!(busy_ms(1003), 3000);
        figures.shards[1].turn.end();
        assert_eq!(busy_ms(1004), 2000);
        figures.door.turn.end();
        assert_eq!(busy_ms(1005), 0);
    }
}
