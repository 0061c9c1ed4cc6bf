//! What is done for all cameras at once: where they are recorded, and what is removed again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use rustix::fs::{Access, access};
use sdvr_frame::{Fingerprint, StreamId, StreamLabel, Timestamp};

use super::clock::Dates;
use super::shared::Shared;
use crate::index::{Index, IndexError, Recovery, camera_folders};
use crate::retention::{HostClock, Removed, Retention};
use crate::status::StatusPage;

/// How often it is looked for what is to be removed.
const REMOVE_INTERVAL: Duration = Duration::from_secs(5);
/// How often figures are told.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// So much is made room for when the disk is full: not for each write anew.
const ROOM_BYTES: u64 = 64 << 20;

/// Where a camera is recorded.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As what.
    pub(super) label: StreamLabel,
    pub(super) index: Arc<Mutex<Index>>,
}

/// Folders that are open, by the labels as which they are recorded, and who records there now.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<StreamLabel, (Arc<Mutex<Index>>, Option<Owner>)>);

/// Who records into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    fingerprint: Option<Fingerprint>,
    stream: StreamId,
}

/// Whether files can be made there; makes the directory if only it is missing.
pub(super) fn check_directory(directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    if !directory.exists() {
        DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .with_context(|| {
                format!("cannot make {shown}: its parent must be there, and be writable")
            })?;
    }
    if !directory.is_dir() {
        bail!("{shown} is no directory; -o names one");
    }
    access(
        directory,
        Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    )
    .with_context(|| format!("nothing can be recorded in {shown}"))
}

/// A camera has a file, an index of four, a ring: as many descriptors as this process may have.
pub(super) fn take_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that fails, there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Opens what was recorded there before: it counts for what is kept, and what was not completed is.
pub(super) fn open_all(shared: &Shared) -> anyhow::Result<()> {
    let directory = &shared.options.directory;
    let labels = camera_folders(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    let mut places = shared.places();
    for label in labels {
        match shared.open(&label) {
            Ok(index) => {
                let index = Arc::new(Mutex::new(index));
                places.0.insert(label, (index, None));
            }
            // Another recorder's camera.
            Err(IndexError::InUse(_)) => {}
            Err(error) => shared.say(format_args!("{label}: {error}")),
        }
    }
    Ok(())
}

impl Shared {
    /// Opens a camera's folder, and completes what a recorder has left there that was killed.
    fn open(&self, label: &StreamLabel) -> Result<Index, IndexError> {
        let directory = &self.options.directory;
        let mut say = |line: &str| self.say(format_args!("{line}"));
        let mut index = Index::open_to_record(directory, label, &mut say)?;
        let recovered = index.recover_unfinished();
        self.say_recovered(label, recovered);
        Ok(index)
    }

    pub(super) fn say_recovered(
        &self,
        label: &StreamLabel,
        recovered: Result<Recovery, IndexError>,
    ) {
        match recovered {
            Ok(Recovery {
                recovered, damaged, ..
            }) => {
                if recovered > 0 {
                    self.say(format_args!(
                        "{label}: {recovered} unfinished file(s) of an earlier recorder completed"
                    ));
                }
                if damaged > 0 {
                    self.say(format_args!(
                        "{label}: {damaged} unfinished file(s) are damaged, and left as they are"
                    ));
                }
            }
            // Tried again at the next start; new files are not concerned.
            Err(error) => self.say(format_args!(
                "{label}: an unfinished file stays so: {error}"
            )),
        }
    }

    /// Where a camera is recorded. Of several with one label all but the first get a folder whose name says more.
    pub(super) fn place_for(
        &self,
        label: &StreamLabel,
        fingerprint: Option<Fingerprint>,
        stream: StreamId,
    ) -> Result<Place, IndexError> {
        let owner = Owner {
            fingerprint,
            stream,
        };
        let mut places = self.places();
        let mut labels = vec![label.clone()];
        if stream != StreamId(0) {
            labels = more_exact(label, &format!("stream-{}", stream.0))
                .into_iter()
                .collect();
        }
        if let Some(fingerprint) = fingerprint {
            let letters = fingerprint.to_string();
            let letters: String = letters
                .trim_start_matches("SHA256:")
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(12)
                .collect();
            let exact = labels.first().and_then(|label| more_exact(label, &letters));
            labels.extend(exact);
        }
        let mut last = Err(IndexError::InUse(self.options.directory.clone()));
        for label in labels {
            let index = match places.0.entry(label.clone()) {
                Entry::Occupied(mut place) => {
                    let (index, recorded) = place.get_mut();
                    if recorded.is_some_and(|other| other != owner) {
                        continue;
                    }
                    *recorded = Some(owner);
                    Arc::clone(index)
                }
                Entry::Vacant(place) => match self.open(&label) {
                    Ok(index) => {
                        let index = Arc::new(Mutex::new(index));
                        place.insert((Arc::clone(&index), Some(owner)));
                        index
                    }
                    Err(error) => {
                        last = Err(error);
                        break;
                    }
                },
            };
            return Ok(Place { label, index });
        }
        last
    }

    /// A camera has gone: another may be recorded in its folder.
    pub(super) fn give_back(&self, label: &StreamLabel) {
        if let Some((_, recorded)) = self.places().0.get_mut(label) {
            *recorded = None;
        }
    }

    /// Removes the oldest recordings for the sake of new ones, if the user has allowed that. False when nothing was removed.
    pub(super) fn make_room(&self) -> bool {
        if !self.options.retention.has_limits() {
            return false;
        }
        let removed = self.with_indexes(|indexes| Retention::free(indexes, ROOM_BYTES));
        self.say_removed(&removed, "the disk is full");
        removed.segments > 0
    }

    /// What to do where the disk is full.
    pub(super) fn room_hint(&self) -> &'static str {
        if self.options.retention.has_limits() {
            ""
        } else {
            " (with --keep or --max-size the oldest recordings would make room)"
        }
    }

    fn apply_retention(&self, clock: &HostClock) {
        let removed = self.with_indexes(|indexes| self.options.retention.apply(indexes, clock));
        for error in removed.failures {
            self.say(format_args!("{error}"));
        }
    }

    fn say_removed(&self, removed: &Removed, why: &str) {
        if removed.segments > 0 {
            self.say(format_args!(
                "{why}: the {} oldest files were removed ({:.1} MB)",
                removed.segments,
                megabytes(removed.bytes)
            ));
        }
        for error in &removed.failures {
            self.say(format_args!("{error}"));
        }
    }

    /// Does something with all folders. One at a time: who comes meanwhile finds it done.
    fn with_indexes<T>(&self, work: impl FnOnce(&mut [&mut Index]) -> T) -> T {
        let indexes: Vec<Arc<Mutex<Index>>> = {
            let places = self.places();
            places
                .0
                .values()
                .map(|(index, _)| Arc::clone(index))
                .collect()
        };
        let _alone = self.removing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut guards: Vec<MutexGuard<'_, Index>> = indexes
            .iter()
            .map(|index| index.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let mut indexes: Vec<&mut Index> = guards.iter_mut().map(|guard| &mut **guard).collect();
        let done = work(&mut indexes);
        let removed: Vec<Vec<File>> = indexes
            .into_iter()
            .map(|index| index.take_removed())
            .collect();
        // Cameras that begin or end a file wait for these no longer than they must.
        drop(guards);
        drop(removed);
        done
    }
}

/// A label that says more.
fn more_exact(label: &StreamLabel, what: &str) -> Option<StreamLabel> {
    format!("{label}/{what}").parse().ok()
}

/// What is to be done again and again.
pub(super) struct Housekeeper {
    shared: Arc<Shared>,
    page: Option<StatusPage>,
    clock: HostClock,
    next_status: Instant,
    next_removal: Instant,
}

impl Housekeeper {
    pub(super) fn new(shared: &Arc<Shared>, page: Option<StatusPage>) -> Self {
        let (wall, running) = now();
        Self {
            shared: Arc::clone(shared),
            page,
            clock: HostClock::new(wall, running),
            next_status: Instant::now(),
            next_removal: Instant::now(),
        }
    }

    pub(super) fn turn(&mut self) {
        let time = Instant::now();
        if time >= self.next_status {
            self.next_status = time + STATUS_INTERVAL;
            let (wall, running) = now();
            self.clock.advance(wall, running);
            if let Some(page) = &self.page {
                // It is for people who look; nothing hangs on it.
                let _ = page.write(&self.shared.status());
            }
        }
        if time >= self.next_removal && self.shared.options.retention.has_limits() {
            self.next_removal = time + REMOVE_INTERVAL;
            self.shared.apply_retention(&self.clock);
        }
    }

    /// What was recorded, at the end.
    pub(super) fn say_sum(&self) {
        let status = self.shared.status();
        let sum = |figure: fn(&crate::CameraStatus) -> u64| -> u64 {
            status
                .cameras
                .iter()
                .map(figure)
                .fold(0, u64::saturating_add)
        };
        let lost = match sum(|camera| camera.lost) {
            0 => "none lost here".to_owned(),
            lost => format!("{lost} LOST here"),
        };
        self.shared.say(format_args!(
            "{} frames of {} cameras, {:.1} MB, {lost}",
            sum(|camera| camera.frames),
            status.cameras.len(),
            megabytes(sum(|camera| camera.bytes)),
        ));
    }
}

fn now() -> (crate::UtcTime, Timestamp) {
    let running = Timestamp::now();
    (Dates::of(running, SystemTime::now()).date(running), running)
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
