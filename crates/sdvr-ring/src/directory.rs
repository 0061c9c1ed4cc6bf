//! The directory of rings: made and locked by the daemon, searched by programs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Gid, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::derived::PublishersLock;
use crate::file_lock;
use crate::folder::{Folder, OpenedFolder, Readers, open_no_follow};
use crate::name::{RingName, UNFINISHED_PREFIX};
use crate::stale::{self, StaleRings};
use crate::statistics;

/// How long a starting daemon waits for programs that make derived rings just now.
const DAEMON_PATIENCE: Duration = Duration::from_millis(200);

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
    folder: Folder,
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
        let OpenedFolder { mut folder, is_new } = Folder::open(path)?;
        let lock =
            lock_directory(&folder)
                .map_err(io_error)?
                .ok_or_else(|| DirectoryError::Busy {
                    path: path.to_owned(),
                })?;
        let group = group.map(Gid::from_raw);
        // The umask may have taken away more than was meant, and the group may be new. A directory that was there, and
        // that nobody wants opened to a group, keeps its mode: its owner may have closed it on purpose.
        if is_new || group.is_some() {
            rustix::fs::fchown(&folder, None, group).map_err(io_error)?;
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o750)).map_err(io_error)?;
        }
        folder.set_readers(group.map_or(Readers::Own, Readers::Group));
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Bytes that are free in its file system.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        self.folder.free_bytes()
    }

    /// Ends the rings of a daemon that is gone.
    ///
    /// This directory is locked, so every camera's ring in it is such a ring: call this before making any. A derived ring is ended if its
    /// program is gone, and left alone while that lives. Programs that have them mapped keep them, see them *moved*, and look for new ones under the same name. Those rings are given, and the caller
    /// gives their memory back when the programs have had their time.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or changed.
    pub fn remove_stale_rings(&self) -> io::Result<StaleRings> {
        let mut stale = StaleRings::default();
        let names = self.folder.file_names()?;
        let has_derived = names.iter().any(|name| PublishersLock::guards(name));
        for name in names {
            if RingName::parse(&name).is_some_and(|name| !name.is_derived()) {
                stale
                    .still_read
                    .extend(stale::end_ring(&self.folder, &name)?);
            } else if name == statistics::FILE_NAME {
                self.folder.remove(&name)?;
                continue;
            } else if name.starts_with(UNFINISHED_PREFIX) {
                self.folder.remove(&name)?;
            } else {
                continue;
            }
            stale.files += 1;
        }
        // Whoever holds the lock for longer than this removes them itself.
        if has_derived && let Some(lock) = PublishersLock::wait(&self.folder, DAEMON_PATIENCE)? {
            lock.end_dead_rings(&self.folder, &mut stale)?;
        }
        Ok(stale)
    }

    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) const fn group(&self) -> Option<Gid> {
        match self.folder.readers() {
            Readers::Group(group) => Some(group),
            Readers::Own | Readers::GroupOfDirectory(_) => None,
        }
    }
}

impl AsFd for RingDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

fn lock_directory(directory: &Folder) -> rustix::io::Result<Option<OwnedFd>> {
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
