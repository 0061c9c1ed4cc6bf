//! `sdvr view`: cameras in windows.

use std::ops::ControlFlow;
use std::path::PathBuf;

use sdvr_view::{Report, ViewOptions};
use serde_json::json;

use crate::output::{Interrupted, print_line};

#[derive(Debug, clap::Args)]
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
