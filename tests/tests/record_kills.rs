//! A recorder is killed at random moments, again and again: every file before is whole, and the one it was writing plays to within a second of its death.
//!
//! `SDVR_KILLS` says how often (30 by default): `cargo xtask faults record` says 1,000.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// So many recorders at a time record the same cameras, each into its own folder: a kill costs seconds of waiting, and hardly any of the processor's.
const AT_ONCE: u32 = 6;
const LABELS: [&str; 2] = ["avc", "still"];

#[test]
fn nothing_written_is_lost_when_the_recorder_is_killed() {
    let system = System::with_daemon();
    let film = footage::clip("live.h264", 100);
    let _avc = system.start_client("avc", film.to_str().unwrap(), &["-r", "25", "--loop"]);
    let _still = system.start_client("still", "test:?format=MJPG&size=320x240&fps=30", &[]);
    system.wait_for_state("avc", "live");
    system.wait_for_state("still", "live");
    let next = AtomicU32::new(0);
    let costs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut recorded = Recorded::new(&system);
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= kills() {
                        break;
                    }
                    let lost = recorded.kill_one(round);
                    costs.lock().unwrap().extend(lost);
                }
                recorded.check_all();
            });
        }
    });
    let mut costs = costs.into_inner().unwrap();
    costs.sort();
    assert_eq!(
        costs.len(),
        usize::try_from(kills()).unwrap() * LABELS.len()
    );
    println!(
        "{} kills: {:?} lost in the middle, {:?} at most",
        kills(),
        costs[costs.len() / 2],
        costs[costs.len() - 1]
    );
}

/// What recorders that were killed have left in a folder.
struct Recorded<'a> {
    system: &'a System,
    folder: tempfile::TempDir,
    /// Files that were looked at.
    whole: BTreeSet<PathBuf>,
}

impl<'a> Recorded<'a> {
    fn new(system: &'a System) -> Self {
        Self {
            system,
            folder: tempfile::tempdir().unwrap(),
            whole: BTreeSet::new(),
        }
    }

    fn files(&self, label: &str) -> Vec<PathBuf> {
        files(self.folder.path(), label)
    }

    /// Starts a recorder and kills it; looks at what is there. What that has cost each camera.
    fn kill_one(&mut self, round: u32) -> [Duration; 2] {
        let folder = self.folder.path();
        let mut recorder = self.system.start_recorder(folder, &["--segment", "3s"]);
        let before = LABELS.map(|label| self.files(label).len());
        wait_until("both are recorded", || {
            let now = LABELS.map(|label| self.files(label).len());
            now.iter().zip(&before).all(|(now, before)| now > before)
        });
        // Moments that have nothing to do with a second.
        std::thread::sleep(Duration::from_millis(u64::from(round * 337 % 4_100)));
        let killed = Timestamp::now();
        recorder.kill();
        LABELS.map(|label| {
            let all = self.files(label);
            for file in &all {
                // Killed between the head and the first frame it is empty, and nothing is lost.
                if self.whole.insert(file.clone()) && !times(file).is_empty() {
                    decode(file);
                }
            }
            let last = all.last().unwrap();
            let seen = times(last);
            let last_ns = begins_ns(self.system, self.folder.path(), label)
                + seen.last().copied().unwrap_or(0);
            let killed_ns = killed.as_nanoseconds() + realtime_offset_ns();
            let cost = Duration::from_nanos(u64::try_from(killed_ns - last_ns).unwrap_or(0));
            assert!(
                cost <= LOST_MOST + LATE_MOST,
                "{label}: {cost:?} lost in round {round}, {}",
                last.display()
            );
            cost
        })
    }

    /// What was not completed is, and all is as the index says.
    fn check_all(&self) {
        let folder = self.folder.path();
        let mut recorder = self.system.start_recorder(folder, &[]);
        std::thread::sleep(Duration::from_millis(500));
        assert!(recorder.terminate().success(), "{}", recorder.log());
        let folder = folder.to_str().unwrap();
        let verified = self.system.sdvr(&["recordings", "verify", "-o", folder]);
        assert!(verified.status.success(), "{}", text(&verified.stdout));
        for label in LABELS {
            for file in self.files(label) {
                decode(&file);
            }
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
