//! `sdvr view`: cameras in windows.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use sdvr_view::{Report, ViewOptions};
use serde_json::json;

use crate::output::{Interrupted, WrongUsage, print_line};

const HELP: &str = "\
A window for each camera, or one for all: a mosaic, with --mosaic and from the fifth camera
on. Cameras that come are shown. The last picture of one that is lost grows dark until it is
back; if it has not come back after a minute (5 s if it said that it ends) it is not shown any
more. With CAMERA only those are shown, and waited for as long as it takes. A window that was
closed stays closed, whatever its camera does; closing the last one ends the program.

It is always the newest picture. What the screen has no time for is skipped: nothing lags.
Pictures that nobody sees, behind another window or beside an enlarged one, are not decoded.

Keys:
  o       show or hide label, size, format, rate, latency and losses
  f, F11  fill the screen, and back; a double click does the same
  s       save the picture: of an MJPG camera as it made it (.jpg), else without loss (.png).
          In a mosaic that of the camera under the pointer. The file is called as the camera
          and the time of the capture, in UTC
  Esc     back from the full screen, or from an enlarged picture to the mosaic
  q       quit; the button of a window closes that one only
A click on a picture of a mosaic enlarges it; another one goes back.

The latency is from the capture to the moment at which the picture was handed to the screen
server: it has the error of the camera's clock, which sdvr watch tells.

Wayland is used if WAYLAND_DISPLAY is set, else X11 as DISPLAY says.

Examples:
  sdvr view
  sdvr view front-door yard
  sdvr view --mosaic --fullscreen
  psdl front-door                  the same as sdvr view front-door
  sdvr view front-door --report    what is shown, in figures

Exit codes:
  0  the last window was closed, q, or Ctrl-C
  1  there is no screen, or it is gone
  2  wrong usage";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which cameras [default: all, as they come and go]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,
    /// All in one window [default: a window each, up to four]
    #[arg(long)]
    mosaic: bool,
    /// Fill the screen from the beginning
    #[arg(short, long)]
    fullscreen: bool,
    /// Where key s saves pictures [default: the working directory]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print an object a second: pictures shown, their latency from the capture to the screen, processor time
    #[arg(long)]
    report: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(folder) = &arguments.folder {
        check_folder(folder)?;
    }
    let interrupted = Interrupted::listen()?;
    let mut options = ViewOptions::default();
    options.cameras.clone_from(&arguments.cameras);
    options.is_mosaic = arguments.mosaic;
    options.is_full_screen = arguments.fullscreen;
    options.folder = arguments.folder.clone().unwrap_or_default();
    let mut printed = Ok(());
    let told = |report: &Report| {
        if arguments.report {
            printed = print_line(line(report));
        }
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    sdvr_view::run(options, move || interrupted.is_set(), told)?;
    printed
}

/// Now, and not only when there is a picture to save, which may not come again.
fn check_folder(folder: &Path) -> Result<(), WrongUsage> {
    let shown = folder.display();
    let wrong = |what: String| Err(WrongUsage(format!("--folder {shown}: {what}")));
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => wrong(format!(
            "there is no such folder; make it (mkdir -p {shown}), or name another one"
        )),
        Err(error) => wrong(format!("{error}; name another folder")),
        Ok(metadata) if !metadata.is_dir() => {
            wrong("that is no folder; name one, pictures get names by themselves".to_owned())
        }
        Ok(_) => match rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => Ok(()),
            Err(error) => wrong(format!(
                "no pictures can be saved there ({error}); name another folder"
            )),
        },
    }
}

/// The names are a promise.
fn line(report: &Report) -> serde_json::Value {
    let milliseconds = |latency: Option<std::time::Duration>| {
        latency.map(|latency| latency.as_secs_f64() * 1000.0)
    };
    let cameras = report.cameras.iter().map(|camera| {
        json!({
            "label": camera.label,
            "shown": camera.shown,
            "latency_p50_ms": milliseconds(camera.latency_p50),
            "latency_p99_ms": milliseconds(camera.latency_p99),
            "lost": camera.lost,
            "damaged": camera.damaged,
        })
    });
    json!({
        "seconds": report.period.as_secs_f64(),
        "processor_seconds": report.processor_time.as_secs_f64(),
        "cameras": cameras.collect::<Vec<_>>(),
    })
}
