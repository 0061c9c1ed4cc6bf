//! `cargo xtask bench tcp`, `udp` and `ethernet`: what an ordinary camera and an extraordinary one cost and how long their frames take, beside
//! the floor of the same run.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sdvr::{Camera, Error, Policy};

use crate::floor::{copy_seal_send, make_frames, plain_latencies, seconds_per_gigabyte};
use crate::latencies::Latencies;
use crate::system::{Keys, Network, System};
use crate::{datagram_floor, floor, veth};

const TIME: Duration = Duration::from_secs(6);
const FRAME_BYTES: usize = 1_000_000;

/// What is promised of one way to the daemon.
struct Promises {
    /// CPU seconds per GB of a camera flat out.
    daemon: &'static str,
    client: &'static str,
    /// By the bytes of a frame at 30 a second.
    latencies: &'static [(usize, &'static str)],
    /// Frames that are read of each.
    frames: usize,
    /// Of a core, by 64 cameras.
    many: Option<&'static str>,
}

pub(crate) fn tcp(programs: &Path) -> anyhow::Result<()> {
    let promises = Promises {
        daemon: "target <= 1.6 x and <= 0.40",
        client: "target <= 0.40",
        latencies: &[(100_000, "target p50 <= 300, p99 <= 1000, 0 missed")],
        frames: 300,
        many: Some("target <= 0.05"),
    };
    run(programs, &Network::Tcp, &promises)
}

/// With `minutes`, only what is promised of ordinary cameras, for so long.
pub(crate) fn udp(programs: &Path, minutes: Option<usize>) -> anyhow::Result<()> {
    let promises = Promises {
        daemon: "target <= 1.7 x and <= 0.45",
        client: "target <= 0.60",
        latencies: &DATAGRAM_LATENCIES,
        frames: 600,
        many: Some("target <= 0.08"),
    };
    run_or_watch(programs, &Network::Udp, &promises, minutes)
}

/// A frame leaves within 2 ms, and half of them is what its pacing adds; the promise is beyond all of it.
const DATAGRAM_LATENCIES: [(usize, &str); 2] = [
    (
        100_000,
        "target p50 <= 2600 with 2000 of pacing, p99 <= 3000 beyond it, 0 missed",
    ),
    (1_000_000, "the same"),
];

/// In a network namespace that is made for it.
pub(crate) fn ethernet(programs: &Path, minutes: Option<usize>) -> anyhow::Result<()> {
    veth::make()?;
    let promises = Promises {
        daemon: "target <= 0.8 at MTU 1500",
        client: "no target",
        latencies: &DATAGRAM_LATENCIES,
        frames: 600,
        many: None,
    };
    run_or_watch(programs, &Network::Ethernet, &promises, minutes)
}

fn run_or_watch(
    programs: &Path,
    network: &Network,
    promises: &Promises,
    minutes: Option<usize>,
) -> anyhow::Result<()> {
    match minutes {
        None => run(programs, network, promises),
        Some(minutes) => watch(programs, network, promises, minutes * 60 * 30),
    }
}

/// Ordinary cameras, all at once, for so many frames.
fn watch(
    programs: &Path,
    network: &Network,
    promises: &Promises,
    frames: usize,
) -> anyhow::Result<()> {
    let system = System::start_in(programs, network.clone(), Keys::AsReleased)?;
    std::thread::scope(|scope| {
        let watching: Vec<_> = promises
            .latencies
            .iter()
            .map(|(frame_bytes, target)| {
                scope.spawn(|| latency(&system, *frame_bytes, frames, target))
            })
            .collect();
        watching
            .into_iter()
            .try_for_each(|camera| camera.join().ok().context("a reader has panicked")?)
    })
}

fn run(programs: &Path, network: &Network, promises: &Promises) -> anyhow::Result<()> {
    let system = || System::start_in(programs, network.clone(), Keys::AsReleased);
    flat_out(&system()?, network, promises)?;
    for (frame_bytes, target) in promises.latencies {
        latency(&system()?, *frame_bytes, promises.frames, target)?;
        if matches!(network, Network::Tcp | Network::Udp) {
            let plain = plain_latencies(*frame_bytes, 300)?;
            println!("  plain TCP  {}", Latencies::from(plain));
        }
    }
    match promises.many {
        Some(target) => many_cameras(&system()?, target),
        None => Ok(()),
    }
}

fn receiver_floor(network: &Network) -> anyhow::Result<f64> {
    match network {
        Network::Tcp => floor::receive_open_copy(TIME / 2),
        Network::Udp | Network::Ethernet | Network::Link { .. } => {
            datagram_floor::receive_open_copy(TIME / 2)
        }
    }
}

/// One camera as fast as it goes, nobody reading.
fn flat_out(system: &System, network: &Network, promises: &Promises) -> anyhow::Result<()> {
    println!(
        "one camera flat out, 1 MB frames, no consumer, {} s",
        TIME.as_secs()
    );
    let floor_before = receiver_floor(network)?;
    let sender_before = copy_seal_send(FRAME_BYTES, TIME / 2)?;
    let client = system.client_flat_out(FRAME_BYTES)?;
    let (daemon_before, client_before, (bytes_before, lost_before)) =
        (system.daemon().usage()?, client.usage()?, system.totals());
    std::thread::sleep(TIME);
    let (daemon_after, client_after, (bytes_after, lost_after)) =
        (system.daemon().usage()?, client.usage()?, system.totals());
    drop(client);
    let floor_after = receiver_floor(network)?;
    let sender_after = copy_seal_send(FRAME_BYTES, TIME / 2)?;
    let floor = f64::midpoint(floor_before, floor_after);
    let sender = f64::midpoint(sender_before, sender_after);
    let bytes = bytes_after - bytes_before;
    let daemon = seconds_per_gigabyte(daemon_after.cpu.saturating_sub(daemon_before.cpu), bytes);
    let client = seconds_per_gigabyte(client_after.cpu.saturating_sub(client_before.cpu), bytes);
    let source = make_frames(FRAME_BYTES);
    let wall = (daemon_after.at - daemon_before.at).as_secs_f64();
    println!(
        "  throughput              {:8.2} GB/s, {} frames lost (target 0)",
        1.0 / seconds_per_gigabyte(Duration::from_secs_f64(wall), bytes),
        lost_after - lost_before
    );
    println!(
        "  floor                   {floor:8.3} CPU s/GB  ({floor_before:.3} before, {floor_after:.3} after)"
    );
    println!(
        "  daemon                  {daemon:8.3} CPU s/GB  {:.2} x the floor ({})",
        daemon / floor,
        promises.daemon
    );
    println!(
        "  client                  {client:8.3} CPU s/GB  of which making the frames {source:.3}"
    );
    println!(
        "  client without source   {:8.3} CPU s/GB  {:.2} x the floor of a sender over TCP ({})",
        client - source,
        (client - source) / sender,
        promises.client
    );
    println!(
        "  floor of a sender       {sender:8.3} CPU s/GB  ({sender_before:.3} before, {sender_after:.3} after)"
    );
    Ok(())
}

/// One camera of an ordinary rate, one consumer.
fn latency(system: &System, frame_bytes: usize, frames: usize, target: &str) -> anyhow::Result<()> {
    let label = format!("paced-{frame_bytes}");
    let source = format!("test:?format=BNCH&fps=30&bytes={frame_bytes}");
    let _client = system.client(&label, &source)?;
    system.wait_for_camera(&label)?;
    let mut camera = Camera::open_in(&system.rings(), &label, sdvr::Start::Now)?;
    let mut latencies = Latencies::default();
    let mut missed = 0;
    // The same memory for every frame, as a program would that cares.
    let mut memory = None;
    while latencies.count() < frames {
        let next = camera.next_in_memory(Policy::Every, Duration::from_secs(1), &mut memory)?;
        if let Some(frame) = next {
            latencies.add(frame.age());
            missed += frame.missed();
        }
    }
    println!(
        "30 fps x {} KB, capture to consumer, {} s\n  ours       {latencies}, {missed} missed ({target})",
        frame_bytes / 1000,
        frames / 30
    );
    Ok(())
}

/// Many cameras, one of them read.
fn many_cameras(system: &System, target: &str) -> anyhow::Result<()> {
    const CAMERAS: usize = 64;
    println!("{CAMERAS} cameras at 30 fps x 20 KB, one of them read, 10 s");
    let clients = (0..CAMERAS).map(|number| {
        system.client(
            &format!("cam-{number}"),
            "test:?format=BNCH&fps=30&bytes=20000",
        )
    });
    let _clients: Vec<_> = clients.collect::<Result<_, _>>()?;
    system.wait_for_cameras(CAMERAS)?;
    std::thread::sleep(Duration::from_secs(2));
    let rings = system.rings();
    let reader = std::thread::spawn(move || -> Result<u64, Error> {
        let mut camera = Camera::open_in(&rings, "cam-0", sdvr::Start::Now)?;
        let mut missed = 0;
        for _ in 0..300 {
            if let Some(frame) = camera.next(Policy::Every, Duration::from_secs(1))? {
                missed += frame.missed();
            }
        }
        Ok(missed)
    });
    let (before, (_, lost_before)) = (system.daemon().usage()?, system.totals());
    std::thread::sleep(Duration::from_secs(10));
    let (after, (_, lost_after)) = (system.daemon().usage()?, system.totals());
    let core =
        after.cpu.saturating_sub(before.cpu).as_secs_f64() / (after.at - before.at).as_secs_f64();
    let missed = reader.join().ok().context("the reader has panicked")??;
    println!(
        "  daemon {core:.4} core ({target}), {} frames lost, {missed} missed by the reader (target 0)",
        lost_after - lost_before
    );
    Ok(())
}
