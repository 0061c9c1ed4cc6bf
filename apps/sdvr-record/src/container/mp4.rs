//! Fragmented MP4 (ISO/IEC 14496-12): what is coded, as browsers play it.

mod av1;
mod boxes;
mod codec;
mod fragment;
mod h265;
mod head;
mod index;
mod nal;
mod scan;

use super::fragment::{Added, Fragment};
use super::ticks::Ticks;
use super::{Key, Media, NotRecordable, Stretch};
use crate::sample::{About, UtcTime};
use fragment::Sample;

pub(super) use codec::Restorer;
pub(super) use index::ending;
pub(super) use scan::{can_be_one, is_cut_off, is_one, samples, scan};

/// The only track.
const TRACK: u32 = 1;
/// A fragment has at most so many bytes of frames before another frame is let in, and a frame at most so many: their sum is less than what 32 bits can
/// tell.
const MOST_BYTES: usize = 1 << 30;

/// Makes fragments.
#[derive(Debug)]
pub(super) struct Muxer {
    codec: codec::Codec,
    ticks: Ticks,
    /// Fragments that are done, and wait to be written.
    done: Vec<Vec<u8>>,
    stretches: Vec<Stretch>,
    done_bytes: u64,
    /// Where in the file the next one begins.
    end: u64,
    open: Open,
    sequence: u32,
}

/// The fragment that is being made.
#[derive(Debug, Default)]
struct Open {
    first: u64,
    /// Of the last one the duration is not known yet.
    samples: Vec<Sample>,
    key: Option<Key>,
    payload: Vec<u8>,
}

impl Muxer {
    /// The head of the file besides.
    pub(super) fn begin(
        about: &About,
        key_frame: &[u8],
        ticks: Ticks,
    ) -> Result<(Vec<u8>, Self), NotRecordable> {
        let codec = codec::Codec::of(about.format.fourcc, key_frame)?;
        let head = head::write(about, &codec)?;
        let muxer = Self {
            codec,
            ticks,
            done: Vec::new(),
            stretches: Vec::new(),
            done_bytes: 0,
            end: head.len() as u64,
            open: Open::default(),
            sequence: 0,
        };
        Ok((head, muxer))
    }

    pub(super) fn fits(&self, key_frame: &[u8]) -> bool {
        self.codec.knows_all(key_frame)
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.done_bytes
            .saturating_add(self.open.payload.len() as u64)
    }

    pub(super) fn add(&mut self, captured: UtcTime, is_key: bool, frame: &[u8]) -> Added {
        if frame.len() > MOST_BYTES {
            return Added::TooLarge;
        }
        if self.open.payload.len() > MOST_BYTES {
            self.close();
        }
        let before = self.open.payload.len();
        self.codec.append_sample(frame, &mut self.open.payload);
        let added = self.open.payload.len().saturating_sub(before);
        let Ok(bytes) = u32::try_from(added) else {
            self.open.payload.truncate(before);
            return Added::TooLarge;
        };
        if bytes == 0 {
            return Added::Empty;
        }
        let last = self.ticks.last();
        let ticks = self.ticks.next(captured);
        let interval = ticks.saturating_sub(last.unwrap_or(0));
        match (self.open.samples.last_mut(), u32::try_from(interval)) {
            (Some(before), Ok(duration)) => before.duration = duration,
            // Only the next fragment can begin so much later.
            (Some(_), Err(_)) => {
                let this = self.open.payload.split_off(before);
                self.close();
                self.open.payload = this;
                self.open.first = ticks;
            }
            (None, _) => self.open.first = ticks,
        }
        if is_key && self.open.key.is_none() {
            self.open.key = Some(Key {
                index: u32::try_from(self.open.samples.len()).unwrap_or(u32::MAX),
                captured: self.ticks.date(ticks),
            });
        }
        self.open.samples.push(Sample {
            duration: 0,
            bytes,
            is_key,
        });
        Added::Taken
    }

    /// Makes a fragment of what is open.
    fn close(&mut self) {
        let Open {
            first,
            mut samples,
            key,
            payload,
        } = std::mem::take(&mut self.open);
        let Some(last) = samples.last_mut() else {
            return;
        };
        last.duration = u32::try_from(self.ticks.interval()).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(1);
        let padding = fragment::padding(self.end, samples.len());
        let head = fragment::write(self.sequence, first, &samples, payload.len());
        let offset = self.end.saturating_add(padding.len() as u64);
        let bytes = (head.len() as u64).saturating_add(payload.len() as u64);
        self.stretches.push(Stretch {
            offset,
            bytes,
            first: self.ticks.date(first),
            frames: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            key,
        });
        let all_bytes = bytes.saturating_add(padding.len() as u64);
        self.done_bytes = self.done_bytes.saturating_add(all_bytes);
        self.end = self.end.saturating_add(all_bytes);
        let pieces = [padding, head, payload].into_iter();
        self.done.extend(pieces.filter(|piece| !piece.is_empty()));
    }

    /// What waits, which counts as written from now on.
    pub(super) fn take(&mut self, media: &mut Media) -> Fragment {
        self.close();
        for stretch in self.stretches.drain(..) {
            media.frames = media.frames.saturating_add(stretch.frames.into());
            media.stretches.push(stretch);
        }
        media.end = media
            .end
            .saturating_add(std::mem::take(&mut self.done_bytes));
        if let Some(last) = self.ticks.last() {
            media.last = Some(self.ticks.date(last));
            media.duration = last.saturating_add(self.ticks.interval().min(u32::MAX.into()));
        }
        Fragment::new(std::mem::take(&mut self.done))
    }
}
