//! `sdvr watch`: one line of metadata a frame.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use sdvr::{Camera, Error, Frame, Policy};
use serde::Serialize;

use crate::output::{Interrupted, NOT_WRITTEN, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which camera
    #[arg(value_name = "CAMERA")]
    camera: String,
    /// Print an object a line
    #[arg(long)]
    json: bool,
    /// End after so many frames
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Serialize)]
struct Line {
    frame: u64,
    bytes: usize,
    key: bool,
    missed: u64,
    missed_from: Option<u64>,
    missed_between_runs: u64,
    format: String,
    width: u32,
    height: u32,
    captured_ns: i64,
    captured: String,
    clock_error_us: Option<u64>,
    received_us: i64,
    published_us: i64,
    age_us: u64,
}

impl Line {
    fn new(frame: &Frame) -> Self {
        let missed = frame.missed_numbers();
        let since_capture = |time: sdvr::Timestamp| time.nanoseconds_since(frame.captured()) / 1000;
        Self {
            frame: frame.number().0,
            bytes: frame.bytes().len(),
            key: frame.is_key(),
            missed: frame.missed(),
            missed_from: (!missed.is_empty()).then_some(missed.start),
            missed_between_runs: frame.missed_between_runs(),
            format: frame.format().fourcc.to_string(),
            width: frame.format().width,
            height: frame.format().height,
            captured_ns: frame.captured().as_nanoseconds(),
            captured: date(frame),
            clock_error_us: frame
                .clock_error()
                .map(|error| u64::try_from(error.as_micros()).unwrap_or(u64::MAX)),
            received_us: since_capture(frame.received()),
            published_us: since_capture(frame.published()),
            age_us: u64::try_from(frame.age().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut camera = Camera::open(&arguments.camera)?;
    let mut out = std::io::stdout().lock();
    let mut printed = 0;
    while arguments.count.is_none_or(|count| printed < count) && !interrupted.is_set() {
        let frame = match camera.next(Policy::Every, Duration::from_millis(200)) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(Error::Ended) => {
                say(format_args!(
                    "{} has ended; waiting for it to come back",
                    camera.label()
                ));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let line = Line::new(&frame);
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(&line)?).context(NOT_WRITTEN)?;
        } else {
            let missed = match (line.missed, line.missed_between_runs) {
                (0, 0) => String::new(),
                (0, between_runs) => format!("  missed {between_runs} between runs"),
                (missed, _) => format!("  missed {missed}"),
            };
            let key = if line.key { "key" } else { "   " };
            let error = line
                .clock_error_us
                .map_or_else(|| "?".to_owned(), |error| format!("{error} us"));
            writeln!(
                out,
                "{:>8}  {}  {key}  {:>9} bytes  age {:>7} us +- {error}{missed}",
                line.frame, line.captured, line.bytes, line.age_us
            )
            .context(NOT_WRITTEN)?;
        }
        out.flush()?;
        printed += 1;
    }
    Ok(())
}

fn date(frame: &Frame) -> String {
    let since_epoch = frame
        .captured_date()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let of_day = since_epoch.as_secs() % 86_400;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        since_epoch.subsec_millis()
    )
}
