//! Debian's systemd with all that it needs, for the guest where units run: downloaded by name, unpacked, never installed.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::packages;

/// What a user of `deploy/README.md` has, and the units need.
const PACKAGES: [&str; 6] = ["systemd", "udev", "kmod", "passwd", "bash", "coreutils"];
/// Half of it all, and nothing here reads it; the emulated processor unpacks the rest at each boot.
const LEFT_OUT: [&str; 8] = [
    "./usr/share/bash-completion/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./usr/share/perl5/*",
    "./usr/share/zsh/*",
    "./usr/lib/x86_64-linux-gnu/gconv/*",
    "*/udev/hwdb.d/*",
];
/// Folders that Debian has below `/usr` only, with links to them in `/`.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Finds a root directory with systemd below `folder`, or makes one there.
pub(crate) fn fetch(folder: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder.join("systemd");
    let root = folder.join("root");
    // Written last: with it, all the rest is there.
    let packages_file = folder.join("packages");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&packages_file).is_ok_and(|unpacked| unpacked == wanted) {
        return Ok(root);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    for name in MERGED {
        std::fs::create_dir_all(root.join("usr").join(name))?;
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    // For what does not come in packages.
    std::fs::create_dir_all(root.join("usr/local/bin"))?;
    packages::update()?;
    packages::unpack_with_needs(&PACKAGES, &root, &LEFT_OUT)?;
    std::fs::write(&packages_file, wanted)?;
    Ok(root)
}
