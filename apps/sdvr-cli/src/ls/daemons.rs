//! `sdvr ls --daemon`: the daemons of this host and their figures.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use sdvr::Daemon;
use serde_json::{Map, Value};

use crate::output::{NOT_WRITTEN, print_line, say};

pub(super) fn run(as_json: bool) -> anyhow::Result<()> {
    let daemons = Daemon::list();
    if as_json {
        let daemons: Vec<Value> = daemons.iter().map(as_value).collect();
        return print_line(serde_json::to_string_pretty(&daemons)?);
    }
    if daemons.is_empty() {
        say(
            "no daemon; is sdvrd running, and may this user read its frames? (SDVR_SHM_DIR names its --shm-dir)",
        );
        return Ok(());
    }
    write_all(&daemons).context(NOT_WRITTEN)
}

/// All figures by the names they have in the crate. The names are a promise.
fn as_value(daemon: &Daemon) -> Value {
    let mut value = Map::new();
    value.insert(
        "directory".into(),
        daemon.directory.to_string_lossy().into(),
    );
    value.insert("alive".into(), daemon.is_alive.into());
    value.insert("uptime_s".into(), daemon.uptime.as_secs_f64().into());
    let figures = daemon.statistics.named().into_iter();
    // Times of a clock that only this host has are of no use to a script.
    let figures = figures.filter(|(name, _)| !name.ends_with("_ns"));
    value.extend(figures.map(|(name, figure)| (name.to_owned(), figure.into())));
    Value::Object(value)
}

fn write_all(daemons: &[Daemon]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for daemon in daemons {
        let figures = &daemon.statistics;
        let state = if daemon.is_alive {
            "alive"
        } else {
            "gone, or it hangs"
        };
        let uptime = humantime::format_duration(Duration::from_secs(daemon.uptime.as_secs()));
        writeln!(
            out,
            "{}: {state}, process {}, for {uptime}",
            daemon.directory.display(),
            figures.process
        )?;
        writeln!(
            out,
            "  cameras  {} connected, {} streams, {} sessions began, {} cameras were new",
            figures.cameras_connected, figures.streams, figures.sessions, figures.new_cameras
        )?;
        writeln!(
            out,
            "  frames   {} published ({:.1} MB), {} missing",
            figures.frames,
            figures.frame_bytes as f64 / 1e6,
            figures.frames_missing
        )?;
        writeln!(
            out,
            "  memory   {} of {} MiB in rings, {} streams refused for want of it",
            figures.memory_used_bytes >> 20,
            figures.memory_total_bytes >> 20,
            figures.without_memory
        )?;
        writeln!(
            out,
            "  door     {} handshakes, {} strangers turned away, {} cameras refused, {} under another label, {} without a descriptor",
            figures.handshakes,
            figures.strangers,
            figures.refused,
            figures.other_labels,
            figures.without_descriptor
        )?;
    }
    out.flush()
}
