//! Frames that gave no picture, for people.

use std::time::{Duration, Instant};

use sdvr::Error;

use crate::output::say;

/// How often damaged frames are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// Damaged frames, said once a second at most.
#[derive(Debug, Default)]
pub(crate) struct WithoutPicture {
    pub(crate) in_all: u64,
    said_at: Option<Instant>,
}

impl WithoutPicture {
    pub(crate) fn count(&mut self, error: &Error) {
        self.in_all = self.in_all.saturating_add(1);
        if self.said_at.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            say(format_args!("sdvr: {error} ({} in all)", self.in_all));
            self.said_at = Some(Instant::now());
        }
    }
}
