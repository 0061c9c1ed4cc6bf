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
        loop {
            // Before the frame is looked for, so that the last one is not missed.
            let has_gone = self.camera.has_gone();
            match self.camera.next(self.policy, Duration::from_secs(3600)) {
                Ok(Some(frame)) => return Some(Ok(frame)),
                Ok(None) if has_gone => return None,
                Ok(None) => {}
                Err(Error::Ended) if self.ends => return None,
                Err(Error::Ended) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
