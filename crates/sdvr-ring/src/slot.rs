//! Publishing and reading a frame: the algorithm of LAYOUT.md, over words that may lie anywhere.
//!
//! Safe code: shared memory comes here as `&[AtomicU64]`, and so does the model checker's.

use sdvr_frame::{FrameFlags, FrameNumber, Timestamp};

use crate::layout::{
    BYTES_WORD, FRAME_ALIGNMENT, FrameMeta, Geometry, HEAD_WORD, LAST_KEY_WORD, LOST_WORD,
    RECLAIM_WORD, SLOT_WORDS, WORD_BYTES,
};
use crate::sync::{AtomicU64, Ordering, fence};

/// The three parts of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) header: &'a [AtomicU64],
    pub(crate) slots: &'a [AtomicU64],
    pub(crate) data: &'a [AtomicU64],
}

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

/// The writer's private state: what it needs to know it never reads back.
#[derive(Debug)]
pub(crate) struct Publisher {
    geometry: Geometry,
    published: u64,
    position: u64,
    reclaim: u64,
    lost: u64,
    bytes: u64,
    frame: Option<OpenFrame>,
}

/// A frame that is being written.
#[derive(Debug)]
struct OpenFrame {
    position: u64,
    length: u64,
    /// Bytes written, whole words of them in the ring.
    written: u64,
    /// The start of a word whose end has not come yet.
    partial: [u8; WORD_BYTES],
}

impl Publisher {
    pub(crate) const fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            published: 0,
            position: 0,
            reclaim: 0,
            lost: 0,
            bytes: 0,
            frame: None,
        }
    }

    pub(crate) const fn published(&self) -> u64 {
        self.published
    }

    /// The largest frame that fits.
    pub(crate) const fn frame_most_bytes(&self) -> u64 {
        self.geometry.data_bytes
    }

    /// Begins a frame; one that was begun before and not published is given up. False when it does not fit.
    pub(crate) fn begin(&mut self, words: Words<'_>, length: u64) -> bool {
        self.frame = None;
        let data_bytes = self.geometry.data_bytes;
        if length == 0 || length > data_bytes || u32::try_from(length).is_err() {
            return false;
        }
        let room = length.next_multiple_of(FRAME_ALIGNMENT);
        let used = self.position & (data_bytes - 1);
        let position = if used + room > data_bytes {
            self.position + (data_bytes - used)
        } else {
            self.position
        };
        self.reclaim = self
            .reclaim
            .max((position + room).saturating_sub(data_bytes));
        // W1. Relaxed: the fence below orders it before the data.
        store(words.header, RECLAIM_WORD, self.reclaim, Ordering::Relaxed);
        // F1. Pairs with F3, a reader's fence after its copy: who saw a byte of this frame sees the announcement.
        fence(Ordering::Release);
        self.frame = Some(OpenFrame {
            position,
            length,
            written: 0,
            partial: [0; WORD_BYTES],
        });
        true
    }

    /// Adds the next bytes of the frame. False when there is no frame or they go past its end.
    pub(crate) fn write(&mut self, words: Words<'_>, bytes: &[u8]) -> bool {
        let Some(frame) = &mut self.frame else {
            return false;
        };
        if frame.written + bytes.len() as u64 > frame.length {
            self.frame = None;
            return false;
        }
        let start = frame.position & (self.geometry.data_bytes - 1);
        frame.write(words.data, start, bytes);
        true
    }

    /// Publishes the frame; gives its `n`. `None` when it is not whole.
    pub(crate) fn publish(&mut self, words: Words<'_>, meta: &FrameMeta) -> Option<u64> {
        let frame = self
            .frame
            .take()
            .filter(|frame| frame.written == frame.length)?;
        let start = frame.position & (self.geometry.data_bytes - 1);
        frame.write_partial(words.data, start);
        let n = self.published;
        let slot = slot_words(words.slots, self.geometry, n)?;
        // W3. Relaxed: the fence below orders it before the fields.
        store(slot, 0, 2 * n + 1, Ordering::Relaxed);
        // F2. Pairs with the fence between a reader's fields and R3.
        fence(Ordering::Release);
        // W4. Relaxed: F2 and W5 order them.
        for (index, value) in slot_fields(frame.position, frame.length, meta)
            .into_iter()
            .enumerate()
        {
            store(slot, index + 1, value, Ordering::Relaxed);
        }
        // W5. Pairs with the fence after R2: who sees this sees the data and the fields.
        store(slot, 0, 2 * n + 2, Ordering::Release);
        self.count(words, meta, n, frame.length);
        // W6. Pairs with the fence after R1.
        store(words.header, HEAD_WORD, n + 1, Ordering::Release);
        self.position = frame.position + frame.length.next_multiple_of(FRAME_ALIGNMENT);
        self.published = n + 1;
        Some(n)
    }

    /// Figures for people. Relaxed: nothing hangs on them.
    fn count(&mut self, words: Words<'_>, meta: &FrameMeta, n: u64, length: u64) {
        self.lost += meta.missed;
        self.bytes += length;
        store(words.header, LOST_WORD, self.lost, Ordering::Relaxed);
        store(words.header, BYTES_WORD, self.bytes, Ordering::Relaxed);
        if meta.flags.contains(FrameFlags::KEY) {
            // Read before head, so it may name a frame that head does not have yet; readers check.
            store(words.header, LAST_KEY_WORD, n + 1, Ordering::Relaxed);
        }
    }

    /// Makes every frame unreadable, before their memory is given back.
    pub(crate) fn reclaim_all(&mut self, words: Words<'_>) {
        self.frame = None;
        self.reclaim = u64::MAX;
        store(words.header, RECLAIM_WORD, u64::MAX, Ordering::Relaxed);
        // Pairs with F3: who reads a hole sees that it may not.
        fence(Ordering::Release);
    }
}

impl OpenFrame {
    fn write(&mut self, data: &[AtomicU64], start: u64, mut bytes: &[u8]) {
        let filled = usize_of(self.written % WORD_BYTES as u64);
        let mut index = usize_of((start + self.written) / WORD_BYTES as u64);
        self.written += bytes.len() as u64;
        if filled > 0 {
            let taken = bytes.len().min(WORD_BYTES - filled);
            let (head, rest) = bytes.split_at(taken);
            if let Some(place) = self.partial.get_mut(filled..filled + taken) {
                place.copy_from_slice(head);
            }
            if filled + taken < WORD_BYTES {
                return;
            }
            store(
                data,
                index,
                u64::from_ne_bytes(self.partial),
                Ordering::Relaxed,
            );
            index += 1;
            bytes = rest;
        }
        let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
        // W2. Relaxed: F1 orders them after the announcement, W5 before the frame is seen.
        for (word, bytes) in data.get(index..).unwrap_or_default().iter().zip(whole) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        if let Some(place) = self.partial.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
    }

    /// Writes the last word, filled up with zeros.
    fn write_partial(&self, data: &[AtomicU64], start: u64) {
        let filled = usize_of(self.written % WORD_BYTES as u64);
        if filled > 0 {
            let mut word = [0; WORD_BYTES];
            if let (Some(to), Some(from)) = (word.get_mut(..filled), self.partial.get(..filled)) {
                to.copy_from_slice(from);
            }
            store(
                data,
                usize_of((start + self.written) / WORD_BYTES as u64),
                u64::from_ne_bytes(word),
                Ordering::Relaxed,
            );
        }
    }
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

    /// Copies the frame into `buffer`, which then has its length.
    pub fn copy_into(&self, buffer: &mut Vec<u8>) {
        let whole_words = self.words.len() * WORD_BYTES;
        // Only what the buffer never had is filled with zeros first.
        buffer.resize(whole_words, 0);
        let (chunks, _) = buffer.as_chunks_mut::<WORD_BYTES>();
        for (bytes, word) in chunks.iter_mut().zip(self.words) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        buffer.truncate(self.length);
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
    let head = load(words.header, HEAD_WORD);
    // R1. Pairs with W6.
    fence(Ordering::Acquire);
    head
}

/// The newest frame at which decoding can begin.
pub(crate) fn last_key(words: Words<'_>) -> Option<u64> {
    load(words.header, LAST_KEY_WORD).checked_sub(1)
}

/// The lowest position that is not, or is not being, overwritten.
pub(crate) fn reclaim(words: Words<'_>) -> u64 {
    load(words.header, RECLAIM_WORD)
}

/// Finds frame `n`.
pub(crate) fn find(words: Words<'_>, geometry: Geometry, n: u64) -> Result<Found, ReadError> {
    let head = head(words);
    if n >= head {
        return Err(ReadError::NotYet);
    }
    if head - n > geometry.slots {
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
        || found.length > geometry.data_bytes - in_data
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

fn slot_fields(position: u64, length: u64, meta: &FrameMeta) -> [u64; 9] {
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

fn slot_words(slots: &[AtomicU64], geometry: Geometry, n: u64) -> Option<&[AtomicU64]> {
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "this crate compiles for 64-bit hosts only"
)]
pub(crate) const fn usize_of(value: u64) -> usize {
    value as usize
}
