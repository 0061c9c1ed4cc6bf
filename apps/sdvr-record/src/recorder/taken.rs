//! A frame that was taken out of the ring.

use sdvr::{Frame, Unread};
use sdvr_frame::{FrameNumber, InstanceId, StreamFormat, Timestamp};

use super::clock::Dates;
use crate::plain::PlainForm;

/// A frame, and what has to be known of it to record it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: FrameNumber,
    pub(super) instance: InstanceId,
    pub(super) format: StreamFormat,
    pub(super) captured: Timestamp,
    /// By the host's clock as it was set when the frame was taken.
    pub(super) dates: Dates,
    /// Whether one can begin with it.
    pub(super) is_key: bool,
    /// What is missing before it.
    pub(super) missing: Missing,
    pub(super) bytes: Vec<u8>,
    /// Of a decoded picture: what it is in a file.
    pub(super) plain: Option<PlainForm>,
    pub(super) published: Timestamp,
}

/// Frames that are missing before one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Captured, and never arrived at the daemon.
    pub(super) on_the_way: u64,
    /// Arrived, and not read in time: who records was too slow.
    pub(super) unread: u64,
    /// At the end of the run before, whatever the reason.
    pub(super) between_runs: u64,
}

impl Missing {
    /// As many more.
    pub(super) const fn add(&mut self, more: Self) {
        self.on_the_way = self.on_the_way.saturating_add(more.on_the_way);
        self.unread = self.unread.saturating_add(more.unread);
        self.between_runs = self.between_runs.saturating_add(more.between_runs);
    }
}

impl Taken {
    /// A frame that is in the ring still, without its bytes.
    pub(super) fn unread(unread: &Unread) -> Self {
        let frame = unread.about();
        let missed = (frame.missed(), frame.missed_between_runs());
        Self {
            is_key: frame.is_key() || !frame.format().fourcc.is_inter_coded(),
            ..Self::about(frame, missed)
        }
    }

    /// The picture of a frame, as bytes of a file. Frames were missed in its run and between runs.
    pub(super) fn of_picture(
        frame: &Frame,
        missed: (u64, u64),
        plain: PlainForm,
        bytes: Vec<u8>,
    ) -> Self {
        Self {
            plain: Some(plain),
            ..Self::about(frame, missed)
        }
        .with_bytes(bytes)
    }

    pub(super) fn with_bytes(self, bytes: Vec<u8>) -> Self {
        Self { bytes, ..self }
    }

    fn about(frame: &Frame, (missed, between_runs): (u64, u64)) -> Self {
        let on_the_way = frame.meta().missed.min(missed);
        Self {
            number: frame.number(),
            instance: frame.instance(),
            format: frame.format(),
            captured: frame.captured(),
            dates: Dates::of(frame.captured(), frame.captured_date()),
            is_key: true,
            missing: Missing {
                on_the_way,
                unread: missed.saturating_sub(on_the_way),
                between_runs,
            },
            bytes: Vec::new(),
            plain: None,
            published: frame.published(),
        }
    }

    /// Whether a file that holds this one may hold the other, as far as their run and format tell.
    pub(super) fn goes_on_with(&self, next: &Self) -> bool {
        (self.instance, self.format, &self.plain) == (next.instance, next.format, &next.plain)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::SystemTime;

    use sdvr_frame::{FourCc, FrameRate};

    use super::*;

    /// A frame that was captured so many seconds after the first.
    pub(in crate::recorder) fn taken(second: u64, is_key: bool, bytes: &[u8]) -> Taken {
        let captured = Timestamp::from_nanoseconds(i64::try_from(second).unwrap() * 1_000_000_000);
        Taken {
            number: FrameNumber(second),
            instance: InstanceId([1; 16]),
            format: StreamFormat {
                fourcc: FourCc::H264,
                width: 640,
                height: 480,
                rate: FrameRate::from_whole(1),
            },
            captured,
            dates: Dates::of(captured, SystemTime::UNIX_EPOCH),
            is_key,
            missing: Missing::default(),
            bytes: bytes.to_vec(),
            plain: None,
            published: captured,
        }
    }
}
