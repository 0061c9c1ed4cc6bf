//! A host's clock is set by years while its cameras are recorded.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use sdvr_vm::{Guest, Process, Turn};

/// Where everything of this test is; keys, too.
const FOLDER: &str = "/tmp/clock";
/// As they were built; whether they are installed depends on tests before.
const PROGRAMS: &str = "/sdvr/target/release";
const SDVR: &str = "env SDVR_SHM_DIR=/tmp/clock/rings /sdvr/target/release/sdvr";
const YEARS_S: i64 = 3 * 365 * 86_400;

/// Runs `sdvr`, and gives what it says in JSON.
fn told(guest: &mut Turn, arguments: &str) -> serde_json::Value {
    let said = guest.expect(&format!("{SDVR} {arguments} --json"));
    serde_json::from_str(&said).unwrap()
}

fn record(guest: &mut Turn) -> Process {
    // What is older than an hour may go.
    guest.start(&format!(
        "{SDVR} record -o {FOLDER}/video --segment 2s --keep 1h"
    ))
}

/// Sets the clock forward, or back below zero.
fn set_clock(guest: &mut Turn, by_s: i64) {
    guest.expect(&format!("date -s @$(($(date +%s) + {by_s}))"));
}

#[test]
fn recordings_survive_a_clock_that_is_set_by_years_and_back() {
    let mut guest = Guest::enter();
    guest.expect(&format!("rm -rf {FOLDER}; mkdir -p {FOLDER}/rings"));
    let home = format!("HOME={FOLDER} XDG_CONFIG_HOME={FOLDER}");
    let daemon = guest.start(&format!(
        "env {home} {PROGRAMS}/sdvrd -l 127.0.0.1 -p 1400 --shm-dir {FOLDER}/rings"
    ));
    guest.wait_for_log(&daemon, "sdvrd ready");
    let camera = guest.start(&format!(
        "env {home} {PROGRAMS}/sdvrc -d 127.0.0.1 -p 1400 -n door -i 'test:?format=MJPG&size=160x120&fps=20'"
    ));
    guest.wait_until(&format!("{SDVR} ls --json | grep live"));
    let mut recorder = record(&mut guest);
    let step = Duration::from_secs(6);
    std::thread::sleep(step);
    set_clock(&mut guest, YEARS_S);
    std::thread::sleep(step);
    // Also for one that is started then, and finds recordings of the future later.
    guest.stop(&recorder);
    recorder = record(&mut guest);
    std::thread::sleep(step);
    set_clock(&mut guest, -2 * YEARS_S);
    std::thread::sleep(step);
    set_clock(&mut guest, YEARS_S);
    std::thread::sleep(step);
    assert!(guest.runs(&recorder), "{}", guest.log(&recorder));
    guest.stop(&recorder);
    let log = guest.log(&recorder);
    assert!(log.contains("none lost here"), "{log}");
    guest.stop(&camera);
    guest.stop(&daemon);

    let all = format!("recordings show door -o {FOLDER}/video");
    let segments = told(&mut guest, &all);
    let segments = segments.as_array().unwrap();
    // Nothing was removed: of the thirty seconds, but for those between the two recorders, all are there.
    let frames: u64 = segments
        .iter()
        .map(|segment| segment["frames"].as_u64().unwrap())
        .sum();
    assert!(frames >= 20 * 27, "{frames}: {segments:#?}");
    let reasons = segments
        .iter()
        .flat_map(|segment| segment["gaps"].as_array().unwrap())
        .map(|gap| gap["reason"].as_str().unwrap());
    assert!(reasons.clone().filter(|reason| *reason == "clock").count() >= 3);
    assert!(!reasons.clone().any(|reason| reason == "slow disk"));
    let years: std::collections::BTreeSet<&str> = segments
        .iter()
        .map(|segment| &segment["begins"].as_str().unwrap()[..4])
        .collect();
    assert_eq!(years.len(), 3, "{years:?}");
    guest.expect(&format!("{SDVR} recordings verify -o {FOLDER}/video"));
    guest.expect(&format!("rm -rf {FOLDER}"));
}
