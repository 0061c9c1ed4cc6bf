//! Writing: a file is the old one or the new one whole, whatever happens, and on disk afterwards.

use std::fs::File;
use std::io::Write;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{DirectoryLock, FILE_FLAGS, FILE_MODE, KeyDirectory, Seen, Version, io_error};
use crate::error::TrustError;

/// What a file says in which nothing is known any more.
const REMARK: &[u8] = b"# Written by sdvr: a line for each that is known.\n";

impl KeyDirectory {
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

    /// Removes a file. On disk when this returns.
    pub(crate) fn remove(&self, _lock: &DirectoryLock, name: &str) -> Result<(), TrustError> {
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
            .map_err(|error| io_error("remove", &self.file_path(name), error))?;
        self.sync()
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::directory;
    use super::*;

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
