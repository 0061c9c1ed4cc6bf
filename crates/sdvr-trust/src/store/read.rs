//! Reading: a file is checked before, and looked at again cheaply.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{FILE_FLAGS, KeyDirectory, check, open_error, stat};
use crate::error::TrustError;

/// A file that is longer is none of ours: 65,536 cameras have 11 MiB.
const FILE_MOST_BYTES: u64 = 64 << 20;

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What was in it; nothing when there cleanly was no file.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) seen: Seen,
}

/// Which file was read, to find out cheaply whether there is another one now.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Kept open, so that its number is not given to the file that replaces it.
    pub(super) _file: Option<File>,
    pub(crate) version: Option<Version>,
}

/// Differs between a file and what somebody replaced it with or made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    device: u64,
    inode: u64,
    bytes: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            bytes: stat.st_size,
            modified: (
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            changed: (
                stat.st_ctime,
                i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
            ),
        }
    }
}

impl KeyDirectory {
    /// Opens a file for reading, checked. `None` only when there is cleanly none.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<(File, Stat)>, TrustError> {
        let path = self.file_path(name);
        let flags = OFlags::RDONLY | FILE_FLAGS;
        let file = match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(open_error(&path, error)),
        };
        let stat = stat(&path, &file)?;
        check(&path, &stat, FileType::RegularFile)?;
        Ok(Some((file.into(), stat)))
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> Result<Snapshot, TrustError> {
        let Some((mut file, stat)) = self.open_file(name)? else {
            return Ok(Snapshot {
                content: None,
                seen: Seen::default(),
            });
        };
        let failed = |error| TrustError::Io {
            action: "read",
            path: self.file_path(name),
            error,
        };
        let mut content = Vec::new();
        (&mut file)
            .take(FILE_MOST_BYTES + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        if content.len() as u64 > FILE_MOST_BYTES {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Snapshot {
            content: Some(content),
            seen: Seen {
                _file: Some(file),
                version: Some(Version::of(&stat)),
            },
        })
    }

    /// Which version of a file is there now; `None` when there is none, or none that can be looked at.
    pub(crate) fn version(&self, name: &str) -> Option<Version> {
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .map(|stat| Version::of(&stat))
    }

    /// Whether the file that was read is still the one that has the name.
    pub(crate) fn is_still(&self, name: &str, seen: &Seen) -> bool {
        self.version(name) == seen.version
    }

    /// Whether the open file is the one that has the name.
    pub(crate) fn has_name(&self, name: &str, file: &File) -> bool {
        let named = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        match (named, rustix::fs::fstat(file)) {
            (Ok(named), Ok(open)) => (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino),
            _ => false,
        }
    }
}
