//! Who reads cameras: one thread for each camera and kind that somebody watches, however many do.

mod coded;
mod images;
mod queue;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sdvr::{Camera, FrameRate, Start};
use tokio::sync::Notify;

pub(crate) use self::coded::kind_of;
pub(crate) use self::queue::Position;
use self::queue::Queue;
use crate::catalog::{CameraNumber, Known};
use crate::counters::Counters;
use crate::messages::Kind;
use crate::packed::{Epoch, Packed};
use crate::socket::Page;

/// Frames under way to a page at most: what comes in a second, or so many of a camera that says nothing of its rate.
const WINDOW_DEFAULT: u64 = 30;
/// No less and no more, whatever a camera says.
const WINDOW_LEAST: u64 = 8;
const WINDOW_MOST: u64 = 120;

/// How often a reader without frames looks whether it is still watched.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// All that are read now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<HashMap<(CameraNumber, Kind), Arc<Reader>>>,
    next_epoch: AtomicU32,
    counters: Arc<Counters>,
}

/// A camera that is read as one kind.
#[derive(Debug)]
pub(crate) struct Reader {
    camera: Arc<Known>,
    kind: Kind,
    state: Mutex<State>,
    /// Told when somebody wants a frame, and when nobody watches any more.
    demand: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// Who is told holds no lock meanwhile, and has this.
    watchers: Arc<Vec<Watcher>>,
    /// Whether somebody has seen all there is and can take more.
    is_wanted: bool,
    status: Status,
}

/// Whether frames may still come from a reader.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    Running,
    /// The camera sends something else now: it is to be watched anew.
    Changed,
    /// It cannot be shown; why, for people.
    Trouble(Arc<str>),
}

/// A place among those who watch; left when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    reader: Arc<Reader>,
    watcher: Watcher,
}

/// Who is told of frames.
#[derive(Clone, Debug)]
pub(crate) enum Watcher {
    /// A page takes them out at once, as far as it has room.
    Page(Weak<Page>),
    /// A task takes them out when it has room.
    Task(Arc<Notify>),
}

impl Watcher {
    fn tell(&self, camera: CameraNumber) {
        match self {
            Self::Page(page) => {
                if let Some(page) = page.upgrade() {
                    page.hand_out(camera);
                }
            }
            Self::Task(task) => task.notify_one(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Page(page), Self::Page(other)) => Weak::ptr_eq(page, other),
            (Self::Task(task), Self::Task(other)) => Arc::ptr_eq(task, other),
            _ => false,
        }
    }
}

/// What a watcher finds.
#[derive(Debug)]
pub(crate) enum Next {
    Frame(Arc<Packed>),
    /// As many frames are under way as may be.
    NoRoom,
    /// There is none yet; it is told when there is.
    NoneYet,
    /// None will come.
    Over(Status),
}

impl Readers {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self(Arc::new(Shared {
            counters,
            ..Shared::default()
        }))
    }

    /// Watches a camera: `watcher` is told of its frames, by the thread that reads them.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(crate) fn watch(
        &self,
        camera: &Arc<Known>,
        kind: Kind,
        watcher: Watcher,
    ) -> std::io::Result<Watch> {
        let mut open = self.open();
        let reader = match open.get(&(camera.number, kind)) {
            Some(reader) => Arc::clone(reader),
            None => {
                let reader = Arc::new(Reader::new(Arc::clone(camera), kind));
                let running = Running {
                    readers: self.clone(),
                    reader: Arc::clone(&reader),
                };
                let thread = std::thread::Builder::new().name(format!("{}", camera.info.label));
                // Until it can look, the new one has nobody who watches: it looks under the lock that is held here.
                thread.spawn(move || running.run())?;
                self.counters().readers.add(1);
                open.insert((camera.number, kind), Arc::clone(&reader));
                reader
            }
        };
        Arc::make_mut(&mut reader.state().watchers).push(watcher.clone());
        reader.demand.notify_one();
        Ok(Watch { reader, watcher })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<(CameraNumber, Kind), Arc<Reader>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

impl Reader {
    fn new(camera: Arc<Known>, kind: Kind) -> Self {
        Self {
            camera,
            kind,
            state: Mutex::new(State {
                queue: Queue::new(kind),
                watchers: Arc::default(),
                is_wanted: false,
                status: Status::Running,
            }),
            demand: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all who watch that there is a frame, or that no more will come. Pages are written to here, on the thread that has the frame: nobody has to be woken
    /// for it, and who encrypts does so beside the others. To be called without a lock, since who is told looks at the state.
    fn tell_watchers(&self) {
        let watchers = Arc::clone(&self.state().watchers);
        for watcher in &*watchers {
            watcher.tell(self.camera.number);
        }
    }
}

impl Watch {
    /// The next frame for a watcher that may have room for it, of as many as a window has.
    pub(crate) fn next(
        &self,
        position: &mut Position,
        has_room: impl FnOnce(usize) -> bool,
    ) -> Next {
        let mut state = self.reader.state();
        if !has_room(state.queue.window()) {
            return Next::NoRoom;
        }
        if let Some(frame) = state.queue.next(position) {
            return Next::Frame(frame);
        }
        match &state.status {
            Status::Running => {
                if !state.is_wanted {
                    state.is_wanted = true;
                    self.reader.demand.notify_one();
                }
                Next::NoneYet
            }
            status => Next::Over(status.clone()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.reader.state();
        let mine = |other: &Watcher| other.is(&self.watcher);
        let watchers = Arc::make_mut(&mut state.watchers);
        if let Some(at) = watchers.iter().position(mine) {
            watchers.swap_remove(at);
        }
        drop(state);
        self.reader.demand.notify_one();
    }
}

/// A reader on its thread; gives its place up whatever happens.
#[derive(Debug)]
struct Running {
    readers: Readers,
    reader: Arc<Reader>,
}

impl Running {
    fn run(self) {
        // `watch` holds this lock until somebody watches.
        drop(self.readers.open());
        let status = match self.reader.kind {
            Kind::Jpeg => images::run(&self),
            _ => coded::run(&self),
        };
        self.end(status);
    }

    fn end(&self, status: Status) {
        let mut open = self.readers.open();
        let place = (self.reader.camera.number, self.reader.kind);
        if open
            .get(&place)
            .is_some_and(|reader| Arc::ptr_eq(reader, &self.reader))
        {
            open.remove(&place);
            self.readers.counters().readers.subtract(1);
        }
        let mut state = self.reader.state();
        if matches!(state.status, Status::Running) {
            state.status = status;
        }
        drop((state, open));
        self.reader.tell_watchers();
    }

    /// The camera; from its newest frame on that somebody can begin with.
    fn open_camera(&self, start: Start) -> Camera {
        let info = &self.reader.camera.info;
        let file = info.file_name();
        Camera::open_in(&info.directory, &file, start)
            .unwrap_or_else(|_| Camera::wait_for_in(&info.directory, &file))
    }

    /// Whether somebody watches. If not, nobody will: whoever comes gets another reader.
    fn is_watched(&self) -> bool {
        let mut open = self.readers.open();
        let mut state = self.reader.state();
        if !state.watchers.is_empty() {
            return true;
        }
        state.status = Status::Changed;
        if open
            .remove(&(self.reader.camera.number, self.reader.kind))
            .is_some()
        {
            self.readers.counters().readers.subtract(1);
        }
        false
    }

    /// Waits until somebody wants a frame. False when nobody watches any more.
    fn await_demand(&self) -> bool {
        loop {
            let mut state = self.reader.state();
            if !state.is_wanted && !state.watchers.is_empty() {
                let waited = self.reader.demand.wait_timeout(state, LOOK_INTERVAL);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let is_wanted = std::mem::take(&mut state.is_wanted);
            let has_watchers = !state.watchers.is_empty();
            drop(state);
            if !has_watchers && !self.is_watched() {
                return false;
            }
            if is_wanted {
                return true;
            }
        }
    }

    /// Asks for a frame once more, as none came.
    fn still_wants(&self) {
        self.reader.state().is_wanted = true;
    }

    fn publish(&self, frame: Packed) {
        self.readers.counters().frames_packed.add(1);
        self.reader.state().queue.push(Arc::new(frame));
        self.reader.tell_watchers();
    }

    fn new_epoch(&self, codec: String, size: (u32, u32), rate: FrameRate) -> Arc<Epoch> {
        let in_a_second = rate
            .interval_ns()
            .and_then(|interval| 1_000_000_000_u64.checked_div(interval));
        let window = in_a_second
            .unwrap_or(WINDOW_DEFAULT)
            .clamp(WINDOW_LEAST, WINDOW_MOST);
        // Relaxed: only that each is another one matters.
        let number = self.readers.0.next_epoch.fetch_add(1, Ordering::Relaxed);
        Arc::new(Epoch {
            number: number.wrapping_add(1),
            kind: self.reader.kind,
            codec,
            width: size.0,
            height: size.1,
            window: usize::try_from(window).unwrap_or(usize::MAX),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after a panic it is still running.
        self.end(Status::Trouble(
            "this camera's frames crash the server's decoder".into(),
        ));
    }
}
