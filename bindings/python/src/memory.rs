//! Memory that NumPy shows.
//!
//! An array gets at it by NumPy's array interface (an attribute with the address, the length and the right to write) and holds this object for as
//! long as it lives itself. So nothing is copied, and no version of NumPy or of its C interface is built in.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::stock::{CodedBytes, PixelBytes};

/// Bytes that belong to an array. Made by this package only.
#[pyclass(frozen, module = "sdvr._native", name = "_Memory")]
pub(crate) struct Memory {
    holder: Holder,
    address: usize,
    shape: Vec<usize>,
}

/// Keeps the bytes where they are.
#[expect(dead_code, reason = "held for the arrays that show them")]
enum Holder {
    /// A frame's own bytes, which are read here as well: arrays of them are read-only.
    Coded(Arc<CodedBytes>),
    /// A picture's. From the first array on nothing here looks at them, so that programs may write to them.
    Pixels(Arc<PixelBytes>),
}

impl Memory {
    /// An array of a frame's bytes.
    pub(crate) fn array_of_coded(py: Python<'_>, bytes: Arc<CodedBytes>) -> PyResult<Py<PyAny>> {
        let (address, length) = (bytes.as_ptr().expose_provenance(), bytes.len());
        let holder = Holder::Coded(bytes);
        into_array(py, holder, address, vec![length])
    }

    /// An array of a picture's bytes from `begin` on; `None` when there are not as many as `shape` says.
    pub(crate) fn array_of_pixels(
        py: Python<'_>,
        bytes: &Arc<PixelBytes>,
        begin: usize,
        shape: Vec<usize>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let mut axes = shape.iter();
        let length = axes.try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let end = length.and_then(|length| begin.checked_add(length));
        if end.is_none_or(|end| end > bytes.length()) {
            return Ok(None);
        }
        let address = bytes.address().saturating_add(begin);
        let holder = Holder::Pixels(Arc::clone(bytes));
        into_array(py, holder, address, shape).map(Some)
    }
}

fn into_array(
    py: Python<'_>,
    holder: Holder,
    address: usize,
    shape: Vec<usize>,
) -> PyResult<Py<PyAny>> {
    static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let memory = Memory {
        holder,
        address,
        shape,
    };
    let as_array = AS_ARRAY.import(py, "numpy", "asarray")?;
    as_array.call1((memory,)).map(Bound::unbind)
}

#[pymethods]
impl Memory {
    /// NumPy's array interface, version 3.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let is_read_only = matches!(self.holder, Holder::Coded(_));
        let interface = PyDict::new(py);
        interface.set_item(intern!(py, "shape"), PyTuple::new(py, &self.shape)?)?;
        interface.set_item(intern!(py, "typestr"), intern!(py, "|u1"))?;
        interface.set_item(intern!(py, "data"), (self.address, is_read_only))?;
        interface.set_item(intern!(py, "version"), 3)?;
        Ok(interface)
    }
}
