//! A consumer in a process of its own, as a child of the bench.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sdvr::{Camera, Pixels, Policy, Start};

/// How many frames consumers read that say what that took.
pub(crate) const FRAMES: usize = 600;
/// How often a busy reader looks at each frame.
const LOOKS: usize = 20;
const WAIT: Duration = Duration::from_secs(5);

/// What a consumer says at its end.
pub(crate) struct Cost {
    cpu_ns: u64,
    pub(crate) median_us: u64,
}

impl Cost {
    pub(crate) fn of(command: &mut Command) -> anyhow::Result<Self> {
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{command:?} has failed");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut next = || {
            numbers
                .next()
                .context("it says two numbers")?
                .context("they are whole")
        };
        Ok(Self {
            cpu_ns: next()?,
            median_us: next()?,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub(crate) fn us_per_frame(&self) -> f64 {
        self.cpu_ns as f64 / FRAMES as f64 / 1000.0
    }
}

/// Reads as `manner` says: `count` so many frames, or the newest `pictures`, and prints what that took; `busy` and `sleepy` until it is ended.
pub(crate) fn run(rings: &Path, label: &str, manner: &str, frames: usize) -> anyhow::Result<()> {
    let mut camera = Camera::open_in(rings, label, Start::Now)?;
    match manner {
        "count" => count(&mut camera, frames),
        "pictures" => pictures(camera, frames),
        "busy" => loop {
            // What is killed here was in the middle of reading, most likely.
            camera.next_in_place(Policy::Every, WAIT, |_, words| {
                (0..LOOKS)
                    .map(|_| words.iter().fold(0, u64::wrapping_add))
                    .fold(0, u64::wrapping_add)
            })?;
        },
        "sleepy" => loop {
            camera.next(Policy::Every, WAIT)?;
            std::thread::sleep(Duration::from_secs(2));
        },
        other => bail!("nobody reads in the manner {other:?}"),
    }
}

fn count(camera: &mut Camera, frames: usize) -> anyhow::Result<()> {
    let mut frame = camera.next(Policy::Every, WAIT)?.context("no frame came")?;
    let before = cpu()?;
    let mut ages = Vec::with_capacity(frames);
    while ages.len() < frames {
        if camera.next_into(Policy::Every, WAIT, &mut frame)? {
            ages.push(u64::try_from(frame.age().as_micros())?);
        }
    }
    tell(cpu()?.saturating_sub(before), ages);
    Ok(())
}

/// Decodes the newest frames, and does no more.
fn pictures(camera: Camera, frames: usize) -> anyhow::Result<()> {
    let mut pictures = camera.decoded(Pixels::Rgba);
    let mut decoded = pictures
        .next(Policy::Latest, WAIT)?
        .context("no frame came")?;
    let before = cpu()?;
    let mut ages = Vec::with_capacity(frames);
    while ages.len() < frames {
        if pictures.next_into(Policy::Latest, WAIT, &mut decoded)? {
            ages.push(u64::try_from(decoded.frame().age().as_micros())?);
        }
    }
    tell(cpu()?.saturating_sub(before), ages);
    Ok(())
}

/// Processor time in nanoseconds, and the median of the ages in microseconds.
fn tell(used: Duration, mut ages: Vec<u64>) {
    ages.sort_unstable();
    let median = ages.get(ages.len() / 2).copied().unwrap_or_default();
    println!("{} {median}", used.as_nanos());
}

/// What this process has used.
fn cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
