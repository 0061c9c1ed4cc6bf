//! A frame that was told of and not copied.

use std::time::Duration;

use crate::camera::{Camera, Policy};
use crate::error::Error;
use crate::frame::{About, Frame, realtime_offset_ns};

/// What is known of a frame whose bytes were left where they are: of [`Camera::next_unread`]. Its bytes can be had as long as nothing was
/// written over them.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Without bytes.
    frame: Frame,
}

impl Unread {
    /// All that a frame tells but its bytes, which are none here.
    #[must_use]
    pub const fn about(&self) -> &Frame {
        &self.frame
    }

    const fn details(&self) -> &About {
        &self.frame.about
    }
}

impl Camera {
    /// As [`Self::next`], but the frame is not copied: for programs that want the bytes of some frames only, and of them a while later.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_unread(
        &mut self,
        policy: Policy,
        timeout: Duration,
    ) -> Result<Option<Unread>, Error> {
        let about = self.next_with(policy, timeout, |_, _| ())?;
        Ok(about.map(|(about, ())| Unread {
            frame: Frame {
                bytes: Vec::new(),
                about,
                realtime_offset_ns: realtime_offset_ns(),
            },
        }))
    }

    /// Copies a frame that [`Self::next_unread`] has told of into the memory of `bytes`. False when it is there no more: it was overwritten, or the
    /// camera has gone on in another ring. What `bytes` holds is then of no use.
    #[must_use = "what was copied is a mixture of frames if this is false"]
    pub fn read_into(&self, unread: &Unread, bytes: &mut Vec<u8>) -> bool {
        let about = unread.details();
        // Another ring may have another frame at this place.
        self.reader().is_some_and(|reader| {
            reader.info().instance == about.instance
                && reader.read(about.place, bytes).is_ok_and(|meta| {
                    meta.number == about.meta.number && meta.published == about.meta.published
                })
        })
    }
}
