//! A recording as a camera: from any point on, at its own times, with its own dates.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sdvr::{Camera, Error, Policy};
use sdvr_tests::{PATIENCE, System};

/// When the recordings were made: long before any host of the tests was started.
const RECORDED: &str = "2021-02-03T04:05:06Z";
const RECORDED_S: u64 = 1_612_325_106;

/// A frame as a program sees it.
struct Seen {
    number: u64,
    bytes: Vec<u8>,
    date: SystemTime,
    captured_ns: i64,
    at_source_ns: i64,
    is_exact: bool,
}

/// A recording of 50 frames in two seconds.
fn recording(system: &System, name: &str, options: &str) -> PathBuf {
    let path = system.home().join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi"])
        .args(["-i", "testsrc=size=96x64:rate=25:duration=2"])
        .args(["-metadata", &format!("creation_time={RECORDED}")])
        .args(options.split_whitespace())
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success(), "{name} cannot be made");
    path
}

/// Plays a recording to a program that reads every frame.
fn play(system: &System, label: &str, path: &Path, options: &[&str]) -> Vec<Seen> {
    let mut camera = Camera::wait_for_in(&system.shm(), label);
    let options = [&["--once"], options].concat();
    let mut client = system.start_client(label, path.to_str().unwrap(), &options);
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut seen = Vec::new();
    loop {
        assert!(
            Instant::now() < deadline,
            "the stream does not end: {}",
            client.log()
        );
        match camera.next(Policy::Every, Duration::from_millis(200)) {
            Ok(Some(frame)) => seen.push(Seen {
                number: frame.number().0,
                bytes: frame.bytes().to_vec(),
                date: frame.captured_date(),
                captured_ns: frame.captured().as_nanoseconds(),
                at_source_ns: frame.meta().captured_at_source.as_nanoseconds(),
                is_exact: frame.clock_error().is_some(),
            }),
            Ok(None) => {}
            Err(Error::Ended) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(client.wait().code(), Some(0), "{}", client.log());
    seen
}

fn bytes(seen: &[Seen]) -> Vec<&[u8]> {
    seen.iter().map(|seen| seen.bytes.as_slice()).collect()
}

#[test]
fn a_recording_is_a_camera_from_any_point_on() {
    let system = System::with_daemon();
    for (name, options, key_frames_apart) in [
        ("images.mkv", "-c:v mjpeg -pix_fmt yuvj420p", 1),
        ("pixels.mkv", "-c:v rawvideo -pix_fmt yuyv422", 1),
        (
            "coded.mp4",
            "-c:v libx264 -preset ultrafast -g 10 -bf 0 -pix_fmt yuv420p -movflags +frag_keyframe+empty_moov",
            10,
        ),
    ] {
        let path = recording(&system, name, options);
        let all = play(&system, &format!("all-{name}"), &path, &[]);
        assert_eq!(all.len(), 50, "{name}");
        for (from, frame) in [
            ("0", 0),
            ("1.5s", 37),
            ("00:00:01.6", 40),
            ("2021-02-03T04:05:07Z", 25),
        ] {
            let label = format!("{frame}-{name}");
            let seen = play(&system, &label, &path, &["--from", from]);
            let first = frame / key_frames_apart * key_frames_apart;
            assert!(
                bytes(&seen) == bytes(&all[first..]),
                "{label}: {} frames",
                seen.len()
            );
            // At its own pace, whatever the first one's number in the recording.
            for (index, seen) in (0_u64..).zip(&seen) {
                assert_eq!(seen.number, index, "{label}");
            }
            for pair in seen
                .windows(2)
                .filter(|pair| pair[0].is_exact && pair[1].is_exact)
            {
                let apart_ms = (pair[1].captured_ns - pair[0].captured_ns) / 1_000_000;
                // Behind a stall of the machine it goes on later; never sooner.
                assert!(apart_ms >= 35, "{label}: {apart_ms} ms apart");
            }
            assert!(
                seen.iter()
                    .all(|seen| seen.date > UNIX_EPOCH + Duration::from_secs(RECORDED_S + 86_400))
            );
        }
    }
}

#[test]
fn a_recording_can_have_the_dates_at_which_it_was_made() {
    let system = System::with_daemon();
    for (name, options) in [
        ("images.mkv", "-c:v mjpeg -pix_fmt yuvj420p"),
        (
            "coded.mp4",
            "-c:v libx264 -preset ultrafast -g 10 -bf 0 -pix_fmt yuv420p",
        ),
    ] {
        let path = recording(&system, name, options);
        for (way, options) in [
            ("its-pace", &["--times", "recorded", "--from", "400ms"][..]),
            (
                "fast",
                &["--times", "recorded", "--from", "400ms", "-r", "0"],
            ),
            ("udp", &["--times", "recorded", "--from", "400ms", "-u"]),
        ] {
            let label = format!("{way}-{name}");
            let seen = play(&system, &label, &path, options);
            assert_eq!(seen.len(), 40, "{label}");
            let at_source_ns = seen[0].at_source_ns;
            for (index, seen) in (0_u32..).zip(&seen) {
                let expected = UNIX_EPOCH
                    + Duration::from_secs(RECORDED_S)
                    + Duration::from_millis(400)
                    + index * Duration::from_millis(40);
                let apart = match seen.date.duration_since(expected) {
                    Ok(later) => later,
                    Err(earlier) => earlier.duration(),
                };
                // As exactly as the clocks of client and server are known to each other, which is not well while the machine is busy.
                assert!(
                    apart < Duration::from_secs(2),
                    "{label}, frame {index}: {apart:?} apart"
                );
                assert!(seen.is_exact, "{label}, frame {index}");
                let since_first = seen.at_source_ns - at_source_ns;
                assert_eq!(since_first, i64::from(index) * 40_000_000, "{label}");
            }
        }
    }
}

#[test]
fn a_place_that_a_recording_does_not_have_is_a_wrong_use() {
    let system = System::with_daemon();
    let path = recording(&system, "images.mkv", "-c:v mjpeg -pix_fmt yuvj420p");
    for (options, expected) in [
        (
            &["--from", "3s"][..],
            "it is 00:00:02.000 long; there is nothing at 00:00:03.000",
        ),
        (
            &["--from", "2026-11-23T14:05:00Z"],
            "there is nothing at 2026-11-23T14:05:00.000Z",
        ),
        (
            &["--from", "2020-11-23T14:05:00Z"],
            "it begins at 2021-02-03T04:05:06.000Z",
        ),
        (
            &["--times", "recorded", "--loop"],
            "does not go with --loop",
        ),
    ] {
        let mut client = system.start_client("nothing", path.to_str().unwrap(), options);
        assert_eq!(client.wait().code(), Some(2), "{}", client.log());
        assert!(client.log().contains(expected), "{}", client.log());
    }
}
