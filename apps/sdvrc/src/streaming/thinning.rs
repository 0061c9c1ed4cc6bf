//! Fewer frames where a link loses most of them: half of a camera's frames arrive by a link that is too slow for all, and of all none would be whole.
//!
//! A link that loses by chance loses some frames; one that is too slow loses a part of nearly every one. So it is the share of lost frames that
//! decides. Where that does not help, nothing is gained by sending everything.
//!
//! The session looks at packets in the same way, and at how long they take: it knows of a link that is overrun and of which frames are whole all
//! the same, since most of what is lost can be sent again. The stronger of both holds.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// Over so long losses are looked at.
const WINDOW: Duration = Duration::from_secs(1);
/// With fewer frames the share says little.
const FRAMES_LEAST: u64 = 4;
/// More lost frames of a hundred make it fewer, in so many windows in a row: a short outage does not.
const BAD_PERCENT: u64 = 35;
const BAD_WINDOWS: u32 = 2;
/// So many windows with hardly a lost frame make it more again, and twice as many each time that was too early, up to a minute.
const GOOD_PERCENT: u64 = 5;
const GOOD_WINDOWS: u32 = 5;
const GOOD_WINDOWS_MOST: u32 = 60;
/// One frame of so many is sent at least.
const EVERY_MOST: u64 = 16;

/// How many of the frames are sent.
#[derive(Debug)]
pub(super) struct Thinning {
    /// One of so many.
    every: u64,
    /// … and what the session advises.
    advised: u64,
    /// Frames that there were, sent or not.
    offered: u64,
    began: Option<Timestamp>,
    /// What was counted when the window began.
    arrived: u64,
    lost: u64,
    bad_windows: u32,
    good_windows: u32,
    /// So many are waited for.
    good_windows_wanted: u32,
}

impl Thinning {
    pub(super) const fn new() -> Self {
        Self {
            every: 1,
            advised: 1,
            offered: 0,
            began: None,
            arrived: 0,
            lost: 0,
            bad_windows: 0,
            good_windows: 0,
            good_windows_wanted: GOOD_WINDOWS,
        }
    }

    /// Whether the next frame is sent.
    pub(super) const fn takes_next(&mut self) -> bool {
        self.offered = self.offered.wrapping_add(1);
        self.offered.is_multiple_of(self.one_in())
    }

    /// One frame of so many is sent.
    pub(super) const fn one_in(&self) -> u64 {
        if self.every > self.advised {
            self.every
        } else {
            self.advised
        }
    }

    /// The session advises to send one frame of so many.
    pub(super) fn set_advised(&mut self, one_in: u32) {
        self.advised = u64::from(one_in).max(1);
    }

    /// What was lost until now was lost for another reason: all is sent again.
    pub(super) const fn begin_anew(&mut self) {
        *self = Self {
            offered: self.offered,
            arrived: self.arrived,
            lost: self.lost,
            ..Self::new()
        };
    }

    /// So many frames of the session have arrived, and so many were lost.
    pub(super) fn handle_report(&mut self, now: Timestamp, arrived: u64, lost: u64) {
        let Some(began) = self.began else {
            self.began = Some(now);
            (self.arrived, self.lost) = (arrived, lost);
            return;
        };
        let settled = (arrived + lost).saturating_sub(self.arrived + self.lost);
        if now < began + WINDOW || settled < FRAMES_LEAST {
            return;
        }
        let lost_percent = lost.saturating_sub(self.lost) * 100 / settled;
        self.began = Some(now);
        (self.arrived, self.lost) = (arrived, lost);
        if lost_percent > BAD_PERCENT {
            self.good_windows = 0;
            self.bad_windows += 1;
            if self.bad_windows >= BAD_WINDOWS {
                self.bad_windows = 0;
                // It was tried before whether more frames pass.
                if self.every > 1 || self.good_windows_wanted > GOOD_WINDOWS {
                    self.good_windows_wanted =
                        (self.good_windows_wanted * 2).min(GOOD_WINDOWS_MOST);
                }
                self.every = (self.every * 2).min(EVERY_MOST);
            }
            return;
        }
        self.bad_windows = 0;
        if lost_percent > GOOD_PERCENT {
            self.good_windows = 0;
            return;
        }
        self.good_windows += 1;
        if self.good_windows >= self.good_windows_wanted {
            self.good_windows = 0;
            if self.every == 1 {
                self.good_windows_wanted = GOOD_WINDOWS;
            } else {
                self.every /= 2;
                self.good_windows_wanted = (self.good_windows_wanted * 2).min(GOOD_WINDOWS_MOST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);

    /// Seconds of a camera with 32 frames a second, over a link that carries whole frames up to `carried` of them a second, and else none.
    /// Gives how many arrived in the last ten.
    fn run(thinning: &mut Thinning, seconds: u64, carried: u64) -> u64 {
        let mut before = 0;
        let (mut arrived, mut lost) = (0, 0);
        for second in 0..seconds {
            if second + 10 == seconds {
                before = arrived;
            }
            let sent = (0..32).filter(|_| thinning.takes_next()).count() as u64;
            if sent <= carried {
                arrived += sent;
            } else {
                lost += sent;
            }
            thinning.handle_report(NOW + Duration::from_secs(second), arrived, lost);
        }
        arrived - before
    }

    #[test]
    fn what_was_lost_for_another_reason_counts_no_more() {
        let mut thinning = Thinning::new();
        thinning.set_advised(4);
        let after = |seconds| NOW + Duration::from_secs(seconds);
        (0..4).for_each(|second| thinning.handle_report(after(second), 0, 30 * second));
        assert_eq!(thinning.one_in(), 4);
        thinning.begin_anew();
        assert_eq!(thinning.one_in(), 1);
        // What was still on its way is one bad window.
        thinning.handle_report(after(4), 10, 100);
        thinning.handle_report(after(5), 20, 120);
        (6..60).for_each(|second| thinning.handle_report(after(second), 30 * second, 120));
        assert_eq!(thinning.one_in(), 1);
    }

    #[test]
    fn all_frames_are_sent_over_a_link_that_carries_them() {
        assert_eq!(run(&mut Thinning::new(), 100, 32), 320);
    }

    #[test]
    fn over_a_link_that_is_too_slow_as_many_arrive_as_it_carries() {
        for (carried, expected) in [(31, 160), (16, 160), (9, 80), (2, 20)] {
            let arrived = run(&mut Thinning::new(), 100, carried);
            assert!(arrived >= expected / 2, "{carried}: {arrived}");
        }
    }

    #[test]
    fn the_stronger_of_two_reasons_holds() {
        let mut thinning = Thinning::new();
        thinning.set_advised(4);
        assert_eq!(thinning.one_in(), 4);
        let sent = (0..32).filter(|_| thinning.takes_next()).count();
        assert_eq!(sent, 8);
        for second in 0..20 {
            thinning.handle_report(NOW + Duration::from_secs(second), 0, 32 * second);
        }
        assert!(thinning.one_in() > 4, "{}", thinning.one_in());
        thinning.set_advised(1);
        assert!(thinning.one_in() > 4, "{}", thinning.one_in());
    }

    #[test]
    fn losses_by_chance_and_short_outages_change_nothing() {
        let mut thinning = Thinning::new();
        for second in 0..100 {
            let (arrived, lost) = (24 * second, 8 * second);
            thinning.handle_report(NOW + Duration::from_secs(second), arrived, lost);
            assert_eq!(thinning.every, 1);
        }
        let mut thinning = Thinning::new();
        thinning.handle_report(NOW, 0, 0);
        thinning.handle_report(NOW + Duration::from_secs(1), 0, 32);
        thinning.handle_report(NOW + Duration::from_secs(2), 32, 32);
        thinning.handle_report(NOW + Duration::from_secs(3), 32, 64);
        assert_eq!(thinning.every, 1);
    }

    #[test]
    fn when_the_link_is_fast_again_all_frames_are_sent_soon() {
        let mut thinning = Thinning::new();
        for second in 0..5 {
            thinning.handle_report(NOW + Duration::from_secs(second), 0, 32 * second);
        }
        assert!(thinning.every > 1);
        for second in 5..60 {
            let arrived = 16 * (second - 4);
            thinning.handle_report(NOW + Duration::from_secs(second), arrived, 128);
        }
        assert_eq!(thinning.every, 1);
    }
}
