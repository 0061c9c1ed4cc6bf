//! When frames are shown that are decoded in another order (ISO/IEC 14496-12, 8.8.8: composition times).
//!
//! A camera's times are those at which frames came out of its encoder, and go up. With B frames they come in another order than they are shown in: then the first that is
//! shown has the first time, the second the second, so that each time is that of one picture and gaps stay where they were.
//!
//! ```text
//! decoded  I0  P3  B1  B2  P6  B4  B5      times   0  40  80 120 160 200 240
//! shown    I0  B1  B2  P3  B4  B5  P6      I0 0, P3 120, B1 40, B2 80, P6 240, B4 160, B5 200
//! ```

use std::collections::VecDeque;

use sdvr_frame::annex_b::units;
use sdvr_frame::picture_order::Place;
use sdvr_frame::{FourCc, h264, h265};

use super::codec::{Codec, of_kind};
use super::nal::Set;

/// No stream may keep back more pictures than that (H.264, A.3.1; H.265, A.4.2).
const WAITING_MOST: usize = 16;
/// A frame is shown when so many have come after it, whatever they say: one whose count is wrong would hold up all others.
const LATE_MOST: u64 = 2 * WAITING_MOST as u64;

/// Tells when frames are shown.
#[derive(Debug)]
pub(super) struct Order {
    counting: Counting,
    /// How many frames wait until others that come later were shown: as the stream says, and as was seen.
    depth: usize,
    /// Frames of which it is not settled when they are shown, by their numbers.
    waiting: Vec<(Place, u64)>,
    /// Times at which none is shown yet, which are no fewer.
    times: VecDeque<u64>,
    /// The places of the last frames that came.
    came: VecDeque<Place>,
    count: u64,
}

/// A frame, by its number, and when it is shown.
pub(super) type Shown = (u64, u64);

/// How frames tell their places.
#[derive(Debug)]
enum Counting {
    /// They are shown as they come.
    AsSent,
    H264(h264::SequenceParameters, h264::PictureOrder),
    H265 {
        sequence: h265::SequenceParameters,
        pictures: Vec<h265::PictureParameters>,
        order: h265::PictureOrder,
    },
}

impl Order {
    /// Of a stream with these parameter sets.
    pub(super) fn of(codec: &Codec) -> Self {
        let (counting, depth) = Counting::of(codec);
        Self {
            counting,
            depth: usize::try_from(depth)
                .unwrap_or(usize::MAX)
                .min(WAITING_MOST),
            waiting: Vec::new(),
            times: VecDeque::new(),
            came: VecDeque::new(),
            count: 0,
        }
    }

    /// Whether nothing is known of frames that wait for others.
    pub(super) const fn is_as_sent(&self) -> bool {
        self.depth == 0
    }

    /// Takes the next frame, as the camera sent it, and gives those of which it is settled now when they are shown.
    pub(super) fn push(&mut self, frame: &[u8], time: u64) -> Vec<Shown> {
        // One that does not tell is taken as sent.
        let place = self.counting.place(frame);
        let last = self.came.iter().max().copied().unwrap_or_default();
        self.push_at(place.unwrap_or(last), time)
    }

    fn push_at(&mut self, place: Place, time: u64) -> Vec<Shown> {
        // Those that it overtakes waited for it, or should have.
        let overtaken = self.came.iter().filter(|before| **before > place).count();
        self.depth = self.depth.max(overtaken);
        if self.came.len() == WAITING_MOST {
            self.came.pop_front();
        }
        self.came.push_back(place);
        // Nothing reaches back beyond the beginning of a sequence.
        let begins = self
            .waiting
            .first()
            .is_some_and(|(waiting, _)| waiting.sequence < place.sequence);
        let mut shown = if begins {
            self.settle_all()
        } else {
            Vec::new()
        };
        self.waiting.push((place, self.count));
        self.times.push_back(time);
        self.count = self.count.saturating_add(1);
        while self.waiting.len() > self.depth {
            shown.extend(self.settle_first());
        }
        let is_late = |(_, number): &(Place, u64)| number.saturating_add(LATE_MOST) < self.count;
        if let Some(at) = self.waiting.iter().position(is_late) {
            shown.extend(self.settle(at));
        }
        shown
    }

    /// What waits is shown before all that comes.
    pub(super) fn settle_all(&mut self) -> Vec<Shown> {
        std::iter::from_fn(|| self.settle_first()).collect()
    }

    fn settle_first(&mut self) -> Option<Shown> {
        let places = self.waiting.iter().enumerate();
        // The first of equal ones came first.
        let (at, _) = places.min_by_key(|(_, waiting)| **waiting)?;
        self.settle(at)
    }

    fn settle(&mut self, at: usize) -> Option<Shown> {
        let (_, number) = self.waiting.remove(at);
        Some((number, self.times.pop_front()?))
    }
}

impl Counting {
    /// And how many frames wait, where the stream says so.
    fn of(codec: &Codec) -> (Self, u32) {
        let Codec::Nal { fourcc, sets } = codec else {
            // Each temporal unit of AV1 shows one picture.
            return (Self::AsSent, 0);
        };
        let counting = match *fourcc {
            FourCc::H264 => Self::h264(sets),
            _ => Self::h265(sets),
        };
        counting.unwrap_or((Self::AsSent, 0))
    }

    fn h264(sets: &[Vec<u8>]) -> Option<(Self, u32)> {
        let mut sequences = of_kind(FourCc::H264, sets, Set::Sequence);
        let sequence = h264::SequenceParameters::parse(sequences.next()?)?;
        if sequences.next().is_some() {
            // Which of them a slice is of is not looked for: cameras have one.
            return None;
        }
        matches!(sequence.order, h264::OrderCount::Low { .. }).then(|| {
            let depth = sequence.reordered.unwrap_or(0);
            (Self::H264(sequence, h264::PictureOrder::default()), depth)
        })
    }

    fn h265(sets: &[Vec<u8>]) -> Option<(Self, u32)> {
        let mut sequences = of_kind(FourCc::HEVC, sets, Set::Sequence);
        let sequence = h265::SequenceParameters::parse(sequences.next()?)?;
        if sequences.next().is_some() {
            return None;
        }
        let depth = sequence.order?.reordered;
        let pictures = of_kind(FourCc::HEVC, sets, Set::Picture)
            .filter_map(|set| h265::PictureParameters::parse(set))
            .collect();
        let order = h265::PictureOrder::default();
        let counting = Self::H265 {
            sequence,
            pictures,
            order,
        };
        Some((counting, depth))
    }

    fn place(&mut self, frame: &[u8]) -> Option<Place> {
        match self {
            Self::AsSent => None,
            Self::H264(sequence, order) => {
                let slice = units(frame).find(|unit| is_h264_slice(unit))?;
                order.place(slice, sequence)
            }
            Self::H265 {
                sequence,
                pictures,
                order,
            } => {
                let is_slice = |unit: &&[u8]| h265::unit_type(unit).is_some_and(|kind| kind < 32);
                let slice = units(frame).find(is_slice)?;
                order.place(slice, sequence, pictures)
            }
        }
    }
}

fn is_h264_slice(unit: &[u8]) -> bool {
    matches!(unit.first().map(|byte| byte & 31), Some(1..=5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(depth: usize) -> Order {
        Order {
            depth,
            ..Order::of(&Codec::Av1 {
                sequence: Vec::new(),
            })
        }
    }

    /// Gives frames with these places, and then settles what waits: when each is shown, in the order of their numbers.
    fn shown(order: &mut Order, places: &[(u64, i64)]) -> Vec<u64> {
        let mut shown = Vec::new();
        for (number, &(sequence, count)) in places.iter().enumerate() {
            shown.extend(order.push_at(Place { sequence, count }, number as u64 * 40));
        }
        shown.extend(order.settle_all());
        shown.sort_unstable();
        assert!(
            shown
                .iter()
                .map(|(number, _)| *number)
                .eq(0..places.len() as u64)
        );
        shown.into_iter().map(|(_, time)| time).collect()
    }

    #[test]
    fn each_time_is_that_of_one_picture() {
        let places = [(1, 0), (1, 6), (1, 2), (1, 4), (1, 12), (1, 8), (1, 10)];
        assert_eq!(
            shown(&mut order(1), &places),
            [0, 120, 40, 80, 240, 160, 200]
        );
        // Pyramids, with more waiting than needed.
        let pyramid = [(1, 0), (1, 8), (1, 4), (1, 2), (1, 6), (2, 0), (2, 2)];
        for depth in [2, 3, 16] {
            assert_eq!(
                shown(&mut order(depth), &pyramid),
                [0, 160, 80, 40, 120, 200, 240]
            );
        }
    }

    #[test]
    fn a_frame_with_a_wrong_count_holds_up_others_for_a_while_only() {
        let (mut order, mut held_up) = (order(1), 0);
        for number in 0..100 {
            let count = if number == 3 { 1_000_000 } else { number };
            let place = Place { sequence: 1, count };
            let shown = order.push_at(place, number.unsigned_abs());
            if shown.iter().any(|(number, _)| *number == 3) {
                held_up = number - 3;
            }
        }
        assert_eq!(held_up, 32);
        assert!(order.waiting.len() <= WAITING_MOST && order.times.len() <= WAITING_MOST);
    }

    #[test]
    fn what_is_not_known_of_is_made_up_for() {
        let places = [(1, 0), (1, 6), (1, 2), (1, 4), (1, 12), (1, 8), (1, 10)];
        // The first that overtakes comes too late for one time.
        let mut order = order(0);
        assert_eq!(shown(&mut order, &places), [0, 40, 80, 120, 240, 160, 200]);
        assert_eq!(order.depth, 1);
    }

    #[test]
    fn frames_that_say_nothing_are_shown_as_they_come() {
        let mut order = order(3);
        assert_eq!(shown(&mut order, &[(0, 0); 5]), [0, 40, 80, 120, 160]);
        let mut order = Order::of(&Codec::Av1 {
            sequence: Vec::new(),
        });
        assert_eq!(order.push(b"anything", 7), [(0, 7)]);
    }
}
