//! The directory and its files: checked before they are read, never torn when they are written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::error::TrustError;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// A file that is longer is none of ours: 65,536 cameras have 11 MiB.
const FILE_MOST_BYTES: u64 = 64 << 20;
/// What a file says in which nothing is known any more.
const REMARK: &[u8] = b"# Written by sdvr: a line for each that is known.\n";
const LOCK: &str = ".lock";
/// How long others may take to change a file. On a slow memory card, one change takes most of a second.
const LOCK_TIME: Duration = Duration::from_secs(10);
const LOCK_ASK_AGAIN: Duration = Duration::from_millis(2);

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

/// The lock of a directory, held while one of its files is changed.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

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
    _file: Option<File>,
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
    fn of(stat: &Stat) -> Self {
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

    /// Takes the lock under which files are changed. Waits for whoever has it, but not for ever: a process may hold it that
    /// was stopped.
    pub(crate) fn lock(&self) -> Result<DirectoryLock, TrustError> {
        self.lock_within(LOCK_TIME)
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

    /// Replaces a file: it is the old one or the new one whole, whatever happens. On disk when this returns. A file of
    /// nothing gets a remark, since one of no bytes is taken for one that was cut off.
    pub(crate) fn replace(
        &self,
        _lock: &DirectoryLock,
        name: &str,
        content: &[u8],
    ) -> Result<Seen, TrustError> {
        let content = if content.is_empty() { REMARK } else { content };
        let (unfinished, file) = self.write_beside(name, content)?;
        rustix::fs::renameat(&self.directory, &unfinished, &self.directory, name).map_err(
            |error| {
                self.remove_unfinished(&unfinished);
                io_error("replace", &self.file_path(name), error)
            },
        )?;
        self.sync()?;
        // After the renaming, which changes a time of it.
        let version = rustix::fs::fstat(&file).ok().map(|stat| Version::of(&stat));
        Ok(Seen {
            _file: Some(file),
            version,
        })
    }

    /// Makes a file that must not be there yet; false when it is. On disk when this returns.
    pub(crate) fn create_new(
        &self,
        _lock: &DirectoryLock,
        name: &str,
        content: &[u8],
    ) -> Result<bool, TrustError> {
        let (unfinished, _) = self.write_beside(name, content)?;
        let renamed = rustix::fs::renameat_with(
            &self.directory,
            &unfinished,
            &self.directory,
            name,
            RenameFlags::NOREPLACE,
        );
        let made = match renamed {
            // NFS and some others have no such renaming, but links.
            Err(Errno::INVAL | Errno::NOSYS) => self.link_unfinished(&unfinished, name),
            renamed => renamed,
        };
        match made {
            Ok(()) => self.sync().map(|()| true),
            Err(error) => {
                self.remove_unfinished(&unfinished);
                if error == Errno::EXIST {
                    Ok(false)
                } else {
                    Err(io_error("make", &self.file_path(name), error))
                }
            }
        }
    }

    /// Gives a file the name of another one, which is gone then. On disk when this returns.
    pub(crate) fn rename(
        &self,
        _lock: &DirectoryLock,
        from: &str,
        to: &str,
    ) -> Result<(), TrustError> {
        rustix::fs::renameat(&self.directory, from, &self.directory, to)
            .map_err(|error| io_error("replace", &self.file_path(to), error))?;
        self.sync()
    }

    /// Whether the open file is the one that has the name.
    pub(crate) fn has_name(&self, name: &str, file: &File) -> bool {
        let named = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        match (named, rustix::fs::fstat(file)) {
            (Ok(named), Ok(open)) => (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino),
            _ => false,
        }
    }

    fn link_unfinished(&self, unfinished: &str, name: &str) -> Result<(), Errno> {
        rustix::fs::linkat(
            &self.directory,
            unfinished,
            &self.directory,
            name,
            AtFlags::empty(),
        )?;
        self.remove_unfinished(unfinished);
        Ok(())
    }

    /// Writes the file that will take the name; gives the name that it has until then.
    fn write_beside(&self, name: &str, content: &[u8]) -> Result<(String, File), TrustError> {
        let unfinished = format!(".{name}.new");
        let path = self.file_path(&unfinished);
        // Left behind by a process that was killed; the lock says that it is nobody's now.
        self.remove_unfinished(&unfinished);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        let file = rustix::fs::openat(
            &self.directory,
            &unfinished,
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )
        .map_err(|error| io_error("make", &path, error))?;
        let mut file = File::from(file);
        match file.write_all(content).and_then(|()| file.sync_all()) {
            Ok(()) => Ok((unfinished, file)),
            Err(error) => {
                self.remove_unfinished(&unfinished);
                Err(TrustError::Io {
                    action: "write",
                    path,
                    error,
                })
            }
        }
    }

    /// If it cannot be removed, the next to make it will say so.
    fn remove_unfinished(&self, unfinished: &str) {
        let _ = rustix::fs::unlinkat(&self.directory, unfinished, AtFlags::empty());
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

    fn directory() -> (tempfile::TempDir, KeyDirectory) {
        let home = tempfile::tempdir().unwrap();
        let keys = KeyDirectory::open(&home.path().join("keys")).unwrap();
        (home, keys)
    }

    #[test]
    fn nobody_waits_for_ever_for_a_process_that_was_stopped() {
        let (_home, keys) = directory();
        let _held = keys.lock().unwrap();
        let refused = keys.lock_within(Duration::from_millis(20));
        assert!(matches!(refused, Err(TrustError::Locked { .. })));
    }

    #[test]
    fn a_file_is_made_once_with_either_system_call() {
        let (_home, keys) = directory();
        let lock = keys.lock().unwrap();
        assert!(keys.create_new(&lock, "one", b"first").unwrap());
        assert!(!keys.create_new(&lock, "one", b"second").unwrap());
        let (unfinished, _) = keys.write_beside("two", b"first").unwrap();
        assert_eq!(keys.link_unfinished(&unfinished, "two"), Ok(()));
        let (unfinished, _) = keys.write_beside("two", b"second").unwrap();
        let again = keys.link_unfinished(&unfinished, "two");
        assert_eq!(again, Err(Errno::EXIST));
        for name in ["one", "two"] {
            assert_eq!(keys.read(name).unwrap().content.unwrap(), b"first");
        }
    }

    #[test]
    fn a_replaced_file_is_noticed_even_when_its_number_is_used_again() {
        let (_home, keys) = directory();
        let lock = keys.lock().unwrap();
        keys.replace(&lock, "file", b"a").unwrap();
        let seen = keys.read("file").unwrap().seen;
        assert!(keys.is_still("file", &seen));
        for _ in 0..8 {
            keys.replace(&lock, "file", b"b").unwrap();
            assert!(!keys.is_still("file", &seen));
        }
    }

    #[test]
    fn a_file_of_nothing_has_a_remark() {
        let (_home, keys) = directory();
        let lock = keys.lock().unwrap();
        keys.replace(&lock, "file", b"").unwrap();
        let content = keys.read("file").unwrap().content.unwrap();
        let parsed = crate::lines::parse_lines(Path::new("file"), &content, |_, _| Ok(()));
        assert_eq!(parsed.unwrap(), []);
    }
}
