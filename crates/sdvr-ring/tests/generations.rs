//! A ring that comes after another of the same run: its count goes on, it begins with the last key-frame intervals, and whoever
//! follows misses nothing and sees nothing twice.

mod support;

use sdvr_frame::{FrameFlags, FrameNumber, StreamState, Timestamp};
use sdvr_ring::{FrameMeta, ReadError, RingReader, RingWriter, TakenOver};
use support::{Place, options};

/// Every tenth is a key frame.
fn publish(writer: &mut RingWriter, n: u64, bytes: usize) {
    let now = Timestamp::now();
    assert!(writer.begin(bytes as u64));
    assert!(writer.write(&content(n, bytes)));
    assert!(writer.publish(&FrameMeta {
        number: FrameNumber(1000 + n),
        flags: if n.is_multiple_of(10) {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        },
        missed: 1,
        captured_at_source: now,
        captured: now,
        clock_error_ns: None,
        received: now,
        published: now,
    }));
}

fn content(n: u64, bytes: usize) -> Vec<u8> {
    let mut content = n.to_ne_bytes().repeat(bytes.div_ceil(8));
    content.truncate(bytes);
    content
}

fn assert_holds(reader: &RingReader, frames: std::ops::Range<u64>, bytes: usize) {
    let mut frame = Vec::new();
    assert_eq!((reader.oldest(), reader.head()), (frames.start, frames.end));
    for n in frames {
        let meta = reader.read(n, &mut frame).expect("it is there");
        assert_eq!(meta.number, FrameNumber(1000 + n));
        assert!(frame == content(n, bytes), "frame {n} has other bytes");
    }
}

#[test]
fn the_count_goes_on_and_the_last_two_intervals_are_there() {
    let place = Place::new();
    let mut old = place.ring(64, 64 << 10);
    (0..37).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::LastIntervals);
    let mut new = RingWriter::create_after(&place.rings, options(256, 256 << 10), &before).unwrap();
    let reader = place.open();
    assert_eq!(reader.info().first, 20);
    assert_holds(&reader, 20..37, 1000);
    assert_eq!(reader.last_key(), Some(30));
    // The old one went on meanwhile.
    assert_eq!(reader.retransmitted(), None);
    old.set_retransmitted(Some(12));
    (37..43).for_each(|n| publish(&mut old, n, 1000));
    assert_eq!(new.follow(&before), 6);
    assert_eq!(new.follow(&before), 0);
    old.was_replaced();
    (43..50).for_each(|n| publish(&mut new, n, 1000));
    assert_holds(&reader, 20..50, 1000);
    assert_eq!(reader.last_key(), Some(40));
    assert_eq!(
        (reader.frames_lost(), reader.bytes_published()),
        (50, 50_000)
    );
    assert_eq!(reader.retransmitted(), Some(12));
    assert_eq!(
        reader.read(19, &mut Vec::new()),
        Err(ReadError::Lapped),
        "what was not taken over counts as overwritten"
    );
}

#[test]
fn of_a_ring_that_lost_its_name_all_that_is_left_is_taken_over() {
    let place = Place::new();
    let mut old = place.ring(32, 64 << 10);
    (0..37).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::Everything);
    let _new = RingWriter::create_after(&place.rings, options(64, 64 << 10), &before).unwrap();
    assert_holds(&place.open(), 5..37, 1000);
}

#[test]
fn frames_of_another_kind_are_not_taken_over() {
    let place = Place::new();
    let mut old = place.ring(64, 64 << 10);
    (0..37).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::Nothing);
    let mut new = RingWriter::create_after(&place.rings, options(64, 64 << 10), &before).unwrap();
    publish(&mut old, 37, 1000);
    assert_eq!(new.follow(&before), 0);
    publish(&mut new, 38, 1000);
    let reader = place.open();
    assert_eq!(reader.info().first, 37);
    assert_holds(&reader, 38..39, 1000);
}

#[test]
fn what_does_not_fit_into_a_smaller_ring_is_overwritten_there() {
    let place = Place::new();
    let mut old = place.ring(64, 256 << 10);
    (0..30).for_each(|n| publish(&mut old, n, 1000));
    publish(&mut old, 30, 20_000);
    (31..35).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::LastIntervals);
    let mut new = RingWriter::create_after(&place.rings, options(64, 8 << 10), &before).unwrap();
    let reader = place.open();
    assert_holds(&reader, 31..35, 1000);
    // More than it holds, at once.
    (35..60).for_each(|n| publish(&mut old, n, 1000));
    new.follow(&before);
    assert_eq!(new.state(), StreamState::Live);
    assert_holds(&reader, 52..60, 1000);
}

#[test]
fn a_writer_that_laps_the_copy_costs_old_frames_and_no_gap() {
    let place = Place::new();
    let mut old = place.ring(64, 64 << 10);
    (0..20).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::LastIntervals);
    let mut new = RingWriter::create_after(&place.rings, options(256, 256 << 10), &before).unwrap();
    // Nobody follows for more than a lap.
    (20..200).for_each(|n| publish(&mut old, n, 1000));
    new.follow(&before);
    let reader = place.open();
    assert_holds(&reader, 180..200, 1000);
}

#[test]
fn a_copy_beside_a_running_writer_has_whole_frames_only() {
    let place = Place::new();
    let mut old = place.ring(64, 64 << 10);
    (0..20).for_each(|n| publish(&mut old, n, 1000));
    let before = old.predecessor(TakenOver::LastIntervals);
    let writer = std::thread::spawn(move || {
        (20..20_000).for_each(|n| publish(&mut old, n, 1000));
        old
    });
    let mut new = RingWriter::create_after(&place.rings, options(64, 64 << 10), &before).unwrap();
    let reader = place.open();
    let mut frame = Vec::new();
    while !writer.is_finished() {
        new.follow(&before);
        for n in reader.oldest()..reader.head() {
            if let Ok(meta) = reader.read(n, &mut frame) {
                assert_eq!(meta.number, FrameNumber(1000 + n));
                assert!(frame == content(n, 1000), "frame {n} has other bytes");
            }
        }
    }
    let old = writer.join().unwrap();
    new.follow(&before);
    assert_eq!(new.published(), old.published());
    assert_eq!(reader.head(), 20_000);
}
