//! The newest frames of a camera, for those who watch it: each has its own place in it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::messages::Kind;
use crate::packed::Packed;

/// Of inter-coded streams all frames since the key frame before the newest are kept, but no more bytes than these: who comes later than that waits for
/// the next key frame.
const KEPT_BYTES_MOST: usize = 32 << 20;
/// Likewise.
const KEPT_MOST: usize = 4096;

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Arc<Packed>>,
    /// How many came before the first of them.
    first: u64,
    bytes: usize,
    /// By the same count.
    newest_key: Option<u64>,
    is_inter_coded: bool,
}

/// Up to where somebody has taken frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    place: Place,
    /// How many were not taken because newer ones were there.
    pub(crate) skipped: u64,
}

#[derive(Clone, Debug)]
enum Place {
    /// Decoding can begin with a key frame that came as the so-manieth, or later.
    AwaitsKey { from: u64 },
    /// Everything before this one was taken or skipped.
    At {
        next: u64,
        /// How far behind the newest one it has been at best.
        lag_least: u64,
    },
}

impl Default for Place {
    fn default() -> Self {
        Self::AwaitsKey { from: 0 }
    }
}

impl Queue {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            frames: VecDeque::new(),
            first: 0,
            bytes: 0,
            newest_key: None,
            is_inter_coded: kind.is_inter_coded(),
        }
    }

    pub(super) fn push(&mut self, frame: Arc<Packed>) {
        let kept_from = match self.newest_key {
            _ if !self.is_inter_coded => self.end(),
            // Who is a few frames behind gets the rest of what was before it.
            Some(key) if frame.is_key => key,
            _ => self.first,
        };
        if frame.is_key {
            self.newest_key = Some(self.end());
        }
        self.bytes = self.bytes.saturating_add(frame.message.len());
        self.frames.push_back(frame);
        while self.first < kept_from
            || self.frames.len() > 1
                && (self.bytes > KEPT_BYTES_MOST || self.frames.len() > KEPT_MOST)
        {
            let Some(oldest) = self.frames.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.message.len());
            self.first = self.first.saturating_add(1);
        }
    }

    /// How many frames may be under way to somebody.
    pub(super) fn window(&self) -> usize {
        self.frames.back().map_or(1, |frame| frame.epoch.window)
    }

    /// How many frames came.
    fn end(&self) -> u64 {
        self.first.saturating_add(self.frames.len() as u64)
    }

    fn frame(&self, place: u64) -> Option<&Arc<Packed>> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.frames.get(index)
    }

    /// The next frame for somebody who can take one. Who is further behind than before by a second's frames goes on at the newest frame with which one can begin.
    pub(super) fn next(&self, position: &mut Position) -> Option<Arc<Packed>> {
        if !self.is_inter_coded {
            return self.newest(position);
        }
        let (next, lag_least) = match position.place {
            Place::At { next, lag_least } => (next, lag_least),
            Place::AwaitsKey { from } => {
                let key = self.newest_key.filter(|&key| key >= from.max(self.first))?;
                if from > 0 {
                    position.skipped = position.skipped.saturating_add(key.saturating_sub(from));
                }
                (key, u64::MAX)
            }
        };
        let lag = self.end().saturating_sub(next);
        let window = self.frames.back()?.epoch.window as u64;
        if next < self.first || lag > lag_least.saturating_add(window) {
            let newer_key = self.newest_key.filter(|&key| key > next.max(self.first));
            let from = newer_key.unwrap_or_else(|| self.end());
            position.skipped = position.skipped.saturating_add(from.saturating_sub(next));
            position.place = Place::AwaitsKey { from };
            return newer_key.and_then(|_| self.next(position));
        }
        let frame = Arc::clone(self.frame(next)?);
        position.place = Place::At {
            next: next.saturating_add(1),
            lag_least: lag_least.min(lag),
        };
        Some(frame)
    }

    fn newest(&self, position: &mut Position) -> Option<Arc<Packed>> {
        let newest = self.end().checked_sub(1)?;
        let next = match position.place {
            Place::At { next, .. } => next,
            Place::AwaitsKey { .. } => newest,
        };
        if newest < next {
            return None;
        }
        position.skipped = position.skipped.saturating_add(newest.saturating_sub(next));
        position.place = Place::At {
            next: newest.saturating_add(1),
            lag_least: 0,
        };
        self.frame(newest).map(Arc::clone)
    }
}
