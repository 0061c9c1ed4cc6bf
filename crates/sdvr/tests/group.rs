//! A group gives the frames of all its cameras, fairly, through everything that happens to them.

mod daemon;

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::{Daemon, PATIENCE, Run};
use sdvr::{Camera, Error, FrameFlags, Group, GroupError, Member, Policy, Start, StreamState};

const MOMENT: Duration = Duration::from_millis(300);
/// More than one thread waits for.
const MANY: u16 = 300;

fn open(daemon: &Daemon, label: &str) -> Camera {
    Camera::open_in(daemon.path(), label, Start::Oldest).expect("it is there")
}

/// A group of cameras that are there.
fn group<const N: usize>(daemon: &Daemon, labels: [&str; N]) -> (Group, [Member; N]) {
    let mut group = Group::new();
    let members = labels.map(|label| group.add(open(daemon, label)));
    (group, members)
}

#[track_caller]
fn next(group: &mut Group) -> (Member, u64) {
    let next = group.next(Policy::Every, PATIENCE).expect("no error");
    let (member, frame) = next.expect("a frame comes in time");
    (member, frame.number().0)
}

#[track_caller]
fn ends(group: &mut Group, expected: Member) {
    match group.next(Policy::Every, PATIENCE) {
        Err(GroupError {
            member,
            error: Error::Ended,
            ..
        }) if member == expected => {}
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn gives_nothing(group: &mut Group) {
    let next = group.next(Policy::Every, MOMENT);
    assert!(matches!(next, Ok(None)), "{next:?}");
}

/// A frame of each run, which the group gives next, in whatever order.
#[track_caller]
fn gives_one_of_each(group: &mut Group, runs: &mut [Run], number: u64) {
    for run in &mut *runs {
        run.publish([number]);
    }
    let mut given = BTreeMap::new();
    for _ in 0..runs.len() {
        let (member, number) = next(group);
        assert_eq!(given.insert(member, number), None, "twice");
    }
    assert!(given.values().all(|given| *given == number));
}

#[test]
fn more_cameras_than_one_thread_waits_for_give_every_frame_once() {
    let daemon = Daemon::new();
    let mut runs = daemon.open_many(MANY);
    let labels: Vec<String> = (0..MANY).map(|number| format!("camera-{number}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut group = Group::open_in(daemon.path(), &labels).expect("they are there");
    assert!(group.cameras().map(|(_, camera)| camera.label()).eq(labels));
    for number in 0..20 {
        gives_one_of_each(&mut group, &mut runs, number);
        if number % 7 == 0 {
            // So that all are waited for.
            gives_nothing(&mut group);
        }
    }
    // One has stopped, and another one goes and comes back.
    let stopped = runs.remove(0);
    let mut ended = runs.remove(0);
    ended.ring.set_state(StreamState::Closed);
    let label =
        |group: &Group, member| group.camera(member).map(|camera| camera.label().to_owned());
    let error = group.next(Policy::Every, PATIENCE).expect_err("one ends");
    assert_eq!(error.camera, "camera-1");
    assert_eq!(label(&group, error.member).as_deref(), Some("camera-1"));
    ended.ring.unlink();
    gives_one_of_each(&mut group, &mut runs, 20);
    runs.push(daemon.open_numbered(1));
    runs.push(stopped);
    for number in 21..25 {
        gives_one_of_each(&mut group, &mut runs, number);
    }
    gives_nothing(&mut group);
}

#[test]
fn each_gives_one_before_any_gives_two() {
    let daemon = Daemon::new();
    let mut runs = ["a", "b", "c"].map(|label| daemon.open(label, label.as_bytes()[0], 1));
    let (mut group, [a, b, c]) = group(&daemon, ["a", "b", "c"]);
    gives_nothing(&mut group);
    runs[0].publish(0..4);
    runs[1].publish(0..2);
    runs[2].publish(0..1);
    let mut given: Vec<(Member, u64)> = (0..7).map(|_| next(&mut group)).collect();
    given[..3].sort_unstable();
    given[3..5].sort_unstable();
    let expected = [(a, 0), (b, 0), (c, 0), (a, 1), (b, 1), (a, 2), (a, 3)];
    assert_eq!(given, expected);
    gives_nothing(&mut group);
}

#[test]
fn one_that_always_has_a_frame_starves_nobody() {
    let daemon = Daemon::new();
    let mut greedy = daemon.open("greedy", 1, 1);
    let mut modest = daemon.open("modest", 2, 1);
    let (mut group, [_, of_modest]) = group(&daemon, ["greedy", "modest"]);
    gives_nothing(&mut group);
    greedy.publish(0..2);
    let mut number = 2;
    for round in 0..100 {
        modest.publish([round]);
        let mut turns = 0;
        while next(&mut group).0 != of_modest {
            greedy.publish([number]);
            number += 1;
            turns += 1;
            assert!(turns <= 3, "round {round}");
        }
    }
}

#[test]
fn a_member_ends_returns_and_is_replaced_as_a_camera_alone_is() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let mut window = daemon.open("window", 2, 1);
    let (mut group, [of_door, of_window]) = group(&daemon, ["door", "window"]);
    door.publish([0]);
    assert_eq!(next(&mut group), (of_door, 0));
    door.publish([1]);
    door.ring.set_state(StreamState::Closed);
    assert_eq!(next(&mut group), (of_door, 1));
    ends(&mut group, of_door);
    window.publish([7]);
    assert_eq!(next(&mut group), (of_window, 7));
    gives_nothing(&mut group);
    // A new run, one under another key, and one after the daemon was killed.
    for (key, instance) in [(1, 2), (3, 3), (3, 4)] {
        drop(door);
        door = daemon.open("door", key, instance);
        door.publish([0]);
        assert_eq!(next(&mut group), (of_door, 0), "run {instance}");
    }
    daemon.go_on(&mut window, "window", 2, 1);
    window.publish([8]);
    assert_eq!(next(&mut group), (of_window, 8));
    gives_nothing(&mut group);
}

#[test]
fn members_that_are_not_there_yet_come() {
    let daemon = Daemon::new();
    let mut group = Group::new();
    for number in 0..MANY {
        group.add(Camera::wait_for_in(
            daemon.path(),
            &format!("camera-{number}"),
        ));
    }
    gives_nothing(&mut group);
    let mut runs = daemon.open_many(MANY);
    for number in 0..3 {
        gives_one_of_each(&mut group, &mut runs, number);
    }
    // All at once, as when a daemon is killed and started anew.
    drop(runs);
    gives_nothing(&mut group);
    assert!(
        group
            .cameras()
            .all(|(_, camera)| camera.state() == StreamState::Lost)
    );
    let mut runs = daemon.open_many(MANY);
    gives_one_of_each(&mut group, &mut runs, 3);
}

#[test]
fn whoever_waits_is_told_who_has_something_to_say() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let mut window = daemon.open("window", 2, 1);
    let (mut group, [of_door, of_window]) = group(&daemon, ["door", "window"]);
    let wait = |group: &mut Group, timeout| group.wait(Policy::Every, timeout).expect("no error");
    assert_eq!(wait(&mut group, Duration::ZERO), []);
    assert_eq!(wait(&mut group, MOMENT), []);
    window.publish([0]);
    assert_eq!(wait(&mut group, PATIENCE), [of_window]);
    assert_eq!(wait(&mut group, Duration::ZERO), [of_window]);
    door.ring.set_state(StreamState::Closed);
    let mut both = wait(&mut group, Duration::ZERO);
    both.sort_unstable();
    assert_eq!(both, [of_door, of_window]);
    let mut given = [
        group
            .next(Policy::Every, Duration::ZERO)
            .map(|next| next.map(|(member, _)| member)),
        group
            .next(Policy::Every, Duration::ZERO)
            .map(|next| next.map(|(member, _)| member)),
    ];
    given.sort_by_key(Result::is_err);
    assert!(
        matches!(&given, [Ok(Some(first)), Err(error)] if *first == of_window && error.member == of_door),
        "{given:?}"
    );
    assert_eq!(wait(&mut group, MOMENT), []);
}

#[test]
fn another_policy_gives_what_the_first_did_not_want() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let (mut group, [of_door]) = group(&daemon, ["door"]);
    door.publish_with(0, FrameFlags::KEY);
    door.publish([1, 2]);
    let key = group.next(Policy::KeyFrames, PATIENCE).expect("no error");
    assert_eq!(key.map(|(_, frame)| frame.number().0), Some(0));
    let none = group.next(Policy::KeyFrames, MOMENT);
    assert!(matches!(none, Ok(None)), "{none:?}");
    assert_eq!(next(&mut group), (of_door, 1));
    assert_eq!(next(&mut group), (of_door, 2));
    gives_nothing(&mut group);
}

#[test]
fn a_member_that_is_removed_goes_on_alone() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let mut window = daemon.open("window", 2, 1);
    let (mut group, [of_door, of_window]) = group(&daemon, ["door", "window"]);
    door.publish(0..2);
    assert_eq!(next(&mut group), (of_door, 0));
    let mut camera = group.remove(of_door).expect("it is a member");
    assert!(group.remove(of_door).is_none());
    let frame = camera.next(Policy::Every, PATIENCE).expect("no error");
    assert_eq!(frame.map(|frame| frame.number().0), Some(1));
    window.publish([5]);
    assert_eq!(next(&mut group), (of_window, 5));
    // Sought by itself again.
    drop(door);
    assert!(matches!(camera.next(Policy::Every, MOMENT), Ok(None)));
    daemon.open("door", 9, 2).publish([0]);
    let mut door = daemon.open("door", 9, 3);
    door.publish([6]);
    assert!(matches!(camera.next(Policy::Every, PATIENCE), Ok(Some(_))));
    let again = group.add(camera);
    assert_ne!(again, of_door);
    door.publish([7]);
    assert_eq!(next(&mut group), (again, 7));
}

#[test]
fn a_group_without_members_gives_nothing_in_all_that_time() {
    let mut group = Group::new();
    let start = std::time::Instant::now();
    gives_nothing(&mut group);
    assert!(start.elapsed() >= MOMENT);
    assert!(Group::open(&[]).is_ok());
    let daemon = Daemon::new();
    let _door = daemon.open("door", 1, 1);
    let error = Group::open_in(daemon.path(), &["door", "window"]).expect_err("one is not there");
    assert!(
        error.to_string().contains("door"),
        "it names those that are: {error}"
    );
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn frames_that_come_while_the_group_sleeps_wake_it_and_everybody_else() {
    let daemon = Daemon::new();
    let mut runs = daemon.open_many(140);
    let frames = 20_u64;
    let (go, may_go) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut group = Group::new();
            for number in 0..140 {
                group.add(open(&daemon, &format!("camera-{number}")));
            }
            let go = go.clone();
            scope.spawn(move || {
                for n in 0..frames {
                    for _ in 0..140 {
                        assert_eq!(next(&mut group).1, n);
                    }
                    go.send(()).expect("somebody listens");
                }
            });
        }
        for number in [0, 5, 139] {
            let mut camera = open(&daemon, &format!("camera-{number}"));
            let go = go.clone();
            scope.spawn(move || {
                for n in 0..frames {
                    let frame = camera.next(Policy::Every, PATIENCE).expect("no error");
                    assert_eq!(frame.map(|frame| frame.number().0), Some(n));
                    go.send(()).expect("somebody listens");
                }
            });
        }
        for n in 0..frames {
            runs.iter_mut().for_each(|run| run.publish([n]));
            for _ in 0..6 {
                may_go.recv_timeout(PATIENCE).expect("everybody hears");
            }
        }
    });
}
