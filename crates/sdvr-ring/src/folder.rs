//! A directory of this user's alone, in which this process makes rings.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags};
use rustix::io::Errno;

use crate::directory::DirectoryError;

/// What to do about a file or a symbolic link of that name, which anybody can put under `/dev/shm`.
const NOT_A_DIRECTORY: &str =
    "it is a file or a symbolic link. Remove it, or choose another with --shm-dir";

/// A directory that is this user's alone to write.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
    readers: Readers,
}

/// Whom besides this user files are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody in particular: files have the process's group.
    Own,
    /// A group that was asked for. Without it no file is made.
    Group(Gid),
    /// The directory's group, which its daemon has let in, as far as this process may give files to it.
    GroupOfDirectory(Gid),
}

/// A folder, and whether it was made just now.
#[derive(Debug)]
pub(crate) struct OpenedFolder {
    pub(crate) folder: Folder,
    pub(crate) is_new: bool,
}

impl Folder {
    /// Makes or opens the directory, and checks that it is this user's alone to write. Its readers are nobody in particular.
    pub(crate) fn open(path: &Path) -> Result<OpenedFolder, DirectoryError> {
        let io_error = |error: Errno| DirectoryError::Io {
            path: path.to_owned(),
            error: error.into(),
        };
        let is_new = match rustix::fs::mkdir(path, Mode::from_raw_mode(0o750)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(io_error(error)),
        };
        let handle = open_no_follow(path).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => DirectoryError::Io {
                path: path.to_owned(),
                error: io::Error::new(io::ErrorKind::NotADirectory, NOT_A_DIRECTORY),
            },
            error => io_error(error),
        })?;
        let stat = rustix::fs::fstat(&handle).map_err(io_error)?;
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
        let folder = Self {
            path: path.to_owned(),
            handle,
            readers: Readers::Own,
        };
        Ok(OpenedFolder { folder, is_new })
    }

    pub(crate) fn set_readers(&mut self, readers: Readers) {
        self.readers = readers;
    }

    pub(crate) const fn readers(&self) -> Readers {
        self.readers
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are free in its file system.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The names of all files.
    pub(crate) fn file_names(&self) -> io::Result<Vec<String>> {
        let entries = rustix::fs::Dir::read_from(&self.handle)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    /// Gives a file to the readers.
    pub(crate) fn let_in(&self, file: &OwnedFd) -> rustix::io::Result<()> {
        match self.readers {
            Readers::Own => Ok(()),
            Readers::Group(group) => rustix::fs::fchown(file, None, Some(group)),
            Readers::GroupOfDirectory(group) => match rustix::fs::fchown(file, None, Some(group)) {
                Err(Errno::PERM) => Ok(()),
                result => result,
            },
        }
    }

    /// Removes a file that may be gone already.
    pub(crate) fn remove(&self, name: &str) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => result,
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

pub(crate) fn open_no_follow(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}
