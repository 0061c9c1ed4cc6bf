//! What was published and not handed out.
//!
//! Within a run of the source the numbers of frames tell it. Where one run ends and the next begins they do not, and the rings are counted.

use std::ops::Range;

use sdvr_frame::{FrameNumber, InstanceId};
use sdvr_ring::RingReader;

/// The account of one camera, over all its runs and rings.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The run whose ring is, or was last, read.
    run: Option<InstanceId>,
    /// The last frame that was handed out, of this run or of one before.
    last: Option<(InstanceId, FrameNumber)>,
    /// Frames of earlier runs of which no frame has told yet.
    of_runs_before: u64,
    /// Frames of this run, in rings that have ended, of which no frame has told yet.
    of_ended_rings: u64,
    /// How far the ring was read that ended last, and the process that wrote it.
    ended: Option<(u32, Progress)>,
}

/// How far one ring was read. Belongs to the account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// The frame after the last one that was handed out, by the ring's count; at first, the one at which reading began.
    after_last: u64,
    /// [`Account::of_ended_rings`] when that frame was the next.
    of_ended_rings: u64,
}

/// What was not handed out before a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// Of the frame's own run.
    pub(crate) numbers: Range<u64>,
    /// Where a run began: at the end of the runs before, and at the beginning of this one.
    pub(crate) between_runs: u64,
}

impl Account {
    /// The account of a camera of which this frame was handed out last.
    pub(crate) fn after(last: Option<(InstanceId, FrameNumber)>) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// The last frame that was handed out of `run`.
    pub(crate) fn last_of(&self, run: InstanceId) -> Option<FrameNumber> {
        self.last
            .filter(|(instance, _)| *instance == run)
            .map(|(_, number)| number)
    }

    /// Goes on where the ring that ended last was left, with the frame that is given, if the count of `reader` goes on with that
    /// one's.
    ///
    /// The count may not have come as far yet: the daemon has published in the ring before until it went over. Then reading begins with the next
    /// frame that comes, and not later: should this be another daemon's after all, nothing is passed over.
    pub(crate) fn continue_ring(&mut self, reader: &RingReader) -> Option<(Progress, u64)> {
        let info = reader.info();
        let (writer_pid, progress) = self.ended?;
        let goes_on = self.run == Some(info.instance)
            && writer_pid == info.writer_pid
            && info.first > 0
            && self.may_be_same_count(reader, progress.after_last);
        if !goes_on {
            return None;
        }
        // Not missed, if they are here.
        self.of_ended_rings = progress.of_ended_rings;
        let next = progress.after_last.max(info.first).min(reader.head());
        Some((progress, next))
    }

    /// Daemons in containers all have the same number as a process, and each counts for itself. Then the frame that was handed out last is another one here.
    fn may_be_same_count(&self, reader: &RingReader, after_last: u64) -> bool {
        let last = self.run.and_then(|run| self.last_of(run));
        let here = after_last.checked_sub(1).map(|n| reader.meta(n));
        match (last, here) {
            (Some(last), Some(Ok(meta))) => meta.number == last,
            _ => true,
        }
    }

    /// A ring is read from its frame `begin` on.
    pub(crate) fn begin_ring(&mut self, run: InstanceId, begin: u64) -> Progress {
        if self.run != Some(run) {
            let of_last_run = std::mem::take(&mut self.of_ended_rings);
            self.of_runs_before = self.of_runs_before.saturating_add(of_last_run);
            self.run = Some(run);
        }
        Progress {
            after_last: begin,
            of_ended_rings: self.of_ended_rings,
        }
    }

    /// Frame `n` of the ring, with its number, is handed out.
    pub(crate) fn hand_out(
        &mut self,
        progress: &mut Progress,
        run: InstanceId,
        n: u64,
        number: FrameNumber,
    ) -> Missed {
        let missed = match self.last_of(run) {
            Some(last) => Missed {
                numbers: if last < number {
                    last.0.saturating_add(1)..number.0
                } else {
                    number.0..number.0
                },
                between_runs: 0,
            },
            None => Missed {
                numbers: number.0..number.0,
                between_runs: self
                    .untold()
                    .saturating_add(n.saturating_sub(progress.after_last)),
            },
        };
        self.last = Some((run, number));
        self.of_runs_before = 0;
        self.of_ended_rings = 0;
        *progress = Progress {
            after_last: n.saturating_add(1),
            of_ended_rings: 0,
        };
        missed
    }

    /// Frame `n` of the ring was handed out before, of another ring.
    pub(crate) fn pass_over(progress: &mut Progress, n: u64) {
        progress.after_last = progress.after_last.max(n.saturating_add(1));
    }

    /// Nothing more comes into a ring. May be said again: the count is the same.
    pub(crate) fn end_ring(&mut self, progress: &Progress, reader: &RingReader) {
        self.ended = Some((reader.info().writer_pid, *progress));
        let head = reader.head();
        let in_ring = head.saturating_sub(progress.after_last);
        if in_ring == 0 {
            return;
        }
        let newest = reader.meta(head - 1).map(|meta| meta.number);
        self.of_ended_rings = match (self.last_of(reader.info().instance), newest) {
            // With those that were lost on the way, and those of the run's rings before this one.
            (Some(last), Ok(newest)) => newest.0.saturating_sub(last.0),
            // The daemon has given the memory back, or there is no number to count from.
            _ => progress.of_ended_rings.saturating_add(in_ring),
        };
    }

    /// How many frames were not handed out, of which no frame has told yet.
    pub(crate) const fn untold(&self) -> u64 {
        self.of_runs_before.saturating_add(self.of_ended_rings)
    }
}
