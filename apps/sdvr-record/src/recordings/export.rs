//! One file of many, without transcoding.

mod error;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sdvr_frame::StreamFormat;

pub use error::ExportError;

use crate::container::{self, Added, Kind, Muxer};
use crate::index::{Index, Segment, SegmentState, pictures};
use crate::sample::{About, Sample, UtcTime};

/// Frames of so many bytes are written at once.
const FRAGMENT_BYTES: u64 = 4 << 20;
/// Nor are frames of more than so many nanoseconds: players read a fragment as a whole.
const FRAGMENT_NS: i64 = 1_000_000_000;

/// What is to be exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The first frame is not earlier. Of a format whose frames need others it is the last key frame that is not later, if there is one.
    pub from: UtcTime,
    /// The last frame is not later.
    pub to: UtcTime,
    /// The file to make.
    pub file: PathBuf,
    /// Whether a file that is there is replaced.
    pub may_replace: bool,
}

/// What is in an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// When the first frame was captured.
    pub begins: UtcTime,
    /// When the last frame was captured.
    pub ends: UtcTime,
    /// Frames in it.
    pub frames: u64,
    /// The file's.
    pub bytes: u64,
    /// Segments of which it has frames.
    pub segments: u64,
    /// How often frames were missing in these segments.
    pub gaps: u64,
}

/// Makes one file of what was recorded from one time to another. It is there when it is whole, and before that not at all.
///
/// `go_on` is asked now and then; when it says no, nothing is left.
///
/// # Errors
///
/// [`ExportError`]; recordings and a file that was there are as before.
pub fn export(
    index: &Index,
    options: &ExportOptions,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Exported, ExportError> {
    let &ExportOptions { from, to, .. } = options;
    if from > to {
        return Err(ExportError::Backwards { from, to });
    }
    if !options.may_replace && options.file.symlink_metadata().is_ok() {
        return Err(ExportError::Exists(options.file.clone()));
    }
    let mut export = None;
    for segment in index.segments(from, to)? {
        // Nothing of it can be read; the gap tells of it.
        if segment.state == SegmentState::Damaged {
            continue;
        }
        if !add_segment(index, &segment, options, &mut export, go_on)? {
            break;
        }
    }
    match export {
        Some(export) => export.finish(options),
        None => {
            let summary = index.summary()?;
            Err(ExportError::Nothing {
                from,
                to,
                nearest: summary.first.zip(summary.last),
            })
        }
    }
}

/// Adds what is wanted of a segment. False when the end was reached.
fn add_segment(
    index: &Index,
    segment: &Segment,
    options: &ExportOptions,
    export: &mut Option<Export>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<bool, ExportError> {
    let path = index.file(segment);
    let unreadable = |error: &dyn std::fmt::Display| ExportError::Read {
        path: path.clone(),
        error: error.to_string(),
    };
    if pictures::are_in(&segment.path) {
        return Err(ExportError::Pictures(path));
    }
    let file = File::open(&path).map_err(|error| unreadable(&error))?;
    let first = match export {
        Some(_) => None,
        None => {
            match first_frame(&file, segment, options.from).map_err(|error| unreadable(&error))? {
                Some(first) => Some(first),
                // It ends before.
                None => return Ok(true),
            }
        }
    };
    let mut is_counted = false;
    let mut frames = container::frames(&file).map_err(|error| unreadable(&error))?;
    while let Some(frame) = frames.try_next().map_err(|error| unreadable(&error))? {
        if first.is_some_and(|first| frame.captured < first) {
            continue;
        }
        if frame.captured > options.to {
            return Ok(false);
        }
        if !go_on() {
            return Err(ExportError::Interrupted);
        }
        let mut bytes = Vec::new();
        frames
            .read(&frame, &mut bytes)
            .map_err(|error| unreadable(&error))?;
        let sample = Sample {
            captured: frame.captured,
            is_key: frame.is_key,
            bytes: &bytes,
        };
        let open = match export {
            Some(open) => open,
            None => export.insert(Export::begin(index, segment, &path, &sample, options)?),
        };
        open.check(segment, &path, &sample, is_counted)?;
        if !is_counted {
            is_counted = true;
            open.exported.segments = open.exported.segments.saturating_add(1);
            let gaps = index.gaps(segment.id)?.len();
            open.exported.gaps = open
                .exported
                .gaps
                .saturating_add(u64::try_from(gaps).unwrap_or(u64::MAX));
        }
        open.add(frame.captured, frame.is_key, bytes)
            .map_err(|error| failed(options, error))?;
    }
    Ok(true)
}

/// When the frame was captured with which to begin: the last key frame that is not after `from`, of a format of key frames alone the first frame that is
/// not before it. `None` when all are before.
fn first_frame(
    file: &File,
    segment: &Segment,
    from: UtcTime,
) -> Result<Option<UtcTime>, container::ScanError> {
    let is_inter_coded = segment.format.fourcc.is_inter_coded();
    let mut key = None;
    let mut frames = container::frames(file)?;
    while let Some(frame) = frames.try_next()? {
        if frame.is_key && frame.captured <= from {
            key = Some(frame.captured);
        }
        if frame.captured >= from {
            return Ok(Some(
                key.filter(|_| is_inter_coded).unwrap_or(frame.captured),
            ));
        }
    }
    Ok(None)
}

/// A file that is being made.
struct Export {
    muxer: Muxer,
    file: tempfile::NamedTempFile,
    format: StreamFormat,
    /// When the first frame was captured that is not written yet.
    waiting_since: UtcTime,
    exported: Exported,
}

impl Export {
    fn begin(
        index: &Index,
        segment: &Segment,
        path: &Path,
        first: &Sample<'_>,
        options: &ExportOptions,
    ) -> Result<Self, ExportError> {
        let kind = Kind::of(segment.format.fourcc);
        let end = options
            .file
            .extension()
            .and_then(|end| end.to_str())
            .map(str::to_ascii_lowercase);
        if end.as_deref() != Some(kind.extension()) {
            return Err(ExportError::Extension {
                fourcc: segment.format.fourcc,
                kind,
            });
        }
        let about = About {
            label: index.label().clone(),
            fingerprint: segment.fingerprint,
            format: segment.format,
            begins: first.captured,
        };
        let muxer = Muxer::begin(&about, first).map_err(|error| ExportError::NotRecordable {
            path: path.to_owned(),
            error,
        })?;
        let begin = || {
            // Beside it, so that the finished one only needs its name.
            let folder = options
                .file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let mut file = tempfile::Builder::new()
                .prefix(".sdvr-export-")
                .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
            file.write_all(muxer.head())?;
            Ok(file)
        };
        let file = begin().map_err(|error| failed(options, error))?;
        Ok(Self {
            muxer,
            file,
            format: segment.format,
            waiting_since: first.captured,
            exported: Exported {
                begins: first.captured,
                ends: first.captured,
                frames: 0,
                bytes: 0,
                segments: 0,
                gaps: 0,
            },
        })
    }

    /// Whether the frame can be in this file.
    fn check(
        &self,
        segment: &Segment,
        path: &Path,
        sample: &Sample<'_>,
        is_within: bool,
    ) -> Result<(), ExportError> {
        if !self.muxer.fits(&segment.format, sample) {
            return Err(ExportError::FormatChanges {
                at: sample.captured,
                before: self.format,
                after: segment.format,
            });
        }
        if self.exported.frames > 0 && !is_within && sample.captured <= self.exported.ends {
            return Err(ExportError::ClockSetBack {
                before: self.exported.ends,
                after: sample.captured,
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    fn add(&mut self, captured: UtcTime, is_key: bool, bytes: Vec<u8>) -> io::Result<()> {
        if self.muxer.pending_bytes() >= FRAGMENT_BYTES
            || captured.0.saturating_sub(self.waiting_since.0) >= FRAGMENT_NS
        {
            self.write()?;
            self.waiting_since = captured;
        }
        if self.muxer.add(captured, is_key, bytes) == Added::Taken {
            self.exported.frames = self.exported.frames.saturating_add(1);
            self.exported.ends = captured;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        for piece in self.muxer.take_fragment().io_slices() {
            self.file.write_all(&piece)?;
        }
        Ok(())
    }

    fn finish(mut self, options: &ExportOptions) -> Result<Exported, ExportError> {
        let mut complete = || {
            self.write()?;
            let ending = self.muxer.ending();
            self.file.write_all(&ending.tail)?;
            self.file.flush()?;
            let file: &File = self.file.as_file();
            for (offset, bytes) in &ending.patches {
                file.write_all_at(bytes, *offset)?;
            }
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        self.exported.bytes = complete().map_err(|error| failed(options, error))?;
        if options.may_replace {
            self.file
                .persist(&options.file)
                .map_err(|error| failed(options, error.error))?;
        } else {
            self.file
                .persist_noclobber(&options.file)
                .map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => ExportError::Exists(options.file.clone()),
                    _ => failed(options, error.error),
                })?;
        }
        Ok(self.exported)
    }
}

fn failed(options: &ExportOptions, error: io::Error) -> ExportError {
    ExportError::Write {
        path: options.file.clone(),
        error,
    }
}
