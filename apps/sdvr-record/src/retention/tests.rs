//! What goes and what stays, whatever clocks do.

use std::path::Path;

use super::*;
use crate::index::tests::{BEGIN, S, open, record, record_for};

const MINUTE: i64 = 60 * S;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEARS: i64 = 14 * 365 * DAY;

const WEEK: Retention = Retention {
    keep: Some(Duration::from_secs(7 * 86_400)),
    most_bytes_each: None,
    most_bytes_all: None,
};

/// A clock that has just begun to be looked at.
fn clock(now: i64) -> HostClock {
    HostClock::new(UtcTime(now), Timestamp::from_nanoseconds(5 * S))
}

/// Segments of a minute.
fn record_times(index: &mut Index, times: impl IntoIterator<Item = i64>) {
    for time in times {
        record(index, time, 10);
    }
}

/// When what is left began, in the order of recording.
fn left(index: &Index) -> Vec<i64> {
    let all = index
        .segments(UtcTime(i64::MIN), UtcTime(i64::MAX))
        .unwrap();
    for segment in &all {
        assert!(index.file(segment).exists());
    }
    all.iter().map(|segment| segment.begins.0).collect()
}

fn files(folder: &Path) -> usize {
    let days = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.is_dir()
            .then(|| std::fs::read_dir(path).unwrap().count())
    });
    days.sum()
}

#[test]
fn what_is_older_goes_oldest_first() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, (0..10).map(|n| BEGIN + n * DAY));
    let now = BEGIN + 10 * DAY;
    let removed = WEEK.apply(&mut [&mut index], &clock(now));
    assert_eq!((removed.segments, removed.bytes), (3, 30));
    assert!(removed.failures.is_empty() && removed.doubted_clock.is_none());
    assert_eq!(
        left(&index),
        (3..10).map(|n| BEGIN + n * DAY).collect::<Vec<_>>()
    );
    assert_eq!(files(index.folder()), 7);
    let removed = WEEK.apply(&mut [&mut index], &clock(now));
    assert_eq!(removed.segments, 0);
}

#[test]
fn nothing_goes_without_limits() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, [0, BEGIN]);
    let retention = Retention::default();
    assert!(!retention.has_limits());
    assert_eq!(
        retention
            .apply(&mut [&mut index], &clock(BEGIN + YEARS))
            .segments,
        0
    );
}

#[test]
fn each_camera_has_its_bytes_and_all_have_theirs() {
    let place = tempfile::tempdir().unwrap();
    let (mut door, mut yard) = (open(place.path(), "door"), open(place.path(), "yard"));
    record_times(&mut door, (0..10).map(|n| BEGIN + 2 * n * MINUTE));
    record_times(&mut yard, (0..4).map(|n| BEGIN + (2 * n + 1) * MINUTE));
    let retention = Retention {
        most_bytes_each: Some(65),
        ..Retention::default()
    };
    let removed = retention.apply(&mut [&mut door, &mut yard], &clock(BEGIN));
    assert_eq!(removed.segments, 4);
    assert_eq!(left(&door)[0], BEGIN + 8 * MINUTE);
    assert_eq!(left(&yard).len(), 4);
    let retention = Retention {
        most_bytes_all: Some(60),
        ..Retention::default()
    };
    // What is being written counts, too.
    door.set_open_bytes(5);
    let removed = retention.apply(&mut [&mut door, &mut yard], &clock(BEGIN));
    assert_eq!(removed.segments, 5);
    assert!(left(&yard).is_empty());
    assert_eq!(left(&door)[0], BEGIN + 10 * MINUTE);
}

#[test]
fn what_is_being_written_stays_and_counts() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let about = crate::index::tests::about(&index.label().clone(), BEGIN);
    let begun = index.begin_segment(&about, "mp4").unwrap();
    std::fs::write(&begun.path, b"some").unwrap();
    index.set_open_bytes(4);
    record_times(&mut index, [BEGIN + MINUTE]);
    index.set_open_bytes(4);
    let retention = Retention {
        keep: Some(Duration::ZERO),
        most_bytes_each: Some(0),
        most_bytes_all: Some(0),
    };
    let removed = retention.apply(&mut [&mut index], &clock(BEGIN + DAY / 2));
    assert_eq!(removed.segments, 1);
    assert!(begun.path.exists());
    let removed = Retention::free(&mut [&mut index], 100);
    assert_eq!(removed.segments, 0);
    assert!(begun.path.exists());
}

#[test]
fn room_is_made_by_the_oldest_of_all() {
    let place = tempfile::tempdir().unwrap();
    let (mut door, mut yard) = (open(place.path(), "door"), open(place.path(), "yard"));
    record_times(&mut door, [BEGIN, BEGIN + 3 * MINUTE]);
    record_times(&mut yard, [BEGIN + MINUTE, BEGIN + 2 * MINUTE]);
    let removed = Retention::free(&mut [&mut door, &mut yard], 11);
    assert_eq!(removed.segments, 2);
    assert_eq!(left(&door), [BEGIN + 3 * MINUTE]);
    assert_eq!(left(&yard), [BEGIN + 2 * MINUTE]);
}

#[test]
fn a_clock_set_forward_by_years_removes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let times: Vec<i64> = (0..6).map(|n| BEGIN + n * DAY / 2).collect();
    record_times(&mut index, times.clone());
    let wrong = BEGIN + YEARS;
    let removed = WEEK.apply(&mut [&mut index], &clock(wrong));
    assert_eq!(removed.segments, 0);
    assert_eq!(removed.doubted_clock, Some(UtcTime(times[5] + MINUTE)));
    // Nor when recording has gone on under it for hours, and was begun anew meanwhile.
    for hour in 0..5 {
        record_for(&mut index, wrong + hour * HOUR, HOUR, 10);
    }
    let removed = WEEK.apply(&mut [&mut index], &clock(wrong + 300 * MINUTE));
    assert_eq!(removed.segments, 0);
    assert!(removed.doubted_clock.is_some());
    // Set right again, it is believed at once, and what was recorded meanwhile does not stay for years.
    let right = times[5] + 301 * MINUTE;
    record_times(&mut index, [right]);
    let removed = WEEK.apply(&mut [&mut index], &clock(right + MINUTE));
    assert_eq!((removed.segments, removed.doubted_clock), (0, None));
    // A year is doubted without footage; a camera with a day of it bears the clock out.
    let later = right + 8 * DAY;
    let mut other = open(place.path(), "yard");
    for hour in 0..25 {
        record_for(&mut other, later - (25 - hour) * HOUR, HOUR, 10);
    }
    let removed = WEEK.apply(&mut [&mut index, &mut other], &clock(later));
    assert_eq!(removed.segments, 12);
    assert!(left(&index).is_empty());
}

#[test]
fn a_clock_set_back_by_years_removes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let before: Vec<i64> = (0..6).map(|n| BEGIN + n * MINUTE).collect();
    let wrong: Vec<i64> = (0..6).map(|n| BEGIN - YEARS + n * MINUTE).collect();
    let after: Vec<i64> = (12..20).map(|n| BEGIN + n * MINUTE).collect();
    record_times(&mut index, before.iter().chain(&wrong).copied());
    let removed = WEEK.apply(&mut [&mut index], &clock(wrong[5] + MINUTE));
    assert_eq!(removed.segments, 0);
    record_times(&mut index, after.iter().copied());
    let removed = WEEK.apply(&mut [&mut index], &clock(after[7] + MINUTE));
    assert_eq!(removed.segments, 0);
    assert_eq!(left(&index), [before, wrong, after].concat());
}

#[test]
fn a_clock_that_stays_is_believed_after_a_day() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, [BEGIN]);
    // Nothing is recorded any more, and the host was off for three months.
    let mut now = BEGIN + 90 * DAY;
    let mut host = clock(now);
    let mut running = 5 * S;
    for _ in 0..23 {
        (now, running) = (now + HOUR, running + HOUR);
        host.advance(UtcTime(now), Timestamp::from_nanoseconds(running));
        assert_eq!(WEEK.apply(&mut [&mut index], &host).segments, 0);
    }
    // Set forward in the last hour, it has to be borne out anew.
    let mut set = host;
    set.advance(
        UtcTime(now + 3 * HOUR),
        Timestamp::from_nanoseconds(running + HOUR),
    );
    assert_eq!(WEEK.apply(&mut [&mut index], &set).segments, 0);
    host.advance(
        UtcTime(now + HOUR),
        Timestamp::from_nanoseconds(running + HOUR),
    );
    assert_eq!(WEEK.apply(&mut [&mut index], &host).segments, 1);
}

#[test]
fn what_was_cut_off_in_the_middle_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, (0..10).map(|n| BEGIN + n * DAY));
    // After the file, and before what the index says of it.
    std::fs::remove_file(index.folder().join("2026-11-23/14-05-00.mp4")).unwrap();
    drop(index);
    let mut index = open(place.path(), "door");
    let removed = WEEK.apply(&mut [&mut index], &clock(BEGIN + 10 * DAY));
    assert_eq!(removed.segments, 3);
    assert!(removed.failures.is_empty());
    assert_eq!(left(&index).len(), 7);
    assert!(!index.folder().join("2026-11-23").exists());
}

/// Puts a folder in the place of a segment's file: it cannot be removed as a file is, not even by root.
fn make_stuck(file: &Path) {
    std::fs::remove_file(file).unwrap();
    std::fs::create_dir_all(file.join("in the way")).unwrap();
}

#[test]
fn a_file_that_cannot_be_removed_is_passed_over_and_told_once() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, (0..10).map(|n| BEGIN + n * DAY));
    let all = index
        .segments(UtcTime(i64::MIN), UtcTime(i64::MAX))
        .unwrap();
    for segment in [&all[0], &all[2]] {
        make_stuck(&index.file(segment));
    }
    let both = Retention {
        most_bytes_each: Some(50),
        ..WEEK
    };
    let removed = both.apply(&mut [&mut index], &clock(BEGIN + 10 * DAY));
    // Of three that are too old one, and then as many as are too much.
    assert_eq!((removed.segments, removed.failures.len()), (5, 1));
    let expected = [0, 2, 7, 8, 9].map(|n| BEGIN + n * DAY);
    assert_eq!(left(&index), expected);
    let freed = Retention::free(&mut [&mut index], 20);
    assert_eq!((freed.segments, freed.failures.len()), (2, 1));
    assert!(!freed.is_more);
}

#[test]
fn a_few_are_removed_at_a_time_and_none_before_an_older_one_of_another_camera() {
    let place = tempfile::tempdir().unwrap();
    let (mut door, mut yard) = (open(place.path(), "door"), open(place.path(), "yard"));
    record_times(&mut door, (0..40).map(|n| BEGIN + n * MINUTE));
    record_times(&mut yard, (40..50).map(|n| BEGIN + n * MINUTE));
    let retention = Retention {
        most_bytes_all: Some(50),
        ..Retention::default()
    };
    for (segments, is_more) in [(16, true), (16, true), (13, false), (0, false)] {
        let removed = retention.apply(&mut [&mut door, &mut yard], &clock(BEGIN));
        assert_eq!((removed.segments, removed.is_more), (segments, is_more));
        assert!(left(&yard).len() == 10 || left(&door).is_empty());
    }
    assert_eq!(left(&yard).len(), 5);
    record_times(&mut yard, (50..70).map(|n| BEGIN + n * MINUTE));
    let removed = WEEK.apply(&mut [&mut yard], &clock(BEGIN + 7 * DAY + 3 * HOUR));
    // Nothing is too old by what is recorded.
    assert_eq!((removed.segments, removed.is_more), (0, false));
    let removed = Retention::free(&mut [&mut yard], 1000);
    assert_eq!((removed.segments, removed.is_more), (16, true));
    let removed = Retention::free(&mut [&mut yard], 1000);
    assert_eq!((removed.segments, removed.is_more), (9, false));
}

#[test]
fn what_times_say_is_looked_for_again_only_when_they_have_changed() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    record_times(&mut index, [BEGIN]);
    let looked = std::cell::Cell::new(0);
    let look = |index: &mut Index| {
        let times = index.newest_times(|times| {
            looked.set(looked.get() + 1);
            newest_times(times)
        });
        (looked.get(), times.unwrap().unwrap().ends.0)
    };
    assert_eq!(look(&mut index), (1, BEGIN + MINUTE));
    assert_eq!(look(&mut index), (1, BEGIN + MINUTE));
    record_times(&mut index, [BEGIN + HOUR]);
    assert_eq!(look(&mut index), (2, BEGIN + HOUR + MINUTE));
}

#[test]
fn a_camera_whose_files_cannot_be_removed_does_not_keep_others_from_it() {
    let place = tempfile::tempdir().unwrap();
    let (mut door, mut yard) = (open(place.path(), "door"), open(place.path(), "yard"));
    record_times(&mut door, [BEGIN, BEGIN + MINUTE]);
    record_times(&mut yard, [BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE]);
    for name in ["14-05-00.mp4", "14-06-00.mp4"] {
        make_stuck(&door.folder().join("2026-11-23").join(name));
    }
    let retention = Retention {
        most_bytes_all: Some(20),
        ..Retention::default()
    };
    let removed = retention.apply(&mut [&mut door, &mut yard], &clock(BEGIN));
    assert_eq!((removed.segments, removed.failures.len()), (2, 1));
    assert!(left(&yard).is_empty());
    assert_eq!(door.total_bytes(), 20);
}
