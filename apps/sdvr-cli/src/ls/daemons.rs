//! `sdvr ls --daemon`: the daemons of this host and their figures.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use sdvr::{Daemon, Statistics};
use serde_json::{Map, Value};

use crate::output::{NOT_WRITTEN, print_line, say};

/// A turn of work that lasts longer is said. It has milliseconds.
const BUSY_MS_SAID: u64 = 2000;

pub(super) fn run(as_json: bool) -> anyhow::Result<()> {
    let (mut daemons, mut unreadable) = (Vec::new(), Vec::new());
    for (directory, daemon) in Daemon::list_all() {
        match daemon {
            Ok(daemon) => daemons.push(daemon),
            Err(problem) => unreadable.push((directory, problem)),
        }
    }
    if as_json {
        let daemons: Vec<Value> = daemons.iter().map(as_value).collect();
        print_line(serde_json::to_string_pretty(&daemons)?)?;
    } else if daemons.is_empty() && unreadable.is_empty() {
        say(
            "no daemon; is sdvrd running, and may this user read its frames? (SDVR_SHM_DIR names its --shm-dir)",
        );
    } else {
        write_all(&daemons).context(NOT_WRITTEN)?;
    }
    let problems: Vec<String> = unreadable
        .into_iter()
        .map(|(directory, problem)| format!("{}: {problem}", directory.display()))
        .collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// All figures by the names they have in the crate. The names are a promise.
pub(crate) fn as_value(daemon: &Daemon) -> Value {
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
        if figures.busy_ms >= BUSY_MS_SAID {
            let seconds = figures.busy_ms / 1000;
            writeln!(
                out,
                "  one of its threads has not come round for {seconds} s: it hangs, or the machine is overloaded"
            )?;
        }
        for line in lines(figures) {
            writeln!(out, "  {line}")?;
        }
    }
    out.flush()
}

fn lines(figures: &Statistics) -> [String; 9] {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    [
        format!(
            "cameras    {} connected, {} streams, {} cameras were new, {} under another label than they want",
            figures.cameras_connected, figures.streams, figures.new_cameras, figures.other_labels
        ),
        format!(
            "sessions   {} sessions began{}",
            figures.sessions,
            causes(&[
                (figures.sessions_finished, "finished"),
                (figures.sessions_cut, "cut"),
                (figures.sessions_silent, "silent for a minute"),
                (figures.sessions_broken, "broke the protocol"),
                (figures.sessions_deaf, "did not read"),
                (figures.sessions_replaced, "replaced by a newer one"),
                (figures.sessions_dismissed, "forgotten or revoked"),
            ])
        ),
        format!(
            "frames     {} published ({:.1} MB), {:.1} MB received{}",
            figures.frames,
            megabytes(figures.frame_bytes),
            megabytes(figures.received_bytes),
            packets(figures)
        ),
        format!(
            "missing    {} frames{}",
            figures.frames_missing,
            causes(&[
                (figures.missing_at_source, "never sent by the camera's host"),
                (
                    figures.missing_while_away,
                    "captured while the camera was away"
                ),
                (
                    figures.missing_on_link,
                    "lost on the link, beyond what could be sent again in time"
                ),
            ])
        ),
        format!(
            "memory     {} of {} MiB in rings",
            figures.memory_used_bytes >> 20,
            figures.memory_total_bytes >> 20,
        ),
        format!(
            "process    {:.1} MiB of memory, {:.1} s of processor time",
            figures.resident_bytes as f64 / f64::from(1 << 20),
            figures.cpu_us as f64 / 1e6,
        ),
        format!(
            "refused    {} streams{}",
            figures.streams_refused,
            causes(&[
                (figures.without_memory, "without memory"),
                (figures.streams_too_large, "with too large frames"),
                (figures.streams_too_many, "too many of one camera"),
                (figures.streams_too_often, "too often"),
                (figures.streams_failed, "failed"),
            ])
        ),
        format!(
            "           {} cameras{}",
            figures.refused,
            causes(&[
                (figures.refused_revoked, "revoked"),
                (figures.refused_waiting, "waiting for approval"),
                (figures.refused_unknown, "not known"),
                (figures.refused_label, "for another camera's label"),
                (figures.refused_cloned, "with the key of one that streams"),
                (figures.refused_old_key, "with a key that was replaced"),
                (figures.refused_too_many, "when too many were new"),
                (figures.refused_not_stored, "that could not be remembered"),
            ])
        ),
        format!(
            "strangers  {} handshakes, {} turned away{}",
            figures.handshakes,
            figures.strangers,
            causes(&[
                (figures.strangers_gone, "hung up"),
                (figures.strangers_slow, "too slow"),
                (figures.strangers_crowded, "made room for others"),
                (figures.without_descriptor, "for want of a descriptor"),
                (figures.strangers_not_sdvr, "spoke something else"),
                (figures.strangers_version, "of another version"),
                (figures.strangers_not_authentic, "not authentic"),
            ])
        ),
    ]
}

/// What became of packets that did not arrive at once, if there were any.
fn packets(figures: &Statistics) -> String {
    let mut said = String::new();
    for (count, fate) in [
        (
            figures.packets_retransmitted,
            "packets came when they were sent again",
        ),
        (
            figures.packets_dropped,
            "packets found no room on this host",
        ),
    ] {
        if count > 0 {
            said.push_str(&format!(", {count} {fate}"));
        }
    }
    said
}

/// What a number is the sum of, as far as it is not 0.
fn causes(parts: &[(u64, &str)]) -> String {
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{count} {cause}"))
        .collect();
    if said.is_empty() {
        String::new()
    } else {
        format!(": {}", said.join(", "))
    }
}
