//! A camera's ring while it is there.

use std::path::PathBuf;

use sdvr_frame::{FrameNumber, StreamState, Timestamp};
use sdvr_ring::{RingName, RingReader, Wait};

use super::{Policy, Start};
use crate::account::{Account, Progress};
use crate::place::Found;

#[derive(Debug)]
pub(super) struct OpenRing {
    pub(super) directory: PathBuf,
    pub(super) name: RingName,
    pub(super) reader: RingReader,
    /// The next frame to look at, by the ring's count.
    pub(super) next: u64,
    pub(super) progress: Progress,
    /// The last frame of its run that was handed out of a ring before, until a later one came.
    pub(super) handed_out: Option<FrameNumber>,
    /// Whether the end was told.
    pub(super) end_was_told: bool,
}

/// Where reading of a ring begins, if no frame of its run was handed out before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    /// The ring was there when the camera was opened.
    Chosen(Start),
    /// The ring came later: with its first frame.
    First,
}

/// A frame to read, or what to do instead.
pub(super) enum Target {
    Read(u64),
    WaitFor(u64),
}

/// How waiting for a frame ended.
pub(super) enum Waited {
    GoOn,
    TimedOut,
    /// The camera says that it ends; said once.
    Ended,
    Gone,
}

impl OpenRing {
    pub(super) fn new(found: Found, begin: Begin, account: &mut Account) -> Self {
        let Found {
            directory,
            name,
            reader,
        } = found;
        let instance = reader.info().instance;
        let handed_out = account.last_of(instance);
        if let Begin::First = begin
            && let Some((progress, next)) = account.continue_ring(&reader)
        {
            return Self {
                directory,
                name,
                reader,
                next,
                progress,
                handed_out,
                end_was_told: false,
            };
        }
        let next = match (begin, handed_out) {
            (_, Some(number)) => first_after(&reader, number),
            // And not the oldest that is left: what was overwritten meanwhile was missed.
            (Begin::First, None) => reader.info().first,
            (Begin::Chosen(Start::Oldest), None) => reader.oldest(),
            (Begin::Chosen(Start::Now), None) if reader.info().format.fourcc.is_inter_coded() => {
                reader.last_key().unwrap_or_else(|| reader.head())
            }
            (Begin::Chosen(Start::Now), None) => reader.head(),
        };
        Self {
            directory,
            name,
            progress: account.begin_ring(instance, next),
            reader,
            next,
            handed_out,
            end_was_told: false,
        }
    }

    pub(super) fn target(&self, policy: Policy) -> Target {
        let head = self.reader.head();
        match policy {
            Policy::Every if self.next < head => Target::Read(self.next),
            Policy::Latest if self.next < head => Target::Read(head - 1),
            Policy::KeyFrames => match self.reader.last_key() {
                Some(key) if key >= self.next && key < head => Target::Read(key),
                _ => Target::WaitFor(head),
            },
            Policy::Every | Policy::Latest => Target::WaitFor(self.next),
        }
    }

    pub(super) fn wait(&mut self, n: u64, deadline: Timestamp) -> Waited {
        let state = self.reader.state();
        if state.is_final() {
            // The state came after the last frame, which may have come after it was looked for.
            if self.reader.head() > n {
                return Waited::GoOn;
            }
            if state == StreamState::Closed && !self.end_was_told {
                self.end_was_told = true;
                return Waited::Ended;
            }
            return Waited::Gone;
        }
        match self.reader.wait(n, state, deadline) {
            Wait::Ready | Wait::StateChanged => Waited::GoOn,
            // A daemon may have published one more and died after the ring was looked at.
            Wait::Nothing if self.is_over() && self.reader.head() <= n => Waited::Gone,
            Wait::Nothing if Timestamp::now() >= deadline => Waited::TimedOut,
            Wait::Nothing => Waited::GoOn,
        }
    }

    /// Whether nothing more will come: the daemon is gone, or the ring has lost its name to another.
    fn is_over(&self) -> bool {
        !self.reader.writer_lives() || self.reader.is_replaced() && !self.reader.state().is_final()
    }
}

/// The first frame after the one that was read last, in another ring of the same run.
fn first_after(reader: &RingReader, number: FrameNumber) -> u64 {
    let (oldest, head) = (reader.oldest(), reader.head());
    (oldest..head)
        .find(|&n| reader.meta(n).is_ok_and(|meta| meta.number > number))
        .unwrap_or(head)
}
