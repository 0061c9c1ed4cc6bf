//! `sdvr recordings`: what `sdvr record` has written.

mod export;
mod list;
mod show;
mod times;
mod verify;

use std::path::PathBuf;

use sdvr_frame::StreamLabel;
use sdvr_record::index::IndexError;

use crate::output::WrongUsage;

const EXAMPLES: &str = "\
Examples:
  sdvr recordings list -o /srv/video                     cameras, from when to when, how much, what is missing
  sdvr recordings show -o /srv/video front-door          its files and the gaps in them
  sdvr recordings verify -o /srv/video                   read everything and compare it with what was written
  sdvr recordings export -o /srv/video front-door --from 14:05 --to 14:10 -O visitor.mp4

All of it can be done while `sdvr record` runs. An index that is lost is made anew of the files.
Exit codes: 0 good, 1 failed, or something is wrong with a recording, 2 wrong usage, or no such camera.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the cameras that have recordings
    List(list::Arguments),
    /// List a camera's recordings, and what is missing in them
    Show(show::Arguments),
    /// Read recordings and compare them with what was written
    Verify(verify::Arguments),
    /// Make one file of a camera's recordings from one time to another, without transcoding
    Export(export::Arguments),
}

/// Where recordings are.
#[derive(Debug, clap::Args)]
struct Place {
    /// Where the recordings are: what `sdvr record` was given
    #[arg(short = 'o', long = "dir", value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let result = match &arguments.command {
        Command::List(arguments) => list::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Export(arguments) => export::run(arguments),
    };
    result.map_err(as_wrong_usage)
}

/// What was named does not exist: exit code 2.
fn as_wrong_usage(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<IndexError>() {
        Some(problem @ (IndexError::NoCamera { .. } | IndexError::NoDirectory(_))) => {
            WrongUsage(problem.to_string()).into()
        }
        _ => error,
    }
}

fn parse_camera(text: &str) -> Result<StreamLabel, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Bytes for people.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB"].into_iter().peekable();
    let mut unit = "B";
    while let Some(next) = units.next() {
        unit = next;
        if size < 1000.0 || units.peek().is_none() {
            break;
        }
        size /= 1000.0;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let sizes = [0, 999, 1000, 61_000_000, 500_000_000_000, u64::MAX].map(size);
        assert_eq!(
            sizes,
            [
                "0 B",
                "999 B",
                "1.0 kB",
                "61.0 MB",
                "500.0 GB",
                "18446.7 PB"
            ]
        );
    }
}
