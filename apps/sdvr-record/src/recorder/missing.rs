//! Frames that are in no file, until a file can tell of them.

use std::time::{Duration, Instant};

use super::seat::Seat;
use crate::index::{Gap, GapReason, SegmentId};
use crate::sample::UtcTime;

/// How often losses are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What is missing between the last frame that is in a file and the next one.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// One for each reason.
    open: Vec<Gap>,
}

impl Gaps {
    /// So many frames more are missing since then. None at all are, if the clock was set or the source had none.
    pub(super) fn add(&mut self, begins: UtcTime, frames: u64, reason: GapReason) {
        match self.open.iter_mut().find(|gap| gap.reason == reason) {
            Some(gap) => gap.frames = gap.frames.saturating_add(frames),
            None => self.open.push(Gap {
                begins,
                ends: begins,
                frames,
                reason,
            }),
        }
    }

    /// Notes all of them in a file: they end with a frame of that time.
    pub(super) fn note(&mut self, seat: &mut Seat, id: SegmentId, ends: UtcTime) {
        for gap in self.take(ends) {
            seat.note_gap(id, &gap);
        }
    }

    fn take(&mut self, ends: UtcTime) -> impl Iterator<Item = Gap> + use<> {
        let gaps = std::mem::take(&mut self.open);
        gaps.into_iter().map(move |gap| Gap { ends, ..gap })
    }
}

/// Frames that came too fast for the disk, as far as nobody was told.
#[derive(Debug, Default)]
pub(super) struct Losses {
    unsaid: u64,
    said: Option<Instant>,
}

impl Losses {
    pub(super) const fn add(&mut self, frames: u64) {
        self.unsaid = self.unsaid.saturating_add(frames);
    }

    pub(super) fn say_if_due(&mut self, seat: &Seat) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.say(seat);
        }
    }

    pub(super) fn say(&mut self, seat: &Seat) {
        if self.unsaid > 0 {
            seat.say(format_args!(
                "{} frames were not recorded: the disk, or this machine, was too slow for them",
                self.unsaid
            ));
            *self = Self {
                unsaid: 0,
                said: Some(Instant::now()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_their_reason_and_told_once() {
        let mut gaps = Gaps::default();
        gaps.add(UtcTime(5), 1, GapReason::Link);
        gaps.add(UtcTime(6), 2, GapReason::SlowDisk);
        gaps.add(UtcTime(7), 3, GapReason::Link);
        let told: Vec<(u64, UtcTime, UtcTime)> = gaps
            .take(UtcTime(9))
            .map(|gap| (gap.frames, gap.begins, gap.ends))
            .collect();
        assert_eq!(
            told,
            [(4, UtcTime(5), UtcTime(9)), (2, UtcTime(6), UtcTime(9))]
        );
        assert_eq!(gaps.take(UtcTime(10)).count(), 0);
    }
}
