//! A recorder is killed at random moments, again and again: every file before is whole, and the one it was writing plays to within a second of its death.
//!
//! `SDVR_KILLS` says how often (30 by default): `cargo xtask faults record` says 1,000.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use sdvr::Timestamp;
use sdvr_tests::recording::{decode, files, times};
use sdvr_tests::{System, footage, text, wait_until};

/// What a kill may cost: a second until the next write, and what the machine, which is shared, takes to do it.
const LOST_MOST: Duration = Duration::from_millis(1_000);
/// How late a busy machine may be besides.
const LATE_MOST: Duration = Duration::from_millis(1_500);

fn kills() -> u32 {
    std::env::var("SDVR_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(30)
}

#[test]
fn nothing_written_is_lost_when_the_recorder_is_killed() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let film = footage::clip("live.h264", 100);
    let _avc = system.start_client("avc", film.to_str().unwrap(), &["-r", "25", "--loop"]);
    let _still = system.start_client("still", "test:?format=MJPG&size=320x240&fps=30", &[]);
    system.wait_for_state("avc", "live");
    system.wait_for_state("still", "live");
    let mut whole: BTreeSet<std::path::PathBuf> = BTreeSet::new();
    let mut costs = Vec::new();
    for round in 0..kills() {
        let mut recorder = system.start_recorder(folder.path(), &["--segment", "3s"]);
        let before: Vec<_> = ["avc", "still"]
            .map(|label| files(folder.path(), label).len())
            .into();
        wait_until("both are recorded", || {
            let now = ["avc", "still"].map(|label| files(folder.path(), label).len());
            now.iter().zip(&before).all(|(now, before)| now > before)
        });
        // Moments that have nothing to do with a second.
        let pause = Duration::from_millis(u64::from(round * 337 % 4_100));
        std::thread::sleep(pause);
        let killed = Timestamp::now();
        recorder.kill();
        for label in ["avc", "still"] {
            let all = files(folder.path(), label);
            for file in &all {
                // Killed between the head and the first frame it is empty, and nothing is lost.
                if whole.insert(file.clone()) && !times(file).is_empty() {
                    decode(file);
                }
            }
            let last = all.last().unwrap();
            let seen = times(last);
            let last_ns =
                begins_ns(&system, folder.path(), label) + seen.last().copied().unwrap_or(0);
            let killed_ns = killed.as_nanoseconds() + realtime_offset_ns();
            let cost = Duration::from_nanos(u64::try_from(killed_ns - last_ns).unwrap_or(0));
            costs.push(cost);
            assert!(
                cost <= LOST_MOST + LATE_MOST,
                "{label}: {cost:?} lost in round {round}, {}",
                last.display()
            );
        }
    }
    costs.sort();
    println!(
        "{} kills: {:?} lost in the middle, {:?} at most",
        kills(),
        costs[costs.len() / 2],
        costs[costs.len() - 1]
    );
    // What was not completed is, and all is as the index says.
    let mut recorder = system.start_recorder(folder.path(), &[]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(recorder.terminate().success(), "{}", recorder.log());
    let verified = system.sdvr(&[
        "recordings",
        "verify",
        "-o",
        folder.path().to_str().unwrap(),
    ]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    for label in ["avc", "still"] {
        for file in files(folder.path(), label) {
            decode(&file);
        }
    }
}

/// When the first frame of the newest file was captured, in nanoseconds since 1970, by the index, which a kill does not harm either.
fn begins_ns(system: &System, folder: &Path, label: &str) -> i64 {
    let shown = system.sdvr(&[
        "recordings",
        "show",
        "-o",
        folder.to_str().unwrap(),
        label,
        "--json",
    ]);
    assert!(shown.status.success(), "{shown:?}");
    let segments: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let last = segments.as_array().unwrap().last().unwrap();
    let begins = humantime::parse_rfc3339(last["begins"].as_str().unwrap()).unwrap();
    let since_epoch = begins.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_nanos()).unwrap()
}

fn realtime_offset_ns() -> i64 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since_epoch.as_nanos()).unwrap() - Timestamp::now().as_nanoseconds()
}
