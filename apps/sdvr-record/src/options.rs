//! What is to be recorded, where and how.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::retention::Retention;

/// What is to be recorded, where and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordOptions {
    /// Labels or fingerprints; none: all cameras.
    pub cameras: Vec<String>,
    /// Where: a folder for each camera is made there.
    pub directory: PathBuf,
    /// How long a file is: it ends at the next frame at which one can begin.
    pub segment: Duration,
    /// What is kept.
    pub retention: Retention,
    /// When what was written is forced to the disk.
    pub sync: Sync,
    /// As what frames are written.
    pub form: Form,
    /// Nothing is recorded but around events.
    pub events: Option<EventOptions>,
}

/// When what was written is forced to the disk, so that a power cut cannot take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// At each write, once a second: a power cut takes what comes in a second.
    #[default]
    Write,
    /// When a file ends: a power cut may take what was not yet written back of the last one, on Linux half a minute as a rule.
    Segment,
    /// Never: the system writes back when it likes.
    Never,
}

/// As what frames are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As they came, in the container that fits: MP4 or Matroska.
    #[default]
    AsTheyCame,
    /// Decoded, one plane behind the other and nothing else.
    Planes,
    /// Decoded, as YUV4MPEG2.
    Y4m,
}

/// Recording around events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventOptions {
    /// What is recorded of the time before an event.
    pub pre_roll: Duration,
    /// What is recorded after it; an event in this time prolongs it.
    pub length: Duration,
    /// What a camera's frames before an event may take of memory.
    pub memory_bytes: u64,
    /// Counts signals: each is an event.
    pub signals: Option<Arc<AtomicUsize>>,
    /// A file that is touched, or a pipe in which each line names a camera.
    pub trigger: Option<PathBuf>,
}

impl RecordOptions {
    /// Everything, for ever, in files of a minute.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            cameras: Vec::new(),
            directory,
            segment: Duration::from_secs(60),
            retention: Retention::default(),
            sync: Sync::default(),
            form: Form::default(),
            events: None,
        }
    }
}

impl EventOptions {
    /// Events of which nobody tells yet.
    #[must_use]
    pub const fn new(pre_roll: Duration, length: Duration) -> Self {
        Self {
            pre_roll,
            length,
            memory_bytes: 256_000_000,
            signals: None,
            trigger: None,
        }
    }
}
