//! What recorders of this host are doing, for whoever looks: a page of each beside the rings that this user publishes.
//!
//! A recorder writes its page anew once a second and holds a lock on it. A page without a lock is of one that was killed.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sdvr_ring::DerivedDirectory;
use serde::{Deserialize, Serialize};

/// Pages are called so, and then by their process.
const PREFIX: &str = "recorder-";
/// No page is longer.
const PAGE_BYTES_MOST: u64 = 16 << 20;
/// How often a page that was just being written is read again.
const TRIES: usize = 10;

/// A recorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecorderStatus {
    /// Its process.
    pub process: u32,
    /// Where it records.
    pub directory: PathBuf,
    /// Its cameras, by label.
    pub cameras: Vec<CameraStatus>,
}

/// One camera of a recorder. What counts does so since the recorder began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CameraStatus {
    /// Its label.
    pub label: String,
    /// Its key's; `None` of a derived stream.
    pub fingerprint: Option<String>,
    /// What becomes of its frames now.
    pub state: RecordingState,
    /// Frames that were written.
    pub frames: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Frames that arrived at the daemon and were not recorded: the disk was too slow or full.
    pub lost: u64,
}

/// What becomes of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordingState {
    /// They are written.
    Recording,
    /// Nothing can begin before a key frame comes.
    AwaitsKey,
    /// They are kept for an event.
    AwaitsEvent,
    /// They are not recorded: the disk is full, or cannot be written to.
    Paused,
    /// None come.
    Gone,
}

impl RecordingState {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::AwaitsKey => "awaits a key frame",
            Self::AwaitsEvent => "awaits an event",
            Self::Paused => "PAUSED",
            Self::Gone => "gone",
        }
    }
}

impl RecorderStatus {
    pub(crate) fn new(directory: &Path, cameras: Vec<CameraStatus>) -> Self {
        Self {
            process: std::process::id(),
            directory: directory.to_owned(),
            cameras,
        }
    }

    /// Those that record now, of this user.
    #[must_use]
    pub fn list() -> Vec<Self> {
        Self::list_in(&DerivedDirectory::usual_path())
    }

    fn list_in(directory: &Path) -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        let mut all: Vec<Self> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .filter_map(|entry| Self::read(&entry.path()))
            .collect();
        all.sort_by_key(|status| status.process);
        all
    }

    fn read(path: &Path) -> Option<Self> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .ok()?;
        // Whoever wrote it is gone if nobody holds it.
        if file.try_lock_shared().is_ok() {
            return None;
        }
        for _ in 0..TRIES {
            let mut text = Vec::new();
            let read = File::open(path).and_then(|file| {
                let mut limited = file.take(PAGE_BYTES_MOST);
                limited.read_to_end(&mut text)
            });
            read.ok()?;
            if let Ok(status) = serde_json::from_slice(&text) {
                return Some(status);
            }
        }
        None
    }
}

/// The page of this recorder; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct StatusPage {
    file: File,
    path: PathBuf,
}

impl StatusPage {
    /// # Errors
    ///
    /// When there is no place for it.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let directory = DerivedDirectory::join(&DerivedDirectory::usual_path())?;
        Ok(Self::create_in(directory.path())?)
    }

    fn create_in(directory: &Path) -> std::io::Result<Self> {
        remove_abandoned(directory);
        let path = directory.join(format!("{PREFIX}{}", std::process::id()));
        // What an earlier process of this number has left.
        let _ = std::fs::remove_file(&path);
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.try_lock().map_err(std::io::Error::from)?;
        Ok(Self { file, path })
    }

    pub(crate) fn write(&self, status: &RecorderStatus) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(status)?;
        text.push(b'\n');
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)
    }
}

impl Drop for StatusPage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn remove_abandoned(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let is_page = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_page && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_there_while_its_recorder_is() {
        let folder = tempfile::tempdir().unwrap();
        let page = StatusPage::create_in(folder.path()).unwrap();
        assert_eq!(RecorderStatus::list_in(folder.path()), []);
        let camera = CameraStatus {
            label: "front door \"1\"".to_owned(),
            fingerprint: None,
            state: RecordingState::Recording,
            frames: 3,
            bytes: 300,
            lost: 1,
        };
        let long = RecorderStatus::new(Path::new("/records"), vec![camera; 100]);
        page.write(&long).unwrap();
        assert_eq!(
            RecorderStatus::list_in(folder.path()),
            std::slice::from_ref(&long)
        );
        let short = RecorderStatus::new(Path::new("/records"), vec![]);
        page.write(&short).unwrap();
        assert_eq!(RecorderStatus::list_in(folder.path()), [short]);
        drop(page);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_recorder_leaves_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("recorder-4000000000");
        let status = RecorderStatus::new(Path::new("/records"), vec![]);
        std::fs::write(&left, serde_json::to_vec(&status).unwrap()).unwrap();
        assert_eq!(RecorderStatus::list_in(folder.path()), []);
        let _page = StatusPage::create_in(folder.path()).unwrap();
        assert!(!left.exists());
    }
}
