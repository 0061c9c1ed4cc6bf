//! A frame of which not every fragment has arrived.
//!
//! All fragments but the last have the same length, and each begins at a multiple of it: a bit for each is the whole state, whatever comes in
//! whatever order, and how often.
//!
//! ```text
//!              fragment 0   1   2   3   4   5
//! frame bytes  ├──────────┤   ├───┤   ├───┤ ├┤      arrived: 1 0 1 0 1 1, whole when all are 1
//! ```

#[cfg(test)]
use std::ops::Range;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use crate::error::SessionError;

/// Memory is taken in such steps as fragments arrive, never by what a header announces.
const STEP_BYTES: usize = 64 * 1024;
const BITS: u32 = u64::BITS;
/// Fragments are no shorter, but in a frame that has only one: what is kept of each must be little against its bytes.
const FRAGMENT_LEAST_BYTES: u16 = 256;

/// What all fragments of a frame say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameFacts {
    pub(crate) stream: StreamId,
    pub(crate) number: FrameNumber,
    pub(crate) frame_bytes: u32,
    pub(crate) fragment_bytes: u16,
    pub(crate) captured: Timestamp,
    pub(crate) flags: FrameFlags,
}

impl FrameFacts {
    /// How many fragments the frame has. None of an empty frame or empty fragments.
    pub(crate) const fn fragments(&self) -> u32 {
        match self.fragment_bytes {
            0 => 0,
            bytes => self.frame_bytes.div_ceil(bytes as u32),
        }
    }
}

/// The fragments that have arrived.
#[derive(Debug)]
pub(crate) struct PartialFrame {
    facts: FrameFacts,
    bytes: Vec<u8>,
    arrived: Vec<u64>,
    missing: u32,
    /// One more than the highest fragment that has arrived.
    heard: u32,
}

impl PartialFrame {
    /// Of a frame of which nothing has arrived.
    ///
    /// # Errors
    ///
    /// There can be no such frame, or it has more than `most_bytes`.
    pub(crate) fn new(facts: FrameFacts, most_bytes: u64) -> Result<Self, SessionError> {
        if u64::from(facts.frame_bytes) > most_bytes {
            return Err(SessionError::Frame(
                "it is larger than the stream announced",
            ));
        }
        let missing = facts.fragments();
        if missing == 0 {
            return Err(SessionError::Frame("it has no fragments"));
        }
        if missing > 1 && facts.fragment_bytes < FRAGMENT_LEAST_BYTES {
            return Err(SessionError::Frame("its fragments are too short"));
        }
        Ok(Self {
            facts,
            bytes: Vec::new(),
            arrived: Vec::new(),
            missing,
            heard: 0,
        })
    }

    pub(crate) const fn facts(&self) -> &FrameFacts {
        &self.facts
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// One more than the highest fragment that has arrived.
    pub(crate) const fn heard(&self) -> u32 {
        self.heard
    }

    /// Memory that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
            .capacity()
            .saturating_add(self.arrived.capacity().saturating_mul(8))
    }

    /// Takes a fragment; gives whether it did: not when it had arrived before, or is so far ahead of the others that `clearing` does not allow
    /// to clear the memory between them. It is lost then, and asked for like others that are.
    ///
    /// # Errors
    ///
    /// It contradicts the others, or does not fit into the frame.
    pub(crate) fn take(
        &mut self,
        facts: &FrameFacts,
        offset: u32,
        bytes: &[u8],
        clearing: &mut Clearing,
    ) -> Result<bool, SessionError> {
        if *facts != self.facts {
            return Err(SessionError::Frame("a fragment contradicts another"));
        }
        let number = self.number_of(offset, bytes.len())?;
        if self.has(number) {
            return Ok(false);
        }
        let begin = offset as usize;
        let end = begin.saturating_add(bytes.len());
        if !clearing.allows(end.saturating_sub(self.bytes.len())) {
            return Ok(false);
        }
        clearing.has_arrived(bytes.len());
        self.reserve(end);
        if let Some(place) = self.bytes.get_mut(begin..end) {
            place.copy_from_slice(bytes);
        }
        self.mark(number);
        Ok(true)
    }

    /// Which fragment has this place and length.
    fn number_of(&self, offset: u32, length: usize) -> Result<u32, SessionError> {
        let misplaced = SessionError::Frame("a fragment does not fit into its frame");
        let fragment_bytes = u32::from(self.facts.fragment_bytes);
        let number = offset.checked_div(fragment_bytes).ok_or(misplaced)?;
        let rest = self
            .facts
            .frame_bytes
            .checked_sub(offset)
            .ok_or(misplaced)?;
        let is_aligned = offset.is_multiple_of(fragment_bytes);
        let has_its_length = length > 0 && u32::try_from(length) == Ok(rest.min(fragment_bytes));
        if is_aligned && has_its_length {
            Ok(number)
        } else {
            Err(misplaced)
        }
    }

    fn has(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.arrived.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn mark(&mut self, number: u32) {
        let (word, bit) = place(number);
        if self.arrived.len() <= word {
            self.arrived.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.arrived.get_mut(word) {
            *bits |= bit;
        }
        self.missing = self.missing.saturating_sub(1);
        self.heard = self.heard.max(number.saturating_add(1));
    }

    /// Makes room up to `end`.
    fn reserve(&mut self, end: usize) {
        if self.bytes.len() >= end {
            return;
        }
        if self.bytes.capacity() < end {
            // At least doubled, so that a large frame is not copied at every step; never beyond the frame.
            let doubled = self.bytes.len().saturating_mul(2);
            let wanted = end.next_multiple_of(STEP_BYTES).max(doubled);
            let most = self.facts.frame_bytes as usize;
            let more = wanted.min(most).max(end).saturating_sub(self.bytes.len());
            self.bytes.reserve_exact(more);
        }
        self.bytes.resize(end, 0);
    }

    /// The runs of fragments below `end` that have not arrived.
    #[cfg(test)]
    pub(crate) fn missing_below(&self, end: u32) -> impl Iterator<Item = Range<u32>> + '_ {
        let end = end.min(self.facts.fragments());
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = (next..end).find(|number| !self.has(*number))?;
            let past = (first..end).find(|number| self.has(*number)).unwrap_or(end);
            next = past;
            Some(first..past)
        })
    }

    /// The frame, if it is whole.
    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        self.is_whole().then_some(self.bytes)
    }
}

/// How much memory may be cleared for what is to come before a fragment. Who sends only the ends of large frames would else make much work with
/// few bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clearing {
    left_bytes: u64,
    most_bytes: u64,
}

impl Clearing {
    /// For frames of at most `frame_most_bytes`: two of them in advance, which a link may lose the beginnings of, and what has arrived twice over.
    pub(crate) const fn new(frame_most_bytes: u64) -> Self {
        let most_bytes = frame_most_bytes.saturating_mul(2);
        Self {
            left_bytes: most_bytes,
            most_bytes,
        }
    }

    /// Whether so many bytes may be cleared; they count as cleared then.
    fn allows(&mut self, bytes: usize) -> bool {
        let left = self.left_bytes.checked_sub(bytes as u64);
        self.left_bytes = left.unwrap_or(self.left_bytes);
        left.is_some()
    }

    fn has_arrived(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_mul(2);
        self.left_bytes = self.left_bytes.saturating_add(more).min(self.most_bytes);
    }
}

/// In which word a fragment's bit is, and the bit.
const fn place(number: u32) -> (usize, u64) {
    ((number / BITS) as usize, 1 << (number % BITS))
}

#[cfg(test)]
#[allow(
    clippy::single_range_in_vec_init,
    reason = "a run of fragments is a range, and there may be one run"
)]
mod tests {
    use super::*;

    const FRAGMENT: u16 = 1136;

    fn facts(frame_bytes: u32) -> FrameFacts {
        FrameFacts {
            stream: StreamId(1),
            number: FrameNumber(7),
            frame_bytes,
            fragment_bytes: FRAGMENT,
            captured: Timestamp::from_nanoseconds(5),
            flags: FrameFlags::KEY,
        }
    }

    fn content(frame_bytes: u32) -> Vec<u8> {
        (0..frame_bytes).map(|byte| (byte % 251) as u8).collect()
    }

    fn partial(frame_bytes: u32) -> PartialFrame {
        PartialFrame::new(facts(frame_bytes), 1 << 30).unwrap()
    }

    fn take(
        frame: &mut PartialFrame,
        facts: &FrameFacts,
        offset: u32,
        bytes: &[u8],
    ) -> Result<bool, SessionError> {
        frame.take(facts, offset, bytes, &mut Clearing::new(1 << 30))
    }

    /// Gives fragment `number` of the frame.
    fn give(frame: &mut PartialFrame, number: u32) -> Result<bool, SessionError> {
        let facts = *frame.facts();
        let whole = content(facts.frame_bytes);
        let fragments: Vec<&[u8]> = whole.chunks(FRAGMENT.into()).collect();
        take(
            frame,
            &facts,
            number * u32::from(FRAGMENT),
            fragments[number as usize],
        )
    }

    fn missing(frame: &PartialFrame) -> Vec<Range<u32>> {
        frame.missing_below(u32::MAX).collect()
    }

    #[test]
    fn a_frame_is_whole_when_each_fragment_has_come_in_any_order_and_any_number_of_times() {
        for frame_bytes in [1, 1135, 1136, 1137, 100_000, 500_000] {
            let mut frame = partial(frame_bytes);
            let facts = *frame.facts();
            let whole = content(frame_bytes);
            let fragments: Vec<&[u8]> = whole.chunks(FRAGMENT.into()).collect();
            let count = facts.fragments();
            // A step that has no divisor in common with any of the counts.
            for step in 0..count {
                let number = (step * 7919 + 13) % count;
                assert!(!frame.is_whole());
                let (offset, bytes) = (number * u32::from(FRAGMENT), fragments[number as usize]);
                assert_eq!(take(&mut frame, &facts, offset, bytes), Ok(true));
                assert_eq!(take(&mut frame, &facts, offset, bytes), Ok(false));
            }
            assert!(frame.is_whole(), "{frame_bytes}");
            assert_eq!(frame.into_bytes(), Some(whole));
        }
    }

    #[test]
    fn what_is_missing_is_told_in_runs() {
        let mut frame = partial(200 * u32::from(FRAGMENT));
        assert_eq!(missing(&frame), [0..200]);
        for number in [0, 1, 63, 64, 130] {
            give(&mut frame, number).unwrap();
        }
        assert_eq!(missing(&frame), [2..63, 65..130, 131..200]);
        assert_eq!(
            frame.missing_below(100).collect::<Vec<_>>(),
            [2..63, 65..100]
        );
        assert_eq!(frame.missing_below(2).count(), 0);
        assert_eq!(frame.heard(), 131);
        assert_eq!(frame.into_bytes(), None);
    }

    #[test]
    fn a_fragment_that_lies_about_its_place_is_refused() {
        let last = 2 * u32::from(FRAGMENT);
        let lies: [(u32, usize); 8] = [
            (0, 0),
            (0, 1135),
            (0, 1137),
            (1, 1136),
            (last, 1136),
            (last, 99),
            (last + 1136, 100),
            (u32::MAX - 100, 100),
        ];
        for (offset, length) in lies {
            let mut frame = partial(last + 100);
            let facts = *frame.facts();
            let taken = take(&mut frame, &facts, offset, &vec![0; length]);
            assert!(taken.is_err(), "{length} bytes at {offset}");
            assert_eq!(missing(&frame), [0..3]);
        }
    }

    #[test]
    fn a_fragment_that_contradicts_the_first_is_refused() {
        let first = facts(5000);
        let others = [
            FrameFacts {
                frame_bytes: 5001,
                ..first
            },
            FrameFacts {
                fragment_bytes: 568,
                ..first
            },
            FrameFacts {
                captured: Timestamp::from_nanoseconds(6),
                ..first
            },
            FrameFacts {
                flags: FrameFlags::NONE,
                ..first
            },
        ];
        for other in others {
            let mut frame = partial(5000);
            assert!(
                take(&mut frame, &other, 0, &[0; 1136]).is_err(),
                "{other:?}"
            );
        }
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        let refused = |facts, most| PartialFrame::new(facts, most).is_err();
        assert!(refused(facts(0), 1000));
        assert!(refused(facts(1001), 1000));
        assert!(!refused(facts(1000), 1000));
        let no_fragments = FrameFacts {
            fragment_bytes: 0,
            ..facts(1000)
        };
        assert!(refused(no_fragments, 1000));
        let short = |frame_bytes| FrameFacts {
            fragment_bytes: 255,
            ..facts(frame_bytes)
        };
        assert!(refused(short(256), 1000));
        assert!(!refused(short(255), 1000));
    }

    #[test]
    fn memory_follows_what_arrives_and_not_what_is_announced() {
        let mut frame = partial(200 << 20);
        assert_eq!(frame.held_bytes(), 0);
        let first = *frame.facts();
        take(&mut frame, &first, 0, &[1; 1136]).unwrap();
        assert!(
            frame.held_bytes() <= STEP_BYTES + 64,
            "{}",
            frame.held_bytes()
        );
        // Half of the frame has arrived: at most all of it is held.
        let half = 100 << 20;
        let offset = half - half % u32::from(FRAGMENT);
        take(&mut frame, &first, offset, &[1; 1136]).unwrap();
        assert!(frame.held_bytes() <= 101 << 20, "{}", frame.held_bytes());
    }

    /// Of frame after frame only the last fragment comes.
    #[test]
    fn memory_is_not_cleared_for_ends_without_beginnings() {
        let frame_bytes = 1000 * u32::from(FRAGMENT);
        let mut clearing = Clearing::new(frame_bytes.into());
        let facts = facts(frame_bytes);
        let end = frame_bytes - u32::from(FRAGMENT);
        let taken = (0..1000).filter(|_| {
            let mut frame = partial(frame_bytes);
            frame.take(&facts, end, &[1; 1136], &mut clearing).unwrap()
        });
        assert_eq!(taken.count(), 2);
        // Whole frames are taken all the same, and earn what was spent.
        for _ in 0..3 {
            let mut frame = partial(frame_bytes);
            for number in 0..1000 {
                let offset = number * u32::from(FRAGMENT);
                assert_eq!(
                    frame.take(&facts, offset, &[1; 1136], &mut clearing),
                    Ok(true)
                );
            }
        }
        let mut frame = partial(frame_bytes);
        assert_eq!(frame.take(&facts, end, &[1; 1136], &mut clearing), Ok(true));
    }
}
