//! What rings leave behind and what they outlive: memory is given back whoever still has it mapped, and a lost camera's ring is
//! there when it comes back.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sdvr::{Camera, Policy, Start};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{PATIENCE, Running, System, wait_until};

/// Bytes that the file system holds.
fn used_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

/// A reader of the camera, in the middle of its work and stopped.
fn stopped_reader(system: &System, label: &str) -> Running {
    stopped(system, &["pipe", label], Stdio::null())
}

fn stopped(system: &System, arguments: &[&str], stdout: Stdio) -> Running {
    let mut reader = system.command("sdvr");
    let reader = system.start(reader.args(arguments).stdout(stdout), "reader");
    let maps = format!("/proc/{}/maps", reader.id());
    wait_until("the reader has the ring", || {
        std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains(".0\n"))
    });
    std::thread::sleep(Duration::from_millis(200));
    reader.signal(Signal::STOP);
    reader
}

#[test]
fn the_memory_of_a_ring_that_has_ended_is_given_back_though_a_stopped_reader_has_it_mapped() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 256 << 20) else {
        return;
    };
    system.start_daemon(&[]);
    let before = used_bytes(&shm);
    let source = "test:?format=BNCH&bytes=1000000&fps=10";
    let mut camera = system.start_client("camera", source, &[]);
    system.wait_for_state("camera", "live");
    let ring = system.rings().pop().unwrap();
    let ring_bytes = used_bytes(&shm) - before;
    assert!(ring_bytes >= 8 << 20, "{ring_bytes}");
    let reader = stopped_reader(&system, "camera");

    // Somebody removes the file: another ring takes its place, and two seconds later the memory of the first is free.
    let inode = std::fs::metadata(&ring).unwrap().ino();
    std::fs::remove_file(&ring).unwrap();
    wait_until("another ring has the name", || {
        std::fs::metadata(&ring).is_ok_and(|file| file.ino() != inode)
    });
    let unlinked = Instant::now();
    let most = ring_bytes + before + (64 << 10);
    wait_until("the first one is given back", || used_bytes(&shm) <= most);
    let elapsed = unlinked.elapsed();
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    assert!(
        elapsed > Duration::from_secs(1),
        "readers had no time: {elapsed:?}"
    );

    // The camera ends: its file is there for two seconds, and with it goes the memory.
    let second = stopped_reader(&system, "camera");
    camera.terminate();
    wait_until("its name is gone", || !ring.exists());
    let unlinked = Instant::now();
    wait_until("all is given back", || {
        used_bytes(&shm) <= before + (64 << 10)
    });
    let elapsed = unlinked.elapsed();
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");

    // Both had them mapped all the time, and come to no harm.
    for reader in [&reader, &second] {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", reader.id())).unwrap();
        assert!(maps.contains("(deleted)"), "{maps}");
    }
    for mut reader in [reader, second] {
        reader.signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(300));
        assert!(
            reader.runs() || reader.wait().code().is_some(),
            "{}",
            reader.log()
        );
    }
    assert!(used_bytes(&shm) <= before + (64 << 10));
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Terminated,
    Killed,
}

#[test]
fn a_daemon_that_ends_leaves_no_memory_with_a_stopped_reader() {
    assert_nothing_stays(End::Terminated);
}

#[test]
fn a_daemon_that_starts_gives_back_what_a_killed_one_has_left_with_a_stopped_reader() {
    assert_nothing_stays(End::Killed);
}

fn assert_nothing_stays(how: End) {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 128 << 20) else {
        return;
    };
    let before = used_bytes(&shm);
    // The page of figures, and what is left of a ring.
    let most = before + (64 << 10);
    system.start_daemon(&[]);
    let budget = system.figures()["memory_total_bytes"].as_u64().unwrap();
    let source = "test:?format=BNCH&bytes=1000000&fps=20";
    let mut camera = system.start_client("camera", source, &[]);
    system.wait_for_state("camera", "live");
    let verify = ["verify", "camera", "--seconds", "3", "--json"];
    let mut verifying = stopped(&system, &verify, Stdio::piped());
    let mut reader = stopped_reader(&system, "camera");
    let ring_bytes = used_bytes(&shm) - before;
    assert!(ring_bytes >= 8 << 20, "{ring_bytes}");
    camera.kill();

    match how {
        End::Terminated => {
            assert!(system.terminate_daemon().success());
            let left = used_bytes(&shm);
            assert!(left <= most, "{left} after the end");
            system.start_daemon(&[]);
        }
        End::Killed => {
            system.kill_daemon();
            assert!(used_bytes(&shm) >= before + ring_bytes);
            system.start_daemon(&[]);
            wait_until("all is given back", || used_bytes(&shm) <= most);
        }
    }
    // What was taken for two seconds more is no reason to have less for ever.
    let budget_now = system.figures()["memory_total_bytes"].as_u64().unwrap();
    assert!(
        budget_now.abs_diff(budget) <= 64 << 10,
        "{budget_now}, {budget} before"
    );
    wait_until("the budget is free", || {
        system.figures()["memory_used_bytes"] == 0
    });

    // Both had the ring mapped all the time, and take nothing that is left of it for a frame.
    for reader in [&reader, &verifying] {
        reader.signal(Signal::CONT);
    }
    let output = verifying.output();
    let findings: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(findings["torn"], 0, "{findings}");
    assert!(reader.runs(), "{}", reader.log());
    assert!(used_bytes(&shm) <= most);
}

#[test]
fn a_reader_goes_through_many_generations_of_a_ring_and_misses_nothing() {
    let system = System::with_daemon();
    let camera = system.start_client("camera", "test:?format=BNCH&bytes=50000&fps=50", &[]);
    system.wait_for_state("camera", "live");
    let ring = system.rings().pop().unwrap();
    let inode = || std::fs::metadata(&ring).ok().map(|file| file.ino());
    let mut inodes = vec![inode()];
    let findings = std::thread::scope(|scope| {
        let reader = scope.spawn(|| system.verify("camera", 10.0));
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..8 {
            std::fs::remove_file(&ring).unwrap();
            wait_until("the ring is back", || inode().is_some());
            inodes.push(inode());
        }
        reader.join().unwrap()
    });
    inodes.dedup();
    assert_eq!(inodes.len(), 9);
    assert!(findings["frames"].as_u64().unwrap() > 300, "{findings}");
    camera.assert_nothing_lost(&findings);
    // One count over all of them.
    let frames = system.list()[0]["frames"].as_u64().unwrap();
    assert!(frames > 300, "{frames}");
}

/// However it comes.
#[test]
fn a_lost_camera_keeps_its_ring_and_goes_on_in_it() {
    let system = System::with_daemon();
    let source = "test:?format=BNCH&bytes=20000&fps=20";
    let start = |label: &'static str, by: &[&str]| {
        let camera = system.start_client(label, source, by);
        system.wait_for_state(label, "live");
        (label, camera)
    };
    let cameras = [start("connection", &[]), start("datagrams", &["--udp"])];
    let inodes = || {
        let rings = system.rings().into_iter();
        let files = rings.map(|ring| (std::fs::metadata(&ring).unwrap().ino(), ring));
        files.collect::<BTreeSet<_>>()
    };
    let before = inodes();
    let mut readers = cameras.each_ref().map(|(label, _)| {
        let mut reader = Camera::open_in(&system.shm(), label, Start::Oldest).unwrap();
        let first = reader.next(Policy::Every, PATIENCE).unwrap().unwrap();
        (reader, first.instance(), first.number().0)
    });

    for (_, camera) in &cameras {
        camera.signal(Signal::STOP);
    }
    let stopped = Instant::now();
    let are_lost = || system.list().iter().all(|camera| camera["state"] == "lost");
    while !are_lost() {
        let elapsed = stopped.elapsed();
        assert!(elapsed < Duration::from_secs(75), "never lost");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(stopped.elapsed() > Duration::from_secs(50), "lost too soon");
    // What they sent before can still be read.
    for (reader, _, last) in &mut readers {
        while let Some(frame) = reader.next(Policy::Every, Duration::ZERO).unwrap() {
            assert_eq!(frame.missed(), 0);
            *last = frame.number().0;
        }
    }

    for (_, camera) in &cameras {
        camera.signal(Signal::CONT);
    }
    for (reader, instance, last) in &mut readers {
        let frame = reader.next(Policy::Every, PATIENCE).unwrap().unwrap();
        assert_eq!(frame.instance(), *instance);
        // What was not made or lost meanwhile is told, and nothing comes twice.
        assert_eq!(frame.missed(), frame.number().0 - *last - 1);
    }
    for (label, _) in &cameras {
        system.wait_for_state(label, "live");
    }
    assert_eq!(inodes(), before, "other rings");
}
