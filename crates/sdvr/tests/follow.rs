//! A camera is followed through everything that happens to it, and every frame that was not handed out is counted.

mod daemon;

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use daemon::{Daemon, PATIENCE, Run, SLOTS};
use sdvr::{Camera, Error, Frame, FrameFlags, InstanceId, Policy, Start, StreamState};

const MOMENT: Duration = Duration::from_millis(300);

fn open(daemon: &Daemon) -> Camera {
    Camera::open_in(daemon.path(), "door", Start::Oldest).expect("it is there")
}

#[track_caller]
fn next(camera: &mut Camera, policy: Policy) -> Frame {
    let frame = camera.next(policy, PATIENCE).expect("no end");
    frame.expect("a frame comes in time")
}

/// What `next` gives of all frames: number, missed in the run, missed between runs.
#[track_caller]
fn account(camera: &mut Camera) -> (u64, u64, u64) {
    let frame = next(camera, Policy::Every);
    (
        frame.number().0,
        frame.missed(),
        frame.missed_between_runs(),
    )
}

#[track_caller]
fn ends(camera: &mut Camera) {
    let result = camera.next(Policy::Every, PATIENCE);
    assert!(matches!(result, Err(Error::Ended)), "{result:?}");
}

#[track_caller]
fn gives_nothing(camera: &mut Camera) {
    let result = camera.next(Policy::Every, MOMENT);
    assert!(matches!(result, Ok(None)), "{result:?}");
}

fn instance(number: u8) -> InstanceId {
    InstanceId([number; 16])
}

#[test]
fn a_camera_with_a_new_key_is_found_under_its_label() {
    let daemon = Daemon::new();
    let mut old = daemon.open("door", 7, 1);
    old.publish([0]);
    let mut camera = open(&daemon);
    assert_eq!(account(&mut camera), (0, 0, 0));
    old.ring.set_state(StreamState::Closed);
    ends(&mut camera);
    gives_nothing(&mut camera);

    // The old ring keeps its name for a while.
    let mut new = daemon.open("door", 8, 2);
    new.publish([0]);
    let frame = next(&mut camera, Policy::Every);
    assert_eq!(frame.instance(), instance(2));

    // And from the new to another one, whose daemon was killed in between.
    drop((old, new));
    gives_nothing(&mut camera);
    assert_eq!(camera.state(), StreamState::Lost);
    daemon.open("door", 3, 3).publish([0]);
    let mut window = daemon.open("window", 4, 3);
    window.publish([0]);
    gives_nothing(&mut camera);
    let mut newest = daemon.open("door", 9, 4);
    newest.publish([0]);
    let frame = next(&mut camera, Policy::Every);
    assert_eq!(frame.instance(), instance(4));
}

#[test]
fn a_camera_that_was_opened_by_its_key_is_no_other_one() {
    let daemon = Daemon::new();
    let mut old = daemon.open("door", 7, 1);
    old.publish([0]);
    let file = old.ring.name().as_str().to_owned();
    let mut camera = Camera::open_in(daemon.path(), &file, Start::Oldest).expect("it is there");
    assert_eq!(account(&mut camera), (0, 0, 0));
    old.ring.set_state(StreamState::Closed);
    ends(&mut camera);
    let mut others = [daemon.open("door", 8, 2), daemon.open("window", 9, 3)];
    others.iter_mut().for_each(|other| other.publish([0]));
    gives_nothing(&mut camera);
}

/// A run of which frame 0 was handed out, and then 1 to 9 were published, into a ring for four.
fn ten_frames_of_which_one_was_read(daemon: &Daemon) -> (Run, Camera) {
    let mut run = daemon.open("door", 7, 1);
    run.publish([0]);
    let mut camera = open(daemon);
    assert_eq!(account(&mut camera), (0, 0, 0));
    run.publish(1..10);
    (run, camera)
}

#[test]
fn what_can_be_read_of_a_run_that_was_replaced_is_read_first() {
    let daemon = Daemon::new();
    let (mut old, mut camera) = ten_frames_of_which_one_was_read(&daemon);
    let mut new = daemon.open("door", 7, 2);
    old.ring.was_replaced();
    new.publish([0]);
    let oldest = 10 - u64::from(SLOTS);
    assert_eq!(account(&mut camera), (oldest, oldest - 1, 0));
    for number in oldest + 1..10 {
        assert_eq!(account(&mut camera), (number, 0, 0));
    }
    assert_eq!(camera.missed_at_end(), 0);
    assert_eq!(account(&mut camera), (0, 0, 0));
}

#[test]
fn what_the_daemon_gave_up_of_a_run_is_counted_when_the_next_begins() {
    let daemon = Daemon::new();
    let (mut old, mut camera) = ten_frames_of_which_one_was_read(&daemon);
    let mut new = daemon.open("door", 7, 2);
    old.ring.was_replaced();
    old.ring.release_memory();
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 9);
    new.publish(0..2);
    assert_eq!(account(&mut camera), (0, 0, 9));
    assert_eq!(camera.missed_at_end(), 0);
    assert_eq!(account(&mut camera), (1, 0, 0));
}

#[test]
fn what_the_policy_did_not_want_at_the_end_of_a_run_is_counted_with_what_was_lost() {
    let daemon = Daemon::new();
    let mut old = daemon.open("door", 7, 1);
    old.publish_with(0, FrameFlags::KEY);
    let mut camera = open(&daemon);
    assert_eq!(next(&mut camera, Policy::KeyFrames).number().0, 0);
    // 2 and 3 did not arrive.
    old.publish([1, 4, 5]);
    let mut new = daemon.open("door", 7, 2);
    drop(old);
    new.publish([0]);
    new.publish_with(1, FrameFlags::KEY);
    let frame = next(&mut camera, Policy::KeyFrames);
    assert_eq!(frame.instance(), instance(2));
    // 1 to 5 of the old run, and 0 of the new one.
    assert_eq!((frame.missed(), frame.missed_between_runs()), (0, 6));
}

#[test]
fn runs_of_which_nothing_was_read_are_counted_too() {
    let daemon = Daemon::new();
    let (mut first, mut camera) = ten_frames_of_which_one_was_read(&daemon);
    let mut second = daemon.open("door", 7, 2);
    first.ring.was_replaced();
    first.ring.release_memory();
    gives_nothing(&mut camera);
    second.publish(0..5);
    second.ring.release_memory();
    let mut third = daemon.open("door", 7, 3);
    second.ring.was_replaced();
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 9 + 5);
    // Too fast for the ring: its beginning is missed as well.
    third.publish(0..10);
    let oldest = 10 - u64::from(SLOTS);
    assert_eq!(account(&mut camera), (oldest, 0, 9 + 5 + oldest));
}

#[test]
fn a_run_that_goes_on_in_another_ring_has_one_account() {
    let daemon = Daemon::new();
    let (old, mut camera) = ten_frames_of_which_one_was_read(&daemon);
    let oldest = 10 - u64::from(SLOTS);
    assert_eq!(account(&mut camera), (oldest, oldest - 1, 0));
    // The daemon is killed; the client sends again what it is not sure of, and has lost something.
    drop(old);
    let mut second = daemon.open("door", 7, 1);
    second.publish([9, 12]);
    for number in oldest + 1..10 {
        assert_eq!(account(&mut camera), (number, 0, 0));
    }
    assert_eq!(account(&mut camera), (12, 2, 0));
    // Killed again, with frames that nobody can read any more, and the run goes on in a third ring.
    second.publish([13, 14]);
    second.ring.release_memory();
    drop(second);
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 2);
    let mut third = daemon.open("door", 7, 1);
    third.publish([15]);
    assert_eq!(account(&mut camera), (15, 2, 0));
    assert_eq!(camera.missed_at_end(), 0);
}

#[test]
fn a_run_that_gets_another_ring_is_read_on_without_a_gap_and_without_a_frame_twice() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    let mut camera = open(&daemon);
    for round in 0..20 {
        run.publish(round * 3..round * 3 + 3);
        daemon.go_on(&mut run, "door", 7, 1);
        // Read by turns in the ring in which it was published and, one ring being left out, in one that took it over.
        if round % 2 == 1 {
            for number in round * 3 - 3..round * 3 + 3 {
                assert_eq!(account(&mut camera), (number, 0, 0));
            }
        }
    }
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 0);
}

#[test]
fn a_reader_that_wanted_nothing_of_the_first_ring_misses_nothing_by_the_second() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    run.publish(0..3);
    let mut camera = open(&daemon);
    assert!(
        camera
            .next(Policy::KeyFrames, Duration::ZERO)
            .unwrap()
            .is_none()
    );
    run.publish(3..5);
    daemon.go_on(&mut run, "door", 7, 1);
    assert!(
        camera
            .next(Policy::KeyFrames, Duration::from_millis(700))
            .unwrap()
            .is_none()
    );
    run.publish_with(5, FrameFlags::KEY);
    let frame = next(&mut camera, Policy::KeyFrames);
    // Those before it, once.
    assert_eq!(
        (
            frame.number().0,
            frame.missed(),
            frame.missed_between_runs()
        ),
        (5, 0, 5)
    );
}

#[test]
fn what_was_missed_at_a_said_end_is_told_there_and_by_the_next_run() {
    let daemon = Daemon::new();
    let (mut old, mut camera) = ten_frames_of_which_one_was_read(&daemon);
    old.ring.set_state(StreamState::Closed);
    old.ring.release_memory();
    ends(&mut camera);
    assert_eq!(camera.missed_at_end(), 9);
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 9);
    let mut new = daemon.open("door", 7, 2);
    new.publish([0]);
    assert_eq!(account(&mut camera), (0, 0, 9));
}

#[test]
fn a_camera_that_is_waited_for_counts_from_its_first_frame() {
    let daemon = Daemon::new();
    let mut camera = Camera::wait_for_in(daemon.path(), "door");
    gives_nothing(&mut camera);
    let mut run = daemon.open("door", 7, 1);
    run.publish(0..10);
    let oldest = 10 - u64::from(SLOTS);
    assert_eq!(account(&mut camera), (oldest, 0, oldest));
}

#[test]
fn dates_are_of_the_clock_as_it_is_set_now() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    // As if the clock had been set by a day since: the ring has the offset of its beginning.
    let path = daemon.path().join(run.ring.name().as_str());
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    let offset_ns: i64 = 86_400_000_000_000;
    file.expect("it is ours")
        .write_all_at(&offset_ns.to_ne_bytes(), 0x70)
        .expect("there is room");
    run.publish([0, 1]);
    let mut camera = open(&daemon);
    let mut frame = next(&mut camera, Policy::Every);
    let assert_recent = |frame: &Frame| {
        let now = SystemTime::now();
        let age = now
            .duration_since(frame.captured_date())
            .expect("no future");
        assert!(age < PATIENCE, "{age:?}");
    };
    assert_recent(&frame);
    let is_there = camera.next_into(Policy::Every, PATIENCE, &mut frame);
    assert!(matches!(is_there, Ok(true)));
    assert_recent(&frame);
}

#[test]
fn frames_come_one_after_the_other_in_the_same_memory() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    // The first is the longest: those behind it have room in its memory.
    run.publish_bytes(0, FrameFlags::NONE, &[0; 100]);
    let mut camera = open(&daemon);
    let mut memory = None;
    let mut next = |memory: &mut Option<Frame>, timeout| {
        let frame = camera.next_in_memory(Policy::Every, timeout, memory);
        let frame = frame.expect("no end")?;
        Some((
            frame.number().0,
            frame.bytes().to_vec(),
            frame.bytes().as_ptr(),
        ))
    };
    let (number, bytes, place) = next(&mut memory, PATIENCE).expect("it comes in time");
    assert_eq!((number, bytes), (0, vec![0; 100]));
    assert_eq!(next(&mut memory, MOMENT), None);
    for number in 1..3 {
        run.publish([number]);
        let bytes = number.to_ne_bytes().to_vec();
        assert_eq!(next(&mut memory, PATIENCE), Some((number, bytes, place)));
    }
}

/// All that comes until nothing does for a moment.
fn all(camera: &mut Camera) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(frame) = camera.next(Policy::Every, MOMENT).expect("no end") {
        assert_eq!((frame.missed(), frame.missed_between_runs()), (0, 0));
        numbers.push(frame.number().0);
    }
    numbers
}

/// A reader waits on at a ring that has lost its name, and looks for the next one, while the daemon is still in the middle of a frame and publishes
/// in the first.
#[test]
fn a_frame_that_was_read_in_one_ring_is_not_read_again_in_the_next_that_gets_it_later() {
    for published_before in [2, 9] {
        let daemon = Daemon::new();
        let mut run = daemon.open("door", 7, 1);
        run.publish_with(0, FrameFlags::KEY);
        run.publish(1..published_before);
        let mut camera = open(&daemon);
        assert_eq!(all(&mut camera).last(), Some(&(published_before - 1)));
        let next = daemon.make_next(&run, "door", 7, 1);
        // Of the second time the count of the next ring begins later than with 0.
        let n = published_before;
        run.publish(n..n + 2);
        assert_eq!(all(&mut camera), [n, n + 1]);
        // Long enough to look for another ring.
        gives_nothing(&mut camera);
        gives_nothing(&mut camera);
        run.publish([n + 2]);
        run.go_over(next);
        assert_eq!(all(&mut camera), [n + 2]);
        run.publish([n + 3]);
        assert_eq!(all(&mut camera), [n + 3]);
        assert_eq!(camera.missed_at_end(), 0);
        // Nor is it missed, if nobody can read it again.
        run.ring.release_memory();
        drop(run);
        gives_nothing(&mut camera);
        assert_eq!(camera.missed_at_end(), 0);
    }
}

#[test]
fn what_was_read_in_one_ring_is_not_missed_in_the_next_that_is_given_up() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    run.publish(0..9);
    let mut camera = open(&daemon);
    let oldest = 9 - u64::from(SLOTS);
    assert_eq!(all(&mut camera), (oldest..9).collect::<Vec<_>>());
    let next = daemon.make_next(&run, "door", 7, 1);
    run.publish(9..11);
    assert_eq!(all(&mut camera), [9, 10]);
    gives_nothing(&mut camera);
    gives_nothing(&mut camera);
    run.go_over(next);
    // One that nobody reads.
    run.publish([11]);
    run.ring.release_memory();
    drop(run);
    gives_nothing(&mut camera);
    assert_eq!(camera.missed_at_end(), 1);
}

/// In a container every daemon has the same number as a process: one that is started anew counts from 0, and its second ring from somewhere.
#[test]
fn the_count_of_another_daemon_is_not_taken_for_the_one_of_the_last() {
    for published in [3, 12, 20] {
        let daemon = Daemon::new();
        let mut first = daemon.open("door", 7, 1);
        first.publish(0..10);
        let mut camera = open(&daemon);
        all(&mut camera);
        drop(first);
        let mut second = daemon.open("door", 7, 1);
        second.publish(10..10 + published);
        daemon.go_on(&mut second, "door", 7, 1);
        let oldest = 10 + published.saturating_sub(u64::from(SLOTS));
        assert_eq!(account(&mut camera), (oldest, oldest - 10, 0));
        for number in oldest + 1..10 + published {
            assert_eq!(account(&mut camera), (number, 0, 0));
        }
        second.publish([10 + published]);
        assert_eq!(account(&mut camera), (10 + published, 0, 0));
    }
}

#[test]
fn who_waits_for_a_camera_to_be_there_loses_no_frame_by_it() {
    let daemon = Daemon::new();
    let mut camera = Camera::wait_for_in(daemon.path(), "door");
    assert!(
        !camera
            .wait_until_there(MOMENT)
            .expect("nobody else is there")
    );
    let mut door = daemon.open("door", 7, 1);
    door.publish([0, 1]);
    assert!(
        camera
            .wait_until_there(PATIENCE)
            .expect("nobody else is there")
    );
    let info = camera.info().expect("it is there");
    assert_eq!(info.label.as_str(), "door");
    assert_eq!(account(&mut camera), (0, 0, 0));
    assert_eq!(account(&mut camera), (1, 0, 0));
    assert!(
        camera
            .wait_until_there(Duration::ZERO)
            .expect("it is there")
    );
}
