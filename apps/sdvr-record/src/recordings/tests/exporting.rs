//! Files made of many.

use std::path::PathBuf;

use super::*;
use crate::container;
use crate::index::IndexError;
use crate::recordings::{ExportError, ExportOptions, Exported, export};

struct Out(tempfile::TempDir);

impl Out {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("out.mkv")
    }

    fn export(&self, index: &Index, from: i64, to: i64) -> Result<Exported, ExportError> {
        let options = ExportOptions {
            from: UtcTime(from),
            to: UtcTime(to),
            file: self.file(),
            may_replace: true,
        };
        export(index, &options, &mut || true)
    }

    /// The times of its frames, of which each is what it was.
    fn times(&self) -> Vec<i64> {
        let file = fs::File::open(self.file()).unwrap();
        assert!(container::scan(&file).unwrap().is_ended());
        let mut frames = container::frames(&file).unwrap();
        let mut times = Vec::new();
        while let Some(at) = frames.try_next().unwrap() {
            let mut bytes = Vec::new();
            frames.read(&at, &mut bytes).unwrap();
            assert_eq!(bytes, frame(at.captured.0));
            times.push(at.captured.0);
        }
        times
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.path()).unwrap().count() == 0
    }
}

/// Three segments of 3 s, one after the other.
fn recorded() -> (tempfile::TempDir, Index) {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    for n in 0..3 {
        film(&mut index, BEGIN + n * 3 * S, 30);
    }
    (place, index)
}

#[test]
fn all_frames_from_one_time_to_another_are_in_it_across_files() {
    let (_place, index) = recorded();
    let out = Out::new();
    let (from, to) = (BEGIN + S, BEGIN + 7 * S);
    let exported = out.export(&index, from, to).unwrap();
    let expected: Vec<i64> = (0..=60).map(|n| from + n * INTERVAL).collect();
    assert_eq!(out.times(), expected);
    assert_eq!(
        (exported.begins, exported.ends),
        (UtcTime(from), UtcTime(to))
    );
    assert_eq!(
        (exported.frames, exported.segments, exported.gaps),
        (61, 3, 0)
    );
    assert_eq!(exported.bytes, out.file().metadata().unwrap().len());
}

#[test]
fn times_between_frames_take_those_that_are_within() {
    let (_place, index) = recorded();
    let out = Out::new();
    out.export(&index, BEGIN + S + 1, BEGIN + 2 * S - 1)
        .unwrap();
    let expected: Vec<i64> = (11..20).map(|n| BEGIN + n * INTERVAL).collect();
    assert_eq!(out.times(), expected);
    // From before the first to after the last.
    let exported = out.export(&index, i64::MIN, i64::MAX).unwrap();
    assert_eq!(exported.frames, 90);
    assert_eq!(
        (exported.begins, exported.ends),
        (UtcTime(BEGIN), UtcTime(BEGIN + 89 * INTERVAL))
    );
}

#[test]
fn what_is_being_written_is_in_it_too() {
    let (_place, mut index) = recorded();
    let about = about_of(&index, BEGIN + 9 * S);
    let (_, _, mut file) = begin_film(&mut index, &about, 20);
    file.write_all(b"half a frag").unwrap();
    let out = Out::new();
    let exported = out.export(&index, BEGIN + 8 * S, i64::MAX).unwrap();
    assert_eq!(exported.frames, 30);
    assert_eq!(out.times().len(), 30);
}

#[test]
fn a_file_that_is_there_is_kept_unless_it_is_to_be_replaced() {
    let (_place, index) = recorded();
    let out = Out::new();
    fs::write(out.file(), b"precious").unwrap();
    let mut options = ExportOptions {
        from: UtcTime(BEGIN),
        to: UtcTime(BEGIN + S),
        file: out.file(),
        may_replace: false,
    };
    let error = export(&index, &options, &mut || true).unwrap_err();
    assert!(
        matches!(error, ExportError::Exists(_)) && error.is_wrong_usage(),
        "{error}"
    );
    assert_eq!(fs::read(out.file()).unwrap(), b"precious");
    options.may_replace = true;
    export(&index, &options, &mut || true).unwrap();
    assert_eq!(out.times().len(), 11);
}

#[test]
fn nothing_is_left_of_what_does_not_work() {
    let (_place, index) = recorded();
    let out = Out::new();
    let error = out.export(&index, BEGIN - 10 * S, BEGIN - S).unwrap_err();
    assert!(
        matches!(
            error,
            ExportError::Nothing {
                nearest: Some(_),
                ..
            }
        ),
        "{error}"
    );
    let error = out.export(&index, BEGIN + S, BEGIN).unwrap_err();
    assert!(matches!(error, ExportError::Backwards { .. }), "{error}");
    let mut options = ExportOptions {
        from: UtcTime(BEGIN),
        to: UtcTime(i64::MAX),
        file: out.0.path().join("out.mp4"),
        may_replace: false,
    };
    let error = export(&index, &options, &mut || true).unwrap_err();
    assert!(
        matches!(error, ExportError::Extension { .. }) && error.is_wrong_usage(),
        "{error}"
    );
    options.file = out.file();
    let mut frames = 40;
    let error = export(&index, &options, &mut || {
        frames -= 1;
        frames > 0
    });
    assert!(matches!(error, Err(ExportError::Interrupted)), "{error:?}");
    options.file = out.0.path().join("not/there.mkv");
    let error = export(&index, &options, &mut || true).unwrap_err();
    assert!(matches!(error, ExportError::Write { .. }), "{error}");
    assert!(out.is_empty());
}

#[test]
fn another_format_ends_it_and_tells_when() {
    let (_place, mut index) = recorded();
    let mut about = about_of(&index, BEGIN + 9 * S);
    about.format.width = 1280;
    film_about(&mut index, &about, 30);
    let out = Out::new();
    let error = out.export(&index, BEGIN, BEGIN + 12 * S).unwrap_err();
    assert!(
        matches!(error, ExportError::FormatChanges { at, .. } if at == UtcTime(BEGIN + 9 * S)),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("MJPG 640x480 to MJPG 1280x480"), "{text}");
    assert_eq!(
        out.export(&index, BEGIN, BEGIN + 9 * S - 1).unwrap().frames,
        90
    );
    assert_eq!(
        out.export(&index, BEGIN + 9 * S, BEGIN + 20 * S)
            .unwrap()
            .frames,
        30
    );
}

#[test]
fn a_clock_that_was_set_back_ends_it_and_tells_when() {
    let (_place, mut index) = recorded();
    // Between the times of other frames: these are others.
    let again = BEGIN + 5 * S + 1000;
    film(&mut index, again, 30);
    let out = Out::new();
    let error = out.export(&index, BEGIN, BEGIN + 12 * S).unwrap_err();
    assert!(
        matches!(error, ExportError::ClockSetBack { after, .. } if after == UtcTime(again)),
        "{error}"
    );
    assert!(out.is_empty());
    assert_eq!(out.export(&index, BEGIN, BEGIN + 4 * S).unwrap().frames, 41);
    // The first one that is not earlier than the end of the range is no reason to leave out what is within it.
    let error = out.export(&index, BEGIN, BEGIN + 6 * S).unwrap_err();
    assert!(matches!(error, ExportError::ClockSetBack { .. }), "{error}");
    let error = out.export(&index, BEGIN + 6 * S, BEGIN + 7 * S);
    assert!(
        matches!(error, Err(ExportError::ClockSetBack { .. })),
        "{error:?}"
    );
}

#[test]
fn what_is_within_the_range_after_a_segment_that_goes_beyond_it_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    // A clock that was ahead for a while, and was set right again.
    film(&mut index, BEGIN, 20);
    film(&mut index, BEGIN + 9 * S, 30);
    film(&mut index, BEGIN + 5 * S, 30);
    let out = Out::new();
    // The file in between has frames up to 12 s, but none in the range.
    let exported = out.export(&index, BEGIN, BEGIN + 8 * S).unwrap();
    assert_eq!((exported.frames, exported.segments), (50, 2));
    film(&mut index, BEGIN - S, 30);
    let error = out.export(&index, BEGIN - S / 2, BEGIN + 8 * S);
    assert!(
        matches!(error, Err(ExportError::ClockSetBack { .. })),
        "{error:?}"
    );
}

/// As a recorder does that is ended and begun again: it begins with the newest key frame.
#[test]
fn frames_that_are_in_two_segments_are_in_it_once() {
    let (_place, mut index) = recorded();
    film(&mut index, BEGIN + 8 * S, 30);
    film(&mut index, BEGIN + 10 * S + 5 * INTERVAL, 5);
    film(&mut index, BEGIN + 10 * S + 9 * INTERVAL, 30);
    let out = Out::new();
    for from in [0, 75, 85, 108] {
        let to = BEGIN + 130 * INTERVAL;
        let exported = out.export(&index, BEGIN + from * INTERVAL, to).unwrap();
        let expected: Vec<i64> = (from..=130).map(|n| BEGIN + n * INTERVAL).collect();
        assert_eq!(out.times(), expected, "{from}");
        assert_eq!(exported.frames, expected.len() as u64);
    }
}

#[test]
fn a_segment_whose_file_is_not_made_yet_is_passed_over() {
    let (_place, mut index) = recorded();
    let about = about_of(&index, BEGIN + 9 * S);
    let begun = index.begin_segment(&about, "mkv").unwrap();
    let out = Out::new();
    assert_eq!(out.export(&index, BEGIN, i64::MAX).unwrap().frames, 90);
    fs::write(&begun.path, [0x1a, 0x45, 0xdf, 0xa3]).unwrap();
    assert_eq!(out.export(&index, BEGIN, i64::MAX).unwrap().frames, 90);
}

#[test]
fn of_a_damaged_file_what_is_before_the_damage_is_in_it() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let about = about_of(&index, BEGIN);
    let (begun, _, file) = begin_film(&mut index, &about, 30);
    let middle = file.metadata().unwrap().len() / 2;
    file.write_all_at(&[0; 500], middle).unwrap();
    index.recover_unfinished().unwrap();
    let damaged = index.segment(begun.id).unwrap().unwrap();
    assert_eq!(damaged.state, SegmentState::Damaged);
    film(&mut index, BEGIN + 3 * S, 30);
    let out = Out::new();
    let exported = out.export(&index, BEGIN, i64::MAX).unwrap();
    assert_eq!(exported.frames, damaged.frames + 30);
    assert!(damaged.frames > 0);
}

#[test]
fn a_recording_that_is_gone_or_damaged_is_named() {
    let (_place, index) = recorded();
    let segment = all(&index)[1].clone();
    let out = Out::new();
    fs::write(index.file(&segment), b"something else, as long as it is").unwrap();
    let error = out.export(&index, BEGIN, BEGIN + 12 * S).unwrap_err();
    assert!(error.to_string().contains(&segment.path), "{error}");
    fs::remove_file(index.file(&segment)).unwrap();
    let error = out.export(&index, BEGIN, BEGIN + 12 * S).unwrap_err();
    assert!(matches!(error, ExportError::Read { .. }), "{error}");
    assert!(out.is_empty());
    assert_eq!(out.export(&index, BEGIN, BEGIN + 2 * S).unwrap().frames, 21);
    let error = Index::open_to_read(out.0.path(), &label("yard"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, IndexError::NoCamera { .. }), "{error}");
}
