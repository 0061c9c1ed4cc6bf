//! An index in which any byte may be another one.

use std::collections::HashMap;

use super::*;
use crate::index::{Gap, GapReason, INDEX_FILE};

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Whatever was changed in it, the index says of each file what is true, or leaves out what only the index knew. It never says anything else.
#[test]
fn an_index_that_is_damaged_anywhere_says_nothing_wrong() {
    let place = tempfile::tempdir().unwrap();
    let mut index = open(place.path(), "door");
    for n in 0..12 {
        let segment = film(&mut index, BEGIN + n * 60 * S, 3);
        let gap = Gap {
            begins: segment.ends,
            ends: UtcTime(segment.ends.0 + S),
            frames: 7,
            reason: GapReason::Link,
        };
        index.note_gap(segment.id, &gap).unwrap();
    }
    let recorded: HashMap<String, Segment> = all(&index)
        .into_iter()
        .map(|segment| (segment.path.clone(), segment))
        .collect();
    drop(index);
    let path = place.path().join("door").join(INDEX_FILE);
    let good = fs::read(&path).unwrap();
    let mut random = Random(0x5eed_5d57_0001);
    let (mut found_out, mut with_checksums) = (0, 0);
    for round in 0..150 {
        let mut bytes = good.clone();
        for _ in 0..=round % 3 {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= u8::try_from(1 + random.below(255)).unwrap();
        }
        if round % 10 == 9 {
            bytes.truncate(usize::try_from(random.below(bytes.len() as u64)).unwrap());
        }
        for entry in fs::read_dir(place.path().join("door")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(&path, &bytes).unwrap();
        let mut is_told = false;
        let opened = Index::open_to_record(place.path(), &label("door"), &mut |_| is_told = true);
        let index = match opened {
            Ok(index) => index,
            // The number of the version, of all bytes.
            Err(error) => {
                assert!(
                    matches!(error, crate::index::IndexError::Newer { .. }),
                    "{error}"
                );
                continue;
            }
        };
        found_out += u32::from(is_told);
        let segments = all(&index);
        assert_eq!(segments.len(), recorded.len());
        for segment in segments {
            let known = &recorded[&segment.path];
            with_checksums += u32::from(is_told && segment.checksum.is_some());
            let like = Segment {
                id: segment.id,
                checksum: segment.checksum.and(known.checksum),
                ..known.clone()
            };
            assert_eq!(segment, like);
            for gap in index.gaps(segment.id).unwrap() {
                assert_eq!(
                    (gap.begins, gap.frames, gap.reason),
                    (known.ends, 7, GapReason::Link)
                );
            }
        }
    }
    // Damage was found, and what could be read of the damaged index was kept.
    assert!(
        found_out > 20 && with_checksums > 50,
        "{found_out}, {with_checksums}"
    );
}
