//! What a consumer notices of others that are stopped, killed in the middle of reading, or slow.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use sdvr::{Camera, Policy, Start};

use crate::latencies::Latencies;
use crate::system::System;

const LABEL: &str = "watched";
/// Frames of each part, at 30 a second.
const PART_FRAMES: usize = 450;
/// Disturbers of each kind.
const DISTURBERS: usize = 8;

/// What the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    /// Stopped for 10 s of the 15.
    Stopped,
    /// Killed while they read, again and again.
    Killed,
    /// Sleeping 2 s a frame.
    Sleepy,
}

/// What the consumer had.
struct Part {
    ages: Latencies,
    missed: u64,
    lost: u64,
}

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    println!(
        "one consumer of 30 fps x 100 KB beside {DISTURBERS} others, {} frames a part",
        PART_FRAMES
    );
    let system = System::start(programs)?;
    let _client = system.client(LABEL, "test:?format=BNCH&fps=30&bytes=100000")?;
    system.wait_for_camera(LABEL)?;
    let mut quiet = Latencies::default();
    let mut parts = Vec::new();
    // Quiet parts in between: what else runs on the machine changes meanwhile.
    for others in [Others::Stopped, Others::Killed, Others::Sleepy] {
        let before = part(&system, Others::None)?;
        println!(
            "  alone    {} ({} missed, {} lost)",
            before.ages, before.missed, before.lost
        );
        quiet.extend(before.ages);
        let part = part(&system, others)?;
        println!(
            "  {:8} {} ({} missed, {} lost; target 0)",
            format!("{others:?}"),
            part.ages,
            part.missed,
            part.lost
        );
        parts.push((others, part));
    }
    for (others, part) in parts {
        println!(
            "  {:8} p99 {:+.2} ms against alone (target <= +1 ms)",
            format!("{others:?}"),
            difference_ms(part.ages.at(99), quiet.at(99))
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "microseconds for display")]
fn difference_ms(microseconds: u64, alone: u64) -> f64 {
    (microseconds as f64 - alone as f64) / 1000.0
}

fn part(system: &System, others: Others) -> anyhow::Result<Part> {
    let manner = match others {
        Others::None => None,
        Others::Stopped | Others::Killed => Some("busy"),
        Others::Sleepy => Some("sleepy"),
    };
    let start = || {
        manner
            .map(|manner| Reader::start(system, manner))
            .transpose()
    };
    let mut readers = (0..DISTURBERS)
        .filter_map(|_| start().transpose())
        .collect::<anyhow::Result<Vec<_>>>()?;
    // They have started, which costs more than all that they do.
    std::thread::sleep(Duration::from_secs(1));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let disturbing = scope.spawn(|| -> anyhow::Result<()> {
            match others {
                Others::None | Others::Sleepy => {}
                Others::Stopped => {
                    readers
                        .iter()
                        .try_for_each(|reader| reader.send(Signal::STOP))?;
                    std::thread::sleep(Duration::from_secs(10));
                    readers
                        .iter()
                        .try_for_each(|reader| reader.send(Signal::CONT))?;
                }
                Others::Killed => {
                    while !is_over.load(Ordering::Relaxed) {
                        let next = Reader::start(system, "busy")?;
                        std::thread::sleep(Duration::from_millis(250));
                        // Dropping one kills it.
                        readers.remove(0);
                        readers.push(next);
                    }
                }
            }
            Ok(())
        });
        let part = watch(system);
        is_over.store(true, Ordering::Relaxed);
        disturbing
            .join()
            .ok()
            .context("the disturber has panicked")??;
        part
    })
}

fn watch(system: &System) -> anyhow::Result<Part> {
    let mut camera = Camera::open_in(&system.rings(), LABEL, Start::Now)?;
    let (_, lost_before) = system.totals();
    let wait = Duration::from_secs(5);
    let mut frame = camera.next(Policy::Every, wait)?.context("no frame came")?;
    let (mut ages, mut missed) = (Latencies::default(), 0);
    while ages.count() < PART_FRAMES {
        if camera.next_into(Policy::Every, wait, &mut frame)? {
            ages.add(frame.age());
            missed += frame.missed();
        }
    }
    let (_, lost) = system.totals();
    Ok(Part {
        ages,
        missed,
        lost: lost - lost_before,
    })
}

/// Another consumer, killed when it is dropped.
struct Reader(Child);

impl Reader {
    fn start(system: &System, manner: &str) -> anyhow::Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("reader")
            .arg(system.rings())
            .args([LABEL, manner, "0"])
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a reader")?;
        Ok(Self(child))
    }

    fn send(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("it has a process id")?, signal).context("cannot signal a reader")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
