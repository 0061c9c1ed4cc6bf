//! Pixels out of the frames that cameras send, whatever their format: one call, into memory that is used again.
//!
//! A [`Decoder`] belongs to one stream and takes its frames in order; of formats whose frames stand alone it may be given any of them. What comes out
//! is a [`Picture`], as [`Pixels`] wants it: packed colours, brightness alone, or the planes as they are. Whoever follows a camera is
//! better served by `sdvr::Camera::decoded`, which also knows where decoding can begin.

mod decoder;
mod error;
pub mod jpeg;
mod picture;

pub use decoder::{Coded, Decoder};
pub use error::DecodeError;
pub use picture::{Layout, Picture, Pixels, Plane};
