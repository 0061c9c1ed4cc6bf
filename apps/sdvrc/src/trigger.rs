//! `-t`: one frame for each SIGUSR1, and none else.

use sdvr_frame::FrameNumber;

use crate::signals::SignalPipe;

/// Which frames are asked for.
#[derive(Debug)]
pub(crate) struct Trigger {
    signals: SignalPipe,
    asked_for: usize,
    /// Frames of a live source that nobody asked for. They get no number: they are not missing.
    left_out: u64,
}

impl Trigger {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            signals: SignalPipe::trigger()?,
            asked_for: 0,
            left_out: 0,
        })
    }

    /// What to wait for.
    pub(crate) const fn signals(&self) -> &SignalPipe {
        &self.signals
    }

    /// A signal may have come.
    pub(crate) fn look(&mut self) {
        self.asked_for = self.asked_for.saturating_add(self.signals.take());
    }

    /// Whether a frame is asked for.
    pub(crate) const fn wants_frame(&self) -> bool {
        self.asked_for > 0
    }

    /// Whether this frame is the one that was asked for, and the number it then has. While it cannot be sent, a later one is.
    pub(crate) const fn take(
        &mut self,
        number: FrameNumber,
        can_be_sent: bool,
    ) -> Option<FrameNumber> {
        if self.asked_for == 0 || !can_be_sent {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.asked_for -= 1;
        Some(FrameNumber(number.0.saturating_sub(self.left_out)))
    }
}
