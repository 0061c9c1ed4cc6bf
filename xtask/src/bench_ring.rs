//! `cargo xtask bench ring`: the ring's own benches, which live beside it.

use crate::tools::{self, cargo};

fn run_bench(name: &str) -> anyhow::Result<()> {
    tools::run(&mut cargo(&[
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

pub(crate) fn run() -> anyhow::Result<()> {
    ["wake", "torn", "copy"].into_iter().try_for_each(run_bench)
}
