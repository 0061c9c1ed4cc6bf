//! When a camera is asked for a key frame, and when one that cannot be asked is stopped and started for it.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Encoders are not asked more often.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// How long a key frame is waited for before a camera that cannot be asked is started anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// … and how long until that is done again, whatever comes in between: where the network takes no key frame, none helps.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// … where each time a server has come back, which would have no picture until then.
const RECONNECT_PAUSE: Duration = Duration::from_millis(1500);
/// A wish that was not said again for so long has ended, and the next one is another.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// The wish for a key frame, as far as there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRequest {
    wish: Option<Wish>,
    asked: Option<Timestamp>,
    restarted: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    since: Timestamp,
    renewed: Timestamp,
}

impl KeyRequest {
    /// A key frame is wanted; true when the encoder is to be asked now.
    pub(crate) fn want(&mut self, now: Timestamp) -> bool {
        let since = match self.wish {
            Some(wish) if now.saturating_since(wish.renewed) < FORGOTTEN => wish.since,
            _ => now,
        };
        self.wish = Some(Wish {
            since,
            renewed: now,
        });
        let is_soon = is_within(self.asked, now, ASK_PAUSE);
        if !is_soon {
            self.asked = Some(now);
        }
        !is_soon
    }

    /// The encoder cannot be asked; true when the camera is to be started anew now.
    pub(crate) fn wants_restart(&mut self, now: Timestamp) -> bool {
        let is_old = self
            .wish
            .is_some_and(|wish| now.saturating_since(wish.since) >= PATIENCE);
        is_old && self.may_restart(now, RESTART_PAUSE)
    }

    /// One is wanted at once, for a server that has nothing yet; true when the camera is to be started anew now.
    pub(crate) fn wants_restart_for_server(&mut self, now: Timestamp) -> bool {
        self.may_restart(now, RECONNECT_PAUSE)
    }

    fn may_restart(&mut self, now: Timestamp, pause: Duration) -> bool {
        let may = !is_within(self.restarted, now, pause);
        if may {
            self.restarted = Some(now);
        }
        may
    }

    /// One has come.
    pub(crate) const fn fulfilled(&mut self) {
        self.wish = None;
    }
}

fn is_within(at: Option<Timestamp>, now: Timestamp, time: Duration) -> bool {
    at.is_some_and(|at| now.saturating_since(at) < time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_nanoseconds((1_000_000 + milliseconds) * 1_000_000)
    }

    #[test]
    fn encoders_are_asked_twice_a_second() {
        let mut request = KeyRequest::default();
        let asked = (0..=30)
            .map(|frame| frame * 33)
            .filter(|time| request.want(at(*time)));
        assert_eq!(asked.collect::<Vec<_>>(), [0, 528]);
    }

    /// When a camera is started anew for a wish of each frame, where key frames come at these times.
    fn restarts(until: i64, key_frames: &[i64]) -> Vec<i64> {
        let mut request = KeyRequest::default();
        let times = (0..until).step_by(33);
        times
            .filter(|time| {
                let now = at(*time);
                if key_frames
                    .iter()
                    .any(|key| (time - 33..*time).contains(key))
                {
                    request.fulfilled();
                }
                request.want(now);
                request.wants_restart(now)
            })
            .collect()
    }

    #[test]
    fn a_camera_is_started_anew_after_a_while_and_not_again_and_again() {
        assert_eq!(restarts(12_000, &[]), [528, 5544, 10_560]);
        // Its first frame is a key frame, which did not get through.
        assert_eq!(restarts(5500, &[700]), [528]);
        // One comes in time.
        assert_eq!(restarts(1300, &[400, 850, 1200]), [0; 0]);
    }

    #[test]
    fn a_wish_that_ended_long_ago_does_not_make_the_next_one_older() {
        let mut request = KeyRequest::default();
        request.want(at(0));
        request.want(at(9000));
        assert!(!request.wants_restart(at(9000)));
    }
}
