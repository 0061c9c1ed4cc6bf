//! A thousand cameras that are switched on at once: all stream, every pin is on disk, and none waits for a thousand writes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::{Event, OpenStream, OutgoingFrame, Setup, SetupCode, StreamCode};
use sdvr_tests::hostile_camera::{HostileCamera, connect, stream};
use sdvr_tests::{System, wait_until};
use sdvr_trust::for_tests::parse_known_cameras;

const CAMERAS: u32 = 1000;

/// Connects and sends a frame as soon as the server takes it; gives the camera, whose session goes on.
fn come(system: &System, number: u32) -> HostileCamera {
    let mut key = [9; 32];
    // Not the first byte, of which X25519 takes only some bits.
    key[4..8].copy_from_slice(&number.to_le_bytes());
    let mut camera = HostileCamera::handshake_over(connect(system), &key);
    let setup = Setup {
        label: format!("cam{number}").parse().unwrap(),
        program: "one of many".to_owned(),
    };
    let small = OpenStream {
        frame_kib: 1,
        ..stream(0)
    };
    camera.session.introduce(setup, &[small]);
    camera.transmit();
    loop {
        match camera.event() {
            Some(Event::StreamReply { code, .. }) => {
                assert_eq!(code, StreamCode::Open, "camera {number}");
                break;
            }
            Some(Event::SetupReply(reply)) => {
                assert_eq!(reply.code, SetupCode::Accepted, "camera {number}");
            }
            end @ (Some(Event::Closed(_)) | None) => panic!("camera {number}: {end:?}"),
            Some(_) => {}
        }
    }
    let now = Timestamp::now();
    let mut frame = OutgoingFrame::new(StreamId(0), FrameNumber(0), now, FrameFlags::KEY);
    let mut out = Vec::new();
    while !camera
        .session
        .seal_frame(now, &mut frame, &[1; 100], &mut out)
        .unwrap()
    {}
    std::io::Write::write_all(&mut camera.stream, &out).unwrap();
    camera
}

#[test]
fn a_thousand_new_cameras_at_once_all_stream_and_are_all_remembered() {
    // Both ends of every connection are open here or in the daemon.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let system = Arc::new(System::with_daemon());
    let start = Arc::new(Barrier::new(CAMERAS as usize + 1));
    let threads: Vec<_> = (0..CAMERAS)
        .map(|number| {
            let (system, start) = (Arc::clone(&system), Arc::clone(&start));
            let camera = move || {
                start.wait();
                come(&system, number)
            };
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(camera)
                .unwrap()
        })
        .collect();
    start.wait();
    let begin = Instant::now();
    let cameras: Vec<HostileCamera> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let streaming = begin.elapsed();
    let path = system.home().join(".sdvr/known_cameras");
    let known = parse_known_cameras(Path::new("file"), &fs::read(path).unwrap()).unwrap();
    assert_eq!(known.len(), CAMERAS as usize);
    let published = || {
        let list = system.list();
        let frames = list.iter().filter(|camera| camera["frames"] == 1);
        frames.count()
    };
    wait_until("every frame is there", || published() == CAMERAS as usize);
    println!("{CAMERAS} new cameras: all streams open after {streaming:?}");
    // Ten seconds are promised; this machine may be busy with other tests.
    assert!(streaming < Duration::from_secs(20), "{streaming:?}");
    drop(cameras);
}
