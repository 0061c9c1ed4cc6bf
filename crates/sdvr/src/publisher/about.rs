//! What a program says of a frame that it publishes.

use sdvr_frame::{FrameFlags, FrameNumber, InstanceId, Timestamp};

use crate::frame::Frame;

/// What is said of a frame besides its bytes.
///
/// Of a frame that was made of another one it is [`Self::from`] that one; else it is [`Self::now`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When what is in it was captured, on this host's clock: of a frame that was made of another, that one's. Ages stay true so.
    pub captured: Timestamp,
    /// The same on the source's clock.
    pub captured_at_source: Timestamp,
    /// By how much `captured` may be wrong, nanoseconds; `None` when nothing is known.
    pub clock_error_ns: Option<u32>,
    /// Its number, which is greater than those before in the same run; with `source_run` the next one is taken if it is not. `None`: one more than the last
    /// one's, from 0 on.
    pub number: Option<FrameNumber>,
    /// Facts about it. `None`: a key frame, but of H.264 and H.265, whose key frames have to be said.
    pub flags: Option<FrameFlags>,
    /// The run of the source that it was made of. Another one than before begins a new run of this stream, so that numbers may begin anew.
    pub source_run: Option<InstanceId>,
}

impl Published {
    /// What is captured, or thought of, now and made of nothing else.
    #[must_use]
    pub fn now() -> Self {
        Self::at(Timestamp::now())
    }

    /// What belongs to a moment of this host's clock.
    #[must_use]
    pub const fn at(captured: Timestamp) -> Self {
        Self {
            captured,
            captured_at_source: captured,
            clock_error_ns: Some(0),
            number: None,
            flags: None,
            source_run: None,
        }
    }
}

impl Default for Published {
    fn default() -> Self {
        Self::now()
    }
}

impl From<&Frame> for Published {
    /// As the frame of which it was made, but for the flags: what is made of a frame may be coded in another way.
    fn from(frame: &Frame) -> Self {
        let meta = frame.meta();
        Self {
            captured: meta.captured,
            captured_at_source: meta.captured_at_source,
            clock_error_ns: meta.clock_error_ns,
            number: Some(meta.number),
            flags: None,
            source_run: Some(frame.instance()),
        }
    }
}
