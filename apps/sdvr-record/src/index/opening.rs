//! How an index is found, made, and made anew.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use rustix::fs::FlockOperation;
use sdvr_frame::StreamLabel;

use super::rebuild::{self, Known, Salvage};
use super::recovery::Identity;
use super::schema::{self, Opened};
use super::writing::{insert, insert_gap, next_id};
use super::{INDEX_FILE, Index, IndexError, SegmentId, database, folder_name, layout};

impl Index {
    /// Opens the index of a camera to record, and keeps other recorders away from its folder until it is dropped. Makes the folder if it is not there.
    ///
    /// `say` is told what people should know: that the index was made anew, and how far that is. What a recorder before has not finished stays so until
    /// [`Self::recover_unfinished`].
    ///
    /// # Errors
    ///
    /// [`IndexError`]; what is recorded stays as it is.
    pub fn open_to_record(
        directory: &Path,
        label: &StreamLabel,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, IndexError> {
        if !directory.is_dir() {
            return Err(IndexError::NoDirectory(directory.to_owned()));
        }
        let folder = directory.join(folder_name(label));
        layout::make_folder(&folder).map_err(|error| IndexError::io("make", &folder, error))?;
        let lock = lock(&folder)?;
        Self::open_locked(folder, label, lock, say)
    }

    /// Opens the index of a camera to read it, also while it records, and also where nothing can be written.
    ///
    /// When there is no index, or a damaged one, it is made anew, only in memory where it cannot be written or a recorder is at work.
    ///
    /// # Errors
    ///
    /// [`IndexError::NoCamera`] without a folder of the camera; other [`IndexError`]s when nothing can be read.
    pub fn open_to_read(
        directory: &Path,
        label: &StreamLabel,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, IndexError> {
        let folder = directory.join(folder_name(label));
        if !directory.is_dir() {
            return Err(IndexError::NoDirectory(directory.to_owned()));
        }
        if !folder.is_dir() {
            return Err(IndexError::NoCamera {
                label: label.to_string(),
                directory: directory.to_owned(),
            });
        }
        let path = folder.join(INDEX_FILE);
        match schema::open_to_read(&path, label)? {
            Some(Opened::Good(connection, total_bytes)) => {
                return Ok(Self::with(connection, label, folder, total_bytes));
            }
            None | Some(Opened::Fresh(_) | Opened::Broken(_)) => {}
        }
        // Whoever gets the lock is no recorder's rival; without it one is at work, and will make the index anew when it begins the next time.
        if let Ok(lock) = lock(&folder)
            && let Ok(mut index) = Self::open_locked(folder.clone(), label, lock, say)
        {
            index.lock_of_recorder = None;
            index.identity = None;
            return Ok(index);
        }
        let known = rebuild::gather(&folder, Salvage::of(&path), say)?;
        let connection =
            schema::open_in_memory().map_err(|error| database("make", &path, error))?;
        let mut index = Self::with(connection, label, folder, 0);
        index.fill(known, SegmentId(0))?;
        Ok(index)
    }

    /// One of a reader.
    fn with(
        connection: Connection,
        label: &StreamLabel,
        folder: PathBuf,
        total_bytes: u64,
    ) -> Self {
        Self {
            connection,
            label: label.clone(),
            folder,
            total_bytes,
            open_bytes: 0,
            removed: Vec::new(),
            identity: None,
            begun: None,
            last_id: SegmentId(0),
            aside: None,
            newest_times: None,
            notices: Vec::new(),
            lock_of_recorder: None,
        }
    }

    fn open_locked(
        folder: PathBuf,
        label: &StreamLabel,
        lock: Option<File>,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, IndexError> {
        let path = folder.join(INDEX_FILE);
        let mut salvage = Salvage::default();
        let (connection, total_bytes) = match schema::open_to_write(&path, label)? {
            Opened::Good(connection, total_bytes) => (connection, Some(total_bytes)),
            Opened::Fresh(connection) => (connection, None),
            Opened::Broken(what) => {
                let aside = put_aside(&path)?;
                say(&format!(
                    "{}: the index is damaged ({what}); it is kept as {} and made anew of the recordings",
                    folder.display(),
                    aside.display()
                ));
                salvage = Salvage::of(&aside);
                match schema::open_to_write(&path, label)? {
                    Opened::Fresh(connection) => (connection, None),
                    Opened::Good(connection, total_bytes) => (connection, Some(total_bytes)),
                    Opened::Broken(what) => {
                        let problem = io::Error::other(what);
                        return Err(IndexError::io("use", &path, problem));
                    }
                }
            }
        };
        let mut index = Self::with(connection, label, folder, total_bytes.unwrap_or(0));
        index.identity = Identity::of(&path);
        index.lock_of_recorder = lock;
        if total_bytes.is_some() {
            index.add_unknown(say)?;
        } else {
            let known = rebuild::gather(&index.folder, salvage, say)?;
            if !known.is_empty() {
                say(&format!(
                    "{}: the index was made of {} recordings",
                    index.folder.display(),
                    known.len()
                ));
            }
            index.fill(known, SegmentId(0))?;
        }
        Ok(index)
    }

    /// Writes all that was found at once: an index that is not whole has no table. The last one gets the number `last`;
    /// if that is 0, the first one gets 1.
    pub(super) fn fill(&mut self, known: Vec<Known>, last: SegmentId) -> Result<(), IndexError> {
        let count = i64::try_from(known.len()).unwrap_or(i64::MAX);
        // They may be less than 1: the number of the segment that is being written is known to who writes it.
        let before = if last.0 > 0 {
            last.0.saturating_sub(count)
        } else {
            0
        };
        let total_bytes = known.iter().map(|(segment, _)| segment.bytes).sum();
        let label = self.label.clone();
        self.write(|transaction| {
            schema::make_tables(transaction, &label)?;
            for (at, (mut segment, gaps)) in known.into_iter().enumerate() {
                let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1);
                segment.id = SegmentId(before.saturating_add(at));
                insert(transaction, &segment)?;
                for gap in gaps {
                    insert_gap(transaction, segment.id, &gap)?;
                }
            }
            Ok(())
        })?;
        self.total_bytes = total_bytes;
        Ok(())
    }

    fn add_unknown(&mut self, say: &mut dyn FnMut(&str)) -> Result<(), IndexError> {
        let last: Option<String> = self.read(|connection| {
            let sql = "SELECT path FROM segments ORDER BY id DESC LIMIT 1";
            connection.query_row(sql, [], |row| row.get(0)).optional()
        })?;
        let last_day = last
            .as_ref()
            .and_then(|path| path.split_once('/'))
            .map(|(day, _)| day);
        let is_known = |path: &str| self.has_path(path);
        let is_day_known = |day: &str| {
            // '0' is the character after '/'.
            let sql = "SELECT EXISTS (SELECT 1 FROM segments WHERE path > ?1 || '/' AND path < ?1 || '0')";
            self.read(|connection| {
                connection
                    .prepare_cached(sql)?
                    .query_row([day], |row| row.get(0))
            })
        };
        let unknown = rebuild::gather_unknown(&self.folder, &is_known, &is_day_known, last_day)?;
        if unknown.is_empty() {
            return Ok(());
        }
        say(&format!(
            "{}: {} recordings that the index did not know were added to it",
            self.folder.display(),
            unknown.len()
        ));
        let bytes: u64 = unknown.iter().map(|segment| segment.bytes).sum();
        self.write(|transaction| {
            for mut segment in unknown {
                segment.id = next_id(transaction)?;
                insert(transaction, &segment)?;
            }
            Ok(())
        })?;
        self.total_bytes = self.total_bytes.saturating_add(bytes);
        Ok(())
    }
}

/// Holds a camera's folder until the file is dropped; `None` on a file system that has no locks.
fn lock(folder: &Path) -> Result<Option<File>, IndexError> {
    let file = File::open(folder).map_err(|error| IndexError::io("open", folder, error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(IndexError::InUse(folder.to_owned())),
        Err(_) => Ok(None),
    }
}

/// Moves a damaged database away, with its log, in which there may be more of it.
pub(super) fn put_aside(path: &Path) -> Result<PathBuf, IndexError> {
    let aside = layout::name_aside(path);
    // The log first: one that lay beside a new database would be taken for its own.
    put_log_aside(path, &aside)?;
    fs::rename(path, &aside).map_err(|error| IndexError::io("move", path, error))?;
    Ok(aside)
}

/// Moves the log of a database away, which may itself be gone.
pub(super) fn put_log_aside(path: &Path, aside: &Path) -> Result<(), IndexError> {
    let beside = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let done = |what: &'static str, log: &Path, result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(IndexError::io(what, log, error))
        }
        _ => Ok(()),
    };
    for end in ["-wal", "-journal"] {
        let log = beside(path, end);
        done("move", &log, fs::rename(&log, beside(aside, end)))?;
    }
    let shared = beside(path, "-shm");
    done("remove", &shared, fs::remove_file(&shared))
}

/// Opens a database to write that was just made of one that is good.
pub(super) fn reopen(path: &Path, label: &StreamLabel) -> Result<Connection, IndexError> {
    match schema::open_to_write(path, label)? {
        Opened::Good(connection, _) | Opened::Fresh(connection) => Ok(connection),
        Opened::Broken(what) => Err(IndexError::io("use", path, io::Error::other(what))),
    }
}
