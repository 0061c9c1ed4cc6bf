//! `sdvr recordings`: what was recorded of real cameras is listed, checked and exported, by the word of ffprobe and ffmpeg.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};
use std::process::Output;

use sdvr_tests::recording::{decode, files, times};
use sdvr_tests::{System, footage, text, wait_until};
use serde_json::Value;

/// A key frame in each half second.
const FRAMES: u32 = 250;

/// What `sdvr recordings` says with these words and the directory.
fn recordings(system: &System, folder: &Path, words: &[&str]) -> Output {
    let mut command = system.command("sdvr");
    command.arg("recordings").args(words).arg("-o").arg(folder);
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A film that was recorded into several files, and the folder.
fn recorded(system: &System, extension: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = system.start_recorder(folder.path(), &["film", "--segment", "1s"]);
    wait_until("the recorder is there", || recorder.runs());
    // It is made when it is not there, by one of the tests.
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let making = MAKING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let film = footage::clip(extension, FRAMES);
    drop(making);
    let _client = system.start_client("film", film.to_str().unwrap(), &["-r", "50"]);
    wait_until("files are complete", || {
        files(folder.path(), "film").len() >= 4
    });
    assert!(recorder.terminate().success(), "{}", recorder.log());
    folder
}

fn segments(system: &System, folder: &Path) -> Vec<Value> {
    let shown = json(&recordings(system, folder, &["show", "film", "--json"]));
    shown.as_array().unwrap().clone()
}

/// `2026-11-23T14:05:00.123456789Z` as nanoseconds, and back.
fn nanoseconds(time: &str) -> i64 {
    let time = humantime::parse_rfc3339(time).unwrap();
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}

fn date(nanoseconds: i64) -> String {
    let since = std::time::Duration::from_nanos(nanoseconds.unsigned_abs());
    humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + since).to_string()
}

/// When each frame of a file was taken, by its index and by ffprobe.
fn dates(segment: &Value) -> Vec<i64> {
    let begins = nanoseconds(segment["begins"].as_str().unwrap());
    let file = PathBuf::from(segment["file"].as_str().unwrap());
    times(&file).iter().map(|time| begins + time).collect()
}

/// Exports the middle of a film across its files, and compares each frame's time.
fn check_export(extension: &str, container: &str, is_inter_coded: bool) {
    let system = System::with_daemon();
    let folder = recorded(&system, extension);
    let segments = segments(&system, folder.path());
    let all: Vec<i64> = segments.iter().flat_map(dates).collect();
    // From the middle of the first file to the middle of the third, and not at a frame.
    let first = segments[0]["frames"].as_u64().unwrap();
    let third: u64 = segments[..2]
        .iter()
        .map(|segment| segment["frames"].as_u64().unwrap())
        .sum();
    let from_at = usize::try_from(first / 2).unwrap() + 5;
    let to_at = usize::try_from(third).unwrap() + 7;
    let from = all[from_at] - 1_000_000;
    let to = all[to_at] + 1_000_000;
    let out = folder.path().join(format!("out.{container}"));
    let exported = recordings(
        &system,
        folder.path(),
        &[
            "export",
            "film",
            "--from",
            &date(from),
            "--to",
            &date(to),
            "-O",
            out.to_str().unwrap(),
        ],
    );
    assert!(exported.status.success(), "{exported:?}");
    decode(&out);
    // The last frame is the one that was asked for; the first, too, or a key frame before it.
    let seen = times(&out);
    let begin = to_at + 1 - seen.len();
    if is_inter_coded {
        assert!(
            begin <= from_at && from_at - begin < 25,
            "{begin} for {from_at}"
        );
    } else {
        assert_eq!(begin, from_at);
    }
    for (seen, real) in seen.iter().zip(&all[begin..]) {
        let real = real - all[begin];
        // Matroska has tenths of a millisecond, and each file its own beginning.
        assert!((seen - real).abs() <= 200_000, "{seen} for {real}");
    }
    let said = text(&exported.stdout);
    assert!(
        said.contains(&format!("{} frames from ", seen.len())) && said.contains("of 3 segments"),
        "{said}"
    );
    // It is not made again without being asked.
    let again = [
        "export",
        "film",
        "--from",
        &date(from),
        "--to",
        &date(to),
        "-O",
        out.to_str().unwrap(),
    ];
    let refused = recordings(&system, folder.path(), &again);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let mut forced = again.to_vec();
    forced.push("--force");
    assert!(recordings(&system, folder.path(), &forced).status.success());
    let verified = recordings(&system, folder.path(), &["verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn h264_is_exported_across_files_from_the_key_frame_before() {
    check_export("live.h264", "mp4", true);
}

#[test]
fn h265_is_exported_across_files_from_the_key_frame_before() {
    check_export("live.hevc", "mp4", true);
}

#[test]
fn motion_jpeg_is_exported_across_files_to_the_frame() {
    check_export("mjpeg", "mkv", false);
}

#[test]
fn what_is_listed_and_shown_is_what_is_in_the_files() {
    let system = System::with_daemon();
    let folder = recorded(&system, "mjpeg");
    let listed = json(&recordings(&system, folder.path(), &["list", "--json"]));
    let all = files(folder.path(), "film");
    let row = &listed[0];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&row["label"], row["segments"].as_u64()),
        (&Value::from("film"), Some(all.len() as u64))
    );
    let bytes: u64 = all.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(
        (row["bytes"].as_u64(), row["not_complete"].as_u64()),
        (Some(bytes), Some(0))
    );
    let segments = segments(&system, folder.path());
    let mut frames = 0;
    for (segment, file) in segments.iter().zip(&all) {
        assert_eq!(Path::new(segment["file"].as_str().unwrap()), file);
        assert_eq!(
            (&segment["state"], &segment["format"]),
            (&Value::from("complete"), &Value::from("MJPG"))
        );
        let count = times(file).len();
        assert_eq!(segment["frames"].as_u64(), Some(count as u64));
        frames += count;
    }
    assert_eq!(row["frames"].as_u64(), Some(frames as u64));
    assert_eq!(
        (&row["first"], &row["last"]),
        (&segments[0]["begins"], &segments.last().unwrap()["ends"])
    );
    // Tables for people have the same lines.
    let shown = text(&recordings(&system, folder.path(), &["show", "film"]).stdout);
    assert!(
        shown.starts_with("BEGINS") && shown.lines().count() > all.len(),
        "{shown}"
    );
    let listed = text(&recordings(&system, folder.path(), &["list"]).stdout);
    assert!(
        listed.starts_with("CAMERA") && listed.lines().count() == 2,
        "{listed}"
    );
    // Only some of them.
    let end = segments[0]["ends"].as_str().unwrap();
    let some = json(&recordings(
        &system,
        folder.path(),
        &["show", "film", "--json", "--to", end],
    ));
    assert_eq!(some.as_array().unwrap().len(), 1);
    let none = json(&recordings(
        &system,
        folder.path(),
        &["show", "film", "--json", "--to", "2020-01-01"],
    ));
    assert_eq!(none, Value::Array(Vec::new()));
}

#[test]
fn one_byte_that_is_another_is_found_and_named() {
    let system = System::with_daemon();
    let folder = recorded(&system, "mjpeg");
    let all = files(folder.path(), "film");
    let good = std::fs::read(&all[1]).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&all[1], bytes).unwrap();
    let verified = recordings(&system, folder.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    let said = text(&verified.stdout);
    let name = all[1].to_str().unwrap();
    assert!(said.contains(name) && said.contains(": 1 wrong"), "{said}");
    std::fs::write(&all[1], good).unwrap();
    assert!(
        recordings(&system, folder.path(), &["verify", "film"])
            .status
            .success()
    );
}

#[test]
fn an_index_that_was_deleted_is_there_again() {
    let system = System::with_daemon();
    let folder = recorded(&system, "live.h264");
    let before = segments(&system, folder.path());
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("film/index.sqlite{end}")));
    }
    let after = segments(&system, folder.path());
    assert_eq!(after.len(), before.len());
    for (after, before) in after.iter().zip(&before) {
        for key in [
            "file",
            "state",
            "frames",
            "bytes",
            "format",
            "width",
            "height",
            "fingerprint",
        ] {
            assert_eq!(after[key], before[key], "{key}");
        }
        for key in ["begins", "ends"] {
            // Files have microseconds.
            let time = |segment: &Value| nanoseconds(segment[key].as_str().unwrap());
            assert!(
                (time(after) - time(before)).abs() < 1000,
                "{key}: {after}, {before}"
            );
        }
    }
    assert!(
        recordings(&system, folder.path(), &["verify"])
            .status
            .success()
    );
}

#[test]
fn what_is_not_there_is_wrong_usage_and_told() {
    let system = System::new();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.mp4");
    let export = [
        "export",
        "door",
        "--from",
        "-1h",
        "--to",
        "now",
        "-O",
        out.to_str().unwrap(),
    ];
    for words in [
        &["list", "door"][..],
        &["show", "door"],
        &["verify", "door"],
        &export,
    ] {
        let output = recordings(&system, folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert!(
            text(&output.stderr).contains("no recordings of door"),
            "{output:?}"
        );
        let output = recordings(&system, &folder.path().join("nowhere"), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert!(
            text(&output.stderr).contains("nowhere does not exist"),
            "{output:?}"
        );
    }
    for words in [
        &["list", "../door"][..],
        &["show", "door", "--from", "yesterday"],
        &["show", "door", "--from", "15:00", "--to", "14:00"],
        &["show"],
        &[],
    ] {
        let output = recordings(&system, folder.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    }
    let empty = recordings(&system, folder.path(), &["list"]);
    assert!(
        empty.status.success() && text(&empty.stderr).contains("no recordings in"),
        "{empty:?}"
    );
    assert!(!out.exists());
}
