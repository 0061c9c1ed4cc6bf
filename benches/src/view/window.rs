//! What a window costs, beside decoding the same frames and nothing else.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::consumers::{Cost, FRAMES};
use crate::system::{Program, System};

const RATE: usize = 30;
/// Lines of the report, each of a second: the first ones are of the beginning.
const WARMING: usize = 3;

pub(super) fn run(programs: &Path) -> anyhow::Result<()> {
    let source = format!("test:?format=MJPG&size=1920x1080&fps={RATE}");
    let system = System::start(programs)?;
    let _client = system.client("watched", &source)?;
    system.wait_for_camera("watched")?;
    let decoding = Cost::of(
        Command::new(std::env::current_exe()?)
            .arg("reader")
            .arg(system.rings())
            .args(["watched", "pictures", &FRAMES.to_string()]),
    )?;
    let (_screen, display) = screen()?;
    let (window, mut report) = open(programs, &system, &display)?;
    for _ in 0..WARMING {
        next(&mut report)?;
    }
    let before = window.usage()?;
    let mut medians = Vec::new();
    let mut shown = 0;
    for _ in 0..FRAMES / RATE {
        let second = next(&mut report)?;
        let camera = &second["cameras"][0];
        shown += camera["shown"].as_u64().context("the report counts")?;
        medians.extend(camera["latency_p50_ms"].as_f64());
    }
    let after = window.usage()?;
    medians.sort_by(f64::total_cmp);
    println!(
        "sdvr view, 1080p{RATE} MJPEG, software, in a window of 1920x1080 under Xvfb, {} s\n  \
         {:.3} core (target <= 0.35), capture to screen buffer p50 {:.2} ms (target <= 12), {shown} pictures shown\n  \
         decoding them to pixels and nothing else: {:.3} core, capture to pixels p50 {:.2} ms",
        FRAMES / RATE,
        (after.cpu - before.cpu).as_secs_f64() / (after.at - before.at).as_secs_f64(),
        medians
            .get(medians.len() / 2)
            .context("pictures were shown")?,
        decoding.us_per_frame() * 30.0 / 1e6,
        std::time::Duration::from_micros(decoding.median_us).as_secs_f64() * 1e3,
    );
    Ok(())
}

/// A screen without a monitor; and what programs call it.
fn screen() -> anyhow::Result<(Program, String)> {
    let mut child = Command::new("Xvfb")
        .args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1920x1080x24",
            "-nolisten",
            "tcp",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start Xvfb: install the Debian package xvfb")?;
    let mut number = String::new();
    BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut number)?;
    ensure!(!number.is_empty(), "Xvfb did not start");
    Ok((Program::of(child), format!(":{}", number.trim())))
}

type Report = Lines<BufReader<ChildStdout>>;

fn open(programs: &Path, system: &System, display: &str) -> anyhow::Result<(Program, Report)> {
    let mut child = Command::new(programs.join("sdvr"))
        .args(["view", "watched", "--fullscreen", "--report"])
        .env("HOME", system.home())
        .env("SDVR_SHM_DIR", system.rings())
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start sdvr view")?;
    let report = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    Ok((Program::of(child), report))
}

fn next(report: &mut Report) -> anyhow::Result<Value> {
    let line = report.next().context("sdvr view has ended")??;
    Ok(serde_json::from_str(&line)?)
}
