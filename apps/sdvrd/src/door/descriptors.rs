//! How many descriptors strangers may have: only what admitted cameras, their rings and the files of keys leave.

use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use sdvr_frame::Timestamp;

/// Strangers at a time, however many descriptors there are.
pub(super) const STRANGERS_MOST: usize = 4096;
/// What a ring takes: its file and its directory. A stranger is let in only where a ring has room, too.
const RING_DESCRIPTORS: usize = 2;
/// Free beside all that, for further streams, rings that are replaced, and the files of keys.
const KEPT_MOST: usize = 256;
const KEPT_LEAST: usize = 12;
/// How often what is open is counted, and how often where that means to list it.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);
const LIST_INTERVAL: Duration = Duration::from_secs(1);

/// The process's descriptors, as the door knows them.
#[derive(Debug)]
pub(crate) struct Descriptors {
    limit: usize,
    /// At the last count, with what the door did since.
    open: usize,
    /// Not open yet: for the rings of cameras that were admitted since the last count, and before it.
    promised: [usize; 2],
    next_count: Timestamp,
}

impl Descriptors {
    /// Raises the limit as far as the system allows.
    pub(crate) fn raised() -> Self {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // The limit as it is also works, for fewer cameras.
        let _ = rustix::process::setrlimit(Resource::Nofile, raised);
        let limit = rustix::process::getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self::of(limit, Timestamp::now())
    }

    const fn of(limit: usize, now: Timestamp) -> Self {
        Self {
            limit,
            open: 0,
            promised: [0; 2],
            next_count: now,
        }
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) const fn open(&self) -> usize {
        self.open
    }

    pub(super) const fn opened(&mut self) {
        self.open = self.open.saturating_add(1);
    }

    pub(super) const fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// A stranger was admitted: it keeps its descriptor, and its shard will open a ring.
    pub(super) const fn admitted(&mut self) {
        let [new, _] = &mut self.promised;
        *new = new.saturating_add(RING_DESCRIPTORS);
    }

    /// Counts what is open, if that is due.
    pub(super) fn count(&mut self, now: Timestamp) {
        if now < self.next_count {
            return;
        }
        let (open, interval) = match count_open() {
            Some((open, interval)) => (open, interval),
            // Without /proc, the door's own book is all there is.
            None => (self.open, COUNT_INTERVAL),
        };
        self.next_count = now + interval;
        self.open = open;
        let [new, _] = self.promised;
        self.promised = [0, new];
    }

    /// How many strangers there may be, of whom `strangers` are here.
    pub(super) fn strangers_most(&self, strangers: usize) -> usize {
        let kept = (self.limit / 8).clamp(KEPT_LEAST, KEPT_MOST);
        let taken = self.open.saturating_sub(strangers);
        let promised: usize = self.promised.iter().sum();
        let room = self.limit.saturating_sub(taken + promised + kept);
        (room / (1 + RING_DESCRIPTORS))
            .min(self.limit / 4)
            .min(STRANGERS_MOST)
    }
}

/// How many descriptors are open, and when to look again.
fn count_open() -> Option<(usize, Duration)> {
    const LIST: &str = "/proc/self/fd";
    // From Linux 6.2 on the directory's size is the number.
    let size = rustix::fs::stat(LIST).ok()?.st_size;
    match usize::try_from(size) {
        Ok(open) if open > 0 => Some((open, COUNT_INTERVAL)),
        _ => Some((std::fs::read_dir(LIST).ok()?.count(), LIST_INTERVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    fn strangers_most(limit: usize, open: usize, strangers: usize) -> usize {
        let mut descriptors = Descriptors::of(limit, NOW);
        descriptors.open = open;
        descriptors.strangers_most(strangers)
    }

    #[test]
    fn strangers_are_bounded_whatever_the_limit() {
        assert_eq!(strangers_most(usize::MAX, 20, 0), 4096);
        assert_eq!(strangers_most(1 << 20, 20, 0), 4096);
        assert_eq!(strangers_most(1024, 20, 0), 256);
        assert_eq!(strangers_most(64, 16, 0), 12);
        for limit in 0..5_000 {
            let most = strangers_most(limit, 16, 0);
            assert!(most <= limit / 4, "{most} of {limit}");
        }
    }

    /// Cameras come one by one until there is no room: all of them have had a ring, and strangers have yielded.
    #[test]
    fn strangers_yield_to_the_rings_of_cameras() {
        for limit in [40, 64, 100, 1024, 4096] {
            let mut descriptors = Descriptors::of(limit, NOW);
            descriptors.open = 16;
            let mut strangers = 0;
            for cameras in 0.. {
                let most = descriptors.strangers_most(strangers);
                while strangers < most {
                    descriptors.opened();
                    strangers += 1;
                }
                while strangers > most {
                    descriptors.closed();
                    strangers -= 1;
                }
                if strangers == 0 {
                    // What is left is what is kept, and less than one more camera takes.
                    let open = 16 + 3 * cameras;
                    assert_eq!(descriptors.open, open);
                    assert!(limit - open >= KEPT_LEAST && limit - open < limit / 8 + 16);
                    break;
                }
                // One of them is admitted and gets its ring.
                strangers -= 1;
                descriptors.opened();
                descriptors.opened();
                assert!(
                    descriptors.open + KEPT_LEAST <= limit,
                    "{limit}: {descriptors:?}"
                );
            }
        }
    }

    #[test]
    fn what_an_admitted_camera_will_open_is_counted_until_it_has() {
        let mut descriptors = Descriptors::of(64, NOW);
        descriptors.open = 34;
        assert_eq!(descriptors.strangers_most(0), 6);
        descriptors.admitted();
        descriptors.admitted();
        assert_eq!(descriptors.strangers_most(0), 4);
        // The next count may come before the ring is there.
        descriptors.count(NOW);
        descriptors.open = 34;
        assert_eq!(descriptors.strangers_most(0), 4);
        descriptors.count(NOW + LIST_INTERVAL);
        descriptors.open = 38;
        assert_eq!(descriptors.strangers_most(0), 4);
    }

    #[test]
    fn what_is_open_is_counted() {
        let (before, _) = count_open().unwrap();
        let files: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        let (after, _) = count_open().unwrap();
        // Other tests open some, too.
        assert!(
            after.abs_diff(before + files.len()) < 25,
            "{before} {after}"
        );
    }
}
