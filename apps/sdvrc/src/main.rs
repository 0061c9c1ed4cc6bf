//! `sdvrc`: streams a camera to an SDVR daemon.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sdvrc::{Arguments, Failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    sdvrc::start_log();
    let config = match arguments.into_config() {
        Ok(config) => config,
        Err(error) => {
            say(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    match sdvrc::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Identity => 3,
                Failure::Other(_) => 1,
            })
        }
    }
}

fn say(problem: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "sdvrc: {problem}");
}
