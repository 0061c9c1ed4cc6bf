//! A frame.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use sdvr::{Coded, DecodeError, StreamFormat, Unread};

use crate::camera::Shared;
use crate::error::exceptions;
use crate::memory::Memory;
use crate::picture::{Kind, to_arrays};
use crate::stock::{CodedBytes, Stock, StreamDescription};

/// One frame of a camera. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, module = "sdvr")]
pub(crate) struct Frame {
    content: Content,
    stream: Arc<StreamDescription>,
    label: Arc<str>,
    missed: u64,
    /// What was decoded with the frames before it, since it needs them.
    decoded: Option<Kind>,
    stock: Arc<Stock>,
    raw: PyOnceLock<Py<PyAny>>,
    pixels: [PyOnceLock<Py<PyAny>>; Kind::COUNT],
}

pub(crate) enum Content {
    /// A copy.
    Copied(Arc<CodedBytes>),
    /// Where it was published, for as long as it is there.
    InPlace {
        unread: Box<Unread>,
        camera: Arc<Shared>,
        copied: PyOnceLock<Arc<CodedBytes>>,
    },
}

impl Content {
    pub(crate) const fn in_place(unread: Box<Unread>, camera: Arc<Shared>) -> Self {
        Self::InPlace {
            unread,
            camera,
            copied: PyOnceLock::new(),
        }
    }
}

impl Frame {
    pub(crate) fn new(
        content: Content,
        missed: u64,
        stream: Arc<StreamDescription>,
        label: Arc<str>,
        stock: Arc<Stock>,
    ) -> Self {
        Self {
            content,
            stream,
            label,
            missed,
            decoded: None,
            stock,
            raw: PyOnceLock::new(),
            pixels: [const { PyOnceLock::new() }; Kind::COUNT],
        }
    }

    /// A frame whose picture was made already.
    pub(crate) fn with_picture(
        mut self,
        py: Python<'_>,
        picture: sdvr::Picture,
        kind: Kind,
    ) -> PyResult<Self> {
        let arrays = to_arrays(py, picture, kind, &self.stock)?;
        self.decoded = Some(kind);
        if let Some(place) = self.pixels.get(kind as usize) {
            let _ = place.set(py, arrays);
        }
        Ok(self)
    }

    pub(crate) fn about(&self) -> &sdvr::Frame {
        match &self.content {
            Content::Copied(bytes) => bytes
                .frame()
                .expect("a frame that was copied is held whole"),
            Content::InPlace { unread, .. } => unread.about(),
        }
    }

    /// The frame's own bytes.
    fn coded(&self, py: Python<'_>) -> PyResult<Arc<CodedBytes>> {
        match &self.content {
            Content::Copied(bytes) => Ok(Arc::clone(bytes)),
            Content::InPlace {
                unread,
                camera,
                copied,
            } => copied
                .get_or_try_init(py, || {
                    let bytes = py.detach(|| camera.read(unread, self.stock.take_bytes()));
                    let bytes = bytes.ok_or_else(|| self.overwritten())?;
                    let stock = Arc::clone(&self.stock);
                    Ok(Arc::new(CodedBytes::of_bytes(bytes, stock)))
                })
                .map(Arc::clone),
        }
    }

    fn overwritten(&self) -> PyErr {
        let number = self.about().number().0;
        exceptions::Overwritten::new_err(format!(
            "frame {number} of {} was overwritten before it was looked at; open the camera without copy=False, or look sooner",
            self.label
        ))
    }

    fn pixels(&self, py: Python<'_>, kind: Kind) -> PyResult<Py<PyAny>> {
        let Some(place) = self.pixels.get(kind as usize) else {
            return Err(exceptions::Error::new_err("there are no such pixels"));
        };
        let arrays = place.get_or_try_init(py, || match self.decoded {
            Some(decoded) => self.convert(py, decoded, kind),
            None if self.stream.format.fourcc.is_inter_coded() => {
                Err(exceptions::Error::new_err(format!(
                    "a frame of {} cannot be decoded without those before it, which is done by a camera that is opened alone, with pixels={:?} and without copy=False",
                    self.stream.format.fourcc,
                    kind.name()
                )))
            }
            None => {
                let coded = self.coded(py)?;
                self.decode(py, &self.stream, &coded, kind)
            }
        })?;
        Ok(arrays.clone_ref(py))
    }

    fn decode(
        &self,
        py: Python<'_>,
        stream: &Arc<StreamDescription>,
        bytes: &[u8],
        kind: Kind,
    ) -> PyResult<Py<PyAny>> {
        let about = self.about();
        let coded = Coded {
            bytes,
            number: about.number().0,
            is_key: about.is_key(),
        };
        let picture = py.detach(|| self.stock.decode(stream, coded, kind.pixels()));
        let picture = picture.map_err(|error| self.undecodable(&error))?;
        to_arrays(py, picture, kind, &self.stock)
    }

    /// Of the picture that there is, another kind of pixels.
    fn convert(&self, py: Python<'_>, decoded: Kind, kind: Kind) -> PyResult<Py<PyAny>> {
        let format = match decoded.as_format() {
            Some(fourcc) if kind != Kind::Planes => StreamFormat {
                fourcc,
                ..self.stream.format
            },
            _ => {
                return Err(exceptions::Error::new_err(format!(
                    "the picture was decoded to {:?}, which does not become {:?}; open the camera with pixels={:?}",
                    decoded.name(),
                    kind.name(),
                    kind.name()
                )));
            }
        };
        // A copy: the array is the program's, and another of its threads may write to it.
        let array = self.pixels(py, decoded)?.into_bound(py);
        let (height, width): (u32, u32) = {
            let (height, width, _): (u32, u32, u32) = array.getattr("shape")?.extract()?;
            (height, width)
        };
        let copy = array.call_method0("tobytes")?;
        let copy = copy.cast_into::<PyBytes>()?;
        let stream = Arc::new(StreamDescription {
            format: StreamFormat {
                width,
                height,
                ..format
            },
            extradata: Vec::new(),
        });
        self.decode(py, &stream, copy.as_bytes(), kind)
    }

    fn undecodable(&self, cause: &DecodeError) -> PyErr {
        let number = self.about().number().0;
        let message = format!("frame {number} of {} cannot be shown: {cause}", self.label);
        exceptions::Undecodable::new_err((message, self.label.to_string(), number))
    }
}

#[pymethods]
impl Frame {
    #[getter]
    fn bgr(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pixels(py, Kind::Bgr)
    }

    #[getter]
    fn rgb(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pixels(py, Kind::Rgb)
    }

    #[getter]
    fn rgba(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pixels(py, Kind::Rgba)
    }

    #[getter]
    fn gray(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pixels(py, Kind::Gray)
    }

    #[getter]
    fn planes(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.pixels(py, Kind::Planes)
    }

    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let array = self
            .raw
            .get_or_try_init(py, || Memory::array_of_coded(py, self.coded(py)?))?;
        Ok(array.clone_ref(py))
    }

    #[getter]
    fn label(&self) -> &str {
        &self.label
    }

    #[getter]
    fn number(&self) -> u64 {
        self.about().number().0
    }

    #[getter]
    const fn missed(&self) -> u64 {
        self.missed
    }

    #[getter]
    fn missed_between_runs(&self) -> u64 {
        self.about().missed_between_runs()
    }

    #[getter]
    fn is_key(&self) -> bool {
        self.about().is_key()
    }

    #[getter]
    fn format(&self) -> String {
        self.stream.format.fourcc.to_string()
    }

    #[getter]
    fn width(&self) -> u32 {
        self.stream.format.width
    }

    #[getter]
    fn height(&self) -> u32 {
        self.stream.format.height
    }

    #[getter]
    fn instance(&self) -> String {
        self.about().instance().to_string()
    }

    #[getter]
    fn time(&self) -> f64 {
        let since_epoch = self.about().captured_date().duration_since(UNIX_EPOCH);
        since_epoch.unwrap_or_default().as_secs_f64()
    }

    #[getter]
    fn captured_ns(&self) -> i64 {
        self.about().captured().as_nanoseconds()
    }

    #[getter]
    fn received_ns(&self) -> i64 {
        self.about().received().as_nanoseconds()
    }

    #[getter]
    fn published_ns(&self) -> i64 {
        self.about().published().as_nanoseconds()
    }

    #[getter]
    fn age(&self) -> f64 {
        self.about().age().as_secs_f64()
    }

    #[getter]
    fn clock_error(&self) -> Option<f64> {
        self.about().clock_error().map(|error| error.as_secs_f64())
    }

    fn __repr__(&self) -> String {
        format!(
            "<sdvr.Frame {} of {}: {} {}x{}>",
            self.number(),
            self.label,
            self.stream.format.fourcc,
            self.width(),
            self.height()
        )
    }
}
