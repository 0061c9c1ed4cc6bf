//! Being told when rings come and go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

/// How often a directory is looked at where the kernel cannot tell.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Tells when something in a directory of rings has changed, or when the directory itself may have come.
///
/// It says *that* and not what: list the rings again.
#[derive(Debug)]
pub struct RingWatch {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The kernel tells. The directory was there when the watch was made.
    Kernel(OwnedFd),
    /// No directory yet, or no watch left for this user: look now and then.
    Clock,
}

impl RingWatch {
    /// Watches `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            source: Source::open(path),
        }
    }

    /// A descriptor that is readable when something has changed; `None` when there is none and [`Self::wait`] looks now and then.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Kernel(descriptor) => Some(descriptor.as_fd()),
            Source::Clock => None,
        }
    }

    /// Waits until something may have changed, at most `timeout`. True when it is worth looking.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        match &self.source {
            Source::Kernel(descriptor) => {
                let changed = is_readable(descriptor.as_fd(), timeout);
                if changed {
                    drain(descriptor.as_fd());
                    // The directory itself may be another one now.
                    if !self.path.exists() {
                        self.source = Source::Clock;
                    }
                }
                changed
            }
            Source::Clock => {
                std::thread::sleep(timeout.min(POLL_INTERVAL));
                self.source = Source::open(&self.path);
                true
            }
        }
    }
}

impl Source {
    fn open(path: &Path) -> Self {
        Self::kernel(path).map_or(Self::Clock, Self::Kernel)
    }

    fn kernel(path: &Path) -> io::Result<OwnedFd> {
        let descriptor =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let events = inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::DELETE_SELF
            | inotify::WatchFlags::ONLYDIR
            | inotify::WatchFlags::DONT_FOLLOW;
        inotify::add_watch(&descriptor, path, events)?;
        Ok(descriptor)
    }
}

fn is_readable(descriptor: BorrowedFd<'_>, timeout: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut descriptors, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

fn drain(descriptor: BorrowedFd<'_>) {
    let mut buffer = [0; 4096];
    while rustix::io::read(descriptor, &mut buffer).is_ok_and(|bytes| bytes > 0) {}
}
