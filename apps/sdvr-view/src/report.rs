//! What was shown, for programs that measure.

use std::time::Duration;

/// What was shown since the report before.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Over which time.
    pub period: Duration,
    /// Processor time that this process took of it.
    pub processor_time: Duration,
    /// Sorted by label.
    pub cameras: Vec<ReportOfCamera>,
}

/// What was shown of a camera.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReportOfCamera {
    /// Its label.
    pub label: String,
    /// Pictures that were put into the screen's buffer.
    pub shown: u64,
    /// From the capture until the picture was in the screen's buffer: half of them took no longer. `None` if none was shown.
    pub latency_p50: Option<Duration>,
    /// The same of 99 of a hundred.
    pub latency_p99: Option<Duration>,
    /// Frames that were captured and did not arrive, since the camera's ring was made.
    pub lost: u64,
    /// Frames that gave no picture, since the camera is followed.
    pub damaged: u64,
}
