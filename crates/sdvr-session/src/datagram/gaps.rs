//! Fragments that should have arrived and have not: when to ask for which.
//!
//! ```text
//! noticed ──► asked ──2 ms──► asked ──── a round trip and its spread ────► asked ──2 ms──► asked ──► … while an answer would be in time
//!         3 packets or an eighth of a round trip later
//! ```
//!
//! Each request goes out twice, as a request is as easily lost as what it asks for; the sender answers one of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use sdvr_frame::Timestamp;

/// A fragment that so many later packets have overtaken is lost.
const OVERTAKEN_BY: u64 = 3;
/// Between the two copies of a request.
const COPY_AFTER: Duration = Duration::from_millis(2);
/// A request is not made again sooner.
const AGAIN_LEAST: Duration = Duration::from_millis(5);

/// How long packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    /// There and back, smoothed.
    pub(crate) time: Duration,
    /// By how much it varies, one standard deviation.
    pub(crate) spread: Duration,
}

impl RoundTrip {
    /// How long an answer may take.
    fn patience(self) -> Duration {
        let spread = self.spread.saturating_mul(4);
        self.time.saturating_add(spread).max(AGAIN_LEAST)
    }

    /// How long a packet may be overtaken by others.
    fn disorder(self) -> Duration {
        self.time.checked_div(8).unwrap_or_default()
    }
}

/// The gaps of one frame, by fragment.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    gaps: BTreeMap<u32, Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    noticed: Timestamp,
    /// The number of the packet by which it was noticed.
    noticed_by: u64,
    asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Never,
    /// Once since the last answer could have come.
    Once(Timestamp),
    /// By both copies.
    Twice(Timestamp),
}

impl Gaps {
    /// These fragments have not arrived when packet `by` did.
    pub(crate) fn notice(&mut self, now: Timestamp, by: u64, fragments: Range<u32>) {
        for fragment in fragments {
            self.gaps.entry(fragment).or_insert(Gap {
                noticed: now,
                noticed_by: by,
                asked: Asked::Never,
            });
        }
    }

    /// A fragment has arrived.
    pub(crate) fn fill(&mut self, fragment: u32) {
        self.gaps.remove(&fragment);
    }

    /// Only these fragments are still missing.
    pub(crate) fn retain(&mut self, is_missing: impl Fn(u32) -> bool) {
        self.gaps.retain(|fragment, _| is_missing(*fragment));
    }

    /// Which fragments to ask for now, when packets up to `newest` have arrived, in runs, of those that are wanted. They count as asked for.
    pub(crate) fn poll(
        &mut self,
        now: Timestamp,
        newest: u64,
        round_trip: RoundTrip,
        mut is_wanted: impl FnMut(u32) -> bool,
    ) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (&fragment, gap) in &mut self.gaps {
            if !is_wanted(fragment) || gap.due(newest, round_trip) > now {
                continue;
            }
            gap.asked = match gap.asked {
                Asked::Once(_) => Asked::Twice(now),
                Asked::Never | Asked::Twice(_) => Asked::Once(now),
            };
            match runs.last_mut() {
                Some(run) if run.end == fragment => run.end = fragment.saturating_add(1),
                _ => runs.push(fragment..fragment.saturating_add(1)),
            }
        }
        runs
    }

    /// When [`Self::poll`] has something to ask for.
    pub(crate) fn poll_timeout(
        &self,
        newest: u64,
        round_trip: RoundTrip,
        mut is_wanted: impl FnMut(u32) -> bool,
    ) -> Timestamp {
        let wanted = self
            .gaps
            .iter()
            .filter(|(fragment, _)| is_wanted(**fragment));
        let due = wanted.map(|(_, gap)| gap.due(newest, round_trip));
        due.min().unwrap_or(Timestamp::NEVER)
    }
}

impl Gap {
    fn due(&self, newest: u64, round_trip: RoundTrip) -> Timestamp {
        match self.asked {
            // The packet by which it was noticed is the first.
            Asked::Never if newest.saturating_sub(self.noticed_by) >= OVERTAKEN_BY - 1 => {
                self.noticed
            }
            Asked::Never => self.noticed + round_trip.disorder(),
            Asked::Once(at) => at + COPY_AFTER,
            Asked::Twice(at) => at + round_trip.patience(),
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::single_range_in_vec_init,
    reason = "a run of fragments is a range, and there may be one run"
)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const ROUND_TRIP: RoundTrip = RoundTrip {
        time: Duration::from_millis(20),
        spread: Duration::from_millis(1),
    };

    fn all(_: u32) -> bool {
        true
    }

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_gap_is_asked_for_when_three_packets_have_overtaken_it() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 100, 5..8);
        assert!(gaps.poll(NOW, 101, ROUND_TRIP, all).is_empty());
        assert_eq!(gaps.poll(NOW, 102, ROUND_TRIP, all), [5..8]);
    }

    #[test]
    fn or_after_an_eighth_of_a_round_trip() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 100, 5..8);
        let due = gaps.poll_timeout(100, ROUND_TRIP, all);
        assert_eq!(due, NOW + Duration::from_micros(2500));
        assert_eq!(gaps.poll(due, 100, ROUND_TRIP, all), [5..8]);
    }

    #[test]
    fn it_is_asked_for_twice_and_again_when_an_answer_should_have_come() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 3..4);
        let asked: Vec<u64> = (0..60)
            .filter(|&millisecond| !gaps.poll(after(millisecond), 0, ROUND_TRIP, all).is_empty())
            .collect();
        // 2.5 ms; its copy; 24 ms, which are the round trip and four times its spread; and so on.
        assert_eq!(asked, [3, 5, 29, 31, 55, 57]);
    }

    #[test]
    fn what_has_arrived_is_not_asked_for() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 0..10);
        gaps.fill(4);
        gaps.fill(5);
        gaps.fill(9);
        assert_eq!(gaps.poll(after(3), 0, ROUND_TRIP, all), [0..4, 6..9]);
        (0..10).for_each(|fragment| gaps.fill(fragment));
        assert_eq!(gaps.poll_timeout(0, ROUND_TRIP, all), Timestamp::NEVER);
    }

    #[test]
    fn a_gap_that_is_noticed_again_keeps_its_time() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 0..1);
        gaps.notice(after(2), 1, 0..2);
        assert_eq!(gaps.poll(after(3), 1, ROUND_TRIP, all), [0..1]);
    }

    #[test]
    fn what_is_not_wanted_is_not_asked_for_and_nothing_wakes_for_it() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 0..6);
        let is_odd = |fragment: u32| fragment % 2 == 1;
        assert_eq!(
            gaps.poll(after(3), 0, ROUND_TRIP, is_odd),
            [1..2, 3..4, 5..6]
        );
        let copy = gaps.poll_timeout(0, ROUND_TRIP, is_odd);
        assert_eq!(copy, after(5));
        assert_eq!(
            gaps.poll_timeout(0, ROUND_TRIP, |_| false),
            Timestamp::NEVER
        );
        // It is wanted now, and was due before.
        assert_eq!(gaps.poll(after(3), 0, ROUND_TRIP, all), [0..1, 2..3, 4..5]);
    }
}
