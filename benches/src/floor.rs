//! What cannot be undercut, by the receiver and by the sender: TCP, sealing or opening records, one copy. In one process, with nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::time::ClockId;

const READ_BYTES: usize = 128 * 1024;
const WRITE_BYTES: usize = 128 * 1024;
const RECORD_BYTES: usize = 64 * 1024;
/// The copy goes round in as much memory as a ring has.
const RING_BYTES: usize = 16 << 20;

/// CPU seconds per GB of one thread that receives 64 KiB records in 128 KiB reads, opens each and copies it.
pub(crate) fn receive_open_copy(time: Duration) -> anyhow::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| send(address, &stop));
        let (mut stream, _) = listener.accept()?;
        let result = receive(&mut stream, time);
        stop.store(true, Ordering::Relaxed);
        drop(stream);
        result
    })
}

/// CPU seconds per GB of one thread that copies frames into 64 KiB records, seals each and sends them in 128 KiB writes, to
/// one that only reads.
pub(crate) fn copy_seal_send(frame_bytes: usize, time: Duration) -> anyhow::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut buffer = vec![0; READ_BYTES];
            while stream.read(&mut buffer)? > 0 {}
            Ok(())
        });
        let sent = seal_and_send(TcpStream::connect(address)?, frame_bytes, time);
        reader.join().ok().context("the reader has panicked")??;
        sent
    })
}

fn seal_and_send(mut stream: TcpStream, frame_bytes: usize, time: Duration) -> anyhow::Result<f64> {
    stream.set_nodelay(true)?;
    let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).ok();
    let key = LessSafeKey::new(key.context("a key of 32 bytes")?);
    let frame = vec![7; frame_bytes];
    let mut out = Vec::with_capacity(4 * RECORD_BYTES);
    let (mut total, start, cpu_start) = (0_u64, Instant::now(), thread_cpu());
    while start.elapsed() < time {
        for piece in frame.chunks(RECORD_BYTES - 16) {
            let at = out.len();
            out.extend_from_slice(piece);
            let nonce = Nonce::assume_unique_for_key([0; 12]);
            let sealed = out.get_mut(at..).unwrap_or_default();
            let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), sealed);
            out.extend_from_slice(tag.ok().context("sealing a record")?.as_ref());
            if out.len() >= WRITE_BYTES {
                stream.write_all(&out)?;
                out.clear();
            }
        }
        total += frame_bytes as u64;
    }
    Ok(seconds_per_gigabyte(
        thread_cpu().saturating_sub(cpu_start),
        total,
    ))
}

fn send(address: std::net::SocketAddr, stop: &AtomicBool) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    let bytes = vec![7; 4 * RECORD_BYTES];
    while !stop.load(Ordering::Relaxed) && stream.write_all(&bytes).is_ok() {}
}

fn receive(stream: &mut TcpStream, time: Duration) -> anyhow::Result<f64> {
    // The cost of opening does not depend on whether the tag fits; a real record is opened for every one received.
    let key = LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, &[1; 32])
            .ok()
            .context("a key of 32 bytes")?,
    );
    let mut sealed = vec![0; RECORD_BYTES];
    let seal = |sealed: &mut Vec<u8>| {
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), sealed)
    };
    seal(&mut sealed).ok().context("sealing a record")?;
    let template = sealed.clone();
    let mut buffer = vec![0; READ_BYTES];
    let mut ring = vec![0_u8; RING_BYTES];
    let mut at = 0;
    let mut total = 0_u64;
    let mut pending = 0;
    let start = Instant::now();
    let cpu_start = thread_cpu();
    let mut opening = Duration::ZERO;
    while start.elapsed() < time {
        let read = stream.read(&mut buffer)?;
        total += read as u64;
        pending += read;
        while pending >= RECORD_BYTES {
            pending -= RECORD_BYTES;
            sealed.clear();
            let before = thread_cpu();
            sealed.extend_from_slice(&template);
            opening += thread_cpu().saturating_sub(before);
            let opened = key.open_in_place(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::empty(),
                &mut sealed,
            );
            let opened = opened.ok().context("opening a record")?;
            if let Some(place) = ring.get_mut(at..at + RECORD_BYTES) {
                place.copy_from_slice(opened);
            }
            at = (at + RECORD_BYTES) % RING_BYTES;
        }
    }
    // Making the record to open is no part of the floor.
    let cpu = thread_cpu()
        .saturating_sub(cpu_start)
        .saturating_sub(opening);
    Ok(seconds_per_gigabyte(cpu, total))
}

/// How long frames of `frame_bytes` at 30 a second are on their way over TCP to a thread that sleeps until they come, in
/// microseconds, sorted: nothing is sealed, nothing published.
pub(crate) fn plain_latencies(frame_bytes: usize, frames: u32) -> anyhow::Result<Vec<u64>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || -> anyhow::Result<Vec<u64>> {
            let (mut stream, _) = listener.accept()?;
            let mut frame = vec![0; frame_bytes];
            let mut latencies = Vec::new();
            for _ in 0..frames {
                stream.read_exact(&mut frame)?;
                let arrived = begin.elapsed();
                let stamp = frame.first_chunk().context("room for a time")?;
                let sent = Duration::from_nanos(u64::from_ne_bytes(*stamp));
                latencies.push(u64::try_from(arrived.saturating_sub(sent).as_micros())?);
            }
            latencies.sort_unstable();
            Ok(latencies)
        });
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut frame = vec![7; frame_bytes];
        for number in 0..frames {
            let due = Duration::from_secs(1) / 30 * number;
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            let now = u64::try_from(begin.elapsed().as_nanos())?;
            if let Some(stamp) = frame.first_chunk_mut() {
                *stamp = now.to_ne_bytes();
            }
            stream.write_all(&frame)?;
        }
        receiver.join().ok().context("the receiver has panicked")?
    })
}

/// CPU seconds per GB (10^9 bytes).
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn seconds_per_gigabyte(cpu: Duration, bytes: u64) -> f64 {
    cpu.as_secs_f64() / (bytes as f64 / 1e9)
}

pub(crate) fn thread_cpu() -> Duration {
    used(ClockId::ThreadCPUTime)
}

pub(crate) fn process_cpu() -> Duration {
    used(ClockId::ProcessCPUTime)
}

fn used(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// CPU seconds per GB of making measuring frames, which a client of the bench pays and a camera does not.
pub(crate) fn make_frames(frame_bytes: usize) -> f64 {
    use sdvr_frame::bench_frame::{BenchHeader, fill};
    let mut frame = vec![0; frame_bytes];
    let start = thread_cpu();
    let count = 2_000_000_000 / frame_bytes as u64;
    for number in 0..count {
        fill(
            &mut frame,
            BenchHeader {
                sequence: sdvr_frame::FrameNumber(number),
                captured: sdvr_frame::Timestamp::now(),
            },
        );
        std::hint::black_box(&frame);
    }
    seconds_per_gigabyte(
        thread_cpu().saturating_sub(start),
        count * frame_bytes as u64,
    )
}
