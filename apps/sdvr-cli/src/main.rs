//! `sdvr`: the toolbox.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    sdvr_cli::run(&sdvr_cli::Arguments::parse())
}
