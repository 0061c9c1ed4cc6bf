//! A camera whose source is started anew, whose key is another, or whose daemon was killed, with real programs: programs that read it
//! go on, and know what they missed.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use rustix::process::Signal;
use sdvr::{Camera, CameraInfo, Cameras, Change, Error, Frame, Policy, StreamState};
use sdvr_tests::{PATIENCE, System, wait_until};

const SOURCE: &str = "test:?format=BNCH&bytes=2000&fps=20";
/// How long the daemon keeps the memory of a ring that has ended, and some more.
const UNTIL_GIVEN_UP: Duration = Duration::from_secs(3);

#[track_caller]
fn next(camera: &mut Camera) -> Frame {
    let frame = camera.next(Policy::Every, PATIENCE).unwrap();
    frame.expect("a frame comes in time")
}

fn info(system: &System) -> CameraInfo {
    Cameras::list_in(&system.shm()).pop().unwrap()
}

#[test]
fn a_camera_with_a_new_key_is_read_under_its_label() {
    let system = System::with_daemon();
    let mut old = system.start_client("door", SOURCE, &[]);
    let mut camera = Camera::wait_for_in(&system.shm(), "door");
    let first = next(&mut camera);
    let old_key = camera.info().unwrap().origin.clone();

    // A new camera is mounted, and its key is to be learned.
    old.kill();
    let said = system.sdvr(&["keys", "forget", "door"]);
    assert!(said.status.success(), "{said:?}");
    wait_until("the old camera has ended", || {
        matches!(camera.next(Policy::Every, PATIENCE), Err(Error::Ended))
    });
    let keys = system.home().join("new-keys");
    let _new = system.start_client("door", SOURCE, &["-k", keys.to_str().unwrap()]);
    let second = next(&mut camera);
    assert_ne!(first.instance(), second.instance());
    assert_ne!(camera.info().unwrap().origin, old_key);
    assert_eq!(camera.label(), "door");
}

#[test]
fn frames_that_a_killed_client_left_are_counted_when_the_next_comes() {
    let system = System::with_daemon();
    let mut client = system.start_client("door", SOURCE, &[]);
    let mut camera = Camera::wait_for_in(&system.shm(), "door");
    let mut handed_out = 1;
    let mut last = next(&mut camera);
    assert_eq!(last.missed_between_runs(), 0);
    let mut command = system.command("sdvr");
    command.args(["verify", "door", "--seconds", "3600", "--json"]);
    let mut program = system.start(command.stdout(std::process::Stdio::piped()), "verify");
    while handed_out < 30 {
        last = next(&mut camera);
        handed_out += 1 + last.missed();
    }
    program.signal(Signal::STOP);
    let frames = |more: u64| info(&system).frames >= handed_out + more;
    wait_until("more frames were published", || frames(20));
    client.kill();
    // Until the daemon has taken in what was on the way.
    wait_until("the camera is stale", || {
        info(&system).state == StreamState::Stale
    });
    let old = info(&system);
    assert_eq!(old.instance, last.instance());
    let left = old.frames + old.lost - handed_out;

    let _client = system.start_client("door", SOURCE, &[]);
    wait_until("the new run is there", || {
        info(&system).instance != old.instance
    });
    std::thread::sleep(UNTIL_GIVEN_UP);
    let first = next(&mut camera);
    assert_ne!(first.instance(), old.instance);
    assert_eq!(first.missed(), 0);
    let missed = first.missed_between_runs();
    // The first of the new run may have been overwritten as well, on a machine that stops.
    let most = left + first.number().0;
    assert!(
        (left.saturating_sub(old.lost)..=most).contains(&missed),
        "{missed} of {left} to {most}"
    );

    program.signal(Signal::CONT);
    wait_until("verify has come to the new run", || {
        next(&mut camera).number() > first.number()
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(program.terminate().code(), Some(1), "{}", program.log());
    let findings: serde_json::Value = serde_json::from_slice(&program.output()).unwrap();
    assert!(findings["missing"].as_u64().unwrap() >= 19, "{findings}");
}

#[test]
fn the_cameras_of_a_killed_daemon_go_and_come_back_with_the_next() {
    let mut system = System::with_daemon();
    let _client = system.start_client("door", SOURCE, &[]);
    let mut cameras = Cameras::new_in(&system.shm());
    let heard = |cameras: &mut Cameras| match &cameras.wait(PATIENCE)[..] {
        [Change::Came(camera)] => ("came", camera.instance),
        [Change::Went(camera)] => ("went", camera.instance),
        changes => panic!("{changes:?}"),
    };
    let (change, instance) = heard(&mut cameras);
    assert_eq!(change, "came");
    system.kill_daemon();
    assert_eq!(heard(&mut cameras), ("went", instance));
    system.start_daemon(&[]);
    assert_eq!(heard(&mut cameras), ("came", instance));
    assert_eq!(system.terminate_daemon().code(), Some(0));
    assert_eq!(heard(&mut cameras), ("went", instance));
}
