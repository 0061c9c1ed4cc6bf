//! Processes that are killed while they pin, and processes that pin at once: no pin that was reported is ever lost.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_trust::{Acceptance, Admission, KnownCameras, KnownServers, Refusal, approve, revoke};
use support::{Home, key, label};

const FIRST: &str = "SDVR_TEST_PIN_FIRST";
const COUNT: &str = "SDVR_TEST_PIN_COUNT";
const DIRECTORY: &str = "SDVR_TEST_PIN_DIRECTORY";

/// Pins in another process, which reports each pin on its standard output once it is on disk.
fn pinning_process(home: &Home, first: u32, count: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pin_in_a_loop", "--ignored", "--nocapture"])
        .env(FIRST, first.to_string())
        .env(COUNT, count.to_string())
        .env(DIRECTORY, &home.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the process that the other tests start"]
fn pin_in_a_loop() {
    let number = |name| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let path = std::env::var_os(DIRECTORY).unwrap();
    let directory = || sdvr_trust::KeyDirectory::open(path.as_ref()).unwrap();
    let mut known = KnownCameras::load(directory(), Timestamp::now()).unwrap();
    let servers = directory();
    let mut out = std::io::stdout();
    for number in number(FIRST)..number(FIRST).saturating_add(number(COUNT)) {
        let camera = (key(number), label(&format!("cam{number}")));
        let admission = loop {
            let camera = std::slice::from_ref(&camera);
            match known.admit_all(Timestamp::now(), camera).pop() {
                // Another process was at the files: it asks again, as a camera does.
                Some(Admission::Refused(Refusal::StoreFailed { .. })) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                admission => break admission,
            }
        };
        // Not for the rate of new cameras: it comes again.
        if !matches!(admission, Some(Admission::New { .. })) {
            continue;
        }
        writeln!(out, "\ncamera {number}").unwrap();
        KnownServers::new(&servers)
            .remember(&format!("[host{number}]:1"), &key(number), 2)
            .unwrap();
        writeln!(out, "\nserver {number}").unwrap();
        out.flush().unwrap();
    }
}

/// The numbers reported as `kind`; a last line that was cut off is no report.
fn reported(kind: &str, output: &str) -> Vec<u32> {
    output
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.strip_prefix(kind)?.parse().ok())
        .collect()
}

/// Checks that everything reported is there, and gives how many cameras there are.
fn check(home: &Home, output: &str) -> usize {
    let known = KnownCameras::load(home.open(), Timestamp::now()).unwrap();
    for number in reported("camera ", output) {
        assert!(
            known.list().iter().any(|camera| camera.key == key(number)),
            "camera {number} was lost"
        );
    }
    let directory = home.open();
    let servers = KnownServers::new(&directory).list().unwrap();
    for number in reported("server ", output) {
        assert!(
            servers.iter().any(|server| server.key == key(number)),
            "server {number} was lost"
        );
    }
    known.list().len()
}

/// Kills a process at any moment of a few rewrites, once it has reported a camera; gives all that it reported.
fn report_until_killed(mut child: Child, seed: &mut u64) -> String {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut reported, mut line) = (String::new(), String::new());
    while !line.starts_with("camera") {
        line.clear();
        assert_ne!(
            output.read_line(&mut line).unwrap(),
            0,
            "it reports nothing"
        );
    }
    reported.push_str(&line);
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    std::thread::sleep(Duration::from_micros((*seed >> 33) % 20_000));
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut reported).unwrap();
    reported
}

#[test]
fn a_process_killed_at_any_moment_loses_no_pin_it_reported() {
    let home = Home::new();
    let mut all_output = String::new();
    let mut seed = u64::from(std::process::id());
    for round in 0..50_u32 {
        let child = pinning_process(&home, 1_000_000 * (round + 1), 1_000_000);
        all_output.push_str(&report_until_killed(child, &mut seed));
        check(&home, &all_output);
    }
    let pinned = reported("camera ", &all_output).len();
    assert!(pinned >= 50, "{pinned} pins are no test");
    println!("{pinned} pins survived 50 kills");
    // Nothing is left to trip over.
    let mut known = KnownCameras::load(home.open(), Timestamp::now()).unwrap();
    let admissions = known.admit_all(Timestamp::now(), &[(key(1), label("after"))]);
    assert!(
        matches!(admissions.as_slice(), [Admission::New { .. }]),
        "{admissions:?}"
    );
}

#[test]
fn processes_that_pin_at_once_lose_nothing() {
    const EACH: u32 = 100;
    let home = Home::new();
    let children: Vec<Child> = (0..3)
        .map(|number| pinning_process(&home, 10_000 * (number + 1), EACH))
        .collect();
    let mut all_output = String::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        all_output.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    assert_eq!(check(&home, &all_output), 3 * EACH as usize);
    assert_eq!(reported("server ", &all_output).len(), 3 * EACH as usize);
}

/// Approves and revokes in another process, which reports each on its standard output once it is on disk.
#[test]
#[ignore = "the process that the next test starts"]
fn approve_and_revoke_in_a_loop() {
    let first = std::env::var(FIRST).unwrap().parse::<u32>().unwrap();
    let path = std::env::var_os(DIRECTORY).unwrap();
    let directory = || sdvr_trust::KeyDirectory::open(path.as_ref()).unwrap();
    let mut known = KnownCameras::load(directory(), Timestamp::now())
        .unwrap()
        .accepting(Acceptance::Ask);
    let keys = directory();
    let mut out = std::io::stdout();
    for number in first.. {
        let camera = (key(number), label(&format!("cam{number}")));
        let fingerprint = key(number).fingerprint().to_string();
        // The rate of those that are noted: it comes again.
        while approve(&keys, &fingerprint, None).is_err() {
            known.admit_all(Timestamp::now(), std::slice::from_ref(&camera));
            known.refresh().unwrap();
        }
        writeln!(out, "\ncamera {number}").unwrap();
        revoke(&keys, &fingerprint, Some("by a test")).unwrap();
        writeln!(out, "\nrevoked {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_command_killed_at_any_moment_leaves_files_that_are_whole_and_what_it_reported() {
    let home = Home::new();
    let mut all_output = String::new();
    let mut seed = u64::from(std::process::id()).wrapping_mul(77);
    for round in 0..50_u32 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "approve_and_revoke_in_a_loop",
                "--ignored",
                "--nocapture",
            ])
            .env(FIRST, (1_000_000 * (round + 1)).to_string())
            .env(DIRECTORY, &home.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        all_output.push_str(&report_until_killed(child, &mut seed));
        // All three files are read.
        check(&home, &all_output);
        sdvr_trust::pending_cameras(&home.open()).unwrap();
    }
    let known = KnownCameras::load(home.open(), Timestamp::now()).unwrap();
    let revoked = reported("revoked ", &all_output);
    for number in &revoked {
        assert!(
            known.revocation(&key(*number)).is_some(),
            "the revocation of {number} was lost"
        );
    }
    assert!(revoked.len() >= 25, "{} are no test", revoked.len());
}
