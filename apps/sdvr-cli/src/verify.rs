//! `sdvr verify`: every byte of a measuring camera checked, its latency measured.

use std::time::{Duration, Instant};

use anyhow::bail;
use sdvr::{Camera, Error, FourCc, Frame, FrameNumber, InstanceId, Policy, Timestamp};
use sdvr_frame::{bench_frame, percentile};
use serde::Serialize;

use crate::output::{Interrupted, WrongUsage, milliseconds, parse_seconds, print_line};

/// A frame that is older when it is read is stale: it lay somewhere.
const STALE: Duration = Duration::from_secs(1);

const HELP: &str = "\
A frame is
  missing       if it was captured and not read here,
  torn          if its bytes are not those that were sent,
  out of order  if its number is not above that of the frame before,
  stale         if it is older than 1 s when it is read.

Exit codes:
  0  frames came, and all are there and right
  1  frames are missing, torn, out of order or stale, none came, or it failed
  2  wrong usage; also when the camera does not send measuring frames";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which camera; its source must be test:?format=BNCH
    #[arg(value_name = "CAMERA")]
    camera: String,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Print one object
    #[arg(long)]
    json: bool,
}

/// What was found. The names are a promise.
#[derive(Debug, Default, Serialize)]
struct Findings {
    frames: u64,
    missing: u64,
    torn: u64,
    out_of_order: u64,
    stale: u64,
    seconds: f64,
    bytes: u64,
    latency_us: Latency,
}

#[derive(Debug, Default, Serialize)]
struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let mut camera = Camera::open(&arguments.camera)?;
    if let Some(info) = camera.info() {
        check_format(&arguments.camera, info.format.fourcc)?;
    }
    let findings = measure(
        &mut camera,
        Duration::from_secs_f64(arguments.seconds),
        &interrupted,
    )?;
    print(&findings, arguments.json)?;
    if findings.frames == 0 {
        bail!(
            "no frame came in {:.1} s; the camera is {}",
            findings.seconds,
            camera.state()
        );
    }
    let Findings {
        missing,
        torn,
        out_of_order,
        stale,
        ..
    } = findings;
    if [missing, torn, out_of_order, stale] != [0; 4] {
        bail!(
            "not all frames are there and right: {missing} missing, {torn} torn, {out_of_order} out of order, {stale} stale"
        );
    }
    Ok(())
}

impl Findings {
    /// Whatever a ring says of its numbers.
    const fn count_missing(&mut self, frames: u64) {
        self.missing = self.missing.saturating_add(frames);
    }
}

fn check_format(camera: &str, format: FourCc) -> Result<(), WrongUsage> {
    if format == FourCc::BNCH {
        return Ok(());
    }
    Err(WrongUsage(format!(
        "{camera} sends {format}, and only measuring frames can be verified: sdvrc -i 'test:?format=BNCH'"
    )))
}

fn measure(
    camera: &mut Camera,
    time: Duration,
    interrupted: &Interrupted,
) -> anyhow::Result<Findings> {
    let start = Instant::now();
    let mut findings = Findings::default();
    let mut checker = Checker::default();
    let mut memory = None;
    while start.elapsed() < time && !interrupted.is_set() {
        let timeout = Duration::from_millis(200).min(time.saturating_sub(start.elapsed()));
        let frame = match camera.next_in_memory(Policy::Every, timeout, &mut memory) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(Error::Ended) => break,
            Err(error) => return Err(error.into()),
        };
        // The camera may have been replaced by one of another kind.
        check_format(camera.label(), frame.format().fourcc)?;
        checker.check(frame, &mut findings);
    }
    // Of a run that has ended, and of which no later frame has told.
    findings.count_missing(camera.missed_at_end());
    findings.seconds = start.elapsed().as_secs_f64();
    findings.latency_us = checker.latency();
    Ok(findings)
}

/// Looks at one frame after the other.
#[derive(Debug, Default)]
struct Checker {
    last: Option<(InstanceId, FrameNumber)>,
    latencies_us: Vec<u64>,
}

impl Checker {
    fn check(&mut self, frame: &Frame, findings: &mut Findings) {
        let now = Timestamp::now();
        findings.frames += 1;
        findings.count_missing(frame.missed());
        findings.count_missing(frame.missed_between_runs());
        findings.bytes += frame.bytes().len() as u64;
        let is_out_of_order = self
            .last
            .replace((frame.instance(), frame.number()))
            .is_some_and(|(instance, number)| {
                instance == frame.instance() && number >= frame.number()
            });
        findings.out_of_order += u64::from(is_out_of_order);
        match bench_frame::check(frame.bytes()) {
            Some(header) if header.sequence == frame.number() => {
                // Source and reader are on one host or the daemon's estimate is the best there is.
                let age = now.saturating_since(frame.captured());
                let error = frame.clock_error().unwrap_or_default();
                findings.stale += u64::from(age.saturating_sub(error) > STALE);
                self.latencies_us
                    .push(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
            }
            _ => findings.torn += 1,
        }
    }

    fn latency(mut self) -> Latency {
        self.latencies_us.sort_unstable();
        let at = |per_cent| percentile(&self.latencies_us, per_cent).unwrap_or(0);
        Latency {
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: at(100),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn print(findings: &Findings, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_line(serde_json::to_string(findings)?);
    }
    let Findings {
        frames,
        missing,
        torn,
        out_of_order,
        stale,
        seconds,
        bytes,
        latency_us,
    } = findings;
    let rate = *frames as f64 / seconds.max(f64::MIN_POSITIVE);
    let megabits = *bytes as f64 * 8e-6 / seconds.max(f64::MIN_POSITIVE);
    print_line(format_args!(
        "{frames} frames in {seconds:.1} s ({rate:.1} frames/s, {megabits:.1} Mbit/s): {missing} missing, {torn} torn, {out_of_order} out of order, {stale} stale"
    ))?;
    if *frames == 0 {
        return Ok(());
    }
    print_line(format_args!(
        "latency, capture to here: p50 {}, p90 {}, p99 {}, max {}",
        milliseconds(latency_us.p50),
        milliseconds(latency_us.p90),
        milliseconds(latency_us.p99),
        milliseconds(latency_us.max)
    ))
}
