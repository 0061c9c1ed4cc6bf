//! One frame, copied out of shared memory.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use sdvr_frame::{FrameFlags, FrameNumber, InstanceId, StreamFormat, Timestamp};
use sdvr_ring::FrameMeta;

use crate::account::Missed;

/// A frame: its bytes, and what is known of it. The memory is used again when it is given back to [`crate::Camera::next_into`].
#[derive(Clone, Debug)]
pub struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) about: About,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` when it was handed out.
    pub(crate) realtime_offset_ns: i64,
}

/// All but the bytes.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// Where it is, by the ring's count.
    pub(crate) place: u64,
    pub(crate) meta: FrameMeta,
    pub(crate) format: StreamFormat,
    pub(crate) instance: InstanceId,
    pub(crate) missed: Missed,
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

    /// How many frames of the same run were captured between the one handed out before and this one: lost on the way or skipped
    /// here. What a run of the source that ended left unread is in [`Self::missed_between_runs`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        let numbers = &self.about.missed.numbers;
        numbers.end.saturating_sub(numbers.start)
    }

    /// The numbers of those frames. Empty for the first frame of a run of the source: nobody saw what was before.
    #[must_use]
    pub fn missed_numbers(&self) -> Range<u64> {
        self.about.missed.numbers.clone()
    }

    /// For the first frame of a run of the source: how many frames were not handed out since the last one that was, or since the camera was
    /// opened. 0 for every other frame.
    ///
    /// These are the frames at the end of the run before and, if this one was published a while ago, at the beginning of this one, that were
    /// overwritten or given up by the daemon before they were read, or that the policy did not want. At the end of the run they are
    /// counted by their numbers, so that those that were lost on the way before its last frame are among them; by the ring's count where
    /// no number can be read any more. What a client that was killed had not sent, and a run that came and went while nobody looked, are not known to
    /// anybody here.
    ///
    /// The sum of this and of [`Self::missed`] over all frames, and [`crate::Camera::missed_at_end`] where a program stops, is all that it missed.
    #[must_use]
    pub const fn missed_between_runs(&self) -> u64 {
        self.about.missed.between_runs
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

    /// When it was captured, as a date, by this host's clock as it was set when the frame was handed out. For people: a clock that
    /// is set makes the dates jump, and two dates tell less exactly than [`Self::captured`] how far apart frames are.
    #[must_use]
    pub fn captured_date(&self) -> SystemTime {
        let nanoseconds = self
            .about
            .meta
            .captured
            .as_nanoseconds()
            .saturating_add(self.realtime_offset_ns);
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

/// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` now: not what the ring says, since the clock may have been set after the ring was made. Two
/// readings without a system call.
pub(crate) fn realtime_offset_ns() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_nanos())
        .unwrap_or(i64::MAX)
        .saturating_sub(Timestamp::now().as_nanoseconds())
}
