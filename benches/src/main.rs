//! Measures whole systems, beside a floor that is measured in the same run: `cargo xtask bench tcp`, `keys`, `idle` and `crowd`.

mod crowd;
mod floor;
mod idle;
mod keys;
mod system;
mod tcp;

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let bench = arguments.next().unwrap_or_default();
    let programs = arguments
        .next()
        .map(PathBuf::from)
        .context("usage: sdvr-bench tcp|keys|idle|crowd FOLDER-OF-PROGRAMS")?;
    match bench.as_str() {
        "tcp" => tcp::run(&programs),
        "keys" => keys::run(&programs),
        "idle" => idle::run(&programs),
        "crowd" => crowd::run(&programs),
        other => anyhow::bail!("there is no bench {other:?}; there are tcp, keys, idle and crowd"),
    }
}
