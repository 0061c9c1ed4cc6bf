//! `cargo xtask bench tcp`: ours, the floor of the same run, the ratio.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sdvr::{Camera, Error, Policy};

use crate::floor::{
    copy_seal_send, make_frames, plain_latencies, receive_open_copy, seconds_per_gigabyte,
};
use crate::system::System;

const TIME: Duration = Duration::from_secs(6);
const FRAME_BYTES: usize = 1_000_000;

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    flat_out(&System::start(programs)?)?;
    latency(&System::start(programs)?)?;
    many_cameras(&System::start(programs)?)
}

/// One camera as fast as it goes, nobody reading.
fn flat_out(system: &System) -> anyhow::Result<()> {
    println!(
        "one camera flat out, 1 MB frames, no consumer, {} s",
        TIME.as_secs()
    );
    let floor_before = receive_open_copy(TIME / 2)?;
    let sender_before = copy_seal_send(FRAME_BYTES, TIME / 2)?;
    let client = system.client_flat_out(FRAME_BYTES)?;
    let (daemon_before, client_before, (bytes_before, _)) =
        (system.daemon().usage()?, client.usage()?, system.totals());
    std::thread::sleep(TIME);
    let (daemon_after, client_after, (bytes_after, _)) =
        (system.daemon().usage()?, client.usage()?, system.totals());
    drop(client);
    let floor_after = receive_open_copy(TIME / 2)?;
    let sender_after = copy_seal_send(FRAME_BYTES, TIME / 2)?;
    let floor = f64::midpoint(floor_before, floor_after);
    let sender = f64::midpoint(sender_before, sender_after);
    let bytes = bytes_after - bytes_before;
    let daemon = seconds_per_gigabyte(daemon_after.cpu.saturating_sub(daemon_before.cpu), bytes);
    let client = seconds_per_gigabyte(client_after.cpu.saturating_sub(client_before.cpu), bytes);
    let source = make_frames(FRAME_BYTES);
    let wall = (daemon_after.at - daemon_before.at).as_secs_f64();
    println!(
        "  throughput              {:8.2} GB/s",
        1.0 / seconds_per_gigabyte(Duration::from_secs_f64(wall), bytes)
    );
    println!(
        "  floor                   {floor:8.3} CPU s/GB  ({floor_before:.3} before, {floor_after:.3} after)"
    );
    println!(
        "  daemon                  {daemon:8.3} CPU s/GB  {:.2} x the floor (target <= 1.6 and <= 0.40)",
        daemon / floor
    );
    println!(
        "  client                  {client:8.3} CPU s/GB  of which making the frames {source:.3}"
    );
    println!(
        "  client without source   {:8.3} CPU s/GB  {:.2} x the floor of a sender (target <= 0.40)",
        client - source,
        (client - source) / sender
    );
    println!(
        "  floor of a sender       {sender:8.3} CPU s/GB  ({sender_before:.3} before, {sender_after:.3} after)"
    );
    Ok(())
}

/// One camera of an ordinary rate, one consumer.
fn latency(system: &System) -> anyhow::Result<()> {
    println!("30 fps x 100 KB, capture to consumer, 10 s");
    let _client = system.client("paced", "test:?format=BNCH&fps=30&bytes=100000")?;
    system.wait_for_cameras(1)?;
    let mut camera = Camera::open_in(&system.rings(), "paced", sdvr::Start::Now)?;
    let mut latencies = Vec::new();
    let mut missed = 0;
    // The same memory for every frame, as a program would that cares.
    let mut frame = None;
    while latencies.len() < 300 {
        let came = match &mut frame {
            Some(frame) => camera.next_into(Policy::Every, Duration::from_secs(1), frame)?,
            None => {
                frame = camera.next(Policy::Every, Duration::from_secs(1))?;
                frame.is_some()
            }
        };
        if let Some(frame) = frame.as_ref().filter(|_| came) {
            latencies.push(u64::try_from(frame.age().as_micros()).unwrap_or(u64::MAX));
            missed += frame.missed();
        }
    }
    latencies.sort_unstable();
    print_latencies("ours      ", &latencies);
    println!("  {missed} missed (target p50 <= 300, p99 <= 1000)");
    print_latencies("plain TCP ", &plain_latencies(100_000, 300)?);
    Ok(())
}

fn print_latencies(what: &str, sorted: &[u64]) {
    let at = |percent: usize| {
        let index = sorted.len().saturating_sub(1) * percent / 100;
        sorted.get(index).copied().unwrap_or(0)
    };
    println!(
        "  {what} p50 {} us, p90 {} us, p99 {} us, max {} us",
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// Many cameras, one of them read.
fn many_cameras(system: &System) -> anyhow::Result<()> {
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
        "  daemon {core:.4} core (target <= 0.05), {} frames lost, {missed} missed by the reader (target 0)",
        lost_after - lost_before
    );
    Ok(())
}
