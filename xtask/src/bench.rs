//! `cargo xtask bench`: builds the benches as released and runs them. They live beside what they measure.

use crate::tools::{build_release, cargo, run};

/// The ring's own benches.
pub(crate) fn ring() -> anyhow::Result<()> {
    let bench = |name| {
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
    };
    ["wake", "torn", "copy"].into_iter().try_for_each(bench)
}

/// Whole systems over TCP.
pub(crate) fn tcp() -> anyhow::Result<()> {
    system("tcp")
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
