//! Pictures as arrays, and what programs call the kinds of pixels.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;
use sdvr::{FourCc, Picture, Pixels};

use crate::error::{exceptions, no_such};
use crate::memory::Memory;
use crate::stock::{PixelBytes, Stock};

/// A kind of pixels that a program can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bgr,
    Rgb,
    Rgba,
    Gray,
    Planes,
}

impl Kind {
    pub(crate) const COUNT: usize = 5;

    pub(crate) fn parse(text: &str) -> PyResult<Self> {
        Ok(match text {
            "bgr" => Self::Bgr,
            "rgb" => Self::Rgb,
            "rgba" => Self::Rgba,
            "gray" => Self::Gray,
            "planes" => Self::Planes,
            _ => {
                let values = "\"bgr\", \"rgb\", \"rgba\", \"gray\", \"planes\" or None";
                return Err(no_such("pixels", text, values));
            }
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bgr => "bgr",
            Self::Rgb => "rgb",
            Self::Rgba => "rgba",
            Self::Gray => "gray",
            Self::Planes => "planes",
        }
    }

    pub(crate) const fn pixels(self) -> Pixels {
        match self {
            Self::Bgr => Pixels::Bgr,
            Self::Rgb => Pixels::Rgb,
            Self::Rgba => Pixels::Rgba,
            Self::Gray => Pixels::Gray,
            Self::Planes => Pixels::Planes,
        }
    }

    /// What a camera would call frames of such pixels, if it can have them without loss of colour.
    pub(crate) const fn as_format(self) -> Option<FourCc> {
        match self {
            Self::Bgr => Some(FourCc(*b"BGR3")),
            Self::Rgb => Some(FourCc(*b"RGB3")),
            Self::Rgba | Self::Gray | Self::Planes => None,
        }
    }
}

/// The picture as an array of height, width and bytes a pixel; of brightness alone without the last; of planes as a list of arrays of rows and bytes.
pub(crate) fn to_arrays(
    py: Python<'_>,
    picture: Picture,
    kind: Kind,
    stock: &Arc<Stock>,
) -> PyResult<Py<PyAny>> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let packed = |channels: &[usize]| [&[height, width], channels].concat();
    let shapes: Vec<Vec<usize>> = match kind {
        Kind::Bgr | Kind::Rgb => vec![packed(&[3])],
        Kind::Rgba => vec![packed(&[4])],
        Kind::Gray => vec![packed(&[])],
        Kind::Planes => picture
            .planes()
            .map(|plane| vec![plane.rows, plane.row_bytes])
            .collect(),
    };
    let bytes = Arc::new(PixelBytes::new(picture.into_bytes(), Arc::clone(stock)));
    let mut begin = 0_usize;
    let mut arrays = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let length: usize = shape.iter().product();
        let array = Memory::array_of_pixels(py, &bytes, begin, shape)?;
        arrays.push(array.ok_or_else(|| exceptions::Error::new_err("the picture is incomplete"))?);
        begin = begin.saturating_add(length);
    }
    if kind == Kind::Planes {
        return Ok(PyList::new(py, arrays)?.into_any().unbind());
    }
    let array = arrays.pop();
    array.ok_or_else(|| exceptions::Error::new_err("there is no picture"))
}
