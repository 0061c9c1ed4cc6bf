//! `sdvr recordings show`: a camera's files, and what is missing in them.

use std::io::Write;
use std::time::SystemTime;

use anyhow::Context;
use sdvr_frame::StreamLabel;
use sdvr_record::UtcTime;
use sdvr_record::index::{Gap, Index, Segment};
use serde::Serialize;

use super::times::{self, Time};
use super::{Place, parse_camera, size};
use crate::output::{NOT_WRITTEN, WrongUsage, print_line, say};

const EXAMPLES: &str = "\
Examples:
  sdvr recordings show -o /srv/video front-door
  sdvr recordings show -o /srv/video front-door --from 2026-11-23 --to 2026-11-23
  sdvr recordings show -o /srv/video front-door --from -2h --json";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", times::HELP))]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which camera
    #[arg(value_name = "CAMERA", value_parser = parse_camera)]
    camera: StreamLabel,
    /// Only files with frames at this time or later
    #[arg(long, value_name = "T", value_parser = times::parse, allow_hyphen_values = true)]
    from: Option<Time>,
    /// Only files with frames at this time or earlier
    #[arg(long, value_name = "T", value_parser = times::parse, allow_hyphen_values = true)]
    to: Option<Time>,
    /// Print an array of objects
    #[arg(long)]
    json: bool,
}

/// A segment as scripts see it. The names are a promise, here and below.
#[derive(Serialize)]
struct Row {
    id: i64,
    file: String,
    state: &'static str,
    begins: String,
    ends: String,
    frames: u64,
    lost: u64,
    bytes: u64,
    /// `null` while it is open, and when the index was made anew.
    checksum: Option<String>,
    format: String,
    width: u32,
    height: u32,
    fps: f64,
    /// `null` of a derived stream.
    fingerprint: Option<String>,
    gaps: Vec<GapRow>,
}

#[derive(Serialize)]
struct GapRow {
    begins: String,
    ends: String,
    /// 0 when nobody knows.
    frames: u64,
    reason: &'static str,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let from = arguments
        .from
        .map_or(UtcTime(i64::MIN), |time| time.from(now));
    let to = arguments.to.map_or(UtcTime(i64::MAX), |time| time.to(now));
    if from > to {
        return Err(WrongUsage(format!("--from {from} is after --to {to}")).into());
    }
    let index = Index::open_to_read(&arguments.place.directory, &arguments.camera, &mut |line| {
        say(line)
    })?;
    let mut rows = Vec::new();
    for segment in index.segments(from, to)? {
        let gaps = index.gaps(segment.id)?;
        rows.push(row(&index, &segment, &gaps));
    }
    if arguments.json {
        return print_line(serde_json::to_string_pretty(&rows)?);
    }
    if rows.is_empty() {
        say("no recordings of that time");
        return Ok(());
    }
    write_table(&rows).context(NOT_WRITTEN)
}

fn row(index: &Index, segment: &Segment, gaps: &[Gap]) -> Row {
    Row {
        id: segment.id.0,
        file: index.file(segment).to_string_lossy().into_owned(),
        state: segment.state.as_str(),
        begins: segment.begins.to_string(),
        ends: segment.ends.to_string(),
        frames: segment.frames,
        lost: segment.lost,
        bytes: segment.bytes,
        checksum: segment.checksum.map(|checksum| checksum.to_string()),
        format: segment.format.fourcc.to_string(),
        width: segment.format.width,
        height: segment.format.height,
        fps: (segment.format.rate.as_f64() * 100.0).round() / 100.0,
        fingerprint: segment
            .fingerprint
            .map(|fingerprint| fingerprint.to_string()),
        gaps: gaps
            .iter()
            .map(|gap| GapRow {
                begins: gap.begins.to_string(),
                ends: gap.ends.to_string(),
                frames: gap.frames,
                reason: gap.reason.as_str(),
            })
            .collect(),
    }
}

fn write_table(rows: &[Row]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:23}  {:23}  {:9}  {:6}  {:9}  {:>8}  {:>6}  {:>9}  FILE",
        "BEGINS", "ENDS", "STATE", "FORMAT", "SIZE", "FRAMES", "LOST", "BYTES"
    )?;
    for row in rows {
        let size_of_picture = if row.width == 0 {
            "-".to_owned()
        } else {
            format!("{}x{}", row.width, row.height)
        };
        writeln!(
            out,
            "{:23}  {:23}  {:9}  {:6}  {size_of_picture:9}  {:>8}  {:>6}  {:>9}  {}",
            milliseconds(&row.begins),
            milliseconds(&row.ends),
            row.state,
            row.format,
            row.frames,
            row.lost,
            size(row.bytes),
            row.file
        )?;
        for gap in &row.gaps {
            let frames = match gap.frames {
                0 => String::new(),
                frames => format!(", {frames} frames"),
            };
            writeln!(
                out,
                "  missing from {} to {}{frames}: {}",
                milliseconds(&gap.begins),
                milliseconds(&gap.ends),
                gap.reason
            )?;
        }
    }
    out.flush()
}

/// `2026-11-23 14:05:00.123`.
fn milliseconds(time: &str) -> String {
    time.get(..23).unwrap_or(time).replace('T', " ")
}
