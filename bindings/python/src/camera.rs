//! A camera that is open.

use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use sdvr::{DecodeError, Error, Policy, Ready, Start, Unread};

use crate::error::{exception, exceptions, no_such};
use crate::feed::{Bytes, Copies, Feed, Given};
use crate::frame::{Content, Frame};
use crate::picture::Kind;
use crate::stock::Stock;

/// For how long at most Ctrl-C, and whoever closes the camera, have to wait for a thread that waits for a frame.
const SLICE: Duration = Duration::from_millis(100);

/// A camera's frames. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, subclass, module = "sdvr._native")]
pub(crate) struct Camera {
    shared: Arc<Shared>,
    /// What it was opened by.
    name: String,
    policy: Policy,
    until_end: bool,
    raises_damage: bool,
    /// How long an iteration waits for a frame.
    timeout: Option<Duration>,
    /// Had by the thread that waits for a frame.
    turn: Mutex<()>,
    damaged: AtomicU64,
    stock: Arc<Stock>,
}

/// What of a camera those of its frames need that were not copied.
pub(crate) struct Shared {
    /// Had while somebody waits for `feed`, so that a thread that takes it again and again lets others have it.
    entrance: Mutex<()>,
    /// Tells whoever waits by a descriptor, once somebody does.
    ready: Mutex<Option<Ready>>,
    /// `None` when it was closed. Only waited for while other threads of Python run: whoever has it may wait for them.
    feed: Mutex<Option<Feed>>,
}

impl Shared {
    fn feed(&self) -> MutexGuard<'_, Option<Feed>> {
        // What a panic left behind is a camera like any other.
        let _entrance = self.entrance.lock().unwrap_or_else(PoisonError::into_inner);
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame's bytes; `None` when they were overwritten, or nobody reads the camera any more.
    pub(crate) fn read(&self, unread: &Unread, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let feed = self.feed();
        let is_whole = feed.as_ref()?.camera().read_into(unread, &mut bytes);
        is_whole.then_some(bytes)
    }
}

/// How waiting for a frame ended.
enum Waited {
    Given(Box<Given>),
    Nothing,
    Closed,
    Failed(Error),
}

impl Camera {
    /// The next frame, or `None` after `timeout`.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Frame>> {
        let Ok(_turn) = self.turn.try_lock() else {
            return Err(PyRuntimeError::new_err(format!(
                "another thread waits for a frame of this camera; open {:?} once for each thread",
                self.name
            )));
        };
        let begin = Instant::now();
        loop {
            let rest = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
            let slice = rest.map_or(SLICE, |rest| rest.min(SLICE));
            match py.detach(|| self.wait_slice(slice)) {
                Waited::Given(given) => return self.frame(py, *given).map(Some),
                Waited::Closed => return Err(self.closed()),
                Waited::Failed(Error::Ended) if !self.until_end => {}
                Waited::Failed(error) if !self.raises_damage && is_damage(&error) => {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                }
                Waited::Failed(error) => return Err(exception(error)),
                Waited::Nothing if rest.is_some_and(|rest| rest <= slice) => return Ok(None),
                Waited::Nothing => {}
            }
            py.check_signals()?;
        }
    }

    fn wait_slice(&self, slice: Duration) -> Waited {
        let mut feed = self.shared.feed();
        let Some(feed) = feed.as_mut() else {
            return Waited::Closed;
        };
        match feed.next(self.policy, slice, &self.stock) {
            Ok(Some(given)) => Waited::Given(Box::new(given)),
            Ok(None) => Waited::Nothing,
            Err(error) => Waited::Failed(error),
        }
    }

    fn frame(&self, py: Python<'_>, given: Given) -> PyResult<Frame> {
        let content = match given.bytes {
            Bytes::Copied(bytes) => Content::Copied(Arc::new(bytes)),
            Bytes::InPlace(unread) => Content::in_place(unread, Arc::clone(&self.shared)),
        };
        let stock = Arc::clone(&self.stock);
        let frame = Frame::new(content, given.missed, given.stream, given.label, stock);
        match given.picture {
            Some((picture, kind)) => frame.with_picture(py, picture, kind),
            None => Ok(frame),
        }
    }

    fn closed(&self) -> PyErr {
        exceptions::Closed::new_err(format!("the camera {:?} was closed", self.name))
    }

    /// What `tell` says of the crate's camera.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        tell: impl FnOnce(&sdvr::Camera) -> T + Send,
    ) -> PyResult<T> {
        let told = py.detach(|| self.shared.feed().as_ref().map(|feed| tell(feed.camera())));
        told.ok_or_else(|| self.closed())
    }
}

#[pymethods]
impl Camera {
    #[new]
    #[pyo3(signature = (camera, policy="latest", *, start="now", directory=None, wait=false, pixels=Some("bgr"), copy=true,
        until_end=false, on_damage="skip", timeout=None),
        text_signature = "(camera, policy='latest', *, start='now', directory=None, wait=False, pixels='bgr', copy=True, until_end=False, on_damage='skip', timeout=None)")]
    #[expect(
        clippy::too_many_arguments,
        reason = "Python's arguments have names where they are given"
    )]
    fn new(
        py: Python<'_>,
        camera: &str,
        policy: &str,
        start: &str,
        directory: Option<PathBuf>,
        wait: bool,
        pixels: Option<&str>,
        copy: bool,
        until_end: bool,
        on_damage: &str,
        timeout: Option<f64>,
    ) -> PyResult<Self> {
        let policy = parse_policy(policy)?;
        let start = match start {
            "now" => Start::Now,
            "oldest" => Start::Oldest,
            _ => return Err(no_such("start", start, "\"now\" or \"oldest\"")),
        };
        let raises_damage = match on_damage {
            "skip" => false,
            "raise" => true,
            _ => return Err(no_such("on_damage", on_damage, "\"skip\" or \"raise\"")),
        };
        let kind = pixels.map(Kind::parse).transpose()?;
        let timeout = parse_timeout(timeout)?;
        let opened = py.detach(|| open(camera, directory, start, wait));
        let opened = opened.map_err(exception)?;
        let feed = match kind {
            Some(kind) if copy => Feed::decoded(opened, kind),
            None if copy => Feed::coded(opened, Copies::AtOnce),
            _ => Feed::coded(opened, Copies::WhenWanted),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                entrance: Mutex::new(()),
                ready: Mutex::new(None),
                feed: Mutex::new(Some(feed)),
            }),
            name: camera.to_owned(),
            policy,
            until_end,
            raises_damage,
            timeout,
            turn: Mutex::new(()),
            damaged: AtomicU64::new(0),
            stock: Arc::default(),
        })
    }

    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        self.wait(py, parse_timeout(timeout)?)
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        match self.wait(py, self.timeout) {
            Ok(None) => Err(exceptions::TimedOut::new_err(format!(
                "no frame of {:?} came within {:?}",
                self.name,
                self.timeout.unwrap_or_default()
            ))),
            Err(error) if error.is_instance_of::<exceptions::Ended>(py) => Ok(None),
            next => next,
        }
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        let descriptor = py.detach(|| {
            let mut feed = self.shared.feed();
            let ready = feed.as_mut()?.camera_mut().ready();
            Some(ready.map(|ready| {
                let descriptor = ready.as_raw_fd();
                let mut kept = self
                    .shared
                    .ready
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *kept = Some(ready);
                descriptor
            }))
        });
        Ok(descriptor.ok_or_else(|| self.closed())??)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.shared.feed().take()));
    }

    #[getter]
    fn label(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |camera| camera.label().to_owned())
    }

    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |camera| camera.state().to_string())
    }

    #[getter]
    fn format(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.ask(py, |camera| {
            camera.info().map(|info| info.format.fourcc.to_string())
        })
    }

    #[getter]
    fn width(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        self.ask(py, |camera| camera.info().map(|info| info.format.width))
    }

    #[getter]
    fn height(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        self.ask(py, |camera| camera.info().map(|info| info.format.height))
    }

    #[getter]
    fn missed_at_end(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, sdvr::Camera::missed_at_end)
    }

    #[getter]
    fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    fn __repr__(&self) -> String {
        format!("<sdvr.Camera {:?}>", self.name)
    }
}

/// Whether a frame is damaged, and those after it may be good.
const fn is_damage(error: &Error) -> bool {
    match error {
        Error::Undecodable { cause, .. } => !matches!(
            cause,
            DecodeError::Unsupported { .. } | DecodeError::Size { .. }
        ),
        _ => false,
    }
}

pub(crate) fn open(
    camera: &str,
    directory: Option<PathBuf>,
    start: Start,
    wait: bool,
) -> Result<sdvr::Camera, Error> {
    let is_absent = |opened: &Result<_, Error>| {
        matches!(opened, Err(Error::NotFound { .. } | Error::Forbidden))
    };
    let opened = match &directory {
        Some(directory) => sdvr::Camera::open_in(directory, camera, start),
        None => sdvr::Camera::open_at(camera, start),
    };
    if !wait || !is_absent(&opened) {
        return opened;
    }
    Ok(match &directory {
        Some(directory) => sdvr::Camera::wait_for_in(directory, camera),
        None => sdvr::Camera::wait_for(camera),
    })
}

pub(crate) fn parse_policy(text: &str) -> PyResult<Policy> {
    Ok(match text {
        "latest" => Policy::Latest,
        "every" => Policy::Every,
        "keyframes" => Policy::KeyFrames,
        _ => {
            let values = "\"latest\", \"every\" or \"keyframes\"";
            return Err(no_such("policy", text, values));
        }
    })
}

/// Seconds; `None` is for ever.
pub(crate) fn parse_timeout(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let parse = |seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|error| {
            PyValueError::new_err(format!("timeout is {seconds}; it must be seconds: {error}"))
        })
    };
    match seconds {
        Some(seconds) if seconds.is_infinite() && seconds > 0.0 => Ok(None),
        seconds => seconds.map(parse).transpose(),
    }
}
