//! Why nothing was exported.

use std::io;
use std::path::PathBuf;

use sdvr_frame::{FourCc, StreamFormat};

use crate::container::{Kind, NotRecordable};
use crate::index::IndexError;
use crate::sample::UtcTime;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The range ends before it begins.
    #[error("the range ends at {to}, before it begins at {from}")]
    Backwards {
        /// Its beginning.
        from: UtcTime,
        /// Its end.
        to: UtcTime,
    },
    /// No frame was recorded in this time.
    #[error("nothing was recorded from {from} to {to}{}", nearest_text(.nearest))]
    Nothing {
        /// The beginning of the range.
        from: UtcTime,
        /// Its end.
        to: UtcTime,
        /// From when to when there are recordings at all, if there are any.
        nearest: Option<(UtcTime, UtcTime)>,
    },
    /// A file is there.
    #[error("{} is there already; use another name, or --force to replace it", .0.display())]
    Exists(PathBuf),
    /// The name does not end with the container's extension.
    #[error("{} is exported as {kind}: let the file's name end with .{}", .fourcc, .kind.extension())]
    Extension {
        /// What is exported.
        fourcc: FourCc,
        /// What it becomes.
        kind: Kind,
    },
    /// One file cannot hold all of it.
    #[error("the camera's format changed at {at} ({}), and no file holds both: export up to then, and from then on", change_text(.before, .after))]
    FormatChanges {
        /// When the first frame in the other format was captured.
        at: UtcTime,
        /// The format until then.
        before: StreamFormat,
        /// The format from then on.
        after: StreamFormat,
    },
    /// It was decoded before it was recorded.
    #[error("{} has decoded pictures one behind the other, which no container is for; it plays as it is", .0.display())]
    Pictures(PathBuf),
    /// The times go back.
    #[error("the clock was set back: after {before} there is a recording that begins at {after}, {}; times in one file go up, so export the one and the other", path.display())]
    ClockSetBack {
        /// The last frame before.
        before: UtcTime,
        /// The first frame after.
        after: UtcTime,
        /// The recording that begins so.
        path: PathBuf,
    },
    /// A recording begins with what nothing can begin with.
    #[error("{}: {error}", path.display())]
    NotRecordable {
        /// The recording.
        path: PathBuf,
        /// Why.
        error: NotRecordable,
    },
    /// A recording cannot be read.
    #[error("cannot read {}: {error}; `sdvr recordings verify` tells what is wrong with it", path.display())]
    Read {
        /// The recording.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The user did not want it any more.
    #[error("interrupted; nothing was exported")]
    Interrupted,
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl ExportError {
    /// Whether another command line would do it.
    #[must_use]
    pub const fn is_wrong_usage(&self) -> bool {
        matches!(
            self,
            Self::Backwards { .. } | Self::Exists(_) | Self::Extension { .. }
        )
    }
}

fn nearest_text(nearest: &Option<(UtcTime, UtcTime)>) -> String {
    match nearest {
        Some((first, last)) => format!("; there are recordings from {first} to {last}"),
        None => "; there are no recordings of this camera".to_owned(),
    }
}

fn change_text(before: &StreamFormat, after: &StreamFormat) -> String {
    let text =
        |format: &StreamFormat| format!("{} {}x{}", format.fourcc, format.width, format.height);
    let (before, after) = (text(before), text(after));
    if before == after {
        format!("{before} with other parameters")
    } else {
        format!("from {before} to {after}")
    }
}
