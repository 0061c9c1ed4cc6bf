//! Decoded pictures as images that every viewer opens, and as files of them. What the toolbox's photographs, the window and the web page have in common.
#![forbid(unsafe_code)]

mod encode;
mod picture_file;
mod shots;

pub use encode::{EncodeError, ImageKind, encode};
pub use picture_file::write;
pub use shots::{NoShot, Shot, Shots, is_jpeg, stale_after};
