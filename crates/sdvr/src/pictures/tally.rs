//! Which frames had no picture that was handed out.

use sdvr_frame::InstanceId;

use crate::frame::Frame;

/// Counts frames and not their numbers: encoders may send pictures in another order than they are shown in.
#[derive(Debug, Default)]
pub(super) struct Tally {
    run: Option<InstanceId>,
    /// Frames of the run that were captured since the first one that was read, that one included.
    captured: u64,
    handed_out: u64,
    /// How many of those without a picture were told of.
    told: u64,
    /// Those of runs before that nobody was told of.
    of_runs_before: u64,
}

impl Tally {
    /// A frame was read.
    pub(super) fn read(&mut self, frame: &Frame) {
        if self.run == Some(frame.instance()) {
            self.captured = self
                .captured
                .saturating_add(frame.missed())
                .saturating_add(1);
        } else {
            *self = Self {
                run: Some(frame.instance()),
                captured: 1,
                of_runs_before: self.untold(0),
                ..Self::default()
            };
        }
    }

    /// The frame that was read last gave no picture, which is told as an error.
    pub(super) fn tell_damaged(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// A picture is handed out, and those of `delayed` frames may follow. Gives how many had none since the one before: of this run, and of runs before.
    pub(super) fn hand_out(&mut self, delayed: u64) -> (u64, u64) {
        let is_first = self.handed_out == 0;
        self.handed_out = self.handed_out.saturating_add(1);
        let of_run = self.of_run(delayed);
        self.told = self.told.saturating_add(of_run);
        // What came before the first picture of a run nobody could decode.
        let of_run = if is_first { 0 } else { of_run };
        (of_run, std::mem::take(&mut self.of_runs_before))
    }

    /// How many had none and were not told of, if pictures of `delayed` frames may follow.
    pub(super) fn untold(&self, delayed: u64) -> u64 {
        self.of_run(delayed).saturating_add(self.of_runs_before)
    }

    fn of_run(&self, delayed: u64) -> u64 {
        if self.handed_out == 0 {
            return 0;
        }
        let known = self
            .handed_out
            .saturating_add(delayed)
            .saturating_add(self.told);
        self.captured.saturating_sub(known)
    }
}
