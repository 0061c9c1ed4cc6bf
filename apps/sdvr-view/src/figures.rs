//! What is measured of a camera's pictures on their way to the screen.

use std::time::{Duration, Instant};

use sdvr::{Decoded, InstanceId, Timestamp};

/// Over which time rates are measured.
const PERIOD: Duration = Duration::from_secs(1);
/// Latencies that are remembered at most between two reports: more than a screen shows in a minute.
const LATENCIES_MOST: usize = 10_000;

/// The figures of one camera.
#[derive(Debug)]
pub(crate) struct Figures {
    began: Instant,
    counted: Counted,
    /// Of the last whole period; `None` in the first.
    pub(crate) measured: Option<Measured>,
    last: Option<(InstanceId, u64)>,
    /// Since the last report.
    latencies: Vec<Duration>,
}

#[derive(Debug, Default)]
struct Counted {
    shown: u32,
    captured: u64,
    latency_sum: Duration,
}

/// What a period gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Pictures a second on the screen.
    pub(crate) shown_rate: f64,
    /// Frames a second that the camera captured.
    pub(crate) captured_rate: f64,
    /// From the capture to the screen's buffer, on average.
    pub(crate) latency: Option<Duration>,
}

impl Figures {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            counted: Counted::default(),
            measured: None,
            last: None,
            latencies: Vec::new(),
        }
    }

    /// A picture is in the screen's buffer now.
    pub(crate) fn count_shown(&mut self, decoded: &Decoded) {
        let frame = decoded.frame();
        let latency = Timestamp::now().saturating_since(frame.captured());
        let this = (frame.instance(), frame.number().0);
        let captured = match self.last {
            Some((instance, number)) if instance == this.0 => this.1.saturating_sub(number),
            _ => 1,
        };
        self.last = Some(this);
        self.counted.shown = self.counted.shown.saturating_add(1);
        self.counted.captured = self.counted.captured.saturating_add(captured);
        self.counted.latency_sum = self.counted.latency_sum.saturating_add(latency);
        if self.latencies.len() < LATENCIES_MOST {
            self.latencies.push(latency);
        }
    }

    /// Ends the period, if it is over.
    #[expect(clippy::cast_precision_loss, reason = "rates for display")]
    pub(crate) fn handle_time(&mut self, now: Instant) {
        let period = now.saturating_duration_since(self.began);
        if period < PERIOD {
            return;
        }
        let counted = std::mem::take(&mut self.counted);
        let seconds = period.as_secs_f64();
        self.began = now;
        self.measured = Some(Measured {
            shown_rate: f64::from(counted.shown) / seconds,
            captured_rate: counted.captured as f64 / seconds,
            latency: counted.latency_sum.checked_div(counted.shown),
        });
    }

    /// The latencies since the last time, sorted.
    pub(crate) fn take_latencies(&mut self) -> Vec<Duration> {
        let mut latencies = std::mem::take(&mut self.latencies);
        latencies.sort_unstable();
        latencies
    }
}
