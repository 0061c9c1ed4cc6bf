//! What `verify` finds.

use super::*;
use crate::recordings::{Problem, Verified, verify};

fn look(index: &Index) -> Verified {
    verify(index, &mut |_, _| true).unwrap()
}

#[test]
fn recordings_as_they_were_written_are_good() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    for n in 0..5 {
        film(&mut index, BEGIN + n * 60 * S, 25);
    }
    let about = about_of(&index, BEGIN + 600 * S);
    begin_film(&mut index, &about, 5);
    let verified = look(&index);
    assert!(verified.problems.is_empty(), "{verified:?}");
    assert_eq!(
        (verified.segments, verified.open, verified.without_checksum),
        (5, 1, 0)
    );
    assert_eq!(verified.bytes, index.total_bytes());
}

#[test]
fn one_bit_anywhere_is_found() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    film(&mut index, BEGIN, 25);
    let segment = film(&mut index, BEGIN + 60 * S, 25);
    let path = index.file(&segment);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(37) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let verified = look(&index);
        let [(found, Problem::Changed { .. })] = verified.problems.as_slice() else {
            panic!("byte {at}: {verified:?}");
        };
        assert_eq!(*found, segment.path);
    }
}

#[test]
fn files_that_are_gone_cut_or_unknown_are_found() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let segments: Vec<Segment> = (0..4)
        .map(|n| film(&mut index, BEGIN + n * 60 * S, 25))
        .collect();
    fs::remove_file(index.file(&segments[0])).unwrap();
    fs::copy(
        index.file(&segments[2]),
        index.folder().join("2026-11-23/23-00-00.mkv"),
    )
    .unwrap();
    let cut = fs::File::options()
        .write(true)
        .open(index.file(&segments[1]))
        .unwrap();
    cut.set_len(segments[1].bytes - 1).unwrap();
    // What nobody took for a recording is not told.
    fs::write(index.folder().join("2026-11-23/notes.txt"), b"x").unwrap();
    let verified = look(&index);
    let found: Vec<(&str, String)> = verified
        .problems
        .iter()
        .map(|(path, problem)| (path.as_str(), format!("{problem:?}")))
        .collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], (segments[0].path.as_str(), "Missing".to_owned()));
    assert!(
        found[1].0 == segments[1].path && found[1].1.starts_with("Length"),
        "{found:?}"
    );
    assert_eq!(found[2], ("2026-11-23/23-00-00.mkv", "Unknown".to_owned()));
}

#[test]
fn without_checksums_structure_and_frames_are_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let segment = film(&mut index, BEGIN, 25);
    drop(index);
    fs::remove_file(place.path().join("door").join(crate::index::INDEX_FILE)).unwrap();
    let index = open(place.path(), "door");
    let verified = look(&index);
    assert_eq!(
        (verified.without_checksum, verified.problems.len()),
        (1, 0),
        "{verified:?}"
    );
    let path = index.file(&segment);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 255;
    fs::write(&path, bytes).unwrap();
    let verified = look(&index);
    assert!(
        matches!(verified.problems.as_slice(), [(_, Problem::Structure(_))]),
        "{verified:?}"
    );
}

#[test]
fn it_ends_when_it_is_told_to() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    for n in 0..5 {
        film(&mut index, BEGIN + n * 60 * S, 3);
    }
    let mut left = 2;
    let verified = verify(&index, &mut |_, _| {
        left -= 1;
        left >= 0
    });
    assert_eq!(verified.unwrap().segments, 2);
}
