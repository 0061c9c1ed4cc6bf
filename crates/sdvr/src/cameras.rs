//! Which cameras there are, and being told when they come and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdvr_frame::{
    Fingerprint, InstanceId, Link, StreamFormat, StreamId, StreamLabel, StreamState, Timestamp,
};
use sdvr_ring::{Origin, RingName, RingReader};

use crate::camera::Camera;
use crate::error::Error;
use crate::open_rings::OpenRings;
use crate::place::{self, Wanted};

/// What is known of a camera's stream, or of a derived one.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraInfo {
    /// Its name.
    pub label: StreamLabel,
    /// Where its daemon publishes, or the program that makes it.
    pub directory: PathBuf,
    /// Who it is; or that it is no camera's stream, but one that a program made of others.
    pub origin: Origin,
    /// Which of its streams.
    pub stream: StreamId,
    /// Which run of its source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// How it is doing; [`StreamState::Lost`] if its daemon is gone.
    pub state: StreamState,
    /// What it arrives over; `None` also for a stream that a program of this host makes.
    pub link: Option<Link>,
    /// Frames a second, measured over the last second; of a stream that a program makes, over the last in which it published.
    pub frames_per_second: f64,
    /// Frames published since the ring was made.
    pub frames: u64,
    /// Frames that were captured and did not arrive, since the ring was made.
    pub lost: u64,
    /// Packets that were lost on the link, sent again and arrived, as long as its source runs; `None` when nobody can tell: over TCP, where the kernels do it unseen, of a
    /// stream that a program makes, and of a daemon that does not count them.
    pub retransmitted: Option<u64>,
    /// Bytes of the frames published since the ring was made.
    pub bytes: u64,
    /// When the newest frame was published; `None` before the first one, and when a ring that has ended has given its frames back.
    pub last_frame: Option<Timestamp>,
}

impl CameraInfo {
    /// Who the camera is; `None` for a stream that a program made.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.origin.fingerprint()
    }

    /// The name of its file: [`crate::Camera::open_in`] finds this stream by it, and no other.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.ring_name().as_str().to_owned()
    }

    /// Whether somebody means this stream who calls it so: by its label, by its fingerprint or the beginning of it, or by the name of its file.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let fingerprint = self.fingerprint().map(|it| it.to_string());
        Wanted::new(name).fits_description(
            &self.ring_name(),
            &self.label,
            fingerprint.as_deref(),
            self.stream,
        )
    }

    /// Its frames, from the next one on, however many others have its label. As with [`Camera::wait_for`], one that has gone meanwhile is waited for.
    #[must_use]
    pub fn follow(&self) -> Camera {
        Camera::wait_for_in(&self.directory, self.ring_name().as_str())
    }

    /// The name of its ring.
    pub(crate) fn ring_name(&self) -> RingName {
        RingName::of(&self.origin, &self.label, self.stream)
    }
}

/// A camera came or went.
///
/// It is there while its daemon lives and says that it is [`StreamState::Live`] or [`StreamState::Stale`]: one that has been silent for 60 s, has
/// ended, or whose daemon was killed is not.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there now, for the first time or again.
    Came(CameraInfo),
    /// It is not there any more; with its last figures, and the state it has now.
    Went(CameraInfo),
}

/// The cameras of this host's daemons, and what programs [publish](crate::Publisher) beside them.
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
    rings: OpenRings,
    /// Those that were told of as there.
    known: BTreeMap<Key, CameraInfo>,
}

/// One stream of one camera at one daemon, or a derived one, over all its runs and rings.
pub(crate) type Key = (StreamLabel, Option<Fingerprint>, StreamId, PathBuf);

impl Cameras {
    /// Knows nobody yet: the first [`Self::wait`] tells of those that are there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Self::new`], for the cameras of a directory that is not one of the usual ones.
    #[must_use]
    pub fn new_in(directory: &Path) -> Self {
        Self {
            rings: OpenRings::only_in(directory),
            known: BTreeMap::new(),
        }
    }

    /// Those that are there now, sorted by label; also those that are lost or have just ended, as their state says.
    #[must_use]
    pub fn list() -> Vec<CameraInfo> {
        Self::list_of(None)
    }

    /// Those of a directory that is not one of the usual ones.
    #[must_use]
    pub fn list_in(directory: &Path) -> Vec<CameraInfo> {
        Self::list_of(Some(directory))
    }

    /// What a user means by a label, a fingerprint or the name of a file, as [`crate::Camera::open`] has it; opens the camera for nobody.
    ///
    /// # Errors
    ///
    /// As [`crate::Camera::open`].
    pub fn find(camera: &str) -> Result<CameraInfo, Error> {
        Self::find_wanted(&Wanted::new(camera))
    }

    /// As [`Self::find`], in one directory.
    ///
    /// # Errors
    ///
    /// As [`crate::Camera::open`].
    pub fn find_in(directory: &Path, camera: &str) -> Result<CameraInfo, Error> {
        Self::find_wanted(&Wanted::new_in(directory, camera))
    }

    fn find_wanted(wanted: &Wanted) -> Result<CameraInfo, Error> {
        let found = place::find(wanted)?;
        Ok(describe(&found.directory, &found.reader))
    }

    fn list_of(directory: Option<&Path>) -> Vec<CameraInfo> {
        let mut cameras: Vec<CameraInfo> = place::each_in(&place::paths(directory))
            .filter(|found| found.reader.state() != StreamState::Moved)
            .map(|found| describe(&found.directory, &found.reader))
            .collect();
        cameras.sort_by_cached_key(key_of);
        cameras
    }

    /// Waits until cameras come or go, at most `timeout`; empty only when none did in all that time.
    ///
    /// What [`Change`] calls there is compared with what the calls before have told. A new run of a source that is there is no change,
    /// and neither is a camera that went and came back between two looks.
    ///
    /// New rings are told by the kernel, in every directory that is searched. That a camera is lost or has ended, or that its daemon was
    /// killed, is seen within 0.2 s: every ring is looked at five times a second, which costs a load and a system call each, for 1,000 cameras together less than
    /// a hundredth of a core (7.5 ms a second, measured). For that the rings are kept open between looks and between calls, with a
    /// descriptor a camera; those for which this process has none left (`ulimit -n`) are not told of until it has.
    pub fn wait(&mut self, timeout: Duration) -> Vec<Change> {
        let deadline = Timestamp::now() + timeout;
        loop {
            if self.rings.look() {
                let changes = self.compare();
                if !changes.is_empty() {
                    return changes;
                }
            }
            let rest = deadline.saturating_since(Timestamp::now());
            if rest.is_zero() {
                return Vec::new();
            }
            self.rings.wait(rest);
        }
    }

    fn compare(&mut self) -> Vec<Change> {
        let now: BTreeMap<Key, CameraInfo> = self.rings.there().map(keyed).collect();
        let known = std::mem::take(&mut self.known);
        let came: Vec<Change> = now
            .iter()
            .filter(|(key, _)| !known.contains_key(*key))
            .map(|(_, camera)| Change::Came(camera.clone()))
            .collect();
        let mut went: BTreeMap<Key, CameraInfo> = known
            .into_iter()
            .filter(|(key, _)| !now.contains_key(key))
            .collect();
        if !went.is_empty() {
            // Their rings are held until the next look.
            for (key, last) in self.rings.all().map(keyed) {
                if let Some(camera) = went.get_mut(&key)
                    && camera.instance == last.instance
                {
                    *camera = last;
                }
            }
        }
        self.known = now;
        went.into_values().map(Change::Went).chain(came).collect()
    }
}

fn keyed((directory, reader): (&Path, &RingReader)) -> (Key, CameraInfo) {
    let camera = describe(directory, reader);
    (key_of(&camera), camera)
}

pub(crate) fn key_of(camera: &CameraInfo) -> Key {
    (
        camera.label.clone(),
        camera.fingerprint(),
        camera.stream,
        camera.directory.clone(),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a rate for display")]
pub(crate) fn describe(directory: &Path, reader: &RingReader) -> CameraInfo {
    let info = reader.info();
    let state = match place::state_of(reader) {
        // Nothing has come after it, or it would be described: its daemon is ending.
        StreamState::Moved => StreamState::Lost,
        state => state,
    };
    CameraInfo {
        label: info.label.clone(),
        directory: directory.to_owned(),
        origin: info.origin.clone(),
        stream: info.stream,
        instance: info.instance,
        format: info.format,
        state,
        link: reader.link(),
        frames_per_second: reader.measured_rate() as f64 / 1000.0,
        frames: reader.head(),
        lost: reader.frames_lost(),
        retransmitted: reader.retransmitted(),
        bytes: reader.bytes_published(),
        last_frame: last_frame(reader),
    }
}

/// The newest frame may be overwritten while it is looked at: then there is a newer one.
fn last_frame(reader: &RingReader) -> Option<Timestamp> {
    (0..3).find_map(|_| {
        let newest = reader.head().checked_sub(1)?;
        reader.meta(newest).ok().map(|meta| meta.published)
    })
}
