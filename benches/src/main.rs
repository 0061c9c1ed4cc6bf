//! Measures whole systems, beside a floor that is measured in the same run: `cargo xtask bench` lists what there is.

mod consumers;
mod crowd;
mod datagram_floor;
mod decoding;
mod floor;
mod idle;
mod interruptions;
mod keys;
mod latencies;
mod loss;
mod record;
mod srt;
mod streams;
mod system;
mod veth;
mod view;

use std::path::PathBuf;

use anyhow::Context;

const USAGE: &str = "usage: sdvr-bench tcp|keys|idle|crowd FOLDER-OF-PROGRAMS, or udp|ethernet FOLDER-OF-PROGRAMS [MINUTES], or loss FOLDER-OF-PROGRAMS FRAMES [CELL], or consumers FOLDER-OF-PROGRAMS PYTHON [PART], or view|record FOLDER-OF-PROGRAMS [PART]";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let bench = arguments.next().context(USAGE)?;
    let programs = arguments.next().map(PathBuf::from).context(USAGE)?;
    match bench.as_str() {
        "tcp" => streams::tcp(&programs),
        "udp" | "ethernet" => {
            let minutes = arguments.next().map(|minutes| minutes.parse());
            let minutes = minutes.transpose().context(USAGE)?;
            if bench == "udp" {
                streams::udp(&programs, minutes)
            } else {
                streams::ethernet(&programs, minutes)
            }
        }
        "keys" => keys::run(&programs),
        "idle" => idle::run(&programs),
        "crowd" => crowd::run(&programs),
        "loss" => {
            let frames = arguments.next().and_then(|frames| frames.parse().ok());
            let only = arguments.next();
            loss::run(&programs, frames.context(USAGE)?, only.as_deref())
        }
        "consumers" => {
            let python = arguments.next().map(PathBuf::from).context(USAGE)?;
            let only = arguments.next();
            consumers::run(&programs, &python, only.as_deref())
        }
        "record" => record::run(&programs, arguments.next().as_deref()),
        "view" => view::run(&programs, arguments.next().as_deref()),
        // What this starts itself: its programs are in no folder, its rings are.
        "reader" => {
            let mut next = || arguments.next().context(USAGE);
            let (label, manner, frames) = (next()?, next()?, next()?.parse()?);
            consumers::read(&programs, &label, &manner, frames)
        }
        "plain-writes" => view::write_plainly(&programs, &arguments.next().context(USAGE)?),
        other => anyhow::bail!("there is no bench {other:?}; {USAGE}"),
    }
}
