//! `cargo xtask bench`: builds the benches as released and runs them. They live beside what they measure.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::tools::{build_release, cargo, run, target};

/// The ring's own benches.
pub(crate) fn ring() -> anyhow::Result<()> {
    ["wake", "torn", "copy"]
        .into_iter()
        .try_for_each(ring_bench)
}

fn ring_bench(name: &str) -> anyhow::Result<()> {
    run(&mut cargo(&[
        "run",
        "--release",
        "--quiet",
        "-p",
        "sdvr-ring",
        "--example",
        "ring_bench",
        "--",
        name,
    ]))
}

/// Whole systems over TCP.
pub(crate) fn tcp() -> anyhow::Result<()> {
    system("tcp")
}

/// Whole systems over UDP.
pub(crate) fn udp(minutes: Option<u32>) -> anyhow::Result<()> {
    let (programs, bench) = (build_release()?, build_bench()?);
    let minutes = minutes.map(|minutes| minutes.to_string());
    run(Command::new(bench).arg("udp").arg(programs).args(minutes))
}

/// Whole systems over raw Ethernet, in a network namespace that is gone afterwards.
pub(crate) fn ethernet(minutes: Option<u32>) -> anyhow::Result<()> {
    let (programs, bench) = (build_release()?, build_bench()?);
    let minutes = minutes.map(|minutes| minutes.to_string());
    run(Command::new("unshare")
        .args(["--net", "--"])
        .arg(bench)
        .arg("ethernet")
        .arg(programs)
        .args(minutes))
    .context("raw Ethernet is measured in a network namespace, which root may make")
}

/// Whole systems over UDP across bad networks.
pub(crate) fn loss(is_quick: bool, only: Option<&str>) -> anyhow::Result<()> {
    let (programs, bench) = (build_release()?, build_bench()?);
    let frames = if is_quick { "2000" } else { "20000" };
    run(Command::new(bench)
        .arg("loss")
        .arg(programs)
        .arg(frames)
        .args(only))
    .context("bad networks lie between network namespaces, which root may make")
}

/// Builds the bench as released; gives where it is.
fn build_bench() -> anyhow::Result<PathBuf> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--quiet",
        "-p",
        "sdvr-bench",
    ]))?;
    Ok(target().join("release/sdvr-bench"))
}

/// What renewing keys costs.
pub(crate) fn keys() -> anyhow::Result<()> {
    system("keys")
}

/// What a camera that hardly sends costs the daemon.
pub(crate) fn idle() -> anyhow::Result<()> {
    system("idle")
}

/// A thousand new cameras at once.
pub(crate) fn crowd() -> anyhow::Result<()> {
    system("crowd")
}

fn system(name: &str) -> anyhow::Result<()> {
    let programs = build_release()?;
    run(cargo(&[
        "run",
        "--release",
        "--quiet",
        "-p",
        "sdvr-bench",
        "--",
        name,
    ])
    .arg(programs))
}

/// Reading and decoding, in Rust and in Python.
pub(crate) fn consumers(only: Option<&str>) -> anyhow::Result<()> {
    if only.is_none_or(|only| "copying".contains(only)) {
        ring_bench("copy")?;
    }
    let programs = build_release()?;
    let bench = build_bench()?;
    let python = python_with_sdvr()?;
    run(Command::new(bench)
        .arg("consumers")
        .arg(programs)
        .arg(python)
        .args(only))
}

/// An interpreter of its own that has the package `sdvr` as it would be released; gives where it is.
fn python_with_sdvr() -> anyhow::Result<PathBuf> {
    let folder = target().join("python-bench");
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .context("Python has no venv: install the Debian package python3-venv")?;
        run(pip(&python).args(["maturin>=1.9,<2", "numpy"]))?;
    }
    let wheels = folder.join("wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    run(Command::new(&python)
        .args(["-m", "maturin", "build", "--release", "--quiet"])
        .args(["-m", "bindings/python/Cargo.toml", "-o"])
        .arg(&wheels)
        .stdin(std::process::Stdio::null()))?;
    let wheel = std::fs::read_dir(&wheels)?
        .find_map(Result::ok)
        .context("maturin has built no wheel")?;
    run(pip(&python)
        .arg("--force-reinstall")
        .arg("--no-deps")
        .arg(wheel.path()))?;
    Ok(python)
}

fn pip(python: &std::path::Path) -> Command {
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip
}

/// Looking at cameras: a window, a browser, many of them.
pub(crate) fn view(only: Option<&str>) -> anyhow::Result<()> {
    in_parts("view", only)
}

/// Recording cameras.
pub(crate) fn record(only: Option<&str>) -> anyhow::Result<()> {
    in_parts("record", only)
}

fn in_parts(name: &str, only: Option<&str>) -> anyhow::Result<()> {
    let (programs, bench) = (build_release()?, build_bench()?);
    run(Command::new(bench).arg(name).arg(programs).args(only))
}

/// Kills a recorder so often, by the test that does so a few times.
pub(crate) fn record_faults(kills: u32) -> anyhow::Result<()> {
    build_release()?;
    run(cargo(&[
        "test",
        "--release",
        "-p",
        "sdvr-tests",
        "--test",
        "record_kills",
        "--",
        "--nocapture",
    ])
    .env("SDVR_KILLS", kills.to_string()))
}
