//! The same streams through SRT: `srt-live-transmit` at both ends, fed with datagrams and giving datagrams, for each camera a pair.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use sdvr_frame::Timestamp;
use sdvr_test_link::{Link, Side};

use crate::latencies::Latencies;
use crate::loss::{CAMERAS, FRAME_BYTES, FRAMES_PER_SECOND, Outcome};

/// What SRT carries in one packet in its live mode.
const PAYLOAD_BYTES: usize = 1316;
/// Each begins with the frame's number, its time and how many packets the frame has.
const HEADER_BYTES: usize = 24;
const FIRST_PORT: u16 = 20_000;

pub(crate) fn is_installed() -> bool {
    Command::new("srt-live-transmit")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// A program that ends with this value.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn transmit(link: &Link, side: Side, from: &str, to: &str) -> anyhow::Result<Ends> {
    let child = link
        .command(side, "srt-live-transmit")
        .args(["-q", "-loglevel:fatal", from, to])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start srt-live-transmit")?;
    Ok(Ends(child))
}

pub(crate) fn measure(
    link: &Link,
    latency_ms: u32,
    warm_up: Duration,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let mut programs = Vec::new();
    let mut sockets = Vec::new();
    for camera in 0..u16::try_from(CAMERAS)? {
        let (own, across, out) = (
            FIRST_PORT + camera,
            FIRST_PORT + 100 + camera,
            FIRST_PORT + 200 + camera,
        );
        // Encrypted, as ours is.
        let settings = format!(
            "latency={latency_ms}&passphrase=correct-horse-battery&pbkeylen=16&transtype=live"
        );
        let receiver = link.enter(Side::B, || UdpSocket::bind(("127.0.0.1", out)))?;
        programs.push(transmit(
            link,
            Side::B,
            &format!("srt://:{across}?mode=listener&{settings}"),
            &format!("udp://127.0.0.1:{out}"),
        )?);
        programs.push(transmit(
            link,
            Side::A,
            &format!("udp://127.0.0.1:{own}"),
            &format!(
                "srt://{}:{across}?mode=caller&{settings}",
                link.ipv4(Side::B)
            ),
        )?);
        let sender = link.enter(Side::A, || UdpSocket::bind(("127.0.0.1", 0)))?;
        sockets.push((sender, SocketAddr::from(([127, 0, 0, 1], own)), receiver));
    }
    std::thread::sleep(Duration::from_secs(2));
    let begin = Instant::now();
    let end = begin + warm_up + time;
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for (sender, to, receiver) in &sockets {
            scope.spawn(move || send(sender, *to, begin, end));
            readers.push(scope.spawn(move || receive(receiver, begin + warm_up, end)));
        }
        std::thread::sleep(warm_up);
        let sent_before = link.counters(Side::A).sent_bytes;
        std::thread::sleep(time);
        let mut outcome = Outcome {
            wire_bytes: link.counters(Side::A).sent_bytes - sent_before,
            overruns: link.overruns(Side::A) + link.overruns(Side::B),
            ..Outcome::default()
        };
        for reader in readers {
            let (latencies, longest_gap, lost) =
                reader.join().ok().context("a reader has panicked")??;
            outcome.whole += latencies.count() as u64;
            outcome.lost += lost;
            outcome.latencies.extend(latencies);
            outcome.longest_gap = outcome.longest_gap.max(longest_gap);
        }
        Ok(outcome)
    })
}

fn send(socket: &UdpSocket, to: SocketAddr, begin: Instant, end: Instant) {
    let packets = FRAME_BYTES.div_ceil(PAYLOAD_BYTES - HEADER_BYTES);
    let mut packet = vec![7; PAYLOAD_BYTES];
    for number in 0_u64.. {
        let due = begin + Duration::from_secs(number) / FRAMES_PER_SECOND;
        if due >= end {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let captured = Timestamp::now().as_nanoseconds();
        for index in 0..packets {
            let head = [number, captured.cast_unsigned(), packets as u64];
            for (place, word) in packet.chunks_exact_mut(8).zip(head) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
            let _ = socket.send_to(&packet, to);
            // In two milliseconds, as ours leave.
            if index % 20 == 19 {
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }
}

/// The latencies of whole frames captured in the time, the longest time between two, and how many were not whole.
fn receive(
    socket: &UdpSocket,
    begin: Instant,
    end: Instant,
) -> anyhow::Result<(Latencies, Duration, u64)> {
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut buffer = vec![0; 2048];
    let mut parts: HashMap<u64, u64> = HashMap::new();
    let mut latencies = Latencies::default();
    let (mut longest_gap, mut last) = (Duration::ZERO, None::<Instant>);
    let mut numbers: Option<(u64, u64)> = None;
    while Instant::now() < end {
        let Ok(bytes) = socket.recv(&mut buffer) else {
            continue;
        };
        let (words, _) = buffer.get(..bytes).unwrap_or_default().as_chunks::<8>();
        let [number, captured, packets, ..] = words else {
            continue;
        };
        let [number, captured, packets] =
            [number, captured, packets].map(|word| u64::from_ne_bytes(*word));
        if Instant::now() < begin {
            continue;
        }
        let first = numbers.map_or(number + 1, |(first, _)| first);
        numbers = Some((
            first,
            numbers.map_or(number, |(_, newest)| newest.max(number)),
        ));
        // The first one may have begun before the time did.
        if number < first {
            continue;
        }
        let count = parts.entry(number).or_default();
        *count += 1;
        if *count == packets {
            let captured = Timestamp::from_nanoseconds(captured.cast_signed());
            latencies.add(Timestamp::now().saturating_since(captured));
            longest_gap = longest_gap.max(last.map_or(Duration::ZERO, |last| last.elapsed()));
            last = Some(Instant::now());
        }
    }
    // The newest one may not be at its end.
    let all = numbers.map_or(0, |(first, newest)| newest.saturating_sub(first));
    let lost = all.saturating_sub(latencies.count() as u64);
    Ok((latencies, longest_gap, lost))
}
