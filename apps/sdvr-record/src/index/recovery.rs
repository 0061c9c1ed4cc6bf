//! What a recorder that was ended has left, and what somebody took away while one runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{
    Checksum, Completed, GapReason, INDEX_FILE, Index, IndexError, Segment, SegmentId,
    SegmentState, database, layout, opening, pictures, schema,
};
use crate::container::{self, End, Recovered, ScanError};
use crate::sample::UtcTime;

/// Of a longer file no checksum is computed when it is completed. Recording begins after that, and a power cut leaves such a file of each camera: to
/// read all of them would cost minutes of recordings. Nor would it tell much, as nobody knows what the bytes were before the cut.
const CHECKSUM_BYTES_MOST: u64 = 64 << 20;

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
    /// Files that are no recordings any more, or have something else between their frames; they stay as they are.
    pub damaged: u64,
}

impl Index {
    /// Completes the segments that are open. None of them may be being written.
    ///
    /// # Errors
    ///
    /// [`IndexError::NotRecovered`] when a file cannot be read or written: all others are completed none the less. Other [`IndexError`]s when the index
    /// cannot be. What is done stays done, and the rest can be tried again.
    pub fn recover_unfinished(&mut self) -> Result<Recovery, IndexError> {
        let mut done = Recovery::default();
        // If the index is made anew, all is looked at again: numbers are others, and what is done is done.
        self.mended(|index| index.recover_all(&mut done))
    }

    fn recover_all(&mut self, done: &mut Recovery) -> Result<Recovery, IndexError> {
        let mut first_error = None;
        for segment in self.unfinished()? {
            match self.recover_one(&segment, done) {
                Ok(()) => {}
                // One file that cannot be read is no reason to leave the others as they are.
                Err(error @ IndexError::Io { .. }) => {
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            None => Ok(*done),
            Some(error) => Err(IndexError::NotRecovered {
                done: *done,
                error: Box::new(error),
            }),
        }
    }

    fn recover_one(&mut self, segment: &Segment, done: &mut Recovery) -> Result<(), IndexError> {
        let path = self.file(segment);
        if pictures::are_in(&segment.path) && path.exists() {
            self.complete_pictures(segment)?;
            done.recovered = done.recovered.saturating_add(1);
            return Ok(());
        }
        let file = File::options().read(true).write(true).open(&path);
        let recovered = file
            .map_err(ScanError::from)
            .and_then(|file| container::recover(&file));
        match recovered {
            Ok(Recovered { scan, .. }) if scan.end == End::Damaged => {
                self.complete_damaged(segment, Some(&scan))?;
                done.damaged = done.damaged.saturating_add(1);
            }
            Ok(Recovered { scan, .. }) if scan.frames > 0 => {
                let begins = scan.about.begins;
                let times = (begins, scan.last.unwrap_or(begins));
                self.complete_as(segment, times, scan.frames, scan.head_bytes)?;
                done.recovered = done.recovered.saturating_add(1);
            }
            Ok(_) | Err(ScanError::NoHead) => {
                self.remove_now(segment)?;
                done.empty = done.empty.saturating_add(1);
            }
            Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.forget_now(segment.id)?;
                done.empty = done.empty.saturating_add(1);
            }
            Err(ScanError::Io(error)) => return Err(IndexError::io("complete", &path, error)),
            Err(ScanError::NotOurs) => {
                self.complete_damaged(segment, None)?;
                done.damaged = done.damaged.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Enters a file that stays as it is, and what is in it up to the damage if its head is good.
    fn complete_damaged(
        &mut self,
        segment: &Segment,
        scan: Option<&container::Scan>,
    ) -> Result<(), IndexError> {
        let path = self.file(segment);
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        let damaged = Completed {
            state: SegmentState::Damaged,
            begins: scan.map_or(segment.begins, |scan| scan.about.begins),
            ends: scan.and_then(|scan| scan.last).unwrap_or(segment.ends),
            frames: scan.map_or(0, |scan| scan.frames),
            lost: self.lost_of(segment.id)?,
            bytes,
            head_bytes: scan.map_or(0, |scan| scan.head_bytes),
            checksum: None,
        };
        self.complete_now(segment.id, &damaged)
    }

    /// Frames that arrived and were not recorded, as far as that was noted.
    fn lost_of(&self, id: SegmentId) -> Result<u64, IndexError> {
        let lost = self.gaps(id)?.into_iter().filter(|gap| {
            // The same as of segments that the recorder completes itself: what did not arrive is not lost here.
            matches!(
                gap.reason,
                GapReason::SlowDisk | GapReason::DiskFull | GapReason::NoKey
            )
        });
        Ok(lost.map(|gap| gap.frames).fold(0, u64::saturating_add))
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
        let completed = Completed {
            state: SegmentState::Recovered,
            begins,
            ends,
            frames,
            lost: self.lost_of(segment.id)?,
            bytes,
            head_bytes,
            checksum,
        };
        self.complete_now(segment.id, &completed)
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
        // Another one that is there by now was made of the files alone, and knows less. A log alone is of neither, and would be taken for the new one's.
        if path.exists() {
            opening::put_aside(&path)?;
        } else {
            opening::put_log_aside(&path, &layout::name_aside(&path))?;
        }
        fs::rename(&copy, &path).map_err(|error| IndexError::io("make", &path, error))?;
        self.connection = opening::reopen(&path, &self.label)?;
        self.identity = Identity::of(&path);
        Ok(())
    }
}
