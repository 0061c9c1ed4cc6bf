//! `sdvrc`: streams a camera to an SDVR daemon.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sdvrc::{Arguments, Failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    sdvrc::start_log();
    let result = match arguments.question() {
        Ok(Some(question)) => sdvrc::answer(&question),
        Ok(None) => match arguments.into_config() {
            Ok(config) => sdvrc::run(&config),
            Err(error) => Err(Failure::Usage(format!("{error:#}"))),
        },
        Err(error) => Err(Failure::Usage(format!("{error:#}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            if matches!(failure, Failure::Usage(_)) {
                say("for more information, try '--help'");
            }
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
