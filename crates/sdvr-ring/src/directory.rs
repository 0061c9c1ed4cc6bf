//! The directory of rings: made and locked by the daemon, searched by programs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use sdvr_frame::{PublicKey, StreamId};

use crate::file_lock;
use crate::stale::{self, StaleRings};
use crate::statistics;

/// How the names of rings begin that are not finished.
pub(crate) const UNFINISHED_PREFIX: &str = ".new-";

/// What to do about a file or a symbolic link of that name, which anybody can put under `/dev/shm`.
const NOT_A_DIRECTORY: &str =
    "it is a file or a symbolic link. Remove it, or choose another with --shm-dir";

/// The name of a ring's file: which camera, which stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingName {
    text: String,
}

impl RingName {
    /// The name for a stream of a camera. Made of the key, never of anything a camera says.
    #[must_use]
    pub fn new(camera: &PublicKey, stream: StreamId) -> Self {
        Self {
            text: format!("{}.{stream}", camera.fingerprint().file_name()),
        }
    }

    /// The name, if `file_name` is that of a ring.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        let (camera, stream) = file_name.split_once('.')?;
        let is_hash = camera.len() == 32
            && camera
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number: u16 = stream.parse().ok()?;
        (is_hash && number.to_string() == stream).then(|| Self {
            text: file_name.to_owned(),
        })
    }

    /// The name as a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why a directory of rings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or opened.
    #[error("cannot use {path} for frames: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Somebody else made it first.
    #[error(
        "{path} belongs to user {owner}, not to user {own}: somebody else made it. Remove it, or choose another with --shm-dir"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        own: u32,
    },
    /// Others could replace what is in it.
    #[error("{path} can be written by others (mode {mode:o}): chmod go-w {path}")]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another daemon uses it.
    #[error("another sdvrd already publishes in {path}; give this one another --shm-dir")]
    Busy {
        /// Which.
        path: PathBuf,
    },
}

/// The daemon's directory of rings, locked while this value lives.
#[derive(Debug)]
pub struct RingDirectory {
    path: PathBuf,
    directory: OwnedFd,
    group: Option<Gid>,
    _lock: OwnedFd,
}

impl RingDirectory {
    /// Makes or opens the directory, checks that it is this user's alone to write, and locks it.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]; each says what to do.
    pub fn create(path: &Path, group: Option<u32>) -> Result<Self, DirectoryError> {
        let io_error = |error: Errno| DirectoryError::Io {
            path: path.to_owned(),
            error: error.into(),
        };
        let is_new = match rustix::fs::mkdir(path, Mode::from_raw_mode(0o750)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(io_error(error)),
        };
        let directory = open_no_follow(path).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => DirectoryError::Io {
                path: path.to_owned(),
                error: io::Error::new(io::ErrorKind::NotADirectory, NOT_A_DIRECTORY),
            },
            error => io_error(error),
        })?;
        let stat = rustix::fs::fstat(&directory).map_err(io_error)?;
        let own = rustix::process::geteuid().as_raw();
        if stat.st_uid != own {
            return Err(DirectoryError::Foreign {
                path: path.to_owned(),
                owner: stat.st_uid,
                own,
            });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(DirectoryError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        let lock = lock_directory(&directory)
            .map_err(io_error)?
            .ok_or_else(|| DirectoryError::Busy {
                path: path.to_owned(),
            })?;
        let group = group.map(Gid::from_raw);
        // The umask may have taken away more than was meant, and the group may be new. A directory that was there, and
        // that nobody wants opened to a group, keeps its mode: its owner may have closed it on purpose.
        if is_new || group.is_some() {
            rustix::fs::fchown(&directory, None, group).map_err(io_error)?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o750)).map_err(io_error)?;
        }
        Ok(Self {
            path: path.to_owned(),
            directory,
            group,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are free in its file system.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Ends the rings of a daemon that is gone.
    ///
    /// This directory is locked, so every ring in it is such a ring: call this before making any. Programs that
    /// have them mapped keep them, see them *moved*, and look for new ones under the same name. Those rings are given, and the caller
    /// gives their memory back when the programs have had their time.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or changed.
    pub fn remove_stale_rings(&self) -> io::Result<StaleRings> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let mut stale = StaleRings::default();
        for name in names {
            if RingName::parse(&name).is_some() {
                stale.still_read.extend(stale::end_ring(self, &name)?);
            } else if name == statistics::FILE_NAME {
                self.remove(&name)?;
                continue;
            } else if name.starts_with(UNFINISHED_PREFIX) {
                self.remove(&name)?;
            } else {
                continue;
            }
            stale.files += 1;
        }
        Ok(stale)
    }

    /// Removes a file that may be gone already.
    pub(crate) fn remove(&self, name: &str) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }

    pub(crate) const fn group(&self) -> Option<Gid> {
        self.group
    }
}

impl AsFd for RingDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn open_no_follow(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn lock_directory(directory: &OwnedFd) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(directory, ".lock", flags, Mode::from_raw_mode(0o600))?;
    let is_locked = file_lock::try_lock(lock.as_fd())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(is_locked.then_some(lock))
}

/// Opens a directory of rings for reading. `None` when it is not there or cannot be trusted: others may write there, or
/// its name says that it is some user's (`sdvr-1000`) and it is not that user's, this user's or root's.
///
/// A directory of any other name can only have been named on purpose; it may be anybody's.
#[must_use]
pub fn open_directory(path: &Path) -> Option<OwnedFd> {
    let directory = open_no_follow(path).ok()?;
    let stat = rustix::fs::fstat(&directory).ok()?;
    is_trusted(path, &stat).then_some(directory)
}

fn is_trusted(path: &Path, stat: &Stat) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_owner_known = stat.st_uid == 0
        || stat.st_uid == own
        || named_user(path).is_none_or(|named| named == stat.st_uid);
    is_owner_known && stat.st_mode & 0o022 == 0
}

/// The user whose directory it should be by its name.
fn named_user(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let uid = name.strip_prefix("sdvr-")?.parse().ok()?;
    (format!("sdvr-{uid}") == name).then_some(uid)
}

/// Where rings may be, best first: `SDVR_SHM_DIR` alone if it is set, else this user's directory, then every other user's
/// under `/dev/shm`. This user's is listed even if it is not there yet.
#[must_use]
pub fn search_directories() -> Vec<PathBuf> {
    if let Some(directory) =
        std::env::var_os("SDVR_SHM_DIR").filter(|directory| !directory.is_empty())
    {
        return vec![directory.into()];
    }
    search_under(Path::new("/dev/shm"))
}

fn search_under(shared_memory: &Path) -> Vec<PathBuf> {
    let own = shared_memory.join(format!("sdvr-{}", rustix::process::geteuid().as_raw()));
    let mut others: Vec<PathBuf> = std::fs::read_dir(shared_memory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| named_user(path).is_some() && *path != own)
        .collect();
    others.sort();
    std::iter::once(own).chain(others).collect()
}

/// The names of the rings in a directory, sorted.
///
/// # Errors
///
/// When it cannot be read.
pub fn list_rings(directory: BorrowedFd<'_>) -> io::Result<Vec<RingName>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        names.extend(RingName::parse(&entry?.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}
