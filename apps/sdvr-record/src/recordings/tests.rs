//! What is promised of recordings that can be played: indexes made anew of them, what is found wrong with them, and files made of many.

mod damage;
mod exporting;
mod many;
mod rebuilding;
mod verifying;

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;

use crate::container::{Added, Muxer};
use crate::index::tests::{BEGIN, S, about, label, open};
use crate::index::{Begun, Checksum, Completed, Index, Segment, SegmentState};
use crate::sample::{About, Sample, UtcTime};

/// Ten frames a second.
const INTERVAL: i64 = S / 10;

/// A frame in which everything tells it from others.
fn frame(captured: i64) -> Vec<u8> {
    format!("\u{7f}frame of {captured}").repeat(5).into_bytes()
}

fn about_of(index: &Index, begins: i64) -> About {
    about(&index.label().clone(), begins)
}

/// Begins a segment of `frames` frames of Motion JPEG, which is not finished.
fn begin_film(index: &mut Index, about: &About, frames: i64) -> (Begun, Muxer, fs::File) {
    let begins = about.begins.0;
    let begun = index.begin_segment(about, "mkv").unwrap();
    let first = frame(begins);
    let sample = Sample {
        captured: UtcTime(begins),
        is_key: true,
        bytes: &first,
    };
    let mut muxer = Muxer::begin(about, &sample).unwrap();
    let mut file = fs::File::create_new(&begun.path).unwrap();
    file.write_all(muxer.head()).unwrap();
    for n in 0..frames {
        let captured = begins + n * INTERVAL;
        let added = muxer.add(UtcTime(captured), true, frame(captured));
        assert_eq!(added, Added::Taken);
        if n % 10 == 9 || n == frames - 1 {
            file.write_all(&muxer.take_fragment().to_vec()).unwrap();
        }
    }
    (begun, muxer, file)
}

/// A finished segment.
fn film_about(index: &mut Index, about: &About, frames: i64) -> Segment {
    let (begun, muxer, mut file) = begin_film(index, about, frames);
    let ending = muxer.ending();
    file.write_all(&ending.tail).unwrap();
    for (offset, bytes) in &ending.patches {
        file.write_all_at(bytes, *offset).unwrap();
    }
    let head_bytes = muxer.head().len() as u64;
    let completed = Completed {
        state: SegmentState::Complete,
        begins: about.begins,
        ends: UtcTime(about.begins.0 + (frames - 1) * INTERVAL),
        frames: u64::try_from(frames).unwrap(),
        lost: 0,
        bytes: file.metadata().unwrap().len(),
        head_bytes,
        checksum: Some(Checksum::of_file(&begun.path, head_bytes).unwrap()),
    };
    index.complete_segment(begun.id, &completed).unwrap();
    index.segment(begun.id).unwrap().unwrap()
}

fn film(index: &mut Index, begins: i64, frames: i64) -> Segment {
    let about = about_of(index, begins);
    film_about(index, &about, frames)
}

fn all(index: &Index) -> Vec<Segment> {
    index
        .segments(UtcTime(i64::MIN), UtcTime(i64::MAX))
        .unwrap()
}
