//! One member of a group.

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::Awaited;

use crate::camera::{Awaits, Camera, Policy};
use crate::error::Error;
use crate::frame::Frame;
use crate::ready::Readiness;

/// Who waits for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Nobody: it is in the queue.
    Queued,
    /// The group's own thread.
    Here,
    /// A thread that all groups share.
    Elsewhere,
    /// Nobody: there are frames enough of it in hand.
    Full,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) camera: Camera,
    pub(super) waiting: Waiting,
    /// The place at another thread, if it has one.
    pub(super) readiness: Option<Readiness>,
    /// What waited for its last frame here: it knows whether wakes were lost.
    pub(super) spent: Option<Awaited>,
    /// An error that was found while it was sought.
    error: Option<Error>,
    /// Frames in hand, each captured later than the one before.
    pub(super) pending: VecDeque<Frame>,
    /// When the last frame in hand was captured, or the last one that was.
    pub(super) newest: Option<Timestamp>,
    /// Frames that found no partner since the last set.
    pub(super) alone: u64,
}

impl Seat {
    pub(super) const fn new(camera: Camera) -> Self {
        Self {
            camera,
            waiting: Waiting::Queued,
            readiness: None,
            spent: None,
            error: None,
            pending: VecDeque::new(),
            newest: None,
            alone: 0,
        }
    }

    /// The next frame, in hand or not.
    pub(super) fn next(&mut self, policy: Policy) -> Result<Option<Frame>, Error> {
        match self.pending.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => self.take(policy),
        }
    }

    /// The next frame of the camera.
    pub(super) fn take(&mut self, policy: Policy) -> Result<Option<Frame>, Error> {
        self.adopt();
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.camera.next(policy, Duration::ZERO)
    }

    pub(super) fn has_something(&mut self, policy: Policy) -> bool {
        self.adopt();
        !self.pending.is_empty()
            || self.error.is_some()
            || matches!(self.camera.awaits(policy), Awaits::Nothing)
    }

    /// Opens the ring that was found for it.
    fn adopt(&mut self) {
        match self.readiness.as_ref().and_then(Readiness::take_found) {
            Some(Ok(found)) => self.camera.came(found),
            Some(Err(error)) => self.error = Some(error),
            None => {}
        }
    }
}
