//! The ring keeper: one thread beside the frame path that makes rings and gives their memory back.
//!
//! Both take the kernel about a quarter of a millisecond a MiB, and a new ring begins with frames of the one before, time in which a
//! shard would take no frames.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sdvr_frame::{PublicKey, Timestamp};
use sdvr_ring::{CreateError, Predecessor, RingDirectory, RingOptions, RingWriter, StaleRing};

use crate::budget::{Budget, Share};
use crate::camera::CLOSED_KEPT;
use crate::shard::{ShardHandle, ToShard};

/// How often it is looked whether a ring without a name is still read.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How others reach the keeper. It ends when the last of these is gone and all memory is given back.
#[derive(Clone, Debug)]
pub(crate) struct RingKeeper {
    sender: Sender<Task>,
}

#[derive(Debug)]
enum Task {
    Make(Box<RingOrder>),
    Release(Box<EndedRing>),
}

/// A ring that a shard wants.
#[derive(Debug)]
pub(crate) struct RingOrder {
    /// Whose it is. The ring may have the name of a key that the camera had before.
    pub(crate) camera: PublicKey,
    /// Which of the camera's.
    pub(crate) order: u64,
    pub(crate) options: RingOptions,
    pub(crate) share: Share,
    /// The ring that it comes after, if that is of the same run. Its last frames are copied here and not by the shard.
    pub(crate) before: Option<Predecessor>,
    /// Who is told.
    pub(crate) shard: ShardHandle,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) struct RingMade {
    pub(crate) camera: PublicKey,
    pub(crate) order: u64,
    pub(crate) result: Result<(RingWriter, Share), CreateError>,
}

/// A ring that takes no more frames.
#[derive(Debug)]
pub(crate) struct EndedRing {
    pub(crate) ring: RingWriter,
    /// Counts in the budget until the memory is given back.
    pub(crate) share: Share,
    /// Until then its frames can be read.
    pub(crate) release_at: Timestamp,
}

impl RingKeeper {
    /// Starts the keeper, whose thread has `guard` as long as it runs. It gives back the memory of what `stale` has, too, which counts
    /// in the budget until then.
    ///
    /// The thread fails when it cannot clean up at its end.
    ///
    /// # Errors
    ///
    /// When no thread can be made.
    pub(crate) fn start(
        directory: Arc<RingDirectory>,
        stale: Vec<StaleRing>,
        budget: &Budget,
        guard: impl Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<std::io::Result<()>>)> {
        let (sender, receiver) = channel();
        let release_at = Timestamp::now() + CLOSED_KEPT;
        let held = stale.into_iter().map(|ring| {
            let share = budget.take_over(ring.bytes());
            Held::stale(ring, share, release_at)
        });
        let held: Vec<Held> = held.collect();
        let thread = thread::Builder::new()
            .name("rings".to_owned())
            .spawn(move || {
                let _guard = guard;
                run(&receiver, &directory, held)
            })?;
        Ok((Self { sender }, thread))
    }

    /// Has a ring made; the shard is told with [`ToShard::RingMade`].
    pub(crate) fn make(&self, order: RingOrder) {
        // The keeper outlives all who can ask it.
        let _ = self.sender.send(Task::Make(Box::new(order)));
    }

    /// Gives a ring's memory back when its time has come.
    pub(crate) fn release(&self, ended: EndedRing) {
        let _ = self.sender.send(Task::Release(Box::new(ended)));
    }
}

/// Memory of a ring that takes no more frames.
struct Held {
    ring: HeldRing,
    /// Counts in the budget until the memory is given back.
    share: Option<Share>,
    release_at: Timestamp,
}

enum HeldRing {
    /// This daemon's.
    Ended(RingWriter),
    /// One of the daemon's before.
    Stale(StaleRing),
}

impl Held {
    fn ended(ended: EndedRing) -> Self {
        Self {
            ring: HeldRing::Ended(ended.ring),
            share: Some(ended.share),
            release_at: ended.release_at,
        }
    }

    const fn stale(ring: StaleRing, share: Option<Share>, release_at: Timestamp) -> Self {
        Self {
            ring: HeldRing::Stale(ring),
            share,
            release_at,
        }
    }

    fn unlink(&mut self) {
        if let HeldRing::Ended(ring) = &mut self.ring {
            ring.unlink();
        }
    }

    fn is_nameless(&self) -> bool {
        match &self.ring {
            HeldRing::Ended(ring) => ring.is_replaced(),
            HeldRing::Stale(_) => true,
        }
    }

    /// Who does not read a ring without a name never will.
    fn is_due(&self, now: Timestamp) -> bool {
        let is_read = match &self.ring {
            HeldRing::Ended(ring) => ring.is_read(),
            HeldRing::Stale(ring) => ring.is_read(),
        };
        self.release_at <= now || self.is_nameless() && !is_read
    }

    fn release(mut self) {
        self.unlink();
        // Also if nobody has it open: somebody may have been about to open it when it lost its name.
        match &mut self.ring {
            HeldRing::Ended(ring) => ring.release_memory(),
            HeldRing::Stale(ring) => ring.release_memory(),
        }
        drop(self.share);
    }
}

fn run(
    receiver: &Receiver<Task>,
    directory: &RingDirectory,
    mut held: Vec<Held>,
) -> std::io::Result<()> {
    let mut next_look = next_look(&held, Timestamp::now());
    loop {
        let wait = next_look.saturating_since(Timestamp::now());
        match receiver.recv_timeout(wait.min(Duration::from_secs(3600))) {
            Ok(Task::Make(order)) => make(directory, *order),
            Ok(Task::Release(ring)) => {
                held.push(Held::ended(*ring));
                next_look = next_look.min(Timestamp::now() + LOOK_INTERVAL);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // Not after every message: many cameras may come at once.
        let now = Timestamp::now();
        if next_look <= now {
            release_due(&mut held, now);
            next_look = self::next_look(&held, now);
        }
    }
    // A ring that was made in the last moment has nobody.
    let late = directory.remove_stale_rings()?.still_read;
    let release_at = Timestamp::now() + CLOSED_KEPT;
    held.extend(
        late.into_iter()
            .map(|ring| Held::stale(ring, None, release_at)),
    );
    give_back(held);
    Ok(())
}

/// Gives all memory back before the daemon is gone: nobody could do it afterwards, since a stopped program holds a ring without a name for as long as it likes.
/// That takes as long as somebody reads, two seconds at most. Readers have been told and let go as soon as they have what was left, so that it is some
/// milliseconds unless one of them is stopped or hangs; the ports are free all the while. The alternatives were to take what is left from those who are about to read
/// it, or to leave a process behind, which who supervises the daemon would kill or wait for.
fn give_back(mut held: Vec<Held>) {
    held.iter_mut().for_each(Held::unlink);
    loop {
        release_due(&mut held, Timestamp::now());
        if held.is_empty() {
            return;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

fn next_look(held: &[Held], now: Timestamp) -> Timestamp {
    let looks = held.iter().map(|held| {
        if held.is_nameless() {
            now + LOOK_INTERVAL
        } else {
            held.release_at
        }
    });
    looks.min().unwrap_or(Timestamp::NEVER)
}

fn release_due(held: &mut Vec<Held>, now: Timestamp) {
    held.extract_if(.., |held| held.is_due(now))
        .for_each(Held::release);
}

fn make(directory: &RingDirectory, order: RingOrder) {
    let RingOrder {
        camera,
        order,
        options,
        share,
        before,
        shard,
    } = order;
    let result = match before {
        Some(before) => RingWriter::create_after(directory, options, &before),
        None => RingWriter::create(directory, options),
    };
    let result = result.map(|ring| (ring, share));
    shard.send(ToShard::RingMade(Box::new(RingMade {
        camera,
        order,
        result,
    })));
}
