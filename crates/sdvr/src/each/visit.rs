//! The work that is done for one camera.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sdvr_frame::{FrameNumber, InstanceId, Timestamp};

use crate::camera::{Camera, Start};
use crate::cameras::CameraInfo;

/// Longer than it takes to be told that a camera has gone: one whose work has ended with its run, and that is still there then, has begun another.
const END_IS_TOLD: Duration = Duration::from_millis(600);

/// How long a camera is somebody's to work with, and how far it was read meanwhile. The camera and the one who watches have it in common.
#[derive(Debug, Default)]
pub(crate) struct Stay {
    /// When it was over; 0 before.
    over_ns: AtomicI64,
    /// Whether the camera has said that it ends.
    has_ended: AtomicBool,
    last: Mutex<Option<(InstanceId, FrameNumber)>>,
}

// All are relaxed: nothing but themselves is looked at.
impl Stay {
    /// Since when it is over.
    pub(crate) fn over(&self) -> Option<Timestamp> {
        let over_ns = self.over_ns.load(Ordering::Relaxed);
        (over_ns != 0).then(|| Timestamp::from_nanoseconds(over_ns))
    }

    fn end(&self) {
        let now_ns = Timestamp::now().as_nanoseconds();
        // What it was first is what counts.
        let _ = self
            .over_ns
            .compare_exchange(0, now_ns, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn has_ended(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
    }

    /// A frame was handed out.
    pub(crate) fn took(&self, run: InstanceId, number: FrameNumber) {
        self.has_ended.store(false, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((run, number));
    }

    fn last(&self) -> Option<(InstanceId, FrameNumber)> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One camera's work, over all its comings.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// While the camera is there.
    there: Option<Presence>,
    working: Option<Working>,
    /// The last frame that was handed out, of whichever call.
    last: Option<(InstanceId, FrameNumber)>,
}

#[derive(Debug)]
struct Presence {
    camera: CameraInfo,
    start: Start,
    /// When the work is to begin; `None` when it was done.
    begin: Option<Timestamp>,
}

#[derive(Debug)]
struct Working {
    camera: CameraInfo,
    stay: Arc<Stay>,
    thread: JoinHandle<()>,
}

impl Visit {
    pub(super) fn came(&mut self, camera: CameraInfo, start: Start) {
        self.there = Some(Presence {
            camera,
            start,
            begin: Some(Timestamp::now()),
        });
    }

    pub(super) fn went(&mut self) {
        self.there = None;
        if let Some(working) = &self.working {
            working.stay.end();
        }
    }

    /// Whether it is only remembered.
    pub(super) const fn is_idle(&self) -> bool {
        self.there.is_none() && self.working.is_none()
    }

    /// Begins the work if the camera is there and nothing is done for it.
    pub(super) fn start(&mut self, work: &Arc<dyn Fn(Camera) + Send + Sync>) {
        let Some(presence) = &mut self.there else {
            return;
        };
        let is_due = presence
            .begin
            .is_some_and(|begin| begin <= Timestamp::now());
        if !is_due || self.working.is_some() {
            return;
        }
        let info = &presence.camera;
        let name = info.ring_name();
        let stay = Arc::new(Stay::default());
        let opened = Camera::open_for(
            (&info.directory, name.as_str()),
            presence.start,
            self.last,
            Arc::clone(&stay),
        );
        // Gone in the meantime, which the next look tells; or without a descriptor left, which may be better then.
        let Ok(camera) = opened else {
            return;
        };
        let work = Arc::clone(work);
        let thread = thread::Builder::new()
            .name(info.label.to_string())
            .spawn(move || work(camera));
        // Without a thread left it may be better at the next look, too.
        if let Ok(thread) = thread {
            presence.begin = None;
            self.working = Some(Working {
                camera: info.clone(),
                stay,
                thread,
            });
        }
    }

    /// Takes note of work that is over. Gives the message of a panic.
    pub(super) fn reap(&mut self) -> Option<(CameraInfo, String)> {
        if self.working.as_ref()?.thread.is_finished() {
            self.join()
        } else {
            None
        }
    }

    /// Waits until the work is over. Gives the message of a panic.
    pub(super) fn join(&mut self) -> Option<(CameraInfo, String)> {
        let Working {
            camera,
            stay,
            thread,
        } = self.working.take()?;
        let result = thread.join();
        self.last = stay.last().or(self.last);
        if let Some(presence) = &mut self.there
            && presence.begin.is_none()
            && result.is_ok()
            && stay.has_ended.load(Ordering::Relaxed)
        {
            // Only that run's end was the work's end.
            presence.start = Start::Oldest;
            presence.begin = Some(Timestamp::now() + END_IS_TOLD);
        }
        let panic = result.err()?;
        Some((camera, message(&*panic)))
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
