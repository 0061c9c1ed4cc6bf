//! The frames that were sent and may be asked for again, and what is sent next.
//!
//! Requests come twice and again, so each fragment is answered once a round trip; twice when no more than two rounds are left before it
//! would be too late. What is sent again is at most half of what is sent: a link that loses more is not helped by more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::Timestamp;

use super::FragmentRequest;
use super::partial::FrameFacts;

/// What may be sent again at once after a time without losses, in bytes: a frame of a usual size.
const CREDIT_MOST_BYTES: u64 = 512 * 1024;
/// Frames that are kept, at most.
const KEPT_MOST: usize = 256;

/// A fragment to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) facts: FrameFacts,
    /// By how much the frame's number is above that of the frame sent before it; 0 if there was none, or too long ago.
    pub(crate) since: u16,
    pub(crate) number: u32,
    /// All of its frame.
    frame: Arc<Vec<u8>>,
    pub(crate) is_again: bool,
}

impl Fragment {
    pub(crate) fn offset(&self) -> u32 {
        self.number.saturating_mul(self.facts.fragment_bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let begin = self.offset() as usize;
        let rest = self.frame.get(begin..).unwrap_or_default();
        rest.get(..self.facts.fragment_bytes.into()).unwrap_or(rest)
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
    bytes: Arc<Vec<u8>>,
    sent: Timestamp,
    /// When each fragment was sent again last.
    answered: BTreeMap<u32, Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    number: u64,
    fragment: u32,
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
    pub(crate) const fn is_sending(&self) -> bool {
        self.next.is_some()
    }

    /// Takes a frame to be sent.
    pub(crate) fn push(&mut self, now: Timestamp, facts: FrameFacts, bytes: Vec<u8>) {
        debug_assert!(!self.is_sending(), "one frame at a time is sent");
        let since = self.frames.back().map_or(0, |last| {
            let step = facts.number.0.saturating_sub(last.facts.number.0);
            u16::try_from(step).unwrap_or(0)
        });
        self.kept_bytes = self.kept_bytes.saturating_add(bytes.len());
        self.frames.push_back(SentFrame {
            facts,
            since,
            bytes: Arc::new(bytes),
            sent: now,
            answered: BTreeMap::new(),
        });
        self.next = Some(Next {
            number: facts.number.0,
            fragment: 0,
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
        let Some(frame) = self.find(request.number.0) else {
            return;
        };
        let number = frame.facts.number.0;
        let end = request.fragments.end.min(frame.facts.fragments());
        let rest = (frame.sent + latency).saturating_since(now);
        let copies = if rest <= round_trip.saturating_mul(2) {
            2
        } else {
            1
        };
        // A little less than a round trip: the second copy of a request comes 2 ms after the first, the next round one later.
        let apart = round_trip
            .saturating_mul(3)
            .checked_div(4)
            .unwrap_or_default();
        let mut wanted = Vec::new();
        for fragment in request.fragments.start..end {
            let is_answered = frame
                .answered
                .get(&fragment)
                .is_some_and(|answered| now < *answered + apart);
            if !is_answered {
                frame.answered.insert(fragment, now);
                wanted.extend(std::iter::repeat_n((number, fragment), copies));
            }
        }
        self.again.extend(wanted);
    }

    /// The next fragment to send: what was asked for, then what has not been sent yet.
    #[cfg(test)]
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<Fragment> {
        self.poll_again(now).or_else(|| self.poll_first())
    }

    /// The next fragment that was asked for.
    pub(crate) fn poll_again(&mut self, now: Timestamp) -> Option<Fragment> {
        while let Some((number, fragment)) = self.again.pop_front() {
            let latency = self.latency;
            let Some(frame) = self.find(number) else {
                continue;
            };
            if now > frame.sent + latency {
                continue;
            }
            let fragment = frame.fragment(fragment, true);
            let bytes = fragment.bytes().len() as u64;
            let Some(credit) = self.credit_bytes.checked_sub(bytes) else {
                // More is lost than may be sent again: the frames are given up, and not one after the other too late.
                self.again.clear();
                return None;
            };
            self.credit_bytes = credit;
            return Some(fragment);
        }
        None
    }

    /// The next fragment that was not sent yet.
    pub(crate) fn poll_first(&mut self) -> Option<Fragment> {
        let next = self.next?;
        let frame = self.find(next.number)?;
        let fragment = frame.fragment(next.fragment, false);
        let is_last = next.fragment.saturating_add(1) >= frame.facts.fragments();
        self.next = (!is_last).then_some(Next {
            fragment: next.fragment.saturating_add(1),
            ..next
        });
        let earned = fragment.bytes().len() as u64 / 2;
        self.credit_bytes = self
            .credit_bytes
            .saturating_add(earned)
            .min(CREDIT_MOST_BYTES);
        Some(fragment)
    }

    fn find(&mut self, number: u64) -> Option<&mut SentFrame> {
        let place = self
            .frames
            .binary_search_by_key(&number, |frame| frame.facts.number.0)
            .ok()?;
        self.frames.get_mut(place)
    }
}

impl SentFrame {
    fn fragment(&self, number: u32, is_again: bool) -> Fragment {
        Fragment {
            facts: self.facts,
            since: self.since,
            number,
            frame: Arc::clone(&self.bytes),
            is_again,
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

    fn push(frames: &mut SentFrames, now: Timestamp, number: u64, bytes: u32) -> Vec<Fragment> {
        let content = (0..bytes).map(|byte| (byte / 1000) as u8).collect();
        frames.push(now, facts(number, bytes), content);
        sent(frames, now)
    }

    fn sent(frames: &mut SentFrames, now: Timestamp) -> Vec<Fragment> {
        std::iter::from_fn(|| frames.poll(now)).collect()
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
        assert!(again.iter().all(|fragment| fragment.is_again));
        again.iter().map(|fragment| fragment.number).collect()
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
            .map(|fragment| (fragment.offset(), fragment.bytes().len(), fragment.since))
            .collect();
        assert_eq!(facts, [(0, 1000, 0), (1000, 1000, 0), (2000, 500, 0)]);
        assert_eq!(first[2].bytes(), [2; 500]);
        assert!(!frames.is_sending());
        let next = push(&mut frames, NOW, 12, 1);
        assert_eq!((next.len(), next[0].since), (1, 5));
        assert_eq!(push(&mut frames, NOW, 100_000, 1)[0].since, 0);
    }

    #[test]
    fn a_fragment_is_sent_again_once_a_round_trip() {
        let mut frames = frames();
        push(&mut frames, NOW, 0, 5000);
        assert_eq!(ask(&mut frames, after(10), 0, 1..3), [1, 2]);
        assert_eq!(ask(&mut frames, after(12), 0, 1..4), [3]);
        assert_eq!(ask(&mut frames, after(34), 0, 1..2), [1]);
        assert_eq!(ask(&mut frames, after(34), 0, 4..u32::MAX), [4]);
        assert!(
            ask(&mut frames, after(34), 1, 0..1).is_empty(),
            "of no frame"
        );
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
