//! `sdvr verify`: every byte of a measuring camera checked, its latency measured.

use std::time::{Duration, Instant};

use anyhow::bail;
use sdvr::{Camera, Error, FourCc, Timestamp};
use sdvr_frame::bench_frame;
use serde::Serialize;

use crate::output::{Interrupted, milliseconds, next_frame, parse_seconds, percentile};

/// A frame that is older when it is read is stale: it lay somewhere.
const STALE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
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
    if let Some(info) = camera
        .info()
        .filter(|info| info.format.fourcc != FourCc::BNCH)
    {
        bail!(
            "{} sends {}, and only measuring frames can be verified: sdvrc -i 'test:?format=BNCH'",
            arguments.camera,
            info.format.fourcc
        );
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
    if findings.torn > 0 {
        bail!("{} frames were torn", findings.torn);
    }
    Ok(())
}

fn measure(
    camera: &mut Camera,
    time: Duration,
    interrupted: &Interrupted,
) -> anyhow::Result<Findings> {
    let start = Instant::now();
    let mut findings = Findings::default();
    let mut latencies = Vec::new();
    let mut frame = None;
    while start.elapsed() < time && !interrupted.is_set() {
        let timeout = Duration::from_millis(200).min(time.saturating_sub(start.elapsed()));
        match next_frame(camera, &mut frame, timeout) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(Error::Ended) => break,
            Err(error) => return Err(error.into()),
        }
        let Some(frame) = &frame else { continue };
        let now = Timestamp::now();
        findings.frames += 1;
        findings.missing += frame.missed();
        findings.bytes += frame.bytes().len() as u64;
        match bench_frame::check(frame.bytes()) {
            Some(header) if header.sequence == frame.number() => {
                // Source and reader are on one host or the daemon's estimate is the best there is.
                let age = now.saturating_since(frame.captured());
                findings.stale += u64::from(age > STALE);
                latencies.push(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
            }
            _ => findings.torn += 1,
        }
    }
    findings.seconds = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    findings.latency_us = Latency {
        p50: percentile(&latencies, 50),
        p90: percentile(&latencies, 90),
        p99: percentile(&latencies, 99),
        max: latencies.last().copied().unwrap_or(0),
    };
    Ok(findings)
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn print(findings: &Findings, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(findings)?);
        return Ok(());
    }
    let Findings {
        frames,
        missing,
        torn,
        stale,
        seconds,
        bytes,
        latency_us,
    } = findings;
    let rate = *frames as f64 / seconds.max(f64::MIN_POSITIVE);
    let megabits = *bytes as f64 * 8e-6 / seconds.max(f64::MIN_POSITIVE);
    println!(
        "{frames} frames in {seconds:.1} s ({rate:.1} frames/s, {megabits:.1} Mbit/s): {missing} missing, {torn} torn, {stale} stale"
    );
    println!(
        "latency, capture to here: p50 {}, p90 {}, p99 {}, max {}",
        milliseconds(latency_us.p50),
        milliseconds(latency_us.p90),
        milliseconds(latency_us.p99),
        milliseconds(latency_us.max)
    );
    Ok(())
}
