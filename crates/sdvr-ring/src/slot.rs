//! Finding and reading a frame: the reader's half of the algorithm of LAYOUT.md, over words that may lie anywhere.
//!
//! Safe code: shared memory comes here as `&[AtomicU64]`, and so does the model checker's. What a slot says is input
//! like any other: it is read once, and checked against what this process knows.

use sdvr_frame::{FrameFlags, FrameNumber, StreamState, Timestamp};

use crate::layout::{
    FRAME_ALIGNMENT, FrameMeta, Geometry, HEAD_WORD, LAST_KEY_WORD, RECLAIM_WORD, SLOT_WORDS,
    STATE_WORD, WORD_BYTES, Words, usize_of,
};
use crate::sync::{AtomicU64, Ordering, fence};

/// Why a frame could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It has not been published yet.
    #[error("the frame has not been published yet")]
    NotYet,
    /// The writer has overwritten it, or did while it was read.
    #[error("the frame was overwritten")]
    Lapped,
    /// What the ring says of it is impossible. The ring's owner is at fault.
    #[error("the ring is corrupt")]
    Corrupt,
}

/// The bytes of a frame in the ring, word by word. They may change while they are looked at; only after the check that
/// follows are they the frame's.
#[derive(Clone, Copy, Debug)]
pub struct FrameWords<'a> {
    words: &'a [AtomicU64],
    length: usize,
}

impl FrameWords<'_> {
    /// Bytes of the frame.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes, which no frame has.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The words, in native byte order; the last one is filled up with zeros.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        // R4. Relaxed: F3 follows.
        self.words.iter().map(|word| word.load(Ordering::Relaxed))
    }

    /// The same in parts of this many bytes, rounded up to whole words, the last of which may be shorter: a part that fits into the processor's cache is copied out and
    /// then used without going to memory again.
    pub fn chunks(&self, bytes: usize) -> impl Iterator<Item = Self> {
        let words = bytes.div_ceil(WORD_BYTES).max(1);
        let mut left = self.length;
        self.words.chunks(words).map(move |words| {
            let length = left.min(words.len().saturating_mul(WORD_BYTES));
            left = left.saturating_sub(length);
            Self { words, length }
        })
    }

    /// Copies the frame into `buffer`, which then has its length. The buffer's memory is used again.
    #[cfg(not(loom))]
    pub fn copy_into(&self, buffer: &mut Vec<u8>) {
        crate::shared_memory::read_into(self.words, self.length, buffer);
    }
}

/// A frame that was found, before its bytes are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) meta: FrameMeta,
    pub(crate) position: u64,
    pub(crate) length: u64,
}

/// Frames published.
pub(crate) fn head(words: Words<'_>) -> u64 {
    let head = load(words.control, HEAD_WORD);
    // R1. Pairs with W6.
    fence(Ordering::Acquire);
    head
}

/// How the stream is doing. What is no state reads as lost.
pub(crate) fn state(words: Words<'_>) -> StreamState {
    u8::try_from(load(words.control, STATE_WORD))
        .ok()
        .and_then(StreamState::from_number)
        .unwrap_or(StreamState::Lost)
}

/// The newest frame at which decoding can begin.
pub(crate) fn last_key(words: Words<'_>) -> Option<u64> {
    load(words.control, LAST_KEY_WORD).checked_sub(1)
}

/// The lowest position that is not, or is not being, overwritten.
pub(crate) fn reclaim(words: Words<'_>) -> u64 {
    load(words.control, RECLAIM_WORD)
}

/// The lowest position of a ring whose memory was given back.
pub(crate) const RECLAIMED: u64 = u64::MAX;

/// Finds frame `n`.
pub(crate) fn find(words: Words<'_>, geometry: Geometry, n: u64) -> Result<Found, ReadError> {
    let head = head(words);
    if n >= head {
        return Err(ReadError::NotYet);
    }
    // A look at a slot that was given back would take memory for it again.
    if head - n > geometry.slots || reclaim(words) == RECLAIMED {
        return Err(ReadError::Lapped);
    }
    let slot = slot_words(words.slots, geometry, n).ok_or(ReadError::Corrupt)?;
    let expected = n.wrapping_mul(2).wrapping_add(2);
    if load(slot, 0) != expected {
        return Err(ReadError::Lapped);
    }
    // R2. Pairs with W5.
    fence(Ordering::Acquire);
    let fields: [u64; 9] = std::array::from_fn(|index| load(slot, index + 1));
    // Pairs with F2: who saw a later field sees the later sequence number.
    fence(Ordering::Acquire);
    if load(slot, 0) != expected {
        return Err(ReadError::Lapped);
    }
    let found = found(fields);
    let in_data = found.position & (geometry.data_bytes - 1);
    if found.length == 0
        || found.length
            > geometry
                .frame_most_bytes()
                .min(geometry.data_bytes - in_data)
        || !in_data.is_multiple_of(FRAME_ALIGNMENT)
    {
        return Err(ReadError::Corrupt);
    }
    check(words, &found)?;
    Ok(found)
}

/// The words of a frame that was found.
pub(crate) fn frame_words<'a>(
    words: Words<'a>,
    geometry: Geometry,
    found: &Found,
) -> Result<FrameWords<'a>, ReadError> {
    let first = usize_of((found.position & (geometry.data_bytes - 1)) / WORD_BYTES as u64);
    let length = usize_of(found.length);
    let words = words
        .data
        .get(first..)
        .and_then(|rest| rest.get(..length.div_ceil(WORD_BYTES)))
        .ok_or(ReadError::Corrupt)?;
    Ok(FrameWords { words, length })
}

/// Checks that what was read of the frame until now was the frame.
pub(crate) fn check(words: Words<'_>, found: &Found) -> Result<(), ReadError> {
    // F3. Pairs with F1: who saw a byte of a later frame sees its announcement in R5.
    fence(Ordering::Acquire);
    if reclaim(words) <= found.position {
        Ok(())
    } else {
        Err(ReadError::Lapped)
    }
}

pub(crate) fn slot_fields(position: u64, length: u64, meta: &FrameMeta) -> [u64; 9] {
    [
        position,
        length & 0xffff_ffff | u64::from(meta.flags.bits()) << 32,
        meta.number.0,
        meta.captured_at_source.as_nanoseconds().cast_unsigned(),
        meta.captured.as_nanoseconds().cast_unsigned(),
        meta.clock_error_ns.unwrap_or(u32::MAX).into(),
        meta.missed,
        meta.received.as_nanoseconds().cast_unsigned(),
        meta.published.as_nanoseconds().cast_unsigned(),
    ]
}

fn found(
    [
        position,
        length_flags,
        number,
        at_source,
        captured,
        error,
        missed,
        received,
        published,
    ]: [u64; 9],
) -> Found {
    let time = |word: u64| Timestamp::from_nanoseconds(word.cast_signed());
    let flags = u32::try_from(length_flags >> 32).unwrap_or(0);
    let meta = FrameMeta {
        number: FrameNumber(number),
        flags: FrameFlags::from_bits_truncate(flags),
        missed,
        captured_at_source: time(at_source),
        captured: time(captured),
        clock_error_ns: u32::try_from(error).ok().filter(|&error| error != u32::MAX),
        received: time(received),
        published: time(published),
    };
    Found {
        meta,
        position,
        length: length_flags & 0xffff_ffff,
    }
}

pub(crate) fn slot_words(slots: &[AtomicU64], geometry: Geometry, n: u64) -> Option<&[AtomicU64]> {
    let first = usize_of(n & (geometry.slots - 1)) * SLOT_WORDS;
    slots.get(first..first + SLOT_WORDS)
}

/// A place of which the layout says that it exists. Out of bounds it does nothing, which no caller here can cause.
pub(crate) fn store(words: &[AtomicU64], index: usize, value: u64, ordering: Ordering) {
    if let Some(word) = words.get(index) {
        word.store(value, ordering);
    }
}

/// Relaxed: the callers' fences order it.
pub(crate) fn load(words: &[AtomicU64], index: usize) -> u64 {
    words
        .get(index)
        .map_or(0, |word| word.load(Ordering::Relaxed))
}
