//! A real browser: Chromium, driven by Node.js with packages of npm. `cargo xtask test` brings all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `cargo xtask test` puts the packages of npm, and what is made once for the tests.
///
/// # Panics
///
/// When they are not there.
#[must_use]
pub fn packages() -> PathBuf {
    let folder = crate::built().join("browser");
    let made_for = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let is_there = folder.join("node_modules").exists()
        && made_for == include_str!("../browser/package.json")
        && Path::new("/usr/bin/chromium").exists();
    assert!(
        is_there,
        "the browser's packages are not in {}; `cargo xtask test` fetches them",
        folder.display()
    );
    folder
}

/// A script of `tests/browser`, that can be talked with by what it reads and prints.
#[must_use]
pub fn script(name: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let mut command = Command::new("node");
    command
        .arg(scripts.join(name))
        .env("SDVR_BROWSER_PACKAGES", packages())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}
