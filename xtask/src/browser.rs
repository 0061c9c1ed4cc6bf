//! What drives the browser in the page's tests: packages of npm, in cargo's folder and not in the tree.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::tools::{root, run, target};

/// What `cargo xtask test` says of them before it asks.
pub(crate) const DESCRIPTION: &str =
    "playwright-core and axe-core of npm, to drive the browser (npm install, 20 MB in target/)";

fn wanted() -> PathBuf {
    root().join("tests/browser/package.json")
}

fn folder() -> PathBuf {
    target().join("browser")
}

/// Whether the packages are there, in the versions that the tests name.
pub(crate) fn is_there() -> bool {
    let made_for = fs::read(folder().join("package.json")).ok();
    made_for.is_some()
        && made_for == fs::read(wanted()).ok()
        && folder().join("node_modules/playwright-core").exists()
}

/// Fetches them.
pub(crate) fn install() -> anyhow::Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let manifest = folder.join("package.json");
    fs::copy(wanted(), &manifest)?;
    let quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
    let installed = run(Command::new("npm")
        .current_dir(&folder)
        // The versions are exact, and neither package has others under it or anything to run.
        .args(["install", "--no-package-lock", "--ignore-scripts"])
        .args(quietly));
    if installed.is_err() {
        // So that it is tried again.
        fs::remove_file(&manifest)?;
    }
    installed
}
