//! Frame numbers out of a driver's sequence numbers: what the driver lost is a gap.
//!
//! Drivers differ. Most count every frame that the hardware captured, delivered or not. Some say 0 for ever, some count in ways of their own, and
//! some begin anew. A step forward is believed when the time that passed has room for so many frames; any other is taken for the next frame.
//! Room that earlier frames did not fill is kept for a while: when a busy host gets many frames at once, late and stamped so, what the
//! driver lost of them is seen, too.

use std::time::Duration;

use sdvr_frame::{FrameNumber, FrameRate, Timestamp};

/// Frames that a step may claim beyond what the passed time has room for: timestamps jitter.
const SPARE_FRAMES: u64 = 2;
/// Without a rate, the most frames a second that a step may claim.
const RATE_MOST: u64 = 240;
/// No host is held up for longer, and has had buffers for frames all the while.
const ROOM_MOST: Duration = Duration::from_secs(10);

/// Counts the frames of a device, over all of its streams.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// How many frames were captured up to now, lost ones included.
    captured: u64,
    last: Option<Last>,
    /// Hand out one of so many.
    every_nth: u64,
    /// The number handed out last.
    handed_out: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u32,
    captured: Timestamp,
    /// Time that no frame has filled yet.
    room: Duration,
}

impl Numbering {
    pub(crate) fn new(every_nth: u32) -> Self {
        Self {
            captured: 0,
            last: None,
            every_nth: every_nth.max(1).into(),
            handed_out: None,
        }
    }

    /// The device begins anew, and its sequence numbers with it.
    pub(crate) const fn restart(&mut self) {
        self.last = None;
    }

    /// Notes a frame that the driver gave, usable or not.
    pub(crate) fn note(&mut self, sequence: u32, captured: Timestamp, rate: FrameRate) {
        let (step, room) = match self.last {
            None => (1, Duration::ZERO),
            Some(last) => believed_step(last, sequence, captured, rate),
        };
        self.captured = self.captured.saturating_add(step);
        self.last = Some(Last {
            sequence,
            captured,
            room,
        });
    }

    /// The number of the frame noted last; `None` when it is one of those to leave out.
    pub(crate) fn take(&mut self) -> Option<FrameNumber> {
        let index = self.captured.saturating_sub(1);
        let number = index / self.every_nth;
        if self.handed_out == Some(number) {
            return None;
        }
        self.handed_out = Some(number);
        Some(FrameNumber(number))
    }
}

/// How many frames the driver went on by, and the time that is left for others.
fn believed_step(
    last: Last,
    sequence: u32,
    captured: Timestamp,
    rate: FrameRate,
) -> (u64, Duration) {
    let step = u64::from(sequence.wrapping_sub(last.sequence));
    let room = (last.room + captured.saturating_since(last.captured)).min(ROOM_MOST);
    let interval_ns = match rate.interval_ns() {
        Some(interval_ns) if interval_ns > 0 => interval_ns,
        _ => 1_000_000_000 / RATE_MOST,
    };
    let frames = u64::try_from(room.as_nanos()).unwrap_or(u64::MAX) / interval_ns;
    // In poor light cameras are slower than they say, in no light faster.
    let most = frames
        .saturating_add(frames / 4)
        .saturating_add(SPARE_FRAMES);
    let step = if (1..=most).contains(&step) { step } else { 1 };
    let filled = Duration::from_nanos(interval_ns.saturating_mul(step));
    (step, room.saturating_sub(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: FrameRate = FrameRate::from_whole(30);

    /// The numbers of frames that come with these sequence numbers, so many intervals after the one before.
    fn numbers(every_nth: u32, frames: &[(u32, u32)]) -> Vec<Option<u64>> {
        let mut numbering = Numbering::new(every_nth);
        let mut now = Timestamp::from_nanoseconds(1_000_000_000);
        let mut numbers = Vec::new();
        for (sequence, intervals) in frames {
            now = now + Duration::from_nanos(33_333_333) * *intervals;
            numbering.note(*sequence, now, RATE);
            numbers.push(numbering.take().map(|number| number.0));
        }
        numbers
    }

    fn all(frames: &[(u32, u32)]) -> Vec<u64> {
        numbers(1, frames).into_iter().flatten().collect()
    }

    #[test]
    fn gaps_of_the_driver_are_gaps_of_the_stream() {
        assert_eq!(all(&[(5, 1), (6, 1), (9, 3), (10, 1)]), [0, 1, 4, 5]);
        // Ten seconds in which nobody took frames.
        assert_eq!(all(&[(0, 1), (300, 300), (301, 1)]), [0, 300, 301]);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let near = u32::MAX - 1;
        assert_eq!(
            all(&[(near, 1), (near + 1, 1), (0, 1), (2, 2)]),
            [0, 1, 2, 4]
        );
    }

    #[test]
    fn constant_sequence_numbers_are_not_believed() {
        assert_eq!(all(&[(0, 1), (0, 1), (0, 1)]), [0, 1, 2]);
        assert_eq!(all(&[(7, 1), (7, 5), (7, 1)]), [0, 1, 2]);
    }

    #[test]
    fn steps_without_the_time_for_them_are_not_believed() {
        assert_eq!(all(&[(9, 1), (3, 1), (4, 1)]), [0, 1, 2]);
        assert_eq!(all(&[(1, 1), (1_000_000, 1), (1_000_001, 1)]), [0, 1, 2]);
    }

    #[test]
    fn what_the_driver_lost_is_seen_although_frames_come_late_and_at_once() {
        // Ten intervals late; five frames fill some of the room, the five lost ones the rest.
        assert_eq!(
            all(&[(0, 1), (1, 10), (2, 0), (3, 0), (4, 0), (10, 0), (11, 1)]),
            [0, 1, 2, 3, 4, 10, 11]
        );
        // Then there is none left.
        assert_eq!(all(&[(0, 1), (10, 10), (20, 0)]), [0, 10, 11]);
    }

    #[test]
    fn room_is_not_kept_for_ever() {
        // A camera that took 100 s for each of some frames does not have thousands to claim.
        assert_eq!(
            all(&[(0, 1), (1, 3000), (2, 3000), (1002, 1)]),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn a_device_that_begins_anew_goes_on_with_the_numbers() {
        let mut numbering = Numbering::new(1);
        let at = Timestamp::from_nanoseconds;
        numbering.note(50, at(0), RATE);
        assert_eq!(numbering.take(), Some(FrameNumber(0)));
        numbering.restart();
        numbering.note(0, at(5_000_000_000), RATE);
        assert_eq!(numbering.take(), Some(FrameNumber(1)));
    }

    #[test]
    fn a_frame_that_is_not_taken_is_a_gap() {
        let mut numbering = Numbering::new(1);
        let at = Timestamp::from_nanoseconds;
        numbering.note(0, at(0), RATE);
        numbering.note(1, at(33_000_000), RATE);
        assert_eq!(numbering.take(), Some(FrameNumber(1)));
    }

    #[test]
    fn every_nth_frame_is_numbered_without_gaps() {
        let frames: Vec<_> = (0..9).map(|sequence| (sequence, 1)).collect();
        let some = Some;
        assert_eq!(
            numbers(3, &frames),
            [
                some(0),
                None,
                None,
                some(1),
                None,
                None,
                some(2),
                None,
                None
            ]
        );
        // The first of three is lost: the next stands for them. All three are lost: a gap.
        assert_eq!(
            numbers(3, &[(0, 1), (4, 4), (5, 1), (9, 4)]),
            [some(0), some(1), None, some(3)]
        );
    }
}
