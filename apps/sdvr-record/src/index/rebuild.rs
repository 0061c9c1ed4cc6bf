//! An index out of the files it is of, and out of what is left of the one before.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use sdvr_frame::{FourCc, FrameRate, StreamFormat};

use super::error::IndexError;
use super::layout;
use super::pictures::{self, Pictures};
use super::segment::{
    GAP_COLUMNS, Gap, SEGMENT_COLUMNS, Segment, SegmentId, SegmentState, read_gap, read_segment,
};
use crate::container::{self, End, ScanError};

/// How often it is said how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// A segment and what is missing in it.
pub(super) type Known = (Segment, Vec<Gap>);

/// What a damaged index still says, by the paths of the files. Files alone tell neither what is missing and why, nor what their bytes were.
#[derive(Default)]
pub(super) struct Salvage(HashMap<String, Known>);

impl Salvage {
    /// Reads the database at `path` as far as it can be read; what is not as it was written is left out.
    pub(super) fn of(path: &Path) -> Self {
        let mut salvage = Self::default();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Whatever fails, the files are still there.
        if let Ok(connection) = Connection::open_with_flags(path, flags) {
            let _ = salvage.read(&connection);
        }
        salvage
    }

    /// What is known to be missing in a segment; forgotten here.
    pub(super) fn take_gaps(&mut self, path: &str) -> Vec<Gap> {
        let known = self.0.get_mut(path);
        known
            .map(|(_, gaps)| std::mem::take(gaps))
            .unwrap_or_default()
    }

    fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut gaps: HashMap<SegmentId, Vec<Gap>> = HashMap::new();
        let mut read_gaps = || -> rusqlite::Result<()> {
            let mut statement =
                connection.prepare(&format!("SELECT {GAP_COLUMNS} FROM gaps ORDER BY id"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Ok((segment, gap)) = read_gap(row) {
                    gaps.entry(segment).or_default().push(gap);
                }
            }
            Ok(())
        };
        // What is damaged may be the table of gaps alone.
        let _ = read_gaps();
        let mut statement =
            connection.prepare(&format!("SELECT {SEGMENT_COLUMNS} FROM segments"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Ok(segment) = read_segment(row) {
                let gaps = gaps.remove(&segment.id).unwrap_or_default();
                self.0.insert(segment.path.clone(), (segment, gaps));
            }
        }
        Ok(())
    }
}

/// All recordings in a camera's folder, in the order in which they were recorded as far as that can be known.
///
/// # Errors
///
/// When a folder cannot be read. A file that cannot is a damaged segment.
pub(super) fn gather(
    folder: &Path,
    mut salvage: Salvage,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Known>, IndexError> {
    let paths = read_paths(folder)?;
    let (mut remembered, mut found) = (Vec::new(), Vec::new());
    let mut said = Instant::now();
    for (at, path) in paths.iter().enumerate() {
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            say(&format!(
                "{}: looked at {at} of {} recordings",
                folder.display(),
                paths.len()
            ));
        }
        match salvage.0.remove(path) {
            Some(known) if is_still(folder, &known.0) => remembered.push(known),
            // The file says more of itself by now, but not what is missing.
            Some((segment, gaps)) if segment.state == SegmentState::Open => {
                found.extend(look_at(folder, path).map(|segment| (segment, gaps)));
            }
            _ => found.extend(look_at(folder, path).map(|segment| (segment, Vec::new()))),
        }
    }
    Ok(merge(remembered, found))
}

/// Recordings of days since the index was last written that it does not know: a power cut can take its last words, and people put files back.
pub(super) fn gather_unknown(
    folder: &Path,
    is_known: &dyn Fn(&str) -> Result<bool, IndexError>,
    is_day_known: &dyn Fn(&str) -> Result<bool, IndexError>,
    last_day: Option<&str>,
) -> Result<Vec<Segment>, IndexError> {
    let mut found = Vec::new();
    for day in read_days(folder)? {
        // Days before the last are as the index says, if it says anything: to list all files would take as long as there are many.
        if Some(day.as_str()) != last_day && is_day_known(&day)? {
            continue;
        }
        for path in read_day(folder, &day)? {
            if !is_known(&path)? {
                found.extend(look_at(folder, &path));
            }
        }
    }
    found.sort_by_key(|segment| segment.begins);
    Ok(found)
}

/// The paths of all recordings from the camera's folder, in the order of their names.
pub(super) fn read_paths(folder: &Path) -> Result<Vec<String>, IndexError> {
    let mut paths = Vec::new();
    for day in read_days(folder)? {
        paths.extend(read_day(folder, &day)?);
    }
    Ok(paths)
}

fn read_days(folder: &Path) -> Result<Vec<String>, IndexError> {
    layout::days(folder).map_err(|error| IndexError::io("read", folder, error))
}

fn read_day(folder: &Path, day: &str) -> Result<Vec<String>, IndexError> {
    match layout::recordings_of_day(folder, day) {
        // The last recording in it has just become too old.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| IndexError::io("read", &folder.join(day), error)),
    }
}

/// Whether the file is the one that was finished.
fn is_still(folder: &Path, segment: &Segment) -> bool {
    let metadata = fs::metadata(folder.join(&segment.path));
    segment.state != SegmentState::Open
        && metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == segment.bytes)
}

/// Those of `remembered` have an order that was once known, and keep it; `found` have times only.
fn merge(mut remembered: Vec<Known>, mut found: Vec<Known>) -> Vec<Known> {
    remembered.sort_by_key(|(segment, _)| segment.id);
    // Stable: of those of one time, names tell the order.
    found.sort_by_key(|(segment, _)| segment.begins);
    let mut found = found.into_iter().peekable();
    let mut merged = Vec::new();
    for known in remembered {
        while let Some(earlier) = found.next_if(|(segment, _)| segment.begins < known.0.begins) {
            merged.push(earlier);
        }
        merged.push(known);
    }
    merged.extend(found);
    merged
}

/// What a file says of itself. `None` when it is gone.
fn look_at(folder: &Path, path: &str) -> Option<Segment> {
    let file = File::open(folder.join(path));
    let metadata = file
        .as_ref()
        .map_or_else(|_| fs::metadata(folder.join(path)), File::metadata);
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        // It is there, and nothing else is known of it.
        Err(_) => return Some(unreadable(path, 0)),
    };
    if pictures::are_in(path) {
        return Some(match pictures::look_at(folder, path) {
            // Whether it was finished is not to be seen; one that was not is as good.
            Ok(pictures) => of_pictures(path, metadata.len(), &pictures),
            Err(_) => unreadable(path, metadata.len()),
        });
    }
    let scan = file
        .map_err(ScanError::from)
        .and_then(|file| container::scan(&file));
    let scan = match scan {
        Ok(scan) => scan,
        // The recorder was ended before anything was in it.
        Err(ScanError::NoHead) => {
            return Some(Segment {
                state: SegmentState::Open,
                ..unreadable(path, metadata.len())
            });
        }
        Err(_) => return Some(unreadable(path, metadata.len())),
    };
    Some(Segment {
        id: SegmentId(0),
        path: path.to_owned(),
        state: match scan.end {
            End::Ended => SegmentState::Complete,
            End::CutOff => SegmentState::Open,
            End::Damaged => SegmentState::Damaged,
        },
        begins: scan.about.begins,
        ends: scan.last.unwrap_or(scan.about.begins),
        frames: scan.frames,
        lost: 0,
        bytes: metadata.len(),
        head_bytes: scan.head_bytes,
        checksum: None,
        format: scan.about.format,
        fingerprint: scan.about.fingerprint,
    })
}

fn of_pictures(path: &str, bytes: u64, pictures: &Pictures) -> Segment {
    Segment {
        state: SegmentState::Complete,
        begins: pictures.begins,
        ends: pictures.ends,
        frames: pictures.frames,
        head_bytes: pictures.head_bytes,
        format: pictures.format,
        ..unreadable(path, bytes)
    }
}

/// A file that is no recording, or cannot be read. It has the time of its name, so that it is kept as long as others are.
fn unreadable(path: &str, bytes: u64) -> Segment {
    let time = layout::time_of_path(path);
    Segment {
        id: SegmentId(0),
        path: path.to_owned(),
        state: SegmentState::Damaged,
        begins: time,
        ends: time,
        frames: 0,
        lost: 0,
        bytes,
        head_bytes: 0,
        checksum: None,
        format: StreamFormat {
            fourcc: FourCc([b' '; 4]),
            width: 0,
            height: 0,
            rate: FrameRate::UNPACED,
        },
        fingerprint: None,
    }
}
