//! Waiting for many descriptors at once: epoll, level-triggered.
//!
//! Level-triggered on purpose: a descriptor that was not read to its end is reported again, after all others had their
//! turn. That is the fairness between cameras.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll};
use rustix::io::Errno;

/// What to be told of a descriptor. Errors and the other end's closing are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// When it can be read.
    Read,
    /// When it can be read or written.
    ReadWrite,
    /// When it can be written.
    Write,
    /// Only errors.
    Nothing,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Read => epoll::EventFlags::IN,
            Self::ReadWrite => epoll::EventFlags::IN | epoll::EventFlags::OUT,
            Self::Write => epoll::EventFlags::OUT,
            Self::Nothing => epoll::EventFlags::empty(),
        }
    }
}

/// A descriptor that something can be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// As given when the descriptor was added.
    pub token: u64,
    /// Reading gives bytes, the end or an error.
    pub readable: bool,
    /// Writing takes bytes or gives an error.
    pub writable: bool,
}

/// Waits for many descriptors.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// The most descriptors reported by one wait; the others are reported by the next.
const EVENTS_MOST: usize = 256;

impl Poller {
    /// A poller without descriptors.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// Adds a descriptor; closing it removes it.
    ///
    /// # Errors
    ///
    /// When it is there already or cannot be waited for.
    pub fn add(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            descriptor,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?)
    }

    /// Changes what is told of a descriptor.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn change(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            descriptor,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?)
    }

    /// Removes a descriptor that stays open.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// Waits until something can be done, at most `timeout` (`None`: for ever), and puts it into `ready`.
    ///
    /// # Errors
    ///
    /// Only for a bug here; a signal ends the wait early and is no error, and what is ready then is told.
    pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut room = [const { MaybeUninit::uninit() }; EVENTS_MOST];
        // A wait that a signal has ended says nothing of the descriptors.
        let looked = match epoll::wait(&self.epoll, &mut room[..], timeout.as_ref()) {
            Err(Errno::INTR) => epoll::wait(&self.epoll, &mut room[..], Some(&Timespec::default())),
            looked => looked,
        };
        let (events, _) = looked?;
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            Ready {
                token: event.data.u64(),
                readable: failed || flags.contains(epoll::EventFlags::IN),
                writable: failed || flags.contains(epoll::EventFlags::OUT),
            }
        }));
        Ok(())
    }

    /// Adds a waker: whoever has it can end this poller's wait from another thread.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn add_waker(&self, token: u64) -> io::Result<Waker> {
        let event = Arc::new(rustix::event::eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?);
        self.add(&*event, token, Interest::Read)?;
        Ok(Waker { event })
    }
}

impl AsFd for Poller {
    /// Readable when something can be done, so that a poller can be waited for like any descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Ends a [`Poller`]'s wait.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    /// Ends the wait, or the next one. Never blocks.
    pub fn wake(&self) {
        // The only failure is a counter that is full, and then the wait ends anyway.
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Takes back all wakes until now.
    pub fn clear(&self) {
        let _ = rustix::io::read(&*self.event, &mut [0; 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_ends_the_wait_once() {
        let poller = Poller::new().unwrap();
        let waker = poller.add_waker(7).unwrap();
        let mut ready = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            poller.wait(None, &mut ready).unwrap();
        });
        assert_eq!(
            ready,
            [Ready {
                token: 7,
                readable: true,
                writable: false
            }]
        );
        waker.clear();
        poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
    }
}
