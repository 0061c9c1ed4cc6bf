//! What was there before somebody wanted it: the newest frames of a camera, from a place on where decoding can begin.

use std::collections::VecDeque;
use std::time::Duration;

use super::taken::Taken;

/// Frames that wait for an event.
#[derive(Debug)]
pub(super) struct History {
    frames: VecDeque<Taken>,
    bytes: u64,
    /// How far back it is to reach.
    length: Duration,
    bytes_most: u64,
    /// Whether [`Self::take_shortened`] has to tell of it.
    is_shortened: bool,
}

impl History {
    pub(super) const fn new(length: Duration, bytes_most: u64) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            length,
            bytes_most,
            is_shortened: false,
        }
    }

    /// Adds the newest frame. What is older than need be goes, as far as one can begin with what is left.
    pub(super) fn push(&mut self, frame: Taken) {
        if self
            .frames
            .back()
            .is_some_and(|last| !last.goes_on_with(&frame))
        {
            // No file holds both.
            self.clear();
        }
        if self.frames.is_empty() && !frame.is_key {
            return;
        }
        self.bytes = self.bytes.saturating_add(frame.bytes.len() as u64);
        self.frames.push_back(frame);
        loop {
            let is_too_large = self.bytes > self.bytes_most;
            match self.second_key() {
                Some(key) if self.reaches_back_from(key) => self.drop_first(key),
                Some(key) if is_too_large => {
                    self.is_shortened = true;
                    self.drop_first(key);
                }
                // Nothing can begin in the middle: what comes until the next key frame is of no use.
                None if is_too_large && self.frames.len() > 1 => {
                    self.is_shortened = true;
                    self.clear();
                }
                _ => break,
            }
        }
    }

    /// All frames, oldest first.
    pub(super) fn take(&mut self) -> VecDeque<Taken> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }

    /// Whether it had to become shorter than wanted since this was asked last, for want of memory.
    pub(super) const fn take_shortened(&mut self) -> bool {
        std::mem::replace(&mut self.is_shortened, false)
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// Where the next frame is after the first with which one can begin.
    fn second_key(&self) -> Option<usize> {
        let mut later = self.frames.iter().skip(1);
        later
            .position(|frame| frame.is_key)
            .map(|at| at.saturating_add(1))
    }

    /// Whether the frames from this one on are all that is wanted.
    fn reaches_back_from(&self, at: usize) -> bool {
        let (Some(first), Some(newest)) = (self.frames.get(at), self.frames.back()) else {
            return false;
        };
        newest.captured.saturating_since(first.captured) >= self.length
    }

    fn drop_first(&mut self, count: usize) {
        let gone = self.frames.drain(..count.min(self.frames.len()));
        let bytes: u64 = gone.map(|frame| frame.bytes.len() as u64).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::taken::tests::taken;

    const S: Duration = Duration::from_secs(1);

    /// A frame a second, a key frame every fifth, of 100 bytes each.
    fn filled(length: Duration, bytes_most: u64, count: u64) -> History {
        let mut history = History::new(length, bytes_most);
        for n in 0..count {
            history.push(taken(n, n.is_multiple_of(5), &[0; 100]));
        }
        history
    }

    fn numbers(history: &mut History) -> Vec<u64> {
        history.take().iter().map(|frame| frame.number.0).collect()
    }

    #[test]
    fn it_reaches_back_to_the_key_frame_before_what_is_wanted_and_no_further() {
        let mut history = filled(7 * S, u64::MAX, 23);
        assert_eq!(numbers(&mut history), (15..23).collect::<Vec<_>>());
        let mut history = filled(8 * S, u64::MAX, 23);
        assert_eq!(numbers(&mut history), (10..23).collect::<Vec<_>>());
        assert!(!history.take_shortened());
    }

    #[test]
    fn it_begins_with_a_key_frame_or_not_at_all() {
        let mut history = History::new(10 * S, u64::MAX);
        history.push(taken(1, false, &[0]));
        history.push(taken(2, false, &[0]));
        assert!(numbers(&mut history).is_empty());
    }

    #[test]
    fn memory_is_bounded_and_it_says_so_once() {
        let mut history = filled(60 * S, 1_250, 23);
        assert_eq!(numbers(&mut history), (15..23).collect::<Vec<_>>());
        assert!(history.take_shortened());
        assert!(!history.take_shortened());
        // No second key frame: nothing is left that one could begin with.
        let mut history = filled(60 * S, 320, 4);
        assert!(numbers(&mut history).is_empty());
        assert!(history.take_shortened());
    }

    #[test]
    fn another_run_begins_anew() {
        let mut history = filled(60 * S, u64::MAX, 5);
        let mut other = taken(100, true, &[1]);
        other.instance = sdvr_frame::InstanceId([9; 16]);
        history.push(other);
        assert_eq!(numbers(&mut history), [100]);
    }
}
