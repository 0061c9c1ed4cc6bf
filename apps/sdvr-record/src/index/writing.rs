//! What the recorder enters.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};

use super::segment::{format_text, stored};
use super::{
    Begun, Completed, EXTENSIONS, Gap, Index, IndexError, Segment, SegmentId, SegmentState, layout,
    pictures,
};
use crate::plain::times_path;
use crate::{About, UtcTime};

/// How often a name is looked for that no file has.
const NAMES_TRIED: u32 = 100_000;
/// It takes the system long to free a file of so many bytes.
const LARGE_BYTES: u64 = 16 << 20;
/// Of so many files at a time that is put off.
const HELD_MOST: usize = 64;

impl Index {
    /// Enters a segment that is about to be written, and makes the folder of its day. `extension` is one of [`EXTENSIONS`].
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or the index cannot be written.
    pub fn begin_segment(&mut self, about: &About, extension: &str) -> Result<Begun, IndexError> {
        self.mended(|index| index.begin_now(about, extension))
    }

    fn begin_now(&mut self, about: &About, extension: &str) -> Result<Begun, IndexError> {
        self.keep_file()?;
        let path = self.free_path(about.begins, extension)?;
        let mut segment = Segment {
            id: SegmentId(0),
            path,
            state: SegmentState::Open,
            begins: about.begins,
            ends: about.begins,
            frames: 0,
            lost: 0,
            bytes: 0,
            head_bytes: 0,
            checksum: None,
            format: about.format,
            fingerprint: about.fingerprint,
        };
        // Before the file is made: what is in the index and has no file is soon told, what has a file and is not in the index is not.
        self.write(|transaction| {
            segment.id = next_id(transaction)?;
            insert(transaction, &segment)
        })?;
        let begun = Begun {
            id: segment.id,
            path: self.file(&segment),
        };
        self.last_id = segment.id;
        self.begun = Some(segment);
        Ok(begun)
    }

    /// The first name of this second that no file has, and that no segment had.
    fn free_path(&self, begins: UtcTime, extension: &str) -> Result<String, IndexError> {
        for number in 1..=NAMES_TRIED {
            let path = layout::recording_path(begins, number, extension);
            let file = self.folder.join(&path);
            if number == 1
                && let Some(day) = file.parent()
            {
                layout::make_folder(day).map_err(|error| IndexError::io("make", day, error))?;
            }
            // A recording beside it of the other extension has this time's name, too.
            let is_taken = EXTENSIONS
                .iter()
                .any(|extension| file.with_extension(extension).symlink_metadata().is_ok());
            // Nor may there be the list of another one's pictures.
            let is_taken = is_taken || times_path(&file).symlink_metadata().is_ok();
            if !is_taken && !self.has_path(&path)? {
                return Ok(path);
            }
        }
        let file = self
            .folder
            .join(layout::recording_path(begins, 1, extension));
        Err(IndexError::io(
            "make",
            &file,
            io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Whether a segment has this path.
    pub(crate) fn has_path(&self, path: &str) -> Result<bool, IndexError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM segments WHERE path = ?1)";
        self.read(|connection| {
            connection
                .prepare_cached(sql)?
                .query_row([path], |row| row.get(0))
        })
    }

    /// Notes that frames are missing in a segment, or between the one before and it.
    ///
    /// # Errors
    ///
    /// When the index cannot be written.
    pub fn note_gap(&mut self, id: SegmentId, gap: &Gap) -> Result<(), IndexError> {
        self.mended(|index| index.write(|transaction| insert_gap(transaction, id, gap)))
    }

    /// Enters what became of a segment, and has that, with all that was entered before, on the disk when it returns.
    ///
    /// # Errors
    ///
    /// When the index cannot be written. The segment is open then, and can be completed later.
    pub fn complete_segment(
        &mut self,
        id: SegmentId,
        completed: &Completed,
    ) -> Result<(), IndexError> {
        self.mended(|index| index.complete_now(id, completed))
    }

    pub(super) fn complete_now(
        &mut self,
        id: SegmentId,
        completed: &Completed,
    ) -> Result<(), IndexError> {
        self.keep_file()?;
        let Some(mut segment) = self.segment(id)? else {
            return Ok(());
        };
        let before = segment.bytes;
        let Completed {
            state,
            begins,
            ends,
            frames,
            lost,
            bytes,
            head_bytes,
            checksum,
        } = *completed;
        (segment.state, segment.begins, segment.ends) = (state, begins, ends);
        (segment.frames, segment.lost, segment.bytes) = (frames, lost, bytes);
        (segment.head_bytes, segment.checksum) = (head_bytes, checksum);
        // One wait for the disk a segment; what was entered without is older in the same log, and gets there with it.
        self.set_synchronous("FULL")?;
        let result = self.write(|transaction| insert(transaction, &segment));
        self.set_synchronous("NORMAL")?;
        result?;
        self.total_bytes = self
            .total_bytes
            .saturating_sub(before)
            .saturating_add(bytes);
        self.open_bytes = 0;
        self.begun = self.begun.take().filter(|begun| begun.id != id);
        Ok(())
    }

    fn set_synchronous(&self, how: &str) -> Result<(), IndexError> {
        self.read(|connection| connection.pragma_update(None, "synchronous", how))
    }

    /// Takes a segment out of the index; its file stays as it is.
    ///
    /// # Errors
    ///
    /// When the index cannot be written.
    pub fn forget_segment(&mut self, id: SegmentId) -> Result<(), IndexError> {
        self.mended(|index| index.forget_now(id))
    }

    pub(super) fn forget_now(&mut self, id: SegmentId) -> Result<(), IndexError> {
        let Some(segment) = self.segment(id)? else {
            return Ok(());
        };
        self.write(|transaction| {
            transaction.execute("DELETE FROM segments WHERE id = ?1", [id.0])?;
            Ok(())
        })?;
        self.total_bytes = self.total_bytes.saturating_sub(segment.bytes);
        self.begun = self.begun.take().filter(|begun| begun.id != id);
        Ok(())
    }

    /// Large files that were removed: what they have is free when they are dropped, which takes a while and needs no index.
    pub(crate) fn take_removed(&mut self) -> Vec<File> {
        std::mem::take(&mut self.removed)
    }

    /// Removes a segment: its file, then what the index says of it, then the folder of its day if that is empty. A file that is not there is as good as
    /// removed. Cut off anywhere, what is left is removed when this is done again.
    ///
    /// # Errors
    ///
    /// When the file cannot be removed or the index cannot be written.
    pub fn remove_segment(&mut self, segment: &Segment) -> Result<(), IndexError> {
        let Err(error) = self.remove_now(segment) else {
            return Ok(());
        };
        self.mend(error)?;
        // It has another number now, if its file is there at all.
        match self.segment_at(&segment.path)? {
            Some(segment) => self.remove_now(&segment),
            None => Ok(()),
        }
    }

    pub(super) fn remove_now(&mut self, segment: &Segment) -> Result<(), IndexError> {
        let file = self.file(segment);
        if pictures::are_in(&segment.path) {
            remove_file(&times_path(&file))?;
        }
        if segment.bytes >= LARGE_BYTES && self.removed.len() < HELD_MOST {
            self.removed.extend(File::open(&file));
        }
        remove_file(&file)?;
        self.forget_now(segment.id)?;
        if let Some(day) = file.parent() {
            // Refused as long as anything is in it.
            let _ = fs::remove_dir(day);
        }
        Ok(())
    }
}

pub(super) fn insert(connection: &Connection, segment: &Segment) -> rusqlite::Result<()> {
    // An update of all columns where the segment is there; it keeps its gaps, which replacing the row would not.
    let sql = "INSERT INTO segments \
               (id, path, state, begins, ends, frames, lost, bytes, head_bytes, checksum, format, fingerprint, seal) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
               ON CONFLICT (id) DO UPDATE SET state = ?3, begins = ?4, ends = ?5, frames = ?6, lost = ?7, bytes = ?8, \
               head_bytes = ?9, checksum = ?10, format = ?11, fingerprint = ?12, seal = ?13";
    connection.prepare_cached(sql)?.execute(params![
        segment.id.0,
        segment.path,
        segment.state.as_str(),
        segment.begins.0,
        segment.ends.0,
        stored(segment.frames),
        stored(segment.lost),
        stored(segment.bytes),
        stored(segment.head_bytes),
        segment.checksum.map(|checksum| checksum.0.to_be_bytes()),
        format_text(&segment.format),
        segment
            .fingerprint
            .map(|fingerprint| fingerprint.to_string()),
        segment.seal(),
    ])?;
    Ok(())
}

pub(super) fn insert_gap(
    connection: &Connection,
    id: SegmentId,
    gap: &Gap,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO gaps (segment, begins, ends, frames, reason, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        id.0,
        gap.begins.0,
        gap.ends.0,
        stored(gap.frames),
        gap.reason.as_str(),
        gap.seal(id),
    ])?;
    Ok(())
}

fn remove_file(file: &Path) -> Result<(), IndexError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(IndexError::io("remove", file, error))
        }
        _ => Ok(()),
    }
}

/// The number after the greatest that was ever given: removing the newest segment does not free its own.
pub(super) fn next_id(connection: &Connection) -> rusqlite::Result<SegmentId> {
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'segments'";
    let last: i64 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(SegmentId(last.saturating_add(1)))
}
