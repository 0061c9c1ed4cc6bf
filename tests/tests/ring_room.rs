//! How cameras share the memory for rings: who comes late finds room, who comes again has what it had, and nobody who reads loses a frame
//! by it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use rustix::fs::FallocateFlags;
use sdvr::{Camera, Start};
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::StreamCode;
use sdvr_session::for_tests::{Control, MediaHeader};
use sdvr_tests::hostile_camera::{HostileCamera, stream};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{Running, System, wait_until};

fn ring_kib(system: &System) -> Vec<u64> {
    let rings = system.rings();
    let lengths = rings.iter().filter_map(|ring| std::fs::metadata(ring).ok());
    let mut kib: Vec<u64> = lengths.map(|file| file.len() >> 10).collect();
    kib.sort_unstable();
    kib
}

/// Looks at the budget as long as `action` lasts: it must be kept all the time.
fn with_budget_kept<T>(system: &System, action: impl FnOnce() -> T) -> T {
    let (end, is_ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watching = scope.spawn(move || {
            while is_ended.recv_timeout(Duration::from_millis(50)).is_err() {
                let seen = system.figures();
                let figure = |name: &str| seen[name].as_u64().unwrap();
                assert!(
                    figure("memory_used_bytes") <= figure("memory_total_bytes"),
                    "{seen}"
                );
            }
        });
        let result = action();
        let _ = end.send(());
        watching.join().unwrap();
        result
    })
}

/// Ends a camera; what is live afterwards is another one.
fn end(system: &System, mut camera: Running) {
    assert!(camera.terminate().success(), "{}", camera.log());
    // It has the answer before its readers know.
    wait_until("it is not live", || {
        let list = system.list();
        list.iter()
            .all(|camera| camera["label"] != "camera" || camera["state"] != "live")
    });
}

#[test]
fn a_camera_that_is_started_again_has_as_large_a_ring_as_before() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "64M"]);
    for bytes in [1_000_000, 4_000_000] {
        let source = format!("test:?format=BNCH&bytes={bytes}&fps=10");
        let mut first = None;
        for _ in 0..4 {
            let camera = system.start_client("camera", &source, &[]);
            system.wait_for_state("camera", "live");
            let kib = ring_kib(&system);
            assert_eq!(*first.get_or_insert_with(|| kib.clone()), kib);
            end(&system, camera);
        }
        wait_until("it has gone", || system.list().is_empty());
    }
    let log = system.daemon().log();
    assert!(!log.contains("refused"), "{log}");
}

/// What containers have. Two rings of the least size are all that fits.
#[test]
fn two_raw_cameras_fit_into_64_mib_and_come_again_at_once() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 64 << 20) else {
        return;
    };
    system.start_daemon(&[]);
    let source = "test:?size=1920x1080&fps=3&format=YUYV";
    let start = |label: &str| {
        let camera = system.start_client(label, source, &[]);
        system.wait_for_state(label, "live");
        camera
    };
    let one = start("camera");
    let _other = start("other");
    with_budget_kept(&system, || {
        // Once it says that it ends, once it cannot.
        end(&system, one);
        let mut one = start("camera");
        one.kill();
        let instance = || {
            let camera = Camera::open_in(&system.shm(), "camera", Start::Now);
            camera.ok()?.info().map(|info| info.instance)
        };
        let killed = instance();
        let one = start("camera");
        wait_until("the next run is there", || {
            instance().is_some_and(|instance| Some(instance) != killed)
        });
        system.wait_for_state("camera", "live");
        assert_eq!(one.times_said("no shared memory left"), 0, "{}", one.log());
        assert_eq!(ring_kib(&system).len(), 2);
    });
    let log = system.daemon().log();
    assert!(!log.contains("refused"), "{log}");
}

#[test]
fn equal_cameras_all_find_room_and_readers_of_rings_that_become_smaller_lose_nothing() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "34M"]);
    // What the smallest rings hold lasts for a reader on a busy machine, too.
    let source = "test:?format=BNCH&bytes=1000000&fps=2";
    let first = system.start_client("camera-0", source, &[]);
    system.wait_for_state("camera-0", "live");
    assert_eq!(ring_kib(&system), [(8 << 10) + 12]);
    let (findings, _others) = with_budget_kept(&system, || {
        let mut verify = system.command("sdvr");
        let verify = verify.args(["verify", "camera-0", "--seconds", "20", "--json"]);
        let verify = verify.stdout(std::process::Stdio::piped()).spawn().unwrap();
        // Four MiB are the least: eight rings of these fit.
        let others: Vec<Running> = (1..8)
            .map(|number| {
                let label = format!("camera-{number}");
                let camera = system.start_client(&label, source, &[]);
                system.wait_for_state(&label, "live");
                camera
            })
            .collect();
        let output = verify.wait_with_output().unwrap();
        let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (findings, others)
    });
    assert_eq!(ring_kib(&system), [(4 << 10) + 12; 8]);
    first.assert_nothing_lost(&findings);
    let log = system.daemon().log();
    assert!(!log.contains("refused"), "{log}");
    assert_eq!(log.matches("a ring of half the depth").count(), 3, "{log}");
}

/// Sends a part of the first frame of the first stream.
fn send_part(camera: &mut HostileCamera, frame: &[u8], part: std::ops::Range<usize>) {
    let facts = (
        FrameNumber(0),
        Timestamp::from_nanoseconds(1),
        FrameFlags::KEY,
    );
    let header = MediaHeader {
        is_first: part.start == 0,
        is_last: part.end == frame.len(),
        offset: part.start.try_into().unwrap(),
        ..MediaHeader::whole(StreamId(0), facts, frame.len().try_into().unwrap())
    };
    let mut message = Vec::new();
    header.write(&mut message);
    message.extend_from_slice(&frame[part]);
    camera.send(&message);
}

#[test]
fn what_becomes_of_one_stream_costs_another_no_frame() {
    let system = System::with_daemon();
    let mut camera = HostileCamera::handshake(&system);
    camera.introduce("camera");
    let ring = system.rings().pop().unwrap();
    let frame = [7; 3000];
    send_part(&mut camera, &frame, 0..1000);
    // Its next ring waits for the end of the frame.
    wait_until("the frame has begun", || {
        system.figures()["received_bytes"].as_u64() > Some(1000)
    });
    std::fs::remove_file(&ring).unwrap();
    wait_until("another ring has the name", || ring.exists());
    assert_eq!(camera.open_stream(&stream(1)), StreamCode::Open);
    let mut anew = stream(1);
    anew.instance.0 = [9; 16];
    assert_eq!(camera.open_stream(&anew), StreamCode::Open);
    let mut message = Vec::new();
    Control::CloseStream(StreamId(1)).write(&mut message);
    camera.send(&message);
    send_part(&mut camera, &frame, 1000..3000);
    system.wait_for_figure("frames", 1);
}

#[test]
fn a_ring_that_cannot_be_made_anew_is_no_stream_that_was_refused() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 32 << 20) else {
        return;
    };
    system.start_daemon(&["--memory", "64M"]);
    let _camera = system.start_client("camera", "test:?format=BNCH&bytes=500000&fps=10", &[]);
    system.wait_for_state("camera", "live");
    let ring = system.rings().pop().unwrap();
    let stat = rustix::fs::statvfs(&shm).unwrap();
    let filler = shm.join("filler");
    let file = std::fs::File::create(&filler).unwrap();
    let bytes = stat.f_bfree * stat.f_frsize - (1 << 20);
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes).unwrap();
    std::fs::remove_file(&ring).unwrap();
    wait_until("it is said", || {
        system.daemon().log().contains("cannot be made anew")
    });
    assert_eq!(system.figures()["streams_refused"], 0);
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    wait_until("it is there again", || ring.exists());
    system.wait_for_state("camera", "live");
}
