//! What others say to a shard, and how.

use std::sync::mpsc::{Receiver, Sender, channel};

use sdvr_frame::PublicKey;
use sdvr_session::NewIdCode;
#[cfg(test)]
use sdvr_transport::Poller;
use sdvr_transport::Waker;
use sdvr_trust::Removal;

use super::{Decision, Newcomer};
use crate::knock::Arrival;
use crate::ring_keeper::RingMade;

/// What a shard is told.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// A camera was let in.
    Arrival(Arrival),
    /// Somebody is to introduce itself in datagrams, which come here.
    Newcomer(Newcomer),
    /// Who has, is let in or not: by the session's index.
    Decided(u32, Decision),
    /// A camera is not welcome any more.
    Dismiss(PublicKey, Removal),
    /// The server has another key from now on.
    NextKey(PublicKey),
    /// The answer to a camera that has announced a key.
    NewIdReply {
        /// The key that it has proved.
        camera: PublicKey,
        /// The one that it has announced.
        key: PublicKey,
        code: NewIdCode,
    },
    /// A ring was made, or could not be.
    RingMade(Box<RingMade>),
    /// The daemon ends.
    Stop,
}

/// How others reach a shard.
#[derive(Clone, Debug)]
pub(crate) struct ShardHandle {
    sender: Sender<ToShard>,
    waker: Waker,
}

impl ShardHandle {
    /// One that wakes by `waker`, and where what is said to it comes out.
    pub(super) fn new(waker: Waker) -> (Self, Receiver<ToShard>) {
        let (sender, receiver) = channel();
        (Self { sender, waker }, receiver)
    }

    /// One that leads to a test. The poller must live as long.
    #[cfg(test)]
    pub(crate) fn for_tests() -> (Self, Receiver<ToShard>, Poller) {
        let poller = Poller::new().unwrap();
        let waker = poller.add_waker(super::WAKER).unwrap();
        let (handle, receiver) = Self::new(waker);
        (handle, receiver, poller)
    }

    pub(crate) fn send(&self, message: ToShard) {
        // A shard that is gone has ended with the daemon.
        if self.sender.send(message).is_ok() {
            self.waker.wake();
        }
    }
}
