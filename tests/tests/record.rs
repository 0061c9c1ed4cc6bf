//! `sdvr record`: what it writes of real cameras, by the word of ffprobe, ffmpeg and its own index.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use sdvr::{Camera, Policy, Start};
use sdvr_tests::recording::{decode, files, probe, shown, times};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{PATIENCE, System, footage, text, wait_until};

/// Half a second of the footage to a key frame.
const FRAMES: u32 = 100;

fn recorded(folder: &Path, label: &str) -> u64 {
    files(folder, label)
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

#[test]
fn a_film_is_recorded_frame_for_frame_and_with_its_times() {
    let system = System::with_daemon();
    for (label, extension, container, codec, rate, frames) in [
        ("still", "mjpeg", "mkv", "mjpeg", "50", FRAMES),
        ("avc", "live.h264", "mp4", "h264", "50", FRAMES),
        ("hevc", "live.hevc", "mp4", "hevc", "50", FRAMES),
        // Shown in another order than they are sent; the last one so slowly that a frame waits for others over many writes.
        ("avc-b", "h264", "mp4", "h264", "50", FRAMES),
        ("hevc-b", "hevc", "mp4", "hevc", "50", FRAMES),
        ("slow-b", "h264", "mp4", "h264", "4", 30),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = system.start_recorder(folder.path(), &[label, "--segment", "1h"]);
        // The recorder waits for it: not one frame is missed.
        let mut camera = Camera::wait_for_in(&system.shm(), label);
        let film = footage::clip(extension, frames);
        let _client = system.start_client(label, film.to_str().unwrap(), &["-r", rate]);
        let mut captured = Vec::new();
        let mut bytes = 0;
        while captured.len() < frames as usize {
            let frame = camera.next(Policy::Every, PATIENCE).unwrap().unwrap();
            captured.push(frame.captured().as_nanoseconds());
            bytes += frame.bytes().len() as u64;
        }
        wait_until("the end is recorded", || {
            recorded(folder.path(), label) >= bytes * 9 / 10
        });
        assert!(recorder.terminate().success(), "{}", recorder.log());
        let all = files(folder.path(), label);
        let [file] = all.as_slice() else {
            panic!("{all:?}; {}", recorder.log())
        };
        assert_eq!(file.extension().unwrap(), container);
        decode(file);
        let about = probe(file);
        assert_eq!(about["streams"][0]["codec_name"], codec, "{about}");
        // To what the container can say: microseconds, and tenths of a millisecond in Matroska.
        let seen = times(file);
        assert_eq!(seen.len(), frames as usize, "{}", recorder.log());
        assert_eq!(shown(file), seen, "{label}");
        for (seen, real) in seen.iter().zip(&captured) {
            let real = real - captured[0];
            assert!((seen - real).abs() <= 100_000, "{label}: {seen} for {real}");
        }
        assert!(
            recorder.log().contains("none lost here"),
            "{}",
            recorder.log()
        );
        let verified = system.sdvr(&[
            "recordings",
            "verify",
            "-o",
            folder.path().to_str().unwrap(),
        ]);
        assert!(verified.status.success(), "{verified:?}");
    }
}

#[test]
fn files_are_for_their_owner_only_and_named_by_their_first_frame() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("video");
    let _client = system.start_client("door", "test:?format=MJPG&size=160x120&fps=20", &[]);
    let mut recorder = system.start_recorder(&place, &["--segment", "2s"]);
    wait_until("two files are complete", || {
        files(&place, "door").len() >= 3
    });
    recorder.signal(Signal::INT);
    assert!(recorder.wait().success());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    assert_eq!(mode(&place.join("door")), 0o700);
    for file in files(&place, "door") {
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        decode(&file);
        let begins = probe(&file)["format"]["tags"]["creation_time"].to_string();
        let day = file
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let time = file.file_stem().unwrap().to_str().unwrap();
        let name = format!("{day}T{}", time.get(..8).unwrap().replace('-', ":"));
        assert!(begins.contains(&name), "{begins} in {}", file.display());
    }
    // One goes on where the one before ends.
    let listed = system.sdvr(&[
        "recordings",
        "list",
        "-o",
        place.to_str().unwrap(),
        "--json",
    ]);
    assert!(listed.status.success(), "{listed:?}");
}

#[test]
fn a_camera_that_comes_back_and_one_with_another_format_begin_new_files() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = system.start_recorder(folder.path(), &["--segment", "1h"]);
    for (count, source) in [
        (1, "test:?format=MJPG&size=160x120&fps=20"),
        (2, "test:?format=MJPG&size=320x240&fps=20"),
        (3, "test:?format=YUYV&size=160x120&fps=20"),
    ] {
        let mut client = system.start_client("door", source, &[]);
        wait_until("it is recorded", || {
            let files = files(folder.path(), "door");
            files.len() == count
                && files
                    .iter()
                    .all(|file| file.metadata().unwrap().len() > 10_000)
        });
        assert!(client.terminate().success());
    }
    assert!(recorder.terminate().success());
    let sizes: Vec<String> = files(folder.path(), "door")
        .iter()
        .map(|file| {
            decode(file);
            let stream = probe(file)["streams"][0].clone();
            format!("{} {}", stream["codec_name"], stream["width"])
        })
        .collect();
    assert_eq!(
        sizes,
        ["\"mjpeg\" 160", "\"mjpeg\" 320", "\"rawvideo\" 160"]
    );
}

#[test]
fn an_event_is_recorded_from_before_it_happened() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=MJPG&size=160x120&fps=20", &[]);
    let _other = system.start_client("yard", "test:?format=MJPG&size=160x120&fps=20", &[]);
    system.wait_for_state("door", "live");
    let alarm = folder.path().join("alarm");
    let place = folder.path().join("video");
    let mut recorder = system.start_recorder(
        &place,
        &[
            "--pre-roll",
            "2s",
            "--for",
            "2s",
            "--on-signal",
            "--on-trigger",
            alarm.to_str().unwrap(),
        ],
    );
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(files(&place, "door").len(), 0, "nothing has happened");
    std::fs::write(&alarm, "").unwrap();
    wait_until("the event is recorded", || files(&place, "door").len() == 1);
    // Until it is over.
    std::thread::sleep(Duration::from_secs(4));
    let first = files(&place, "door");
    let length = times(&first[0]).last().copied().unwrap();
    assert!((3_500_000_000..6_000_000_000).contains(&length), "{length}");
    assert_eq!(files(&place, "yard").len(), 1, "it was everybody's event");
    recorder.signal(Signal::USR1);
    wait_until("the next event is recorded", || {
        files(&place, "door").len() == 2
    });
    assert!(recorder.terminate().success(), "{}", recorder.log());
}

#[test]
fn the_list_beside_planes_says_how_they_lie() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=YUYV&size=162x120&fps=20", &[]);
    let mut recorder = system.start_recorder(folder.path(), &["--raw"]);
    let raw = || {
        let all = files(folder.path(), "door").into_iter();
        all.filter(|file| file.extension().unwrap() == "raw")
            .collect::<Vec<_>>()
    };
    wait_until("planes are written", || {
        raw()
            .iter()
            .any(|file| file.metadata().unwrap().len() > 20 * 38_880)
    });
    assert!(recorder.terminate().success(), "{}", recorder.log());
    let [file] = <[_; 1]>::try_from(raw()).unwrap();
    let list = std::fs::read_to_string(file.with_extension("times.csv")).unwrap();
    let (about, times): (Vec<&str>, Vec<&str>) =
        list.lines().partition(|line| line.starts_with('#'));
    assert_eq!(
        about,
        [
            "# 162x120 pixels, 422P, yuv422p for ffmpeg, 38880 bytes a frame",
            "# Y at 0: 120 rows of 162 bytes",
            "# Cb at 19440: 120 rows of 81 bytes",
            "# Cr at 29160: 120 rows of 81 bytes",
            "# ffplay -f rawvideo -pixel_format yuv422p -video_size 162x120 FILE",
        ]
    );
    assert_eq!(times[0], "frame,captured");
    let frames = times.len() as u64 - 1;
    assert_eq!(file.metadata().unwrap().len(), frames * 38_880);
    // ffmpeg takes them by what is said.
    let decoded = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pixel_format", "yuv422p"])
        .args(["-video_size", "162x120", "-i"])
        .arg(&file)
        .args(["-f", "framecrc", "-"])
        .output()
        .unwrap();
    let lines = text(&decoded.stdout);
    let decoded = lines.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(decoded.count() as u64, frames, "{lines}");
    // An index that is made anew has them all.
    let place = folder.path().to_str().unwrap();
    std::fs::remove_file(folder.path().join("door/index.sqlite")).unwrap();
    let shown = system.sdvr(&["recordings", "show", "-o", place, "door", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown[0]["frames"].as_u64(), Some(frames), "{shown}");
}

#[test]
fn a_name_in_the_pipe_that_no_camera_has_is_told_once() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=MJPG&size=160x120&fps=20", &[]);
    system.wait_for_state("door", "live");
    let (alarm, place) = (folder.path().join("alarm"), folder.path().join("video"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &alarm, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let options = ["--for", "1s", "--on-trigger", alarm.to_str().unwrap()];
    let mut recorder = system.start_recorder(&place, &options);
    // The recorder has the pipe open for reading: nobody waits.
    for _ in 0..3 {
        std::fs::write(&alarm, b"dor\n\xff\n").unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    wait_until("it is told", || recorder.log().contains("\"dor\""));
    std::fs::write(&alarm, b"door\n").unwrap();
    wait_until("the event is recorded", || files(&place, "door").len() == 1);
    assert!(recorder.terminate().success(), "{}", recorder.log());
    let told = "no camera is called \"dor\"; there are door";
    assert_eq!(recorder.times_said(told), 1, "{}", recorder.log());
    let log = recorder.log();
    assert_eq!(recorder.times_said("no camera is called"), 2, "{log}");
}

#[test]
fn a_full_disk_pauses_recording_and_says_so_once() {
    pauses_once("test:?format=YUYV&size=320x240&fps=20", 8 << 20);
}

#[test]
fn so_it_does_with_frames_that_go_straight_from_the_ring_to_the_file() {
    pauses_once("test:?format=YUYV&size=2560x1700&fps=4", 160 << 20);
}

/// Of the disk's bytes three quarters are in use already.
fn pauses_once(source: &str, disk_bytes: usize) {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&place, disk_bytes as u64) else {
        return;
    };
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![1; disk_bytes / 4 * 3]).unwrap();
    let _client = system.start_client("door", source, &[]);
    let mut recorder = system.start_recorder(&place, &["--segment", "1s"]);
    wait_until("it pauses", || recorder.log().contains("PAUSED"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(recorder.times_said("PAUSED"), 1, "{}", recorder.log());
    let top = system.sdvr(&["top", "--once", "--json"]);
    let top: serde_json::Value = serde_json::from_slice(&top.stdout).unwrap();
    assert_eq!(
        top["recorders"][0]["cameras"][0]["state"], "paused",
        "{top}"
    );
    std::fs::remove_file(&ballast).unwrap();
    wait_until("it goes on", || recorder.log().contains("recording again"));
    wait_until("a file is written", || files(&place, "door").len() >= 3);
    assert!(recorder.terminate().success(), "{}", recorder.log());
    for file in files(&place, "door") {
        decode(&file);
    }
    let verified = system.sdvr(&["recordings", "verify", "-o", place.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn a_full_disk_takes_the_oldest_if_it_may() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&place, 24 << 20) else {
        return;
    };
    let _client = system.start_client("door", "test:?format=YUYV&size=320x240&fps=20", &[]);
    // As much as the disk has, and it is full before.
    let options = ["--segment", "1s", "--max-size", "1G"];
    let mut recorder = system.start_recorder(&place, &options);
    wait_until("the oldest are removed", || {
        recorder.log().contains("oldest files were removed")
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(!recorder.log().contains("PAUSED"), "{}", recorder.log());
    assert!(recorder.terminate().success());
    assert!(
        recorder.log().contains("none lost here"),
        "{}",
        recorder.log()
    );
    let verified = system.sdvr(&["recordings", "verify", "-o", place.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
}

#[test]
fn a_disk_that_is_read_only_is_said_and_what_is_there_is_read() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    let Some(disk) = SmallDisk::mount(&place, 64 << 20) else {
        return;
    };
    let _client = system.start_client("door", "test:?format=MJPG&size=320x240&fps=20", &[]);
    let mut recorder = system.start_recorder(&place, &[]);
    wait_until("it is recorded", || !files(&place, "door").is_empty());
    std::thread::sleep(Duration::from_secs(2));
    recorder.kill();
    disk.make_read_only();
    let shown = place.to_str().unwrap();
    let output = system.sdvr(&["record", "-o", shown]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains("nothing can be recorded in") && said.contains("Read-only"),
        "{said}"
    );
    // What the recorder that was killed has left can be seen and copied, though not completed.
    let listed = system.sdvr(&["recordings", "list", "-o", shown]);
    assert!(listed.status.success(), "{listed:?}");
    assert!(text(&listed.stdout).contains("door"), "{listed:?}");
    let export = folder.path().join("export.mkv");
    let exported = system.sdvr(&[
        "recordings",
        "export",
        "-o",
        shown,
        "door",
        "--from",
        "-1h",
        "--to",
        "now",
        "-O",
        export.to_str().unwrap(),
    ]);
    assert!(exported.status.success(), "{exported:?}");
    decode(&export);
    assert!(times(&export).len() > 10);
}

#[test]
fn what_cannot_be_recorded_into_is_said() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (place, why) in [
        (file.clone(), "is no directory"),
        (file.join("below"), "cannot make"),
        (folder.path().join("not/there"), "its parent must be there"),
        ("/proc".into(), "/proc"),
    ] {
        let output = system.sdvr(&["record", "-o", place.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(why), "{output:?}");
    }
    for options in [
        &["--pre-roll", "1s"][..],
        &["--for", "1s"],
        &["--segment", "0s"],
        &["--raw", "--y4m"],
    ] {
        let arguments = [&["record", "-o", "x"], options].concat();
        let output = system.sdvr(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

#[test]
fn two_recorders_do_not_share_a_folder() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let _client = system.start_client("door", "test:?format=MJPG&size=160x120&fps=20", &[]);
    let mut first = system.start_recorder(folder.path(), &[]);
    wait_until("it records", || !files(folder.path(), "door").is_empty());
    let mut second = system.start_recorder(folder.path(), &[]);
    wait_until("it is said", || {
        second.log().contains("another sdvr records")
    });
    assert!(second.terminate().success());
    assert!(first.runs() && first.terminate().success());
    assert!(
        files(folder.path(), "door")
            .iter()
            .all(|file| file.extension().unwrap() == "mkv")
    );
}

#[test]
fn a_recorder_that_is_late_records_what_the_ring_still_has() {
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    let film = footage::clip("live.h264", FRAMES);
    let _client = system.start_client("door", film.to_str().unwrap(), &["-r", "25", "--loop"]);
    system.wait_for_state("door", "live");
    std::thread::sleep(Duration::from_secs(1));
    let mut recorder = system.start_recorder(folder.path(), &["--segment", "2s"]);
    wait_until("some files are complete", || {
        files(folder.path(), "door").len() >= 4
    });
    assert!(recorder.terminate().success());
    for file in files(folder.path(), "door") {
        decode(&file);
    }
    let mut camera = Camera::open_in(&system.shm(), "door", Start::Now).unwrap();
    assert!(camera.next(Policy::Every, PATIENCE).unwrap().is_some());
}
