//! Whoever watches a directory of rings hears of what comes and goes, also of the directory itself.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sdvr_ring::{RingDirectory, RingWatch, RingWriter, open_directory};
use support::{LONG, folder, options};

/// Sooner than a timer would look.
const AT_ONCE: Duration = Duration::from_millis(400);

fn is_told(watch: &mut RingWatch) -> bool {
    let start = Instant::now();
    watch.wait(LONG) && start.elapsed() < AT_ONCE
}

fn settle(watch: &mut RingWatch) {
    while watch.wait(Duration::ZERO) {}
}

fn is_readable(watch: &RingWatch) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(
        watch.descriptor().expect("descriptors are left"),
        PollFlags::IN,
    )];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut descriptors, Some(&now)).expect("a poll") == 1
}

fn tell_of_a_ring(path: &Path, watch: &mut RingWatch) {
    let rings = RingDirectory::create(path, None).expect("ours");
    settle(watch);
    assert!(!is_readable(watch));
    let mut writer = RingWriter::create(&rings, options(4, 4096)).expect("there is room");
    assert!(is_readable(watch));
    assert!(is_told(watch), "a ring came");
    settle(watch);
    writer.unlink();
    assert!(is_readable(watch));
    assert!(is_told(watch), "a ring went");
    settle(watch);
}

#[test]
fn rings_that_come_and_go_are_told() {
    let folder = folder();
    tell_of_a_ring(folder.path(), &mut RingWatch::new(folder.path()));
}

#[test]
fn a_directory_that_comes_later_is_told_and_then_its_rings() {
    let folder = folder();
    let path = folder.path().join("rings");
    let mut watch = RingWatch::new(&path);
    assert!(!watch.wait(Duration::from_millis(10)));
    std::fs::create_dir(&path).expect("ours");
    assert!(is_readable(&watch));
    assert!(is_told(&mut watch));
    tell_of_a_ring(&path, &mut watch);
}

#[test]
fn a_directory_that_is_made_again_is_told_even_while_somebody_has_the_old_one_open() {
    let folder = folder();
    let path = folder.path().join("rings");
    std::fs::create_dir(&path).expect("ours");
    let mut watch = RingWatch::new(&path);
    for _ in 0..3 {
        tell_of_a_ring(&path, &mut watch);
        let held = open_directory(&path).expect("it can be trusted");
        std::fs::remove_dir_all(&path).expect("ours");
        assert!(is_told(&mut watch), "it went");
        settle(&mut watch);
        std::fs::create_dir(&path).expect("ours");
        assert!(is_told(&mut watch), "it came");
        tell_of_a_ring(&path, &mut watch);
        drop(held);
    }
    let aside = folder.path().join("aside");
    std::fs::rename(&path, &aside).expect("ours");
    assert!(is_told(&mut watch), "it was renamed");
    std::fs::rename(&aside, &path).expect("ours");
    assert!(is_told(&mut watch), "and back");
    tell_of_a_ring(&path, &mut watch);
}

#[test]
fn what_happens_beside_the_directory_wakes_nobody() {
    let folder = folder();
    let path = folder.path().join("rings");
    for _ in 0..2 {
        let mut watch = RingWatch::new(&path);
        std::fs::write(folder.path().join("rings2"), "").expect("ours");
        std::fs::remove_file(folder.path().join("rings2")).expect("ours");
        assert!(!watch.wait(Duration::from_millis(20)));
        // Once without the directory, once with it.
        std::fs::create_dir_all(&path).expect("ours");
    }
}

#[test]
fn a_directory_two_levels_down_that_comes_later_is_found_by_looking() {
    let folder = folder();
    let path = folder.path().join("a/b");
    let mut watch = RingWatch::new(&path);
    assert!(!watch.wait(Duration::ZERO), "nothing is there");
    std::fs::create_dir_all(&path).expect("ours");
    assert!(watch.wait(LONG));
    tell_of_a_ring(&path, &mut watch);
}

#[test]
fn of_several_directories_any_is_told_and_what_is_beside_them_is_not() {
    let (first, second) = (folder(), folder());
    let paths = [first.path().join("rings"), second.path().join("rings")];
    let rings = paths
        .each_ref()
        .map(|path| RingDirectory::create(path, None).expect("ours"));
    let mut watches = paths.each_ref().map(|path| RingWatch::new(path));
    for directory in &rings {
        while RingWatch::wait_any(&mut watches, Duration::ZERO) {}
        let writer = RingWriter::create(directory, options(4, 4096)).expect("there is room");
        let start = Instant::now();
        assert!(RingWatch::wait_any(&mut watches, LONG));
        assert!(start.elapsed() < AT_ONCE);
        drop(writer);
    }
    while RingWatch::wait_any(&mut watches, Duration::ZERO) {}
    std::fs::write(first.path().join("beside"), "").expect("ours");
    let start = Instant::now();
    assert!(!RingWatch::wait_any(&mut watches, AT_ONCE));
    assert!(start.elapsed() >= AT_ONCE);
}
