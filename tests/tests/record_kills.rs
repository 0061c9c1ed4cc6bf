//! A recorder is killed at random moments, again and again: every file before is whole, and the one it was writing plays to within a second of its death.
//!
//! `SDVR_KILLS` says how often (30 by default): `cargo xtask faults record` says 1,000.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
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
    let film = footage::clip("h264", 100);
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
        let began = Timestamp::now();
        recorder.kill();
        for label in ["avc", "still"] {
            let all = files(folder.path(), label);
            for file in &all {
                if whole.insert(file.clone()) {
                    decode(file);
                }
            }
            let last = all.last().unwrap();
            let seen = times(last);
            // The recorder has been at work for longer than that only if something is in it.
            let cost = began_to_now(&system, label, last, &seen, began);
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

/// How much of the time before the kill is not in the file.
fn began_to_now(
    _system: &System,
    _label: &str,
    file: &std::path::Path,
    seen: &[i64],
    killed: Timestamp,
) -> Duration {
    let killed_ns = killed.as_nanoseconds() + realtime_offset_ns();
    let begins_ns = begins_ns(file);
    let last_ns = begins_ns + seen.last().copied().unwrap_or(0);
    Duration::from_nanos(u64::try_from(killed_ns - last_ns).unwrap_or(0))
}

/// When a file's first frame was captured, as its container says it.
fn begins_ns(file: &std::path::Path) -> i64 {
    let tags = sdvr_tests::recording::probe(file)["format"]["tags"].clone();
    let text = tags["creation_time"].as_str().unwrap().to_owned();
    // 2026-11-23T14:05:00.000000Z
    let day = sdvr_tests::recording::seconds_of_date(&text);
    day
}

fn realtime_offset_ns() -> i64 {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since_epoch.as_nanos()).unwrap() - Timestamp::now().as_nanoseconds()
}
