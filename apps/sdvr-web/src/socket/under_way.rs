//! Frames on their way to a page, and how many there may be.
//!
//! A window's frames are too many where the network keeps more than it passes on: routers hold back seconds of them, and what a page shows is then as old. A page
//! whose answers are late is therefore sent less at a time, until they are not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// However late a page is: one frame that it shows, and one on its way meanwhile.
const LEAST: usize = 2;
/// An answer is late when it took longer than the quickest by this. (A page may keep it for half a second by itself.)
const LATE: Duration = Duration::from_millis(750);
/// So late it is too, whatever the quickest took: no network is that far away.
const ALWAYS_LATE: Duration = Duration::from_secs(2);

/// A frame that was sent and not shown.
#[derive(Debug)]
struct Sent {
    epoch: u32,
    number: u64,
    at: Instant,
}

/// Of one camera, to one page.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// In the order in which they were sent.
    frames: VecDeque<Sent>,
    room: Room,
    quickest: Duration,
}

/// For how many frames.
#[derive(Debug)]
enum Room {
    /// A whole window.
    Window,
    /// Answers have been late.
    Less {
        frames: usize,
        /// What was sent before is late for what was done about already.
        since: Instant,
    },
}

impl UnderWay {
    pub(super) const fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            room: Room::Window,
            quickest: Duration::MAX,
        }
    }

    /// Whether one more may be sent.
    pub(super) fn has_room(&self, window: usize) -> bool {
        let room = match self.room {
            Room::Window => window,
            Room::Less { frames, .. } => frames.min(window),
        };
        self.frames.len() < room
    }

    pub(super) fn send(&mut self, epoch: u32, number: u64, now: Instant) {
        let at = now;
        self.frames.push_back(Sent { epoch, number, at });
    }

    /// A frame was shown, and with it all that were sent before. Nothing, if it is not under way.
    pub(super) fn handle_shown(&mut self, epoch: u32, number: u64, now: Instant) {
        let is_it = |sent: &Sent| (sent.epoch, sent.number) == (epoch, number);
        let Some(place) = self.frames.iter().position(is_it) else {
            return;
        };
        let there_were = self.frames.len();
        let Some(sent) = self.frames.drain(..=place).next_back() else {
            return;
        };
        let took = now.saturating_duration_since(sent.at);
        self.quickest = self.quickest.min(took);
        let is_late = took > self.quickest.saturating_add(LATE).min(ALWAYS_LATE);
        match &mut self.room {
            Room::Less { since, .. } if is_late && sent.at < *since => {}
            room if is_late => {
                *room = Room::Less {
                    frames: (there_were / 2).max(LEAST),
                    since: now,
                };
            }
            Room::Window => {}
            Room::Less { frames, .. } => *frames = frames.saturating_add((*frames / 4).max(1)),
        }
    }

    /// What is under way is of no use to the page any more.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 30;
    const ROUND: Duration = Duration::from_millis(40);

    /// A page behind a network, by a clock that a test moves.
    struct Page {
        under_way: UnderWay,
        now: Instant,
        count: u64,
    }

    impl Page {
        fn new() -> Self {
            Self {
                under_way: UnderWay::new(),
                now: Instant::now(),
                count: 0,
            }
        }

        /// Sends what there is room for, and says how many that were.
        fn fill(&mut self) -> usize {
            let mut sent = 0;
            while self.under_way.has_room(WINDOW) {
                self.count += 1;
                self.under_way.send(1, self.count, self.now);
                sent += 1;
            }
            sent
        }

        /// All that is under way is shown, so much later.
        fn show_after(&mut self, time: Duration) {
            self.now += time;
            self.under_way.handle_shown(1, self.count, self.now);
        }
    }

    #[test]
    fn who_answers_in_time_has_a_window_however_far_away() {
        for round in [ROUND, Duration::from_millis(900)] {
            let mut page = Page::new();
            for _ in 0..100 {
                assert_eq!(page.fill(), WINDOW);
                page.show_after(round);
                assert_eq!(page.fill(), WINDOW);
                // It has waited for more to say.
                page.show_after(round + Duration::from_millis(500));
            }
        }
    }

    #[test]
    fn who_is_late_gets_less_and_more_again_when_it_is_not() {
        let mut page = Page::new();
        page.fill();
        page.show_after(ROUND);
        for room in [30, 15, 7, 3, 2, 2, 2] {
            assert_eq!(page.fill(), room);
            page.show_after(ROUND + LATE + ROUND);
        }
        for room in [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 30, 30] {
            assert_eq!(page.fill(), room);
            page.show_after(ROUND);
        }
    }

    #[test]
    fn what_was_sent_before_there_was_less_room_makes_no_less() {
        let mut page = Page::new();
        page.fill();
        page.show_after(ROUND);
        page.fill();
        // One answer after the other, all of them late.
        page.now += Duration::from_secs(1);
        for number in 31..=60 {
            page.under_way.handle_shown(1, number, page.now);
        }
        assert_eq!(page.fill(), 15);
    }

    #[test]
    fn a_page_that_has_always_been_late_is_late() {
        let mut page = Page::new();
        for room in [30, 15, 7] {
            assert_eq!(page.fill(), room);
            page.show_after(Duration::from_secs(3));
        }
    }

    #[test]
    fn what_is_not_under_way_changes_nothing() {
        let mut page = Page::new();
        page.fill();
        page.now += Duration::from_secs(60);
        page.under_way.handle_shown(2, 1, page.now);
        page.under_way.handle_shown(1, 31, page.now);
        assert_eq!(page.fill(), 0);
        page.under_way.clear();
        assert_eq!(page.fill(), WINDOW);
    }
}
