//! What is published is what is read, byte for byte and number for number, or the reader is told that it is too late.

mod support;

use proptest::prelude::*;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, StreamFormat, StreamId,
    StreamKind, StreamState, Timestamp,
};
use sdvr_ring::{CreateError, FrameMeta, Origin, ReadError, RingWriter};
use support::{Place, is_frame, meta, options, publish, usize_of};

/// Publishes `bytes` cut into pieces of these lengths, in turn.
fn publish_in_pieces(writer: &mut RingWriter, bytes: &[u8], lengths: &[usize]) {
    assert!(writer.begin(bytes.len() as u64));
    let mut rest = bytes;
    for &length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, next) = rest.split_at(length.min(rest.len()));
        assert!(writer.write(piece));
        rest = next;
    }
    assert!(writer.publish(&meta(writer.published())));
}

#[test]
fn frames_of_every_size_come_out_as_they_went_in_however_they_were_cut() {
    let place = Place::new();
    let mut writer = place.ring(16, 4096);
    let reader = place.open();
    let mut buffer = Vec::new();
    for size in 1..=300_usize {
        let frame: Vec<u8> = (0..size)
            .map(|byte| (byte * 7 + size).to_le_bytes()[0])
            .collect();
        for pieces in [
            &[300][..],
            &[1],
            &[2],
            &[3],
            &[7],
            &[8],
            &[9],
            &[13, 1, 0, 8],
        ] {
            publish_in_pieces(&mut writer, &frame, pieces);
            let n = writer.published() - 1;
            let read = reader.read(n, &mut buffer).expect("it is the newest");
            assert_eq!(buffer, frame, "{size} bytes in pieces of {pieces:?}");
            assert_eq!(read.number, FrameNumber(n));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_a_frame_is_cut_does_not_matter(
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 1..5000), prop::collection::vec(0..1500_usize, 1..12)),
            1..6,
        )
    ) {
        let place = Place::new();
        let mut writer = place.ring(16, 8192);
        let reader = place.open();
        let mut buffer = Vec::new();
        for (bytes, mut cuts) in frames {
            // Pieces of no bytes are allowed, but some must have any.
            cuts.push(1);
            publish_in_pieces(&mut writer, &bytes, &cuts);
            let n = writer.published() - 1;
            reader.read(n, &mut buffer).expect("it is the newest");
            prop_assert_eq!(&buffer, &bytes);
            let (_, words) = reader.with_words(n, |_, words| words.iter().collect::<Vec<u64>>()).expect("still there");
            let mut padded = bytes.clone();
            padded.resize(bytes.len().next_multiple_of(8), 0);
            prop_assert_eq!(words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>(), padded);
        }
    }
}

#[test]
fn all_that_is_said_of_a_frame_arrives() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let reader = place.open();
    let unknown_error = FrameMeta {
        number: FrameNumber(u64::MAX),
        flags: FrameFlags::TRAILER,
        missed: u64::MAX,
        captured_at_source: Timestamp::from_nanoseconds(i64::MIN),
        captured: Timestamp::from_nanoseconds(-1),
        clock_error_ns: None,
        received: Timestamp::NEVER,
        published: Timestamp::from_nanoseconds(0),
    };
    let known_error = FrameMeta {
        clock_error_ns: Some(u32::MAX - 1),
        flags: FrameFlags::KEY,
        ..unknown_error
    };
    for (n, said) in [unknown_error, known_error].into_iter().enumerate() {
        assert!(writer.begin(1) && writer.write(&[9]) && writer.publish(&said));
        assert_eq!(reader.meta(n as u64), Ok(said));
    }
    assert_eq!(reader.frames_lost(), u64::MAX, "and no overflow");
    assert_eq!(reader.bytes_published(), 2);
}

#[test]
fn the_description_arrives_with_its_longest_texts() {
    let place = Place::new();
    for (label, extradata) in [
        ("x".repeat(Label::MAX_BYTES), vec![0xff; 1024]),
        ("ä camera".to_owned(), vec![1, 2, 3]),
        ("a".to_owned(), Vec::new()),
    ] {
        let given = sdvr_ring::RingOptions {
            label: Label::from_lossy(&label),
            stream: StreamId(u16::MAX),
            kind: StreamKind::Metadata,
            instance: InstanceId(*b"0123456789abcdef"),
            format: StreamFormat {
                fourcc: FourCc::H264,
                width: u32::MAX,
                height: 1,
                rate: FrameRate::new(30_000, 1001).expect("a rate"),
            },
            extradata,
            link: Link::Ethernet,
            ..options(3, 5000)
        };
        let mut writer = RingWriter::create(&place.rings, given.clone()).expect("there is room");
        let directory = support::directory(place.path());
        let reader =
            sdvr_ring::RingReader::open(std::os::fd::AsFd::as_fd(&directory), writer.name())
                .expect("it is there");
        let info = reader.info();
        assert_eq!(info.origin, Origin::Camera(given.camera));
        assert_eq!(info.label, given.label.into());
        assert_eq!(info.stream, given.stream);
        assert_eq!(info.kind, given.kind);
        assert_eq!(info.instance, given.instance);
        assert_eq!(info.format, given.format);
        assert_eq!(info.extradata, given.extradata);
        assert_eq!((info.slots, info.data_bytes), (4, 8192), "rounded up");
        assert_eq!(info.writer_pid, std::process::id());
        assert_eq!(reader.link(), Some(Link::Ethernet));
        assert_eq!(reader.state(), StreamState::Live);
        writer.set_link(Link::Udp);
        writer.set_measured_rate(29_970);
        assert_eq!(reader.link(), Some(Link::Udp));
        assert_eq!(reader.measured_rate(), 29_970);
        writer.unlink();
    }
}

#[test]
fn impossible_rings_are_refused_and_leave_nothing() {
    let place = Place::new();
    for (slots, data_bytes) in [
        (u32::MAX, 4096),
        ((1 << 20) + 1, 4096),
        (16, u64::MAX),
        (16, (1 << 40) + 1),
    ] {
        let refusal = RingWriter::create(&place.rings, options(slots, data_bytes));
        assert!(
            matches!(refusal, Err(CreateError::Size { .. })),
            "{refusal:?}"
        );
    }
    let long = sdvr_ring::RingOptions {
        extradata: vec![0; 1025],
        ..options(16, 4096)
    };
    let refusal = RingWriter::create(&place.rings, long);
    assert!(
        matches!(refusal, Err(CreateError::Extradata { bytes: 1025 })),
        "{refusal:?}"
    );
    assert_eq!(place.file_names(), [""; 0]);
}

#[test]
fn a_frame_that_would_cross_the_end_begins_at_the_start() {
    let place = Place::new();
    let mut writer = place.ring(16, 4096);
    let reader = place.open();
    let mut buffer = Vec::new();
    // 1,984 bytes of room twice leave 128; the third goes to the start and takes the first one's place.
    for _ in 0..2 {
        publish(&mut writer, 1_980);
    }
    assert!(reader.read(0, &mut buffer).is_ok());
    let n = publish(&mut writer, 200);
    assert_eq!(reader.read(0, &mut buffer), Err(ReadError::Lapped));
    for n in [1, n] {
        assert!(reader.read(n, &mut buffer).is_ok());
        assert!(is_frame(&buffer, n));
    }
    // As long as the ring: it is alone in there.
    let n = publish(&mut writer, 4096);
    assert!(reader.read(n, &mut buffer).is_ok() && is_frame(&buffer, n));
    assert_eq!(reader.oldest(), n);
}

#[test]
fn every_frame_is_either_read_or_counted_as_lapped() {
    let place = Place::new();
    let mut writer = place.ring(8, 16_384);
    let reader = place.open();
    let mut buffer = Vec::new();
    let (mut next, mut read, mut lapped) = (0, 0, 0);
    for burst in 0..200_u64 {
        for step in 0..burst % 23 {
            publish(
                &mut writer,
                24 + usize_of((burst * 131 + step * 977) % 4000),
            );
        }
        while next < reader.head() {
            match reader.read(next, &mut buffer) {
                Ok(_) => {
                    assert!(is_frame(&buffer, next));
                    read += 1;
                    next += 1;
                }
                Err(ReadError::Lapped) => {
                    let oldest = reader.oldest();
                    assert!(oldest > next, "nothing is lapped and the oldest");
                    lapped += oldest - next;
                    next = oldest;
                }
                Err(error) => panic!("frame {next}: {error}"),
            }
        }
    }
    assert_eq!(read + lapped, writer.published());
    assert!(
        read > 500 && lapped > 500,
        "both were tried: {read} {lapped}"
    );
    assert_eq!(reader.read(next, &mut buffer), Err(ReadError::NotYet));
    assert_eq!(reader.meta(u64::MAX), Err(ReadError::NotYet));
}

#[test]
fn a_frame_that_is_given_up_was_never_there() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let reader = place.open();
    let mut buffer = Vec::new();
    publish(&mut writer, 100);

    assert!(writer.begin(1000) && writer.write(&[0xee; 999]));
    assert!(!writer.publish(&meta(1)), "a byte is missing");
    assert!(writer.begin(1000) && writer.write(&[0xee; 500]));
    assert!(!writer.write(&[0xee; 501]), "a byte too many");
    assert!(!writer.publish(&meta(1)), "and so it is given up");
    assert!(writer.begin(1000) && writer.write(&[0xee; 1000]));
    writer.abort();
    assert!(!writer.publish(&meta(1)));
    assert!(!writer.write(&[]), "nothing has begun");
    assert!(!writer.begin(0) && !writer.begin(4097) && !writer.begin(u64::MAX));
    assert!(!writer.publish(&meta(1)));
    assert_eq!(reader.head(), 1);
    assert!(reader.read(0, &mut buffer).is_ok() && is_frame(&buffer, 0));

    // Begun again without an end: the newer one counts.
    assert!(writer.begin(3000) && writer.write(&[0xee; 3]));
    let n = publish(&mut writer, 333);
    assert_eq!(n, 1);
    assert!(reader.read(1, &mut buffer).is_ok() && is_frame(&buffer, 1));
}

#[test]
fn what_a_frame_in_the_making_overwrites_cannot_be_read() {
    let place = Place::new();
    let mut writer = place.ring(16, 4096);
    let reader = place.open();
    let mut buffer = Vec::new();
    for _ in 0..4 {
        publish(&mut writer, 1024);
    }
    assert!(reader.read(0, &mut buffer).is_ok());
    assert!(writer.begin(1500));
    assert_eq!(reader.read(0, &mut buffer), Err(ReadError::Lapped));
    assert_eq!(reader.read(1, &mut buffer), Err(ReadError::Lapped));
    assert!(reader.read(2, &mut buffer).is_ok());
    assert_eq!(reader.oldest(), 2);
    // Given up or not, their bytes may be gone.
    writer.abort();
    assert_eq!(reader.read(1, &mut buffer), Err(ReadError::Lapped));
}

#[test]
fn a_frame_that_is_overwritten_while_it_is_looked_at_is_not_accepted() {
    let place = Place::new();
    let mut writer = place.ring(16, 4096);
    let reader = place.open();
    publish(&mut writer, 2000);
    publish(&mut writer, 2000);
    let seen = reader.with_words(0, |_, words| {
        publish(&mut writer, 64);
        words.iter().next()
    });
    assert_eq!(seen, Err(ReadError::Lapped));

    let raw = reader.raw_frame(1).expect("it is there");
    assert_eq!(raw.length, 2000);
    assert!(reader.is_still_valid(&raw));
    publish(&mut writer, 2000);
    publish(&mut writer, 2000);
    assert!(!reader.is_still_valid(&raw));
}

#[test]
fn the_last_key_is_the_newest_that_can_still_be_read() {
    let place = Place::new();
    let mut writer = place.ring(4, 4096);
    let reader = place.open();
    assert_eq!(reader.last_key(), None);
    let mut publish_flagged = |flags| {
        let said = FrameMeta {
            flags,
            ..meta(writer.published())
        };
        assert!(writer.begin(8) && writer.write(&[0; 8]) && writer.publish(&said));
    };
    publish_flagged(FrameFlags::NONE);
    assert_eq!(reader.last_key(), None);
    publish_flagged(FrameFlags::KEY);
    publish_flagged(FrameFlags::NONE);
    assert_eq!(reader.last_key(), Some(1));
    publish_flagged(FrameFlags::KEY);
    assert_eq!(reader.last_key(), Some(3));
    for _ in 0..4 {
        publish_flagged(FrameFlags::DISCARDABLE);
    }
    assert_eq!(reader.last_key(), None, "it was overwritten");
}

#[test]
fn a_frame_grows_old_by_bytes_or_by_slots_until_it_is_gone() {
    let place = Place::new();
    let reader_of = |slots, data_bytes, frame_bytes| {
        let mut writer = place.ring(slots, data_bytes);
        let reader = place.open();
        publish(&mut writer, frame_bytes);
        let mut age = 0;
        while reader.meta(0).is_ok() {
            let older = reader.age_percent(0);
            assert!(older >= age && older <= 100, "{age} {older}");
            age = older;
            publish(&mut writer, frame_bytes);
        }
        assert_eq!(reader.age_percent(0), 100);
        age
    };
    // Few slots, much room: the slots decide. And the other way round.
    assert_eq!(reader_of(4, 1 << 20, 64), 100);
    assert_eq!(reader_of(1024, 4096, 1024), 100);

    let mut writer = place.ring(1024, 8192);
    let reader = place.open();
    for _ in 0..4 {
        publish(&mut writer, 1024);
    }
    assert_eq!(reader.age_percent(0), 50);
    assert_eq!(reader.age_bytes(0), Ok(4096));
    assert_eq!(reader.age_percent(4), 100, "not there yet");
}
