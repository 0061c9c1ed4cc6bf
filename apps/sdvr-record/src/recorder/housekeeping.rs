//! What is done for all cameras at once: what is removed again, and what is told of them.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use sdvr_frame::Timestamp;

use super::clock::Dates;
use super::shared::Shared;
use crate::index::Index;
use crate::retention::{HostClock, Removed, Retention};
use crate::segment::is_disk_full;
use crate::status::StatusPage;

/// How often it is looked for what is to be removed.
const REMOVE_INTERVAL: Duration = Duration::from_secs(5);
/// Said when recordings may be kept for longer than asked.
const DOUBTED: &str = "the host's clock is more than a day ahead of the last recording: --keep does not go by it until a day was recorded under it, or another camera bears it out";
/// How often figures are told.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// So much is made room for when the disk is full: not for each write anew.
const ROOM_BYTES: u64 = 64 << 20;

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
    // Rights do not tell all: there are folders in which not even root makes files.
    let probe = directory.join(format!(".sdvr-record-{}", std::process::id()));
    match File::options().write(true).create_new(true).open(&probe) {
        Ok(_) => Ok(std::fs::remove_file(&probe)?),
        // It is recorded when there is room.
        Err(error) if is_disk_full(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("nothing can be recorded in {shown}")),
    }
}

/// A camera has a file, an index of four, a ring: as many descriptors as this process may have.
pub(super) fn take_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that fails, there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
}

impl Shared {
    /// Removes the oldest recordings of the disk that a folder is on, for the sake of new ones, if the user has allowed that. False when nothing was removed.
    pub(super) fn make_room(&self, folder: &Path) -> bool {
        if !self.options.retention.has_limits() {
            return false;
        }
        // Relaxed: who reads an old number removes a little more than he needs.
        let before = self.rooms_made.load(Ordering::Relaxed);
        let disk = disk_of(folder);
        let removed = self.with_indexes(|indexes| {
            if self.rooms_made.load(Ordering::Relaxed) != before {
                // Somebody else did so meanwhile.
                return None;
            }
            let mut same_disk: Vec<&mut Index> = indexes
                .iter_mut()
                .filter(|index| disk_of(index.folder()) == disk)
                .map(|index| &mut **index)
                .collect();
            let removed = Retention::free(&mut same_disk, ROOM_BYTES);
            if removed.segments > 0 {
                self.rooms_made.fetch_add(1, Ordering::Relaxed);
            }
            Some(removed)
        });
        let Some(removed) = removed else {
            return true;
        };
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

    /// Removes what is beyond the limits, a little at a time, as cameras wait for their indexes meanwhile; until it is done or has to end.
    fn apply_retention(&self, clock: &HostClock, said: &mut Vec<String>, must_end: &AtomicBool) {
        let mut failures = Vec::new();
        loop {
            let removed = self.with_indexes(|indexes| self.options.retention.apply(indexes, clock));
            failures.extend(removed.failures.iter().map(ToString::to_string));
            if removed.doubted_clock.is_some() {
                failures.push(DOUBTED.to_owned());
            }
            if !removed.is_more || must_end.load(Ordering::Relaxed) {
                break;
            }
        }
        failures.dedup();
        // What stays as it is was said.
        for failure in &failures {
            if !said.contains(failure) {
                self.say(format_args!("{failure}"));
            }
        }
        *said = failures;
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
        let indexes = self.places().indexes();
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

/// Which disk a folder is on.
fn disk_of(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    folder.metadata().ok().map(|metadata| metadata.dev())
}

/// Removes what is too old or too much, until it is told to end; on a thread of its own, since that may take long.
pub(super) struct Remover {
    must_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Remover {
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let must_end = Arc::new(AtomicBool::new(false));
        if !shared.options.retention.has_limits() {
            return Ok(Self {
                must_end,
                thread: None,
            });
        }
        let (shared, is_told) = (Arc::clone(shared), Arc::clone(&must_end));
        let thread = std::thread::Builder::new()
            .name("remover".to_owned())
            .spawn(move || {
                let (wall, running) = now();
                let mut clock = HostClock::new(wall, running);
                let mut said = Vec::new();
                // Relaxed: nothing but the flag is looked at.
                while !is_told.load(Ordering::Relaxed) {
                    let (wall, running) = now();
                    clock.advance(wall, running);
                    shared.apply_retention(&clock, &mut said, &is_told);
                    std::thread::park_timeout(REMOVE_INTERVAL);
                }
            })?;
        Ok(Self {
            must_end,
            thread: Some(thread),
        })
    }

    pub(super) fn end(self) {
        self.must_end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            // A panic was told by its hook.
            let _ = thread.join();
        }
    }
}

/// Tells figures, for `sdvr top`.
pub(super) struct Teller {
    shared: Arc<Shared>,
    page: Option<StatusPage>,
    next: Instant,
}

impl Teller {
    pub(super) fn new(shared: &Arc<Shared>, page: Option<StatusPage>) -> Self {
        Self {
            shared: Arc::clone(shared),
            page,
            next: Instant::now(),
        }
    }

    pub(super) fn turn(&mut self) {
        let time = Instant::now();
        if time < self.next {
            return;
        }
        self.next = time + STATUS_INTERVAL;
        if let Some(page) = &self.page {
            // It is for people who look; nothing hangs on it.
            let _ = page.write(&self.shared.status());
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
