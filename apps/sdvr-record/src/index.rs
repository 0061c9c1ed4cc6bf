//! What is recorded of a camera: its segments, their times, frames, gaps, sizes and checksums.
//!
//! The files are the truth, the index is quick. One that is lost or damaged is made anew of them, and of what is left of it. Who records holds the
//! camera's folder alone; any number of others read meanwhile.

mod error;
mod layout;
mod mending;
mod opening;
pub(crate) mod pictures;
mod reading;
mod rebuild;
mod recovery;
mod schema;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
mod writing;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sdvr_frame::StreamLabel;

pub use error::IndexError;
pub use layout::{EXTENSIONS, INDEX_FILE, camera_folders, folder_name, label_of_folder};
pub use recovery::Recovery;
pub use segment::{Checksum, Gap, GapReason, Segment, SegmentId, SegmentState};

use crate::UtcTime;

/// The index of a camera's recordings.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
    label: StreamLabel,
    folder: PathBuf,
    /// Of all segments that are finished.
    total_bytes: u64,
    /// Of the one that is being written, as far as the recorder has told.
    open_bytes: u64,
    /// Large files that were removed. The system frees what they have when they are closed, which takes it long: that is for when nobody waits for the index.
    removed: Vec<File>,
    /// The database's file when it was opened; `None` of a reader.
    identity: Option<recovery::Identity>,
    /// The segment that is being written, as it was entered when it began.
    begun: Option<Segment>,
    /// The greatest number that was given to a segment since it was opened; 0 before.
    last_id: SegmentId,
    /// Where a damaged one was put in whose place none could be made yet: it is still needed for that.
    aside: Option<PathBuf>,
    /// What is known of the times of the newest segments; `None` when they may have changed.
    newest_times: Option<Option<NewestTimes>>,
    /// What people should know and nobody was told yet.
    notices: Vec<String>,
    /// Keeps other recorders out. None of a reader.
    lock_of_recorder: Option<File>,
}

/// A segment that may be written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// What it is called in the index.
    pub id: SegmentId,
    /// Where its file is to be made. Nothing was there a moment ago; who makes it must still refuse to take what is.
    pub path: PathBuf,
}

/// What is known of a segment when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// What became of it; not [`SegmentState::Open`].
    pub state: SegmentState,
    /// When its first frame was captured.
    pub begins: UtcTime,
    /// When its last frame was captured.
    pub ends: UtcTime,
    /// Frames in it.
    pub frames: u64,
    /// Frames that arrived meanwhile and were not recorded: the disk was too slow or full.
    pub lost: u64,
    /// The file's.
    pub bytes: u64,
    /// How many of them are its head.
    pub head_bytes: u64,
    /// Of all of them; `None` when nobody has read them.
    pub checksum: Option<Checksum>,
}

/// What the times of the newest segments say of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewestTimes {
    /// When the last frame was captured of the segment that was recorded last.
    pub(crate) ends: UtcTime,
    /// Which time it would be now if the clock had not made a leap forward among them.
    pub(crate) leap_from: Option<UtcTime>,
}

/// All of a camera's recordings together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments, also the one that is being written.
    pub segments: u64,
    /// Those that were cut off, are damaged, or are being written.
    pub not_complete: u64,
    /// When the earliest frame was captured; `None` without segments.
    pub first: Option<UtcTime>,
    /// When the latest frame was captured.
    pub last: Option<UtcTime>,
    /// Frames in finished segments.
    pub frames: u64,
    /// Frames that arrived meanwhile and were not recorded: the disk was too slow or full.
    pub lost: u64,
    /// Stretches in which frames are missing.
    pub gaps: u64,
    /// Of finished segments.
    pub bytes: u64,
}

impl Index {
    /// Whose recordings these are.
    #[must_use]
    pub const fn label(&self) -> &StreamLabel {
        &self.label
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a segment.
    #[must_use]
    pub fn file(&self, segment: &Segment) -> PathBuf {
        self.folder.join(&segment.path)
    }

    /// Bytes of all segments, and of the one that is being written what [`Self::set_open_bytes`] was told.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes.saturating_add(self.open_bytes)
    }

    /// How many bytes the segment that is being written has. Forgotten when it is completed.
    pub const fn set_open_bytes(&mut self, bytes: u64) {
        self.open_bytes = bytes;
    }

    fn read<T>(
        &self,
        what: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        what(&self.connection)
            .map_err(|error| database("read", &self.folder.join(INDEX_FILE), error))
    }

    fn write<T>(
        &mut self,
        what: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let path = self.folder.join(INDEX_FILE);
        self.newest_times = None;
        let change = || {
            let transaction = self.connection.transaction()?;
            let result = what(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        change().map_err(|error| database("write", &path, error))
    }
}

fn database(what: &'static str, path: &Path, error: rusqlite::Error) -> IndexError {
    IndexError::Database {
        what,
        path: path.to_owned(),
        error,
    }
}
