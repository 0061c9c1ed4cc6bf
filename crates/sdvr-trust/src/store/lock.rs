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
/// How long one waits who must not wait.
const BRIEF_LOCK_TIME: Duration = Duration::from_millis(50);
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
        let path = self.file_path(LOCK);
        self.lock_within(LOCK_TIME)?
            .ok_or(TrustError::Locked { path })
    }

    /// The same for who has other things to do, and asks again later.
    pub(crate) fn lock_briefly(&self) -> Result<DirectoryLock, TrustError> {
        self.lock_within(BRIEF_LOCK_TIME)?
            .ok_or_else(|| self.busy())
    }

    /// What is said of a lock that others have.
    pub(crate) fn busy(&self) -> TrustError {
        TrustError::Busy {
            path: self.file_path(LOCK),
        }
    }

    /// Nothing when somebody else has it all that time.
    fn lock_within(&self, time: Duration) -> Result<Option<DirectoryLock>, TrustError> {
        let path = self.file_path(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | FILE_FLAGS;
        let file = rustix::fs::openat(&self.directory, LOCK, flags, Mode::from_raw_mode(FILE_MODE))
            .map_err(|error| open_error(&path, error))?;
        check(&path, &stat(&path, &file)?, FileType::RegularFile)?;
        let until = Instant::now() + time;
        loop {
            if try_lock(&path, &file)? {
                return Ok(Some(DirectoryLock { _file: file.into() }));
            }
            if Instant::now() >= until {
                return Ok(None);
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
        let refused = keys.lock_within(Duration::from_millis(20)).unwrap();
        assert!(refused.is_none());
        assert!(matches!(keys.lock_briefly(), Err(TrustError::Busy { .. })));
    }
}
