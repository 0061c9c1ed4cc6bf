//! A frame that was told of and not copied.

use std::time::Duration;

use sdvr_ring::{FrameMeta, FrameWords};

use crate::camera::{Camera, Policy};
use crate::error::Error;
use crate::frame::{About, Frame, realtime_offset_ns};

/// What is known of a frame whose bytes were left where they are: of [`Camera::next_unread`]. Its bytes can be had as long as nothing was
/// written over them.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Without bytes.
    frame: Frame,
    bytes: usize,
}

impl Unread {
    /// All that a frame tells but its bytes, which are none here.
    #[must_use]
    pub const fn about(&self) -> &Frame {
        &self.frame
    }

    /// How many bytes it has.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "no frame is empty, see `FrameWords`"
    )]
    pub const fn len(&self) -> usize {
        self.bytes
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
        let about = self.next_with(policy, timeout, |_, words| words.len())?;
        Ok(about.map(|(about, bytes)| Unread {
            bytes,
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
        self.look_at(unread, |words| words.copy_into(bytes))
            .is_some()
    }

    /// Looks at a frame that [`Self::next_unread`] has told of where it lies, without a copy. `None` when it is there no more, or was overwritten meanwhile: `look` must bear to
    /// see a mixture of frames, and what it did then has to be undone.
    pub fn look_at<T>(&self, unread: &Unread, look: impl FnOnce(FrameWords<'_>) -> T) -> Option<T> {
        let about = unread.details();
        // Another ring may have another frame at this place.
        let reader = self
            .reader()
            .filter(|reader| reader.info().instance == about.instance)?;
        let is_it = |meta: &FrameMeta| {
            (meta.number, meta.published) == (about.meta.number, about.meta.published)
        };
        let (_, seen) = reader
            .with_words(about.place, |meta, words| is_it(meta).then(|| look(words)))
            .ok()?;
        seen
    }
}
