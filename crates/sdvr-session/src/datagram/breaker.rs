//! Whether more is sent than the link carries, and how much less it should be.
//!
//! A camera that fills its link helps nobody: what is lost is sent again, and what is late is given up. When more than a third is lost for
//! five seconds, or packets take ever longer, every other frame is to be left out, and so on; when hardly anything is lost for ten seconds,
//! twice as many may be sent again. That is a trial: if the losses come back at once it is taken back at once, and the next one waits longer.
//!
//! ```text
//!  1 in 1 ──5 s of losses──► 1 in 2 ──5 s of losses──► 1 in 4 ──10 s without──► 1 in 2 ──losses for 1 s──► 1 in 4 ──20 s without──► …
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::Timestamp;

/// More lost than this is too much, in per cent: no radio link that is of use loses so much by chance.
const TOO_MUCH_PERCENT: u64 = 35;
/// So much may be lost, in per cent, when more is tried.
const CALM_PERCENT: u64 = 20;
/// For how long what was heard counts.
const MEMORY: Duration = LEAST.patience;
const TRIAL: Duration = Duration::from_secs(15);
/// How long hardly anything is lost before more is tried, at first and at last.
const WAIT_LEAST: Duration = Duration::from_secs(10);
const WAIT_MOST: Duration = Duration::from_secs(300);
/// Of fewer packets many may be lost by chance, and a cut is told by few reports.
const LEAST: Evidence = Evidence {
    patience: Duration::from_secs(5),
    packets: 100,
    reports: 4,
};
/// When more is tried.
const LEAST_IN_TRIAL: Evidence = Evidence {
    patience: Duration::from_secs(1),
    packets: 50,
    reports: 2,
};
/// Packets take ever longer when they have taken so much longer so often. A way that has become longer is one step, and what a report's rhythm
/// and the camera's make of it, half a second at most, are two.
const RISE_STEP: Duration = Duration::from_millis(200);
const RISE_STEPS: u32 = 5;
/// A report of fewer packets says how seldom there was something to say, and not how long they took.
const TOLD_LEAST: u64 = 10;
/// A shorter time than before ends the rise, by more than how exactly it is measured.
const FALL_LEAST: Duration = Duration::from_millis(50);
/// One frame in so many is sent at the least.
const KEEP_ONE_IN_MOST: u32 = 64;

/// What a client does about losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Send one frame in so many.
    KeepOneIn(u32),
    /// Send all, in datagrams that are shorter now.
    SendShorter,
}

/// What a client has heard of its packets lately, and what share of its frames it should send.
#[derive(Debug)]
pub(crate) struct Breaker {
    keep_one_in: u32,
    /// The last ones since the share changed, over [`MEMORY`].
    reports: VecDeque<Heard>,
    /// Since when there were reports for this share.
    since: Option<Timestamp>,
    /// Since when hardly anything is lost.
    calm_since: Option<Timestamp>,
    /// How long that is to be.
    wait: Duration,
    /// When more was tried last.
    tried: Option<Timestamp>,
    rise: Option<Rise>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Timestamp,
    lost: u64,
    sent: u64,
}

/// What it takes to believe that too much is lost.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    patience: Duration,
    packets: u64,
    reports: usize,
}

impl Heard {
    const fn loses_more_than(self, percent: u64) -> bool {
        self.lost.saturating_mul(100) > self.sent.saturating_mul(percent)
    }

    const fn loses_too_much(&self) -> bool {
        self.loses_more_than(TOO_MUCH_PERCENT)
    }
}

/// Packets take longer from report to report.
#[derive(Clone, Copy, Debug)]
struct Rise {
    began: Timestamp,
    /// How long they took at the last step.
    step: Duration,
    steps: u32,
    last: Duration,
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self {
            keep_one_in: 1,
            reports: VecDeque::new(),
            since: None,
            calm_since: None,
            wait: WAIT_LEAST,
            tried: None,
            rise: None,
        }
    }

    /// The other end says that of `sent` packets since its last report `lost` were lost; of the last that was not, one knows after `delay`.
    /// Gives of how many frames one should be sent from now on, if that has changed.
    pub(crate) fn handle_report(
        &mut self,
        now: Timestamp,
        (lost, sent): (u64, u64),
        delay: Duration,
    ) -> Option<u32> {
        let at = now;
        self.reports.push_back(Heard { at, lost, sent });
        while self
            .reports
            .front()
            .is_some_and(|heard| heard.at + MEMORY < now)
        {
            self.reports.pop_front();
        }
        let since = *self.since.get_or_insert(now);
        let is_rising_without_end = sent >= TOLD_LEAST && self.is_rising_without_end(now, delay);
        let is_trial = self.tried.is_some_and(|tried| now < tried + TRIAL);
        let least = if is_trial { LEAST_IN_TRIAL } else { LEAST };
        let (lost, sent) = self.reports.iter().fold((0_u64, 0_u64), |sum, heard| {
            let lost = sum.0.saturating_add(heard.lost);
            (lost, sum.1.saturating_add(heard.sent))
        });
        let at = now;
        let all = Heard { at, lost, sent };
        let count = self.reports.len();
        let of_too_much = self.reports.iter().filter(|heard| heard.loses_too_much());
        // Not in one great gap, but all the time.
        let is_lasting = of_too_much.count().saturating_mul(4) >= count.saturating_mul(3);
        let is_evident =
            now >= since + least.patience && sent >= least.packets && count >= least.reports;
        let loses_too_much = is_evident && is_lasting && all.loses_too_much();
        if loses_too_much || is_rising_without_end {
            self.wait = if is_trial {
                self.wait.saturating_mul(2).min(WAIT_MOST)
            } else {
                WAIT_LEAST
            };
            self.tried = None;
            let less = self.keep_one_in.saturating_mul(2).min(KEEP_ONE_IN_MOST);
            return self.change(less);
        }
        if all.loses_more_than(CALM_PERCENT) {
            self.calm_since = None;
            return None;
        }
        let calm_since = *self.calm_since.get_or_insert(now);
        if self.keep_one_in > 1 && now >= calm_since + self.wait {
            self.tried = Some(now);
            return self.change(self.keep_one_in / 2);
        }
        None
    }

    /// What was lost until now was lost for another reason: all is sent again.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::new();
    }

    /// What was heard until now is of another share.
    fn change(&mut self, keep_one_in: u32) -> Option<u32> {
        self.reports.clear();
        self.since = None;
        self.calm_since = None;
        self.rise = None;
        let has_changed = self.keep_one_in != keep_one_in;
        self.keep_one_in = keep_one_in;
        has_changed.then_some(keep_one_in)
    }

    fn is_rising_without_end(&mut self, now: Timestamp, delay: Duration) -> bool {
        let rise = match self.rise {
            Some(rise) if delay.saturating_add(FALL_LEAST) >= rise.last => {
                let is_step = delay >= rise.step.saturating_add(RISE_STEP);
                Rise {
                    step: if is_step { delay } else { rise.step },
                    steps: rise.steps.saturating_add(is_step.into()),
                    last: rise.last.max(delay),
                    ..rise
                }
            }
            _ => Rise {
                began: now,
                step: delay,
                steps: 0,
                last: delay,
            },
        };
        self.rise = Some(rise);
        now >= rise.began + LEAST.patience && rise.steps >= RISE_STEPS
    }
}

/// When packets were sent, so that a report of one tells how long it took, and the report.
#[derive(Debug, Default)]
pub(crate) struct SendTimes {
    marks: VecDeque<(u64, Timestamp)>,
}

/// A mark is made no more often.
const MARKS_APART: Duration = Duration::from_millis(50);
/// So that they go back ten seconds.
const MARKS_MOST: usize = 200;

impl SendTimes {
    /// The packet of this number is sent.
    pub(crate) fn handle_sent(&mut self, now: Timestamp, counter: u64) {
        let last = self.marks.back();
        if last.is_none_or(|(_, sent)| now >= *sent + MARKS_APART) {
            if self.marks.len() >= MARKS_MOST {
                self.marks.pop_front();
            }
            self.marks.push_back((counter, now));
        }
    }

    /// One below `end` is the highest of which the other end knows: how long ago that was sent, at least [`MARKS_APART`] exactly. Longer than
    /// is remembered counts as long as that.
    pub(crate) fn delay(&mut self, now: Timestamp, end: u64) -> Duration {
        while self.marks.get(1).is_some_and(|(counter, _)| *counter < end) {
            self.marks.pop_front();
        }
        let sent = self.marks.front().map_or(now, |(_, sent)| *sent);
        now.saturating_since(sent)
    }
}

#[cfg(test)]
mod tests;
