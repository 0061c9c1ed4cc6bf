//! Being told when rings come and go.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

/// How often a directory is looked at where the kernel cannot tell.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Tells when something in a directory of rings has changed, or when the directory itself may have come, gone or been replaced.
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
    /// The kernel tells.
    Kernel(DirectoryWatch),
    /// No directory that could be watched, or no watch left for this user: a timer says when to look.
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
    /// the kernel cannot tell that, twice a second. Also when something has changed beside the directory: `wait` then
    /// returns false. It may be another one after each `wait`. `None` only when this process has no descriptors left:
    /// then `wait` twice a second.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Kernel(watch) => Some(watch.descriptor.as_fd()),
            Source::Timer(descriptor) => Some(descriptor.as_fd()),
            Source::Sleep => None,
        }
    }

    /// Waits until something may have changed in any of the directories, at most `timeout`. True when it is worth looking; at
    /// all of them: it does not say where.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sdvr_ring::{RingWatch, search_directories};
    ///
    /// let mut watches: Vec<RingWatch> = search_directories().iter().map(|path| RingWatch::new(path)).collect();
    /// // List the rings of all directories here, then:
    /// RingWatch::wait_any(&mut watches, Duration::from_millis(10));
    /// ```
    pub fn wait_any<'a>(
        watches: impl IntoIterator<Item = &'a mut Self>,
        timeout: Duration,
    ) -> bool {
        let start = Instant::now();
        let mut watches: Vec<&mut Self> = watches.into_iter().collect();
        loop {
            let rest = timeout.saturating_sub(start.elapsed());
            wait_for_descriptors(&watches, rest);
            let mut has_changed = false;
            for watch in &mut watches {
                has_changed |= watch.wait(Duration::ZERO);
            }
            // What is readable may have been beside the directories, where others come and go.
            if has_changed || rest.is_zero() {
                return has_changed;
            }
        }
    }

    /// Waits until something may have changed, at most `timeout`. True when it is worth looking.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let watch_is_over = match &self.source {
            Source::Kernel(watch) => match watch.wait(timeout) {
                Change::None => return false,
                Change::Inside => false,
                Change::OfDirectory => true,
            },
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
        DirectoryWatch::new(path)
            .map(Self::Kernel)
            .or_else(|_| look_timer().map(Self::Timer))
            .unwrap_or(Self::Sleep)
    }
}

/// The kernel's watch of a directory, and of the one above for the directory's own name.
///
/// The watch of a directory that is removed says so only when the last program has closed it, so the name is watched, too.
#[derive(Debug)]
struct DirectoryWatch {
    descriptor: OwnedFd,
    /// The watch of the directory above, and the name in it, if it may be watched.
    above: Option<(i32, CString)>,
}

/// What has changed, the greatest of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    None,
    /// A ring came or went.
    Inside,
    /// The directory came or went, or was renamed; another one may have its name.
    OfDirectory,
}

impl DirectoryWatch {
    fn new(path: &Path) -> io::Result<Self> {
        let descriptor =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        // First, so that a directory that comes in between is noticed.
        let above = watch_name(&descriptor, path);
        let events = WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&descriptor, path, events) {
            Ok(_) => {}
            Err(Errno::NOENT) if above.is_some() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { descriptor, above })
    }

    fn wait(&self, timeout: Duration) -> Change {
        let start = Instant::now();
        loop {
            let rest = timeout.saturating_sub(start.elapsed());
            if !is_readable(self.descriptor.as_fd(), rest) {
                return Change::None;
            }
            match self.drain() {
                // Beside the directory, where others come and go.
                Change::None if rest > Duration::ZERO => {}
                change => return change,
            }
        }
    }

    fn drain(&self) -> Change {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.descriptor.as_fd(), &mut buffer);
        let mut greatest = Change::None;
        while let Ok(event) = events.next() {
            greatest = greatest.max(self.change(&event));
        }
        greatest
    }

    fn change(&self, event: &inotify::Event<'_>) -> Change {
        let ends = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED;
        if event.events().intersects(ends | ReadFlags::QUEUE_OVERFLOW) {
            return Change::OfDirectory;
        }
        match &self.above {
            Some((watch, name)) if event.wd() == *watch => {
                if event.file_name() == Some(name.as_c_str()) {
                    Change::OfDirectory
                } else {
                    Change::None
                }
            }
            _ => Change::Inside,
        }
    }
}

/// Watches the name of `path` in the directory above it. `None` where that is not possible.
fn watch_name(descriptor: &OwnedFd, path: &Path) -> Option<(i32, CString)> {
    let name = CString::new(path.file_name()?.as_bytes()).ok()?;
    let above = match path.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        above => above,
    };
    let events = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    let watch = inotify::add_watch(descriptor, above, events).ok()?;
    Some((watch, name))
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

/// Waits until one of them may tell something, at most `timeout`.
fn wait_for_descriptors(watches: &[&mut RingWatch], timeout: Duration) {
    let descriptors: Vec<BorrowedFd<'_>> = watches
        .iter()
        .filter_map(|watch| watch.descriptor())
        .collect();
    let timeout = if descriptors.len() == watches.len() {
        timeout
    } else {
        timeout.min(LOOK_INTERVAL)
    };
    let mut polled: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
        .collect();
    if poll(&mut polled, Some(&timespec(timeout))).is_err() {
        // Interrupted, or out of memory: looked at once too often, but not all the time.
        std::thread::sleep(timeout.min(Duration::from_millis(10)));
    }
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
