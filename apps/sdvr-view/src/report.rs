//! What was shown, for programs that measure.

use std::time::{Duration, Instant};

use sdvr_frame::percentile;

use crate::seats::{Seat, Seats};

const INTERVAL: Duration = Duration::from_secs(1);

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

/// Makes a report from time to time.
#[derive(Debug)]
pub(crate) struct Reporter {
    last: Instant,
    /// Until then.
    processor_time: Duration,
}

impl Reporter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            last: now,
            processor_time: processor_time(),
        }
    }

    /// The next report, if it is due.
    pub(crate) fn handle_time(&mut self, seats: &mut Seats, now: Instant) -> Option<Report> {
        let period = now.saturating_duration_since(self.last);
        if period < INTERVAL {
            return None;
        }
        self.last = now;
        let before = std::mem::replace(&mut self.processor_time, processor_time());
        Some(Report {
            period,
            processor_time: self.processor_time.saturating_sub(before),
            cameras: seats.iter_mut().map(of_camera).collect(),
        })
    }
}

fn of_camera(seat: &mut Seat) -> ReportOfCamera {
    let latencies = seat.tile.figures.take_latencies();
    ReportOfCamera {
        label: seat.tile.status.label.clone(),
        shown: latencies.len() as u64,
        latency_p50: percentile(&latencies, 50),
        latency_p99: percentile(&latencies, 99),
        lost: seat.tile.status.lost,
        damaged: seat.tile.status.damaged,
    }
}

/// What this process has taken of processors so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
