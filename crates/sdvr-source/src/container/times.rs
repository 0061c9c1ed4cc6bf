//! When frames of a file are due.
//!
//! They are handed out in the order in which they are decoded, at the times of that: a decoder needs them so, and what counts frames' delays needs times
//! that do not go back. Matroska has only the times at which frames are shown. Those of decoding follow from them as MP4's do from an
//! encoder: the same times in order, begun as many frames earlier as frames overtake each other.

use super::Time;

/// No frame overtakes more (H.264, A.3.1; H.265, A.4.2).
const OVERTAKEN_MOST: usize = 16;
/// Times that go back by more begin anew: files that were put one behind the other.
const BACK_MOST_NS: i64 = 10_000_000_000;
/// Between the last frame and the first one again, where nothing says more.
const INTERVAL_NS: i64 = 40_000_000;

/// Times of decoding, from the beginning of the first frame on, over every repetition.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// When the round began.
    round: i64,
    /// The time in the file that this was.
    first: Option<i64>,
    /// That of the last frame.
    last: i64,
    /// Between the last two that differ.
    interval: Option<i64>,
    reordering: Reordering,
}

impl Timeline {
    /// Learns how frames overtake each other from the first times of a file.
    pub(crate) fn learn(&mut self, times: &[i64]) {
        let overtaken = times.iter().enumerate().map(|(index, time)| {
            let before = times.get(..index).unwrap_or_default();
            before.iter().filter(|before| *before > time).count()
        });
        let depth = overtaken.max().unwrap_or(0).min(OVERTAKEN_MOST);
        let mut shown = times.to_vec();
        shown.sort_unstable();
        let begins = shown.get(depth).copied().unwrap_or(0);
        self.reordering.lead = shown
            .iter()
            .take(depth)
            .map(|time| time.saturating_sub(begins))
            .collect();
    }

    /// When the next frame is due, in nanoseconds since the first: never before the one before it.
    pub(crate) fn next(&mut self, time: Time) -> i64 {
        let time = match time {
            Time::Decoding(time) => time,
            Time::Presentation(time) => self.reordering.next(time),
        };
        let first = *self.first.get_or_insert(time);
        let due = self.round.saturating_add(time.saturating_sub(first));
        if due < self.last.saturating_sub(BACK_MOST_NS) {
            self.restart();
            return self.next(Time::Decoding(time));
        }
        let due = due.max(self.last);
        if due > self.last {
            self.interval = Some(due.saturating_sub(self.last));
        }
        self.last = due;
        due
    }

    /// Begins a round anew, a frame behind the last.
    pub(crate) fn restart(&mut self) {
        self.round = self
            .last
            .saturating_add(self.interval.unwrap_or(INTERVAL_NS));
        self.first = None;
        self.reordering.waiting.clear();
        self.reordering.has_begun = false;
    }
}

/// Times of decoding out of those of presentation.
#[derive(Debug, Default)]
struct Reordering {
    /// For the frames that are decoded before the first is shown: how much later that is. As many as overtake another.
    lead: Vec<i64>,
    has_begun: bool,
    /// Times not given out yet, the least first.
    waiting: Vec<i64>,
    last: i64,
}

impl Reordering {
    fn next(&mut self, time: i64) -> i64 {
        if !self.has_begun {
            self.has_begun = true;
            self.last = i64::MIN;
            let lead = self.lead.iter();
            self.waiting
                .extend(lead.map(|lead| time.saturating_add(*lead)));
        }
        let at = self.waiting.partition_point(|&waiting| waiting <= time);
        self.waiting.insert(at, time);
        // What is shown before the time that was given out last was overtaken by more frames than were known of.
        let is_deeper = time < self.last && self.waiting.len() <= OVERTAKEN_MOST;
        if !is_deeper && !self.waiting.is_empty() {
            self.last = self.last.max(self.waiting.remove(0));
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn due(timeline: &mut Timeline, times: &[i64]) -> Vec<i64> {
        times
            .iter()
            .map(|time| timeline.next(Time::Presentation(time * MS)) / MS)
            .collect()
    }

    #[test]
    fn frames_that_overtake_each_other_are_due_in_the_order_they_stand_in() {
        let shown = [0, 30, 10, 20, 60, 40, 50, 90, 70, 80];
        let mut timeline = Timeline::default();
        timeline.learn(&shown.map(|time| time * MS));
        assert_eq!(
            due(&mut timeline, &shown),
            [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
        );
        // What is not known of before, as in a pipe, is made up for soon.
        let mut timeline = Timeline::default();
        assert_eq!(
            due(&mut timeline, &shown),
            [0, 30, 30, 30, 30, 30, 40, 50, 60, 70]
        );
    }

    #[test]
    fn gaps_stay_and_rounds_follow_each_other() {
        let mut timeline = Timeline::default();
        let times = [1000, 1040, 5000, 5010];
        assert_eq!(due(&mut timeline, &times), [0, 40, 4000, 4010]);
        timeline.restart();
        assert_eq!(due(&mut timeline, &times), [4020, 4060, 8020, 8030]);
    }

    #[test]
    fn times_that_go_back_wait_or_begin_anew() {
        let mut timeline = Timeline::default();
        let mut due = |ms: i64| timeline.next(Time::Decoding(ms * MS)) / MS;
        let times = [0, 100, 60, 200, 20_000, 0, 50];
        assert_eq!(
            times.map(&mut due),
            [0, 100, 100, 200, 20_000, 39_800, 39_850]
        );
        let mut timeline = Timeline::default();
        for time in [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX] {
            let before = timeline.last;
            assert!(timeline.next(Time::Presentation(time)) >= before);
        }
    }
}
