//! A disk that is soon full.

use std::path::Path;
use std::process::Command;

/// A small file system, gone with this value.
#[derive(Debug)]
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Mounts it at `path`; `None`, and says so, where this process may not mount.
    ///
    /// # Panics
    ///
    /// When there can be no such directory.
    pub fn mount(path: &'a Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={bytes},mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "sdvr-test"])
            .arg(path)
            .status()
            .ok()?;
        if !status.success() {
            eprintln!("not tested: mounting a small file system needs root");
            return None;
        }
        Some(Self(path))
    }

    /// Nothing is written there any more. Nobody may have a file open to write.
    ///
    /// # Panics
    ///
    /// When the system refuses.
    pub fn make_read_only(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.0)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
