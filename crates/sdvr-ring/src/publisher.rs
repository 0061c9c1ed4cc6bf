//! Writing and publishing a frame: the writer's half of the algorithm of LAYOUT.md, over words that may lie anywhere.
//!
//! Safe code: shared memory comes here as `&[AtomicU64]`, and so does the model checker's. It is only stored to; all that
//! the writer needs to know it keeps for itself.

use sdvr_frame::{FrameFlags, StreamState};

use crate::copy;
use crate::layout::{
    BYTES_WORD, FRAME_ALIGNMENT, FrameMeta, Geometry, HEAD_WORD, LAST_KEY_WORD, LOST_WORD,
    RECLAIM_WORD, RETRANSMITTED_WORD, STATE_WORD, WORD_BYTES, Words, usize_of,
};
use crate::slot::{RECLAIMED, slot_fields, slot_words, store};
use crate::sync::{AtomicU64, Ordering, fence};

/// Figures that go on from one ring of a run to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunFigures {
    /// Frames.
    pub(crate) lost: u64,
    pub(crate) bytes: u64,
    /// As the word says it.
    pub(crate) retransmitted: u64,
}

/// The writer's private state: what it needs to know it never reads back.
#[derive(Debug)]
pub(crate) struct Publisher {
    geometry: Geometry,
    /// Frames published.
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

    /// Where the frame that is being written will end, counted from the beginning of all frames.
    pub(crate) fn reserved_end(&self) -> u64 {
        self.frame
            .as_ref()
            .map_or(self.position, |frame| frame.position + frame.length)
    }

    /// Goes on with frame `n`, as if those between had been overwritten, and so had all before: what is in the ring has no gap.
    pub(crate) fn skip_to(&mut self, words: Words<'_>, n: u64) {
        self.frame = None;
        self.published = n;
        self.reclaim = self.reclaim.max(self.position);
        // Relaxed: the next frame's fence and W6 order it; who sees it sooner only takes a frame for overwritten.
        store(words.control, RECLAIM_WORD, self.reclaim, Ordering::Relaxed);
        // As W6.
        store(words.control, HEAD_WORD, n, Ordering::Release);
    }

    /// Goes on with the figures of an earlier ring.
    pub(crate) fn set_figures(&mut self, words: Words<'_>, figures: RunFigures) {
        (self.lost, self.bytes) = (figures.lost, figures.bytes);
        for (word, value) in [
            (LOST_WORD, figures.lost),
            (BYTES_WORD, figures.bytes),
            (RETRANSMITTED_WORD, figures.retransmitted),
        ] {
            store(words.control, word, value, Ordering::Relaxed);
        }
    }

    /// Begins a frame; one that was begun before and not published is given up. False when it does not fit.
    pub(crate) fn begin(&mut self, words: Words<'_>, length: u64) -> bool {
        self.frame = None;
        let data_bytes = self.geometry.data_bytes;
        if length == 0 || length > self.geometry.frame_most_bytes() {
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
        store(words.control, RECLAIM_WORD, self.reclaim, Ordering::Relaxed);
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

    /// Gives up the frame that was begun, if one was. Its place is used again.
    pub(crate) fn abort(&mut self) {
        self.frame = None;
    }

    /// Adds the next bytes of the frame. False when there is no frame or they go past its end.
    pub(crate) fn write(&mut self, words: Words<'_>, bytes: &[u8]) -> bool {
        let Some(frame) = &mut self.frame else {
            return false;
        };
        if bytes.len() as u64 > frame.length - frame.written {
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
        store(words.control, HEAD_WORD, n + 1, Ordering::Release);
        self.position = frame.position + frame.length.next_multiple_of(FRAME_ALIGNMENT);
        self.published = n + 1;
        Some(n)
    }

    /// Figures for people. Relaxed: nothing hangs on them.
    fn count(&mut self, words: Words<'_>, meta: &FrameMeta, n: u64, length: u64) {
        // Whatever numbers a peer gives its frames.
        self.lost = self.lost.saturating_add(meta.missed);
        self.bytes = self.bytes.saturating_add(length);
        store(words.control, LOST_WORD, self.lost, Ordering::Relaxed);
        store(words.control, BYTES_WORD, self.bytes, Ordering::Relaxed);
        if meta.flags.contains(FrameFlags::KEY) {
            // Read before head, so it may name a frame that head does not have yet; readers check.
            store(words.control, LAST_KEY_WORD, n + 1, Ordering::Relaxed);
        }
    }

    /// Stores the state, which readers look at when the futex words change.
    pub(crate) fn store_state(&mut self, words: Words<'_>, state: StreamState) {
        // Pairs with the fence after a waiting reader's look at the state: it then sees the frames before it.
        store(
            words.control,
            STATE_WORD,
            state.number().into(),
            Ordering::Release,
        );
    }

    /// Makes every frame unreadable, before their memory is given back.
    pub(crate) fn reclaim_all(&mut self, words: Words<'_>) {
        self.frame = None;
        self.reclaim = RECLAIMED;
        store(words.control, RECLAIM_WORD, RECLAIMED, Ordering::Relaxed);
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
        // W2.
        copy::store_words(data.get(index..).unwrap_or_default(), whole);
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
