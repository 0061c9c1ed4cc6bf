//! Measures the ring: `cargo run --release -p sdvr-ring --example ring_bench -- wake|torn|copy|create`.
//!
//! Prints lines `name value unit`. `copy` and `create` count the processor's time and not the clock's. Needs about 600 MB of /dev/shm, and takes half a minute.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use sdvr_frame::bench_frame::{self, BenchHeader};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, PublicKey, StreamFormat,
    StreamId, StreamKind, StreamState, Timestamp, percentile,
};
use sdvr_ring::{
    FrameMeta, ReadError, RingDirectory, RingName, RingOptions, RingReader, RingWriter, TakenOver,
    Wait, open_directory,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CAMERA: PublicKey = PublicKey([7; 32]);
const FRAME_BYTES: usize = 100_000;
const FRAME_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// How long one figure of `wake` takes.
const WAKE_FRAMES: u64 = 150;
const TORN_READS: u64 = 10_000_000;
/// The file by which the verifier says that it has read as many frames as it should.
const ENOUGH: &str = "enough";
/// When `torn` gives up on a machine that is too slow.
const TORN_LONGEST: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["wake"] => wake(&[0, 4, 1000]),
        ["wake", readers] => wake(&[0, 4, readers.parse()?]),
        ["torn"] => torn(TORN_READS),
        ["torn", reads] => torn(reads.parse()?),
        ["copy"] => copy(),
        ["create"] => create(),
        ["reader", directory] => wake_reader(Path::new(directory)),
        ["verifier", directory, reads] => verifier(Path::new(directory), reads.parse()?),
        _ => Err("usage: ring_bench wake [READERS] | torn [READS] | copy | create".into()),
    }
}

/// A directory of rings that is removed at the end, also after an error.
struct Place {
    rings: RingDirectory,
    path: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/dev/shm/sdvr-bench-{}", std::process::id()));
        let rings = RingDirectory::create(&path, None)?;
        Ok(Self { rings, path })
    }

    fn ring(&self, slots: u32, data_bytes: u64) -> Result<RingWriter> {
        Ok(RingWriter::create(&self.rings, options(slots, data_bytes))?)
    }
}

fn options(slots: u32, data_bytes: u64) -> RingOptions {
    RingOptions {
        camera: CAMERA,
        label: Label::from_lossy("bench"),
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([1; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(30),
        },
        extradata: Vec::new(),
        link: Link::Tcp,
        slots,
        data_bytes,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is left for the user to see.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn open(directory: &Path) -> Result<RingReader> {
    let directory = open_directory(directory).ok_or("no such directory")?;
    let name = RingName::new(&CAMERA, StreamId(0));
    Ok(RingReader::open(
        std::os::fd::AsFd::as_fd(&directory),
        &name,
    )?)
}

fn meta(n: u64) -> FrameMeta {
    let now = Timestamp::now();
    FrameMeta {
        number: FrameNumber(n),
        flags: FrameFlags::KEY,
        missed: 0,
        captured_at_source: now,
        captured: now,
        clock_error_ns: Some(0),
        received: now,
        published: now,
    }
}

/// A process that was started for a measurement; ends with this value.
struct Helper {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Helper {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        Ok(Self {
            process,
            input,
            output,
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What publishing a frame costs the writer while so many readers, each a process, sleep until it comes.
fn wake(counts: &[usize]) -> Result<()> {
    let mut costs = Vec::new();
    for &readers in counts {
        let place = Place::new()?;
        let mut writer = place.ring(256, 16 << 20)?;
        let directory = place.path.to_string_lossy().into_owned();
        let mut helpers = Vec::new();
        for _ in 0..readers {
            helpers.push(Helper::start(&["reader", &directory])?);
        }
        for helper in &mut helpers {
            helper.line()?;
        }
        let cost = publish_at_rate(&mut writer)?;
        println!("publish_{readers}_readers_p50 {:.2} us", cost.p50_us);
        println!("publish_{readers}_readers_p99 {:.2} us", cost.p99_us);
        println!("publish_{readers}_readers_mean {:.2} us", cost.mean_us);
        println!(
            "publish_{readers}_readers_processor {:.2} us",
            cost.processor_us
        );
        writer.set_state(StreamState::Closed);
        report_deliveries(readers, &mut helpers)?;
        costs.push((readers, cost));
    }
    if let [.., (few, few_cost), (many, many_cost)] = &costs[..] {
        let p50 = many_cost.p50_us - few_cost.p50_us;
        let processor = many_cost.processor_us - few_cost.processor_us;
        println!("publish_{many}_less_{few}_p50 {p50:.2} us");
        println!("publish_{many}_less_{few}_processor {processor:.2} us");
    }
    Ok(())
}

struct Cost {
    mean_us: f64,
    /// The mean of what the processor spent: without the time in which others had it.
    processor_us: f64,
    p50_us: f64,
    p99_us: f64,
}

/// The cost is that of `publish` alone: slot, head, futex word, wake.
fn publish_at_rate(writer: &mut RingWriter) -> Result<Cost> {
    let frame = vec![1; FRAME_BYTES];
    let (mut costs, mut processor_costs) = (Vec::new(), Vec::new());
    let start = Instant::now() + Duration::from_millis(300);
    for n in 0..WAKE_FRAMES {
        let due = start + FRAME_INTERVAL * u32::try_from(n)?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if !writer.begin(frame.len() as u64) || !writer.write(&frame) {
            return Err("the frame does not fit".into());
        }
        let meta = meta(n);
        let (before, before_processor) = (Instant::now(), processor_time());
        writer.publish(&meta);
        let processor = processor_time() - before_processor;
        costs.push(before.elapsed().as_secs_f64() * 1e6);
        processor_costs.push(processor.as_secs_f64() * 1e6);
    }
    // The first few pay for cold caches and for readers that have not settled.
    costs.drain(..10);
    processor_costs.drain(..10);
    let processor_us = processor_costs.iter().sum::<f64>() / processor_costs.len() as f64;
    let mean_us = costs.iter().sum::<f64>() / costs.len() as f64;
    costs.sort_by(f64::total_cmp);
    Ok(Cost {
        mean_us,
        processor_us,
        p50_us: percentile(&costs, 50).ok_or("no frames")?,
        p99_us: percentile(&costs, 99).ok_or("no frames")?,
    })
}

fn report_deliveries(readers: usize, helpers: &mut [Helper]) -> Result<()> {
    let mut delays: Vec<u64> = Vec::new();
    let mut missed = 0;
    for helper in helpers {
        let line = helper.line()?;
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        missed += numbers.next().ok_or("a reader died")??;
        for delay in numbers {
            delays.push(delay?);
        }
    }
    delays.sort_unstable();
    if let (Some(p50), Some(p99), Some(last)) = (
        percentile(&delays, 50),
        percentile(&delays, 99),
        delays.last(),
    ) {
        println!("delivery_{readers}_readers_p50 {p50} us");
        println!("delivery_{readers}_readers_p99 {p99} us");
        println!("delivery_{readers}_readers_max {last} us");
        println!("delivery_{readers}_readers_missed {missed} frames");
    }
    Ok(())
}

/// Sleeps for each frame and reads it; says at the end how many it missed and how late each was.
fn wake_reader(directory: &Path) -> Result<()> {
    let mut reader = open(directory)?;
    println!("ready");
    let mut buffer = Vec::new();
    let mut delays = Vec::new();
    let mut missed = 0_u64;
    let mut n = reader.head();
    loop {
        match reader.wait(n, StreamState::Live, Timestamp::NEVER) {
            Wait::Ready => {
                let meta = reader.meta(n);
                let delay = meta.map(|meta| Timestamp::now().saturating_since(meta.published));
                match (reader.read(n, &mut buffer), delay) {
                    (Ok(_), Ok(delay)) => delays.push(delay.as_micros()),
                    _ => missed += 1,
                }
                n += 1;
            }
            Wait::StateChanged => break,
            Wait::Nothing if reader.writer_lives() => {}
            Wait::Nothing => return Err("the writer is gone".into()),
        }
    }
    let delays: Vec<String> = delays.iter().skip(10).map(u128::to_string).collect();
    println!("{missed} {}", delays.join(" "));
    Ok(())
}

/// Reads as many frames as asked from a writer that overwrites them as fast as it can, and checks every byte.
fn torn(reads: u64) -> Result<()> {
    let place = Place::new()?;
    // Small, so that the writer laps the reader all the time.
    let mut writer = place.ring(16, 16 << 10)?;
    let directory = place.path.to_string_lossy().into_owned();
    let mut helper = Helper::start(&["verifier", &directory, &reads.to_string()])?;
    helper.line()?;
    let started = Instant::now();
    let mut frame = vec![0; 1500];
    let mut n = 0_u64;
    let mut end = None;
    while end.is_none_or(|end| n < end) && started.elapsed() < TORN_LONGEST {
        let bytes = 100 + (n.wrapping_mul(7919) % 1400);
        let frame = &mut frame[..usize::try_from(bytes)?];
        let header = BenchHeader {
            sequence: FrameNumber(n),
            captured: Timestamp::from_nanoseconds(0),
        };
        bench_frame::fill(frame, header);
        if !writer.begin(bytes) || !writer.write(frame) {
            return Err("the frame does not fit".into());
        }
        writer.publish(&meta(n));
        n += 1;
        // Asking costs more than a frame.
        if n.is_multiple_of(4096) && end.is_none() && place.path.join(ENOUGH).exists() {
            end = Some(n);
        }
    }
    writer.set_state(StreamState::Closed);
    let line = helper.line()?;
    let mut numbers = line.split(' ').map(str::parse::<u64>);
    let mut next = || -> Result<u64> { Ok(numbers.next().ok_or("the reader died")??) };
    let (read, missed, torn, lapped) = (next()?, next()?, next()?, next()?);
    println!("torn_published {n} frames");
    println!("torn_read {read} frames");
    println!("torn_missed {missed} frames");
    println!("torn_lapped_while_reading {lapped} frames");
    println!("torn_torn {torn} frames");
    println!("torn_unaccounted {} frames", n.abs_diff(read + missed));
    println!("torn_time {:.1} s", started.elapsed().as_secs_f64());
    if torn > 0 || n != read + missed {
        return Err("frames are torn or not accounted for".into());
    }
    if read < reads {
        return Err(format!("only {read} frames were read in time").into());
    }
    Ok(())
}

/// Reads frame after frame until the ring is closed; when it was lapped it goes on with the oldest, and counts what it
/// did not get.
fn verifier(directory: &Path, reads: u64) -> Result<()> {
    let mut reader = open(directory)?;
    println!("ready");
    std::io::stdout().flush()?;
    let mut buffer = Vec::new();
    let (mut read, mut missed, mut torn, mut lapped) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut n = 0_u64;
    loop {
        match reader.read(n, &mut buffer) {
            Ok(meta) => {
                let header = bench_frame::check(&buffer);
                if header.is_none_or(|header| header.sequence.0 != n || meta.number.0 != n) {
                    torn += 1;
                }
                read += 1;
                n += 1;
                if read == reads {
                    std::fs::write(directory.join(ENOUGH), "")?;
                }
            }
            Err(ReadError::Lapped) => {
                lapped += 1;
                let oldest = reader.oldest().max(n + 1);
                missed += oldest - n;
                n = oldest;
            }
            Err(ReadError::NotYet) => match reader.wait(n, StreamState::Live, Timestamp::NEVER) {
                Wait::StateChanged => break,
                Wait::Ready | Wait::Nothing => {}
            },
            Err(error) => return Err(error.into()),
        }
    }
    println!("{read} {missed} {torn} {lapped}");
    Ok(())
}

/// GB/s of writing and reading frames through a ring, and of `memcpy` over as much memory.
fn copy() -> Result<()> {
    for (ring_mib, frame_bytes) in [
        (16, 100_000),
        (256, 100_000),
        (16, 3_110_400),
        (256, 3_110_400),
    ] {
        let name = format!("{ring_mib}mib_{frame_bytes}b");
        let place = Place::new()?;
        let mut writer = place.ring(4096, ring_mib << 20)?;
        let frame = vec![1; frame_bytes];
        let rounds = (2 << 30) / frame_bytes;
        let mut write_ring = || {
            for n in 0..rounds {
                if writer.begin(frame_bytes as u64) {
                    // As a network delivers it, cut at no boundary.
                    for piece in frame.chunks(65_519) {
                        let _ = writer.write(piece);
                    }
                    writer.publish(&meta(n as u64));
                }
            }
        };
        let bytes = (rounds * frame_bytes) as f64;
        println!(
            "first_lap_and_more_{name} {:.1} GB/s",
            rate(bytes, &mut write_ring)
        );
        let written = best(bytes, &mut write_ring);
        let mut flat = vec![1_u8; usize::try_from(ring_mib << 20)?];
        let mut place_at = 0;
        let copied = best(bytes, || {
            for _ in 0..rounds {
                for piece in frame.chunks(65_519) {
                    if place_at + piece.len() > flat.len() {
                        place_at = 0;
                    }
                    flat[place_at..place_at + piece.len()].copy_from_slice(piece);
                    place_at += piece.len();
                }
            }
        });
        println!("write_{name} {written:.1} GB/s");
        println!("memcpy_write_{name} {copied:.1} GB/s");

        let reader = open(&place.path)?;
        let (oldest, head) = (reader.oldest(), reader.head());
        let frames = head - oldest;
        let rounds = (2 << 30) / (frames * frame_bytes as u64);
        let bytes = (rounds * frames * frame_bytes as u64) as f64;
        let mut buffer = Vec::new();
        let read = best(bytes, || {
            for n in (0..rounds).flat_map(|_| oldest..head) {
                let _ = reader.read(n, &mut buffer);
            }
        });
        let summed = best(bytes, || {
            for n in (0..rounds).flat_map(|_| oldest..head) {
                let sum = reader.with_words(n, |_, words| words.iter().fold(0, u64::wrapping_add));
                std::hint::black_box(sum).unwrap_or_else(|error| panic!("frame {n}: {error}"));
            }
        });
        let copied = best(bytes, || {
            for _ in 0..rounds {
                for piece in flat
                    .chunks_exact(frame_bytes)
                    .take(usize::try_from(frames).unwrap_or(0))
                {
                    buffer[..frame_bytes].copy_from_slice(piece);
                    std::hint::black_box(&mut buffer);
                }
            }
        });
        println!("read_{name} {read:.1} GB/s");
        println!("memcpy_read_{name} {copied:.1} GB/s");
        println!("sum_in_place_{name} {summed:.1} GB/s");
    }
    Ok(())
}

/// By the time the processor spent on it, since the machine may be busy with other things.
fn rate(bytes: f64, mut work: impl FnMut()) -> f64 {
    let start = processor_time();
    work();
    bytes / (processor_time() - start).as_secs_f64() / 1e9
}

/// What this thread has used, in the kernel and outside.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The best of three: others may have used the cache.
fn best(bytes: f64, mut work: impl FnMut()) -> f64 {
    (0..3).map(|_| rate(bytes, &mut work)).fold(0.0, f64::max)
}

/// What making a ring costs, its first lap a frame, and a newer ring that takes over all that is in it.
fn create() -> Result<()> {
    let frame = vec![1; FRAME_BYTES];
    let milliseconds = |start: Duration| (processor_time() - start).as_secs_f64() * 1e3;
    for mib in [1, 8, 64, 256] {
        let place = Place::new()?;
        let start = processor_time();
        let mut writer = place.ring(4096, mib << 20)?;
        println!("create_{mib}mib {:.2} ms", milliseconds(start));
        // No key frames, so that all of them are taken over.
        let meta = |n| FrameMeta {
            flags: FrameFlags::NONE,
            ..meta(n)
        };
        for lap in ["first", "second"] {
            let frames = (mib << 20) / FRAME_BYTES as u64;
            let mut longest = Duration::ZERO;
            let start = processor_time();
            for n in 0..frames {
                let start = processor_time();
                let is_written = writer.begin(FRAME_BYTES as u64) && writer.write(&frame);
                assert!(is_written && writer.publish(&meta(n)));
                longest = longest.max(processor_time() - start);
            }
            let mean = (processor_time() - start).as_secs_f64() * 1e6 / frames as f64;
            println!("{lap}_lap_{mib}mib_mean {mean:.1} us/frame");
            println!(
                "{lap}_lap_{mib}mib_longest {:.1} us",
                longest.as_secs_f64() * 1e6
            );
        }
        let before = writer.predecessor(TakenOver::LastIntervals);
        let start = processor_time();
        let mut newer = RingWriter::create_after(&place.rings, options(4096, mib << 20), &before)?;
        println!("create_after_{mib}mib {:.2} ms", milliseconds(start));
        for n in 0..3 {
            let is_written = writer.begin(FRAME_BYTES as u64) && writer.write(&frame);
            assert!(is_written && writer.publish(&meta(n)));
        }
        let start = processor_time();
        assert_eq!(newer.follow(&before), 3);
        println!(
            "follow_3_frames_{mib}mib {:.1} us",
            milliseconds(start) * 1e3
        );
    }
    Ok(())
}
