//! What a program publishes is read as a camera is, through everything that happens to either of them.

mod daemon;
#[path = "../../sdvr-ring/tests/support/processes.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod processes;

use std::path::Path;
use std::time::{Duration, Instant};

use daemon::{Daemon, PATIENCE};
use processes::{Process, spawn, spawned_place};
use sdvr::{
    Camera, CameraInfo, Cameras, Change, Error, FourCc, Frame, FrameFlags, FrameNumber, FrameRate,
    InstanceId, Origin, Policy, PublishError, PublishOptions, Published, Publisher, Start,
    StreamFormat, StreamKind, StreamState, Timestamp,
};

const PEOPLE: &str = "door/people";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written")
}

fn json() -> PublishOptions {
    PublishOptions {
        source: Some("door".parse().expect("it is a label")),
        ..PublishOptions::metadata(FourCc(*b"JSON"), FrameRate::from_whole(25))
    }
}

fn grey(width: u32) -> StreamFormat {
    StreamFormat {
        fourcc: FourCc::GREY,
        width,
        height: 4,
        rate: FrameRate::from_whole(25),
    }
}

fn people(place: &Path) -> Publisher {
    Publisher::create_in(place, PEOPLE, json()).expect("nobody has the label")
}

fn read(place: &Path, label: &str) -> Camera {
    Camera::open_in(place, label, Start::Oldest).expect("it is there")
}

#[track_caller]
fn next(camera: &mut Camera) -> Frame {
    let frame = camera.next(Policy::Every, PATIENCE);
    frame.expect("it can be read").expect("it came in time")
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn publish(publisher: &mut Publisher, bytes: &[u8]) -> FrameNumber {
    publisher
        .publish(bytes, &Published::now())
        .expect("there is room")
}

/// A frame that can be told from others, of a length of its own.
fn numbered(n: u64) -> Vec<u8> {
    let byte = n.to_le_bytes()[0];
    let mut bytes = n.to_le_bytes().to_vec();
    let rest = usize::try_from(n * 37 % 3000).expect("it is small");
    bytes.resize(8 + rest, byte);
    bytes
}

#[track_caller]
fn one(list: &[CameraInfo]) -> &CameraInfo {
    let [one] = list else {
        panic!("{list:?}");
    };
    one
}

#[test]
#[ignore = "a process of other tests"]
fn publisher_process() {
    let Some(place) = spawned_place() else { return };
    let mut publisher = people(&place);
    for n in 0.. {
        publish(&mut publisher, &numbered(n));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn publishing(place: &Path) -> Process {
    let process = spawn("publisher_process", place);
    until("it publishes", || {
        let mut list = Cameras::list_in(place).into_iter();
        list.any(|stream| stream.state == StreamState::Live && stream.frames > 0)
    });
    process
}

#[test]
fn what_another_process_publishes_is_read_whole() {
    let place = folder();
    let _process = publishing(place.path());
    let mut camera = read(place.path(), PEOPLE);
    let mut expected = None;
    for _ in 0..100 {
        let frame = next(&mut camera);
        assert_eq!(frame.bytes(), numbered(frame.number().0));
        assert!(frame.is_key() && frame.missed() == 0);
        assert!(expected.is_none_or(|expected| frame.number() == expected));
        expected = Some(FrameNumber(frame.number().0 + 1));
    }
}

#[test]
fn a_thousand_frames_come_to_a_reader_beside_whole_and_in_order() {
    let place = folder();
    let options = PublishOptions {
        frames: Some(1000),
        ..json()
    };
    let mut publisher = Publisher::create_in(place.path(), PEOPLE, options).expect("it is free");
    let mut camera = read(place.path(), PEOPLE);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..1000 {
                assert_eq!(publish(&mut publisher, &numbered(n)), FrameNumber(n));
            }
            publisher.close();
        });
        for n in 0..1000 {
            let frame = next(&mut camera);
            assert_eq!((frame.number().0, frame.missed()), (n, 0));
            assert_eq!(frame.bytes(), numbered(n));
        }
        let end = camera.next(Policy::Every, PATIENCE);
        assert!(matches!(end, Err(Error::Ended)), "{end:?}");
    });
}

#[test]
fn what_is_made_of_what_was_made_has_the_camera_s_times_and_numbers() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let mut people = people(daemon.path());
    let options = PublishOptions {
        source: Some(people.label().clone()),
        ..PublishOptions::new(grey(8))
    };
    let tracks = Publisher::create_in(daemon.path(), "door/people/tracks", options);
    let mut tracks = tracks.expect("it is free");
    let mut of_door = read(daemon.path(), "door");
    let mut of_people = read(daemon.path(), PEOPLE);
    let mut of_tracks = read(daemon.path(), "door/people/tracks");
    for numbers in [10..11, 11..12, 14..15] {
        door.publish(numbers);
        let picture = next(&mut of_door);
        let made = people.publish_from(&picture, b"1");
        assert_eq!(made.expect("there is room"), picture.number());
        let detection = next(&mut of_people);
        tracks
            .publish_from(&detection, &[7; 32])
            .expect("there is room");
        let track = next(&mut of_tracks);
        for frame in [&detection, &track] {
            assert_eq!(frame.number(), picture.number());
            assert_eq!(frame.captured(), picture.captured());
            assert_eq!(frame.missed(), picture.missed());
            assert_eq!(frame.clock_error(), picture.clock_error());
            assert!(frame.published() >= picture.published());
        }
    }
    // A new run of the camera is one of all that is made of it, and numbers begin anew.
    let instances =
        [of_people.info(), of_tracks.info()].map(|info| info.expect("it is there").instance);
    let mut door = daemon.open("door", 1, 2);
    door.publish([0]);
    let picture = next(&mut of_door);
    people.publish_from(&picture, b"2").expect("there is room");
    let detection = next(&mut of_people);
    tracks
        .publish_from(&detection, &[8; 32])
        .expect("there is room");
    let track = next(&mut of_tracks);
    assert_eq!((detection.number().0, track.number().0), (0, 0));
    assert_ne!([detection.instance(), track.instance()], instances);
    assert_eq!(track.captured(), picture.captured());
}

#[test]
fn a_killed_publisher_is_lost_and_the_next_one_is_followed() {
    let place = folder();
    let mut process = publishing(place.path());
    let mut camera = read(place.path(), PEOPLE);
    let first = next(&mut camera);
    assert_eq!(camera.state(), StreamState::Live);
    process.kill();
    assert_eq!(camera.state(), StreamState::Lost);
    assert_eq!(
        one(&Cameras::list_in(place.path())).state,
        StreamState::Lost
    );
    // What is left can be read.
    let mut last = first.number();
    while let Some(frame) = camera
        .next(Policy::Every, Duration::ZERO)
        .expect("it can be read")
    {
        assert_eq!(frame.number().0, last.0 + 1);
        last = frame.number();
    }
    assert_eq!(camera.state(), StreamState::Lost);

    let mut publisher = people(place.path());
    publish(&mut publisher, b"again");
    let frame = next(&mut camera);
    assert_eq!((frame.bytes(), frame.number().0), (&b"again"[..], 0));
    assert_ne!(frame.instance(), first.instance());
    assert_eq!(camera.state(), StreamState::Live);
    assert_eq!(
        one(&Cameras::list_in(place.path())).state,
        StreamState::Live
    );
}

#[test]
fn a_stream_that_ends_says_so_and_the_next_one_is_followed() {
    let place = folder();
    let mut publisher = people(place.path());
    publish(&mut publisher, b"one");
    let mut camera = read(place.path(), PEOPLE);
    drop(publisher);
    assert!(Cameras::list_in(place.path()).is_empty());
    assert_eq!(next(&mut camera).bytes(), b"one");
    let end = camera.next(Policy::Every, PATIENCE);
    assert!(matches!(end, Err(Error::Ended)), "{end:?}");
    let mut publisher = people(place.path());
    publish(&mut publisher, b"two");
    assert_eq!(next(&mut camera).bytes(), b"two");
    publisher.close();
    assert!(camera.state() == StreamState::Closed);
}

#[test]
fn the_memory_of_what_has_ended_is_given_back_though_somebody_keeps_it_open() {
    let place = folder();
    let mut publisher = people(place.path());
    publish(&mut publisher, b"one");
    let ring = Camera::open_in(place.path(), PEOPLE, Start::Oldest).expect("it is there");
    let ended = Instant::now();
    publisher.close();
    assert!(ended.elapsed() >= Duration::from_secs(2), "it had no time");
    let mut camera = ring;
    let end = camera.next(Policy::Every, Duration::ZERO);
    assert!(matches!(end, Err(Error::Ended)), "{end:?}");
    assert_eq!(camera.missed_at_end(), 1);
}

#[test]
fn a_label_is_one_publisher_s_and_no_camera_s() {
    let daemon = Daemon::new();
    let _people = people(daemon.path());
    let again = Publisher::create_in(daemon.path(), PEOPLE, json());
    let error = again.map(|_| ()).expect_err("it is taken");
    assert!(matches!(error, PublishError::Busy { .. }), "{error}");
    let text = error.to_string();
    let pid = std::process::id().to_string();
    assert!(text.contains(PEOPLE) && text.contains(&pid), "{text}");

    let mut run = daemon.open("door", 1, 1);
    let error = Publisher::create_in(daemon.path(), "door", json()).map(|_| ());
    let error = error.expect_err("it is a camera's");
    assert!(matches!(error, PublishError::OfCamera { .. }), "{error}");
    assert!(error.to_string().contains("door"), "{error}");

    // A camera that comes later is found before a stream that had its label.
    let mut window = Publisher::create_in(daemon.path(), "window", json()).expect("it is free");
    publish(&mut window, b"derived");
    let mut camera = daemon.open("window", 2, 1);
    camera.publish([5]);
    assert_eq!(next(&mut read(daemon.path(), "window")).number().0, 5);
    run.publish([0]);

    for label in ["", "a b", "/door", "door/"] {
        let error = Publisher::create_in(daemon.path(), label, json()).map(|_| ());
        assert!(matches!(error, Err(PublishError::Label(_))), "{label:?}");
    }
}

#[test]
fn numbers_grow_and_what_is_left_out_is_missed() {
    let place = folder();
    let mut publisher = people(place.path());
    let mut camera = read(place.path(), PEOPLE);
    let number = |n| Published {
        number: Some(FrameNumber(n)),
        ..Published::at(Timestamp::from_nanoseconds(77))
    };
    publisher.publish(b"a", &number(5)).expect("there is room");
    for wrong in [5, 4, 0] {
        let error = publisher.publish(b"b", &number(wrong));
        assert!(
            matches!(error, Err(PublishError::NotLater { .. })),
            "{error:?}"
        );
    }
    assert_eq!(publish(&mut publisher, b"c"), FrameNumber(6));
    publisher.publish(b"d", &number(10)).expect("there is room");
    // What could not be published is missed, too.
    let empty = publisher.publish(b"", &Published::now());
    assert!(matches!(empty, Err(PublishError::Empty)), "{empty:?}");
    assert_eq!(publish(&mut publisher, b"e"), FrameNumber(12));

    let missed = [0, 0, 3, 1].map(|missed| {
        let frame = next(&mut camera);
        assert_eq!(frame.missed(), missed, "before {}", frame.number());
        missed
    });
    let list = Cameras::list_in(place.path());
    let stream = one(&list);
    assert_eq!((stream.frames, stream.bytes), (4, 4));
    assert_eq!(stream.lost, missed.iter().sum::<u64>());
}

#[test]
fn a_ring_grows_with_its_frames_and_a_reader_misses_none() {
    let place = folder();
    let options = PublishOptions {
        frame_most_bytes: Some(100),
        frames: Some(8),
        ..json()
    };
    let mut publisher = Publisher::create_in(place.path(), PEOPLE, options).expect("it is free");
    let mut camera = read(place.path(), PEOPLE);
    let data_bytes = |camera: &Camera| camera.info().map_or(0, |info| info.data_bytes);
    let before = data_bytes(&camera);
    let lengths = [50_usize, 60, 3000, 70, 200_000, 80, 1 << 20, 90];
    for length in lengths {
        publish(&mut publisher, &vec![length.to_le_bytes()[0]; length]);
    }
    for (n, length) in (0..).zip(lengths) {
        let frame = next(&mut camera);
        assert_eq!((frame.number().0, frame.missed()), (n, 0));
        assert_eq!(frame.bytes(), vec![length.to_le_bytes()[0]; length]);
    }
    assert!(data_bytes(&camera) >= 4 << 20 && before <= 4096);
    // Who comes later finds what was there before it grew.
    let mut late = read(place.path(), PEOPLE);
    let numbers: Vec<u64> = (0..4).map(|_| next(&mut late).number().0).collect();
    assert!(numbers.is_sorted() && numbers[0] <= 4, "{numbers:?}");
    let list = Cameras::list_in(place.path());
    assert_eq!(one(&list).frames, 8);

    let too_long = vec![0; (256 << 20) + 1];
    let error = publisher.publish(&too_long, &Published::now());
    let error = error.expect_err("nothing is so long");
    assert!(error.to_string().contains("256 MiB"), "{error}");
    assert_eq!(publish(&mut publisher, b"small"), FrameNumber(9));
}

#[test]
fn another_format_is_followed_without_opening_anew() {
    let place = folder();
    let options = PublishOptions::new(grey(8));
    let mut publisher = Publisher::create_in(place.path(), "wall", options).expect("it is free");
    let mut camera = read(place.path(), "wall");
    publish(&mut publisher, &[1; 32]);
    publisher.set_format(grey(8)).expect("it is no change");
    publisher.set_format(grey(512)).expect("there is room");
    assert_eq!(publisher.format().width, 512);
    publish(&mut publisher, &[2; 2048]);
    let (old, new) = (next(&mut camera), next(&mut camera));
    assert_eq!((old.format(), old.bytes().len()), (grey(8), 32));
    assert_eq!((new.format(), new.bytes().len()), (grey(512), 2048));
    assert_eq!((new.number().0, new.missed()), (1, 0));
    assert_eq!(new.instance(), old.instance());
}

#[test]
fn key_frames_are_those_that_the_publisher_says_or_all() {
    let place = folder();
    let h264 = StreamFormat {
        fourcc: FourCc::H264,
        ..grey(16)
    };
    let options = PublishOptions::new(h264);
    let mut publisher = Publisher::create_in(place.path(), "wall", options).expect("it is free");
    let key = Published {
        flags: Some(FrameFlags::KEY),
        ..Published::now()
    };
    publisher.publish(b"key", &key).expect("there is room");
    publish(&mut publisher, b"other");
    let mut camera = read(place.path(), "wall");
    assert_eq!(
        [next(&mut camera).is_key(), next(&mut camera).is_key()],
        [true, false]
    );
}

#[test]
fn what_is_listed_tells_derived_streams_from_cameras() {
    let daemon = Daemon::new();
    let _door = daemon.open("door", 1, 1);
    let mut cameras = Cameras::new_in(daemon.path());
    let came = |changes: Vec<Change>| -> Vec<CameraInfo> {
        let came = changes.into_iter().map(|change| match change {
            Change::Came(info) => info,
            Change::Went(info) => panic!("{info:?}"),
        });
        came.collect()
    };
    assert!(one(&came(cameras.wait(PATIENCE))).fingerprint().is_some());
    let mut publisher = people(daemon.path());
    publish(&mut publisher, b"one");
    let changes = came(cameras.wait(PATIENCE));
    let stream = one(&changes);
    let source = Some("door".parse().expect("it is a label"));
    assert_eq!(stream.origin, Origin::Derived { source });
    assert_eq!((stream.fingerprint(), stream.link), (None, None));
    assert_eq!(
        (stream.label.as_str(), stream.format),
        (PEOPLE, json().format)
    );
    let camera = read(daemon.path(), PEOPLE);
    let info = camera.info().expect("it is there");
    assert_eq!(info.kind, StreamKind::Metadata);
    drop(publisher);
    let changes = cameras.wait(PATIENCE);
    assert!(
        matches!(&changes[..], [Change::Went(info)] if info.label.as_str() == PEOPLE),
        "{changes:?}"
    );
}

#[test]
fn a_removed_file_comes_back_with_what_was_in_it() {
    let place = folder();
    let mut publisher = people(place.path());
    publish(&mut publisher, b"one");
    let mut camera = read(place.path(), PEOPLE);
    assert_eq!(next(&mut camera).bytes(), b"one");
    for file in std::fs::read_dir(place.path())
        .expect("it is ours")
        .flatten()
    {
        std::fs::remove_file(file.path()).expect("it is ours");
    }
    until("it is back", || {
        publish(&mut publisher, b"more");
        // So many that a ring has room for all of them.
        std::thread::sleep(Duration::from_millis(10));
        !Cameras::list_in(place.path()).is_empty()
    });
    let last = publish(&mut publisher, b"last");
    let mut next_number = 1;
    loop {
        let frame = next(&mut camera);
        assert_eq!((frame.number().0, frame.missed()), (next_number, 0));
        next_number += 1;
        if frame.number() == last {
            break;
        }
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_a_remedy() {
    let place = folder();
    let create = |path: &Path| {
        let made = Publisher::create_in(path, PEOPLE, json()).map(|_| ());
        made.expect_err("it cannot be used").to_string()
    };
    let file = place.path().join("file");
    std::fs::write(&file, "").expect("it is ours");
    assert!(create(&file).contains("/file"));
    let missing = place.path().join("not/there");
    assert!(create(&missing).contains("not/there"));
    let open = place.path().join("open");
    std::fs::create_dir(&open).expect("it is ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&open, mode).expect("it is ours");
    assert!(create(&open).contains("chmod go-w"));
    if rustix::process::geteuid().is_root() {
        let foreign = place.path().join("foreign");
        std::fs::create_dir(&foreign).expect("it is ours");
        std::os::unix::fs::chown(&foreign, Some(65_534), None).expect("root may");
        let text = create(&foreign);
        assert!(
            text.contains("65534") && text.contains("SDVR_SHM_DIR"),
            "{text}"
        );
    }
    // One that is not there is made.
    let new = place.path().join("new");
    let _publisher = people(&new);
    assert_eq!(one(&Cameras::list_in(&new)).label.as_str(), PEOPLE);
}

#[test]
fn pictures_of_a_source_with_b_frames_are_published_as_they_are_shown() {
    let place = folder();
    let mut publisher = people(place.path());
    let mut camera = read(place.path(), PEOPLE);
    let mut is_published_as = |coded: u64, number: u64| {
        let captured = Timestamp::from_nanoseconds(i64::try_from(coded).expect("it is small"));
        let about = Published {
            number: Some(FrameNumber(coded)),
            source_run: Some(InstanceId([7; 16])),
            ..Published::at(captured)
        };
        let given = publisher.publish(b"a", &about).expect("there is room");
        assert_eq!(given, FrameNumber(number), "of {coded}");
        let frame = next(&mut camera);
        assert_eq!(frame.number(), given);
        assert_eq!(frame.captured(), captured);
    };
    // As x264 codes three B-frames between two others; numbers are the frame's own again as soon as they can be.
    for (coded, number) in [
        (0, 0),
        (3, 3),
        (2, 4),
        (4, 5),
        (1, 6),
        (7, 7),
        (6, 8),
        (8, 9),
        (5, 10),
        (11, 11),
    ] {
        is_published_as(coded, number);
    }
}
