//! Which cameras there are.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sdvr::{Cameras, Change};

use crate::camera::parse_timeout;

/// How long at most Ctrl-C has to wait for a thread that waits for cameras.
const SLICE: Duration = Duration::from_millis(100);

/// A camera that is there, as it was when somebody looked. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, get_all, eq, module = "sdvr")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CameraInfo {
    label: String,
    directory: PathBuf,
    fingerprint: Option<String>,
    stream: u16,
    instance: String,
    format: String,
    width: u32,
    height: u32,
    state: String,
    link: Option<String>,
    frames_per_second: f64,
    frames: u64,
    lost: u64,
    bytes: u64,
    last_frame_ns: Option<i64>,
}

impl From<sdvr::CameraInfo> for CameraInfo {
    fn from(info: sdvr::CameraInfo) -> Self {
        Self {
            label: info.label.to_string(),
            fingerprint: info.fingerprint().map(|it| it.to_string()),
            directory: info.directory,
            stream: info.stream.0,
            instance: info.instance.to_string(),
            format: info.format.fourcc.to_string(),
            width: info.format.width,
            height: info.format.height,
            state: info.state.to_string(),
            link: info.link.map(|link| link.to_string()),
            frames_per_second: info.frames_per_second,
            frames: info.frames,
            lost: info.lost,
            bytes: info.bytes,
            last_frame_ns: info.last_frame.map(sdvr::Timestamp::as_nanoseconds),
        }
    }
}

#[pymethods]
impl CameraInfo {
    fn __repr__(&self) -> String {
        format!(
            "<sdvr.CameraInfo {}: {} {}x{}, {}>",
            self.label, self.format, self.width, self.height, self.state
        )
    }
}

/// The cameras that are there now, sorted by label.
#[pyfunction]
#[pyo3(signature = (*, directory=None))]
pub(crate) fn cameras(py: Python<'_>, directory: Option<PathBuf>) -> Vec<CameraInfo> {
    let list = py.detach(|| match &directory {
        Some(directory) => Cameras::list_in(directory),
        None => Cameras::list(),
    });
    list.into_iter().map(CameraInfo::from).collect()
}

/// Tells of cameras that come and go. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, module = "sdvr._native")]
pub(crate) struct Watch {
    /// Had by the thread that waits.
    cameras: Mutex<Cameras>,
}

#[pymethods]
impl Watch {
    #[new]
    #[pyo3(signature = (*, directory=None))]
    fn new(directory: Option<PathBuf>) -> Self {
        let cameras = directory.map_or_else(Cameras::new, |path| Cameras::new_in(&path));
        Self {
            cameras: Mutex::new(cameras),
        }
    }

    /// Pairs of "came" or "went" and the camera; none when nothing changed in `timeout` seconds.
    #[pyo3(signature = (timeout=None))]
    fn wait(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<(&'static str, CameraInfo)>> {
        let timeout = parse_timeout(timeout)?;
        let begin = Instant::now();
        loop {
            let rest = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
            let slice = rest.map_or(SLICE, |rest| rest.min(SLICE));
            let changes = py.detach(|| match self.cameras.try_lock() {
                Ok(mut cameras) => Some(cameras.wait(slice)),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => {
                    Some(PoisonError::into_inner(poisoned).wait(slice))
                }
                Err(std::sync::TryLockError::WouldBlock) => None,
            });
            let Some(changes) = changes else {
                return Err(PyRuntimeError::new_err(
                    "another thread waits for cameras by this; call sdvr.watch once for each thread",
                ));
            };
            if !changes.is_empty() || rest.is_some_and(|rest| rest <= slice) {
                return Ok(changes.into_iter().map(pair).collect());
            }
            py.check_signals()?;
        }
    }
}

fn pair(change: Change) -> (&'static str, CameraInfo) {
    match change {
        Change::Came(camera) => ("came", camera.into()),
        Change::Went(camera) => ("went", camera.into()),
    }
}
