//! One file of many, without transcoding.

mod error;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sdvr_frame::StreamFormat;
use twox_hash::XxHash3_128;

pub use error::ExportError;

use crate::container::{self, Added, Fragment, Kind, Muxer, ScanError};
use crate::index::{Index, Segment, SegmentState, pictures};
use crate::sample::{About, Sample, UtcTime};

/// Frames of so many bytes are written at once.
const FRAGMENT_BYTES: u64 = 4 << 20;
/// Nor are frames of more than so many nanoseconds: players read a fragment as a whole.
const FRAGMENT_NS: i64 = 1_000_000_000;

/// Of so many frames it is known what they are. No ring holds more, and a recorder that begins takes what is in the ring.
const LAST_MOST: usize = 16_384;
/// A frame that two recorders have recorded was captured at the same time as the host's clock went for each of them.
const SAME_WITHIN_NS: u64 = 100_000_000;

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
        // Nothing of it can be read; the gap tells of it. Of others that are damaged there are frames up to the damage.
        if segment.state == SegmentState::Damaged && segment.frames == 0 {
            continue;
        }
        add_segment(index, &segment, options, &mut export, go_on)?;
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

/// Adds what is wanted of a segment. That another one begins behind the end of the range does not end the export: after a clock was set back there may be
/// more within it.
fn add_segment(
    index: &Index,
    segment: &Segment,
    options: &ExportOptions,
    export: &mut Option<Export>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), ExportError> {
    let path = index.file(segment);
    let unreadable = |error: &dyn std::fmt::Display| ExportError::Read {
        path: path.clone(),
        error: error.to_string(),
    };
    if pictures::are_in(&segment.path) {
        return Err(ExportError::Pictures(path));
    }
    let file = match File::open(&path) {
        // It is made when it is in the index already.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && segment.state == SegmentState::Open =>
        {
            return Ok(());
        }
        file => file.map_err(|error| unreadable(&error))?,
    };
    let first = match export {
        Some(_) => None,
        None => {
            match first_frame(&file, segment, options.from).map_err(|error| unreadable(&error))? {
                Some(first) => Some(first),
                // It ends before.
                None => return Ok(()),
            }
        }
    };
    let mut is_counted = false;
    // Whether times need not be looked at: within a file they go up, and one that has frames of the one before goes on from there.
    let mut goes_on = false;
    let mut frames = match container::frames(&file) {
        // Nor may its head be written.
        Err(ScanError::NoHead) if segment.state == SegmentState::Open => return Ok(()),
        frames => frames.map_err(|error| unreadable(&error))?,
    };
    while let Some(frame) = frames.try_next().map_err(|error| unreadable(&error))? {
        if first.is_some_and(|first| frame.captured < first) {
            continue;
        }
        if frame.captured > options.to {
            break;
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
        if !is_counted {
            let is_before = frame.captured < open.exported.begins && frame.captured < options.from;
            let is_there = open.has(&sample);
            goes_on |= is_there;
            // Without those before it, only a key frame can be decoded.
            let is_useless = open.exported.frames > 0
                && !goes_on
                && !frame.is_key
                && segment.format.fourcc.is_inter_coded();
            if is_before || is_there || is_useless {
                continue;
            }
        }
        open.check(segment, &path, &sample, goes_on)?;
        goes_on = true;
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
    Ok(())
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
    /// When the last frames were captured, and what they are.
    last: VecDeque<(UtcTime, u128)>,
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
            last: VecDeque::new(),
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

    /// Whether the frame is in the file already: a recorder that was begun anew begins with the newest key frame there is, and that may be in the segment
    /// before, at nearly the same time.
    fn has(&self, sample: &Sample<'_>) -> bool {
        let hash = XxHash3_128::oneshot(sample.bytes);
        self.last.iter().any(|(captured, other)| {
            *other == hash && captured.0.abs_diff(sample.captured.0) <= SAME_WITHIN_NS
        })
    }

    /// Whether the frame can be in this file.
    fn check(
        &self,
        segment: &Segment,
        path: &Path,
        sample: &Sample<'_>,
        goes_on: bool,
    ) -> Result<(), ExportError> {
        if !self.muxer.fits(&segment.format, sample) {
            return Err(ExportError::FormatChanges {
                at: sample.captured,
                before: self.format,
                after: segment.format,
            });
        }
        if self.exported.frames > 0 && !goes_on && sample.captured <= self.exported.ends {
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
            let fragment = self.muxer.take_fragment();
            self.write(&fragment)?;
            self.waiting_since = captured;
        }
        let hash = XxHash3_128::oneshot(&bytes);
        if self.muxer.add(captured, is_key, bytes) == Added::Taken {
            if self.last.len() >= LAST_MOST {
                self.last.pop_front();
            }
            self.last.push_back((captured, hash));
            self.exported.frames = self.exported.frames.saturating_add(1);
            self.exported.ends = self.exported.ends.max(captured);
        }
        Ok(())
    }

    fn write(&mut self, fragment: &Fragment) -> io::Result<()> {
        for piece in fragment.io_slices() {
            self.file.write_all(&piece)?;
        }
        Ok(())
    }

    fn finish(mut self, options: &ExportOptions) -> Result<Exported, ExportError> {
        let mut complete = || {
            let rest = self.muxer.take_rest();
            self.write(&rest)?;
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
