//! Up to when a thread has taken in what came, so that no frame is late because the thread was.
//!
//! ```text
//! in the socket:    ▁▁▁▂▄▆█▆▄▂▁▁▁
//! the thread:       ────▌stalled▐─────
//! heard until:      ────────────  ────   it stands still until the socket is empty again
//! ```

use std::time::Duration;

use sdvr_frame::Timestamp;

use crate::ingest::Moment;

/// Whoever sends so much that the sockets are never empty does not keep frames from being given up for longer.
const BEHIND_MOST: Duration = Duration::from_millis(250);

/// A thread and the sockets that it takes datagrams from.
#[derive(Debug)]
pub(super) struct Hearing {
    until: Timestamp,
    /// Since when something was left in a socket after each turn.
    behind_since: Option<Timestamp>,
}

impl Hearing {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            until: now,
            behind_since: None,
        }
    }

    /// This moment, as sessions are told of it.
    pub(super) const fn moment(&self, now: Timestamp) -> Moment {
        Moment {
            now,
            heard_until: self.until,
        }
    }

    /// A turn of work that began then has taken all that there was in the sockets, or a part.
    pub(super) fn turn(&mut self, began: Timestamp, is_part: bool) {
        if is_part {
            let behind_since = *self.behind_since.get_or_insert(began);
            if began < behind_since + BEHIND_MOST {
                return;
            }
        } else {
            self.behind_since = None;
        }
        self.until = began;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    fn after(milliseconds: u64) -> Timestamp {
        START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn time_stands_still_until_the_sockets_are_empty() {
        let mut hearing = Hearing::new(START);
        hearing.turn(after(10), false);
        assert_eq!(hearing.until, after(10));
        // The thread did not get to run.
        for turn in 210..215 {
            hearing.turn(after(turn), true);
            assert_eq!(hearing.until, after(10));
        }
        hearing.turn(after(215), false);
        assert_eq!(hearing.until, after(215));
    }

    #[test]
    fn sockets_that_are_never_empty_do_not_stop_it_for_long() {
        let mut hearing = Hearing::new(START);
        for turn in 0..1_000 {
            hearing.turn(after(turn), true);
            let behind = after(turn).saturating_since(hearing.until);
            assert!(behind < BEHIND_MOST, "{behind:?}");
        }
        assert_eq!(hearing.until, after(999));
    }
}
