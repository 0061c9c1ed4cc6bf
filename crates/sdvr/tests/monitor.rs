//! Figures from look to look are those of the frames between the looks.

mod daemon;

use std::thread::sleep;
use std::time::{Duration, Instant};

use daemon::Daemon;
use sdvr::{CameraFigures, FrameFlags, FrameMeta, FrameNumber, Monitor, StreamState, Timestamp};

#[track_caller]
fn one(monitor: &mut Monitor) -> CameraFigures {
    let mut all = monitor.look();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Publishes a frame that took so long, or of which nobody knows how long it took.
fn publish_after(
    run: &mut daemon::Run,
    number: u64,
    latency: Duration,
    clock_error_ns: Option<u32>,
) {
    let published = Timestamp::now();
    let back = i64::try_from(latency.as_nanos()).expect("tests are short");
    assert!(run.ring.begin(8) && run.ring.write(&[1; 8]));
    assert!(run.ring.publish(&FrameMeta {
        number: FrameNumber(number),
        flags: FrameFlags::NONE,
        missed: 0,
        captured_at_source: published,
        captured: published.offset_by(-back),
        clock_error_ns,
        received: published,
        published,
    }));
}

#[test]
fn without_cameras_there_are_no_figures() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    assert!(monitor.look().is_empty());
    assert!(
        Monitor::new_in(&daemon.path().join("none"))
            .look()
            .is_empty()
    );
}

#[test]
fn rates_are_of_the_time_between_two_looks() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    let mut door = daemon.open("door", 1, 1);
    door.ring.set_measured_rate(25_000);
    door.publish_bytes(0, FrameFlags::NONE, &[1; 100]);
    let first = one(&mut monitor);
    // What the ring says, with frames of 100 bytes.
    assert!((first.frames_per_second - 25.0).abs() < 1e-9, "{first:?}");
    assert!((first.bits_per_second - 20_000.0).abs() < 1e-6, "{first:?}");
    assert_eq!(first.latency.map(|latency| latency.frames), Some(1));

    let start = Instant::now();
    for number in 1..=10 {
        door.publish_bytes(number, FrameFlags::NONE, &[1; 1000]);
    }
    sleep(Duration::from_millis(50));
    let at_least = start.elapsed().as_secs_f64();
    let second = one(&mut monitor);
    // The looks are at least as far apart as they are seen to be from between them.
    assert!(
        second.frames_per_second > 0.0 && second.frames_per_second <= 10.0 / at_least,
        "{second:?}"
    );
    let bits_a_frame = second.bits_per_second / second.frames_per_second;
    assert!((bits_a_frame - 8000.0).abs() < 1e-6, "{second:?}");
    // The ring has no more of them.
    assert_eq!(
        second.latency.map(|latency| latency.frames),
        Some(daemon::SLOTS as usize)
    );

    let third = one(&mut monitor);
    assert_eq!(
        (
            third.frames_per_second,
            third.bits_per_second,
            third.latency
        ),
        (0.0, 0.0, None)
    );
    assert_eq!(third.camera.frames, 11);
}

#[test]
fn latencies_are_of_the_frames_since_the_last_look() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    let format = sdvr::StreamFormat {
        fourcc: sdvr::FourCc::MJPG,
        width: 8,
        height: 8,
        rate: sdvr::FrameRate::from_whole(25),
    };
    let mut door = daemon.open_with("door", 1, format);
    publish_after(&mut door, 0, Duration::from_secs(5), Some(1));
    assert_eq!(
        one(&mut monitor).latency.map(|it| it.most),
        Some(Duration::from_secs(5))
    );
    for number in 1..=50 {
        publish_after(
            &mut door,
            number,
            Duration::from_millis(51 - number),
            Some(7000),
        );
    }
    // Nobody knows when this one was captured.
    publish_after(&mut door, 51, Duration::from_secs(9), None);
    let latency = one(&mut monitor).latency.expect("there were frames");
    assert_eq!(latency.p50, Duration::from_millis(25));
    assert_eq!(latency.p99, Duration::from_millis(50));
    assert_eq!(latency.most, Duration::from_millis(50));
    assert_eq!(latency.frames, 50);
    assert_eq!(latency.clock_error, Duration::from_micros(7));

    publish_after(&mut door, 52, Duration::from_secs(9), None);
    let figures = one(&mut monitor);
    assert!(figures.frames_per_second > 0.0);
    assert_eq!(figures.latency, None);
}

#[test]
fn losses_and_packets_sent_again_are_told() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    let mut door = daemon.open("door", 1, 1);
    let first = one(&mut monitor);
    assert_eq!(
        (
            first.camera.lost,
            first.newly_lost,
            first.camera.retransmitted
        ),
        (0, 0, None)
    );
    door.ring.set_retransmitted(Some(0));
    assert_eq!(one(&mut monitor).camera.retransmitted, Some(0));
    door.ring.set_retransmitted(Some(17));
    let now = Timestamp::now();
    assert!(door.ring.begin(8) && door.ring.write(&[1; 8]));
    assert!(door.ring.publish(&FrameMeta {
        number: FrameNumber(9),
        flags: FrameFlags::NONE,
        missed: 4,
        captured_at_source: now,
        captured: now,
        clock_error_ns: Some(0),
        received: now,
        published: now,
    }));
    let second = one(&mut monitor);
    assert_eq!(
        (
            second.camera.lost,
            second.newly_lost,
            second.camera.retransmitted
        ),
        (4, 4, Some(17))
    );
    assert_eq!(one(&mut monitor).newly_lost, 0);
}

#[test]
fn a_newer_ring_of_a_run_goes_on_with_its_figures_and_a_new_run_begins_anew() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    let mut door = daemon.open("door", 1, 1);
    door.ring.set_retransmitted(Some(3));
    door.publish(0..3);
    assert_eq!(one(&mut monitor).camera.frames, 3);
    daemon.go_on(&mut door, "door", 1, 1);
    door.publish(3..5);
    let figures = one(&mut monitor);
    assert_eq!(figures.camera.frames, 5);
    assert_eq!(figures.camera.retransmitted, Some(3));
    assert_eq!(figures.latency.map(|latency| latency.frames), Some(2));

    let mut door = daemon.open("door", 1, 2);
    door.publish(0..1);
    let figures = one(&mut monitor);
    assert_eq!((figures.camera.frames, figures.newly_lost), (1, 0));
    // No second has passed in which a daemon would have measured it.
    assert_eq!(figures.frames_per_second, 0.0);
}

#[test]
fn a_camera_whose_daemon_is_killed_is_lost_and_stays_until_its_file_goes() {
    let daemon = Daemon::new();
    let mut monitor = Monitor::new_in(daemon.path());
    let mut door = daemon.open("door", 1, 1);
    let mut window = daemon.open("window", 2, 1);
    door.ring.set_measured_rate(30_000);
    let labels = |all: &[CameraFigures]| -> Vec<String> {
        all.iter()
            .map(|figures| figures.camera.label.to_string())
            .collect()
    };
    assert_eq!(labels(&monitor.look()), ["door", "window"]);
    drop(door);
    let all = monitor.look();
    assert_eq!(all[0].camera.state, StreamState::Lost);
    assert_eq!(all[0].frames_per_second, 0.0);
    // Nor does who comes later take what its ring says for what it does.
    assert_eq!(
        Monitor::new_in(daemon.path()).look()[0].frames_per_second,
        0.0
    );
    window.ring.unlink();
    let start = Instant::now();
    while labels(&monitor.look()) != ["door"] {
        assert!(start.elapsed() < daemon::PATIENCE, "its name is gone");
        sleep(Duration::from_millis(20));
    }
}
