//! What the test pattern costs: `cargo run --release -p sdvr-source --example pattern_bench`.
//!
//! Opening makes the compressed pictures; after that a frame of MJPG is free, and the others are drawn or filled.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sdvr_frame::Timestamp;
use sdvr_source::{CaptureOptions, Next, Source, SourceSpec};

const MEASURED: Duration = Duration::from_millis(500);
const CAMERA_RATE: f64 = 30.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for text in [
        "test:?fps=0&format=MJPG",
        "test:?fps=0&format=YUYV",
        "test:?fps=0&format=NV12",
        "test:?fps=0&format=GREY",
        "test:?fps=0&format=BNCH&bytes=100000",
        "test:?fps=0&format=BNCH&bytes=1000000",
    ] {
        let spec: SourceSpec = text.parse()?;
        let started = Instant::now();
        let mut source = Source::open(&spec, &CaptureOptions::default())?;
        let opened = started.elapsed();
        let (mut frames, mut bytes) = (0_u32, 0.0);
        let started = Instant::now();
        while started.elapsed() < MEASURED {
            if let Next::Frame(frame) = source.try_next(Timestamp::now())? {
                frames += 1;
                bytes += black_box(frame.payload).len() as f64;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let a_frame = seconds / f64::from(frames.max(1));
        println!(
            "{text}: opened in {opened:.1?}, {:.1} us a frame, {:.1} GB/s, {:.3} % of a core at 30 frames/s",
            a_frame * 1e6,
            bytes / seconds / 1e9,
            a_frame * CAMERA_RATE * 100.0
        );
    }
    Ok(())
}
