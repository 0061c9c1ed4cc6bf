//! A frame of which not every fragment has arrived.
//!
//! All fragments but the last have the same length, and each begins at a multiple of it: a bit for each is the whole state, whatever comes in
//! whatever order, and how often.
//!
//! ```text
//!              fragment 0   1   2   3   4   5
//! frame bytes  ├──────────┤   ├───┤   ├───┤ ├┤      arrived: 1 0 1 0 1 1, whole when all are 1
//! ```

use std::ops::Range;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use super::parity::{ArrivedParity, ParityPlace};
use crate::error::SessionError;
use crate::media::MediaHeader;

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
    pub(crate) const fn of(header: &MediaHeader) -> Self {
        Self {
            stream: header.stream,
            number: header.number,
            frame_bytes: header.frame_bytes,
            fragment_bytes: header.fragment_bytes,
            captured: header.captured,
            flags: header.flags,
        }
    }

    /// How many fragments the frame has. None of an empty frame or empty fragments.
    pub(crate) const fn fragments(&self) -> u32 {
        match self.fragment_bytes {
            0 => 0,
            bytes => self.frame_bytes.div_ceil(bytes as u32),
        }
    }
}

/// What a datagram brings of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    /// The bytes from `offset` on.
    Fragment {
        /// In the frame.
        offset: u32,
        /// A fragment's length of them, or the rest.
        bytes: &'a [u8],
    },
    /// Bytes from which fragments are computed that are missing.
    Parity {
        /// Which.
        place: ParityPlace,
        /// As many as the longest fragment has.
        bytes: &'a [u8],
    },
}

impl<'a> Piece<'a> {
    /// Of a message that carries `bytes`.
    pub(crate) const fn of(header: &MediaHeader, bytes: &'a [u8]) -> Self {
        let offset = header.offset;
        if header.is_parity {
            let place = ParityPlace::from_offset(offset);
            Self::Parity { place, bytes }
        } else {
            Self::Fragment { offset, bytes }
        }
    }
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was there before, or nothing was missing for which it could be of use; or it is so far ahead of the others that the memory between
    /// them may not be cleared. It is lost then, and asked for like others that are.
    Needless,
    /// It is kept.
    Kept,
    /// With it these others were computed.
    Restoring(Vec<u32>),
}

/// The fragments that have arrived.
#[derive(Debug)]
pub(crate) struct PartialFrame {
    facts: FrameFacts,
    bytes: Vec<u8>,
    arrived: Vec<u64>,
    missing: u32,
    /// One more than the highest fragment that has arrived. All of them when parity has, as it is sent after them.
    heard: u32,
    /// Nothing is spent on it until there is some.
    parity: Option<Box<ArrivedParity>>,
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
            parity: None,
        })
    }

    pub(crate) const fn facts(&self) -> &FrameFacts {
        &self.facts
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// One more than the highest fragment that has arrived, or should have.
    pub(crate) const fn heard(&self) -> u32 {
        self.heard
    }

    /// Memory that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        let parity = self.parity.as_ref().map_or(0, |parity| parity.held_bytes());
        self.bytes
            .capacity()
            .saturating_add(self.arrived.capacity().saturating_mul(8))
            .saturating_add(parity)
    }

    /// The parity that has arrived.
    pub(crate) fn parity(&self) -> Option<&ArrivedParity> {
        self.parity.as_deref()
    }

    /// Takes a fragment or parity.
    ///
    /// # Errors
    ///
    /// It contradicts the others, or does not fit into the frame.
    pub(crate) fn take(
        &mut self,
        facts: &FrameFacts,
        piece: Piece<'_>,
        clearing: &mut Clearing,
    ) -> Result<Taken, SessionError> {
        if *facts != self.facts {
            return Err(SessionError::Frame("a fragment contradicts another"));
        }
        match piece {
            Piece::Fragment { offset, bytes } => self.take_fragment(offset, bytes, clearing),
            Piece::Parity { place, bytes } => self.take_parity(place, bytes, clearing),
        }
    }

    fn take_fragment(
        &mut self,
        offset: u32,
        bytes: &[u8],
        clearing: &mut Clearing,
    ) -> Result<Taken, SessionError> {
        let number = self.number_of(offset, bytes.len())?;
        if self.has(number) {
            return Ok(Taken::Needless);
        }
        if !clearing.allows(self.cleared_for(number)) {
            return Ok(Taken::Needless);
        }
        clearing.has_arrived(bytes.len());
        self.place(number, bytes);
        let parity = self.parity.as_mut();
        match parity.and_then(|parity| parity.fill(number)) {
            Some(group) => self.restore(group, clearing),
            None => Ok(Taken::Kept),
        }
    }

    fn take_parity(
        &mut self,
        place: ParityPlace,
        bytes: &[u8],
        clearing: &mut Clearing,
    ) -> Result<Taken, SessionError> {
        let facts = &self.facts;
        let parity = self
            .parity
            .get_or_insert_with(|| Box::new(ArrivedParity::new(facts, place.rows)));
        let group = parity.take(place, bytes, |number| has(&self.arrived, number))?;
        self.heard = self.facts.fragments();
        match group {
            Some(group) => {
                clearing.has_arrived(bytes.len());
                self.restore(group, clearing)
            }
            None if self.is_whole() => Ok(Taken::Needless),
            None => Ok(Taken::Kept),
        }
    }

    /// Computes what is missing of a group of which enough has arrived.
    fn restore(&mut self, group: u32, clearing: &mut Clearing) -> Result<Taken, SessionError> {
        let Some(parity) = &mut self.parity else {
            return Ok(Taken::Kept);
        };
        let has = |number| has(&self.arrived, number);
        let Some(restored) = parity.restore(group, &self.bytes, has) else {
            return Ok(Taken::Kept);
        };
        let parity_bytes = parity.groups.parity_bytes;
        let last = restored.fragments.last().copied().unwrap_or(0);
        if !clearing.allows(self.cleared_for(last)) {
            return Ok(Taken::Needless);
        }
        let fragments = restored.bytes.chunks_exact(parity_bytes);
        for (number, bytes) in restored.fragments.iter().zip(fragments) {
            let Range { start, end } = self.range(*number);
            let (bytes, padding) = bytes
                .split_at_checked(end.saturating_sub(start))
                .unwrap_or((bytes, &[]));
            if padding.iter().any(|byte| *byte != 0) {
                return Err(SessionError::Frame("parity contradicts its frame"));
            }
            self.place(*number, bytes);
        }
        Ok(Taken::Restoring(restored.fragments))
    }

    /// Where a fragment's bytes are.
    fn range(&self, number: u32) -> Range<usize> {
        let fragment_bytes = u32::from(self.facts.fragment_bytes);
        let begin = number.saturating_mul(fragment_bytes);
        let end = begin
            .saturating_add(fragment_bytes)
            .min(self.facts.frame_bytes);
        begin as usize..end as usize
    }

    /// How many bytes have to be cleared before a fragment.
    fn cleared_for(&self, number: u32) -> usize {
        self.range(number).start.saturating_sub(self.bytes.len())
    }

    /// Puts a fragment where it belongs.
    fn place(&mut self, number: u32, bytes: &[u8]) {
        let range = self.range(number);
        if range.len() != bytes.len() {
            return;
        }
        match self.bytes.get_mut(range.clone()) {
            Some(place) => place.copy_from_slice(bytes),
            // Zeroes only what has been left out, as a rule nothing.
            None => {
                self.reserve(range.end);
                self.bytes.resize(range.start, 0);
                self.bytes.extend_from_slice(bytes);
            }
        }
        self.mark(number);
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

    /// Whether a fragment has arrived, or was computed.
    pub(crate) fn has(&self, number: u32) -> bool {
        has(&self.arrived, number)
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
        if self.bytes.capacity() < end {
            // At least doubled, so that a large frame is not copied at every step; never beyond the frame.
            let doubled = self.bytes.len().saturating_mul(2);
            let wanted = end.next_multiple_of(STEP_BYTES).max(doubled);
            let most = self.facts.frame_bytes as usize;
            let more = wanted.min(most).max(end).saturating_sub(self.bytes.len());
            self.bytes.reserve_exact(more);
        }
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

fn has(arrived: &[u64], number: u32) -> bool {
    let (word, bit) = place(number);
    arrived.get(word).is_some_and(|bits| bits & bit != 0)
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
    use crate::datagram::parity::Parity;

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
        piece: Piece<'_>,
    ) -> Result<Taken, SessionError> {
        frame.take(facts, piece, &mut Clearing::new(1 << 30))
    }

    /// Gives fragment `number` of the frame.
    fn give(frame: &mut PartialFrame, number: u32) -> Result<Taken, SessionError> {
        let facts = *frame.facts();
        let whole = content(facts.frame_bytes);
        let fragments: Vec<&[u8]> = whole.chunks(FRAGMENT.into()).collect();
        take(
            frame,
            &facts,
            fragment(number * u32::from(FRAGMENT), fragments[number as usize]),
        )
    }

    fn fragment(offset: u32, bytes: &[u8]) -> Piece<'_> {
        Piece::Fragment { offset, bytes }
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
                let piece = fragment(number * u32::from(FRAGMENT), fragments[number as usize]);
                assert_eq!(take(&mut frame, &facts, piece), Ok(Taken::Kept));
                assert_eq!(take(&mut frame, &facts, piece), Ok(Taken::Needless));
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
            let taken = take(&mut frame, &facts, fragment(offset, &vec![0; length]));
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
                take(&mut frame, &other, fragment(0, &[0; 1136])).is_err(),
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
        take(&mut frame, &first, fragment(0, &[1; 1136])).unwrap();
        assert!(
            frame.held_bytes() <= STEP_BYTES + 64,
            "{}",
            frame.held_bytes()
        );
        // Half of the frame has arrived: at most all of it is held.
        let half = 100 << 20;
        let offset = half - half % u32::from(FRAGMENT);
        take(&mut frame, &first, fragment(offset, &[1; 1136])).unwrap();
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
            let taken = frame.take(&facts, fragment(end, &[1; 1136]), &mut clearing);
            taken == Ok(Taken::Kept)
        });
        assert_eq!(taken.count(), 2);
        // Whole frames are taken all the same, and earn what was spent.
        for _ in 0..3 {
            let mut frame = partial(frame_bytes);
            for number in 0..1000 {
                let offset = number * u32::from(FRAGMENT);
                assert_eq!(
                    frame.take(&facts, fragment(offset, &[1; 1136]), &mut clearing),
                    Ok(Taken::Kept)
                );
            }
        }
        let mut frame = partial(frame_bytes);
        assert_eq!(
            frame.take(&facts, fragment(end, &[1; 1136]), &mut clearing),
            Ok(Taken::Kept)
        );
    }

    /// Computed fragments may lie far ahead of what has arrived, as others do.
    #[test]
    fn memory_is_not_cleared_for_parity_either() {
        let facts = facts(200 * u32::from(FRAGMENT));
        let whole = content(facts.frame_bytes);
        let parity = Parity::of(&facts, &whole, 50).unwrap();
        let take_all = |clearing: &mut Clearing| {
            let mut frame = partial(facts.frame_bytes);
            for (number, bytes) in (0..150).zip(whole.chunks(FRAGMENT.into())) {
                let piece = fragment(number * u32::from(FRAGMENT), bytes);
                assert_eq!(frame.take(&facts, piece, clearing), Ok(Taken::Kept));
            }
            for number in 0..parity.count() {
                let rows = parity.rows;
                let piece = Piece::Parity {
                    place: ParityPlace { number, rows },
                    bytes: parity.bytes(number),
                };
                frame.take(&facts, piece, clearing).unwrap();
            }
            frame.into_bytes()
        };
        assert_eq!(take_all(&mut Clearing::new(0)), None);
        let enough = &mut Clearing::new(facts.frame_bytes.into());
        assert_eq!(take_all(enough), Some(whole.clone()));
    }
}
