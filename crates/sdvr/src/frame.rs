//! One frame, copied out of shared memory.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use sdvr_frame::{FrameFlags, FrameNumber, InstanceId, StreamFormat, Timestamp};
use sdvr_ring::FrameMeta;

/// A frame: its bytes, and what is known of it. The memory is used again when it is given back to [`crate::Camera::next_into`].
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) about: About,
}

/// All but the bytes.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) meta: FrameMeta,
    pub(crate) format: StreamFormat,
    pub(crate) instance: InstanceId,
    pub(crate) missed: Range<u64>,
    pub(crate) realtime_offset_ns: i64,
}

impl Frame {
    /// The bytes, in the format of [`Self::format`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The number its source gave it: one more for every frame captured.
    #[must_use]
    pub const fn number(&self) -> FrameNumber {
        self.about.meta.number
    }

    /// What the bytes are.
    #[must_use]
    pub const fn format(&self) -> StreamFormat {
        self.about.format
    }

    /// Facts about it, such as whether decoding can begin here.
    #[must_use]
    pub const fn flags(&self) -> FrameFlags {
        self.about.meta.flags
    }

    /// Whether decoding can begin here.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.about.meta.flags.contains(FrameFlags::KEY)
    }

    /// How many frames were captured between the one handed out before and this one: lost on the way or skipped here.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.about
            .missed
            .end
            .saturating_sub(self.about.missed.start)
    }

    /// The numbers of those frames. Empty for the first frame of a run of the source: nobody saw what was before.
    #[must_use]
    pub fn missed_numbers(&self) -> Range<u64> {
        self.about.missed.clone()
    }

    /// Which run of the source it is from; numbers of different runs do not belong together.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        self.about.instance
    }

    /// When it was captured, on this host's `CLOCK_BOOTTIME`.
    #[must_use]
    pub const fn captured(&self) -> Timestamp {
        self.about.meta.captured
    }

    /// By how much [`Self::captured`] may be wrong; `None` when the camera's clock is not known yet.
    #[must_use]
    pub fn clock_error(&self) -> Option<Duration> {
        self.about
            .meta
            .clock_error_ns
            .map(|error| Duration::from_nanos(error.into()))
    }

    /// When it was captured, as a date. For people: the date jumps when the clock is set, [`Self::captured`] does not.
    #[must_use]
    pub fn captured_date(&self) -> SystemTime {
        let nanoseconds = self
            .about
            .meta
            .captured
            .as_nanoseconds()
            .saturating_add(self.about.realtime_offset_ns);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
    }

    /// When its last byte had arrived at the daemon.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.about.meta.received
    }

    /// When programs could read it.
    #[must_use]
    pub const fn published(&self) -> Timestamp {
        self.about.meta.published
    }

    /// How long ago it was captured.
    #[must_use]
    pub fn age(&self) -> Duration {
        Timestamp::now().saturating_since(self.about.meta.captured)
    }

    /// All times and figures as the daemon wrote them.
    #[must_use]
    pub const fn meta(&self) -> &FrameMeta {
        &self.about.meta
    }
}
