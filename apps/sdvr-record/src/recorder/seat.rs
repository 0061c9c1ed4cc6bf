//! A camera's place in what is recorded: its folder, its index and its figures.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sdvr_frame::{Fingerprint, StreamLabel};

use super::shared::Shared;
use crate::index::{Checksum, Completed, Gap, Index, IndexError, SegmentId, SegmentState};
use crate::sample::About;
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
        }
    }

    pub(super) fn status(&self) -> CameraStatus {
        CameraStatus {
            label: self.label.clone(),
            fingerprint: self.fingerprint.clone(),
            state: *self.state.lock().unwrap_or_else(PoisonError::into_inner),
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
    pub(super) fingerprint: Option<Fingerprint>,
    fingerprint_text: Option<String>,
    pub(super) index: Arc<Mutex<Index>>,
    figures: Arc<Figures>,
    /// Gaps before the file that comes next.
    gaps: Vec<Gap>,
    /// Frames that are missing in the file that is being written.
    lost: u64,
    is_index_problem_said: bool,
}

/// A place for a file.
pub(super) struct Place {
    pub(super) id: SegmentId,
    pub(super) path: PathBuf,
}

impl Seat {
    pub(super) fn new(
        shared: &Arc<Shared>,
        label: &StreamLabel,
        fingerprint: Option<Fingerprint>,
        index: Arc<Mutex<Index>>,
    ) -> Self {
        let fingerprint_text = fingerprint.map(|it| it.to_string());
        Self {
            shared: Arc::clone(shared),
            label: label.clone(),
            fingerprint,
            index,
            figures: shared.figures_of(label.as_str(), fingerprint_text.as_deref()),
            fingerprint_text,
            gaps: Vec::new(),
            lost: 0,
            is_index_problem_said: false,
        }
    }

    /// By what people call it.
    pub(super) fn names(&self) -> [&str; 2] {
        let label = self.label.as_str();
        [label, self.fingerprint_text.as_deref().unwrap_or(label)]
    }

    pub(super) fn say(&self, line: fmt::Arguments<'_>) {
        self.shared.say(format_args!("{}: {line}", self.label));
    }

    pub(super) fn tell(&self, state: RecordingState) {
        *self
            .figures
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn count_written(&self, written: Written) {
        self.figures
            .frames
            .fetch_add(written.frames, Ordering::Relaxed);
        self.figures
            .bytes
            .fetch_add(written.bytes, Ordering::Relaxed);
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
    ) -> Result<Place, IndexError> {
        let begun = self.index().begin_segment(about, extension)?;
        let (id, path) = (begun.id, begun.path);
        for gap in std::mem::take(&mut self.gaps) {
            self.note_gap(Some(id), &gap);
        }
        Ok(Place { id, path })
    }

    /// Completes what could not be completed when its disk was full.
    pub(super) fn recover_unfinished(&self) {
        let recovered = self.index().recover_unfinished();
        // If the disk is full still, that is known.
        if recovered.is_ok() {
            self.shared.say_recovered(&self.label, recovered);
        }
    }

    /// No file could be made at this place.
    pub(super) fn forget_segment(&mut self, id: SegmentId) {
        let forgotten = self.index().forget_segment(id);
        self.say_problem(forgotten);
    }

    /// Notes a gap in this file, or before the next one.
    pub(super) fn note_gap(&mut self, id: Option<SegmentId>, gap: &Gap) {
        match id {
            Some(id) => {
                let noted = self.index().note_gap(id, gap);
                self.say_problem(noted);
            }
            None => self.gaps.push(*gap),
        }
    }

    pub(super) fn complete_segment(&mut self, id: SegmentId, finished: &Finished) {
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
        self.say_problem(completed);
    }

    /// Bytes of the file that is being written.
    pub(super) fn set_open_bytes(&self, bytes: u64) {
        // Nobody waits for that: who holds the index may be busy with others' files.
        if let Ok(mut index) = self.index.try_lock() {
            index.set_open_bytes(bytes);
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
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
