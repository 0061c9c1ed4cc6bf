//! How much a source that can wait may send before the server has read it.
//!
//! The server answers a question in the order in which it reads: what was sent before the question is then in no socket's buffer any more.

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::Timestamp;

/// What may be on the way in any case: what the kernel of a host that was not prepared holds for a socket …
const WINDOW_LEAST_BYTES: u128 = 64 << 10;
/// … or so much in each second of a round trip.
const WINDOW_BYTES_PER_SECOND: u128 = 8 << 20;
/// A question is asked again when it was not answered in four round trips, and so long.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// What was sent so long before the server was heard is not on its way.
const FORGOTTEN_NS: i64 = 2_000_000_000;

/// Frames that were sent and of which the server has not said that what came of them was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    frames: VecDeque<(Timestamp, usize)>,
    bytes: usize,
    /// When the server was asked last.
    asked: Option<Timestamp>,
}

impl Window {
    pub(super) fn push(&mut self, now: Timestamp, bytes: usize) {
        self.frames.push_back((now, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The server was heard, and what it has answered was asked at `answered`.
    pub(super) fn handle_heard(&mut self, heard: Timestamp, answered: Option<Timestamp>) {
        let forgotten = heard.offset_by(-FORGOTTEN_NS);
        let read = answered.map_or(forgotten, |answered| answered.max(forgotten));
        while let Some(&(sent, bytes)) = self.frames.front()
            && sent <= read
        {
            self.frames.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// The server is asked now.
    pub(super) const fn note_question(&mut self, now: Timestamp) {
        self.asked = Some(now);
    }

    /// When the server is to be asked.
    pub(super) fn ask_at(&self, round_trip: Duration) -> Timestamp {
        if !self.is_full(round_trip) {
            return Timestamp::NEVER;
        }
        let newest = self.frames.back().map(|(sent, _)| *sent);
        match self.asked {
            Some(asked) if newest <= Some(asked) => asked + round_trip * 4 + ASK_AGAIN,
            // What was asked is not about the frames that were sent afterwards.
            Some(_) | None => Timestamp::from_nanoseconds(0),
        }
    }

    /// Whether no other frame may be sent now.
    pub(super) fn is_full(&self, round_trip: Duration) -> bool {
        let on_the_way = round_trip
            .as_micros()
            .saturating_mul(WINDOW_BYTES_PER_SECOND)
            / 1_000_000;
        self.bytes as u128 >= on_the_way.max(WINDOW_LEAST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
    const SHORT: Duration = Duration::from_micros(200);

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_full_window_is_asked_about_until_it_is_answered() {
        let mut window = Window::default();
        window.push(NOW, 40_000);
        assert!(!window.is_full(SHORT));
        assert_eq!(window.ask_at(SHORT), Timestamp::NEVER);
        window.push(after(1), 40_000);
        assert!(window.is_full(SHORT) && window.ask_at(SHORT) <= after(1));
        window.note_question(after(1));
        let again = window.ask_at(SHORT);
        assert!(again > after(50) && again < after(60), "{again:?}");
        // An answer to what was asked before tells nothing of what was sent then.
        window.handle_heard(after(2), Some(NOW));
        assert!(!window.is_full(SHORT));
        window.push(after(2), 40_000);
        assert!(window.ask_at(SHORT) <= after(2), "about the newest one");
        window.note_question(after(2));
        window.handle_heard(after(3), Some(after(2)));
        assert_eq!((window.frames.len(), window.bytes), (0, 0));
    }

    #[test]
    fn a_long_way_holds_more_and_nobody_asks_about_what_is_long_over() {
        let mut window = Window::default();
        window.push(NOW, 400_000);
        assert!(window.is_full(Duration::from_millis(40)));
        assert!(!window.is_full(Duration::from_millis(60)));
        window.handle_heard(after(1999), None);
        assert!(window.is_full(SHORT));
        window.handle_heard(after(2000), None);
        assert!(!window.is_full(SHORT));
    }
}
