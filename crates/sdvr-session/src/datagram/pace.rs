//! When the fragments of a frame leave: within two milliseconds, over more of the frame's interval where bursts overrun something on the way.
//!
//! A sender that always spreads its frames over their interval adds half of it to every frame's delay; one that never does loses the ends of
//! frames in the first switch with a small buffer. So it begins fast, and when packets are lost it finds out whether bursts are to blame:
//! frames leave slowly until as many would have been lost as tell something. Where as much is lost, nothing is gained by the delay.
//!
//! ```text
//!          losses                     hardly any are left
//!  fast ───────────► trial, slowly ───────────────────────► slow ──── no losses for long ────► ever less slow, and fast
//!   ▲                    │ as many                            │ as many
//!   └──── half a minute ─┴────────────────────────────────────┘
//! ```

use std::ops::Range;
use std::time::Duration;

use sdvr_frame::Timestamp;

/// How long a frame takes to leave fast.
const SHORT: Duration = Duration::from_millis(2);
/// Fragments leave in groups, as sending them one by one costs more: so far apart at least.
const GROUP: Duration = Duration::from_micros(250);
/// So much leaves at once, while nothing shows that bursts are lost: any switch holds as much, and a small frame is one system call and one
/// wake on both sides.
const BURST_BYTES: u32 = 24 * 1024;
/// One lost in so many is no reason to be slow.
const LOSS_SLOWS: u64 = 200;
/// So many losses tell one share from two thirds of it, nine times of ten.
const TELLING_LOSSES: u64 = 20;
/// Losses are counted over so many reports before a trial, at most.
const BEFORE_REPORTS: u32 = 5;
/// So many reports end a trial, whatever they tell, and after as many it is asked again whether being slow helps.
const TRIAL_REPORTS: u32 = 20;
/// So many reports without losses make it less slow.
const CLEAN_REPORTS: u32 = 20;
/// If being slow does not help it is not tried for so many: half a minute of reports ten times a second.
const FUTILE_REPORTS: u32 = 300;

/// The pace of one stream.
#[derive(Debug)]
pub(crate) struct Pace {
    mode: Mode,
    /// Half of the time between two frames, once there were two.
    most: Option<Duration>,
    last_frame: Option<Timestamp>,
    frame: Option<Leaving>,
}

/// How frames leave, and what is known of what that does.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Fast; what was lost since a report told of losses.
    Fast(Losses),
    /// As slowly as may be, to see whether that helps.
    Trial {
        /// Fast.
        before: Losses,
        /// Packets from this number on have left slowly.
        from: u64,
        since: Losses,
    },
    /// Over this time, as it helps.
    Slow {
        spread: Duration,
        before: Losses,
        /// Half of them: what may have been lost at the least, if the trial had bad luck.
        before_least: u64,
        clean_reports: u32,
        since: Losses,
    },
    /// Fast, as being slow does not help, for so many reports more.
    Futile(u32),
}

/// What some reports told of losses.
#[derive(Clone, Copy, Debug)]
struct Losses {
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
            mode: Mode::Fast(Losses::NONE),
            most: None,
            last_frame: None,
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
        let most = self.most.unwrap_or(SHORT).max(GROUP);
        let spread = self.spread();
        let burst = match spread {
            SHORT => BURST_BYTES.checked_div(fragment_bytes.into()).unwrap_or(0),
            _ => 0,
        };
        self.frame = Some(Leaving {
            began: now,
            fragments,
            left: 0,
            burst,
            spread: spread.min(most),
        });
    }

    /// Over how long a frame leaves, if its interval allows it.
    fn spread(&self) -> Duration {
        match self.mode {
            Mode::Fast(_) | Mode::Futile(_) => SHORT,
            Mode::Trial { .. } => self.slowest(),
            Mode::Slow { spread, .. } => spread,
        }
    }

    fn slowest(&self) -> Duration {
        self.most.unwrap_or(SHORT).max(SHORT)
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

    /// The other end says that of the packets of these `numbers` so many were `lost`; `next` is the number of the next one that leaves.
    pub(crate) fn handle_losses(&mut self, lost: u64, numbers: Range<u64>, next: u64) {
        let slowest = self.slowest();
        let report = Losses {
            reports: 1,
            lost,
            sent: numbers.end.saturating_sub(numbers.start),
        };
        self.mode = match self.mode {
            Mode::Fast(before) => {
                let before = before.and(report);
                if before.reports == 1 && !report.are_many() {
                    Mode::Fast(Losses::NONE)
                } else if before.lost < TELLING_LOSSES && before.reports < BEFORE_REPORTS {
                    Mode::Fast(before)
                } else if before.are_many() && slowest > SHORT {
                    Mode::Trial {
                        before,
                        from: next,
                        since: Losses::NONE,
                    }
                } else {
                    Mode::Fast(Losses::NONE)
                }
            }
            // Of packets some of which had left before it.
            Mode::Trial { from, .. } if numbers.start < from => self.mode,
            Mode::Trial {
                before,
                from,
                since,
            } => judge(before, from, since.and(report), slowest),
            Mode::Slow { .. } => self.slow(report),
            Mode::Futile(0) => Mode::Fast(Losses::NONE),
            Mode::Futile(reports) => Mode::Futile(reports.saturating_sub(1)),
        };
    }

    /// What comes after a report while frames leave slowly because it helps.
    fn slow(&self, report: Losses) -> Mode {
        let slowest = self.slowest();
        let Mode::Slow {
            mut spread,
            mut before,
            before_least,
            mut clean_reports,
            since,
        } = self.mode
        else {
            return self.mode;
        };
        if report.are_many() {
            clean_reports = 0;
            spread = spread.saturating_mul(2).min(slowest);
        } else {
            clean_reports = clean_reports.saturating_add(1);
        }
        if clean_reports >= CLEAN_REPORTS {
            clean_reports = 0;
            spread = shorter(spread);
        }
        let mut since = since.and(report);
        if since.reports >= TRIAL_REPORTS {
            if since.are_many() && since.are_as_many_as(before) {
                return Mode::Futile(FUTILE_REPORTS);
            }
            let less = before.lost.saturating_mul(3).checked_div(4).unwrap_or(0);
            before.lost = less.max(before_least);
            since = Losses::NONE;
        }
        if spread <= SHORT {
            return Mode::Fast(Losses::NONE);
        }
        Mode::Slow {
            spread,
            before,
            before_least,
            clean_reports,
            since,
        }
    }
}

/// What comes of a trial.
fn judge(before: Losses, from: u64, since: Losses, slowest: Duration) -> Mode {
    let is_telling = before.expected_of(since.sent) >= TELLING_LOSSES;
    let is_last = since.reports >= TRIAL_REPORTS;
    if (is_telling || is_last) && since.are_as_many_as(before) {
        return Mode::Futile(FUTILE_REPORTS);
    }
    let are_few = since.lost.saturating_mul(3) < before.expected_of(since.sent);
    if is_telling && are_few || is_last {
        return Mode::Slow {
            // Losses make it slower again, and that costs less than to be too slow for long.
            spread: slowest.checked_div(2).unwrap_or(SHORT).max(SHORT),
            before,
            before_least: before.lost.checked_div(2).unwrap_or(0),
            clean_reports: 0,
            since: Losses::NONE,
        };
    }
    Mode::Trial {
        before,
        from,
        since,
    }
}

impl Losses {
    const NONE: Self = Self {
        reports: 0,
        lost: 0,
        sent: 0,
    };

    const fn and(self, report: Self) -> Self {
        Self {
            reports: self.reports.saturating_add(report.reports),
            lost: self.lost.saturating_add(report.lost),
            sent: self.sent.saturating_add(report.sent),
        }
    }

    const fn are_many(self) -> bool {
        self.lost.saturating_mul(LOSS_SLOWS) > self.sent
    }

    /// How many of `sent` would be lost at the same share.
    fn expected_of(self, sent: u64) -> u64 {
        let lost = self.lost.saturating_mul(sent);
        lost.checked_div(self.sent).unwrap_or(0)
    }

    /// Whether being slow has not taken a third of them away.
    fn are_as_many_as(self, before: Self) -> bool {
        self.lost.saturating_mul(3) >= before.expected_of(self.sent).saturating_mul(2)
    }
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
mod tests;
