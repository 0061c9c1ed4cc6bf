//! The ring keeper: one thread beside the frame path that makes rings and gives their memory back.
//!
//! Both take the kernel about a quarter of a millisecond a MiB, and a new ring begins with frames of the one before, time in which a
//! shard would take no frames.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sdvr_frame::{PublicKey, Timestamp};
use sdvr_ring::{CreateError, Predecessor, RingDirectory, RingOptions, RingWriter};

use crate::budget::Share;
use crate::shard::{ShardHandle, ToShard};

/// How others reach the keeper. It ends when the last of these is gone.
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
    /// Starts the keeper, whose thread has `guard` as long as it runs.
    ///
    /// # Errors
    ///
    /// When no thread can be made.
    pub(crate) fn start(
        directory: Arc<RingDirectory>,
        guard: impl Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let thread = thread::Builder::new()
            .name("rings".to_owned())
            .spawn(move || {
                let _guard = guard;
                run(&receiver, &directory);
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

fn run(receiver: &Receiver<Task>, directory: &RingDirectory) {
    let mut ended: Vec<EndedRing> = Vec::new();
    loop {
        let now = Timestamp::now();
        let next = ended.iter().map(|ended| ended.release_at).min();
        let wait = next.map_or(Duration::from_secs(3600), |next| next.saturating_since(now));
        match receiver.recv_timeout(wait) {
            Ok(Task::Make(order)) => make(directory, *order),
            Ok(Task::Release(ring)) => ended.push(*ring),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = Timestamp::now();
        for due in ended.extract_if(.., |ended| ended.release_at <= now) {
            let EndedRing {
                mut ring, share, ..
            } = due;
            ring.unlink();
            ring.release_memory();
            drop(share);
        }
    }
    // The daemon ends; the memory goes with the last reader.
    ended.iter_mut().for_each(|ended| ended.ring.unlink());
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
