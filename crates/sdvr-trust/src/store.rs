//! The directory and its files: checked before they are read, never torn when they are written.

mod lock;
mod read;
mod write;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

pub(crate) use self::lock::{DirectoryLock, try_lock};
pub(crate) use self::read::{Seen, Snapshot, Version};
use crate::error::TrustError;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The path of `~/.sdvr`.
///
/// # Errors
///
/// When `HOME` is not set.
pub fn default_path() -> Result<PathBuf, TrustError> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(|home| PathBuf::from(home).join(".sdvr"))
        .ok_or(TrustError::NoHome)
}

/// A directory of keys. All its files are reached through this handle, so that nobody can swap the directory meanwhile.
///
/// ```
/// use sdvr_trust::KeyDirectory;
///
/// let home = tempfile::tempdir()?;
/// let keys = KeyDirectory::open(&home.path().join(".sdvr"))?;
/// // Made now, the same ever after.
/// let fingerprint = keys.server_key()?.public_key().fingerprint();
/// assert_eq!(keys.server_key()?.public_key().fingerprint(), fingerprint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    directory: OwnedFd,
}

impl AsFd for KeyDirectory {
    /// The directory itself, for who must name it to the system.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl KeyDirectory {
    /// Opens the directory, making it (not those above it) if it is not there.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: it belongs to somebody else, others may read it, it is a link, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, TrustError> {
        // Without a slash at its end: with one, the system would follow a link.
        let path: PathBuf = path.components().collect();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match rustix::fs::mkdir(&path, Mode::from_raw_mode(DIRECTORY_MODE)) {
            // What is pinned below must survive a power cut, so the directory itself must.
            Ok(()) => File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|error| TrustError::Io {
                    action: "synchronise",
                    path: parent.to_owned(),
                    error,
                })?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error("make", &path, error)),
        }
        let directory = rustix::fs::open(&path, DIRECTORY_FLAGS, Mode::empty())
            .map_err(|error| open_error(&path, error))?;
        Self::checked(path, directory)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A directory in this one, made if it is not there.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<Self, TrustError> {
        let path = self.file_path(name);
        match rustix::fs::mkdirat(&self.directory, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error("make", &path, error)),
        }
        let directory = rustix::fs::openat(&self.directory, name, DIRECTORY_FLAGS, Mode::empty())
            .map_err(|error| open_error(&path, error))?;
        Self::checked(path, directory)
    }

    fn checked(path: PathBuf, directory: OwnedFd) -> Result<Self, TrustError> {
        check(&path, &stat(&path, &directory)?, FileType::Directory)?;
        Ok(Self { path, directory })
    }

    /// The names of the files in it, sorted, hidden ones left out.
    pub(crate) fn file_names(&self) -> Result<Vec<String>, TrustError> {
        let failed = |error| io_error("read", &self.path, error);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // None of ours is not text.
            let name = entry.file_name().to_str().unwrap_or(".");
            if !name.starts_with('.') {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync(&self) -> Result<(), TrustError> {
        rustix::fs::fsync(&self.directory)
            .map_err(|error| io_error("synchronise", &self.path, error))
    }
}

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A pipe in the place of a file must not make anybody wait.
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

fn stat(path: &Path, file: impl AsFd) -> Result<Stat, TrustError> {
    rustix::fs::fstat(file).map_err(|error| io_error("look at", path, error))
}

fn check(path: &Path, stat: &Stat, wanted: FileType) -> Result<(), TrustError> {
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(TrustError::NotPlain {
            path: path.to_owned(),
        });
    }
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own {
        return Err(TrustError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
            own,
        });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        let wanted = if wanted == FileType::Directory {
            DIRECTORY_MODE
        } else {
            FILE_MODE
        };
        return Err(TrustError::Mode {
            path: path.to_owned(),
            mode,
            wanted,
        });
    }
    Ok(())
}

fn open_error(path: &Path, error: Errno) -> TrustError {
    match error {
        // A link, something that is no directory, a directory to be written, a socket.
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => TrustError::NotPlain {
            path: path.to_owned(),
        },
        error => io_error("open", path, error),
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path, error: Errno) -> TrustError {
    TrustError::Io {
        action,
        path: path.to_owned(),
        error: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn directory() -> (tempfile::TempDir, KeyDirectory) {
        let home = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::open(&home.path().join("keys")).unwrap();
        (home, keys)
    }
}
