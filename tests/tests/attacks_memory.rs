//! What a camera that was let in and turned hostile can do with the memory that all have together.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sdvr::{Camera, Policy, Start};
use sdvr_frame::StreamState;
use sdvr_session::StreamCode;
use sdvr_tests::hostile_camera::{HostileCamera, random, stream};
use sdvr_tests::{PATIENCE, Running, System, wait_until};

fn ring_bytes(system: &System) -> u64 {
    let rings = system.rings();
    rings
        .iter()
        .map(|ring| std::fs::metadata(ring).unwrap().len())
        .sum()
}

#[test]
fn one_camera_takes_half_of_the_memory_at_most() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "64M"]);
    let mut greedy = HostileCamera::handshake(&system);
    greedy.introduce("greedy");
    let mut codes = Vec::new();
    for number in 0..8 {
        let mut open = stream(number);
        open.frame_kib = 2500;
        codes.push(greedy.open_stream(&open));
    }
    assert!(
        codes.contains(&StreamCode::Open) && codes.contains(&StreamCode::NoMemory),
        "{codes:?}"
    );
    assert!(ring_bytes(&system) <= 33 << 20, "{}", ring_bytes(&system));
    let _other = system.start_client("other", "test:?format=BNCH&bytes=100000&fps=10", &[]);
    system.wait_for_state("other", "live");
}

#[test]
fn a_camera_that_opens_streams_all_the_time_is_slowed_down_and_delays_nobody() {
    let mut system = System::new();
    system.start_daemon(&["--threads", "1", "--memory", "2G"]);
    let bystander = system.start_client("bystander", "test:?format=BNCH&bytes=60000&fps=20", &[]);
    system.wait_for_state("bystander", "live");
    let mut verify = system.command("sdvr");
    let verify = verify.args(["verify", "bystander", "--seconds", "3", "--json"]);
    let verify = verify.stdout(std::process::Stdio::piped()).spawn().unwrap();

    let mut churning = HostileCamera::handshake(&system);
    churning.introduce("churning");
    let codes: Vec<StreamCode> = (0_u8..100)
        .map(|number| {
            let mut open = stream(0);
            open.instance.0 = [number; 16];
            open.frame_kib = 60_000;
            churning.open_stream(&open)
        })
        .collect();
    let made = codes
        .iter()
        .filter(|code| **code == StreamCode::Open)
        .count();
    assert!((1..40).contains(&made), "{codes:?}");
    assert!(codes.contains(&StreamCode::TooOften), "{codes:?}");

    let output = verify.wait_with_output().unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    bystander.assert_nothing_lost(&findings);
    let lines = system.daemon().log().matches("churning").count();
    assert!(lines < 60, "{lines} lines about one camera");
}

#[test]
fn a_camera_that_comes_and_goes_all_the_time_does_not_fill_the_log() {
    let mut system = System::with_daemon();
    let key: [u8; 32] = random(32).try_into().unwrap();
    for _ in 0..150 {
        let mut camera = HostileCamera::handshake_with(&system, &key);
        camera.introduce("flapping");
    }
    let lines = system.daemon().log().matches("flapping").count();
    assert!((5..60).contains(&lines), "{lines} lines about one camera");
}

/// Their rings wait for them for eleven minutes, but not when another camera needs the memory. A camera is lost after one.
#[test]
fn lost_cameras_give_up_what_another_one_needs_and_who_reads_them_waits_for_them() {
    let mut system = System::new();
    // Room for three rings of four such frames.
    system.start_daemon(&["--memory", "8M"]);
    let source = "test:?format=BNCH&bytes=600000&fps=5";
    let gone: Vec<Running> = (0..3)
        .map(|number| {
            // How it comes makes no difference.
            let by: &[&str] = if number == 0 { &["--udp"] } else { &[] };
            system.start_client(&format!("gone-{number}"), source, by)
        })
        .collect();
    wait_until("three cameras are there", || system.list().len() == 3);
    let mut reader = Camera::open_in(&system.shm(), "gone-0", Start::Now).unwrap();
    let instance = reader.info().unwrap().instance;
    let frame = reader.next(Policy::Every, PATIENCE).unwrap();
    assert!(frame.is_some());
    for camera in &gone {
        camera.signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(2));
    }
    let states = || -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let list = system.list();
        let mut states: Vec<_> = list
            .iter()
            .map(|camera| (text(&camera["label"]), text(&camera["state"])))
            .collect();
        states.sort_unstable();
        states
    };
    let all_of = |cameras: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(label, state): &(&str, &str)| ((*label).to_owned(), (*state).to_owned());
        cameras.iter().map(owned).collect()
    };
    let all_lost = all_of(&[("gone-0", "lost"), ("gone-1", "lost"), ("gone-2", "lost")]);
    let deadline = Instant::now() + Duration::from_secs(100);
    while states() != all_lost {
        assert!(Instant::now() < deadline, "{:?}", states());
        std::thread::sleep(Duration::from_millis(500));
    }

    // More than a camera may have: what the others have is of no use for it.
    let mut huge = system.start_client("huge", "test:?format=BNCH&bytes=3000000&fps=5", &[]);
    wait_until("it is told that there is no room", || {
        huge.log().contains("no shared memory left")
    });
    huge.kill();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(states(), all_lost);

    // Room for one more is what one of them has: the one that is lost longest.
    let _late = system.start_client("late", source, &[]);
    system.wait_for_state("late", "live");
    let present = all_of(&[("gone-1", "lost"), ("gone-2", "lost"), ("late", "live")]);
    assert_eq!(states(), present);
    // Nobody said that it has ended.
    while reader
        .next(Policy::Every, Duration::ZERO)
        .unwrap()
        .is_some()
    {}
    assert_eq!(reader.state(), StreamState::Lost);

    gone[0].signal(Signal::CONT);
    let frame = reader.next(Policy::Every, PATIENCE).unwrap().unwrap();
    assert_eq!(frame.instance(), instance);
    system.wait_for_state("gone-0", "live");
    let present = all_of(&[("gone-0", "live"), ("gone-2", "lost"), ("late", "live")]);
    assert_eq!(states(), present);
    let log = system.daemon().log();
    for camera in ["gone-0", "gone-1", "gone-2"] {
        let is_said = |line: &&str| line.contains(camera) && line.contains("state=lost");
        assert_eq!(log.lines().filter(is_said).count(), 1, "{log}");
    }
}
