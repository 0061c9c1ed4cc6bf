//! The toolbox as a library: what `main.rs` calls. One file a subcommand.
#![forbid(unsafe_code)]
// These macros end the program when nobody reads what it says.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod demo;
mod exec;
mod keys;
mod ls;
mod output;
mod pipe;
#[cfg(feature = "record")]
mod record;
#[cfg(feature = "record")]
mod recordings;
mod snapshot;
#[cfg(feature = "top")]
mod top;
mod verify;
#[cfg(feature = "view")]
mod view;
mod watch;
#[cfg(feature = "web")]
mod web;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Names under which the program is a subcommand: links to it, as `cargo xtask install` makes them.
const LINKS: &[(&str, &str)] = &[
    #[cfg(feature = "view")]
    ("psdl", "view"),
    #[cfg(feature = "record")]
    ("prec", "record"),
];

const EXAMPLES: &str = "\
Examples:
  sdvr ls                          the cameras that are there
  sdvr top                         the same, live, with rates, losses and latencies
  sdvr view                        their pictures in windows; psdl is short for it
  sdvr web                         their pictures in a browser
  sdvr record -o /video            their frames into files; prec is short for it
  sdvr recordings list -o /video   what is recorded; also show, verify, export
  sdvr watch front-door            one line a frame
  sdvr pipe front-door | ffplay -  frames to another program
  sdvr snapshot front-door a.jpg   the newest picture
  sdvr exec --each -- CMD {}       a program for each camera, with its frames
  sdvr verify test-nvr             measure a test:?format=BNCH camera
  sdvr keys fingerprint            what to compare on the other end
  sdvr demo                        a daemon and four cameras, to look at

CAMERA is a label, a fingerprint (its beginning is enough), or the name of a ring's file.
Frames are searched in SDVR_SHM_DIR if it is set, else in /dev/shm/sdvr-UID, then in the other /dev/shm/sdvr-*.
Exit codes: 0 good, 1 failed, 2 wrong usage.";

/// Lists, watches, pipes, photographs and verifies cameras, runs programs on them, manages keys, runs a demonstration.
#[derive(Debug, Parser)]
#[command(name = "sdvr", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cameras: format, rate, state, label, fingerprint
    Ls(ls::Arguments),
    /// Show cameras and daemons live in the terminal: rates, losses, latencies
    #[cfg(feature = "top")]
    Top(top::Arguments),
    /// Show cameras in windows
    #[cfg(feature = "view")]
    View(view::Arguments),
    /// Show cameras in a browser
    #[cfg(feature = "web")]
    Web(web::Arguments),
    /// Record cameras into files
    #[cfg(feature = "record")]
    Record(record::Arguments),
    /// List, show, verify and export what was recorded
    #[cfg(feature = "record")]
    Recordings(recordings::Arguments),
    /// Print one line of metadata a frame
    Watch(watch::Arguments),
    /// Write a camera's frames to standard output
    Pipe(pipe::Arguments),
    /// Write the newest picture of a camera to a JPEG or PNG file
    Snapshot(snapshot::Arguments),
    /// Run a program for each camera, with its frames on standard input
    Exec(exec::Arguments),
    /// Check every byte of a test:?format=BNCH camera, and measure its latency
    Verify(verify::Arguments),
    /// Show, approve, revoke, replace and forget keys
    Keys(keys::Arguments),
    /// Run a daemon and four test cameras, over TCP and UDP, in a temporary home, and show them live
    Demo(demo::Arguments),
}

impl Arguments {
    /// What this program was started with, also by a name that is a subcommand's. Ends the program when that is no right command line, or asks for help.
    #[must_use]
    pub fn of_this_program() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        let own = words
            .first()
            .and_then(|own| Path::new(own).file_name()?.to_str());
        let link = LINKS.iter().find(|(name, _)| Some(*name) == own);
        let Some((name, subcommand)) = link else {
            return Self::parse();
        };
        if let Some(command) = link_command(name, subcommand) {
            // Speaks of itself by the name that it was started with.
            command.get_matches_from(&words);
        }
        let behind = words.into_iter().skip(1);
        Self::parse_from(
            ["sdvr", subcommand]
                .map(OsString::from)
                .into_iter()
                .chain(behind),
        )
    }
}

/// The command lines of the names that the program has besides its own.
pub fn link_commands() -> impl Iterator<Item = clap::Command> {
    LINKS
        .iter()
        .filter_map(|(name, subcommand)| link_command(name, subcommand))
}

fn link_command(name: &'static str, subcommand: &str) -> Option<clap::Command> {
    let all = Arguments::command();
    let command = all.find_subcommand(subcommand)?.clone();
    let version = env!("CARGO_PKG_VERSION");
    Some(command.name(name).bin_name(name).version(version))
}

/// Does what the command line says; tells on standard error what went wrong.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let result = match &arguments.command {
        Command::Ls(arguments) => ls::run(arguments),
        #[cfg(feature = "top")]
        Command::Top(arguments) => top::run(arguments),
        #[cfg(feature = "view")]
        Command::View(arguments) => view::run(arguments),
        #[cfg(feature = "web")]
        Command::Web(arguments) => web::run(arguments),
        #[cfg(feature = "record")]
        Command::Record(arguments) => record::run(arguments),
        #[cfg(feature = "record")]
        Command::Recordings(arguments) => recordings::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Pipe(arguments) => pipe::run(arguments),
        Command::Snapshot(arguments) => snapshot::run(arguments),
        Command::Exec(arguments) => exec::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the other end has enough; `head` is no error.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("sdvr: {error:#}"));
            if error.is::<output::WrongUsage>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Arguments::command().debug_assert();
        super::link_commands().for_each(clap::Command::debug_assert);
        assert_eq!(super::link_commands().count(), super::LINKS.len());
    }
}
