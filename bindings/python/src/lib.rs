//! The native part of the Python package `sdvr`: translates between the crate `sdvr` and Python, and nothing else.
//!
//! What needs no speed is in Python, in `python/sdvr`. While anything waits, copies or decodes, other Python threads run.
#![forbid(unsafe_code)]

mod camera;
mod cameras;
mod error;
mod feed;
mod frame;
mod group;
mod memory;
mod picture;
mod publisher;
mod stock;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::camera::Camera;
    #[pymodule_export]
    use crate::cameras::{CameraInfo, Watch, cameras};
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::group::Group;
    #[pymodule_export]
    use crate::memory::Memory;
    #[pymodule_export]
    use crate::publisher::Publisher;
}
