//! `sdvr`: the toolbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    sdvr_cli::run(&sdvr_cli::Arguments::of_this_program())
}
