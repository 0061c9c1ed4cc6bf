//! `sdvr ls`: the cameras that are there, and the streams that programs derive from them.

mod daemons;

#[cfg(feature = "top")]
pub(crate) use daemons::as_value as daemon_as_value;

use std::io::Write;

use anyhow::Context;
use sdvr::{CameraInfo, Cameras, Origin};
use sdvr_frame::Timestamp;
use serde::Serialize;

use crate::output::{NOT_WRITTEN, print_line, say};

const HELP: &str = "\
STATE:
  live    the camera's link is up; FPS is measured over the last seconds
  stale   nothing was heard for 3 s, or the link was cut; it is waited for
  lost    nothing was heard for a minute, or the daemon is not there; kept ten
          minutes more, or until others need its memory. Of a stream that a
          program derives from others: that program was killed
  closed  the camera said that it ended; its frames can be read for 2 s

LOST counts frames that were captured and did not arrive here. AGE is how long ago the newest frame was published. DIRECTORY is shown
if there are cameras in more than one: SDVR_SHM_DIR chooses one of them.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Print an array of objects
    #[arg(long)]
    json: bool,
    /// Show the daemons and what they count, instead of cameras
    #[arg(long)]
    daemon: bool,
}

/// A camera, or a derived stream, as scripts see it. The names are a promise.
#[derive(Serialize)]
pub(crate) struct Row {
    label: String,
    stream: u16,
    format: String,
    width: u32,
    height: u32,
    fps: f64,
    state: String,
    /// `null` of a derived stream, which arrives over nothing.
    link: Option<String>,
    /// `null` of a derived stream, which is no camera's.
    fingerprint: Option<String>,
    /// Whether a program of this host makes it.
    derived: bool,
    /// The stream that it is made of, if it is a derived one and says so.
    source: Option<String>,
    /// Where its daemon publishes, or the program that makes it.
    directory: String,
    frames: u64,
    lost: u64,
    /// Packets that were lost on the link, sent again and arrived; `null` when nobody can tell, as over TCP.
    retransmitted: Option<u64>,
    bytes: u64,
    /// Seconds since the newest frame was published.
    age_s: Option<f64>,
}

impl Row {
    /// Who it is, or what it is made of.
    fn identity(&self) -> String {
        match (&self.fingerprint, &self.source) {
            (Some(fingerprint), _) => fingerprint.clone(),
            (None, Some(source)) => format!("derived from {source}"),
            (None, None) => "derived".to_owned(),
        }
    }
}

impl From<CameraInfo> for Row {
    fn from(camera: CameraInfo) -> Self {
        let derived = camera.origin.is_derived();
        let link = camera.link.map(|link| link.to_string());
        Self {
            label: camera.label.to_string(),
            stream: camera.stream.0,
            format: camera.format.fourcc.to_string(),
            width: camera.format.width,
            height: camera.format.height,
            fps: (camera.frames_per_second * 100.0).round() / 100.0,
            state: camera.state.to_string(),
            link: link.or_else(|| (!derived).then(|| "?".to_owned())),
            fingerprint: camera
                .fingerprint()
                .map(|fingerprint| fingerprint.to_string()),
            derived,
            source: match camera.origin {
                Origin::Derived { source } => source.map(|source| source.to_string()),
                Origin::Camera(_) => None,
            },
            directory: camera.directory.to_string_lossy().into_owned(),
            frames: camera.frames,
            lost: camera.lost,
            retransmitted: camera.retransmitted,
            bytes: camera.bytes,
            age_s: camera.last_frame.map(|at| {
                let age = Timestamp::now().saturating_since(at);
                (age.as_secs_f64() * 1000.0).round() / 1000.0
            }),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.daemon {
        return daemons::run(arguments.json);
    }
    let rows: Vec<Row> = Cameras::list().into_iter().map(Row::from).collect();
    if arguments.json {
        return print_line(serde_json::to_string_pretty(&rows)?);
    }
    if rows.is_empty() {
        say("no cameras; is sdvrd running? (SDVR_SHM_DIR names its --shm-dir)");
        return Ok(());
    }
    write_table(rows).context(NOT_WRITTEN)
}

fn write_table(rows: Vec<Row>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let label_width = rows
        .iter()
        .map(|row| row.label.len())
        .max()
        .unwrap_or(0)
        .max(5);
    let is_of_several = rows
        .windows(2)
        .any(|rows| matches!(rows, [one, next] if one.directory != next.directory));
    // No column is wider than it must be at the end of a line.
    let identity_width = if is_of_several { 50 } else { 0 };
    let in_directory = |directory: &str| {
        if is_of_several {
            format!("  {directory}")
        } else {
            String::new()
        }
    };
    writeln!(
        out,
        "{:label_width$}  {:6}  {:6}  {:9}  {:>6}  {:>9}  {:>6}  {:>7}  LINK  {:identity_width$}{}",
        "LABEL",
        "STATE",
        "FORMAT",
        "SIZE",
        "FPS",
        "FRAMES",
        "LOST",
        "AGE",
        "FINGERPRINT",
        in_directory("DIRECTORY"),
    )?;
    for row in rows {
        let size = if row.width == 0 {
            "-".to_owned()
        } else {
            format!("{}x{}", row.width, row.height)
        };
        let age = row
            .age_s
            .map_or_else(|| "-".to_owned(), |age| format!("{age:.1}s"));
        writeln!(
            out,
            "{:label_width$}  {:6}  {:6}  {size:9}  {:>6.1}  {:>9}  {:>6}  {age:>7}  {:4}  {:identity_width$}{}",
            row.label,
            row.state,
            row.format,
            row.fps,
            row.frames,
            row.lost,
            row.link.as_deref().unwrap_or("-"),
            row.identity(),
            in_directory(&row.directory)
        )?;
    }
    out.flush()
}
