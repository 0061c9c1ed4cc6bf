//! Many cameras at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sdvr::{Error, FrameSet, GroupError, Member, Policy, Start};

use crate::camera::{open, parse_policy, parse_timeout};
use crate::error::{exception, exceptions};
use crate::frame::{Content, Frame};
use crate::stock::{CodedBytes, Stock, StreamDescription};

/// For how long at most Ctrl-C has to wait.
const SLICE: Duration = Duration::from_millis(100);

/// Frames of many cameras. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, subclass, module = "sdvr._native")]
pub(crate) struct Group {
    /// `None` when it was closed. Had by the thread that waits.
    group: Mutex<Option<sdvr::Group>>,
    names: BTreeMap<Member, Arc<str>>,
    policy: Policy,
}

/// How a slice of waiting ended.
enum Waited<T> {
    Given(T),
    Nothing,
    Closed,
    InUse,
    Failed(GroupError),
}

/// A frame, and what its ring says of it.
struct Given {
    frame: sdvr::Frame,
    name: Arc<str>,
    extradata: Vec<u8>,
}

impl Group {
    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
        mut ask: impl FnMut(&mut sdvr::Group, Duration) -> Result<Option<T>, GroupError> + Send,
    ) -> PyResult<Option<T>> {
        let begin = Instant::now();
        loop {
            let rest = timeout.map(|timeout| timeout.saturating_sub(begin.elapsed()));
            let slice = rest.map_or(SLICE, |rest| rest.min(SLICE));
            match py.detach(|| self.wait_slice(slice, &mut ask)) {
                Waited::Given(given) => return Ok(Some(given)),
                Waited::Nothing if rest.is_some_and(|rest| rest <= slice) => return Ok(None),
                Waited::Nothing => {}
                Waited::Failed(failed) if matches!(failed.error, Error::Ended) => {}
                Waited::Failed(failed) => return Err(exception(failed.error)),
                Waited::Closed => {
                    return Err(exceptions::Closed::new_err("the group was closed"));
                }
                Waited::InUse => {
                    return Err(PyRuntimeError::new_err(
                        "another thread waits for frames of this group; make one for each thread",
                    ));
                }
            }
            py.check_signals()?;
        }
    }

    fn wait_slice<T>(
        &self,
        slice: Duration,
        ask: &mut impl FnMut(&mut sdvr::Group, Duration) -> Result<Option<T>, GroupError>,
    ) -> Waited<T> {
        let Ok(mut group) = self.group.try_lock() else {
            return Waited::InUse;
        };
        let Some(group) = group.as_mut() else {
            return Waited::Closed;
        };
        match ask(group, slice) {
            Ok(Some(given)) => Waited::Given(given),
            Ok(None) => Waited::Nothing,
            Err(failed) => Waited::Failed(failed),
        }
    }

    fn given(&self, group: &sdvr::Group, member: Member, frame: sdvr::Frame) -> Given {
        let camera = group.camera(member);
        let info = camera.and_then(sdvr::Camera::info);
        let info = info.filter(|info| info.instance == frame.instance());
        Given {
            name: self.names.get(&member).map(Arc::clone).unwrap_or_default(),
            extradata: info.map(|info| info.extradata.clone()).unwrap_or_default(),
            frame,
        }
    }
}

#[pymethods]
impl Group {
    #[new]
    #[pyo3(signature = (cameras, policy="latest", *, directory=None, wait=false))]
    fn new(
        py: Python<'_>,
        cameras: Vec<String>,
        policy: &str,
        directory: Option<PathBuf>,
        wait: bool,
    ) -> PyResult<Self> {
        let policy = parse_policy(policy)?;
        let (mut group, mut names) = (sdvr::Group::new(), BTreeMap::new());
        for camera in &cameras {
            if names.values().any(|name: &Arc<str>| **name == **camera) {
                let text = format!("{camera:?} is in the group twice; open a second group for it");
                return Err(PyValueError::new_err(text));
            }
            let opened = py.detach(|| open(camera, directory.clone(), Start::Now, wait));
            let member = group.add(opened.map_err(exception)?);
            names.insert(member, camera.as_str().into());
        }
        Ok(Self {
            group: Mutex::new(Some(group)),
            names,
            policy,
        })
    }

    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        let timeout = parse_timeout(timeout)?;
        let given = self.wait(py, timeout, |group, slice| {
            let next = group.next(self.policy, slice)?;
            Ok(next.map(|(member, frame)| self.given(group, member, frame)))
        })?;
        Ok(given.map(Frame::from))
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        self.next(py, None)
    }

    #[pyo3(signature = (tolerance, timeout=None))]
    fn sync<'py>(
        &self,
        py: Python<'py>,
        tolerance: f64,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let tolerance = Duration::try_from_secs_f64(tolerance).map_err(|error| {
            PyValueError::new_err(format!(
                "tolerance is {tolerance}; it must be seconds: {error}"
            ))
        })?;
        let given = self.wait(py, parse_timeout(timeout)?, |group, slice| {
            let set = group.sync(tolerance, slice)?;
            let given = |FrameSet { parts }| -> Vec<Given> {
                let parts = parts.into_iter();
                let frames = parts.filter_map(|part| Some((part.member, part.frame?)));
                frames
                    .map(|(member, frame)| self.given(group, member, frame))
                    .collect()
            };
            Ok(set.map(given))
        })?;
        let Some(given) = given else {
            return Ok(None);
        };
        let set = PyDict::new(py);
        for given in given {
            set.set_item(given.name.to_string(), Frame::from(given))?;
        }
        Ok(Some(set))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let is_closed = py.detach(|| match self.group.try_lock() {
            Ok(mut group) => {
                drop(group.take());
                true
            }
            Err(_) => false,
        });
        if is_closed {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "another thread waits for frames of this group; it has to close it",
        ))
    }
}

impl From<Given> for Frame {
    fn from(given: Given) -> Self {
        let stock: Arc<Stock> = Arc::default();
        let stream = StreamDescription {
            format: given.frame.format(),
            extradata: given.extradata,
        };
        let missed = given.frame.missed();
        let bytes = CodedBytes::of_frame(given.frame, Arc::clone(&stock));
        let content = Content::Copied(Arc::new(bytes));
        Self::new(content, missed, Arc::new(stream), given.name, stock)
    }
}
