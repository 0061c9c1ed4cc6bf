//! Directories and keys for the tests.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that cannot go on must stop, with the place; not every file uses every helper"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sdvr_frame::{Label, PublicKey};
use sdvr_trust::KeyDirectory;
use tempfile::TempDir;

/// A directory of keys of its own, and where it is.
pub(crate) struct Home {
    _temporary: TempDir,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join(".sdvr");
        KeyDirectory::open(&path).unwrap();
        Self {
            _temporary: temporary,
            path,
        }
    }

    pub(crate) fn open(&self) -> KeyDirectory {
        KeyDirectory::open(&self.path).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file as somebody else would, with the mode that is asked for.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        chmod(&path, 0o600);
    }
}

/// A file system of a few pages, gone with this value.
pub(crate) struct TinyDisk {
    _temporary: TempDir,
    pub(crate) path: PathBuf,
}

impl TinyDisk {
    /// `None`, and says so, when this user may not mount.
    pub(crate) fn mount(bytes: u32) -> Option<Self> {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().to_owned();
        let options = format!("size={bytes},mode=0700");
        let is_mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("skipped: this user may not mount a file system");
            return None;
        }
        Some(Self {
            _temporary: temporary,
            path,
        })
    }

    /// Takes all of its room, the last pages too.
    pub(crate) fn fill(&self) {
        let filler = self.path.join("filler");
        let mut bytes = 64 * 1024;
        while bytes > 0 {
            let mut content = fs::read(&filler).unwrap_or_default();
            content.resize(content.len() + bytes, 1);
            if fs::write(&filler, &content).is_err() {
                bytes /= 2;
            }
        }
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A key that no other number has.
pub(crate) fn key(number: u32) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    PublicKey(bytes)
}

pub(crate) fn label(text: &str) -> Label {
    text.parse().unwrap()
}

/// The base64 of a key, as it stands in the files.
pub(crate) fn base64(key: &PublicKey) -> String {
    data_encoding::BASE64.encode(&key.0)
}
