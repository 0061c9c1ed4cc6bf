//! `cargo xtask bench idle`: what a camera that hardly sends costs the daemon, beside a daemon without cameras.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::crowd::{Member, allow_many_files};
use crate::system::System;

const COUNTS: [u32; 2] = [1, 200];
const FRAME_BYTES: usize = 20_000;
/// Frames of each, one a second: so long that whatever a session takes later than at its start is taken.
const FRAMES: u32 = 10;
/// The targets, for a camera.
const RESIDENT_MOST_KIB: u64 = 64;
const RING_MOST_KIB: u64 = 512;

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    allow_many_files()?;
    println!("cameras of 1 fps x {FRAME_BYTES} bytes, after {FRAMES} s");
    let mut is_met = true;
    for count in COUNTS {
        let system = System::start(programs)?;
        let floor_kib = system.daemon().resident_kib()?;
        let mut cameras = Vec::new();
        for number in 0..count {
            cameras.push(Member::come(system.port(), number, 20)?);
        }
        let content = vec![7; FRAME_BYTES];
        for _ in 0..FRAMES {
            let begin = Instant::now();
            for camera in &mut cameras {
                camera.send(&content)?;
                camera.tend()?;
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
        }
        system.wait_for_cameras(cameras.len())?;
        let resident_kib = system.daemon().resident_kib()?;
        let ring_kib = system.ring_kib()? / u64::from(count);
        let each_kib = resident_kib.saturating_sub(floor_kib) / u64::from(count);
        println!(
            "  {count} cameras: daemon {resident_kib} KiB of its own, {floor_kib} KiB without cameras: {each_kib} KiB a camera (target of many <= {RESIDENT_MOST_KIB}), ring {ring_kib} KiB (target <= {RING_MOST_KIB})"
        );
        is_met &= ring_kib <= RING_MOST_KIB && (count == 1 || each_kib <= RESIDENT_MOST_KIB);
    }
    ensure!(is_met, "a target is missed");
    Ok(())
}
