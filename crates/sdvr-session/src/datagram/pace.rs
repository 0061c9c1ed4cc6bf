//! When the fragments of a frame leave: within two milliseconds at first, over more of the frame's interval when losses show that bursts
//! overrun something on the way.
//!
//! A sender that always spreads its frames over their interval adds half of it to every frame's delay; one that never does loses the ends of
//! frames in the first switch with a small buffer. So it begins short, and what is lost decides: where frames that leave slowly lose as much,
//! bursts are not to blame, and nothing is gained by the delay.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// How long a frame takes to leave at first.
const SHORT: Duration = Duration::from_millis(2);
/// Fragments leave in groups, as sending them one by one costs more: so far apart at least.
const GROUP: Duration = Duration::from_micros(250);
/// So much leaves at once, while nothing shows that bursts are lost: any switch holds as much, and a small frame is one system call and one
/// wake on both sides.
const BURST_BYTES: u32 = 24 * 1024;
/// Losses of more than one in so many, in a report, make it slower.
const LOSS_SLOWS: u64 = 200;
/// So many reports without losses make it faster again.
const CLEAN_REPORTS: u32 = 20;
/// After so many reports it is known whether leaving slowly takes a third of the losses away …
const TRIAL_REPORTS: u32 = 20;
/// … and if it does not, it is not tried for so many: half a minute of reports ten times a second.
const FUTILE_REPORTS: u32 = 300;

/// The pace of one stream.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Over how long a frame leaves.
    spread: Duration,
    /// Half of the time between two frames, once there were two.
    most: Option<Duration>,
    last_frame: Option<Timestamp>,
    clean_reports: u32,
    /// Whether leaving slowly helps is being found out.
    trial: Option<Trial>,
    /// For so many reports more it is known that it does not.
    futile_reports: u32,
    frame: Option<Leaving>,
}

/// What is lost while frames leave slowly.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Lost of a thousand when they left fast, as far as one report can tell; half of it is the least that it may have been.
    before: u64,
    before_least: u64,
    reports: u32,
    lost: u64,
    sent: u64,
}

/// The frame that leaves.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    began: Timestamp,
    fragments: u32,
    left: u32,
    /// So many leave at once.
    burst: u32,
    spread: Duration,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            spread: SHORT,
            most: None,
            last_frame: None,
            clean_reports: 0,
            trial: None,
            futile_reports: 0,
            frame: None,
        }
    }

    /// A frame of so many fragments begins to leave.
    pub(crate) fn begin(&mut self, now: Timestamp, fragments: u32, fragment_bytes: u16) {
        if let Some(last) = self.last_frame {
            let interval = now.saturating_since(last);
            let half = interval.checked_div(2).unwrap_or_default();
            // Or of a shorter one lately.
            let lately = self.most.map(|most| {
                let more = most.checked_div(8).unwrap_or_default();
                most.saturating_add(more)
            });
            self.most = Some(lately.map_or(half, |lately| lately.min(half)));
        }
        self.last_frame = Some(now);
        let burst = match self.spread {
            SHORT => BURST_BYTES.checked_div(fragment_bytes.into()).unwrap_or(0),
            _ => 0,
        };
        self.frame = Some(Leaving {
            began: now,
            fragments,
            left: 0,
            burst,
            spread: self.spread.min(self.most.unwrap_or(SHORT).max(GROUP)),
        });
    }

    /// When the next fragment may leave; never when there is none.
    pub(crate) fn due(&self) -> Timestamp {
        self.frame.map_or(Timestamp::NEVER, Leaving::due)
    }

    /// A fragment has left.
    pub(crate) fn left(&mut self) {
        self.frame = self.frame.and_then(|frame| {
            let left = frame.left.saturating_add(1);
            (left < frame.fragments).then_some(Leaving { left, ..frame })
        });
    }

    /// The other end says that of `sent` packets since its last report `lost` were lost. Whether bursts are to blame shows by trying: where
    /// losses stay, it becomes fast again.
    pub(crate) fn handle_losses(&mut self, lost: u64, sent: u64) {
        if self.futile_reports > 0 {
            self.futile_reports = self.futile_reports.saturating_sub(1);
            return;
        }
        if lost.saturating_mul(LOSS_SLOWS) <= sent {
            self.clean_reports = self.clean_reports.saturating_add(1);
            if self.clean_reports >= CLEAN_REPORTS {
                self.clean_reports = 0;
                self.spread = shorter(self.spread);
            }
        } else {
            self.clean_reports = 0;
            let most = self.most.unwrap_or(SHORT).max(SHORT);
            self.spread = self.spread.saturating_mul(2).min(most);
            let before = of_thousand(lost, sent);
            self.trial.get_or_insert_with(|| Trial {
                before,
                before_least: before.checked_div(2).unwrap_or(0),
                reports: 0,
                lost: 0,
                sent: 0,
            });
        }
        self.judge(lost, sent);
    }

    /// Ends a trial that has lasted long enough.
    fn judge(&mut self, lost: u64, sent: u64) {
        let Some(trial) = &mut self.trial else {
            return;
        };
        trial.reports = trial.reports.saturating_add(1);
        trial.lost = trial.lost.saturating_add(lost);
        trial.sent = trial.sent.saturating_add(sent);
        if trial.reports < TRIAL_REPORTS {
            return;
        }
        let now = of_thousand(trial.lost, trial.sent);
        let still_loses = now.saturating_mul(LOSS_SLOWS) > 1000;
        if still_loses && now.saturating_mul(3) >= trial.before.saturating_mul(2) {
            self.spread = SHORT;
            self.futile_reports = FUTILE_REPORTS;
            self.trial = None;
        } else if self.spread == SHORT {
            self.trial = None;
        } else {
            // The report that began it may have had bad luck.
            let less = trial.before.saturating_mul(3).checked_div(4).unwrap_or(0);
            *trial = Trial {
                before: less.max(trial.before_least),
                reports: 0,
                lost: 0,
                sent: 0,
                ..*trial
            };
        }
    }
}

fn of_thousand(lost: u64, sent: u64) -> u64 {
    lost.saturating_mul(1000).checked_div(sent).unwrap_or(0)
}

fn shorter(spread: Duration) -> Duration {
    let three_quarters = spread.saturating_mul(3).checked_div(4);
    three_quarters.unwrap_or(SHORT).max(SHORT)
}

impl Leaving {
    fn due(self) -> Timestamp {
        if self.left < self.burst {
            return self.began;
        }
        let share = u64::from(self.left)
            .saturating_mul(u64::try_from(self.spread.as_nanos()).unwrap_or(u64::MAX));
        let wait = Duration::from_nanos(share.checked_div(self.fragments.into()).unwrap_or(0));
        // In groups: what is due within one leaves at its begin.
        let groups = wait
            .as_nanos()
            .checked_div(GROUP.as_nanos())
            .unwrap_or_default();
        self.began + GROUP.saturating_mul(u32::try_from(groups).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const INTERVAL: Duration = Duration::from_millis(33);

    /// Sends a frame of 100 fragments; gives how long it took to leave, and how many left at once at most.
    fn leave(pace: &mut Pace, began: Timestamp) -> (Duration, usize) {
        pace.begin(began, 100, 1104);
        let times: Vec<Timestamp> = std::iter::from_fn(|| {
            let due = pace.due();
            pace.left();
            (due < Timestamp::NEVER).then_some(due)
        })
        .collect();
        assert_eq!(times.len(), 100);
        assert!(times.is_sorted() && times[0] == began);
        let groups = times.chunk_by(|time, next| time == next);
        let largest = groups.map(<[Timestamp]>::len).max().unwrap();
        (times[99].saturating_since(began), largest)
    }

    /// Frames of these numbers, one report after each; gives how long the last one took to leave.
    fn frames(pace: &mut Pace, numbers: std::ops::Range<u32>, lost_of_thousand: u64) -> Duration {
        let mut took = Duration::ZERO;
        for number in numbers {
            (took, _) = leave(pace, NOW + INTERVAL.saturating_mul(number));
            pace.handle_losses(lost_of_thousand, 1000);
        }
        took
    }

    #[test]
    fn a_frame_leaves_within_two_milliseconds_in_small_groups() {
        let (took, largest) = leave(&mut Pace::new(), NOW);
        assert!(took < SHORT, "{took:?}");
        // The first of them is the burst.
        assert!(largest <= 25, "{largest}");
    }

    #[test]
    fn a_small_frame_leaves_at_once_until_losses_follow() {
        let mut pace = Pace::new();
        let is_at_once = |pace: &mut Pace, number: u32| {
            let began = NOW + INTERVAL.saturating_mul(number);
            pace.begin(began, 18, 1104);
            (0..18).all(|_| {
                let due = pace.due();
                pace.left();
                due == began
            })
        };
        assert!(is_at_once(&mut pace, 0));
        assert!(is_at_once(&mut pace, 1));
        pace.handle_losses(30, 1000);
        assert!(!is_at_once(&mut pace, 2));
    }

    #[test]
    fn losses_spread_frames_over_half_of_their_interval_at_most() {
        let mut pace = Pace::new();
        let took = frames(&mut pace, 0..15, 30);
        assert!(took > INTERVAL / 3 && took < INTERVAL / 2, "{took:?}");
    }

    #[test]
    fn and_no_losses_make_it_fast_again() {
        let mut pace = Pace::new();
        frames(&mut pace, 0..15, 30);
        let took = frames(&mut pace, 15..315, 0);
        assert!(took < SHORT, "{took:?}");
    }

    #[test]
    fn where_leaving_slowly_does_not_help_frames_leave_fast() {
        let mut pace = Pace::new();
        let took = frames(&mut pace, 0..25, 30);
        assert!(took < SHORT, "{took:?}");
        let took = frames(&mut pace, 25..275, 30);
        assert!(took < SHORT, "{took:?}");
        // It is tried again: the network may be another one.
        let took = frames(&mut pace, 275..335, 30);
        assert!(took > INTERVAL / 3, "{took:?}");
    }

    #[test]
    fn where_it_helps_they_leave_slowly_as_long_as_it_does() {
        let mut pace = Pace::new();
        for round in 0..120 {
            // Bursts lose 3 %, frames that leave slowly next to nothing; the reports tell of both while it changes.
            let lost = if pace.spread > SHORT.saturating_mul(4) {
                3
            } else {
                30
            };
            frames(&mut pace, round * 5..round * 5 + 5, lost);
            assert_eq!(pace.futile_reports, 0, "{round}");
        }
    }

    #[test]
    fn a_camera_that_is_faster_than_two_milliseconds_is_not_held_up() {
        let mut pace = Pace::new();
        for number in 0..10 {
            let began = NOW + Duration::from_millis(number);
            let (took, _) = leave(&mut pace, began);
            assert!(
                number < 2 || took < Duration::from_millis(1),
                "{number}: {took:?}"
            );
        }
    }
}
