//! How soon a program that opens an H.264 camera has a picture.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sdvr::{Camera, Pixels, Policy, Start};

use crate::latencies::Latencies;
use crate::system::System;

const OPENINGS: usize = 60;
/// Not a whole number of groups of pictures, so that openings fall on all of their frames.
const PAUSE: Duration = Duration::from_millis(137);

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    println!(
        "from opening a 1080p30 H.264 camera (a key frame every 2 s) to its first picture, {OPENINGS} times"
    );
    for (name, b_frames) in [("without B-frames", "0"), ("with B-frames", "2")] {
        let scratch = tempfile::tempdir()?;
        let clip = scratch.path().join("clip.h264");
        encode(&clip, b_frames)?;
        let system = System::start(programs)?;
        let clip = clip.to_str().context("the path is text")?;
        let _client = system.client_with("film", clip, &["-r", "30", "--loop"])?;
        system.wait_for_camera("film")?;
        // Until a key frame is in the ring.
        std::thread::sleep(Duration::from_secs(3));
        let mut times = Latencies::default();
        let mut ages = Latencies::default();
        for _ in 0..OPENINGS {
            std::thread::sleep(PAUSE);
            let start = Instant::now();
            let camera = Camera::open_in(&system.rings(), "film", Start::Now)?;
            let first = camera
                .decoded(Pixels::Bgr)
                .next(Policy::Latest, Duration::from_secs(10))?
                .context("no picture came")?;
            times.add(start.elapsed());
            ages.add(first.frame().age());
            ensure!(first.picture().width() == 1920, "that is another picture");
        }
        println!(
            "  {name:17} {times} (target <= 50 ms)\n  {:17} its age {ages}",
            ""
        );
    }
    Ok(())
}

/// A minute of moving pictures.
fn encode(clip: &Path, b_frames: &str) -> anyhow::Result<()> {
    let status = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=1920x1080:rate=30:duration=20",
        ])
        .args([
            "-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-bf", b_frames,
        ])
        .args(["-pix_fmt", "yuv420p", "-f", "h264"])
        .arg(clip)
        .stdin(Stdio::null())
        .status()
        .context("ffmpeg makes the clip")?;
    ensure!(status.success(), "ffmpeg has made no clip");
    Ok(())
}
