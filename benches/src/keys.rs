//! `cargo xtask bench keys`: what renewing keys costs, against runs beside it in which they are renewed as released: each GiB, and
//! without a handshake.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::system::{Keys, System};

/// Long enough for the handshake that comes after ten seconds, give or take one.
const TIME: Duration = Duration::from_secs(13);
const FRAME_BYTES: usize = 1_000_000;

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    println!(
        "one camera flat out, 1 MB frames, {} s each: an epoch every second and a handshake every ten, against keys as released",
        TIME.as_secs()
    );
    // In this order a machine that becomes slower or faster meanwhile favours neither.
    let mut totals = [(0.0, 0); 2];
    for (keys, total) in [
        (Keys::AsReleased, 0),
        (Keys::OftenRenewed, 1),
        (Keys::OftenRenewed, 1),
        (Keys::AsReleased, 0),
    ] {
        let (rate, lost) = flat_out(programs, keys)?;
        println!("  {keys:?}: {rate:.3} GB/s, {lost} frames lost");
        if let Some(total) = totals.get_mut(total) {
            *total = (total.0 + rate, total.1 + lost);
        }
    }
    let [(plain, plain_lost), (renewed, renewed_lost)] = totals;
    println!(
        "  {:.3} x (target >= 0.97), {renewed_lost} frames lost, {plain_lost} without (target 0)",
        renewed / plain
    );
    Ok(())
}

/// Gigabytes a second, and how many frames were lost.
fn flat_out(programs: &Path, keys: Keys) -> anyhow::Result<(f64, u64)> {
    let system = System::start_with(programs, keys)?;
    let _client = system.client(
        "flat",
        &format!("test:?format=BNCH&fps=0&bytes={FRAME_BYTES}"),
    )?;
    system.wait_for_cameras(1)?;
    std::thread::sleep(Duration::from_millis(500));
    let (begin, (bytes_before, _)) = (Instant::now(), system.totals());
    std::thread::sleep(TIME);
    let ((bytes_after, lost), took) = (system.totals(), begin.elapsed());
    let megabytes = u32::try_from((bytes_after - bytes_before) / 1_000_000)?;
    Ok((f64::from(megabytes) / 1000.0 / took.as_secs_f64(), lost))
}
