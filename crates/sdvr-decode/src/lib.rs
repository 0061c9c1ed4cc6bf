//! Pixels out of the frames that cameras send, whatever their format: one call, into memory that is used again.
//!
//! A [`Decoder`] belongs to one stream and takes its frames in order; of formats whose frames stand alone it may be given any of them. What comes out
//! is a [`Picture`], as [`Pixels`] wants it: packed colours, brightness alone, or the planes as they are. Whoever follows a camera is
//! better served by `sdvr::Camera::decoded`, which also knows where decoding can begin.

#![deny(unsafe_code)]

mod bayer;
mod colours;
mod convert;
mod decoder;
mod error;
#[cfg(all(feature = "h264", not(feature = "libav")))]
mod h264;
pub mod jpeg;
mod layout;
#[cfg(feature = "libav")]
mod libav;
mod mjpeg;
mod picture;
mod raw;

pub use colours::{Colours, Matrix, Range};
pub use decoder::{Coded, Decoder, DecoderOptions, EngineChoice};
pub use error::DecodeError;
pub use layout::Layout;
pub use picture::{Picture, Pixels, Plane};
