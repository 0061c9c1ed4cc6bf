//! `sdvr recordings export`: one file of many.

use std::path::PathBuf;
use std::time::SystemTime;

use sdvr_frame::StreamLabel;
use sdvr_record::index::Index;
use sdvr_record::recordings::{self, ExportError, ExportOptions};

use super::times::{self, Time};
use super::{Place, parse_camera, size};
use crate::output::{Interrupted, WrongUsage, print_line, say};

const EXAMPLES: &str = "\
Nothing is transcoded: frames go into the file as the camera sent them. Where a frame needs those before it, the file begins with the last key
frame at or before --from. What is in the file is printed, to the frame.
H.264, H.265 and AV1 become MP4 (.mp4), everything else Matroska (.mkv). Where the camera changed its format or the clock was set back, a
file ends: such a range is refused, with the time up to which and from which it can be exported.

Examples:
  sdvr recordings export -o /srv/video front-door --from 14:05 --to 14:10 -O visitor.mp4
  sdvr recordings export -o /srv/video yard --from 2026-11-23T22:00:00Z --to 2026-11-24T06:00:00Z -O night.mkv
  sdvr recordings export -o /srv/video front-door --from -10m --to now -O last.mp4 --force";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", times::HELP))]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which camera
    #[arg(value_name = "CAMERA", value_parser = parse_camera)]
    camera: StreamLabel,
    /// The time of the first frame
    #[arg(long, value_name = "T", value_parser = times::parse, allow_hyphen_values = true)]
    from: Time,
    /// The time of the last frame
    #[arg(long, value_name = "T", value_parser = times::parse, allow_hyphen_values = true)]
    to: Time,
    /// The file to make; its name ends with .mp4 or .mkv
    #[arg(short = 'O', long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let now = SystemTime::now();
    let index = Index::open_to_read(&arguments.place.directory, &arguments.camera, &mut |line| {
        say(line)
    })?;
    let options = ExportOptions {
        from: arguments.from.from(now),
        to: arguments.to.to(now),
        file: arguments.output.clone(),
        may_replace: arguments.force,
    };
    let exported = recordings::export(&index, &options, &mut || !interrupted.is_set());
    let exported = exported.map_err(|error| match error {
        ExportError::Index(error) => anyhow::Error::from(error),
        error if error.is_wrong_usage() => WrongUsage(error.to_string()).into(),
        error => error.into(),
    })?;
    let missing = match exported.gaps {
        0 => String::new(),
        gaps => format!(", with {gaps} gaps (sdvr recordings show tells them)"),
    };
    print_line(format_args!(
        "{}: {} frames from {} to {}, of {} segments, {}{missing}",
        arguments.output.display(),
        exported.frames,
        exported.begins,
        exported.ends,
        exported.segments,
        size(exported.bytes)
    ))
}
