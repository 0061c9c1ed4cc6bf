//! The thread that carries one direction: from one interface, through a [`Channel`], to the other.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::channel::Channel;

/// Frames that are read before others' time is looked at.
const BATCH_FRAMES: usize = 32;
/// The largest frame that an interface can have.
const FRAME_BYTES: usize = 65_536 + 14;
/// Before other programs, so that a busy machine does not make the link slower than it was asked to be.
const NICENESS: i32 = -15;

/// What the thread has.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) from: File,
    pub(crate) to: File,
    pub(crate) channel: Arc<Mutex<Channel>>,
    /// Readable once the link ends.
    pub(crate) end: OwnedFd,
    /// When the link was made.
    pub(crate) origin: Instant,
}

/// A channel is whole after every call, so one that somebody panicked with is as good as any.
pub(crate) fn lock(channel: &Mutex<Channel>) -> MutexGuard<'_, Channel> {
    channel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// Carries frames until the link ends.
    pub(crate) fn run(mut self) {
        // Both make it more exact, and it works without.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let mut buffer = vec![0; FRAME_BYTES];
        while self.wait() {
            self.take_in(&mut buffer);
            self.hand_out();
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Until there is something to do; `false` when the link ends.
    fn wait(&self) -> bool {
        let due = lock(&self.channel).poll_timeout();
        let timeout = due.map(|due| {
            let left = due.saturating_sub(self.now());
            Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            })
        });
        let mut sources = [
            PollFd::new(&self.from, PollFlags::IN),
            PollFd::new(&self.end, PollFlags::IN),
        ];
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
        let [from, end] = &sources;
        // An interface without its namespace.
        !from.revents().contains(PollFlags::ERR) && end.revents().is_empty()
    }

    fn take_in(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH_FRAMES {
            let length = match self.from.read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let now = self.now();
            lock(&self.channel).handle_frame(now, buffer.get(..length).unwrap_or_default());
        }
    }

    fn hand_out(&mut self) {
        loop {
            let now = self.now();
            // Not locked while the other kernel takes it.
            let Some(frame) = lock(&self.channel).poll_frame(now) else {
                return;
            };
            if self.to.write(&frame).is_err() {
                lock(&self.channel).handle_interface_down(&frame);
            }
        }
    }
}
