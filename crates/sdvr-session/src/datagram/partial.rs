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
mod tests;
