//! Whoever watches the cameras hears of each that comes, goes and returns, and of nothing else.

mod daemon;

use std::time::{Duration, Instant};

use daemon::{Daemon, PATIENCE};
use sdvr::{Cameras, Change, StreamState};

const MOMENT: Duration = Duration::from_millis(700);

/// What the next change is, and how long it took to hear of it.
#[track_caller]
fn hears(cameras: &mut Cameras, expected: &str) -> Vec<Change> {
    let start = Instant::now();
    let changes = cameras.wait(PATIENCE);
    let heard: Vec<String> = changes
        .iter()
        .map(|change| match change {
            Change::Came(camera) => format!("+{}", camera.label),
            Change::Went(camera) => format!("-{}", camera.label),
        })
        .collect();
    assert_eq!(heard.join(" "), expected, "after {:?}", start.elapsed());
    changes
}

#[track_caller]
fn hears_nothing(cameras: &mut Cameras) {
    let start = Instant::now();
    let changes = cameras.wait(MOMENT);
    assert!(changes.is_empty(), "{changes:?}");
    assert!(start.elapsed() >= MOMENT, "{:?}", start.elapsed());
}

#[test]
fn a_camera_comes_goes_when_it_is_lost_and_comes_again() {
    let daemon = Daemon::new();
    let mut cameras = Cameras::new_in(daemon.path());
    hears_nothing(&mut cameras);
    let mut door = daemon.open("door", 1, 1);
    hears(&mut cameras, "+door");
    let _window = daemon.open("window", 2, 1);
    hears(&mut cameras, "+window");

    door.ring.set_state(StreamState::Stale);
    hears_nothing(&mut cameras);
    door.ring.set_state(StreamState::Lost);
    let changes = hears(&mut cameras, "-door");
    assert!(
        matches!(&changes[..], [Change::Went(camera)] if camera.state == StreamState::Lost),
        "{changes:?}"
    );
    hears_nothing(&mut cameras);
    door.ring.set_state(StreamState::Live);
    hears(&mut cameras, "+door");

    door.publish(0..3);
    door.ring.set_state(StreamState::Closed);
    let changes = hears(&mut cameras, "-door");
    assert!(
        matches!(&changes[..], [Change::Went(camera)]
            if camera.state == StreamState::Closed && camera.frames == 3),
        "{changes:?}"
    );
    // Its name goes later, and nothing changes by that.
    door.ring.unlink();
    hears_nothing(&mut cameras);
    let _door = daemon.open("door", 1, 2);
    hears(&mut cameras, "+door");
}

#[test]
fn the_cameras_of_a_killed_daemon_go_though_their_files_stay() {
    let daemon = Daemon::new();
    let runs = [daemon.open("door", 1, 1), daemon.open("window", 2, 1)];
    let mut cameras = Cameras::new_in(daemon.path());
    hears(&mut cameras, "+door +window");
    drop(runs);
    let changes = hears(&mut cameras, "-door -window");
    assert!(
        changes.iter().all(
            |change| matches!(change, Change::Went(camera) if camera.state == StreamState::Lost)
        ),
        "{changes:?}"
    );
    let _door = daemon.open("door", 1, 1);
    hears(&mut cameras, "+door");
}

#[test]
fn a_new_run_of_a_camera_that_is_there_is_no_change() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut cameras = Cameras::new_in(daemon.path());
    hears(&mut cameras, "+door");
    // As fast as it goes, so that runs begin in the middle of looks.
    let end = Instant::now() + MOMENT;
    let replacing = std::thread::spawn(move || {
        while Instant::now() < end {
            let next = daemon.open("door", 1, 2);
            run.ring.was_replaced();
            run = next;
        }
        (daemon, run)
    });
    while !replacing.is_finished() {
        assert_eq!(cameras.wait(Duration::from_millis(1)), []);
    }
    let (_daemon, run) = replacing.join().expect("it can replace rings");
    hears_nothing(&mut cameras);
    drop(run);
    hears(&mut cameras, "-door");
}

#[test]
fn files_that_are_no_rings_wake_nobody() {
    let daemon = Daemon::new();
    let mut cameras = Cameras::new_in(daemon.path());
    let path = daemon.path().join("note");
    let scribbler = std::thread::spawn(move || {
        for _ in 0..10 {
            std::fs::write(&path, "no ring").expect("it is ours");
            std::fs::remove_file(&path).expect("it is ours");
            std::thread::sleep(MOMENT / 20);
        }
    });
    hears_nothing(&mut cameras);
    scribbler.join().expect("it can write");
}

#[test]
fn a_look_without_waiting_tells_all() {
    let daemon = Daemon::new();
    let mut cameras = Cameras::new_in(daemon.path());
    assert_eq!(cameras.wait(Duration::ZERO), []);
    let run = daemon.open("door", 1, 1);
    assert_eq!(cameras.wait(Duration::ZERO).len(), 1);
    drop(run);
    assert_eq!(cameras.wait(Duration::ZERO).len(), 1);
    assert_eq!(cameras.wait(Duration::ZERO), []);
}

#[test]
fn a_daemon_that_comes_later_is_seen() {
    let folder = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
    let path = folder.path().join("rings");
    let mut cameras = Cameras::new_in(&path);
    hears_nothing(&mut cameras);
    let daemon = Daemon::new_in(&path);
    let _run = daemon.open("door", 1, 1);
    hears(&mut cameras, "+door");
}
