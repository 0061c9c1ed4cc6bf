//! `sdvrd`: receives cameras and publishes their frames in shared memory.

use std::io::Write;
use std::process::ExitCode;

use sdvrd::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    sdvrd::start_log(arguments.log);
    match arguments.into_config().and_then(sdvrd::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening.
            let _ = writeln!(std::io::stderr(), "sdvrd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
