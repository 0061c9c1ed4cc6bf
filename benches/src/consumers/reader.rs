//! A consumer in a process of its own, as a child of the bench.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sdvr::{Camera, Policy, Start};

/// How often a busy reader looks at each frame.
const LOOKS: usize = 20;
const WAIT: Duration = Duration::from_secs(5);

/// Reads as `manner` says: `count` so many frames and prints what that took; `busy` and `sleepy` until it is ended.
pub(crate) fn run(rings: &Path, label: &str, manner: &str, frames: usize) -> anyhow::Result<()> {
    let mut camera = Camera::open_in(rings, label, Start::Now)?;
    match manner {
        "count" => count(&mut camera, frames),
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
    let used = cpu()?.saturating_sub(before);
    ages.sort_unstable();
    let median = ages.get(ages.len() / 2).copied().unwrap_or_default();
    println!("{} {median}", used.as_nanos());
    Ok(())
}

/// What this process has used.
fn cpu() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
