//! Being told when rings come and go.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

/// How often a directory is looked at where the kernel cannot tell.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Tells when something in a directory of rings has changed, or when the directory itself may have come.
///
/// It says *that* and not what: list the rings again. The watch begins before [`Self::new`] returns, so a list made
/// afterwards misses nothing.
///
/// ```
/// use std::time::Duration;
/// use sdvr_ring::{RingWatch, list_rings, open_directory, search_directories};
///
/// let path = search_directories().remove(0);
/// let mut watch = RingWatch::new(&path);
/// for _ in 0..2 {
///     if let Some(directory) = open_directory(&path) {
///         println!("{:?}", list_rings(std::os::fd::AsFd::as_fd(&directory)));
///     }
///     watch.wait(Duration::from_millis(10));
/// }
/// ```
#[derive(Debug)]
pub struct RingWatch {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// The kernel tells. The directory was there when the watch was made.
    Kernel(OwnedFd),
    /// No directory yet, or no watch left for this user: a timer says when to look.
    Timer(OwnedFd),
    /// Not even a descriptor left: whoever waits sleeps.
    Sleep,
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

    /// A descriptor that is readable when [`Self::wait`] would return true at once: when something has changed, or, where
    /// the kernel cannot tell that, twice a second. It may be another one after each `wait`. `None` only when this
    /// process has no descriptors left: then `wait` twice a second.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Kernel(descriptor) | Source::Timer(descriptor) => Some(descriptor.as_fd()),
            Source::Sleep => None,
        }
    }

    /// Waits until something may have changed, at most `timeout`. True when it is worth looking.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let watch_is_over = match &self.source {
            Source::Kernel(descriptor) => {
                if !is_readable(descriptor.as_fd(), timeout) {
                    return false;
                }
                drain(descriptor.as_fd()) == Watched::Gone
            }
            Source::Timer(descriptor) => {
                if !is_readable(descriptor.as_fd(), timeout) {
                    return false;
                }
                true
            }
            Source::Sleep => {
                std::thread::sleep(timeout.min(LOOK_INTERVAL));
                true
            }
        };
        if watch_is_over {
            // Before the caller looks, so that nothing is missed in between.
            self.source = Source::open(&self.path);
        }
        true
    }
}

impl Source {
    fn open(path: &Path) -> Self {
        watch_directory(path)
            .map(Self::Kernel)
            .or_else(|_| look_timer().map(Self::Timer))
            .unwrap_or(Self::Sleep)
    }
}

fn watch_directory(path: &Path) -> io::Result<OwnedFd> {
    let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let events = WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::DONT_FOLLOW;
    inotify::add_watch(&descriptor, path, events)?;
    Ok(descriptor)
}

fn look_timer() -> io::Result<OwnedFd> {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let time = Itimerspec {
        it_interval: timespec(LOOK_INTERVAL),
        it_value: timespec(LOOK_INTERVAL),
    };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &time)?;
    Ok(timer)
}

fn is_readable(descriptor: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut descriptors, Some(&timespec(timeout))).is_ok_and(|ready| ready > 0)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// What has become of a directory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    StillThere,
    /// Removed or renamed; another one may have its name.
    Gone,
}

fn drain(descriptor: BorrowedFd<'_>) -> Watched {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(descriptor, &mut buffer);
    let mut watched = Watched::StillThere;
    while let Ok(event) = events.next() {
        if event
            .events()
            .intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED)
        {
            watched = Watched::Gone;
        }
    }
    watched
}
