//! Frames that are missing, for one reason: counted, and said now and then.

use std::time::Duration;

use sdvr_frame::Timestamp;
use tracing::warn;

/// How often it is said while it goes on.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// All that were dropped, and those of which nothing was said yet.
#[derive(Debug)]
pub(crate) struct DroppedFrames {
    reason: &'static str,
    all: u64,
    unsaid: u64,
    said_at: Option<Timestamp>,
}

impl DroppedFrames {
    /// None yet, for this reason.
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self {
            reason,
            all: 0,
            unsaid: 0,
            said_at: None,
        }
    }

    /// Counts frames. Says so at once for the first ones, then once a minute.
    pub(crate) fn count(&mut self, now: Timestamp, frames: u64) {
        self.all = self.all.saturating_add(frames);
        self.unsaid = self.unsaid.saturating_add(frames);
        if self
            .said_at
            .is_none_or(|at| now.saturating_since(at) >= SAY_AGAIN)
        {
            self.say_rest(now);
        }
    }

    /// So many were counted that are not missing.
    pub(crate) const fn take_back(&mut self, frames: u64) {
        self.all = self.all.saturating_sub(frames);
        self.unsaid = self.unsaid.saturating_sub(frames);
    }

    /// How many there were since the program began.
    pub(crate) const fn all(&self) -> u64 {
        self.all
    }

    /// Says how many there were since it was said last: frames flow again, or the program ends.
    pub(crate) fn say_rest(&mut self, now: Timestamp) {
        if self.unsaid > 0 {
            warn!(frames = self.unsaid, "{}", self.reason);
            self.unsaid = 0;
            self.said_at = Some(now);
        }
    }
}
