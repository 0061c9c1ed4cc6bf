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

use super::parity::Cover;

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

/// The gaps of one frame, in runs of fragments: a packet makes two more of them at most, however far apart its fragment is from the others.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// By the first fragment of each; they do not overlap.
    runs: BTreeMap<u32, Gap>,
    /// Nothing is asked for any more.
    is_given_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    /// One more than the last fragment.
    end: u32,
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

impl Asked {
    const fn is_asked(self) -> bool {
        !matches!(self, Self::Never)
    }
}

impl Gaps {
    /// These fragments have not arrived when packet `by` did. Those that were noticed before keep their time.
    pub(crate) fn notice(&mut self, now: Timestamp, by: u64, fragments: Range<u32>) {
        let before = self.runs.range(..=fragments.start).next_back();
        let mut next = before.map_or(fragments.start, |(_, gap)| gap.end.max(fragments.start));
        while next < fragments.end {
            let noticed_before = self.runs.range(next..fragments.end).next();
            let (first, end) = noticed_before
                .map_or((fragments.end, fragments.end), |(&first, gap)| {
                    (first, gap.end)
                });
            if next < first {
                let gap = Gap {
                    end: first,
                    noticed: now,
                    noticed_by: by,
                    asked: Asked::Never,
                };
                self.runs.insert(next, gap);
            }
            next = end;
        }
    }

    /// A fragment has arrived; whether it was missing and had been asked for.
    pub(crate) fn fill(&mut self, fragment: u32) -> bool {
        let Some((&first, &gap)) = self.runs.range(..=fragment).next_back() else {
            return false;
        };
        if fragment >= gap.end {
            return false;
        }
        self.runs.remove(&first);
        if first < fragment {
            let end = fragment;
            self.runs.insert(first, Gap { end, ..gap });
        }
        let after = fragment.saturating_add(1);
        if after < gap.end {
            self.runs.insert(after, gap);
        }
        gap.asked.is_asked()
    }

    /// Whether any of it was asked for.
    pub(crate) fn were_asked_for(&self) -> bool {
        self.runs.values().any(|gap| gap.asked.is_asked())
    }

    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// No answer would come in time: nothing is asked for from now on, and nobody is to come back for it.
    pub(crate) const fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// Which fragments to ask for now, when packets up to `newest` have arrived, in runs, but for those that are covered. They count as asked for.
    pub(crate) fn poll(
        &mut self,
        now: Timestamp,
        newest: u64,
        round_trip: RoundTrip,
        cover: Cover<'_>,
    ) -> Vec<Range<u32>> {
        let begin = self.covered_until(cover);
        // What is covered of a run is not asked for with the rest of it.
        if let Some((&first, gap)) = self.runs.range_mut(..begin).next_back()
            && begin < gap.end
            && gap.due(newest, round_trip) <= now
            && first < begin
        {
            let rest = *gap;
            gap.end = begin;
            self.runs.insert(begin, rest);
        }
        let mut runs: Vec<Range<u32>> = Vec::new();
        for (&first, gap) in self.runs.range_mut(begin..) {
            if gap.due(newest, round_trip) > now {
                continue;
            }
            gap.asked = match gap.asked {
                Asked::Once(_) => Asked::Twice(now),
                Asked::Never | Asked::Twice(_) => Asked::Once(now),
            };
            match runs.last_mut() {
                Some(run) if run.end == first => run.end = gap.end,
                _ => runs.push(first..gap.end),
            }
        }
        runs
    }

    /// When [`Self::poll`] has something to ask for.
    pub(crate) fn poll_timeout(
        &self,
        newest: u64,
        round_trip: RoundTrip,
        cover: Cover<'_>,
    ) -> Timestamp {
        if self.is_given_up {
            return Timestamp::NEVER;
        }
        let begin = self.covered_until(cover);
        let in_part = self.runs.range(..begin).next_back();
        let in_part = in_part.filter(|(_, gap)| begin < gap.end);
        let wanted = in_part.into_iter().chain(self.runs.range(begin..));
        let due = wanted.map(|(_, gap)| gap.due(newest, round_trip));
        due.min().unwrap_or(Timestamp::NEVER)
    }

    /// The first fragment that is not covered, maybe behind all.
    fn covered_until(&self, mut cover: Cover<'_>) -> u32 {
        if cover.is_none() {
            return 0;
        }
        let mut missing = self.runs.iter().flat_map(|(&first, gap)| first..gap.end);
        missing
            .find(|fragment| !cover.covers(*fragment))
            .unwrap_or(u32::MAX)
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

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_gap_is_asked_for_when_three_packets_have_overtaken_it() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 100, 5..8);
        assert!(gaps.poll(NOW, 101, ROUND_TRIP, Cover::None).is_empty());
        assert_eq!(gaps.poll(NOW, 102, ROUND_TRIP, Cover::None), [5..8]);
    }

    #[test]
    fn or_after_an_eighth_of_a_round_trip() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 100, 5..8);
        let due = gaps.poll_timeout(100, ROUND_TRIP, Cover::None);
        assert_eq!(due, NOW + Duration::from_micros(2500));
        assert_eq!(gaps.poll(due, 100, ROUND_TRIP, Cover::None), [5..8]);
    }

    #[test]
    fn it_is_asked_for_twice_and_again_when_an_answer_should_have_come() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 3..4);
        let asked: Vec<u64> = (0..60)
            .filter(|&millisecond| {
                !gaps
                    .poll(after(millisecond), 0, ROUND_TRIP, Cover::None)
                    .is_empty()
            })
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
        assert_eq!(
            gaps.poll(after(3), 0, ROUND_TRIP, Cover::None),
            [0..4, 6..9]
        );
        assert!((0..4).all(|fragment| gaps.fill(fragment)));
        assert!(!gaps.fill(4), "it was there before it was asked for");
        (0..10).for_each(|fragment| {
            gaps.fill(fragment);
        });
        assert_eq!(gaps.len(), 0);
        assert_eq!(
            gaps.poll_timeout(0, ROUND_TRIP, Cover::None),
            Timestamp::NEVER
        );
    }

    #[test]
    fn a_gap_that_is_noticed_again_keeps_its_time() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 0..1);
        gaps.notice(after(2), 1, 0..2);
        assert_eq!(gaps.poll(after(3), 1, ROUND_TRIP, Cover::None), [0..1]);
    }

    #[test]
    fn gaps_are_kept_in_runs_however_long() {
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 0..u32::MAX);
        assert_eq!(gaps.len(), 1);
        gaps.fill(1_000_000);
        gaps.fill(1_000_000);
        gaps.fill(0);
        assert_eq!(gaps.len(), 2);
        assert_eq!(
            gaps.poll(after(3), 0, ROUND_TRIP, Cover::None),
            [1..1_000_000, 1_000_001..u32::MAX]
        );
        // Between and around those that are there.
        let mut gaps = Gaps::default();
        gaps.notice(NOW, 0, 5..7);
        gaps.notice(NOW, 0, 9..10);
        gaps.notice(after(2), 1, 4..12);
        assert_eq!(
            gaps.poll(after(3), 1, ROUND_TRIP, Cover::None),
            [5..7, 9..10]
        );
        assert_eq!(gaps.poll(after(5), 1, ROUND_TRIP, Cover::None), [4..12]);
    }

    /// Against a set with an entry for each fragment.
    #[test]
    fn runs_hold_what_a_set_would() {
        let mut gaps = Gaps::default();
        let mut set = std::collections::BTreeSet::new();
        let mut state: u32 = 1;
        for _ in 0..5000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (first, length) = ((state >> 16) % 60, (state >> 24) % 8);
            if state.is_multiple_of(3) {
                gaps.notice(NOW, 0, first..first + length);
                set.extend(first..first + length);
            } else {
                gaps.fill(first);
                set.remove(&first);
            }
            let held: Vec<u32> = gaps
                .runs
                .iter()
                .flat_map(|(&first, gap)| first..gap.end)
                .collect();
            assert!(held.iter().eq(&set));
        }
    }
}
