//! A descriptor is readable when its camera has something to say, and not when it has nothing.

mod daemon;

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use daemon::{Daemon, PATIENCE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sdvr::{Camera, Error, FrameFlags, Policy, Ready, Start, StreamState};

/// Longer than a look at a silent ring takes to come.
const MOMENT: Duration = Duration::from_millis(700);

fn open(daemon: &Daemon, label: &str) -> Camera {
    Camera::open_in(daemon.path(), label, Start::Oldest).expect("it is there")
}

fn is_readable(ready: &Ready, timeout: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().expect("a short time"),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut polled = [PollFd::new(ready, PollFlags::IN)];
    poll(&mut polled, Some(&timeout)).expect("it can be polled") > 0
}

#[track_caller]
fn becomes_readable(ready: &Ready) {
    assert!(is_readable(ready, PATIENCE), "it stays unreadable");
}

/// Gives what the camera has, until it has nothing more.
#[track_caller]
fn drain(camera: &mut Camera) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(frame) = camera
        .next(Policy::Every, Duration::ZERO)
        .expect("no error")
    {
        numbers.push(frame.number().0);
    }
    numbers
}

/// Polls and drains until a frame comes; there may be nothing when something else has happened.
#[track_caller]
fn next(camera: &mut Camera, ready: &Ready) -> u64 {
    for _ in 0..10 {
        becomes_readable(ready);
        if let [number] = *drain(camera) {
            return number;
        }
    }
    panic!("it is readable again and again, and has nothing");
}

#[test]
fn it_is_readable_until_a_call_gives_nothing_and_then_not() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut camera = open(&daemon, "door");
    let ready = camera.ready().expect("there is room");
    assert!(is_readable(&ready, Duration::ZERO), "nobody has looked yet");
    assert_eq!(drain(&mut camera), []);
    assert!(!is_readable(&ready, MOMENT), "it spins");

    run.publish([0, 1]);
    becomes_readable(&ready);
    for number in [0, 1] {
        let frame = camera.next(Policy::Every, Duration::ZERO).unwrap().unwrap();
        assert_eq!(frame.number().0, number);
        assert!(is_readable(&ready, Duration::ZERO), "nothing was not given");
    }
    assert_eq!(drain(&mut camera), []);
    assert!(!is_readable(&ready, Duration::ZERO));
    // A call that waits, and one that has a frame at once, are no different.
    run.publish([2]);
    let frame = camera.next(Policy::Every, PATIENCE).unwrap().unwrap();
    assert_eq!(frame.number().0, 2);
    assert!(matches!(
        camera.next(Policy::Every, Duration::from_millis(1)),
        Ok(None)
    ));
    assert!(!is_readable(&ready, MOMENT));
    run.publish([3]);
    assert_eq!(next(&mut camera, &ready), 3);
}

#[test]
fn the_usual_loop_gets_every_frame_and_looks_about_once_for_each() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut camera = open(&daemon, "door");
    let ready = camera.ready().expect("there is room");
    let frames = 500;
    let (tell, hears) = std::sync::mpsc::channel();
    let publishing = std::thread::spawn(move || {
        for number in 0..frames {
            run.publish([number]);
            // Two at a time are on the way, so that some come while the loop is looking.
            if number > 0 {
                hears.recv_timeout(PATIENCE).expect("it gets them all");
            }
        }
        (run, hears)
    });
    let (mut wakes, mut expected) = (0_u64, 0);
    while expected < frames {
        becomes_readable(&ready);
        wakes += 1;
        for number in drain(&mut camera) {
            assert_eq!(number, expected);
            expected += 1;
            tell.send(()).expect("somebody listens");
        }
    }
    let _publisher = publishing.join().expect("it can publish");
    // A frame that comes while it looks is taken at once and still told of; and the first wake is for nothing.
    assert!(wakes <= 2 * frames + 1, "{wakes} wakes for {frames} frames");
}

#[test]
fn frames_that_the_policy_does_not_want_make_it_readable_once_at_most() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut camera = open(&daemon, "door");
    let ready = camera.ready().expect("there is room");
    for number in 0..20 {
        let key = camera.next(Policy::KeyFrames, Duration::ZERO);
        assert!(matches!(key, Ok(None)));
        assert!(!is_readable(&ready, Duration::ZERO));
        run.publish([number]);
        becomes_readable(&ready);
    }
    run.publish_with(20, FrameFlags::KEY);
    becomes_readable(&ready);
    let key = camera.next(Policy::KeyFrames, Duration::ZERO).unwrap();
    assert_eq!(key.map(|frame| frame.number().0), Some(20));
}

#[test]
fn an_end_a_death_and_every_return_are_told() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut camera = open(&daemon, "door");
    let ready = camera.ready().expect("there is room");
    assert_eq!(drain(&mut camera), []);

    run.ring.set_state(StreamState::Closed);
    becomes_readable(&ready);
    let end = camera.next(Policy::Every, Duration::ZERO);
    assert!(matches!(end, Err(Error::Ended)), "{end:?}");
    assert!(is_readable(&ready, Duration::ZERO), "nothing was not given");
    assert_eq!(drain(&mut camera), []);
    assert!(!is_readable(&ready, MOMENT), "it spins");
    // A new run, then one with another key; the daemons are killed.
    for (key, instance) in [(1, 2), (3, 3)] {
        run = daemon.open("door", key, instance);
        run.publish([0]);
        assert_eq!(next(&mut camera, &ready), 0);
        assert!(!is_readable(&ready, MOMENT), "it spins");
        drop(run);
        // That it is dead: there is nothing to read, but to see.
        becomes_readable(&ready);
        assert_eq!(drain(&mut camera), []);
        assert_eq!(camera.state(), StreamState::Lost);
        assert!(!is_readable(&ready, MOMENT), "it spins");
    }
    // One that goes over to another ring.
    run = daemon.open("door", 3, 4);
    assert_eq!(next_of(&mut camera, &ready, &mut run, 0), 0);
    daemon.go_on(&mut run, "door", 3, 4);
    assert_eq!(next_of(&mut camera, &ready, &mut run, 1), 1);
}

/// Publishes a frame and gives the one that is heard of.
#[track_caller]
fn next_of(camera: &mut Camera, ready: &Ready, run: &mut daemon::Run, number: u64) -> u64 {
    run.publish([number]);
    next(camera, ready)
}

#[test]
fn a_camera_that_is_not_there_yet_is_told_of_when_it_comes() {
    let daemon = Daemon::new();
    let mut camera = Camera::wait_for_in(daemon.path(), "door");
    let ready = camera.ready().expect("there is room");
    assert_eq!(drain(&mut camera), []);
    let _window = daemon.open("window", 2, 1);
    assert!(!is_readable(&ready, MOMENT), "that is another one");
    let mut run = daemon.open("door", 1, 1);
    run.publish([0]);
    assert_eq!(next(&mut camera, &ready), 0);
}

#[test]
fn many_cameras_have_one_each() {
    let daemon = Daemon::new();
    let mut runs = daemon.open_many(300);
    let mut cameras: Vec<(Camera, Ready)> = (0..300)
        .map(|number| {
            let mut camera = open(&daemon, &format!("camera-{number}"));
            let ready = camera.ready().expect("there is room");
            assert_eq!(drain(&mut camera), []);
            (camera, ready)
        })
        .collect();
    for round in 0..3 {
        for (index, run) in runs.iter_mut().enumerate() {
            if index % 3 == 0 {
                run.publish([round]);
            }
        }
        for (index, (camera, ready)) in cameras.iter_mut().enumerate() {
            if index % 3 == 0 {
                assert_eq!(next(camera, ready), round, "camera {index}");
            } else {
                assert!(!is_readable(ready, Duration::ZERO), "camera {index}");
            }
        }
    }
}

#[test]
fn asked_twice_it_is_the_same_until_all_are_dropped() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 1, 1);
    let mut camera = open(&daemon, "door");
    let first = camera.ready().expect("there is room");
    let second = camera.ready().expect("it has one");
    assert_eq!(first.as_raw_fd(), second.as_fd().as_raw_fd());
    assert_eq!(drain(&mut camera), []);
    drop(first);
    run.publish([0]);
    assert_eq!(next(&mut camera, &second), 0);
    drop(second);
    run.publish([1]);
    assert_eq!(drain(&mut camera), [1]);
    let third = camera.ready().expect("there is room");
    assert_eq!(drain(&mut camera), []);
    run.publish([2]);
    assert_eq!(next(&mut camera, &third), 2);
    // What is left of a camera that is not there any more is a descriptor.
    drop(camera);
    let _ = is_readable(&third, Duration::ZERO);
}
