//! Many recordings, and a program that is killed while it has to do with them.

use super::*;
use crate::index::INDEX_FILE;

/// Links of one recording under many names: as quickly made as names are.
fn copies(index: &Index, segment: &Segment, count: i64) {
    let original = index.file(segment);
    for n in 1..=count {
        let path = index.folder().join(format!(
            "2026-11-{:02}/{:02}-{:02}-00.mkv",
            1 + n / 1440,
            n % 1440 / 60,
            n % 60
        ));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::hard_link(&original, path).unwrap();
    }
}

#[test]
fn an_index_that_was_being_made_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    let segment = film(&mut index, BEGIN, 2);
    copies(&index, &segment, 3000);
    drop(index);
    let path = place.path().join("door").join(INDEX_FILE);
    fs::remove_file(&path).unwrap();
    // What a program leaves that was killed meanwhile: the file, and nothing or a part of a change in it.
    let unfinished = rusqlite::Connection::open(&path).unwrap();
    unfinished
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    unfinished
        .execute_batch("BEGIN; CREATE TABLE segments (id INTEGER);")
        .unwrap();
    let taken: Vec<(String, Vec<u8>)> = ["", "-wal", "-shm"]
        .iter()
        .filter_map(|end| {
            let name = format!("{}{end}", path.display());
            fs::read(&name).ok().map(|bytes| (name, bytes))
        })
        .collect();
    drop(unfinished);
    for (name, bytes) in taken {
        fs::write(name, bytes).unwrap();
    }
    let index = Index::open_to_record(place.path(), &label("door"), &mut |_| {}).unwrap();
    assert_eq!(index.summary().unwrap().segments, 3001);
    assert!(!place.path().join("door/index.sqlite.damaged-1").exists());
}
