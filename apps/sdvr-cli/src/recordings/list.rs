//! `sdvr recordings list`: which cameras have recordings.

use std::io::Write;

use anyhow::{Context, bail};
use sdvr_frame::StreamLabel;
use sdvr_record::index::Summary;
use sdvr_record::recordings;
use serde::Serialize;

use super::{Place, parse_camera, size};
use crate::output::{NOT_WRITTEN, print_line, say};

const HELP: &str = "\
FRAMES are those in finished files, LOST those that were captured meanwhile and are in none, GAPS how often frames were missing.
Times are UTC.

Examples:
  sdvr recordings list -o /srv/video
  sdvr recordings list -o /srv/video front-door yard
  sdvr recordings list -o /srv/video --json | jq '.[] | select(.lost > 0).label'";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only these
    #[arg(value_name = "CAMERA", value_parser = parse_camera)]
    cameras: Vec<StreamLabel>,
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

/// A camera as scripts see it. The names are a promise.
#[derive(Serialize)]
struct Row {
    label: String,
    folder: String,
    /// `null` when there is nothing.
    first: Option<String>,
    last: Option<String>,
    segments: u64,
    /// Segments that are being written, were cut off, or are damaged.
    not_complete: u64,
    frames: u64,
    lost: u64,
    gaps: u64,
    bytes: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let cameras = recordings::open(
        &arguments.place.directory,
        &arguments.cameras,
        &mut |line| say(line),
    )?;
    let mut rows = Vec::new();
    let mut failed = 0_usize;
    for (label, index) in cameras {
        let summary = index.and_then(|index| Ok((index.summary()?, index)));
        match summary {
            Ok((summary, index)) => rows.push(row(&label, &summary, index.folder())),
            // Named by the user, and wrong.
            Err(error) if !arguments.cameras.is_empty() => return Err(error.into()),
            Err(error) => {
                failed = failed.saturating_add(1);
                say(format_args!("sdvr: {label}: {error}"));
            }
        }
    }
    if arguments.json {
        print_line(serde_json::to_string_pretty(&rows)?)?;
    } else if rows.is_empty() && failed == 0 {
        say(format_args!(
            "no recordings in {}",
            arguments.place.directory.display()
        ));
    } else {
        write_table(&rows).context(NOT_WRITTEN)?;
    }
    if failed > 0 {
        bail!("the recordings of {failed} cameras could not be listed");
    }
    Ok(())
}

fn row(label: &StreamLabel, summary: &Summary, folder: &std::path::Path) -> Row {
    Row {
        label: label.to_string(),
        folder: folder.to_string_lossy().into_owned(),
        first: summary.first.map(|time| time.to_string()),
        last: summary.last.map(|time| time.to_string()),
        segments: summary.segments,
        not_complete: summary.not_complete,
        frames: summary.frames,
        lost: summary.lost,
        gaps: summary.gaps,
        bytes: summary.bytes,
    }
}

fn write_table(rows: &[Row]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = rows
        .iter()
        .map(|row| row.label.len())
        .max()
        .unwrap_or(0)
        .max(6);
    writeln!(
        out,
        "{:width$}  {:19}  {:19}  {:>8}  {:>10}  {:>8}  {:>5}  {:>9}",
        "CAMERA", "FIRST", "LAST", "SEGMENTS", "FRAMES", "LOST", "GAPS", "SIZE"
    )?;
    for row in rows {
        let seconds = |time: &Option<String>| {
            time.as_deref()
                .and_then(|time| time.get(..19))
                .unwrap_or("-")
                .replace('T', " ")
        };
        writeln!(
            out,
            "{:width$}  {:19}  {:19}  {:>8}  {:>10}  {:>8}  {:>5}  {:>9}",
            row.label,
            seconds(&row.first),
            seconds(&row.last),
            row.segments,
            row.frames,
            row.lost,
            row.gaps,
            size(row.bytes)
        )?;
    }
    out.flush()
}
