//! How long it takes to begin where much was recorded before.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sdvr_frame::{FourCc, FrameRate, StreamFormat};
use sdvr_record::container::{Added, Muxer};
use sdvr_record::index::{Checksum, Completed, INDEX_FILE, Index, SegmentState, folder_name};
use sdvr_record::{About, Sample, UtcTime};

use super::Recorder;
use crate::system::System;

const CAMERAS: usize = 100;
/// Of each camera.
const SEGMENTS: i64 = 1000;
/// From one to the next.
const SEGMENT_NS: i64 = 60_000_000_000;
/// 2026-11-01.
const BEGIN_NS: i64 = 1_793_491_200_000_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(programs: &Path) -> anyhow::Result<()> {
    let system = System::start(programs)?;
    let folder = tempfile::Builder::new()
        .prefix("sdvr-bench-")
        .tempdir_in("/dev/shm")?;
    for camera in 0..CAMERAS {
        fill(folder.path(), &format!("camera-{camera:03}"))?;
    }
    let count = CAMERAS as i64 * SEGMENTS;
    let known = begin(programs, &system, folder.path())?;
    println!(
        "{count} segments of {CAMERAS} cameras\n  ready to record after {:.2} s (target <= 2)",
        known.as_secs_f64()
    );
    for camera in 0..CAMERAS {
        let folder = folder.path().join(format!("camera-{camera:03}"));
        std::fs::remove_file(folder.join(INDEX_FILE))?;
    }
    let lost = begin(programs, &system, folder.path())?;
    println!(
        "  after all indexes were lost, and made anew of the files: {:.2} s",
        lost.as_secs_f64()
    );
    Ok(())
}

/// Until a recorder records.
fn begin(programs: &Path, system: &System, folder: &Path) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let recorder = Recorder::start(programs, system, folder, &["--keep", "3650d"])?;
    let page = system
        .rings()
        .join(format!("recorder-{}", recorder.program));
    while !page.metadata().is_ok_and(|page| page.len() > 0) {
        ensure!(begun.elapsed() < PATIENCE, "the recorder does not begin");
        std::thread::sleep(Duration::from_millis(2));
    }
    let took = begun.elapsed();
    recorder.end()?;
    Ok(took)
}

/// Files and index of a camera.
fn fill(folder: &Path, label: &str) -> anyhow::Result<()> {
    let label = label.parse()?;
    let mut index = Index::open_to_record(folder, &label, &mut |_| ())?;
    ensure!(index.folder() == folder.join(folder_name(&label)));
    for n in 0..SEGMENTS {
        let begins = UtcTime(BEGIN_NS + n * SEGMENT_NS);
        let about = About {
            label: label.clone(),
            fingerprint: None,
            format: StreamFormat {
                fourcc: FourCc::MJPG,
                width: 16,
                height: 16,
                rate: FrameRate::from_whole(1),
            },
            begins,
        };
        let (bytes, head_bytes) = recording(&about)?;
        let begun = index.begin_segment(&about, "mkv")?;
        std::fs::write(&begun.path, &bytes)?;
        index.complete_segment(
            begun.id,
            &Completed {
                state: SegmentState::Complete,
                begins,
                ends: begins,
                frames: 1,
                lost: 0,
                bytes: bytes.len() as u64,
                head_bytes,
                checksum: Some(Checksum::of_file(&begun.path, head_bytes)?),
            },
        )?;
    }
    Ok(())
}

/// A file of one frame, and the length of its head.
fn recording(about: &About) -> anyhow::Result<(Vec<u8>, u64)> {
    let image = vec![7; 100];
    let first = Sample {
        captured: about.begins,
        is_key: true,
        bytes: &image,
    };
    let mut muxer = Muxer::begin(about, &first)?;
    ensure!(muxer.add(about.begins, true, image.clone()) == Added::Taken);
    let mut bytes = muxer.head().to_vec();
    let head_bytes = bytes.len() as u64;
    bytes.extend(muxer.take_fragment().to_vec());
    let ending = muxer.ending();
    bytes.extend(ending.tail);
    for (offset, patch) in ending.patches {
        let begin = usize::try_from(offset)?;
        let place = bytes.get_mut(begin..begin + patch.len());
        place
            .context("a head holds its patches")?
            .copy_from_slice(&patch);
    }
    Ok((bytes, head_bytes))
}
