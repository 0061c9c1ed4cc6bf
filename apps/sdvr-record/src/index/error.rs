//! What can go wrong with an index.

use std::io;
use std::path::{Path, PathBuf};

use super::recovery::Recovery;
use crate::segment;

/// Why an index cannot be used. The disk, the directory's rights or another program is at fault; recordings are never.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The directory of all recordings is not there. It is made when recording begins, and not later: what is missing may be a disk that was not mounted.
    #[error("{} does not exist; mount the disk it is on (`sdvr record` makes the directory when it begins, if only that is missing)", .0.display())]
    NoDirectory(PathBuf),
    /// No recording of this camera is there.
    #[error("there are no recordings of {label} in {}; `sdvr recordings list` says of which cameras there are", directory.display())]
    NoCamera {
        /// The camera.
        label: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// Another program records into this folder.
    #[error("another sdvr records into {}; end that one, or use another directory", .0.display())]
    InUse(PathBuf),
    /// The folder belongs to a camera of another label, on a file system that makes no difference between the two.
    #[error("{} has the recordings of {owner}, which this file system does not tell from {label}; give one of the cameras another directory", folder.display())]
    OtherCamera {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: String,
        /// Whose it was to be.
        label: String,
    },
    /// A program of a later version made it.
    #[error("{} was made by a newer sdvr (version {version} of the index, this one knows {known}); use that one, or move the file away to have it made anew", path.display())]
    Newer {
        /// The index.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version that is understood.
        known: i64,
    },
    /// A file or folder cannot be made, read or removed.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried: `make`, `read`.
        what: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// A file that an earlier recorder has left cannot be completed.
    #[error("{error}; it stays unfinished until the next start{}", done_text(.done))]
    NotRecovered {
        /// What became of the others.
        done: Recovery,
        /// Why the first of those could not be completed that could not.
        error: Box<Self>,
    },
    /// The database says no: it is damaged, its disk is full, or it cannot be written.
    #[error("cannot {what} the index {}: {error}", path.display())]
    Database {
        /// What was tried: `read`, `write`.
        what: &'static str,
        /// The index.
        path: PathBuf,
        /// Why it failed.
        error: rusqlite::Error,
    },
}

impl IndexError {
    pub(crate) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            error,
        }
    }

    /// Whether there is no room on the disk: when something is removed, the same may succeed.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { error, .. } => segment::is_disk_full(error),
            Self::Database { error, .. } => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            Self::NotRecovered { error, .. } => error.is_disk_full(),
            _ => false,
        }
    }
}

fn done_text(done: &Recovery) -> String {
    match done.recovered {
        0 => String::new(),
        recovered => format!("; {recovered} others were completed"),
    }
}

/// Whether the file is no database, or one whose pages are not what they were.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        // What is stored has not the type that was stored.
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        // What is asked for is always the same: a table or a column is not there, or its description cannot be read.
        | rusqlite::Error::SqlInputError { .. } => true,
        error => match error.sqlite_error() {
            Some(cause) => match cause.code {
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => true,
                rusqlite::ErrorCode::Unknown => cause.extended_code == rusqlite::ffi::SQLITE_ERROR,
                _ => false,
            },
            None => false,
        },
    }
}
