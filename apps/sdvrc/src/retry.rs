//! How long to wait before the next try, and what was said of the last one.

use std::time::Duration;

use sdvr_frame::Timestamp;

const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MOST: Duration = Duration::from_secs(1);
/// How often the same problem is said again.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// A server that is overloaded, or that ends, hangs up at any moment.
const UNHEARD_BY_ACCIDENT: u32 = 4;

/// Problems said in that time: whoever is in between must not fill the disk.
const SAID_MOST: usize = 10;

/// The tries so far, since frames last arrived.
#[derive(Debug)]
pub(crate) struct Retry {
    back_off: Duration,
    /// What was said within the last minute, and when.
    said: Vec<(String, Timestamp)>,
    /// What needs to be said only once.
    said_once: Option<String>,
    /// How often the server has hung up when it had read the camera's key.
    times_unheard: u32,
}

impl Retry {
    pub(crate) const fn new() -> Self {
        Self {
            back_off: BACK_OFF_FIRST,
            said: Vec::new(),
            said_once: None,
            times_unheard: 0,
        }
    }

    /// Frames have arrived: the next problem is a new one.
    pub(crate) fn it_works(&mut self) {
        *self = Self::new();
    }

    /// Whether this problem should be said: not when it was within the last minute, were there others in between.
    pub(crate) fn is_news(&mut self, now: Timestamp, problem: &str) -> bool {
        self.said
            .retain(|(_, at)| now.saturating_since(*at) < SAY_AGAIN);
        let is_known = self.said.iter().any(|(said, _)| said == problem);
        let is_news = !is_known && self.said.len() < SAID_MOST;
        if is_news {
            self.said.push((problem.to_owned(), now));
        }
        is_news
    }

    /// Whether this is said for the first time since frames last arrived.
    pub(crate) fn is_first(&mut self, what: &str) -> bool {
        let is_first = self.said_once.as_deref() != Some(what);
        if is_first {
            self.said_once = Some(what.to_owned());
        }
        is_first
    }

    /// The server has hung up when it had read the camera's key: whether it has done so too often for an accident.
    pub(crate) const fn was_unheard(&mut self) -> bool {
        self.times_unheard = self.times_unheard.saturating_add(1);
        self.times_unheard > UNHEARD_BY_ACCIDENT
    }

    /// How long to wait now, and longer the next time. A random part of the time, at least half: cameras that lost one
    /// server must not come back all at once.
    pub(crate) fn wait(&mut self, asked_for: Option<Duration>) -> Duration {
        let wait = asked_for.unwrap_or(self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF_MOST);
        at_random_up_to(wait)
    }
}

/// A random part of the time, at least half.
pub(crate) fn at_random_up_to(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all of the time is waited.
    let share = if getrandom::fill(&mut random).is_ok() {
        u32::from(u16::from_ne_bytes(random))
    } else {
        0
    };
    wait.saturating_sub(wait / 2 * share / 65_536)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_seconds_and_begin_again_when_frames_have_arrived() {
        let mut retry = Retry::new();
        let mut most = BACK_OFF_FIRST;
        for _ in 0..20 {
            let wait = retry.wait(None);
            assert!(wait <= most && wait >= most / 2, "{wait:?} {most:?}");
            most = (most * 2).min(BACK_OFF_MOST);
        }
        assert_eq!(most, BACK_OFF_MOST);
        retry.it_works();
        assert!(retry.wait(None) <= BACK_OFF_FIRST);
        assert!(retry.wait(Some(Duration::from_secs(60))) >= Duration::from_secs(30));
    }

    #[test]
    fn the_same_problem_is_said_once_a_minute() {
        let mut retry = Retry::new();
        let start = Timestamp::from_nanoseconds(0);
        assert!(retry.is_news(start, "a"));
        assert!(!retry.is_news(start + Duration::from_secs(59), "a"));
        assert!(retry.is_news(start + Duration::from_secs(59), "b"));
        assert!(retry.is_news(start + Duration::from_secs(60), "a"));
        assert!(!retry.is_news(start + Duration::from_secs(61), "b"));
        assert!(retry.is_news(start + Duration::from_secs(120), "a"));
        let news = (0..100)
            .filter(|number| retry.is_news(start + Duration::from_secs(121), &number.to_string()));
        assert_eq!(news.count(), SAID_MOST - 1);
        retry.it_works();
        assert!(retry.is_news(start + Duration::from_secs(121), "a"));
    }

    #[test]
    fn a_server_that_hangs_up_again_and_again_is_left_alone_until_it_works() {
        let mut retry = Retry::new();
        for _ in 0..UNHEARD_BY_ACCIDENT {
            assert!(!retry.was_unheard());
        }
        assert!(retry.was_unheard() && retry.was_unheard());
        retry.it_works();
        assert!(!retry.was_unheard());
    }

    #[test]
    fn what_needs_to_be_said_once_is_said_again_only_after_it_had_worked() {
        let mut retry = Retry::new();
        assert!(retry.is_first("waiting"));
        assert!(!retry.is_first("waiting"));
        retry.it_works();
        assert!(retry.is_first("waiting"));
    }
}
