//! A thread of its own for every camera that comes.

mod visit;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use visit::Stay;

use self::visit::Visit;
use crate::camera::{Camera, Start};
use crate::cameras::{CameraInfo, Cameras, Change, Key, key_of};

/// How often it is looked for work that is over, and whether it is to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Of how many cameras that are gone it is kept how far they were read.
const REMEMBERED_MOST: usize = 1024;

/// Calls `work` for every camera that is there and that comes, each on a thread of its own; for ever.
///
/// ```no_run
/// use sdvr::{Policy, for_each_camera};
///
/// for_each_camera(|mut camera| {
///     let label = camera.label().to_owned();
///     for frame in camera.frames(Policy::Every) {
///         let Ok(frame) = frame else { break };
///         println!("{label}: frame {}", frame.number());
///     }
///     println!("{label} has gone");
/// });
/// ```
///
/// Streams that programs publish ([`crate::Publisher`]) are left out: `work` that publishes would be called for what it makes itself. [`EachCamera`] takes them in where that is
/// wanted, has more to choose, and can be stopped.
///
/// # When a camera goes
///
/// What [`Change`] calls there is there. When it is not any more, [`Camera::frames`] gives the frames that are left and then ends; who calls [`Camera::next`] asks
/// [`Camera::has_gone`] whenever that gives `None`. Nothing else can end `work`: it has to look. When the camera comes back, `work` is called again with a new [`Camera`], after the first call has returned; if it is the same run of the
/// source, it goes on after the last frame that was taken, and [`Frame::missed`](crate::Frame::missed) tells what is between. A new run is read from its first frame on, a camera that was there in the beginning from its next one.
///
/// A `work` that returns earlier has finished with the camera until it comes again; but one that returns after [`Error::Ended`](crate::Error::Ended) is called again when another run has begun.
/// A camera with several streams comes once for each.
///
/// # Panics
///
/// A panic of `work` ends that call and nothing else; the camera's label is the name of the thread in the message. The camera is finished with until it comes again.
pub fn for_each_camera(work: impl Fn(Camera) + Send + Sync + 'static) -> ! {
    EachCamera::new().run(work)
}

/// As [`for_each_camera`], for the cameras of a directory that is not one of the usual ones.
///
/// ```no_run
/// use sdvr::for_each_camera_in;
///
/// for_each_camera_in("/run/cameras".as_ref(), |camera| println!("{} came", camera.label()));
/// ```
pub fn for_each_camera_in(directory: &Path, work: impl Fn(Camera) + Send + Sync + 'static) -> ! {
    EachCamera::new().in_directory(directory).run(work)
}

type Filter = dyn Fn(&CameraInfo) -> bool + Send;
type OnPanic = dyn Fn(&CameraInfo, &str) + Send;

/// Which cameras [`for_each_camera`] is for, and where panics are told.
///
/// ```
/// use sdvr::{EachCamera, Policy};
///
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path();
/// let running = EachCamera::new()
///     .in_directory(directory)
///     .only(|camera| camera.label.as_str().starts_with("door-"))
///     .on_panic(|camera, message| eprintln!("{}: {message}", camera.label))
///     .start(|mut camera| {
///         for frame in camera.frames(Policy::Latest).flatten() {
///             println!("{} bytes", frame.bytes().len());
///         }
///     })?;
/// running.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct EachCamera {
    directory: Option<PathBuf>,
    takes_derived: bool,
    start: Start,
    filter: Option<Box<Filter>>,
    on_panic: Option<Box<OnPanic>>,
}

impl fmt::Debug for EachCamera {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EachCamera")
            .field("directory", &self.directory)
            .field("takes_derived", &self.takes_derived)
            .finish_non_exhaustive()
    }
}

impl EachCamera {
    /// All cameras, where they usually are.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of a directory that is not one of the usual ones.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Streams that programs publish, too. Work that publishes must leave out its own by [`Self::only`].
    #[must_use]
    pub const fn with_derived(mut self) -> Self {
        self.takes_derived = true;
        self
    }

    /// Where reading begins of those that are there in the beginning: [`Start::Now`] if this is not called. Those that come later are read from their first frame on.
    #[must_use]
    pub const fn start_at(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Those only for which this is true. Asked each time that one comes.
    #[must_use]
    pub fn only(mut self, filter: impl Fn(&CameraInfo) -> bool + Send + 'static) -> Self {
        self.filter = Some(Box::new(filter));
        self
    }

    /// Told of each panic of the work, with its message, besides the panic hook that every panic calls.
    #[must_use]
    pub fn on_panic(mut self, tell: impl Fn(&CameraInfo, &str) + Send + 'static) -> Self {
        self.on_panic = Some(Box::new(tell));
        self
    }

    /// Calls `work` for each, for ever. See [`for_each_camera`].
    pub fn run(self, work: impl Fn(Camera) + Send + Sync + 'static) -> ! {
        let mut visits = Visits::new(self, Arc::new(work));
        loop {
            visits.look();
        }
    }

    /// Calls `work` for each until it is stopped, from another thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread. One for a camera that is not given is asked for again until it is.
    pub fn start(self, work: impl Fn(Camera) + Send + Sync + 'static) -> io::Result<ForEach> {
        let mut visits = Visits::new(self, Arc::new(work));
        let must_stop = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&must_stop);
        let looking = thread::Builder::new()
            .name("sdvr-cameras".to_owned())
            .spawn(move || {
                // Relaxed: nothing but the flag is looked at.
                while !is_told.load(Ordering::Relaxed) {
                    visits.look();
                }
                visits.end();
            })?;
        Ok(ForEach {
            must_stop,
            looking: Some(looking),
        })
    }
}

/// Work that is done for every camera. Made by [`EachCamera::start`]. When it is dropped, the work is told to end and not waited for.
#[derive(Debug)]
pub struct ForEach {
    must_stop: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl ForEach {
    /// Tells the work of all cameras to end, as if they had gone, and waits until it has: for as long as it takes to notice.
    pub fn stop(mut self) {
        self.tell();
        if let Some(looking) = self.looking.take() {
            // A panic of a filter was told by its hook, and there is nothing to stop after it.
            let _ = looking.join();
        }
    }

    fn tell(&self) {
        self.must_stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for ForEach {
    fn drop(&mut self) {
        self.tell();
    }
}

/// What is done for the cameras that are, or were, there.
struct Visits {
    cameras: Cameras,
    options: EachCamera,
    work: Arc<dyn Fn(Camera) + Send + Sync>,
    visits: BTreeMap<Key, Visit>,
    /// Whether the cameras have been looked at: those that come later are wanted from their first frame on.
    has_looked: bool,
}

impl Visits {
    fn new(options: EachCamera, work: Arc<dyn Fn(Camera) + Send + Sync>) -> Self {
        let cameras = match &options.directory {
            Some(directory) => Cameras::new_in(directory),
            None => Cameras::new(),
        };
        Self {
            cameras,
            options,
            work,
            visits: BTreeMap::new(),
            has_looked: false,
        }
    }

    fn look(&mut self) {
        for change in self.cameras.wait(LOOK_INTERVAL) {
            match change {
                Change::Came(camera) if self.is_wanted(&camera) => {
                    let start = if self.has_looked {
                        Start::Oldest
                    } else {
                        self.options.start
                    };
                    self.visits
                        .entry(key_of(&camera))
                        .or_default()
                        .came(camera, start);
                }
                Change::Came(_) => {}
                Change::Went(camera) => {
                    if let Some(visit) = self.visits.get_mut(&key_of(&camera)) {
                        visit.went();
                    }
                }
            }
        }
        self.has_looked = true;
        for visit in self.visits.values_mut() {
            if let Some((camera, message)) = visit.reap()
                && let Some(tell) = &self.options.on_panic
            {
                tell(&camera, &message);
            }
            visit.start(&self.work);
        }
        let idle = self.visits.values().filter(|visit| visit.is_idle()).count();
        if idle > REMEMBERED_MOST {
            self.visits.retain(|_, visit| !visit.is_idle());
        }
    }

    fn is_wanted(&self, camera: &CameraInfo) -> bool {
        let options = &self.options;
        let is_taken = options.takes_derived || !camera.origin.is_derived();
        is_taken && options.filter.as_ref().is_none_or(|filter| filter(camera))
    }

    /// Ends all work, and waits for it.
    fn end(mut self) {
        self.visits.values_mut().for_each(Visit::went);
        for visit in self.visits.values_mut() {
            if let Some((camera, message)) = visit.join()
                && let Some(tell) = &self.options.on_panic
            {
                tell(&camera, &message);
            }
        }
    }
}
