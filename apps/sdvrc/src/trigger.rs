//! `-t`: one frame for each SIGUSR1, and none else.

use sdvr_frame::FrameNumber;

use crate::signals::SignalPipe;

/// Which frames are asked for.
#[derive(Debug)]
pub(crate) struct Trigger {
    signals: SignalPipe,
    asked_for: usize,
    /// How many were sent. They are numbered by themselves: those that nobody asked for are not missing.
    sent: u64,
}

impl Trigger {
    pub(crate) const fn new(signals: SignalPipe) -> Self {
        Self {
            signals,
            asked_for: 0,
            sent: 0,
        }
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

    /// The number that a frame has if it is the one that was asked for.
    pub(crate) fn number(&self) -> Option<FrameNumber> {
        self.wants_frame().then_some(FrameNumber(self.sent))
    }

    /// The frame was sent. While none can be, a later one is.
    pub(crate) const fn was_sent(&mut self) {
        self.asked_for = self.asked_for.saturating_sub(1);
        self.sent = self.sent.saturating_add(1);
    }
}
