//! The peer's clock, seen from here.
//!
//! The exchange is NTP's (RFC 5905, section 8): `theta = ((t2 - t1) + (t3 - t4)) / 2`, `delta = (t4 - t1) - (t3 - t2)`.
//! The truth lies within `delta / 2` of `theta`, however asymmetric the way is.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Samples kept.
const SAMPLES: usize = 16;
/// No quartz is worse than this, so a fit beyond it is noise.
const DRIFT_MOST: f64 = 500e-6;
/// What an unknown drift may add per second of a sample's age: 50 ppm, a bad quartz.
const DRIFT_DOUBT_PER_SECOND_NS: i64 = 50_000;
/// A fit over less than this is noise.
const FIT_SPAN_LEAST_NS: i64 = 30_000_000_000;

/// One exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// When it ended, on this clock.
    pub at: Timestamp,
    /// The peer's clock minus this one, nanoseconds.
    pub theta_ns: i64,
    /// The time the exchange spent on the way, nanoseconds. Never negative.
    pub delta_ns: i64,
}

impl ClockSample {
    /// The sample of an exchange: asked at `t1`, received by the peer at `t2`, answered at `t3`, answer received at `t4`.
    ///
    /// `None` when the times contradict each other.
    #[must_use]
    pub fn new(t1: i64, t2: i64, t3: i64, t4: i64) -> Option<Self> {
        let there = i128::from(t2).checked_sub(t1.into())?;
        let back = i128::from(t3).checked_sub(t4.into())?;
        let theta = there.checked_add(back)?.checked_div(2)?;
        let delta = there.checked_sub(back)?;
        let delta_ns = i64::try_from(delta).ok().filter(|&delta| delta >= 0)?;
        if t3 < t2 || t4 < t1 {
            return None;
        }
        Some(Self {
            at: Timestamp::from_nanoseconds(t4),
            theta_ns: i64::try_from(theta).ok()?,
            delta_ns,
        })
    }
}

/// A capture time on this host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureTime {
    /// The time.
    pub at: Timestamp,
    /// By how much it may be wrong, nanoseconds; `None` when nothing is known yet.
    pub error_ns: Option<u32>,
}

/// What is known of the peer's clock.
#[derive(Clone, Debug, Default)]
pub struct PeerClock {
    samples: std::collections::VecDeque<ClockSample>,
    fit: Option<Fit>,
}

/// The best sample, and how the peer's clock drifts from there.
#[derive(Clone, Copy, Debug)]
struct Fit {
    best: ClockSample,
    drift: Option<f64>,
}

impl PeerClock {
    /// Takes in one exchange.
    pub fn add(&mut self, sample: ClockSample) {
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let best = self
            .samples
            .iter()
            .copied()
            .min_by_key(|sample| sample.delta_ns)
            .unwrap_or(sample);
        self.fit = Some(Fit {
            best,
            drift: self.drift(best),
        });
    }

    /// The slope of a line through the good samples, if they span enough time.
    fn drift(&self, best: ClockSample) -> Option<f64> {
        let good = |sample: &&ClockSample| sample.delta_ns <= best.delta_ns.saturating_mul(3) / 2;
        let points: Vec<(f64, f64)> = self
            .samples
            .iter()
            .filter(good)
            .map(|sample| {
                (
                    nanoseconds(sample.at.nanoseconds_since(best.at)),
                    nanoseconds(sample.theta_ns.saturating_sub(best.theta_ns)),
                )
            })
            .collect();
        let first = points.first()?.0;
        let last = points.last()?.0;
        if last - first < nanoseconds(FIT_SPAN_LEAST_NS) {
            return None;
        }
        let count = f64::from(u32::try_from(points.len()).ok()?);
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
        let covariance: f64 = points
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum();
        let variance: f64 = points
            .iter()
            .map(|(x, _)| (x - mean_x) * (x - mean_x))
            .sum();
        (variance > 0.0).then(|| (covariance / variance).clamp(-DRIFT_MOST, DRIFT_MOST))
    }

    /// A time of the peer's clock on this one. `received` is the fallback while nothing is known.
    #[must_use]
    pub fn to_local(&self, peer_time: Timestamp, received: Timestamp) -> CaptureTime {
        let Some(fit) = self.fit else {
            return CaptureTime {
                at: received,
                error_ns: None,
            };
        };
        let age_ns = received.nanoseconds_since(fit.best.at);
        let (drifted_ns, doubt_ns) = match fit.drift {
            Some(drift) => (rounded(nanoseconds(age_ns) * drift), 0),
            None => (
                0,
                (age_ns.saturating_abs() / 1_000_000_000).saturating_mul(DRIFT_DOUBT_PER_SECOND_NS),
            ),
        };
        let theta = fit.best.theta_ns.saturating_add(drifted_ns);
        let error = (fit.best.delta_ns / 2).saturating_add(doubt_ns);
        CaptureTime {
            at: peer_time.offset_by(theta.saturating_neg()),
            error_ns: Some(u32::try_from(error).unwrap_or(u32::MAX - 1)),
        }
    }

    /// The shortest way there and back lately.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.fit
            .map(|fit| Duration::from_nanos(fit.best.delta_ns.unsigned_abs()))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a fit over minutes needs no more than the 53 bits, which hold 104 days in nanoseconds"
)]
const fn nanoseconds(value: i64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, as all arithmetic on times here does"
)]
const fn rounded(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// An exchange at `at` with a peer whose clock is `theta` ahead, over ways of the given lengths.
    fn exchange(at: i64, theta: i64, there: i64, back: i64) -> ClockSample {
        ClockSample::new(
            at,
            at + there + theta,
            at + there + theta + 1000,
            at + there + 1000 + back,
        )
        .unwrap()
    }

    #[test]
    fn the_error_bound_holds_on_an_asymmetric_way() {
        let mut clock = PeerClock::default();
        clock.add(exchange(0, 5 * SECOND, 9_000_000, 1_000_000));
        let local = clock.to_local(
            Timestamp::from_nanoseconds(5 * SECOND + 100),
            Timestamp::from_nanoseconds(100),
        );
        let wrong_by = (local.at.as_nanoseconds() - 100).unsigned_abs();
        assert_eq!(local.error_ns, Some(5_000_000));
        assert!(wrong_by <= 5_000_000 && wrong_by > 0, "{wrong_by}");
    }

    #[test]
    fn the_fastest_exchange_counts() {
        let mut clock = PeerClock::default();
        clock.add(exchange(0, 700, 50_000_000, 0));
        clock.add(exchange(SECOND, 700, 20_000, 20_000));
        clock.add(exchange(2 * SECOND, 700, 0, 80_000_000));
        assert_eq!(
            clock
                .to_local(
                    Timestamp::from_nanoseconds(1000),
                    Timestamp::from_nanoseconds(SECOND)
                )
                .at
                .as_nanoseconds(),
            300
        );
        assert_eq!(clock.round_trip(), Some(Duration::from_nanos(40_000)));
    }

    #[test]
    fn a_drift_of_200_ppm_is_followed() {
        let mut clock = PeerClock::default();
        let theta = |at: i64| at / 5000;
        for step in 0..16 {
            let at = step * 10 * SECOND;
            clock.add(exchange(at, theta(at), 30_000 + step, 30_000));
        }
        let now = 170 * SECOND;
        let local = clock.to_local(
            Timestamp::from_nanoseconds(now + theta(now)),
            Timestamp::from_nanoseconds(now),
        );
        let wrong_by = (local.at.as_nanoseconds() - now).abs();
        assert!(wrong_by < 100_000, "{wrong_by} ns");
    }

    #[test]
    fn contradictions_and_extremes_are_no_samples() {
        assert_eq!(ClockSample::new(10, 0, 0, 5), None);
        assert_eq!(ClockSample::new(0, 10, 5, 20), None);
        assert_eq!(
            ClockSample::new(i64::MIN, i64::MAX, i64::MAX, i64::MIN),
            None
        );
        assert_eq!(ClockSample::new(0, 0, 100, 5), None);
    }

    #[test]
    fn nothing_known_is_said() {
        let local = PeerClock::default().to_local(Timestamp::NEVER, Timestamp::from_nanoseconds(7));
        assert_eq!(
            local,
            CaptureTime {
                at: Timestamp::from_nanoseconds(7),
                error_ns: None
            }
        );
    }
}
