//! What goes in comes out: frames of every size, however cut; laps, gaps, states, memory given back.

mod support;

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use sdvr_frame::{Link, StreamState, Timestamp};
use sdvr_ring::{CreateError, Origin, ReadError, RingReader, RingWriter, Wait};
use support::*;

fn pair(slots: u32, data_bytes: u64) -> (tempfile::TempDir, RingWriter, RingReader) {
    let place = folder();
    let directory = create_rings(place.path());
    let writer = RingWriter::create(&directory, options(slots, data_bytes)).expect("there is room");
    let reader = open_in(place.path()).expect("the ring is there");
    (place, writer, reader)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn frames_of_any_length_cut_anywhere_come_out_whole(
        frames in prop::collection::vec((24_usize..9000, prop::collection::vec(1_usize..2000, 0..8)), 1..40),
        slots in 2_u32..20,
    ) {
        let (_place, mut writer, reader) = pair(slots, 16 << 10);
        let mut buffer = vec![0xaa; 7];
        for (n, (bytes, cuts)) in (0..).zip(&frames) {
            let sent = frame(n, *bytes);
            prop_assert!(writer.begin(sent.len() as u64));
            let mut rest = &sent[..];
            for cut in cuts {
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                prop_assert!(writer.write(piece));
                rest = behind;
            }
            prop_assert!(writer.write(rest));
            prop_assert!(writer.publish(&meta(n)));

            // The newest one always, and of the older ones those that are said to be there.
            for old in 0..=n {
                match reader.read(old, &mut buffer) {
                    Ok(found) => {
                        prop_assert_eq!(found, meta(old));
                        prop_assert_eq!(&buffer, &frame(old, frames[usize::try_from(old).unwrap()].0));
                        prop_assert!(old >= reader.oldest());
                        prop_assert!(reader.age_percent(old) <= 100);
                    }
                    Err(error) => {
                        prop_assert_eq!(error, ReadError::Lapped);
                        prop_assert!(old < reader.oldest() && old < n);
                    }
                }
            }
            prop_assert_eq!(reader.read(n + 1, &mut buffer), Err(ReadError::NotYet));
        }
        prop_assert_eq!(reader.head(), frames.len() as u64);
    }
}

#[test]
fn a_frame_that_is_not_whole_is_never_published() {
    let (_place, mut writer, reader) = pair(4, 16 << 10);
    publish_numbered(&mut writer, 0);
    let bytes = frame(1, 1000);
    assert!(writer.begin(1000) && writer.write(&bytes[..999]));
    assert!(!writer.publish(&meta(1)), "a byte is missing");
    assert!(
        writer.begin(1000) && !writer.write(&[0; 1001]),
        "a byte too many"
    );
    assert!(!writer.write(&bytes), "it was given up");
    assert!(!writer.publish(&meta(1)));
    assert!(writer.begin(1000) && writer.write(&bytes[..500]));
    writer.abort();
    assert!(!writer.publish(&meta(1)));
    assert!(!writer.begin(0) && !writer.begin((16 << 10) + 1) && !writer.begin(u64::MAX));
    assert_eq!(reader.head(), 1);

    publish_numbered(&mut writer, 1);
    let mut buffer = Vec::new();
    for n in 0..2 {
        assert_eq!(reader.read(n, &mut buffer), Ok(meta(n)));
        assert!(is_frame(&buffer, n), "frame {n}");
    }
}

#[test]
fn a_frame_as_large_as_the_ring_fits_and_takes_all_of_it() {
    let (_place, mut writer, reader) = pair(4, 16 << 10);
    publish_numbered(&mut writer, 0);
    let large = frame(1, 16 << 10);
    assert!(writer.begin(16 << 10) && writer.write(&large) && writer.publish(&meta(1)));
    let mut buffer = Vec::new();
    assert_eq!(reader.read(0, &mut buffer), Err(ReadError::Lapped));
    assert_eq!(reader.read(1, &mut buffer), Ok(meta(1)));
    assert_eq!(buffer, large);
    assert_eq!(reader.oldest(), 1);
}

#[test]
fn a_frame_cannot_be_read_from_the_moment_its_place_is_taken() {
    let (_place, mut writer, reader) = pair(8, 4096);
    for n in 0..4 {
        let bytes = frame(n, 1000);
        assert!(writer.begin(1000) && writer.write(&bytes) && writer.publish(&meta(n)));
    }
    let raw = reader
        .raw_frame(0)
        .expect("it is the oldest of four that fit");
    assert!(reader.is_still_valid(&raw));
    assert_eq!(raw.length, 1000);
    let looked = reader.with_words(0, |_, words| {
        assert!(writer.begin(64));
        words.iter().count()
    });
    assert_eq!(looked, Err(ReadError::Lapped));
    assert!(!reader.is_still_valid(&raw));
    assert_eq!(reader.read(0, &mut Vec::new()), Err(ReadError::Lapped));
    assert!(reader.read(1, &mut Vec::new()).is_ok());
}

#[test]
fn ages_grow_from_the_first_lap_on_and_name_the_lapped() {
    let (_place, mut writer, reader) = pair(64, 16 << 10);
    let put = |writer: &mut RingWriter, n| {
        let bytes = frame(n, 1024);
        assert!(writer.begin(1024) && writer.write(&bytes) && writer.publish(&meta(n)));
    };
    put(&mut writer, 0);
    assert_eq!(reader.age_bytes(0), Ok(1024));
    assert_eq!(reader.age_percent(0), 6);
    for n in 1..12 {
        put(&mut writer, n);
    }
    assert_eq!((reader.age_percent(0), reader.age_percent(11)), (75, 6));
    for n in 12..40 {
        put(&mut writer, n);
    }
    assert_eq!(
        (
            reader.age_percent(0),
            reader.age_percent(24),
            reader.age_percent(39)
        ),
        (100, 100, 6)
    );
    assert_eq!(reader.age_bytes(23), Err(ReadError::Lapped));
}

#[test]
fn the_last_key_frame_is_found_while_it_is_there() {
    let (_place, mut writer, reader) = pair(16, 1 << 20);
    assert_eq!(reader.last_key(), None);
    for n in 0..=25 {
        publish_numbered(&mut writer, n);
    }
    assert_eq!(reader.last_key(), Some(20));
    let mut plain = meta(1);
    for n in 26..45 {
        plain.number.0 = n;
        assert!(writer.begin(10) && writer.write(&[0; 10]) && writer.publish(&plain));
    }
    assert_eq!(reader.last_key(), None, "overwritten");
}

#[test]
fn a_ring_says_what_it_was_made_for_and_how_it_does() {
    let (_place, mut writer, reader) = pair(5, 5000);
    let info = reader.info();
    let asked = options(8, 8192);
    assert_eq!(
        (&info.origin, &info.label),
        (&Origin::Camera(asked.camera), &asked.label.into())
    );
    assert_eq!((info.stream, info.kind), (asked.stream, asked.kind));
    assert_eq!((info.instance, info.format), (asked.instance, asked.format));
    assert_eq!(info.extradata, asked.extradata);
    assert_eq!((info.slots, info.data_bytes), (8, 8192), "rounded up");
    assert_eq!(info.writer_pid, std::process::id());
    assert_eq!(reader.link(), Some(Link::Udp));
    writer.set_link(Link::Ethernet);
    writer.set_measured_rate(29_970);
    assert_eq!(reader.retransmitted(), None);
    for packets in [Some(0), Some(7), None, Some(u64::MAX - 1)] {
        writer.set_retransmitted(packets);
        assert_eq!(reader.retransmitted(), packets);
    }
    publish_numbered(&mut writer, 2);
    assert_eq!(reader.link(), Some(Link::Ethernet));
    assert_eq!(reader.measured_rate(), 29_970);
    assert_eq!(reader.frames_lost(), 2);
    assert_eq!(reader.bytes_published(), frame_bytes(2) as u64);
    assert!(reader.writer_lives() && !reader.is_replaced());
}

#[test]
fn numbers_no_camera_should_send_are_counted_without_harm() {
    let (_place, mut writer, reader) = pair(4, 4096);
    let mut strange = meta(0);
    strange.missed = u64::MAX;
    strange.number.0 = u64::MAX;
    strange.captured = Timestamp::from_nanoseconds(i64::MIN);
    for n in 0..3 {
        assert!(writer.begin(8) && writer.write(&[1; 8]) && writer.publish(&strange));
        assert_eq!(reader.meta(n), Ok(strange));
    }
    assert_eq!(reader.frames_lost(), u64::MAX);
}

#[test]
fn every_new_state_is_told_to_a_waiting_reader_and_none_twice() {
    let (_place, mut writer, mut reader) = pair(4, 4096);
    for state in [
        StreamState::Stale,
        StreamState::Lost,
        StreamState::Live,
        StreamState::Closed,
    ] {
        let before = reader.state();
        let told = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                loop {
                    match reader.wait(0, before, Timestamp::NEVER) {
                        Wait::Nothing => {}
                        wait => return wait,
                    }
                }
            });
            writer.set_state(state);
            waiting.join().expect("waiting cannot fail")
        });
        assert_eq!(told, Wait::StateChanged);
        assert_eq!(reader.state(), state);
        assert_eq!(reader.wait(0, state, Timestamp::now()), Wait::Nothing);
    }
}

#[test]
fn memory_given_back_is_free_while_readers_still_have_it_mapped() {
    let place = folder();
    let directory = create_rings(place.path());
    let mut writer = RingWriter::create(&directory, options(64, 8 << 20)).expect("there is room");
    let reader = open_in(place.path()).expect("the ring is there");
    publish_numbered(&mut writer, 0);
    let file = ring_descriptor(place.path());
    let blocks = || std::fs::metadata(&file).map(|stat| stat.blocks());
    let before = blocks().expect("the file is open");
    writer.set_state(StreamState::Closed);
    writer.unlink();
    assert!(reader.is_replaced());
    assert!(
        reader.read(0, &mut Vec::new()).is_ok(),
        "readers keep what they have mapped"
    );
    writer.release_memory();
    let after = blocks().expect("the file is open");
    assert!(
        before > (8 << 20) / 512 && after < 100,
        "{before} blocks, then {after}"
    );
    assert_eq!(reader.read(0, &mut Vec::new()), Err(ReadError::Lapped));
    drop(writer);
    assert!(!reader.writer_lives());
}

/// The ring's file as one of this process's descriptors, which leads there also when it has lost its name.
fn ring_descriptor(place: &Path) -> PathBuf {
    let ring = place.join("rings").join(name().as_str());
    std::fs::read_dir("/proc/self/fd")
        .expect("Linux has /proc")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| std::fs::read_link(path).is_ok_and(|target| target == ring))
        .expect("the ring is open")
}

#[test]
fn a_new_ring_of_the_same_stream_takes_the_name_and_the_old_one_stays_readable() {
    let place = folder();
    let directory = create_rings(place.path());
    let mut old = RingWriter::create(&directory, options(4, 1 << 16)).expect("there is room");
    publish_numbered(&mut old, 0);
    let reader = open_in(place.path()).expect("the ring is there");
    let mut new = RingWriter::create(&directory, options(8, 1 << 17)).expect("there is room");
    old.was_replaced();
    publish_numbered(&mut new, 0);
    publish_numbered(&mut new, 1);

    assert!(reader.is_replaced() && old.is_replaced() && !new.is_replaced());
    assert_eq!(reader.state(), StreamState::Moved);
    assert_eq!(reader.read(0, &mut Vec::new()), Ok(meta(0)));
    old.unlink();
    let next = open_in(place.path()).expect("the old ring's end is not the new one's");
    assert_eq!(next.head(), 2);
    let rings = sdvr_ring::list_rings(directory.as_fd()).expect("it can be read");
    assert_eq!(rings, [name()], "and nothing unfinished lies about");
}

#[test]
fn impossible_sizes_and_too_much_extradata_are_refused() {
    let place = folder();
    let directory = create_rings(place.path());
    let create = |slots, data_bytes| RingWriter::create(&directory, options(slots, data_bytes));
    for (slots, data_bytes) in [
        (u32::MAX, 4096),
        (1 << 21, 4096),
        (4, u64::MAX),
        (4, 1 << 41),
    ] {
        let made = create(slots, data_bytes);
        assert!(matches!(made, Err(CreateError::Size { .. })), "{made:?}");
    }
    let mut much = options(4, 4096);
    much.extradata = vec![0; 1025];
    let made = RingWriter::create(&directory, much.clone());
    assert!(
        matches!(made, Err(CreateError::Extradata { bytes: 1025 })),
        "{made:?}"
    );
    much.extradata.pop();
    RingWriter::create(&directory, much.clone()).expect("1024 fit");
    let reader = open_in(place.path()).expect("the ring is there");
    assert_eq!(reader.info().extradata, much.extradata);
}

#[test]
fn a_reader_waits_for_a_frame_and_not_past_its_deadline() {
    let (_place, mut writer, mut reader) = pair(4, 1 << 16);
    let deadline = Timestamp::now() + Duration::from_millis(5);
    assert_eq!(reader.wait(0, StreamState::Live, deadline), Wait::Nothing);
    assert!(Timestamp::now() >= deadline);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            (0..200_u64)
                .map(|n| {
                    loop {
                        match reader.wait(n, StreamState::Live, Timestamp::NEVER) {
                            Wait::Ready => break,
                            Wait::Nothing => {}
                            Wait::StateChanged => panic!("the state is the same"),
                        }
                    }
                })
                .count()
        });
        for n in 0..200 {
            publish_numbered(&mut writer, n);
            std::thread::sleep(Duration::from_micros(random_below(300)));
        }
        assert_eq!(waiting.join().expect("waiting cannot fail"), 200);
    });
}

#[test]
fn a_frame_can_be_looked_at_in_parts() {
    let (_place, mut writer, reader) = pair(8, 4096);
    for (n, length) in [1000_usize, 999, 1, 8].into_iter().enumerate() {
        let n = n as u64;
        let bytes: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
        assert!(writer.begin(length as u64) && writer.write(&bytes) && writer.publish(&meta(n)));
        // Parts are of whole words.
        for (asked, part) in [(0, 8), (60, 64), (64, 64), (1 << 20, 1 << 20)] {
            let (_, parts) = reader
                .with_words(n, |_, words| {
                    let mut buffer = Vec::new();
                    let copied = words.chunks(asked).map(|chunk| {
                        chunk.copy_into(&mut buffer);
                        assert_eq!(buffer.len(), chunk.len());
                        buffer.clone()
                    });
                    copied.collect::<Vec<_>>()
                })
                .expect("it is there");
            assert!(parts.iter().rev().skip(1).all(|bytes| bytes.len() == part));
            assert_eq!(parts.concat(), bytes, "{length} bytes, {asked} at a time");
        }
    }
}
