//! A camera's place in what is recorded: its folder, its index and its figures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sdvr_frame::{Fingerprint, StreamLabel};

use super::places::Place;
use super::shared::Shared;
use crate::index::{Begun, Checksum, Completed, Gap, Index, IndexError, SegmentId, SegmentState};
use crate::sample::{About, UtcTime};
use crate::segment::{Finished, Written};
use crate::status::{CameraStatus, RecordingState};

/// Figures of a camera. They count since the recorder began.
#[derive(Debug)]
pub(super) struct Figures {
    label: String,
    fingerprint: Option<String>,
    frames: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    state: Mutex<RecordingState>,
    /// When the newest frame was captured that was written.
    last_recorded: Mutex<Option<UtcTime>>,
}

// All are relaxed: the numbers stand for themselves.
impl Figures {
    pub(super) fn new(label: &str, fingerprint: Option<&str>) -> Self {
        Self {
            label: label.to_owned(),
            fingerprint: fingerprint.map(str::to_owned),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            state: Mutex::new(RecordingState::AwaitsKey),
            last_recorded: Mutex::default(),
        }
    }

    pub(super) fn status(&self) -> CameraStatus {
        CameraStatus {
            label: self.label.clone(),
            fingerprint: self.fingerprint.clone(),
            state: *lock(&self.state),
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}

/// A camera's folder and index, which it has as long as the recorder runs, and figures.
pub(super) struct Seat {
    shared: Arc<Shared>,
    /// Under which it is recorded.
    pub(super) label: StreamLabel,
    /// What people call it.
    name: String,
    pub(super) fingerprint: Option<Fingerprint>,
    fingerprint_text: Option<String>,
    index: Arc<Mutex<Index>>,
    folder: PathBuf,
    figures: Arc<Figures>,
    /// The file that was begun last.
    last: Option<SegmentId>,
    /// The one before it, which is the last again if it is forgotten.
    before: Option<SegmentId>,
    /// Frames that are missing in the file that is being written.
    lost: u64,
    is_index_problem_said: bool,
}

impl Seat {
    pub(super) fn new(
        shared: &Arc<Shared>,
        place: &Place<'_>,
        fingerprint: Option<Fingerprint>,
        name: String,
    ) -> Self {
        let (label, index) = (&place.label, Arc::clone(&place.index));
        let folder = lock(&index).folder().to_owned();
        let fingerprint_text = fingerprint.map(|it| it.to_string());
        Self {
            shared: Arc::clone(shared),
            label: label.clone(),
            name,
            fingerprint,
            figures: shared.figures_of(label.as_str(), fingerprint_text.as_deref()),
            fingerprint_text,
            folder,
            index,
            last: None,
            before: None,
            lost: 0,
            is_index_problem_said: false,
        }
    }

    /// By what people call it.
    pub(super) fn names(&self) -> [&str; 3] {
        let label = self.label.as_str();
        let fingerprint = self.fingerprint_text.as_deref().unwrap_or(label);
        [label, &self.name, fingerprint]
    }

    pub(super) fn say(&self, line: fmt::Arguments<'_>) {
        self.shared.say(format_args!("{}: {line}", self.label));
    }

    pub(super) fn tell(&self, state: RecordingState) {
        *lock(&self.figures.state) = state;
    }

    /// Frames were written, the newest of which was captured then.
    pub(super) fn count_written(&self, written: Written, ends: UtcTime) {
        let figures = &self.figures;
        figures.frames.fetch_add(written.frames, Ordering::Relaxed);
        figures.bytes.fetch_add(written.bytes, Ordering::Relaxed);
        *lock(&figures.last_recorded) = Some(ends);
    }

    /// When the newest frame was captured that was written, also before the camera went and came back.
    pub(super) fn last_recorded(&self) -> Option<UtcTime> {
        *lock(&self.figures.last_recorded)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn count_lost(&mut self, frames: u64) {
        self.lost = self.lost.saturating_add(frames);
        self.figures.lost.fetch_add(frames, Ordering::Relaxed);
    }

    /// A place for the next file.
    pub(super) fn begin_segment(
        &mut self,
        about: &About,
        extension: &str,
    ) -> Result<Begun, IndexError> {
        let begun = self.index().begin_segment(about, extension);
        self.say_notices();
        let begun = begun?;
        self.before = self.last.replace(begun.id);
        Ok(begun)
    }

    /// Completes what could not be completed when its disk was full. Whether that is done.
    pub(super) fn recover_unfinished(&self) -> bool {
        // If the disk is full still, that is known.
        self.index().recover_unfinished().is_ok()
    }

    /// No file could be made at this place.
    pub(super) fn forget_segment(&mut self, id: SegmentId) {
        if self.last == Some(id) {
            self.last = self.before.take();
        }
        let forgotten = self.index().forget_segment(id);
        self.say_problem(forgotten);
    }

    /// Notes a gap in this file.
    pub(super) fn note_gap(&mut self, id: SegmentId, gap: &Gap) {
        let noted = self.index().note_gap(id, gap);
        self.say_problem(noted);
    }

    /// The file that was begun last.
    pub(super) const fn last_file(&self) -> Option<SegmentId> {
        self.last
    }

    /// Enters what a file has. Whether that is done.
    pub(super) fn complete_segment(&mut self, id: SegmentId, finished: &Finished) -> bool {
        let lost = std::mem::take(&mut self.lost);
        let completed = self.index().complete_segment(
            id,
            &Completed {
                state: SegmentState::Complete,
                begins: finished.begins,
                ends: finished.ends,
                frames: finished.frames,
                lost,
                bytes: finished.bytes,
                head_bytes: finished.head_bytes,
                checksum: Some(Checksum(finished.checksum)),
            },
        );
        self.say_notices();
        let is_done = completed.is_ok();
        self.say_problem(completed);
        is_done
    }

    /// What the index has done that people should know.
    fn say_notices(&self) {
        let notices = self.index().take_notices();
        for notice in notices {
            self.shared.say(format_args!("{notice}"));
        }
    }

    /// Bytes of the file that is being written.
    pub(super) fn set_open_bytes(&self, bytes: u64) {
        // Nobody waits for that: who holds the index may be busy with others' files.
        if let Ok(mut index) = self.index.try_lock() {
            index.set_open_bytes(bytes);
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// The index is not needed to record: it is said once that it cannot be written, and it is made anew of the files later.
    fn say_problem<T>(&mut self, result: Result<T, IndexError>) {
        match result {
            Ok(_) => self.is_index_problem_said = false,
            Err(_) if self.is_index_problem_said => {}
            Err(error) => {
                self.is_index_problem_said = true;
                self.say(format_args!("{error}; recording goes on"));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
