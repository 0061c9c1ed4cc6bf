//! A camera's frames, one after the other, for ever.

use std::time::Duration;

use super::{Camera, Policy};
use crate::error::Error;
use crate::frame::Frame;

/// An endless series of frames. See [`Camera::frames`].
#[derive(Debug)]
pub struct Frames<'a> {
    pub(super) camera: &'a mut Camera,
    pub(super) policy: Policy,
    pub(super) ends: bool,
}

impl Frames<'_> {
    /// Ends when the camera says that it ends, instead of waiting for it to come back.
    #[must_use]
    pub const fn until_end(mut self) -> Self {
        self.ends = true;
        self
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let policy = self.policy;
        let next = |camera: &mut Camera| camera.next(policy, LONG);
        next_of_all(self.camera, Camera::has_gone, next, self.ends)
    }
}

/// How long one call waits; it is called again.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// The next of all that `next` gives of a camera, for ever; `None` when the camera has gone, or has ended where that `ends` the series.
pub(crate) fn next_of_all<S, T>(
    source: &mut S,
    has_gone: impl Fn(&S) -> bool,
    mut next: impl FnMut(&mut S) -> Result<Option<T>, Error>,
    ends: bool,
) -> Option<Result<T, Error>> {
    loop {
        // Before the frame is looked for, so that the last one is not missed.
        let has_gone = has_gone(source);
        match next(source) {
            Ok(Some(frame)) => return Some(Ok(frame)),
            Ok(None) if has_gone => return None,
            Ok(None) => {}
            Err(Error::Ended) if ends => return None,
            Err(Error::Ended) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}
