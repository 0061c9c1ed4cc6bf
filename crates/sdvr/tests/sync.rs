//! Sets of frames that were captured at the same time.

mod daemon;

use std::time::Duration;

use daemon::{Daemon, PATIENCE, Run};
use sdvr::{
    Camera, Error, FrameFlags, FrameSet, Group, Member, Policy, Start, StreamState, Timestamp,
};

const MOMENT: Duration = Duration::from_millis(300);
const MILLISECOND_NS: i64 = 1_000_000;
const INTERVAL_NS: i64 = 40 * MILLISECOND_NS;

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn publish(run: &mut Run, number: u64, captured_ns: i64) {
    let captured = Timestamp::from_nanoseconds(captured_ns);
    run.publish_at(number, FrameFlags::NONE, captured);
}

/// Cameras called `a`, `b` and `c`, and a group of them.
fn cameras<const N: usize>(daemon: &Daemon) -> ([Run; N], Group, [Member; N]) {
    let label = |index: usize| ["a", "b", "c"][index];
    let key = |index: usize| u8::try_from(index).expect("there are three at most");
    let runs = std::array::from_fn(|index| daemon.open(label(index), key(index), 1));
    let mut group = Group::new();
    let members = std::array::from_fn(|index| group.add(open(daemon, label(index))));
    (runs, group, members)
}

fn open(daemon: &Daemon, label: &str) -> Camera {
    Camera::open_in(daemon.path(), label, Start::Oldest).expect("it is there")
}

/// The numbers in the next set, in the order of the members.
#[track_caller]
fn numbers(group: &mut Group, tolerance: Duration) -> Vec<Option<u64>> {
    let set = group.sync(tolerance, PATIENCE).expect("no error");
    numbers_of(&set.expect("a set comes in time"))
}

fn numbers_of(set: &FrameSet) -> Vec<Option<u64>> {
    let parts = set.parts.iter();
    parts
        .map(|part| part.frame.as_ref().map(|frame| frame.number().0))
        .collect()
}

#[track_caller]
fn gives_no_set(group: &mut Group, tolerance: Duration) {
    let set = group.sync(tolerance, MOMENT);
    assert!(matches!(set, Ok(None)), "{set:?}");
}

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn sets_are_right_and_complete_with_jitter_and_loss_and_every_frame_is_accounted_for() {
    let daemon = Daemon::new();
    let (mut runs, mut group, members) = cameras::<3>(&daemon);
    let tolerance = milliseconds(12);
    let mut dice = Dice(1);
    let (mut expected, mut given, mut published) = (Vec::new(), Vec::new(), [0_u64; 3]);
    let (mut in_sets, mut alone, mut last_time) = ([0_u64; 3], [0_u64; 3], None);
    let mut last_numbers = [None; 3];
    for round in 0..500_u64 {
        let arrives: [bool; 3] = std::array::from_fn(|_| dice.below(20) > 0);
        if arrives == [true; 3] {
            expected.push(round);
        }
        for (index, run) in runs.iter_mut().enumerate() {
            let jitter_ns = dice.below(10_000_000) as i64 - 5_000_000;
            if arrives[index] {
                let time_ns = (round as i64 + 1) * INTERVAL_NS + jitter_ns;
                publish(run, round, time_ns + index as i64 * MILLISECOND_NS);
                published[index] += 1;
            }
        }
        while let Some(set) = group.sync(tolerance, Duration::ZERO).expect("no error") {
            assert!(set.is_whole(), "all are live");
            assert!(set.spread() <= tolerance);
            assert!(last_time.is_none_or(|last| last < set.time()));
            last_time = Some(set.time());
            let numbers = numbers_of(&set);
            assert!(
                numbers.iter().all(|number| *number == numbers[0]),
                "{numbers:?}"
            );
            given.extend(numbers[0]);
            for (index, member) in members.into_iter().enumerate() {
                let frame = set.frame(member).expect("it is whole");
                assert!(last_numbers[index] < Some(frame.number()), "twice");
                last_numbers[index] = Some(frame.number());
                in_sets[index] += 1;
                alone[index] += set.parts[index].alone;
            }
        }
    }
    assert_eq!(given, expected);
    for index in 0..3 {
        // What is left in hand, and in the ring.
        let rest = published[index] - in_sets[index] - alone[index];
        assert!(rest <= 4, "{rest} of {}", published[index]);
    }
    assert!(alone.iter().sum::<u64>() > 0);
}

#[test]
fn the_tolerance_is_held_to_the_nanosecond() {
    let daemon = Daemon::new();
    let ([mut a, mut b], mut group, _) = cameras(&daemon);
    let tolerance = milliseconds(10);
    publish(&mut a, 0, 1_000_000_000);
    publish(&mut b, 0, 1_010_000_001);
    gives_no_set(&mut group, tolerance);
    publish(&mut a, 1, 1_100_000_000);
    publish(&mut b, 1, 1_110_000_000);
    let set = group.sync(tolerance, PATIENCE).unwrap().unwrap();
    assert_eq!(numbers_of(&set), [Some(1), Some(1)]);
    assert_eq!(set.spread(), tolerance);
    assert_eq!(set.time(), Timestamp::from_nanoseconds(1_110_000_000));
    let alone: Vec<u64> = set.parts.iter().map(|part| part.alone).collect();
    assert_eq!(alone, [1, 1]);
    // Each frame of the tests is known to 100 ns.
    assert_eq!(set.clock_error(), Some(Duration::from_nanos(200)));
}

#[test]
fn of_frames_in_hand_the_closer_one_is_taken() {
    let daemon = Daemon::new();
    let ([mut a, mut b], mut group, _) = cameras(&daemon);
    publish(&mut a, 0, 1_000_000_000);
    publish(&mut a, 1, 1_030_000_000);
    publish(&mut b, 0, 1_031_000_000);
    assert_eq!(numbers(&mut group, milliseconds(40)), [Some(1), Some(0)]);
}

#[test]
fn a_faster_camera_gives_to_each_set_of_a_slower_one() {
    let daemon = Daemon::new();
    let ([mut fast, mut slow], mut group, _) = cameras(&daemon);
    for number in 0..10 {
        publish(&mut slow, number, number as i64 * 4 * INTERVAL_NS);
        for part in 0..4 {
            let n = number * 4 + part;
            publish(&mut fast, n, n as i64 * INTERVAL_NS);
        }
        let set = numbers(&mut group, milliseconds(15));
        assert_eq!(set, [Some(number * 4), Some(number)]);
        gives_no_set_now(&mut group);
    }
}

#[track_caller]
fn gives_no_set_now(group: &mut Group) {
    let set = group.sync(milliseconds(15), Duration::ZERO);
    assert!(matches!(set, Ok(None)), "{set:?}");
}

#[test]
fn a_member_that_is_live_is_waited_for_and_one_that_is_not_is_left_out() {
    let daemon = Daemon::new();
    let ([mut a, mut b, mut c], mut group, [_, of_b, of_c]) = cameras(&daemon);
    let tolerance = milliseconds(10);
    let publish_all = |runs: [Option<&mut Run>; 3], number: u64| {
        for run in runs.into_iter().flatten() {
            publish(run, number, (number as i64 + 1) * INTERVAL_NS);
        }
    };
    publish_all([Some(&mut a), Some(&mut b), Some(&mut c)], 0);
    assert_eq!(numbers(&mut group, tolerance), [Some(0); 3]);

    publish_all([Some(&mut a), None, Some(&mut c)], 1);
    gives_no_set(&mut group, tolerance);
    b.ring.set_state(StreamState::Stale);
    assert_eq!(numbers(&mut group, tolerance), [Some(1), None, Some(1)]);
    publish_all([Some(&mut a), None, Some(&mut c)], 2);
    let set = group.sync(tolerance, PATIENCE).unwrap().unwrap();
    assert_eq!(numbers_of(&set), [Some(2), None, Some(2)]);
    assert!(!set.is_whole() && set.frame(of_b).is_none());
    assert_eq!(set.frames().count(), 2);

    // It is back, with frames of before that nobody has a partner for.
    b.ring.set_state(StreamState::Live);
    publish_all([None, Some(&mut b), None], 1);
    publish_all([None, Some(&mut b), None], 2);
    publish_all([Some(&mut a), Some(&mut b), Some(&mut c)], 3);
    let set = group.sync(tolerance, PATIENCE).unwrap().unwrap();
    assert_eq!(numbers_of(&set), [Some(3); 3]);
    assert_eq!(set.parts[1].alone, 2);

    // The daemon of one is killed, and another one ends.
    drop(b);
    publish_all([Some(&mut a), None, Some(&mut c)], 4);
    assert_eq!(numbers(&mut group, tolerance), [Some(4), None, Some(4)]);
    c.ring.set_state(StreamState::Closed);
    publish_all([Some(&mut a), None, None], 5);
    let error = group.sync(tolerance, PATIENCE).expect_err("it ends");
    assert!(matches!(error.error, Error::Ended));
    assert_eq!(error.camera, "c");
    assert_eq!(numbers(&mut group, tolerance), [Some(5), None, None]);

    // And comes back.
    let mut c = daemon.open("c", 2, 2);
    is_found(&mut group, of_c);
    publish_all([Some(&mut a), None, Some(&mut c)], 6);
    assert_eq!(numbers(&mut group, tolerance), [Some(6), None, Some(6)]);
}

/// Waits until a member that has come is there. The others have no frames.
#[track_caller]
fn is_found(group: &mut Group, member: Member) {
    let start = std::time::Instant::now();
    while group
        .camera(member)
        .is_none_or(|camera| camera.info().is_none())
    {
        let set = group.sync(Duration::ZERO, milliseconds(10));
        assert!(matches!(set, Ok(None)), "{set:?}");
        assert!(start.elapsed() < PATIENCE, "it is not found");
    }
}

#[test]
fn a_member_that_comes_later_is_in_the_sets_from_then_on() {
    let daemon = Daemon::new();
    let mut a = daemon.open("a", 0, 1);
    let mut group = Group::new();
    group.add(open(&daemon, "a"));
    let of_b = group.add(Camera::wait_for_in(daemon.path(), "b"));
    let tolerance = milliseconds(5);
    for number in 0..3 {
        publish(&mut a, number, number as i64 * INTERVAL_NS);
        assert_eq!(numbers(&mut group, tolerance), [Some(number), None]);
    }
    let mut b = daemon.open("b", 1, 1);
    is_found(&mut group, of_b);
    publish(&mut a, 3, 3 * INTERVAL_NS);
    publish(&mut b, 0, 4 * INTERVAL_NS);
    gives_no_set(&mut group, tolerance);
    publish(&mut a, 4, 4 * INTERVAL_NS);
    let set = group.sync(tolerance, PATIENCE).unwrap().unwrap();
    assert_eq!(numbers_of(&set), [Some(4), Some(0)]);
    assert_eq!(set.parts[0].alone, 1);
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_the_order_of_sets() {
    let daemon = Daemon::new();
    let ([mut a, mut b], mut group, _) = cameras(&daemon);
    for (number, time) in [(0, 10), (1, 20), (2, 15), (3, 30)] {
        publish(&mut a, number, time * INTERVAL_NS);
        publish(&mut b, number, time * INTERVAL_NS);
    }
    let tolerance = milliseconds(5);
    let sets = [0, 1, 3].map(|number| {
        let set = group.sync(tolerance, PATIENCE).unwrap().unwrap();
        assert_eq!(numbers_of(&set), [Some(number); 2]);
        set
    });
    assert_eq!(sets.iter().map(|set| set.parts[0].alone).sum::<u64>(), 1);
}

#[test]
fn a_frame_that_says_to_be_of_the_future_stops_nobody() {
    let daemon = Daemon::new();
    let (mut runs, mut group, members) = cameras::<2>(&daemon);
    let hour = Duration::from_secs(3600);
    runs[0].publish_at(0, FrameFlags::NONE, Timestamp::now() + hour);
    for run in &mut runs {
        publish(run, 1, INTERVAL_NS);
    }
    let set = group.sync(milliseconds(10), PATIENCE).expect("no error");
    let set = set.expect("a set comes in time");
    assert_eq!(numbers_of(&set), [Some(1), Some(1)]);
    // It is told of.
    assert_eq!((set.parts[0].member, set.parts[0].alone), (members[0], 1));
}

#[test]
fn frames_in_hand_are_given_one_by_one_too() {
    let daemon = Daemon::new();
    let ([mut a, mut b], mut group, [of_a, of_b]) = cameras(&daemon);
    for number in 0..3 {
        publish(&mut a, number, number as i64 * INTERVAL_NS);
    }
    gives_no_set(&mut group, milliseconds(5));
    let mut next = |timeout| {
        let next = group.next(Policy::Every, timeout).expect("no error");
        next.map(|(member, frame)| (member, frame.number().0))
    };
    for number in 0..3 {
        assert_eq!(next(PATIENCE), Some((of_a, number)));
    }
    assert_eq!(next(Duration::ZERO), None);
    publish(&mut b, 0, 0);
    assert_eq!(next(PATIENCE), Some((of_b, 0)));
    publish(&mut a, 3, 9 * INTERVAL_NS);
    publish(&mut b, 1, 9 * INTERVAL_NS);
    assert_eq!(numbers(&mut group, milliseconds(5)), [Some(3), Some(1)]);
}
