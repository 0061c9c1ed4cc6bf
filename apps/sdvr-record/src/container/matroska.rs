//! Matroska (RFC 9559): all that MP4 does not hold, or that nobody looks for there.

mod cluster;
mod ebml;
mod head;
mod index;
mod scan;

use super::fragment::Fragment;
use super::ticks::{TICKS_PER_SECOND, Ticks};
use super::{Key, Media, Stretch};
use crate::sample::{About, UtcTime};

pub(super) use index::ending;
pub(super) use scan::{can_be_one, is_cut_off, is_one, samples, scan};

/// The only track.
const TRACK: u8 = 1;

/// A frame that is to be written apart: see [`Muxer::announce`].
#[derive(Debug)]
pub(super) struct Announced {
    /// As they will be after it.
    ticks: Ticks,
    time: u64,
    is_key: bool,
    pub(super) head: Vec<u8>,
    /// With the head.
    bytes: u64,
}

/// Makes clusters, one a frame.
#[derive(Debug)]
pub(super) struct Muxer {
    ticks: Ticks,
    /// Heads of clusters and frames in turn.
    pieces: Vec<Vec<u8>>,
    bytes: u64,
    /// Of each cluster its length, its time, and whether its frame is a key frame.
    clusters: Vec<(u64, u64, bool)>,
}

impl Muxer {
    /// The head of the file besides.
    pub(super) fn begin(about: &About, ticks: Ticks) -> (Vec<u8>, Self) {
        let muxer = Self {
            ticks,
            pieces: Vec::new(),
            bytes: 0,
            clusters: Vec::new(),
        };
        (head::write(about), muxer)
    }

    pub(super) const fn pending_bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn add(&mut self, captured: UtcTime, is_key: bool, frame: Vec<u8>) {
        let time = self.ticks.next(captured);
        let frame_bytes = frame.len() as u64;
        let head = cluster::write(time, is_key, frame_bytes);
        let bytes = frame_bytes.saturating_add(head.len() as u64);
        self.bytes = self.bytes.saturating_add(bytes);
        self.clusters.push((bytes, time, is_key));
        self.pieces.extend([head, frame]);
    }

    /// What comes before a frame that is written apart, if nothing waits.
    pub(super) fn announce(
        &self,
        captured: UtcTime,
        is_key: bool,
        frame_bytes: u64,
    ) -> Option<Announced> {
        if !self.pieces.is_empty() {
            return None;
        }
        let mut ticks = self.ticks.clone();
        let time = ticks.next(captured);
        let head = cluster::write(time, is_key, frame_bytes);
        Some(Announced {
            bytes: frame_bytes.saturating_add(head.len() as u64),
            ticks,
            time,
            is_key,
            head,
        })
    }

    /// It was written.
    pub(super) fn wrote(&mut self, announced: Announced, media: &mut Media) {
        self.ticks = announced.ticks;
        self.clusters
            .push((announced.bytes, announced.time, announced.is_key));
        self.take(media);
    }

    /// What waits, which counts as written from now on.
    pub(super) fn take(&mut self, media: &mut Media) -> Fragment {
        let frames = self.clusters.len() as u64;
        for (bytes, time, is_key) in self.clusters.drain(..) {
            went_on(media, &self.ticks, bytes, time, is_key);
        }
        if let Some(last) = self.ticks.last() {
            media.duration = last.saturating_add(self.ticks.interval());
        }
        self.bytes = 0;
        Fragment::new(frames, std::mem::take(&mut self.pieces))
    }
}

/// Counts a cluster. A stretch is of a second or more, and begins at a key frame.
fn went_on(media: &mut Media, ticks: &Ticks, bytes: u64, time: u64, is_key: bool) {
    let captured = ticks.date(time);
    let is_new = match media.stretches.last() {
        Some(stretch) => {
            let second_ns = i64::from(TICKS_PER_SECOND).saturating_mul(super::ticks::NS_PER_TICK);
            is_key && captured.0.saturating_sub(stretch.first.0) >= second_ns
        }
        None => true,
    };
    if is_new {
        media.stretches.push(Stretch {
            offset: media.end,
            bytes: 0,
            first: captured,
            frames: 0,
            key: is_key.then_some(Key { index: 0, captured }),
        });
    }
    if let Some(stretch) = media.stretches.last_mut() {
        stretch.bytes = stretch.bytes.saturating_add(bytes);
        stretch.frames = stretch.frames.saturating_add(1);
    }
    media.end = media.end.saturating_add(bytes);
    media.frames = media.frames.saturating_add(1);
    media.last = Some(captured);
}
