//! Recording cameras into files that any player opens, that survive anything, and that say when each frame was taken.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod container;
mod recorder;
mod sample;

pub use sample::{About, Sample, UtcTime};
