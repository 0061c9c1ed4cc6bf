//! Whether the recordings of a camera are what the index says of them.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;

use crate::container;
use crate::index::{Checksum, Index, IndexError, Segment, SegmentState, pictures};
use crate::sample::UtcTime;

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The index has it, and it is not there.
    Missing,
    /// It is there, and the index does not have it.
    Unknown,
    /// It is longer or shorter than when it was finished.
    Length {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes when it was finished.
        recorded: u64,
    },
    /// Its bytes are not those that were written.
    Changed {
        /// What they are.
        found: Checksum,
        /// What was written.
        recorded: Checksum,
    },
    /// It is no recording that can be read whole.
    Structure(String),
    /// It has more or fewer frames than when it was finished.
    Frames {
        /// Frames in it.
        frames: u64,
        /// Frames that were written.
        recorded: u64,
    },
    /// It was found damaged when recording began again, or when the index was made.
    Damaged,
    /// The disk or its rights do not let it be read.
    Unreadable(io::Error),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Segments that were looked at.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments that are being written, or whose recorder was ended and has not begun again. They are not looked at.
    pub open: u64,
    /// Segments of which nobody knows what their bytes were, since the index was made anew. All else of them is looked at.
    pub without_checksum: u64,
    /// What is wrong, with the path of the file from the camera's folder.
    pub problems: Vec<(String, Problem)>,
}

/// Reads all recordings of a camera.
///
/// `progress` is told of how many bytes how many have been read; when it returns false that is the end, and what was found so far is returned.
///
/// # Errors
///
/// When the index or a folder cannot be read. Whatever is wrong with a file is a [`Problem`].
pub fn verify(
    index: &Index,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Verified, IndexError> {
    let segments = index.segments(UtcTime(i64::MIN), UtcTime(i64::MAX))?;
    let mut verified = Verified::default();
    let all_bytes = index.total_bytes();
    let mut known = HashSet::new();
    for segment in segments {
        if !progress(verified.bytes, all_bytes) {
            return Ok(verified);
        }
        known.insert(segment.path.clone());
        if segment.state == SegmentState::Open {
            verified.open = verified.open.saturating_add(1);
            continue;
        }
        verified.segments = verified.segments.saturating_add(1);
        verified.bytes = verified.bytes.saturating_add(segment.bytes);
        verified.without_checksum = verified
            .without_checksum
            .saturating_add(u64::from(segment.checksum.is_none()));
        if let Err(problem) = check(index, &segment) {
            // It may have become too old meanwhile.
            if !matches!(problem, Problem::Missing) || index.segment(segment.id)?.is_some() {
                verified.problems.push((segment.path, problem));
            }
        }
    }
    for path in index.files_on_disk()? {
        // It may have been begun meanwhile.
        if !known.contains(&path) && !index.has_path(&path)? {
            verified.problems.push((path, Problem::Unknown));
        }
    }
    Ok(verified)
}

fn check(index: &Index, segment: &Segment) -> Result<(), Problem> {
    let file = index.file(segment);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Problem::Missing,
        _ => Problem::Unreadable(error),
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes != segment.bytes {
        return Err(Problem::Length {
            bytes,
            recorded: segment.bytes,
        });
    }
    if segment.state == SegmentState::Damaged {
        return Err(Problem::Damaged);
    }
    if let Some(recorded) = segment.checksum {
        let found = Checksum::of_file(&file, segment.head_bytes).map_err(unreadable)?;
        if found != recorded {
            return Err(Problem::Changed { found, recorded });
        }
    }
    if pictures::are_in(&segment.path) {
        let pictures = pictures::look_at(index.folder(), &segment.path).map_err(unreadable)?;
        return check_frames(pictures.frames, segment);
    }
    let file = File::open(&file).map_err(unreadable)?;
    let scan = container::scan(&file).map_err(|error| Problem::Structure(error.to_string()))?;
    if !scan.is_ended() {
        return Err(Problem::Structure(
            "it was not finished, or was changed since".to_owned(),
        ));
    }
    check_frames(scan.frames, segment)
}

fn check_frames(frames: u64, segment: &Segment) -> Result<(), Problem> {
    if frames == segment.frames {
        return Ok(());
    }
    Err(Problem::Frames {
        frames,
        recorded: segment.frames,
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(formatter, "it is not there any more"),
            Self::Unknown => write!(formatter, "the index does not know it"),
            Self::Length { bytes, recorded } => {
                write!(
                    formatter,
                    "it has {bytes} bytes, and {recorded} were recorded"
                )
            }
            Self::Changed { found, recorded } => write!(
                formatter,
                "its bytes are not those that were recorded (checksum {found} instead of {recorded})"
            ),
            Self::Structure(what) => write!(formatter, "it cannot be read whole: {what}"),
            Self::Frames { frames, recorded } => {
                write!(
                    formatter,
                    "it has {frames} frames, and {recorded} were recorded"
                )
            }
            Self::Damaged => write!(formatter, "it was found damaged when the index was made"),
            Self::Unreadable(error) => write!(formatter, "it cannot be read: {error}"),
        }
    }
}
