//! `cargo xtask bench loss`: ten cameras at once over UDP across a bad network, cell by cell: how many frames are whole in time, how long they
//! take, and what that costs on the wire; beside the same streams through SRT where `srt-live-transmit` is installed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sdvr::{Camera, Policy};
use sdvr_test_link::{Impairment, Link, Loss, Settings, Side};

use crate::interruptions;
use crate::latencies::Latencies;
use crate::srt;
use crate::system::{Keys, Network, System};

pub(crate) const CAMERAS: usize = 10;
pub(crate) const FRAME_BYTES: usize = 100_000;
pub(crate) const FRAMES_PER_SECOND: u32 = 30;
/// Half of the round trip.
pub(crate) const ONE_WAY: Duration = Duration::from_millis(10);
/// Until the links are measured, the pace is found and datagrams have grown.
pub(crate) const WARM_UP: Duration = Duration::from_secs(3);

/// One kind of bad network.
#[derive(Clone, Copy, Debug)]
struct Cell {
    name: &'static str,
    loss: Loss,
    latency_ms: u32,
    target: &'static str,
}

const fn random(share: f64) -> Loss {
    Loss::Random { share }
}

const CELLS: [Cell; 10] = [
    Cell {
        name: "no loss",
        loss: Loss::None,
        latency_ms: 120,
        target: "100 %, p50 <= 13.5 ms, wire <= 1.08",
    },
    Cell {
        name: "1 % random",
        loss: random(0.01),
        latency_ms: 120,
        target: "100 %",
    },
    Cell {
        name: "5 % random",
        loss: random(0.05),
        latency_ms: 120,
        target: ">= 99.99 %, p50 <= 45 ms, wire <= 1.20",
    },
    Cell {
        name: "10 % random",
        loss: random(0.10),
        latency_ms: 120,
        target: ">= 99.9 %",
    },
    Cell {
        name: "5 % random, 60 ms",
        loss: random(0.05),
        latency_ms: 60,
        target: ">= 99.5 %",
    },
    Cell {
        name: "10 % random, 60 ms",
        loss: random(0.10),
        latency_ms: 60,
        target: ">= 98 %",
    },
    Cell {
        name: "5 % in bursts of 5 packets",
        loss: Loss::Bursts {
            share: 0.05,
            frames: 5,
        },
        latency_ms: 120,
        target: ">= 99.9 %",
    },
    Cell {
        name: "20 % random",
        loss: random(0.20),
        latency_ms: 120,
        target: ">= 95 %",
    },
    Cell {
        name: "5 % outages of 50 ms",
        loss: Loss::Outages {
            share: 0.05,
            lasting: Duration::from_millis(50),
        },
        latency_ms: 120,
        target: "recovered within 300 ms",
    },
    Cell {
        name: "5 % outages of 50 ms, 300 ms",
        loss: Loss::Outages {
            share: 0.05,
            lasting: Duration::from_millis(50),
        },
        latency_ms: 300,
        target: "for comparison",
    },
];

/// What became of the frames of one cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Frames that were whole in time.
    pub(crate) whole: u64,
    /// Frames that the link lost.
    pub(crate) lost: u64,
    /// Frames that were captured and not sent.
    pub(crate) not_sent: u64,
    /// From capture until they could be read.
    pub(crate) latencies: Latencies,
    /// The longest time between two frames of one camera.
    pub(crate) longest_gap: Duration,
    /// Of IP packets from the cameras' side.
    pub(crate) wire_bytes: u64,
    /// Frames that this machine lost before the link, as it was too slow for it.
    pub(crate) overruns: u64,
}

impl Outcome {
    fn print(&self, who: &str, target: &str) {
        let all = self.whole + self.lost + self.not_sent;
        println!(
            "  {who}  {:7.3} % of {all} whole in time, p50 {:5.1} ms, p99 {:5.1} ms, longest gap {:4} ms, wire {:.3}{}{}{target}",
            percent(self.whole, all),
            milliseconds(self.latencies.at(50)),
            milliseconds(self.latencies.at(99)),
            self.longest_gap.as_millis(),
            percent(self.wire_bytes, self.whole * FRAME_BYTES as u64) / 100.0,
            counted(self.not_sent, "not sent"),
            counted(self.overruns, "packets before the link"),
        );
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        0 => String::new(),
        count => format!(", {count} {what}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / (whole.max(1)) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

/// `only` names the cells and interruptions to measure, by a part of their names.
pub(crate) fn run(programs: &Path, frames: usize, only: Option<&str>) -> anyhow::Result<()> {
    let time = Duration::from_secs(1) * u32::try_from(frames / CAMERAS)? / FRAMES_PER_SECOND;
    println!(
        "{CAMERAS} cameras at {FRAMES_PER_SECOND} fps x {} KB, round trip {} ms, {} s a cell; loss in both directions",
        FRAME_BYTES / 1000,
        ONE_WAY.as_millis() * 2,
        time.as_secs()
    );
    let has_srt = srt::is_installed();
    if !has_srt {
        println!("without SRT beside it: there is no srt-live-transmit (Debian package srt-tools)");
    }
    let is_wanted = |cell: &&Cell| only.is_none_or(|part| cell.name.contains(part));
    for cell in CELLS.iter().filter(is_wanted) {
        println!("{}, budget {} ms", cell.name, cell.latency_ms);
        let target = format!(" (target {})", cell.target);
        ours(programs, cell, time)?.print("ours", &target);
        if has_srt {
            let link = link(cell)?;
            srt::measure(&link, cell.latency_ms, WARM_UP, time)?.print("SRT ", "");
        }
    }
    interruptions::run(programs, only)
}

fn link(cell: &Cell) -> anyhow::Result<Link> {
    let link = Link::new(&Settings::default())?;
    link.impair_both(Impairment {
        loss: cell.loss,
        delay: ONE_WAY,
        ..Impairment::default()
    });
    Ok(link)
}

fn ours(programs: &Path, cell: &Cell, time: Duration) -> anyhow::Result<Outcome> {
    let link = Arc::new(link(cell)?);
    let network = Network::Link {
        link: Arc::clone(&link),
        latency_ms: cell.latency_ms,
    };
    let system = System::start_in(programs, network, Keys::AsReleased)?;
    let source = format!("test:?format=BNCH&fps={FRAMES_PER_SECOND}&bytes={FRAME_BYTES}");
    let names: Vec<String> = (0..CAMERAS).map(|camera| format!("cam-{camera}")).collect();
    let clients = names.iter().map(|name| system.client(name, &source));
    let clients: Vec<_> = clients.collect::<Result<_, _>>()?;
    system.wait_for_cameras(CAMERAS)?;
    std::thread::sleep(WARM_UP);

    let readers: Vec<_> = names
        .into_iter()
        .map(|name| {
            let rings = system.rings();
            std::thread::spawn(move || read(&rings, &name, time))
        })
        .collect();
    let (before, sent_before) = (system.figures()?, link.counters(Side::A).sent_bytes);
    std::thread::sleep(time);
    let (after, sent_after) = (system.figures()?, link.counters(Side::A).sent_bytes);
    let mut outcome = Outcome {
        whole: after.frames - before.frames,
        lost: after.missing_on_link - before.missing_on_link,
        not_sent: after.missing_at_source - before.missing_at_source,
        wire_bytes: sent_after - sent_before,
        overruns: link.overruns(Side::A) + link.overruns(Side::B),
        ..Outcome::default()
    };
    for reader in readers {
        let (latencies, longest_gap) = reader.join().ok().context("a reader has panicked")??;
        outcome.latencies.extend(latencies);
        outcome.longest_gap = outcome.longest_gap.max(longest_gap);
    }
    let away = after.missing_while_away - before.missing_while_away;
    ensure!(
        away == 0,
        "{away} frames are missing since a camera was away: a session ended"
    );
    drop(clients);
    Ok(outcome)
}

/// How long a camera's frames take, and the longest time between two of them.
fn read(rings: &Path, name: &str, time: Duration) -> anyhow::Result<(Latencies, Duration)> {
    let mut camera = Camera::open_in(rings, name, sdvr::Start::Now)?;
    let (mut latencies, mut longest_gap) = (Latencies::default(), Duration::ZERO);
    let (begin, mut last) = (Instant::now(), Instant::now());
    let mut frame = camera.next(Policy::Every, time)?.context("no frame came")?;
    while begin.elapsed() < time {
        latencies.add(frame.age());
        longest_gap = longest_gap.max(last.elapsed());
        last = Instant::now();
        if !camera.next_into(
            Policy::Every,
            time.saturating_sub(begin.elapsed()),
            &mut frame,
        )? {
            break;
        }
    }
    Ok((latencies, longest_gap))
}
