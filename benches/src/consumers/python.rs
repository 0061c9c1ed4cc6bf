//! What reading frames and pictures costs in Python.

use std::path::Path;
use std::process::Command;

use super::reader::{Cost, FRAMES};
use crate::system::System;

/// Frames a second: what cameras send, at which a thread that wakes finds cold caches, and what keeps them warm.
const RATES: [u32; 2] = [30, 300];

pub(crate) fn run(programs: &Path, python: &Path) -> anyhow::Result<()> {
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let in_python = |system: &System, label: &str, what: &str| {
        Cost::of(
            Command::new(python)
                .arg(script.path())
                .args([label, what, &FRAMES.to_string()])
                .env("SDVR_SHM_DIR", system.rings()),
        )
    };
    let system = System::start(programs)?;
    {
        let _client = system.client("pixels", "test:?format=NV12&size=1920x1080&fps=30")?;
        system.wait_for_camera("pixels")?;
        let cost = in_python(&system, "pixels", "bgr")?;
        println!(
            "Python, 1080p NV12 at 30 fps, latest, to an array of BGR, {} s\n  {:.3} core (target <= 0.15), capture to array p50 {} us (target <= 5000)",
            FRAMES / 30,
            cost.us_per_frame() * 30.0 / 1e6,
            cost.median_us
        );
    }
    for rate in RATES {
        let label = format!("bytes-{rate}");
        let _client = system.client(
            &label,
            &format!("test:?format=BNCH&fps={rate}&bytes=100000"),
        )?;
        system.wait_for_camera(&label)?;
        println!("bytes of 100 KB frames, {rate} fps, every, {FRAMES} of them");
        let rust = Cost::of(
            Command::new(std::env::current_exe()?)
                .arg("reader")
                .arg(system.rings())
                .args([&label, "count", &FRAMES.to_string()]),
        )?;
        println!(
            "  Rust    {:6.1} us of processor time a frame, capture to bytes p50 {} us",
            rust.us_per_frame(),
            rust.median_us
        );
        let python = in_python(&system, &label, "raw")?;
        println!(
            "  Python  {:6.1} us of processor time a frame, {:+.1} (target <= +60), capture to array p50 {} us",
            python.us_per_frame(),
            python.us_per_frame() - rust.us_per_frame(),
            python.median_us
        );
        let floor = in_python(&system, &(1.0 / f64::from(rate)).to_string(), "floor")?;
        println!(
            "  a Python that sleeps as long and makes an empty array of NumPy's {:.1} us",
            floor.us_per_frame()
        );
    }
    Ok(())
}

/// Prints the processor time in nanoseconds and the median age in microseconds.
const SCRIPT: &str = "\
import statistics, sys, time
import sdvr

label, what, frames = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == 'floor':
    import numpy
    start = time.process_time_ns()
    for each in range(frames):
        time.sleep(float(label))
        array = numpy.empty(100000, dtype=numpy.uint8)
    print(time.process_time_ns() - start, 0)
    sys.exit()
camera = sdvr.open(label, policy='latest' if what == 'bgr' else 'every')
ages = []
# The first ones make what all others use.
for unmeasured in range(30):
    getattr(next(camera), what)
start = time.process_time_ns()
while len(ages) < frames:
    frame = next(camera)
    array = getattr(frame, what)
    ages.append(frame.age)
    if array.size == 0:
        sys.exit('an empty array')
print(time.process_time_ns() - start, int(statistics.median(ages) * 1e6))
";
