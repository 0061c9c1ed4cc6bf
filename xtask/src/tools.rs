//! Running programs, and where they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// The workspace's folder: where cargo runs this from now, for a checkout that was moved since it was built.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Cargo's folder for what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    command
}

/// Runs a program; its failure is ours. Says how long it took, if that was long.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let text = format!("{command:?}").replace('"', "");
    eprintln!("$ {text}");
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot run {text}"))?;
    let took = started.elapsed();
    if took >= Duration::from_secs(10) {
        eprintln!("  took {} s: {text}", took.as_secs());
    }
    if status.success() {
        Ok(())
    } else {
        bail!("{text}: {status}")
    }
}

/// Builds the programs as they are released; gives their folder.
pub(crate) fn build_release() -> anyhow::Result<PathBuf> {
    let programs = ["-p", "sdvrd", "-p", "sdvrc", "-p", "sdvr-cli"];
    run(cargo(&["build", "--release"]).args(programs))?;
    Ok(target().join("release"))
}

/// Writes the C library's header. Whether it is up to date, a test of the library tells.
pub(crate) fn header() -> anyhow::Result<()> {
    let example = ["-p", "sdvr-c", "--example", "write_header"];
    run(cargo(&["run", "--quiet"]).args(example))
}

/// Writes the manual pages.
pub(crate) fn man(directory: &Path) -> anyhow::Result<()> {
    // Where the user is, not where cargo is run.
    let directory = std::path::absolute(directory)?;
    run(cargo(&["run", "--quiet", "-p", "sdvr-man", "--"]).arg(&directory))?;
    println!(
        "written; `man -l {}` shows the first",
        directory.join("sdvr.1").display()
    );
    Ok(())
}

/// `cargo demo`.
pub(crate) fn demo(arguments: &[String]) -> anyhow::Result<()> {
    eprintln!("building; the first time this takes a few minutes");
    let mut sdvr = Command::new(build_release()?.join("sdvr"));
    let status = sdvr
        .arg("demo")
        .args(arguments)
        .status()
        .context("cannot run sdvr demo")?;
    // The demonstration has said what went wrong; its exit code is ours.
    std::process::exit(status.code().unwrap_or(1));
}
