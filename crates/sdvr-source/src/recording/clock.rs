//! When frames of a recording are handed out.

use sdvr_frame::Timestamp;

use crate::pace::{Pace, STALL_NS};

/// What says when a frame is handed out.
#[derive(Debug)]
pub(super) enum Clock {
    /// The user: at so many frames a second.
    Paced(Pace),
    /// The user: as fast as they are taken.
    Unpaced,
    /// The file; and when its first frame was handed out, once it was.
    Own(Option<Timestamp>),
}

impl Clock {
    /// If a frame is due that is this long after the first: its moment.
    pub(super) fn take(&mut self, now: Timestamp, due_ns: i64) -> Option<Timestamp> {
        let began = match self {
            Self::Paced(pace) => return pace.take(now, false).map(|(due, _)| due),
            Self::Unpaced => return Some(now),
            Self::Own(began) => began,
        };
        let since = began.get_or_insert(now.offset_by(due_ns.saturating_neg()));
        let due = since.offset_by(due_ns);
        if now < due {
            return None;
        }
        // After a stall it goes on from there, instead of catching up.
        let late_ns = u64::try_from(now.nanoseconds_since(due)).unwrap_or(0);
        if late_ns <= STALL_NS {
            return Some(due);
        }
        *since = since.offset_by(i64::try_from(late_ns).unwrap_or(i64::MAX));
        Some(now)
    }
}
