//! When the fragments of a frame leave: within two milliseconds at first, over more of the frame's interval when losses show that bursts
//! overrun something on the way.
//!
//! A sender that always spreads its frames over their interval adds half of it to every frame's delay; one that never does loses the ends of
//! frames in the first switch with a small buffer. So it begins short, and what is lost decides.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// How long a frame takes to leave at first.
const SHORT: Duration = Duration::from_millis(2);
/// Fragments leave in groups, as sending them one by one costs more: so far apart at least.
const GROUP: Duration = Duration::from_micros(250);
/// Losses of more than one in so many, in a report, make it slower.
const LOSS_SLOWS: u64 = 200;
/// So many reports without losses make it faster again.
const CLEAN_REPORTS: u32 = 20;

/// The pace of one stream.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Over how long a frame leaves.
    spread: Duration,
    /// At most half of the time between two frames.
    most: Duration,
    last_frame: Option<Timestamp>,
    clean_reports: u32,
    frame: Option<Leaving>,
}

/// The frame that leaves.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    began: Timestamp,
    fragments: u32,
    left: u32,
    spread: Duration,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self {
            spread: SHORT,
            most: SHORT,
            last_frame: None,
            clean_reports: 0,
            frame: None,
        }
    }

    /// A frame of so many fragments begins to leave.
    pub(crate) fn begin(&mut self, now: Timestamp, fragments: u32) {
        if let Some(last) = self.last_frame {
            // Half of the shortest interval lately.
            let half = now.saturating_since(last) / 2;
            self.most = self
                .most
                .saturating_mul(9)
                .checked_div(8)
                .unwrap_or(half)
                .min(half);
        }
        self.last_frame = Some(now);
        self.frame = Some(Leaving {
            began: now,
            fragments,
            left: 0,
            spread: self.spread.min(self.most.max(GROUP)),
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
    /// losses stay, it becomes faster again.
    pub(crate) fn handle_losses(&mut self, lost: u64, sent: u64) {
        if lost.saturating_mul(LOSS_SLOWS) <= sent {
            self.clean_reports = self.clean_reports.saturating_add(1);
            if self.clean_reports >= CLEAN_REPORTS {
                self.clean_reports = 0;
                self.spread = shorter(self.spread);
            }
        } else {
            self.clean_reports = 0;
            self.spread = self.spread.saturating_mul(2).min(self.most.max(SHORT));
        }
    }
}

fn shorter(spread: Duration) -> Duration {
    let three_quarters = spread.saturating_mul(3).checked_div(4);
    three_quarters.unwrap_or(SHORT).max(SHORT)
}

impl Leaving {
    fn due(self) -> Timestamp {
        let share = u64::from(self.left)
            .saturating_mul(u64::try_from(self.spread.as_nanos()).unwrap_or(u64::MAX));
        let wait = Duration::from_nanos(share.checked_div(self.fragments.into()).unwrap_or(0));
        // In groups: what is due within one leaves at its begin.
        let groups = wait.as_nanos() / GROUP.as_nanos();
        self.began + GROUP.saturating_mul(u32::try_from(groups).unwrap_or(u32::MAX))
    }
}
