//! What an index promises that needs no recordings that can be played.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sdvr_frame::{FourCc, FrameRate, StreamFormat, StreamLabel};

use super::*;
use crate::About;

pub(crate) const S: i64 = 1_000_000_000;
/// 2026-11-23T14:05:00Z.
pub(crate) const BEGIN: i64 = 1_795_442_700 * S;

pub(crate) fn label(text: &str) -> StreamLabel {
    text.parse().unwrap()
}

pub(crate) fn about(label: &StreamLabel, begins: i64) -> About {
    About {
        label: label.clone(),
        fingerprint: Some(sdvr_frame::PublicKey([7; 32]).fingerprint()),
        format: StreamFormat {
            fourcc: FourCc::MJPG,
            width: 640,
            height: 480,
            rate: FrameRate::from_whole(30),
        },
        begins: UtcTime(begins),
    }
}

pub(crate) fn open(directory: &Path, name: &str) -> Index {
    Index::open_to_record(directory, &label(name), &mut |_| {}).unwrap()
}

/// A finished segment of a minute, in which no one can see anything.
pub(crate) fn record(index: &mut Index, begins: i64, bytes: usize) -> Segment {
    record_for(index, begins, 60 * S, bytes)
}

pub(crate) fn record_for(index: &mut Index, begins: i64, length: i64, bytes: usize) -> Segment {
    let begun = index
        .begin_segment(&about(&index.label().clone(), begins), "mp4")
        .unwrap();
    fs::write(&begun.path, vec![7; bytes]).unwrap();
    let completed = Completed {
        state: SegmentState::Complete,
        begins: UtcTime(begins),
        ends: UtcTime(begins + length),
        frames: 1800,
        lost: 3,
        bytes: bytes as u64,
        head_bytes: 0,
        checksum: Some(Checksum::of_file(&begun.path, 0).unwrap()),
    };
    index.complete_segment(begun.id, &completed).unwrap();
    index.segment(begun.id).unwrap().unwrap()
}

fn all(index: &Index) -> Vec<Segment> {
    index
        .segments(UtcTime(i64::MIN), UtcTime(i64::MAX))
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn segments_and_gaps_are_there_when_it_is_opened_again() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "front-door");
    let first = record(&mut index, BEGIN, 1000);
    let gap = Gap {
        begins: UtcTime(BEGIN),
        ends: UtcTime(BEGIN + S),
        frames: 30,
        reason: GapReason::SlowDisk,
    };
    index.note_gap(first.id, &gap).unwrap();
    let second = record(&mut index, BEGIN + 60 * S, 500);
    let begun = index
        .begin_segment(&about(&label("front-door"), BEGIN + 120 * S), "mkv")
        .unwrap();
    index.set_open_bytes(77);
    assert_eq!(index.total_bytes(), 1577);
    drop(index);

    let index = Index::open_to_read(place.path(), &label("front-door"), &mut |_| {}).unwrap();
    assert_eq!(all(&index)[..2], [first.clone(), second]);
    assert_eq!(index.gaps(first.id).unwrap(), [gap]);
    let unfinished = index.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(index.file(&unfinished[0]), begun.path);
    assert_eq!(index.total_bytes(), 1500);
    let summary = index.summary().unwrap();
    assert_eq!(
        (summary.segments, summary.not_complete, summary.gaps),
        (3, 1, 1)
    );
    assert_eq!(
        (summary.frames, summary.lost, summary.bytes),
        (3600, 6, 1500)
    );
    assert_eq!(summary.first, Some(UtcTime(BEGIN)));
    assert_eq!(summary.last, Some(UtcTime(BEGIN + 120 * S)));
}

#[test]
fn only_the_owner_can_look_into_folders_and_index() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "front-door/people");
    let segment = record(&mut index, BEGIN, 1);
    let folder = place.path().join("front-door,people");
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("2026-11-23")), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    assert_eq!(segment.path, "2026-11-23/14-05-00.mp4");
}

#[test]
fn a_second_recording_of_one_second_gets_another_name() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let paths: Vec<String> = (0..3)
        .map(|n| record(&mut index, BEGIN + n, 1).path)
        .collect();
    assert_eq!(
        paths,
        [
            "2026-11-23/14-05-00.mp4",
            "2026-11-23/14-05-00-2.mp4",
            "2026-11-23/14-05-00-3.mp4"
        ]
    );
    // Nor does one of another extension, a file that the index does not know, or one that it knows and that is gone.
    fs::write(place.path().join("door/2026-11-23/14-05-00-4.mkv"), b"").unwrap();
    fs::remove_file(place.path().join("door/2026-11-23/14-05-00-3.mp4")).unwrap();
    assert_eq!(
        record(&mut index, BEGIN, 1).path,
        "2026-11-23/14-05-00-5.mp4"
    );
    // Nor one beside which there is a list of pictures' times.
    fs::write(
        place.path().join("door/2026-11-23/14-05-00-6.times.csv"),
        b"",
    )
    .unwrap();
    assert_eq!(
        record(&mut index, BEGIN, 1).path,
        "2026-11-23/14-05-00-7.mp4"
    );
}

#[test]
fn the_order_is_that_of_recording_whatever_the_clock_says_and_no_number_comes_twice() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let years = 14 * 365 * 86_400 * S;
    let begins = [BEGIN, BEGIN + years, BEGIN + 60 * S, 0, BEGIN + 120 * S];
    let recorded: Vec<Segment> = begins
        .iter()
        .map(|&begins| record(&mut index, begins, 1))
        .collect();
    assert_eq!(all(&index), recorded);
    assert!(recorded.windows(2).all(|pair| pair[0].id < pair[1].id));
    let last = recorded.last().unwrap();
    index.remove_segment(last).unwrap();
    drop(index);
    let mut index = open(place.path(), "door");
    assert!(record(&mut index, BEGIN, 1).id > last.id);
}

#[test]
fn segments_are_found_by_any_of_their_frames() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    for n in 0..10 {
        record(&mut index, BEGIN + n * 60 * S, 1);
    }
    let begins = |from: i64, to: i64| -> Vec<i64> {
        let found = index
            .segments(UtcTime(BEGIN + from * S), UtcTime(BEGIN + to * S))
            .unwrap();
        found
            .iter()
            .map(|segment| (segment.begins.0 - BEGIN) / S)
            .collect()
    };
    assert_eq!(begins(61, 62), [60]);
    assert_eq!(begins(60, 119), [0, 60]);
    assert!(begins(-10, -1).is_empty());
    assert_eq!(begins(599, 9999), [540]);
}

/// What another version of this program entered is as good as what this one does.
#[test]
fn a_reason_of_a_later_version_is_no_damage() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let segment = record(&mut index, BEGIN, 10);
    let text = format!("{}\x000\x001\x007\0full moon", segment.id.0);
    let sql = "INSERT INTO gaps (segment, begins, ends, frames, reason, seal) \
               VALUES (?1, 0, 1, 7, 'full moon', ?2)";
    let values = (segment.id.0, super::segment::seal(&text));
    index.connection.execute(sql, values).unwrap();
    drop(index);
    let mut said = Vec::new();
    let index = Index::open_to_read(place.path(), &label("door"), &mut |line| {
        said.push(line.to_owned())
    });
    let gap = Gap {
        begins: UtcTime(0),
        ends: UtcTime(1),
        frames: 7,
        reason: GapReason::Unknown,
    };
    assert_eq!(index.unwrap().gaps(segment.id).unwrap(), [gap]);
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_removed_segment_takes_its_file_its_gaps_and_the_empty_folder_with_it() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let first = record(&mut index, BEGIN, 10);
    let second = record(&mut index, BEGIN + 60 * S, 20);
    let gap = Gap {
        begins: UtcTime(0),
        ends: UtcTime(1),
        frames: 0,
        reason: GapReason::Clock,
    };
    index.note_gap(first.id, &gap).unwrap();
    index.remove_segment(&first).unwrap();
    assert!(!index.file(&first).exists() && index.file(&second).exists());
    assert_eq!(index.summary().unwrap().gaps, 0);
    assert_eq!(index.total_bytes(), 20);
    // Its file is gone already: that is no failure.
    fs::remove_file(index.file(&second)).unwrap();
    index.remove_segment(&second).unwrap();
    assert_eq!((index.total_bytes(), all(&index)), (0, vec![]));
    assert!(!place.path().join("door/2026-11-23").exists());
}

#[test]
fn one_records_and_others_read() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let first = record(&mut index, BEGIN, 10);
    let second = Index::open_to_record(place.path(), &label("door"), &mut |_| {});
    assert!(matches!(second, Err(IndexError::InUse(_))), "{second:?}");
    let reader = Index::open_to_read(place.path(), &label("door"), &mut |_| {}).unwrap();
    assert_eq!(all(&reader), [first]);
    // A reader that stands in the middle of something does not keep the recorder waiting.
    reader
        .connection
        .execute_batch("BEGIN; SELECT count(*) FROM segments;")
        .unwrap();
    record(&mut index, BEGIN + 60 * S, 10);
    drop(index);
    open(place.path(), "door");
}

#[test]
fn what_cannot_be_used_is_told() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("not/there");
    let error = Index::open_to_record(&missing, &label("door"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IndexError::NoDirectory(_)), "{error}");
    let error = Index::open_to_read(place.path(), &label("door"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IndexError::NoCamera { .. }), "{error}");

    drop(open(place.path(), "door"));
    // As a file system does that makes no difference between them.
    std::os::unix::fs::symlink("door", place.path().join("Door")).unwrap();
    let error = Index::open_to_record(place.path(), &label("Door"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IndexError::OtherCamera { .. }), "{error}");

    let path = place.path().join("door").join(INDEX_FILE);
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let error = Index::open_to_record(place.path(), &label("door"), &mut |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            IndexError::Newer {
                version: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    // It is still there: a newer program needs it.
    assert_eq!(
        fs::read_dir(place.path().join("door"))
            .unwrap()
            .filter(|entry| entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .contains("damaged"))
            .count(),
        0
    );

    fs::write(place.path().join("file"), b"").unwrap();
    let error = Index::open_to_record(place.path(), &label("file"), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, IndexError::Io { what: "make", .. }),
        "{error}"
    );
}

#[test]
fn cameras_are_those_that_have_a_folder() {
    let place = tempfile::tempdir().unwrap();
    for name in ["door", "door/people", "A.b_c-"] {
        drop(open(place.path(), name));
    }
    for other in ["lost+found", "empty", ".trash/2026-11-23", "notes/2026-11"] {
        fs::create_dir_all(place.path().join(other)).unwrap();
    }
    fs::create_dir_all(place.path().join("indexless/2026-11-23")).unwrap();
    let found = camera_folders(place.path()).unwrap();
    assert_eq!(
        found,
        ["A.b_c-", "door", "door/people", "indexless"].map(label)
    );
}
