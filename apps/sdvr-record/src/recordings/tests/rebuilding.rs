//! Indexes that are lost, and what a recorder has left that was killed.

use super::*;
use crate::index::{Gap, GapReason, INDEX_FILE, IndexError, Recovery};

const GAP: Gap = Gap {
    begins: UtcTime(BEGIN),
    ends: UtcTime(BEGIN + S),
    frames: 10,
    reason: GapReason::SlowDisk,
};

/// What files alone tell.
fn of_files(segments: &[Segment]) -> Vec<Segment> {
    let of_file = |(at, segment): (usize, &Segment)| Segment {
        id: crate::index::SegmentId(i64::try_from(at).unwrap() + 1),
        lost: 0,
        checksum: None,
        ..segment.clone()
    };
    segments.iter().enumerate().map(of_file).collect()
}

#[test]
fn an_index_that_was_deleted_is_made_of_the_files() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    // Two days, and two in one second.
    let recorded: Vec<Segment> = [0, 60, 120, 120, 86_400]
        .iter()
        .map(|at| film(&mut index, BEGIN + at * S, 25))
        .collect();
    drop(index);
    for entry in fs::read_dir(place.path().join("door")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let mut said = Vec::new();
    let index = Index::open_to_record(place.path(), &label("door"), &mut |line| {
        said.push(line.to_owned())
    })
    .unwrap();
    assert_eq!(all(&index), of_files(&recorded));
    assert_eq!(
        index.total_bytes(),
        recorded.iter().map(|segment| segment.bytes).sum::<u64>()
    );
    assert_eq!(said.len(), 1, "{said:?}");
    drop(index);
    // It was written, and nothing more is said.
    let index =
        Index::open_to_record(place.path(), &label("door"), &mut |line| panic!("{line}")).unwrap();
    assert_eq!(all(&index), of_files(&recorded));
}

#[test]
fn an_index_that_is_no_database_is_put_aside() {
    for content in [
        &b"not a database"[..],
        &[0; 4096],
        b"SQLite format 3\0 and no more",
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut index = open(place.path(), "door");
        let recorded = film(&mut index, BEGIN, 25);
        drop(index);
        let path = place.path().join("door").join(INDEX_FILE);
        fs::write(&path, content).unwrap();
        // Whoever only reads makes it anew as well.
        let index = Index::open_to_read(place.path(), &label("door"), &mut |_| {}).unwrap();
        assert_eq!(all(&index), of_files(&[recorded]));
        let aside = place.path().join("door/index.sqlite.damaged-1");
        assert_eq!(fs::read(aside).unwrap(), content);
        open(place.path(), "door");
    }
}

#[test]
fn another_program_s_database_is_put_aside_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("door");
    fs::create_dir(&folder).unwrap();
    let other = rusqlite::Connection::open(folder.join(INDEX_FILE)).unwrap();
    other
        .execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x');")
        .unwrap();
    drop(other);
    let mut said = Vec::new();
    let index = Index::open_to_record(place.path(), &label("door"), &mut |line| {
        said.push(line.to_owned())
    })
    .unwrap();
    assert!(
        all(&index).is_empty() && said[0].contains("another program's"),
        "{said:?}"
    );
    let kept = rusqlite::Connection::open(folder.join("index.sqlite.damaged-1")).unwrap();
    let title: String = kept
        .query_row("SELECT title FROM songs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(title, "x");
}

#[test]
fn an_index_that_is_taken_away_while_it_records_is_written_again() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let first = film(&mut index, BEGIN, 25);
    index.note_gap(first.id, &GAP).unwrap();
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        fs::remove_file(place.path().join("door").join(name)).unwrap();
    }
    // Who looks meanwhile sees what the files tell, and does not get in the way.
    let reader = Index::open_to_read(place.path(), &label("door"), &mut |_| {}).unwrap();
    assert_eq!(all(&reader), of_files(std::slice::from_ref(&first)));
    let second = film(&mut index, BEGIN + 60 * S, 25);
    assert_eq!(all(&index), [first.clone(), second.clone()]);
    drop(index);
    let index =
        Index::open_to_record(place.path(), &label("door"), &mut |line| panic!("{line}")).unwrap();
    assert_eq!(all(&index), [first.clone(), second]);
    assert_eq!(index.gaps(first.id).unwrap(), [GAP]);
}

/// The log that was left beside it is of the one that was taken away, and must not be taken for the new one's.
#[test]
fn an_index_of_which_only_the_log_is_left_is_written_again() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let mut recorded: Vec<Segment> = (0..20)
        .map(|n| film(&mut index, BEGIN + n * 60 * S, 2))
        .collect();
    let folder = place.path().join("door");
    for name in ["index.sqlite-wal", "index.sqlite-shm"] {
        fs::copy(folder.join(name), place.path().join(name)).unwrap();
    }
    recorded.extend((20..40).map(|n| film(&mut index, BEGIN + n * 60 * S, 2)));
    // An older log than the one that is in use, as a backup that is played back leaves it.
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    for name in ["index.sqlite-wal", "index.sqlite-shm"] {
        fs::rename(place.path().join(name), folder.join(name)).unwrap();
    }
    recorded.push(film(&mut index, BEGIN + 40 * 60 * S, 2));
    assert!(all(&index) == recorded);
    drop(index);
    let index =
        Index::open_to_record(place.path(), &label("door"), &mut |line| panic!("{line}")).unwrap();
    assert!(all(&index) == recorded);
}

/// Overwrites what the index has on the disk while it is open.
fn damage(folder: &std::path::Path) {
    let path = folder.join(INDEX_FILE);
    let other = rusqlite::Connection::open(&path).unwrap();
    // All of it in the one file, and what was read before read again.
    let _: i64 = other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    other
        .execute_batch("CREATE TABLE x (y); DROP TABLE x;")
        .unwrap();
    let _: i64 = other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let bytes = usize::try_from(file.metadata().unwrap().len()).unwrap();
    file.write_all_at(&vec![0xa5; bytes - 4096], 4096).unwrap();
}

#[test]
fn an_index_that_is_damaged_while_it_records_is_made_anew_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("door");
    let mut index = open(place.path(), "door");
    let mut recorded: Vec<Segment> = (0..5)
        .map(|n| film(&mut index, BEGIN + n * 60 * S, 25))
        .collect();
    // Numbers are not those that counting gives.
    index.remove_segment(&recorded.remove(1)).unwrap();
    let about = about_of(&index, BEGIN + 600 * S);
    let (begun, muxer, _file) = begin_film(&mut index, &about, 25);
    damage(&folder);
    index.note_gap(begun.id, &GAP).unwrap();
    let completed = Completed {
        state: SegmentState::Complete,
        begins: about.begins,
        ends: UtcTime(about.begins.0 + 24 * INTERVAL),
        frames: 25,
        lost: 10,
        bytes: begun.path.metadata().unwrap().len(),
        head_bytes: muxer.head().len() as u64,
        checksum: None,
    };
    index.complete_segment(begun.id, &completed).unwrap();
    assert_eq!(index.gaps(begun.id).unwrap(), [GAP]);
    assert_eq!(index.take_notices().len(), 1);
    let found = all(&index);
    assert_eq!(of_files(&found[..4]), of_files(&recorded));
    assert_eq!((found[4].id, found[4].lost), (begun.id, 10));
    // The next one begins, is completed and removed in damaged ones, too.
    damage(&folder);
    let next = film(&mut index, BEGIN + 660 * S, 25);
    assert!(next.id > begun.id);
    damage(&folder);
    index.remove_segment(&next).unwrap();
    assert!(!index.file(&next).exists());
    let found = all(&index);
    assert_eq!(found.len(), 5);
    assert_eq!(of_files(&found[..4]), of_files(&recorded));
    let bytes: u64 = found.iter().map(|segment| segment.bytes).sum();
    assert_eq!(index.total_bytes(), bytes);
    drop(index);
    Index::open_to_record(place.path(), &label("door"), &mut |line| panic!("{line}")).unwrap();
}

#[test]
fn an_index_that_alone_is_taken_away_is_written_again() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let first = film(&mut index, BEGIN, 25);
    fs::remove_file(place.path().join("door").join(INDEX_FILE)).unwrap();
    let second = film(&mut index, BEGIN + 60 * S, 25);
    assert_eq!(all(&index), [first.clone(), second.clone()]);
    drop(index);
    let index =
        Index::open_to_record(place.path(), &label("door"), &mut |line| panic!("{line}")).unwrap();
    assert_eq!(all(&index), [first, second]);
}

#[test]
fn files_that_the_index_does_not_know_are_added_to_it() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let mut recorded: Vec<Segment> = [0, 60]
        .iter()
        .map(|at| film(&mut index, BEGIN + at * S, 25))
        .collect();
    drop(index);
    let door = place.path().join("door");
    let save = place.path().join("save");
    fs::create_dir(&save).unwrap();
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = fs::copy(door.join(name), save.join(name));
    }
    let mut index = open(place.path(), "door");
    for at in [120, 86_400] {
        recorded.push(film(&mut index, BEGIN + at * S, 25));
    }
    drop(index);
    // As a power cut does that takes the index's last words.
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = fs::remove_file(door.join(name));
        let _ = fs::copy(save.join(name), door.join(name));
    }
    let index = open(place.path(), "door");
    let found = all(&index);
    assert_eq!(found[..2], recorded[..2]);
    assert_eq!(of_files(&found), of_files(&recorded));
    assert_eq!(
        index.total_bytes(),
        recorded.iter().map(|segment| segment.bytes).sum::<u64>()
    );
}

#[test]
fn what_a_killed_recorder_has_left_is_completed() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let whole = film(&mut index, BEGIN, 25);
    let about = about_of(&index, BEGIN + 60 * S);
    let (cut, _, mut file) = begin_film(&mut index, &about, 25);
    file.write_all(&[0x1f, 0x43, 0xb6, 0x75, 1, 0, 0]).unwrap();
    index.note_gap(cut.id, &GAP).unwrap();
    // Nothing but its name; not even that; and what is no recording.
    let about = about_of(&index, BEGIN + 120 * S);
    let empty = index.begin_segment(&about, "mkv").unwrap();
    fs::write(&empty.path, b"").unwrap();
    index.begin_segment(&about, "mkv").unwrap();
    let about = about_of(&index, BEGIN + 180 * S);
    let other = index.begin_segment(&about, "mkv").unwrap();
    fs::write(&other.path, b"something else entirely, and not short").unwrap();
    drop(index);

    let mut index = open(place.path(), "door");
    let expected = Recovery {
        recovered: 1,
        empty: 2,
        damaged: 1,
    };
    assert_eq!(index.recover_unfinished().unwrap(), expected);
    assert!(!empty.path.exists() && other.path.exists());
    let segments = all(&index);
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0], whole);
    assert_eq!(
        (segments[1].state, segments[1].frames, segments[1].lost),
        (SegmentState::Recovered, 25, 10)
    );
    assert_eq!(segments[1].ends, UtcTime(BEGIN + 60 * S + 24 * INTERVAL));
    assert_eq!(segments[1].bytes, cut.path.metadata().unwrap().len());
    assert_eq!(segments[2].state, SegmentState::Damaged);
    assert_eq!(index.recover_unfinished().unwrap(), Recovery::default());
    let verified = crate::recordings::verify(&index, &mut |_, _| true).unwrap();
    assert_eq!(
        (verified.segments, verified.problems.len()),
        (3, 1),
        "{verified:?}"
    );
}

/// A hole of zeros in the middle, in a file that was finished and in one that was not: all behind it stays, and what is before it is exported.
#[test]
fn damaged_files_stay_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let finished = film(&mut index, BEGIN, 25);
    let about = about_of(&index, BEGIN + 60 * S);
    let (open_one, _, _) = begin_film(&mut index, &about, 25);
    let mut contents = Vec::new();
    for path in [&index.file(&finished), &open_one.path] {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 500].fill(0);
        fs::write(path, &bytes).unwrap();
        contents.push((path.clone(), bytes));
    }
    drop(index);
    fs::remove_file(place.path().join("door").join(INDEX_FILE)).unwrap();
    let mut index = open(place.path(), "door");
    assert_eq!(index.recover_unfinished().unwrap(), Recovery::default());
    for (path, bytes) in contents {
        assert!(fs::read(path).unwrap() == bytes);
    }
    for segment in all(&index) {
        assert_eq!(segment.state, SegmentState::Damaged);
        assert!(segment.frames > 5 && segment.frames < 25, "{segment:?}");
        assert!(segment.ends > segment.begins);
    }
}

#[test]
fn a_file_that_cannot_be_completed_does_not_keep_others_from_it() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let mut begun = Vec::new();
    for n in 0..3 {
        let about = about_of(&index, BEGIN + n * 60 * S);
        begun.push(begin_film(&mut index, &about, 25).0);
    }
    // A folder cannot be written as a file is, not even by root.
    fs::remove_file(&begun[0].path).unwrap();
    fs::create_dir(&begun[0].path).unwrap();
    let error = index.recover_unfinished().unwrap_err();
    let IndexError::NotRecovered { done, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(done.recovered, 2);
    let states: Vec<_> = all(&index).iter().map(|segment| segment.state).collect();
    let recovered = SegmentState::Recovered;
    assert_eq!(states, [SegmentState::Open, recovered, recovered]);
}

/// What did not reach this host is no loss of the recorder's.
#[test]
fn lost_frames_are_those_that_arrived_and_were_not_recorded() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let about = about_of(&index, BEGIN);
    let (begun, _, _) = begin_film(&mut index, &about, 25);
    let reasons = [
        (GapReason::Link, 1),
        (GapReason::SlowDisk, 2),
        (GapReason::Source, 4),
        (GapReason::DiskFull, 8),
        (GapReason::NoKey, 16),
        (GapReason::Clock, 32),
    ];
    for (reason, frames) in reasons {
        let gap = Gap {
            reason,
            frames,
            ..GAP
        };
        index.note_gap(begun.id, &gap).unwrap();
    }
    index.recover_unfinished().unwrap();
    assert_eq!(all(&index)[0].lost, 2 + 8 + 16);
}

#[test]
fn the_checksum_of_a_long_file_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let about = about_of(&index, BEGIN);
    let begun = index.begin_segment(&about, "raw").unwrap();
    // A hole, which takes no room.
    let file = fs::File::create(&begun.path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let about = about_of(&index, BEGIN + 60 * S);
    begin_film(&mut index, &about, 25);
    index.recover_unfinished().unwrap();
    let has_checksum: Vec<_> = all(&index)
        .iter()
        .map(|segment| segment.checksum.is_some())
        .collect();
    assert_eq!(has_checksum, [false, true]);
}

#[test]
fn it_is_read_where_nothing_can_be_written() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let recorded = film(&mut index, BEGIN, 25);
    drop(index);
    let door = place.path().join("door");
    let writable = fs::metadata(&door).unwrap().permissions();
    let set = |mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&door, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(
            door.join(INDEX_FILE),
            fs::Permissions::from_mode(mode & 0o666),
        )
        .unwrap();
    };
    // Root writes there all the same; then nothing is shown by this.
    set(0o500);
    let index = Index::open_to_read(place.path(), &label("door"), &mut |_| {}).unwrap();
    assert_eq!(all(&index), std::slice::from_ref(&recorded));
    drop(index);
    set(0o700);
    fs::remove_file(door.join(INDEX_FILE)).unwrap();
    fs::create_dir(door.join(INDEX_FILE)).unwrap();
    let error = Index::open_to_record(place.path(), &label("door"), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, IndexError::Io { .. } | IndexError::Database { .. }),
        "{error}"
    );
    fs::set_permissions(&door, writable).unwrap();
}

#[test]
fn files_of_decoded_pictures_are_recordings_with_a_list_beside_them() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let about = about_of(&index, BEGIN);
    let begun = index.begin_segment(&about, "y4m").unwrap();
    fs::write(&begun.path, b"YUV4MPEG2 W64 H48\nFRAME\n").unwrap();
    let list = begun.path.with_extension("times.csv");
    fs::write(
        &list,
        "frame,captured\n0,2026-11-23T14:05:00Z\n1,2026-11-23T14:05:01Z\n",
    )
    .unwrap();
    drop(index);
    let mut index = open(place.path(), "door");
    index.recover_unfinished().unwrap();
    let segment = all(&index)[0].clone();
    assert_eq!(
        (segment.state, segment.frames, segment.ends),
        (SegmentState::Recovered, 2, UtcTime(BEGIN + S))
    );
    assert!(
        crate::recordings::verify(&index, &mut |_, _| true)
            .unwrap()
            .problems
            .is_empty()
    );
    drop(index);
    fs::remove_file(place.path().join("door").join(INDEX_FILE)).unwrap();
    let mut index = open(place.path(), "door");
    let made = all(&index);
    assert_eq!(
        (made.len(), made[0].frames, made[0].ends),
        (1, 2, segment.ends)
    );
    index.remove_segment(&made[0]).unwrap();
    assert!(!begun.path.exists() && !list.exists());
}
