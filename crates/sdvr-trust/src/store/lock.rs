//! The lock under which files are changed, and the locks of key files.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{FILE_FLAGS, FILE_MODE, KeyDirectory, check, io_error, open_error, stat};
use crate::error::TrustError;

const LOCK: &str = ".lock";
/// How long others may take to change a file. On a slow memory card, one change takes most of a second.
const LOCK_TIME: Duration = Duration::from_secs(10);
const LOCK_ASK_AGAIN: Duration = Duration::from_millis(2);

/// The lock of a directory, held while one of its files is changed.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl KeyDirectory {
    /// Takes the lock under which files are changed. Waits for whoever has it, but not for ever: a process may hold it that
    /// was stopped.
    pub(crate) fn lock(&self) -> Result<DirectoryLock, TrustError> {
        self.lock_within(LOCK_TIME)
    }

    /// The same, without waiting.
    pub(crate) fn lock_at_once(&self) -> Result<DirectoryLock, TrustError> {
        self.lock_within(Duration::ZERO)
    }

    fn lock_within(&self, time: Duration) -> Result<DirectoryLock, TrustError> {
        let path = self.file_path(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | FILE_FLAGS;
        let file = rustix::fs::openat(&self.directory, LOCK, flags, Mode::from_raw_mode(FILE_MODE))
            .map_err(|error| open_error(&path, error))?;
        check(&path, &stat(&path, &file)?, FileType::RegularFile)?;
        let until = Instant::now() + time;
        loop {
            if try_lock(&path, &file)? {
                return Ok(DirectoryLock { _file: file.into() });
            }
            if Instant::now() >= until {
                return Err(TrustError::Locked { path });
            }
            std::thread::sleep(LOCK_ASK_AGAIN);
        }
    }
}

/// Takes the lock of a file, which is free the moment its holder dies; false when somebody else has it, also within this
/// process. Others cannot disturb it: they may not even enter the directory.
pub(crate) fn try_lock(path: &Path, file: impl AsFd) -> Result<bool, TrustError> {
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(io_error("lock", path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::directory;
    use super::*;

    #[test]
    fn nobody_waits_for_ever_for_a_process_that_was_stopped() {
        let (_home, keys) = directory();
        let _held = keys.lock().unwrap();
        let refused = keys.lock_within(Duration::from_millis(20));
        assert!(matches!(refused, Err(TrustError::Locked { .. })));
    }
}
