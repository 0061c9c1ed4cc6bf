//! What waiting for a thousand cameras at once costs.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sdvr::{Group, Policy, Timestamp};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Link, PublicKey, StreamFormat,
    StreamId, StreamKind,
};
use sdvr_ring::{FrameMeta, RingDirectory, RingOptions, RingWriter};

use crate::floor::{process_cpu, thread_cpu};
use crate::latencies::Latencies;

const CAMERAS: u32 = 1000;
const FRAMES_A_SECOND: u32 = 25;
const SECONDS: u32 = 4;
const INTERVAL: Duration = Duration::from_millis(40);

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("sdvr-bench-")
        .tempdir_in("/dev/shm")?;
    let rings = RingDirectory::create(folder.path(), None)?;
    let mut writers = (0..CAMERAS)
        .map(|number| ring(&rings, number))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let labels: Vec<String> = (0..CAMERAS).map(label).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let opening = Instant::now();
    let mut group = Group::open_in(folder.path(), &labels)?;
    let opened = opening.elapsed();
    let before = process_cpu();
    ensure!(
        group.next(Policy::Every, Duration::from_secs(2))?.is_none(),
        "nobody publishes"
    );
    let idle = process_cpu().saturating_sub(before);

    let wanted = CAMERAS * FRAMES_A_SECOND * SECONDS;
    let before = process_cpu();
    let mut delays = Latencies::default();
    let publishing = std::thread::scope(|scope| -> anyhow::Result<Duration> {
        let publishing = scope.spawn(|| publish(&mut writers));
        for _ in 0..wanted {
            let (_, frame) = group
                .next(Policy::Every, Duration::from_secs(2))?
                .context("frames are missing")?;
            delays.add(Timestamp::now().saturating_since(frame.published()));
        }
        publishing.join().ok().context("the writer has panicked")
    })?;
    let reading = process_cpu()
        .saturating_sub(before)
        .saturating_sub(publishing);
    println!(
        "a group of {CAMERAS} cameras, {FRAMES_A_SECOND} frames of 8 bytes a second each, {SECONDS} s"
    );
    println!(
        "  opened in {} ms; {:.3} core while nobody publishes",
        opened.as_millis(),
        idle.as_secs_f64() / 2.0
    );
    println!(
        "  {wanted} frames: {:.3} core without the writer, published to handed out {delays}",
        reading.as_secs_f64() / f64::from(SECONDS)
    );
    Ok(())
}

fn label(number: u32) -> String {
    format!("camera-{number}")
}

fn ring(rings: &RingDirectory, number: u32) -> anyhow::Result<RingWriter> {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let options = RingOptions {
        camera: PublicKey(key),
        label: label(number).parse().context("it is a label")?,
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([1; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(FRAMES_A_SECOND),
        },
        extradata: Vec::new(),
        link: Link::Tcp,
        slots: 64,
        data_bytes: 1 << 14,
    };
    Ok(RingWriter::create(rings, options)?)
}

/// Publishes frames of all cameras, spread evenly; gives what that took of the processor.
fn publish(writers: &mut [RingWriter]) -> Duration {
    let start = Instant::now();
    for number in 0..FRAMES_A_SECOND * SECONDS {
        for (place, writer) in (0..).zip(&mut *writers) {
            let due = start + INTERVAL * number + INTERVAL * place / CAMERAS;
            let early = due.saturating_duration_since(Instant::now());
            // Sleeping takes longer than what is between two frames.
            if early > Duration::from_micros(200) {
                std::thread::sleep(early);
            }
            let now = Timestamp::now();
            if writer.begin(8) && writer.write(&u64::from(number).to_ne_bytes()) {
                writer.publish(&FrameMeta {
                    number: FrameNumber(number.into()),
                    flags: FrameFlags::KEY,
                    missed: 0,
                    captured_at_source: now,
                    captured: now,
                    clock_error_ns: Some(0),
                    received: now,
                    published: now,
                });
            }
        }
    }
    thread_cpu()
}
