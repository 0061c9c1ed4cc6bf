//! What a recorder that was ended has left, and what somebody took away while one runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{
    Checksum, Completed, INDEX_FILE, Index, IndexError, Segment, SegmentState, database, layout,
    opening, pictures, schema,
};
use crate::container::{self, ScanError};
use crate::sample::UtcTime;

/// Of a longer file no checksum is computed when it is completed: recording waits for that.
const CHECKSUM_BYTES_MOST: u64 = 1 << 30;

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// What was done about segments that a recorder has left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Files that are complete now.
    pub recovered: u64,
    /// Files in which no frame was yet; they are gone.
    pub empty: u64,
    /// Files that are no recordings any more; they stay.
    pub damaged: u64,
}

impl Index {
    /// Completes the segments that are open. None of them may be being written.
    ///
    /// # Errors
    ///
    /// When the index or a file cannot be written. What is done stays done, and the rest can be tried again.
    pub fn recover_unfinished(&mut self) -> Result<Recovery, IndexError> {
        let mut recovery = Recovery::default();
        for segment in self.unfinished()? {
            let path = self.file(&segment);
            if pictures::are_in(&segment.path) && path.exists() {
                self.complete_pictures(&segment)?;
                recovery.recovered = recovery.recovered.saturating_add(1);
                continue;
            }
            let file = File::options().read(true).write(true).open(&path);
            let recovered = file
                .map_err(ScanError::from)
                .and_then(|file| container::recover(&file));
            match recovered {
                Ok(recovered) if recovered.scan.frames > 0 => {
                    self.complete_recovered(&segment, &recovered.scan)?;
                    recovery.recovered = recovery.recovered.saturating_add(1);
                }
                Ok(_) | Err(ScanError::NoHead) => {
                    self.remove_segment(&segment)?;
                    recovery.empty = recovery.empty.saturating_add(1);
                }
                Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.forget_segment(segment.id)?;
                    recovery.empty = recovery.empty.saturating_add(1);
                }
                Err(ScanError::Io(error)) => return Err(IndexError::io("complete", &path, error)),
                Err(ScanError::NotOurs) => {
                    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
                    let damaged = Completed {
                        state: SegmentState::Damaged,
                        begins: segment.begins,
                        ends: segment.ends,
                        frames: 0,
                        lost: 0,
                        bytes,
                        head_bytes: 0,
                        checksum: None,
                    };
                    self.complete_segment(segment.id, &damaged)?;
                    recovery.damaged = recovery.damaged.saturating_add(1);
                }
            }
        }
        Ok(recovery)
    }

    fn complete_recovered(
        &mut self,
        segment: &Segment,
        scan: &container::Scan,
    ) -> Result<(), IndexError> {
        let begins = scan.about.begins;
        let ends = scan.last.unwrap_or(begins);
        self.complete_as(segment, (begins, ends), scan.frames, scan.head_bytes)
    }

    fn complete_pictures(&mut self, segment: &Segment) -> Result<(), IndexError> {
        let pictures = pictures::look_at(&self.folder, &segment.path);
        let pictures =
            pictures.map_err(|error| IndexError::io("read", &self.file(segment), error))?;
        let times = (pictures.begins, pictures.ends);
        self.complete_as(segment, times, pictures.frames, pictures.head_bytes)
    }

    fn complete_as(
        &mut self,
        segment: &Segment,
        (begins, ends): (UtcTime, UtcTime),
        frames: u64,
        head_bytes: u64,
    ) -> Result<(), IndexError> {
        let path = self.file(segment);
        let unreadable = |error| IndexError::io("read", &path, error);
        let bytes = path.metadata().map_err(unreadable)?.len();
        let checksum = if bytes <= CHECKSUM_BYTES_MOST {
            Some(Checksum::of_file(&path, head_bytes).map_err(unreadable)?)
        } else {
            None
        };
        let gaps = self.gaps(segment.id)?;
        let completed = Completed {
            state: SegmentState::Recovered,
            begins,
            ends,
            frames,
            // As far as it was noted.
            lost: gaps
                .iter()
                .map(|gap| gap.frames)
                .fold(0, u64::saturating_add),
            bytes,
            head_bytes,
            checksum,
        };
        self.complete_segment(segment.id, &completed)
    }

    /// Writes the index again if its file was taken away: what is entered would be gone with the program. What it is made of is still there as long as
    /// it is open.
    pub(super) fn keep_file(&mut self) -> Result<(), IndexError> {
        let path = self.folder.join(INDEX_FILE);
        if self.identity.is_none() || self.identity == Identity::of(&path) {
            return Ok(());
        }
        layout::make_folder(&self.folder)
            .map_err(|error| IndexError::io("make", &self.folder, error))?;
        let copy = self.folder.join(format!("{INDEX_FILE}.new"));
        match fs::remove_file(&copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::io("remove", &copy, error));
            }
            _ => {}
        }
        schema::make_file(&copy)?;
        let name = copy.to_string_lossy();
        self.connection
            .execute("VACUUM INTO ?1", [&name])
            .map_err(|error| database("write", &copy, error))?;
        // Another one that is there by now was made of the files alone, and knows less.
        if path.exists() {
            opening::put_aside(&path)?;
        }
        fs::rename(&copy, &path).map_err(|error| IndexError::io("make", &path, error))?;
        self.connection = opening::reopen(&path, &self.label)?;
        self.identity = Identity::of(&path);
        Ok(())
    }
}
