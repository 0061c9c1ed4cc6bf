//! Where frames come from, on the host of the camera: a test pattern, files, standard input.
//!
//! A [`Source`] hands out one frame at a time, borrowed, and never blocks for long: when it has none it says what to wait
//! for ([`Source::descriptor`], [`Source::poll_timeout`]). Bitstreams are cut into frames and not decoded.
#![forbid(unsafe_code)]

mod error;
mod input;
mod pace;
mod source;
mod spec;
pub mod splitter;
mod test_pattern;

pub use error::SourceError;
pub use source::{CapturedFrame, Next, Source, SourceDescription};
pub use spec::{CaptureOptions, ParseSpecError, SourceSpec, TestSpec};
