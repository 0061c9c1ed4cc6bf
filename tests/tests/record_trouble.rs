//! What `sdvr record` does with streams that it cannot keep up with, and with such as no camera should send.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use rustix::process::Signal;
use sdvr::{FourCc, FrameFlags, FrameRate, PublishOptions, Published, Publisher};
use sdvr_tests::recording::{decode, files, times};
use sdvr_tests::{System, text, wait_until};

/// Frames published at ten a second.
fn publish(publisher: &mut Publisher, frames: &[&[u8]], flags: FrameFlags) {
    for bytes in frames {
        let about = Published {
            flags: Some(flags),
            ..Published::now()
        };
        publisher.publish(bytes, &about).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn publisher(system: &System, label: &str, fourcc: FourCc) -> Publisher {
    let mut options = PublishOptions::metadata(fourcc, FrameRate::from_whole(10));
    options.frame_most_bytes = Some(1 << 20);
    Publisher::create_in(&system.shm(), label, options).unwrap()
}

#[test]
fn a_recorder_that_is_held_up_loses_whole_frames_and_says_how_many() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=YUYV&size=320x240&fps=30", &[]);
    let mut recorder = system.start_recorder(folder.path(), &["--segment", "1h"]);
    wait_until("it records", || !files(folder.path(), "door").is_empty());
    std::thread::sleep(Duration::from_secs(1));
    // As a disk that takes nothing for a while holds it up.
    recorder.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(2));
    recorder.signal(Signal::CONT);
    wait_until("it is said", || recorder.log().contains("too slow"));
    let lost = || {
        let top = system.sdvr(&["top", "--once", "--json"]);
        let top: serde_json::Value = serde_json::from_slice(&top.stdout).unwrap();
        top["recorders"][0]["cameras"][0]["lost"].as_u64()
    };
    wait_until("sdvr top says so", || lost().is_some_and(|lost| lost > 0));
    assert!(recorder.terminate().success());
    let all = files(folder.path(), "door");
    decode(&all[0]);
    let shown = system.sdvr(&[
        "recordings",
        "show",
        "-o",
        folder.path().to_str().unwrap(),
        "door",
        "--json",
    ]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let segment = &shown[0];
    let lost = segment["lost"].as_u64().unwrap();
    assert!(lost > 20, "{segment}");
    assert_eq!(segment["gaps"][0]["reason"], "slow disk", "{segment}");
    // The gap is in the file, as it was.
    let seen = times(&all[0]);
    let longest = seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest > 1_000_000_000, "{longest}");
    assert_eq!(segment["frames"].as_u64().unwrap(), seen.len() as u64);
}

#[test]
fn streams_without_key_frames_or_parameters_are_said_and_hold_up_no_other() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=MJPG&size=160x120&fps=20", &[]);
    let mut no_key = publisher(&system, "never/begins", FourCc::H264);
    let mut no_parameters = publisher(&system, "never/described", FourCc::H264);
    let mut recorder = system.start_recorder(folder.path(), &["--segment", "2s"]);
    let frame: &[u8] = &[0, 0, 0, 1, 0x41, 0x9a, 1, 2, 3];
    let key: &[u8] = &[0, 0, 0, 1, 0x65, 0x88, 1, 2, 3];
    for _ in 0..110 {
        publish(&mut no_parameters, &[key], FrameFlags::KEY);
        publish(&mut no_key, &[frame], FrameFlags::default());
    }
    wait_until("both are said", || {
        let log = recorder.log();
        log.contains("never/begins: no key frame")
            && log.contains("never/described: cannot be recorded")
    });
    assert_eq!(
        recorder.times_said("never/described"),
        1,
        "{}",
        recorder.log()
    );
    assert_eq!(recorder.times_said("never/begins"), 1, "{}", recorder.log());
    assert!(recorder.terminate().success());
    assert!(files(folder.path(), "door").len() > 2);
    assert!(files(folder.path(), "never,begins").is_empty());
}

#[test]
fn small_and_very_large_frames_are_frames() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = system.start_recorder(folder.path(), &["--segment", "1h"]);
    let mut small = publisher(&system, "some/text", FourCc(*b"TEXT"));
    publish(&mut small, &[b"one"], FrameFlags::KEY);
    wait_until("it is recorded", || {
        !files(folder.path(), "some,text").is_empty()
    });
    publish(&mut small, &[b"two", b"three"], FrameFlags::KEY);
    let source = format!("test:?format=BNCH&fps=2&bytes={}", 64 << 20);
    let _client = system.start_client("large", &source, &[]);
    wait_until("large frames are recorded", || {
        files(folder.path(), "large")
            .iter()
            .any(|file| file.metadata().unwrap().len() > 190 << 20)
    });
    wait_until("the others, too", || {
        let top = system.sdvr(&["top", "--once", "--json"]);
        text(&top.stdout).contains("some/text")
    });
    assert!(recorder.terminate().success());
    let shown = system.sdvr(&[
        "recordings",
        "verify",
        "-o",
        folder.path().to_str().unwrap(),
    ]);
    assert!(shown.status.success(), "{}", text(&shown.stdout));
    let shown = system.sdvr(&[
        "recordings",
        "show",
        "-o",
        folder.path().to_str().unwrap(),
        "some/text",
        "--json",
    ]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown[0]["frames"], 3, "{shown}; {}", recorder.log());
}

#[test]
fn every_label_has_a_folder_of_its_own() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let labels = ["a.b-c_d", "0", "A", "a", "a/b", "a/b.c/d_e"];
    let mut recorder = system.start_recorder(folder.path(), &[]);
    let mut publishers: Vec<Publisher> = labels
        .iter()
        .map(|label| publisher(&system, label, FourCc(*b"TEXT")))
        .collect();
    for publisher in &mut publishers {
        publish(publisher, &[b"text"], FrameFlags::KEY);
    }
    let folders = labels.map(|label| label.replace('/', ","));
    wait_until("all are recorded", || {
        folders
            .iter()
            .all(|label| files(folder.path(), label).len() == 1)
    });
    assert!(recorder.terminate().success());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        labels.len()
    );
}
