//! `cargo xtask bench keys`: what renewing keys costs: an epoch every second and a handshake every ten, and ten times as often, beside runs
//! in which keys are renewed as released: each GiB, and without a handshake.
//!
//! Shared machines become faster and slower by a tenth from one run to the next, much more than what is measured. So the three take
//! turns, round by round, and their medians are compared; the spread of the runs as released tells what such a comparison is worth, and
//! renewing ten times as often shows a cost ten times as large.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::system::{Keys, Network, Program, System};

/// Long enough for the handshake that comes after ten seconds, give or take one.
const TIME: Duration = Duration::from_secs(12);
const ROUNDS: usize = 6;
const FRAME_BYTES: usize = 1_000_000;

/// What was measured of one way to renew keys.
#[derive(Debug, Default)]
struct Runs {
    gigabytes_per_second: Vec<f64>,
    /// Of both programs, a gigabyte.
    cpu_seconds: Vec<f64>,
    lost: u64,
}

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    println!(
        "one camera flat out, 1 MB frames, {ROUNDS} runs of {} s each, in turns",
        TIME.as_secs()
    );
    let mut all = Keys::ALL.map(|keys| (keys, Runs::default()));
    for round in 0..ROUNDS {
        // Each comes first, second and third equally often.
        all.rotate_left(usize::from(round > 0));
        for (keys, runs) in &mut all {
            flat_out(programs, *keys, runs)?;
        }
    }
    all.sort_by_key(|(keys, _)| *keys);
    let [(_, released), ..] = &all;
    let (rate, cpu) = (
        median(&released.gigabytes_per_second),
        median(&released.cpu_seconds),
    );
    for (keys, runs) in &all {
        println!(
            "  {:<46} {:.3} GB/s ({}), {:.3} x; {:.3} s of CPU a GB, {:.3} x; {} frames lost",
            keys.description(),
            median(&runs.gigabytes_per_second),
            spread(&runs.gigabytes_per_second),
            median(&runs.gigabytes_per_second) / rate,
            median(&runs.cpu_seconds),
            median(&runs.cpu_seconds) / cpu,
            runs.lost
        );
    }
    println!("  targets: an epoch a second and a handshake every ten >= 0.97 x, 0 frames lost");
    Ok(())
}

fn flat_out(programs: &Path, keys: Keys, runs: &mut Runs) -> anyhow::Result<()> {
    let system = System::start_in(programs, Network::Tcp, keys)?;
    let client = system.client_flat_out(FRAME_BYTES)?;
    let cpu = |client: &Program| -> anyhow::Result<Duration> {
        Ok(client.usage()?.cpu + system.daemon().usage()?.cpu)
    };
    let (begin, (bytes_before, _), cpu_before) = (Instant::now(), system.totals(), cpu(&client)?);
    std::thread::sleep(TIME);
    let ((bytes_after, lost), took, cpu_after) = (system.totals(), begin.elapsed(), cpu(&client)?);
    let megabytes = u32::try_from((bytes_after - bytes_before) / 1_000_000)?;
    let gigabytes = f64::from(megabytes) / 1000.0;
    runs.gigabytes_per_second
        .push(gigabytes / took.as_secs_f64());
    runs.cpu_seconds
        .push((cpu_after - cpu_before).as_secs_f64() / gigabytes);
    runs.lost += lost;
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{least:.2} to {most:.2}")
}
