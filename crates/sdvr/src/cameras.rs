//! Which cameras there are, and being told when they come and go.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sdvr_frame::{Fingerprint, InstanceId, Label, Link, StreamFormat, StreamId, StreamState};
use sdvr_ring::{RingWatch, search_directories};

use crate::place::{self, Found};

/// What is known of a camera's stream.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraInfo {
    /// Its name.
    pub label: Label,
    /// Who it is.
    pub fingerprint: Fingerprint,
    /// Which of its streams.
    pub stream: StreamId,
    /// Which run of its source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// How it is doing; [`StreamState::Lost`] if its daemon is gone.
    pub state: StreamState,
    /// What it arrives over.
    pub link: Option<Link>,
    /// Frames a second, measured over the last second.
    pub frames_per_second: f64,
    /// Frames published since the ring was made.
    pub frames: u64,
    /// Frames that were captured and did not arrive, since the ring was made.
    pub lost: u64,
    /// Bytes of the frames published since the ring was made.
    pub bytes: u64,
}

/// A camera came or went.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there now.
    Came(CameraInfo),
    /// It is not there any more; as it was seen last.
    Went(CameraInfo),
}

/// The cameras of this host's daemons.
///
/// ```no_run
/// use std::time::Duration;
/// use sdvr::{Cameras, Change};
///
/// let mut cameras = Cameras::new();
/// loop {
///     for change in cameras.wait(Duration::from_secs(10)) {
///         match change {
///             Change::Came(camera) => println!("{} came", camera.label),
///             Change::Went(camera) => println!("{} went", camera.label),
///         }
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct Cameras {
    known: BTreeMap<(Label, Fingerprint, StreamId), CameraInfo>,
    watch: Option<RingWatch>,
}

impl Cameras {
    /// Knows nobody yet: the first [`Self::wait`] tells of those that are there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that are there now, sorted by label.
    #[must_use]
    pub fn list() -> Vec<CameraInfo> {
        Self::list_of(None)
    }

    /// Those of a directory that is not one of the usual ones.
    #[must_use]
    pub fn list_in(directory: &Path) -> Vec<CameraInfo> {
        Self::list_of(Some(directory))
    }

    fn list_of(directory: Option<&Path>) -> Vec<CameraInfo> {
        place::all(directory)
            .iter()
            .filter(|found| found.reader.state() != StreamState::Moved)
            .map(describe)
            .collect()
    }

    /// Waits until cameras come or go, at most `timeout`; empty when none did.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        let first = self.compare();
        if !first.is_empty() {
            return first;
        }
        let own = search_directories().into_iter().next().unwrap_or_default();
        let watch = self.watch.get_or_insert_with(|| RingWatch::new(&own));
        // Other users' directories are not watched; they are looked at at every turn.
        watch.wait(timeout);
        self.compare()
    }

    fn compare(&mut self) -> Vec<Change> {
        let now: BTreeMap<_, _> = Self::list()
            .into_iter()
            .map(|camera| {
                (
                    (camera.label.clone(), camera.fingerprint, camera.stream),
                    camera,
                )
            })
            .collect();
        let went = self
            .known
            .iter()
            .filter(|(key, _)| !now.contains_key(*key))
            .map(|(_, camera)| Change::Went(camera.clone()));
        let came = now
            .iter()
            .filter(|(key, _)| !self.known.contains_key(*key))
            .map(|(_, camera)| Change::Came(camera.clone()));
        let changes = went.chain(came).collect();
        self.known = now;
        changes
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
fn describe(found: &Found) -> CameraInfo {
    let reader = &found.reader;
    let info = reader.info();
    let state = if reader.state().is_final() || reader.writer_lives() {
        reader.state()
    } else {
        StreamState::Lost
    };
    CameraInfo {
        label: info.label.clone(),
        fingerprint: info.camera.fingerprint(),
        stream: info.stream,
        instance: info.instance,
        format: info.format,
        state,
        link: reader.link(),
        frames_per_second: reader.measured_rate() as f64 / 1000.0,
        frames: reader.head(),
        lost: reader.frames_lost(),
        bytes: reader.bytes_published(),
    }
}
