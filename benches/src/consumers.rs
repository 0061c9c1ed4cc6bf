//! What reading costs, in Rust and in Python, what decoding does, and that consumers do not disturb each other.

mod disturbed;
mod first_picture;
mod group;
mod python;
mod reader;

use std::path::Path;

use crate::decoding;

pub(crate) use reader::{Cost, FRAMES, run as read};

/// `python` is an interpreter that has the package `sdvr`.
pub(crate) fn run(programs: &Path, python: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if is_wanted("decoding") {
        decoding::run()?;
    }
    if is_wanted("first") {
        first_picture::run(programs)?;
    }
    if is_wanted("python") {
        python::run(programs, python)?;
    }
    if is_wanted("group") {
        group::run()?;
    }
    if is_wanted("disturbed") {
        disturbed::run(programs)?;
    }
    Ok(())
}
