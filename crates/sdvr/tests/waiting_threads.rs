//! The threads that wait for cameras end with whoever needs them. Alone in its process, whose threads it counts.

mod daemon;

use std::time::{Duration, Instant};

use daemon::{Daemon, PATIENCE};
use sdvr::{Camera, Group, Policy, Start};

/// The names of this process's threads that wait for cameras.
fn waiting_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is there");
    let names = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    });
    let mut names: Vec<String> = names.filter(|name| name.starts_with("sdvr-")).collect();
    names.sort();
    names
}

#[track_caller]
fn becomes(expected: &[&str]) {
    let start = Instant::now();
    while waiting_threads() != expected {
        assert!(start.elapsed() < PATIENCE, "{:?}", waiting_threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn threads_come_for_every_127_cameras_and_go_with_the_last() {
    let daemon = Daemon::new();
    let runs = daemon.open_many(300);
    let open = |number: usize| {
        let label = format!("camera-{number}");
        Camera::open_in(daemon.path(), &label, Start::Oldest).expect("it is there")
    };
    let none = |group: &mut Group| {
        let next = group.next(Policy::Every, Duration::from_millis(10));
        assert!(matches!(next, Ok(None)), "{next:?}");
    };
    becomes(&[]);

    // A group of so many waits by itself.
    let mut small = Group::new();
    for number in 0..127 {
        small.add(open(number));
    }
    none(&mut small);
    becomes(&[]);
    let mut large = Group::new();
    for number in 0..300 {
        large.add(open(number));
    }
    none(&mut large);
    becomes(&["sdvr-seeker", "sdvr-waiter", "sdvr-waiter"]);

    let mut cameras: Vec<Camera> = (0..100).map(open).collect();
    let ready: Vec<sdvr::Ready> = cameras
        .iter_mut()
        .map(|camera| camera.ready().expect("there is room"))
        .collect();
    becomes(&["sdvr-seeker", "sdvr-waiter", "sdvr-waiter", "sdvr-waiter"]);
    drop(large);
    becomes(&["sdvr-seeker", "sdvr-waiter", "sdvr-waiter"]);
    drop(ready);
    becomes(&[]);

    // While cameras are sought, too.
    drop(runs);
    none(&mut small);
    let start = Instant::now();
    while small.cameras().any(|(_, camera)| camera.info().is_some()) {
        none(&mut small);
        assert!(start.elapsed() < PATIENCE, "they are all gone");
    }
    none(&mut small);
    becomes(&["sdvr-seeker", "sdvr-waiter"]);
    drop(small);
    becomes(&[]);
}
