//! Recording cameras into files that any player opens, that survive anything, and that say when each frame was taken.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod container;
pub mod index;
mod options;
mod plain;
mod recorder;
pub mod recordings;
pub mod retention;
mod sample;
mod segment;
mod status;

pub use options::{EventOptions, Form, RecordOptions, Sync};
pub use recorder::run;
pub use retention::Retention;
pub use sample::{About, Sample, UtcTime};
pub use status::{CameraStatus, RecorderStatus, RecordingState};
