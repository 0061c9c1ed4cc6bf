//! Where frames come from, on the host of the camera: cameras, a test pattern, files, standard input.
//!
//! A [`Source`] hands out one frame at a time, borrowed, and never blocks for long: when it has none it says what to wait
//! for ([`Source::descriptor`], [`Source::poll_timeout`]). Bitstreams are cut into frames, and files' tracks taken apart, but nothing is decoded. `unsafe` is in `v4l2/device.rs` only.
//!
//! ```
//! use sdvr_frame::Timestamp;
//! use sdvr_source::{CaptureOptions, Next, Source, SourceSpec};
//!
//! let spec: SourceSpec = "test:?format=GREY&size=64x48&fps=0&count=3".parse()?;
//! let mut source = Source::open(&spec, &CaptureOptions::default())?;
//! let mut frames = 0;
//! loop {
//!     match source.try_next(Timestamp::now())? {
//!         Next::Frame(frame) => {
//!             assert_eq!(frame.payload.len(), 64 * 48);
//!             frames += 1;
//!         }
//!         // Here a program polls the descriptor until the timeout.
//!         Next::NotYet | Next::Changed => {}
//!         Next::Ended => break,
//!     }
//! }
//! assert_eq!(frames, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod byte_stream;
mod container;
mod error;
mod input;
mod pace;
mod play_from;
mod recording;
mod source;
mod spec;
pub mod splitter;
mod test_pattern;
pub mod v4l2;

pub use container::{ContainerError, Place};
pub use error::SourceError;
pub use play_from::{CaptureTimes, ParsePlayFromError, PlayFrom, PlayFromError};
pub use source::{CapturedFrame, Next, Source, SourceDescription};
pub use spec::{CaptureOptions, ParseSpecError, SourceSpec, TestSpec};
