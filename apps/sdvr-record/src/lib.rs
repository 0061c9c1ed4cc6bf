//! Recording cameras into files that any player opens, that survive anything, and that say when each frame was taken.
#![forbid(unsafe_code)]

pub mod index;
pub mod retention;
mod sample;

pub use sample::{About, Sample, UtcTime};
