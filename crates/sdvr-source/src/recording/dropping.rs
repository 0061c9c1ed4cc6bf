//! Beginning later in a pipe, which cannot go back: by leaving out what is before.

use crate::container::ContainerError;
use crate::play_from::{PlayFrom, PlayFromError};

/// What is known of a pipe whose frames are left out up to the place where playing begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropping {
    from: PlayFrom,
    /// Once there was a frame.
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When the first frame is, in the file, and the place.
    first: i64,
    target: i64,
    /// The last frame's time, and how much later that was than the one before.
    last: i64,
    interval: i64,
}

impl Dropping {
    pub(super) const fn new(from: PlayFrom) -> Self {
        Self { from, seen: None }
    }

    /// When the first frame is, in the file.
    pub(super) fn first(&self) -> Option<i64> {
        self.seen.map(|seen| seen.first)
    }

    /// Whether a frame is left out: one before the place, or behind it and before the first key frame there. `date` is when the first frame was recorded.
    pub(super) fn leaves_out(
        &mut self,
        time: i64,
        is_key: bool,
        date: impl FnOnce() -> Option<i64>,
    ) -> Result<bool, PlayFromError> {
        let seen = match &mut self.seen {
            Some(seen) => seen,
            none => none.insert(Seen {
                first: time,
                target: self.from.resolve(time, date())?,
                last: time,
                interval: 0,
            }),
        };
        if time > seen.last {
            (seen.interval, seen.last) = (time.saturating_sub(seen.last), time);
        }
        Ok(time < seen.target || !is_key)
    }

    /// The error of a pipe that has ended before the place.
    pub(super) fn error(&self) -> ContainerError {
        let Some(seen) = self.seen else {
            return ContainerError::NoSamples;
        };
        let end = seen.last.saturating_add(seen.interval);
        let length = end.saturating_sub(seen.first);
        ContainerError::PlayFrom(self.from.behind_end(length))
    }
}
