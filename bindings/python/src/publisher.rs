//! Publishing frames.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use sdvr::{
    FourCc, FrameFlags, FrameRate, PublishOptions, Published, StreamFormat, StreamKind, Timestamp,
};

use crate::error::exceptions;
use crate::frame::Frame;
use crate::memory::Memory;
use crate::stock::{PixelBytes, Stock};

/// Publishes frames beside the cameras. See `python/sdvr/_native.pyi`.
#[pyclass(frozen, subclass, module = "sdvr._native")]
pub(crate) struct Publisher {
    /// `None` when it was closed.
    publisher: Mutex<Option<sdvr::Publisher>>,
    label: String,
    format: StreamFormat,
    stock: Arc<Stock>,
}

impl Publisher {
    /// The bytes of an array, in memory that nothing else knows of: the array's may be changed by another thread meanwhile.
    fn copy(&self, py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let length: usize = array.getattr("size")?.extract()?;
        let mut bytes = self.stock.take_bytes();
        bytes.resize(length, 0);
        if length == 0 {
            return Ok(bytes);
        }
        let shape: Vec<usize> = array.getattr("shape")?.extract()?;
        let bytes = Arc::new(PixelBytes::new(bytes, Arc::clone(&self.stock)));
        let copy = Memory::array_of_pixels(py, &bytes, 0, shape)?;
        py.import("numpy")?.call_method1("copyto", (copy, array))?;
        // With the array its memory is let go, and nobody can write to it.
        let bytes = Arc::try_unwrap(bytes);
        let bytes = bytes
            .map_err(|_| exceptions::Error::new_err("NumPy keeps an array that it was lent"))?;
        Ok(bytes.into_bytes())
    }

    fn check(&self, array: &Bound<'_, PyAny>) -> PyResult<()> {
        let dtype = array.getattr("dtype")?;
        let (kind, item_bytes): (String, usize) = (
            dtype.getattr("kind")?.extract()?,
            dtype.getattr("itemsize")?.extract()?,
        );
        if kind != "u" || item_bytes != 1 {
            return Err(PyTypeError::new_err(format!(
                "a frame is bytes or an array of uint8, not of {dtype}"
            )));
        }
        let shape: Vec<usize> = array.getattr("shape")?.extract()?;
        let (width, height) = (self.format.width as usize, self.format.height as usize);
        let expected = match &self.format.fourcc.0 {
            b"BGR3" | b"RGB3" => vec![height, width, 3],
            b"GREY" => vec![height, width],
            _ => Vec::new(),
        };
        let length = shape.iter().product::<usize>() as u64;
        let has_right_length = self
            .format
            .fourcc
            .raw_frame_bytes(self.format.width, self.format.height)
            .is_none_or(|bytes| bytes == length);
        let is_flat = shape.len() == 1;
        if has_right_length && (expected.is_empty() || is_flat || shape == expected) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "{} publishes {} pictures of {width}x{height}; an array of {shape:?} is none",
            self.label, self.format.fourcc
        )))
    }
}

#[pymethods]
impl Publisher {
    #[new]
    #[pyo3(signature = (label, width=0, height=0, format="BGR3", *, rate=0.0, source=None, frames=None, directory=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "Python's arguments have names where they are given"
    )]
    fn new(
        py: Python<'_>,
        label: &str,
        width: u32,
        height: u32,
        format: &str,
        rate: f64,
        source: Option<&str>,
        frames: Option<u32>,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        let fourcc: FourCc = format
            .parse()
            .map_err(|error| PyValueError::new_err(format!("format is {format:?}: {error}")))?;
        let format = StreamFormat {
            fourcc,
            width,
            height,
            rate: parse_rate(rate)?,
        };
        let source = source.map(str::parse).transpose().map_err(|error| {
            PyValueError::new_err(format!("source is no stream's label: {error}"))
        })?;
        let options = PublishOptions {
            kind: if width == 0 && height == 0 {
                StreamKind::Metadata
            } else {
                StreamKind::Video
            },
            source,
            frames,
            ..PublishOptions::new(format)
        };
        if options.kind == StreamKind::Metadata && fourcc.is_raw() {
            return Err(PyValueError::new_err(format!(
                "pictures of {fourcc} have a width and a height; give both"
            )));
        }
        let publisher = py.detach(|| match &directory {
            Some(directory) => sdvr::Publisher::create_in(directory, label, options),
            None => sdvr::Publisher::create(label, options),
        });
        Ok(Self {
            publisher: Mutex::new(Some(publisher.map_err(publish_exception)?)),
            label: label.to_owned(),
            format,
            stock: Arc::default(),
        })
    }

    #[pyo3(signature = (data, source=None, *, captured_ns=None, is_key=None))]
    fn publish(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        source: Option<&Bound<'_, Frame>>,
        captured_ns: Option<i64>,
        is_key: Option<bool>,
    ) -> PyResult<u64> {
        let numpy = py.import("numpy")?;
        let array = if data.hasattr("dtype")? {
            data.clone()
        } else {
            numpy.call_method1("frombuffer", (data, "u1"))?
        };
        self.check(&array)?;
        let mut about =
            source.map_or_else(Published::now, |frame| Published::from(frame.get().about()));
        if let Some(captured_ns) = captured_ns {
            about.captured = Timestamp::from_nanoseconds(captured_ns);
            about.captured_at_source = about.captured;
        }
        let flags = |is_key| {
            if is_key {
                FrameFlags::KEY
            } else {
                FrameFlags::NONE
            }
        };
        about.flags = is_key.map(flags);
        let bytes = self.copy(py, &array)?;
        let published = py.detach(|| {
            let mut publisher = self
                .publisher
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let published = publisher.as_mut().map(|it| it.publish(&bytes, &about));
            self.stock.give_back_bytes(bytes);
            published
        });
        let published = published.ok_or_else(|| {
            exceptions::Closed::new_err(format!("the publisher of {} was closed", self.label))
        })?;
        published.map(|number| number.0).map_err(publish_exception)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            let publisher = self
                .publisher
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(publisher) = publisher {
                publisher.close();
            }
        });
    }

    #[getter]
    fn label(&self) -> &str {
        &self.label
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn publish_exception(error: sdvr::PublishError) -> PyErr {
    exceptions::PublishError::new_err(error.to_string())
}

/// Frames a second; 0 is no fixed rate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was looked at"
)]
fn parse_rate(rate: f64) -> PyResult<FrameRate> {
    if !(0.0..=100_000.0).contains(&rate) {
        return Err(PyValueError::new_err(format!(
            "rate is {rate}; it must be 0 to 100,000 frames a second, 0 if there is no fixed one"
        )));
    }
    let whole = rate.round();
    Ok(if (rate - whole).abs() < 1e-9 {
        FrameRate::from_whole(whole as u32)
    } else {
        FrameRate {
            numerator: (rate * 1000.0).round() as u32,
            denominator: 1000,
        }
    })
}
