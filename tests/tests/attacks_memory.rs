//! What a camera that was let in and turned hostile can do with the memory that all have together.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr_session::for_tests::Control;
use sdvr_session::{Event, OpenStream, StreamCode};
use sdvr_tests::hostile_camera::{HostileCamera, random, stream};
use sdvr_tests::{System, wait_until};

fn ask(camera: &mut HostileCamera, open: &OpenStream) -> StreamCode {
    let mut message = Vec::new();
    Control::OpenStream(open.clone()).write(&mut message);
    camera.send(&message);
    loop {
        match camera.event() {
            Some(Event::StreamReply { stream, code }) if stream == open.stream => return code,
            Some(_) => {}
            None => panic!("the server has hung up"),
        }
    }
}

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
        codes.push(ask(&mut greedy, &open));
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
            ask(&mut churning, &open)
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

/// Its ring waits for it for eleven minutes, but not when another camera needs the memory. A camera is lost after one.
#[test]
fn the_memory_of_a_lost_camera_goes_to_one_that_is_there() {
    let mut system = System::new();
    // Room for three rings of four such frames.
    system.start_daemon(&["--memory", "8M"]);
    let source = "test:?format=BNCH&bytes=600000&fps=5";
    let mut gone: Vec<_> = (0..3)
        .map(|number| system.start_client(&format!("gone-{number}"), source, &[]))
        .collect();
    wait_until("three cameras are there", || system.list().len() == 3);
    gone.iter_mut().for_each(sdvr_tests::Running::kill);
    let late = system.start_client("late", source, &[]);
    wait_until("it is told that there is no room", || {
        late.log().contains("no shared memory left")
    });
    assert_eq!(system.list().len(), 3);
    let is_live = || {
        let list = system.list();
        list.iter()
            .any(|camera| camera["label"] == "late" && camera["state"] == "live")
    };
    let deadline = Instant::now() + Duration::from_secs(100);
    while !is_live() {
        assert!(Instant::now() < deadline, "{:?}", system.list());
        std::thread::sleep(Duration::from_millis(500));
    }
}
