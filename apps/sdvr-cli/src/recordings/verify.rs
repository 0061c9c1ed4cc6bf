//! `sdvr recordings verify`: whether recordings are still what was written.

use std::time::{Duration, Instant};

use anyhow::bail;
use sdvr_frame::StreamLabel;
use sdvr_record::recordings;

use super::{Place, parse_camera, size};
use crate::output::{Interrupted, print_line, say};

const HELP: &str = "\
Reads every byte: of each file its length, its checksum, its structure and how many frames it has are compared with the index. Files that
the index does not know, and files that it knows and that are gone, are told. What is being written is passed over. One line a camera and one
for each thing that is wrong; how far it is goes to standard error.

Exit codes:
  0  all is as it was written
  1  something is not, or could not be looked at
  2  wrong usage, or no such camera

Examples:
  sdvr recordings verify -o /srv/video
  sdvr recordings verify -o /srv/video front-door";

/// How often it is said how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only these
    #[arg(value_name = "CAMERA", value_parser = parse_camera)]
    cameras: Vec<StreamLabel>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let cameras = recordings::open(
        &arguments.place.directory,
        &arguments.cameras,
        &mut |line| say(line),
    )?;
    let mut wrong = 0_usize;
    for (label, index) in cameras {
        let index = match index {
            Ok(index) => index,
            Err(error) if !arguments.cameras.is_empty() => return Err(error.into()),
            Err(error) => {
                wrong = wrong.saturating_add(1);
                say(format_args!("sdvr: {label}: {error}"));
                continue;
            }
        };
        let mut said = Instant::now();
        let verified = recordings::verify(&index, &mut |read, all| {
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                say(format_args!(
                    "{label}: read {} of {}",
                    size(read),
                    size(all)
                ));
            }
            !interrupted.is_set()
        })?;
        for (path, problem) in &verified.problems {
            print_line(format_args!(
                "{}: {problem}",
                index.folder().join(path).display()
            ))?;
        }
        wrong = wrong.saturating_add(verified.problems.len());
        if interrupted.is_set() {
            bail!("interrupted; not everything was read");
        }
        let mut notes = String::new();
        if verified.open > 0 {
            notes.push_str(&format!(", {} not finished and passed over", verified.open));
        }
        if verified.without_checksum > 0 {
            notes.push_str(&format!(
                ", {} without a checksum since the index was made anew",
                verified.without_checksum
            ));
        }
        print_line(format_args!(
            "{label}: {} segments, {}: {} wrong{notes}",
            verified.segments,
            size(verified.bytes),
            verified.problems.len()
        ))?;
    }
    if wrong > 0 {
        bail!("not all recordings are as they were written: {wrong} are not");
    }
    Ok(())
}
