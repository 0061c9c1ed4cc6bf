//! Derived rings: named by their labels, ended when their programs are gone, and left alone while those live.

mod support;

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use sdvr_frame::{StreamKind, StreamLabel, StreamState};
use sdvr_ring::{
    DerivedDirectory, DerivedError, DerivedOptions, DirectoryError, OpenError, Origin,
    RingDirectory, RingName, RingReader, RingWriter, TakenOver, list_rings,
};
use support::processes::{spawn, spawned_place};
use support::*;

fn label(text: &str) -> StreamLabel {
    text.parse().expect("it is a label")
}

fn derived(name: &str) -> DerivedOptions {
    let options = options(8, 8192);
    DerivedOptions {
        label: label(name),
        source: Some(label("front-door")),
        kind: StreamKind::Metadata,
        instance: options.instance,
        format: options.format,
        extradata: options.extradata,
        slots: options.slots,
        data_bytes: options.data_bytes,
    }
}

fn create(directory: &DerivedDirectory, name: &str) -> RingWriter {
    directory.create(derived(name)).expect("nobody has it").0
}

fn open_derived(path: &Path, name: &str) -> Result<RingReader, OpenError> {
    RingReader::open(directory(path).as_fd(), &RingName::derived(&label(name)))
}

#[test]
#[ignore = "a process of other tests"]
fn publisher_process() {
    let Some(place) = spawned_place() else { return };
    let directory = DerivedDirectory::join(&place).expect("the place is ours");
    let mut writer = create(&directory, "front-door/people");
    publish(&mut writer, 100);
    std::fs::write(place.join("ready"), "").expect("the place is ours");
    loop {
        std::thread::park();
    }
}

/// Another process that publishes `front-door/people` until it is ended.
fn publisher(place: &Path) -> support::processes::Process {
    let process = spawn("publisher_process", place);
    until("it publishes", || place.join("ready").exists());
    std::fs::remove_file(place.join("ready")).expect("it is ours");
    process
}

#[test]
fn a_derived_ring_says_what_it_is_and_whose_it_is_not() {
    let place = folder();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let mut writer = create(&directory, "front-door/people");
    publish(&mut writer, 700);
    let reader = open_derived(place.path(), "front-door/people").expect("it is there");
    let info = reader.info();
    let source = Some(label("front-door"));
    assert_eq!(info.origin, Origin::Derived { source });
    assert_eq!(info.origin.fingerprint(), None);
    assert_eq!(info.label, label("front-door/people"));
    assert_eq!(info.kind, StreamKind::Metadata);
    assert_eq!((reader.link(), reader.head()), (None, 1));
    assert_eq!(writer.camera(), None);
    assert!(reader.writer_lives() && reader.state() == StreamState::Live);
    let names = list_rings(directory.as_fd()).expect("ours");
    assert_eq!(names, [writer.name().clone()]);
    assert!(names[0].is_derived() && RingName::parse(names[0].as_str()).is_some());
    // Nothing is made of nothing in particular.
    let options = DerivedOptions {
        source: None,
        ..derived("quad")
    };
    let (_quad, _) = directory.create(options).expect("nobody has it");
    let reader = open_derived(place.path(), "quad").expect("it is there");
    assert_eq!(reader.info().origin, Origin::Derived { source: None });
}

#[test]
fn a_label_has_one_living_publisher() {
    let place = folder();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let mut first = create(&directory, "front-door/people");
    let error = directory.create(derived("front-door/people"));
    let error = error.map(|_| ()).expect_err("it is taken");
    let own = std::process::id();
    assert!(
        matches!(&error, DerivedError::Busy { pid, .. } if *pid == own),
        "{error}"
    );
    assert!(error.to_string().contains("front-door/people"), "{error}");
    let _other = create(&directory, "front-door/cars");
    first.set_state(StreamState::Closed);
    first.unlink();
    create(&directory, "front-door/people");
}

#[test]
fn a_camera_keeps_its_label() {
    let place = Place::new();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let mut camera = place.ring(4, 4096);
    let refused = |directory: &DerivedDirectory| {
        let made = directory.create(derived("front-door")).map(|_| ());
        matches!(made, Err(DerivedError::OfCamera { .. }))
    };
    assert!(refused(&directory));
    create(&directory, "front-door/people");
    // Lost, or without a daemon for a moment, it is still the camera's.
    camera.set_state(StreamState::Lost);
    assert!(refused(&directory));
    camera.set_state(StreamState::Closed);
    create(&directory, "front-door");
}

#[test]
fn what_a_killed_publisher_leaves_is_ended_by_the_next_one_and_cameras_are_not() {
    let place = folder();
    let mut process = publisher(place.path());
    let reader = open_derived(place.path(), "front-door/people").expect("it is there");
    let camera = {
        let rings = RingDirectory::create(place.path(), None).expect("ours");
        RingWriter::create(&rings, options(4, 4096)).expect("there is room")
    };
    // Its daemon is gone.
    let camera_name = camera.name().clone();
    drop(camera);
    std::fs::write(place.path().join(".derived-1-1"), "").expect("ours");
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let other = create(&directory, "window");
    assert!(reader.writer_lives() && !reader.is_replaced());

    process.kill();
    assert!(!reader.writer_lives());
    assert_eq!(reader.state(), StreamState::Live);
    let (second, stale) = directory
        .create(derived("front-door/people"))
        .expect("it is gone");
    assert_eq!((stale.files, stale.still_read.len()), (1, 1));
    assert!(reader.is_replaced() && reader.state() == StreamState::Moved);
    // It can be read until its memory is given back.
    let mut bytes = Vec::new();
    assert!(reader.read(0, &mut bytes).is_ok() && bytes.len() == 100);
    for ring in &stale.still_read {
        assert!(ring.is_read());
        ring.release_memory();
    }
    assert!(reader.read(0, &mut bytes).is_err());
    let mut names = list_rings(directory.as_fd()).expect("ours");
    let mut expected = [camera_name, second.name().clone(), other.name().clone()];
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_starting_daemon_ends_the_rings_of_dead_publishers_only() {
    let place = folder();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let living = create(&directory, "window/cars");
    let mut process = publisher(place.path());
    let start = || {
        // Another test may be starting a program, which has all our locks for a moment.
        let mut daemon = None;
        until("no daemon is there", || {
            daemon = RingDirectory::create(place.path(), None).ok();
            daemon.is_some()
        });
        let daemon = daemon.expect("it was made just now");
        daemon.remove_stale_rings().expect("ours").files
    };
    assert_eq!(start(), 0);
    process.kill();
    std::fs::write(place.path().join(".derived-1-1"), "").expect("ours");
    assert_eq!(start(), 2);
    assert_eq!(
        list_rings(directory.as_fd()).expect("ours"),
        [living.name().clone()]
    );
    assert_eq!(start(), 0);
}

#[test]
fn a_stopped_publisher_is_in_nobody_s_way() {
    let place = folder();
    let process = publisher(place.path());
    process.signal(Signal::STOP);
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    create(&directory, "window/cars");
    let daemon = RingDirectory::create(place.path(), None).expect("ours");
    daemon.remove_stale_rings().expect("ours");
    // Stopped, it still has its label.
    let reader = open_derived(place.path(), "front-door/people").expect("it is there");
    assert!(reader.writer_lives());
    assert!(directory.create(derived("front-door/people")).is_err());
}

#[test]
fn a_newer_generation_goes_on_and_a_removed_file_comes_back() {
    let place = folder();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let mut first = create(&directory, "front-door/people");
    publish(&mut first, 100);
    let reader = open_derived(place.path(), "front-door/people").expect("it is there");
    let larger = DerivedOptions {
        data_bytes: 1 << 16,
        ..derived("front-door/people")
    };
    let mut second = directory
        .replace(&first, larger, Some(TakenOver::Everything))
        .expect("there is room");
    first.was_replaced();
    assert_eq!(reader.state(), StreamState::Moved);
    assert_eq!(second.published(), 1);
    publish(&mut second, 10_000);

    let path = place.path().join(second.name().as_str());
    let inode = std::fs::metadata(&path).expect("it is there").ino();
    std::fs::remove_file(&path).expect("it is ours");
    let options = derived("front-door/people");
    let third = directory
        .replace(&second, options.clone(), Some(TakenOver::Nothing))
        .expect("nobody has it");
    assert_ne!(std::fs::metadata(&path).expect("it is there").ino(), inode);
    assert_eq!(third.published(), 2);
    // Who has lost its name to another does not take it back.
    std::fs::remove_file(&path).expect("it is ours");
    let _other = create(&directory, "front-door/people");
    let made = directory.replace(&third, options, Some(TakenOver::Nothing));
    assert!(matches!(made, Err(DerivedError::Busy { .. })), "{made:?}");
}

#[test]
fn a_ring_that_is_being_replaced_is_not_taken_for_a_dead_one() {
    let place = folder();
    let directory = DerivedDirectory::join(place.path()).expect("ours");
    let mut ring = create(&directory, "front-door/people");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Every new stream ends what is dead.
            while !is_over.load(Ordering::Relaxed) {
                create(&directory, "front-door/cars").unlink();
            }
        });
        for round in 0..8000 {
            let options = derived("front-door/people");
            let next = directory.replace(&ring, options, Some(TakenOver::Nothing));
            std::mem::replace(&mut ring, next.expect("it is ours")).was_replaced();
            // What took its name away did so on account of the one before, which is over.
            let is_there = !ring.is_replaced();
            is_over.store(!is_there, Ordering::Relaxed);
            assert!(is_there, "round {round}: its name is gone");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let reader = open_derived(place.path(), "front-door/people").expect("it is there");
    assert_eq!(reader.state(), StreamState::Live);
}

#[test]
fn the_directory_is_this_user_s_alone_to_write() {
    let place = folder();
    let path = place.path().join("rings");
    let directory = DerivedDirectory::join(&path).expect("the place is ours");
    assert_eq!(
        std::fs::metadata(&path).expect("it is made").mode() & 0o7777,
        0o750
    );
    // A daemon can come later, and others can join.
    let _daemon = RingDirectory::create(&path, None).expect("nobody has locked it");
    DerivedDirectory::join(&path).expect("ours");
    drop(directory);
    let open = place.path().join("open");
    std::fs::create_dir(&open).expect("ours");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("ours");
    let joined = DerivedDirectory::join(&open);
    assert!(
        matches!(joined, Err(DirectoryError::TooOpen { .. })),
        "{joined:?}"
    );
    let joined = DerivedDirectory::join(&place.path().join("a/b"));
    assert!(
        matches!(joined, Err(DirectoryError::Io { .. })),
        "{joined:?}"
    );
    if rustix::process::geteuid().is_root() {
        let foreign = place.path().join("foreign");
        std::fs::create_dir(&foreign).expect("ours");
        std::os::unix::fs::chown(&foreign, Some(65_534), None).expect("root may");
        let joined = DerivedDirectory::join(&foreign);
        assert!(
            matches!(joined, Err(DirectoryError::Foreign { .. })),
            "{joined:?}"
        );
    }
}
