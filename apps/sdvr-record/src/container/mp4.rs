//! Fragmented MP4 (ISO/IEC 14496-12): what is coded, as browsers play it.

mod av1;
mod boxes;
mod codec;
mod fragment;
mod h265;
mod head;
mod index;
mod nal;
mod order;
mod scan;

use super::fragment::{Added, Fragment};
use super::ticks::{TICKS_PER_SECOND, Ticks};
use super::{Key, Media, NotRecordable, Stretch};
use crate::sample::{About, UtcTime};
use fragment::Sample;
use order::{Order, Shown};

pub(super) use codec::Restorer;
pub(super) use index::ending;
pub(super) use scan::{can_be_one, is_cut_off, is_one, samples, scan};

/// The only track.
const TRACK: u32 = 1;
/// A fragment has at most so many bytes of frames before another frame is let in, and a frame at most so many: their sum is less than what 32 bits can
/// tell.
const MOST_BYTES: usize = 1 << 30;

/// Frames that are shown before the time at which they are decoded are said to be shown so much later, and the track to begin so much later: many readers have no
/// use for offsets below zero, and ffmpeg moves all times of a film for them. There are some only where a gap within a group of pictures is longer, and in streams
/// of which it shows late that they have such frames, as they do not say so in the beginning.
const LEAD_TICKS: u32 = TICKS_PER_SECOND;

/// Makes fragments.
#[derive(Debug)]
pub(super) struct Muxer {
    codec: codec::Codec,
    ticks: Ticks,
    order: Order,
    /// How much later than it should each frame is said to be shown.
    lead: u32,
    /// Fragments that are done, and wait to be written.
    done: Vec<Vec<u8>>,
    stretches: Vec<Stretch>,
    done_bytes: u64,
    /// The times of the last frame in them, and of its end.
    ends: Option<(u64, u64)>,
    /// Where in the file the next one begins.
    end: u64,
    open: Open,
    sequence: u32,
}

/// The fragment that is being made.
#[derive(Debug, Default)]
struct Open {
    frames: Vec<Frame>,
    payload: Vec<u8>,
    /// How many frames of the file come before.
    before: u64,
}

/// A frame in it.
#[derive(Clone, Copy, Debug)]
struct Frame {
    time: u64,
    /// If that is settled. Only then it can be written.
    shown: Option<u64>,
    bytes: u32,
    is_key: bool,
}

impl Muxer {
    /// The head of the file besides.
    pub(super) fn begin(
        about: &About,
        key_frame: &[u8],
        ticks: Ticks,
    ) -> Result<(Vec<u8>, Self), NotRecordable> {
        let codec = codec::Codec::of(about.format.fourcc, key_frame)?;
        let order = Order::of(&codec);
        let lead = if order.is_as_sent() { 0 } else { LEAD_TICKS };
        let head = head::write(about, &codec, lead)?;
        let muxer = Self {
            order,
            lead,
            codec,
            ticks,
            done: Vec::new(),
            stretches: Vec::new(),
            done_bytes: 0,
            ends: None,
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
            self.close_all();
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
        let time = self.ticks.next(captured);
        let last = self.open.frames.last().map_or(time, |last| last.time);
        // Only another fragment can begin so much later.
        if i32::try_from(time.saturating_sub(last)).is_err() {
            let this = self.open.payload.split_off(before);
            self.close_all();
            self.open.payload = this;
        }
        let shown = self.order.push(frame, time);
        self.open.frames.push(Frame {
            time,
            shown: None,
            bytes,
            is_key,
        });
        self.open.settle(&shown);
        Added::Taken
    }

    fn close_all(&mut self) {
        let shown = self.order.settle_all();
        self.open.settle(&shown);
        self.close();
    }

    /// Makes a fragment of what is open and settled.
    fn close(&mut self) {
        let (frames, payload) = self.open.take_settled();
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return;
        };
        let ends = match self.open.frames.first() {
            Some(next) => next.time,
            None => {
                let interval = self.ticks.interval().min(u32::MAX.into());
                last.time.saturating_add(interval)
            }
        };
        self.ends = Some((last.time, ends));
        let next_times = frames.iter().skip(1).map(|frame| frame.time);
        let samples: Vec<Sample> = frames
            .iter()
            .zip(next_times.chain([ends]))
            .map(|(frame, next)| frame.sample(next, self.lead))
            .collect();
        let key = frames.iter().enumerate().find(|(_, frame)| frame.is_key);
        self.sequence = self.sequence.wrapping_add(1);
        let padding = fragment::padding(self.end, &samples);
        let head = fragment::write(self.sequence, first.time, &samples, payload.len());
        let offset = self.end.saturating_add(padding.len() as u64);
        let bytes = (head.len() as u64).saturating_add(payload.len() as u64);
        self.stretches.push(Stretch {
            offset,
            bytes,
            first: self.ticks.date(first.time),
            frames: u32::try_from(samples.len()).unwrap_or(u32::MAX),
            key: key.map(|(index, frame)| Key {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                captured: self.ticks.date(frame.time),
            }),
        });
        let all_bytes = bytes.saturating_add(padding.len() as u64);
        self.done_bytes = self.done_bytes.saturating_add(all_bytes);
        self.end = self.end.saturating_add(all_bytes);
        let pieces = [padding, head, payload].into_iter();
        self.done.extend(pieces.filter(|piece| !piece.is_empty()));
    }

    /// What waits, all of it or as far as it is settled; it counts as written from now on.
    pub(super) fn take(&mut self, is_all: bool, media: &mut Media) -> Fragment {
        if is_all {
            self.close_all();
        } else {
            self.close();
        }
        let mut frames = 0_u64;
        for stretch in self.stretches.drain(..) {
            frames = frames.saturating_add(stretch.frames.into());
            media.stretches.push(stretch);
        }
        media.frames = media.frames.saturating_add(frames);
        media.end = media
            .end
            .saturating_add(std::mem::take(&mut self.done_bytes));
        if let Some((last, ends)) = self.ends {
            media.last = Some(self.ticks.date(last));
            media.duration = ends;
        }
        Fragment::new(frames, std::mem::take(&mut self.done))
    }
}

impl Open {
    /// When these are shown is known now.
    fn settle(&mut self, shown: &[Shown]) {
        for (number, time) in shown {
            let index = number.saturating_sub(self.before);
            let frame = usize::try_from(index)
                .ok()
                .and_then(|index| self.frames.get_mut(index));
            if let Some(frame) = frame {
                frame.shown = Some(*time);
            }
        }
    }

    /// The frames up to the first that is not settled, and their bytes.
    fn take_settled(&mut self) -> (Vec<Frame>, Vec<u8>) {
        let is_settled = |frame: &Frame| frame.shown.is_some();
        let mut frames = std::mem::take(&mut self.frames);
        let count = frames.iter().take_while(|frame| is_settled(frame)).count();
        self.frames = frames.split_off(count);
        self.before = self.before.saturating_add(count as u64);
        let bytes: u64 = frames.iter().map(|frame| u64::from(frame.bytes)).sum();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let rest = self.payload.split_off(bytes.min(self.payload.len()));
        (frames, std::mem::replace(&mut self.payload, rest))
    }
}

impl Frame {
    /// As a file has it, which says of all frames that they are shown `lead` later: the next frame comes at `next`.
    fn sample(&self, next: u64, lead: u32) -> Sample {
        let duration = next.saturating_sub(self.time);
        let shown = self.shown.unwrap_or(self.time);
        let later = i64::try_from(shown)
            .unwrap_or(i64::MAX)
            .saturating_sub_unsigned(self.time)
            .saturating_add(lead.into());
        let most = if later < 0 { i32::MIN } else { i32::MAX };
        Sample {
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
            bytes: self.bytes,
            is_key: self.is_key,
            shown_later: i32::try_from(later).unwrap_or(most),
        }
    }
}
