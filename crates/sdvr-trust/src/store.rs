//! The directory and its files: checked before they are read, never torn when they are written.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::error::TrustError;
use crate::lines::FILE_MOST_BYTES;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// `~/.sdvr`.
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
#[derive(Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    directory: OwnedFd,
}

/// The lock of a directory, held while one of its files is changed.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: OwnedFd,
}

/// Which file it is: another one after every change. Inode, time and length: an inode's number may come back within the same
/// tick of the file system's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(Option<(u64, i64, i64, i64)>);

impl KeyDirectory {
    /// Opens the directory, making it if it is not there.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: it belongs to somebody else, others may read it, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, TrustError> {
        // Without a slash at the end, with which a link would be followed.
        let path = &path.components().collect::<PathBuf>();
        match rustix::fs::mkdir(path, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error("make", path, error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| open_error(path, error))?;
        check(
            path,
            &rustix::fs::fstat(&directory).map_err(|error| io_error("look at", path, error))?,
            FileType::Directory,
        )?;
        Ok(Self {
            path: path.to_owned(),
            directory,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file_path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A directory in this one.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<Self, TrustError> {
        // By handle, then by path: the check is on what was opened.
        match rustix::fs::mkdirat(&self.directory, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error("make", &self.file_path(name), error)),
        }
        let path = self.file_path(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.directory, name, flags, Mode::empty())
            .map_err(|error| open_error(&path, error))?;
        check(
            &path,
            &rustix::fs::fstat(&directory).map_err(|error| io_error("look at", &path, error))?,
            FileType::Directory,
        )?;
        Ok(Self { path, directory })
    }

    /// The names of the files in it, sorted, hidden ones left out.
    pub(crate) fn file_names(&self) -> Result<Vec<String>, TrustError> {
        let failed = |error| io_error("read", &self.path, error);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory).map_err(failed)? {
            let name = entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Takes the lock under which files are changed; waits for whoever has it, which is never long.
    pub(crate) fn lock(&self) -> Result<DirectoryLock, TrustError> {
        let path = self.file_path(".lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(
            &self.directory,
            ".lock",
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )
        .map_err(|error| open_error(&path, error))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(DirectoryLock { _file: file }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io_error("lock", &path, error)),
            }
        }
    }

    /// Opens a file for reading, checked. `None` only when there is cleanly none.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<std::fs::File>, TrustError> {
        let path = self.file_path(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(open_error(&path, error)),
        };
        check(
            &path,
            &rustix::fs::fstat(&file).map_err(|error| io_error("look at", &path, error))?,
            FileType::RegularFile,
        )?;
        Ok(Some(file.into()))
    }

    /// The content of a file. `None` only when there is cleanly none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TrustError> {
        let path = self.file_path(name);
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        let mut content = Vec::new();
        let failed = |error| TrustError::Io {
            action: "read",
            path: path.clone(),
            error,
        };
        file.take(FILE_MOST_BYTES + 1)
            .read_to_end(&mut content)
            .map_err(failed)?;
        if content.len() as u64 > FILE_MOST_BYTES {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Some(content))
    }

    /// Which file has the name now.
    pub(crate) fn version(&self, name: &str) -> Version {
        Version(
            rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .map(|stat| {
                    (
                        stat.st_ino,
                        stat.st_mtime,
                        i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
                        stat.st_size,
                    )
                }),
        )
    }

    /// Replaces a file: it is the old one or the new one whole, whatever happens. On disk when this returns.
    pub(crate) fn replace(
        &self,
        _lock: &DirectoryLock,
        name: &str,
        content: &[u8],
    ) -> Result<(), TrustError> {
        self.write_beside(name, content)?;
        let unfinished = unfinished_name(name);
        rustix::fs::renameat(&self.directory, &unfinished, &self.directory, name)
            .map_err(|error| io_error("replace", &self.file_path(name), error))?;
        self.sync()
    }

    /// Makes a file that must not be there yet; false when it is.
    pub(crate) fn create_new(
        &self,
        _lock: &DirectoryLock,
        name: &str,
        content: &[u8],
    ) -> Result<bool, TrustError> {
        self.write_beside(name, content)?;
        let unfinished = unfinished_name(name);
        match rustix::fs::renameat_with(
            &self.directory,
            &unfinished,
            &self.directory,
            name,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) => {
                let _ = rustix::fs::unlinkat(&self.directory, &unfinished, AtFlags::empty());
                if error == Errno::EXIST {
                    Ok(false)
                } else {
                    Err(io_error("make", &self.file_path(name), error))
                }
            }
        }
    }

    fn write_beside(&self, name: &str, content: &[u8]) -> Result<(), TrustError> {
        let unfinished = unfinished_name(name);
        let path = self.file_path(&unfinished);
        // Left behind by a process that was killed; the lock says that it is nobody's now.
        let _ = rustix::fs::unlinkat(&self.directory, &unfinished, AtFlags::empty());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(
            &self.directory,
            &unfinished,
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )
        .map_err(|error| io_error("make", &path, error))?;
        let mut file = std::fs::File::from(file);
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|error| {
                let _ = rustix::fs::unlinkat(&self.directory, &unfinished, AtFlags::empty());
                TrustError::Io {
                    action: "write",
                    path,
                    error,
                }
            })
    }

    fn sync(&self) -> Result<(), TrustError> {
        rustix::fs::fsync(&self.directory)
            .map_err(|error| io_error("synchronise", &self.path, error))
    }
}

fn unfinished_name(name: &str) -> String {
    format!(".{name}.new")
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
        Errno::LOOP | Errno::NOTDIR => TrustError::NotPlain {
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
