//! The frames that were sent and may be asked for again, and what is sent next.
//!
//! Requests come twice and again, so each fragment is answered once a round trip; in two copies when an answer was lost before, or no more than
//! two rounds are left before it would be too late. What is sent again is at most half of what is sent: a link that loses more is not helped by more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sdvr_frame::Timestamp;

use super::FragmentRequest;
use super::parity::{Parity, ParityPlace};
use super::partial::FrameFacts;

/// What may be sent again at once after a time without losses, in bytes: a frame of a usual size.
const CREDIT_MOST_BYTES: u64 = 512 * 1024;
/// Frames that are kept, at most.
const KEPT_MOST: usize = 256;

/// A fragment to be sent, or parity.
#[derive(Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) facts: FrameFacts,
    /// By how much the frame's number is above that of the frame sent before it; 0 if there was none, or too long ago.
    pub(crate) since: u16,
    pub(crate) part: Part,
    pub(crate) bytes: &'a [u8],
}

/// Which part of a frame a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The frame's own, by its number.
    Own(u32),
    Parity(ParityPlace),
}

impl Fragment<'_> {
    /// Where it is in the frame; which parity it is.
    pub(crate) fn offset(&self) -> u32 {
        match self.part {
            Part::Own(number) => number.saturating_mul(self.facts.fragment_bytes.into()),
            Part::Parity(place) => place.to_offset(),
        }
    }
}

/// The frames of one stream at its sender.
#[derive(Debug)]
pub(crate) struct SentFrames {
    /// The oldest first.
    frames: VecDeque<SentFrame>,
    /// Where the first sending is.
    next: Option<Next>,
    /// To be sent again, the most urgent first.
    again: VecDeque<(u64, u32)>,
    kept_bytes: usize,
    kept_most_bytes: usize,
    /// What may be sent again.
    credit_bytes: u64,
    /// How long after it was sent a frame may be asked for.
    latency: Duration,
}

#[derive(Debug)]
struct SentFrame {
    facts: FrameFacts,
    since: u16,
    bytes: Vec<u8>,
    sent: Timestamp,
    /// When each fragment was sent again last.
    answered: BTreeMap<u32, Timestamp>,
}

#[derive(Debug)]
struct Next {
    number: u64,
    /// Fragments first, then parity.
    part: u32,
    /// How many there are.
    parts: u32,
    /// Sent once, and not asked for.
    parity: Option<Parity>,
}

impl SentFrames {
    pub(crate) fn new(latency: Duration, kept_most_bytes: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            next: None,
            again: VecDeque::new(),
            kept_bytes: 0,
            kept_most_bytes,
            credit_bytes: CREDIT_MOST_BYTES,
            latency,
        }
    }

    /// Whether the frame that was pushed last still goes out for the first time: no other may be pushed before.
    pub(crate) fn is_sending(&self) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| next.part < next.parts)
    }

    /// Takes a frame to be sent.
    pub(crate) fn push(
        &mut self,
        now: Timestamp,
        facts: FrameFacts,
        bytes: Vec<u8>,
        parity: Option<Parity>,
    ) {
        debug_assert!(!self.is_sending(), "one frame at a time is sent");
        let since = self.frames.back().map_or(0, |last| {
            let step = facts.number.0.saturating_sub(last.facts.number.0);
            u16::try_from(step).unwrap_or(0)
        });
        self.kept_bytes = self.kept_bytes.saturating_add(bytes.len());
        self.frames.push_back(SentFrame {
            facts,
            since,
            bytes,
            sent: now,
            answered: BTreeMap::new(),
        });
        let parities = parity.as_ref().map_or(0, Parity::count);
        self.next = Some(Next {
            number: facts.number.0,
            part: 0,
            parts: facts.fragments().saturating_add(parities),
            parity,
        });
        self.forget(now);
    }

    /// Forgets what would come too late. The last frame is kept: the next one says how far it is behind.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        while self.frames.len() > 1
            && let Some(oldest) = self.frames.front()
            && (now > oldest.sent + self.latency
                || self.kept_bytes > self.kept_most_bytes
                || self.frames.len() > KEPT_MOST)
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(oldest.bytes.len());
            self.frames.pop_front();
        }
    }

    /// The other end asks for fragments.
    pub(crate) fn handle_request(
        &mut self,
        now: Timestamp,
        request: &FragmentRequest,
        round_trip: Duration,
    ) {
        let latency = self.latency;
        let place = self.find(request.number.0);
        let Some(frame) = place.and_then(|place| self.frames.get_mut(place)) else {
            return;
        };
        let number = frame.facts.number.0;
        let end = request.fragments.end.min(frame.facts.fragments());
        let rest = (frame.sent + latency).saturating_since(now);
        let is_urgent = rest <= round_trip.saturating_mul(2);
        // A little less than a round trip: the second copy of a request comes 2 ms after the first, the next round one later.
        let apart = round_trip
            .saturating_mul(3)
            .checked_div(4)
            .unwrap_or_default();
        let mut wanted = Vec::new();
        let mut copies = Vec::new();
        for fragment in request.fragments.start..end {
            let answered = frame.answered.get(&fragment);
            if answered.is_some_and(|answered| now < *answered + apart) {
                continue;
            }
            // An answer was lost, too: few of them are, and each one more costs the frame a round trip.
            if is_urgent || answered.is_some() {
                copies.push((number, fragment));
            }
            frame.answered.insert(fragment, now);
            wanted.push((number, fragment));
        }
        // Behind all others, as losses come in a row.
        wanted.append(&mut copies);
        self.again.extend(wanted);
    }

    /// The next fragment to send: what was asked for, then what has not been sent yet.
    #[cfg(test)]
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<Fragment<'_>> {
        if self.has_again(now) {
            self.poll_again(now)
        } else {
            self.poll_first()
        }
    }

    /// Whether [`Self::poll_again`] has a fragment. What would come too late, or is more than may be sent again, is forgotten.
    pub(crate) fn has_again(&mut self, now: Timestamp) -> bool {
        while let Some((number, fragment)) = self.again.front().copied() {
            let frame = self.find(number).and_then(|place| self.frames.get(place));
            let in_time = frame.filter(|frame| now <= frame.sent + self.latency);
            let Some(frame) = in_time else {
                self.again.pop_front();
                continue;
            };
            if frame.own(fragment).bytes.len() as u64 <= self.credit_bytes {
                return true;
            }
            // More is lost than may be sent again: the frames are given up, and not one after the other too late.
            self.again.clear();
        }
        false
    }

    /// The next fragment that was asked for.
    pub(crate) fn poll_again(&mut self, now: Timestamp) -> Option<Fragment<'_>> {
        if !self.has_again(now) {
            return None;
        }
        let (number, fragment) = self.again.pop_front()?;
        let place = self.find(number)?;
        let fragment = self.frames.get(place)?.own(fragment);
        let cost = fragment.bytes.len() as u64;
        self.credit_bytes = self.credit_bytes.saturating_sub(cost);
        Some(fragment)
    }

    /// The next fragment or parity that was not sent yet.
    pub(crate) fn poll_first(&mut self) -> Option<Fragment<'_>> {
        if !self.is_sending() {
            return None;
        }
        let next = self.next.as_mut()?;
        let place = find(&self.frames, next.number)?;
        let frame = self.frames.get(place)?;
        let part = next.part;
        next.part = part.saturating_add(1);
        if let Some(number) = part.checked_sub(frame.facts.fragments()) {
            let parity = next.parity.as_ref()?;
            return Some(frame.parity(parity, number));
        }
        let fragment = frame.own(part);
        let earned = fragment.bytes.len() as u64 / 2;
        self.credit_bytes = self
            .credit_bytes
            .saturating_add(earned)
            .min(CREDIT_MOST_BYTES);
        Some(fragment)
    }

    fn find(&self, number: u64) -> Option<usize> {
        find(&self.frames, number)
    }
}

/// Where a frame is.
fn find(frames: &VecDeque<SentFrame>, number: u64) -> Option<usize> {
    frames
        .binary_search_by_key(&number, |frame| frame.facts.number.0)
        .ok()
}

impl SentFrame {
    /// One of the frame's fragments.
    fn own(&self, number: u32) -> Fragment<'_> {
        let fragment_bytes = usize::from(self.facts.fragment_bytes);
        let begin = (number as usize).saturating_mul(fragment_bytes);
        let rest = self.bytes.get(begin..).unwrap_or_default();
        self.part(
            Part::Own(number),
            rest.get(..fragment_bytes).unwrap_or(rest),
        )
    }

    fn parity<'a>(&self, parity: &'a Parity, number: u32) -> Fragment<'a> {
        let rows = parity.rows;
        let place = ParityPlace { number, rows };
        self.part(Part::Parity(place), parity.bytes(number))
    }

    const fn part<'a>(&self, part: Part, bytes: &'a [u8]) -> Fragment<'a> {
        Fragment {
            facts: self.facts,
            since: self.since,
            part,
            bytes,
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "what is sent here is little"
)]
mod tests {
    use sdvr_frame::{FrameFlags, FrameNumber, StreamId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const LATENCY: Duration = Duration::from_millis(120);
    const ROUND_TRIP: Duration = Duration::from_millis(20);

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    fn facts(number: u64, frame_bytes: u32) -> FrameFacts {
        FrameFacts {
            stream: StreamId(0),
            number: FrameNumber(number),
            frame_bytes,
            fragment_bytes: 1000,
            captured: NOW,
            flags: FrameFlags::NONE,
        }
    }

    /// A fragment that has left.
    struct Left {
        part: Part,
        offset: u32,
        since: u16,
        bytes: Vec<u8>,
    }

    fn push(frames: &mut SentFrames, now: Timestamp, number: u64, bytes: u32) -> Vec<Left> {
        push_with_parity(frames, now, facts(number, bytes), 0)
    }

    fn push_with_parity(
        frames: &mut SentFrames,
        now: Timestamp,
        facts: FrameFacts,
        percent: u8,
    ) -> Vec<Left> {
        let content: Vec<u8> = (0..facts.frame_bytes)
            .map(|byte| (byte / 1000) as u8)
            .collect();
        let parity = Parity::of(&facts, &content, percent);
        frames.push(now, facts, content, parity);
        sent(frames, now)
    }

    fn sent(frames: &mut SentFrames, now: Timestamp) -> Vec<Left> {
        std::iter::from_fn(|| {
            let fragment = frames.poll(now)?;
            Some(Left {
                part: fragment.part,
                offset: fragment.offset(),
                since: fragment.since,
                bytes: fragment.bytes.to_vec(),
            })
        })
        .collect()
    }

    fn ask(
        frames: &mut SentFrames,
        now: Timestamp,
        number: u64,
        fragments: std::ops::Range<u32>,
    ) -> Vec<u32> {
        let request = FragmentRequest {
            number: FrameNumber(number),
            fragments,
        };
        frames.handle_request(now, &request, ROUND_TRIP);
        let again = sent(frames, now);
        let number = |fragment: &Left| match fragment.part {
            Part::Own(number) => number,
            Part::Parity(place) => panic!("{place:?} is sent again"),
        };
        again.iter().map(number).collect()
    }

    fn frames() -> SentFrames {
        SentFrames::new(LATENCY, 1 << 20)
    }

    #[test]
    fn a_frame_goes_out_in_its_fragments() {
        let mut frames = frames();
        let first = push(&mut frames, NOW, 7, 2500);
        let facts: Vec<(u32, usize, u16)> = first
            .iter()
            .map(|fragment| (fragment.offset, fragment.bytes.len(), fragment.since))
            .collect();
        assert_eq!(facts, [(0, 1000, 0), (1000, 1000, 0), (2000, 500, 0)]);
        assert_eq!(first[2].bytes, [2; 500]);
        assert!(!frames.is_sending());
        let next = push(&mut frames, NOW, 12, 1);
        assert_eq!((next.len(), next[0].since), (1, 5));
        assert_eq!(push(&mut frames, NOW, 100_000, 1)[0].since, 0);
    }

    #[test]
    fn parity_follows_the_fragments_and_is_not_sent_again() {
        let mut frames = frames();
        let left = push_with_parity(&mut frames, NOW, facts(7, 9500), 20);
        let parts: Vec<Part> = left.iter().map(|fragment| fragment.part).collect();
        let mut expected: Vec<Part> = (0..10).map(Part::Own).collect();
        expected.extend((0..2).map(|number| Part::Parity(ParityPlace { number, rows: 2 })));
        assert_eq!(parts, expected);
        // Row 0 is the sum of all.
        let sum = (0..10).fold(0, |sum, byte| sum ^ byte);
        assert_eq!((left[10].bytes[0], left[10].bytes.len()), (sum, 1000));
        assert!(!frames.is_sending());
        let asked = ask(&mut frames, after(10), 7, 0..u32::MAX);
        assert_eq!(asked, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_fragment_is_sent_again_once_a_round_trip() {
        let mut frames = frames();
        push(&mut frames, NOW, 0, 5000);
        assert_eq!(ask(&mut frames, after(10), 0, 1..3), [1, 2]);
        assert_eq!(ask(&mut frames, after(12), 0, 1..4), [3]);
        assert_eq!(ask(&mut frames, after(34), 0, 1..2), [1, 1]);
        assert_eq!(ask(&mut frames, after(34), 0, 4..u32::MAX), [4]);
        assert!(
            ask(&mut frames, after(34), 1, 0..1).is_empty(),
            "of no frame"
        );
    }

    #[test]
    fn and_twice_when_the_answer_was_lost() {
        let mut frames = frames();
        push(&mut frames, NOW, 0, 5000);
        assert_eq!(ask(&mut frames, after(10), 0, 1..4), [1, 2, 3]);
        // The copies are not next to each other, where they would be lost together.
        assert_eq!(ask(&mut frames, after(34), 0, 0..3), [0, 1, 2, 1, 2]);
    }

    #[test]
    fn and_twice_when_there_is_little_time_left() {
        let mut frames = frames();
        push(&mut frames, NOW, 0, 5000);
        assert_eq!(ask(&mut frames, after(79), 0, 0..1), [0]);
        assert_eq!(ask(&mut frames, after(80), 0, 1..2), [1, 1]);
        assert!(ask(&mut frames, after(121), 0, 2..3).is_empty(), "too late");
    }

    #[test]
    fn no_more_than_half_of_what_is_sent_is_sent_again() {
        let mut frames = frames();
        let (mut first, mut again) = (0, 0);
        for number in 0..200 {
            let now = after(33 * number);
            first += push(&mut frames, now, number, 100_000).len();
            again += ask(&mut frames, now, number, 0..100).len();
        }
        let most = first / 2 + CREDIT_MOST_BYTES as usize / 1000;
        assert!(again <= most, "{again} of {first}");
        assert!(again > first / 3, "{again} of {first}");
    }

    #[test]
    fn what_would_come_too_late_is_not_kept() {
        let mut frames = frames();
        for number in 0..100 {
            push(&mut frames, after(10 * number), number, 5000);
            assert!(frames.frames.len() <= 14, "{}", frames.frames.len());
        }
        let mut small = SentFrames::new(LATENCY, 20_000);
        for number in 0..100 {
            push(&mut small, NOW, number, 5000);
            assert!(small.kept_bytes <= 20_000);
        }
        // What alone is larger than may be kept is sent all the same.
        assert_eq!(push(&mut small, NOW, 100, 50_000).len(), 50);
    }
}
