//! Streams that programs make of a camera's: beside a real daemon that comes and goes, seen by the real tools.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

#[path = "../../crates/sdvr-ring/tests/support/processes.rs"]
#[allow(dead_code, unreachable_pub, reason = "these tests use a part of it")]
mod processes;

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use processes::{spawn, spawned_place};
use rustix::process::Signal;
use sdvr::{
    Camera, Error, FourCc, FrameRate, Policy, PublishError, PublishOptions, Published, Publisher,
    Start, StreamState,
};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{PATIENCE, System, text, wait_until};

const MEASURING: &str = "test:?format=BNCH&bytes=20000&fps=50";

fn people(place: &Path) -> Publisher {
    let options = PublishOptions {
        source: Some("door".parse().unwrap()),
        ..PublishOptions::metadata(FourCc(*b"JSON"), FrameRate::from_whole(50))
    };
    Publisher::create_in(place, "door/people", options).unwrap()
}

/// Says of each frame of the door how long it is.
fn publish_lengths(place: &Path, frames: usize) -> Publisher {
    let mut people = people(place);
    let mut door = Camera::wait_for_in(place, "door");
    for _ in 0..frames {
        let picture = door.next(Policy::Every, PATIENCE).unwrap().unwrap();
        let detection = format!("{{\"bytes\": {}}}", picture.bytes().len());
        people.publish_from(&picture, detection.as_bytes()).unwrap();
    }
    people
}

#[test]
#[ignore = "a process of other tests"]
fn publisher_process() {
    let Some(place) = spawned_place() else { return };
    publish_lengths(&place, usize::MAX);
}

#[test]
fn the_tools_read_a_derived_stream_as_a_camera_s() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    let _process = spawn("publisher_process", &system.shm());
    system.wait_for_state("door/people", "live");
    wait_until("a rate was measured", || {
        system.list()[1]["fps"].as_f64().unwrap() > 0.0
    });
    let list = system.list();
    let [door, people] = &list[..] else {
        panic!("{list:?}");
    };
    assert_eq!(
        (&door["derived"], &door["source"]),
        (&false.into(), &().into())
    );
    assert_eq!(
        (&people["derived"], &people["source"]),
        (&true.into(), &"door".into())
    );
    assert_eq!(
        (&people["fingerprint"], &people["link"]),
        (&().into(), &().into())
    );
    assert_eq!(
        (&people["format"], &people["label"]),
        (&"JSON".into(), &"door/people".into())
    );
    let for_people = text(&system.sdvr(&["ls"]).stdout);
    assert!(for_people.contains("derived from door"), "{for_people}");

    let output = system.sdvr(&["watch", "door/people", "--json", "--count", "3"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout).lines().count(), 3, "{output:?}");
    let mut pipe = system.command("sdvr");
    let pipe = pipe.args(["pipe", "door/people"]).stdout(Stdio::piped());
    let mut pipe = pipe.spawn().unwrap();
    let mut bytes = [0; 32];
    pipe.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    // It ends when nobody takes what it writes.
    pipe.wait().unwrap();
    assert_eq!(text(&bytes), r#"{"bytes": 20000}"#.repeat(2));

    // Both are found by number and by time of capture.
    let mut door = Camera::open_in(&system.shm(), "door", Start::Oldest).unwrap();
    let mut people = Camera::open_in(&system.shm(), "door/people", Start::Now).unwrap();
    let detection = people.next(Policy::Every, PATIENCE).unwrap().unwrap();
    let picture = loop {
        let picture = door.next(Policy::Every, PATIENCE).unwrap().unwrap();
        if picture.number() == detection.number() {
            break picture;
        }
    };
    assert_eq!(picture.captured(), detection.captured());
}

#[test]
fn a_publisher_lives_on_while_daemons_end_and_start_and_a_dead_one_s_ring_goes() {
    let mut system = System::with_daemon();
    let client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    let mut process = spawn("publisher_process", &system.shm());
    system.wait_for_state("door/people", "live");
    let mut people = Camera::open_in(&system.shm(), "door/people", Start::Now).unwrap();
    let first = people.next(Policy::Every, PATIENCE).unwrap().unwrap();
    let ring = || {
        let rings = system_rings(&system.shm());
        rings.into_iter().find(|name| name.starts_with("derived-"))
    };
    let name = ring().unwrap();

    // Frames come again when the camera is back, in the same ring and the same run.
    system.kill_daemon();
    system.start_daemon(&[]);
    assert_eq!(people.state(), StreamState::Live);
    system.wait_for_state("door", "live");
    let next = people.next(Policy::Every, PATIENCE).unwrap().unwrap();
    assert_eq!(next.instance(), first.instance());
    assert!(system.terminate_daemon().success());
    system.start_daemon(&[]);
    system.wait_for_state("door", "live");
    let head = people.next(Policy::Latest, PATIENCE).unwrap().unwrap();
    wait_until("frames come from the new daemon's camera", || {
        let frame = people.next(Policy::Latest, PATIENCE).unwrap().unwrap();
        frame.number().0 > head.number().0 + 5
    });
    assert_eq!(people.state(), StreamState::Live);
    let rings = system_rings(&system.shm());
    assert!(rings.contains(&name), "{rings:?}");

    // Killed, it is seen to be, and the next daemon clears up.
    process.kill();
    system.wait_for_state("door/people", "lost");
    assert_eq!(people.state(), StreamState::Lost);
    system.kill_daemon();
    system.start_daemon(&[]);
    wait_until("what is left is read, and the ring let go", || {
        assert!(!matches!(
            people.next(Policy::Every, Duration::ZERO),
            Err(Error::Unusable(_))
        ));
        people.info().is_none()
    });
    let rings = system_rings(&system.shm());
    assert!(!rings.contains(&name), "{rings:?}");
    drop(client);
}

fn system_rings(place: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(place).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn used_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[test]
fn where_there_is_no_room_it_is_said_and_what_fits_goes_on() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let shm = place.path().join("small");
    let Some(_disk) = SmallDisk::mount(&shm, 4 << 20) else {
        return;
    };
    let options = |megabytes: u64| PublishOptions {
        frame_most_bytes: Some(megabytes << 20),
        frames: Some(4),
        ..PublishOptions::metadata(FourCc(*b"JSON"), FrameRate::UNPACED)
    };
    let error = Publisher::create_in(&shm, "large", options(8)).map(|_| ());
    let error = error.unwrap_err();
    assert!(matches!(error, PublishError::NoSpace { .. }), "{error}");
    let said = error.to_string();
    for word in ["large", "remount,size=", "frames", "--memory"] {
        assert!(said.contains(word), "{word} in {said}");
    }

    let mut publisher = people(&shm);
    let mut camera = Camera::open_in(&shm, "door/people", Start::Oldest).unwrap();
    let now = Published::now;
    publisher.publish(b"one", &now()).unwrap();
    // It fits into the ring, which should be larger for it and cannot be.
    let long = vec![1; 200 << 10];
    let filler = shm.join("filler");
    let file = std::fs::File::create(&filler).unwrap();
    let free = (4 << 20) - used_bytes(&shm);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free).unwrap();
    publisher.publish(&long, &now()).unwrap();
    // This one does not.
    let longer = vec![2; 1 << 20];
    let refused = publisher.publish(&longer, &now());
    assert!(
        matches!(refused, Err(PublishError::NoSpace { .. })),
        "{refused:?}"
    );
    std::fs::remove_file(&filler).unwrap();
    publisher.publish(b"four", &now()).unwrap();
    let read = |camera: &mut Camera| {
        let frame = camera.next(Policy::Every, PATIENCE).unwrap().unwrap();
        (frame.number().0, frame.bytes().len(), frame.missed())
    };
    assert_eq!(read(&mut camera), (0, 3, 0));
    assert_eq!(read(&mut camera), (1, 200 << 10, 0));
    assert_eq!(read(&mut camera), (3, 4, 1));
}

#[test]
fn a_stopped_reader_does_not_keep_the_memory_of_a_publisher_that_has_ended() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 64 << 20) else {
        return;
    };
    system.start_daemon(&[]);
    let before = used_bytes(&shm);
    let mut publisher = people(&shm);
    publisher
        .publish(&vec![1; 1 << 20], &Published::now())
        .unwrap();
    assert!(used_bytes(&shm) >= before + (4 << 20));
    let mut reader = system.command("sdvr");
    let reader = reader.args(["watch", "door/people"]);
    let mut reader = system.start(reader.stdout(Stdio::null()), "reader");
    let maps = format!("/proc/{}/maps", reader.id());
    wait_until("the reader has the ring", || {
        std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains(".0\n"))
    });
    reader.signal(Signal::STOP);
    // A thread does it: nobody waits.
    drop(publisher);
    wait_until("all is given back", || {
        used_bytes(&shm) <= before + (64 << 10)
    });
    reader.signal(Signal::CONT);
    // It is told of the end, and waits for the stream to come back.
    std::thread::sleep(Duration::from_millis(300));
    assert!(reader.runs(), "{}", reader.log());
}
