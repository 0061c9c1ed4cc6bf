//! One very large camera, to memory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Recorder, WARMING};
use crate::floor::thread_cpu;
use crate::system::System;

const FRAME_BYTES: usize = 3840 * 2160 * 2;
const FRAME_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);
const MEASURED: Duration = Duration::from_secs(12);
/// What is written in all, and a little more.
const MEMORY_BYTES: usize = 10 << 30;
/// How much memory is free, as far as it goes by what is written here.
const AHEAD_BYTES: u64 = 1 << 30;

pub(super) fn run(programs: &Path) -> anyhow::Result<()> {
    let floor = write_plainly()?;
    let system = System::start(programs)?;
    let _client = system.client("large", "test:?format=YUYV&size=3840x2160&fps=30")?;
    system.wait_for_cameras(1)?;
    let folder = folder()?;
    let (seen, said) = with_warm_memory(folder.path(), || {
        let options = ["--segment", "5s", "--fsync", "never"];
        let recorder = Recorder::start(programs, &system, folder.path(), &options)?;
        Ok((recorder.measure(MEASURED)?, recorder.end()?))
    })?;
    println!(
        "one 3840x2160 YUYV camera at 30 frames/s, {} s, to memory\n  {:.0} MB/s, {:.3} core, {:.3} CPU s/GB (target <= 0.5); writing the same bytes out of a cache and nothing else: {floor:.3}\n  {said}",
        MEASURED.as_secs(),
        seen.bytes / 1e6,
        seen.cores,
        seen.cores / (seen.bytes / 1e9),
    );
    Ok(())
}

/// CPU seconds that it costs to write a gigabyte to memory at the same pace: what no recorder does without.
fn write_plainly() -> anyhow::Result<f64> {
    const PART_BYTES: usize = 256 << 10;
    let folder = folder()?;
    let part = vec![7; PART_BYTES];
    let frames = (WARMING + MEASURED).as_nanos() / FRAME_INTERVAL.as_nanos();
    let mut used = Duration::ZERO;
    with_warm_memory(folder.path(), || {
        let mut file = File::create(folder.path().join("frames"))?;
        let begin = Instant::now();
        for n in 1..=u32::try_from(frames)? {
            let before = thread_cpu();
            for _ in 0..FRAME_BYTES.div_ceil(PART_BYTES) {
                file.write_all(&part)?;
            }
            used += thread_cpu() - before;
            std::thread::sleep(
                (begin + FRAME_INTERVAL * n).saturating_duration_since(Instant::now()),
            );
        }
        Ok(())
    })?;
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    let gigabytes = (FRAME_BYTES as f64) * (frames as f64) / 1e9;
    Ok(used.as_secs_f64() / gigabytes)
}

fn folder() -> anyhow::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("sdvr-bench-")
        .tempdir_in("/dev/shm")
        .context("cannot make a folder in /dev/shm")
}

/// Does `work`, which fills a folder in memory with at most [`MEMORY_BYTES`], with memory that this machine has.
///
/// A virtual machine gives free memory back to its host within seconds, and has to ask for it again page by page: that costs two CPU seconds a gigabyte and more, whoever
/// writes, and would be all that is measured. So it is held here, and let go of just before it is needed.
fn with_warm_memory<T>(
    folder: &Path,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    const PIECE_BYTES: usize = 32 << 20;
    // Not zeros, which the system would give without memory behind them.
    let mut held: Vec<Vec<u8>> = (0..MEMORY_BYTES / PIECE_BYTES)
        .map(|_| vec![1; PIECE_BYTES])
        .collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut let_go = 0;
            // Relaxed: nothing but the flag is looked at.
            while !is_done.load(Ordering::Relaxed) {
                let wanted = bytes_below(folder).saturating_add(AHEAD_BYTES);
                while let_go < wanted && held.pop().is_some() {
                    let_go += PIECE_BYTES as u64;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        done
    })
}

/// The lengths of all files in a folder and those below.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let bytes = |path: PathBuf| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&path),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    paths.map(bytes).sum()
}
