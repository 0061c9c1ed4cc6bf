//! Which frames of a run had no picture that was handed out.

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
                ..Self::default()
            };
        }
    }

    /// A picture is handed out, and those of `delayed` frames may follow. Gives how many had none since the one before.
    pub(super) fn hand_out(&mut self, delayed: u64) -> u64 {
        self.handed_out = self.handed_out.saturating_add(1);
        let shown = self.handed_out.saturating_add(delayed);
        let missed = self.captured.saturating_sub(shown);
        let untold = missed.saturating_sub(self.told);
        self.told = self.told.max(missed);
        untold
    }
}
