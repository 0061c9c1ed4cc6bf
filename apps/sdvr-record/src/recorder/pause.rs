//! Nothing can be written: for how long it is waited, and what is said of it.

use std::path::Path;
use std::time::{Duration, Instant};

/// How soon it is tried again, and how late when that fails again and again.
const TRY_AGAIN_LEAST: Duration = Duration::from_secs(1);
const TRY_AGAIN_MOST: Duration = Duration::from_secs(30);
/// A disk that was full has to have room for so many times what it did not take.
const ROOM_FACTOR: u64 = 2;
const ROOM_LEAST_BYTES: u64 = 1 << 20;

/// While nothing can be written.
#[derive(Debug)]
pub(super) struct Pause {
    try_again: Instant,
    wait: Duration,
    /// Frames that were not recorded.
    pub(super) lost: u64,
    /// What has to be free before it is worth a try; `None` if the disk was not full.
    room_bytes: Option<u64>,
}

impl Pause {
    /// The disk did not take these bytes, if it was full.
    pub(super) fn new(not_taken_bytes: Option<u64>) -> Self {
        Self {
            try_again: Instant::now() + TRY_AGAIN_LEAST,
            wait: TRY_AGAIN_LEAST,
            lost: 0,
            room_bytes: not_taken_bytes.map(room_for),
        }
    }

    /// It was tried in vain.
    pub(super) fn prolong(&mut self, not_taken_bytes: Option<u64>) {
        self.wait = self.wait.saturating_mul(2).min(TRY_AGAIN_MOST);
        self.try_again = Instant::now() + self.wait;
        self.room_bytes = not_taken_bytes.map(room_for);
    }

    /// Whether it is worth a try to write into this folder.
    pub(super) fn may_try(&mut self, folder: &Path) -> bool {
        let now = Instant::now();
        if now < self.try_again {
            return false;
        }
        let Some(needed_bytes) = self.room_bytes else {
            return true;
        };
        let has_room = free_bytes(folder).is_none_or(|free| free >= needed_bytes);
        if !has_room {
            self.try_again = now + TRY_AGAIN_LEAST;
        }
        has_room
    }
}

fn room_for(bytes: u64) -> u64 {
    bytes.saturating_mul(ROOM_FACTOR).max(ROOM_LEAST_BYTES)
}

/// What a user may still write; `None` where the system does not tell.
fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_stays_full_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let mut pause = Pause::new(Some(u64::MAX));
        assert!(!pause.may_try(folder.path()), "not at once");
        pause.try_again = Instant::now();
        assert!(!pause.may_try(folder.path()), "no disk has so much");
        pause.prolong(None);
        assert_eq!(pause.wait, 2 * TRY_AGAIN_LEAST);
        pause.try_again = Instant::now();
        assert!(pause.may_try(folder.path()));
        for _ in 0..20 {
            pause.prolong(None);
        }
        assert_eq!(pause.wait, TRY_AGAIN_MOST);
    }
}
