//! A file of one camera, and where it ends.

use std::time::Duration;

use sdvr_frame::InstanceId;

use crate::index::SegmentId;
use crate::recorder::clock::Dates;
use crate::recorder::taken::Taken;
use crate::sample::Sample;
use crate::segment::SegmentWriter;

/// A file that is being written.
pub(super) struct Recording {
    pub(super) writer: SegmentWriter,
    pub(super) id: SegmentId,
    pub(super) dates: Dates,
    pub(super) instance: InstanceId,
}

/// Why a file ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It cannot hold the next frame.
    Fit,
    /// It is long enough.
    Length,
    /// The host's clock was set.
    Clock,
}

impl Recording {
    /// Whether the file ends before this frame, and why.
    pub(super) fn ends_before(&self, frame: &Taken, length: Duration) -> Option<Cut> {
        let captured = self.dates.date(frame.captured);
        let sample = Sample {
            captured,
            is_key: frame.is_key,
            bytes: &frame.bytes,
        };
        if self.instance != frame.instance
            || !self
                .writer
                .fits(&frame.format, &sample, frame.plain.as_ref())
        {
            return Some(Cut::Fit);
        }
        if !frame.is_key {
            return None;
        }
        if self.dates.step_to(frame.dates).is_some() {
            return Some(Cut::Clock);
        }
        let lasted_ns = captured.0.saturating_sub(self.writer.begins().0);
        let is_long = u128::try_from(lasted_ns).is_ok_and(|lasted| lasted >= length.as_nanos());
        is_long.then_some(Cut::Length)
    }
}
