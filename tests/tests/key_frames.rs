//! A stream whose key frames are far apart: its ring reaches back to the last but one, as far as the memory goes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sdvr::{Camera, Policy, Start};
use sdvr_frame::{FourCc, FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_ring::{RingName, RingReader, open_directory};
use sdvr_session::{OpenStream, OutgoingFrame};
use sdvr_tests::hostile_camera::{HostileCamera, stream};
use sdvr_tests::{System, wait_until};

/// Frames between key frames, at 50 a second: 4 s, in which there are 4 MB, while two seconds of what it announces are less than 1 MiB.
const INTERVAL: u64 = 200;
const FRAME_BYTES: usize = 20_000;

struct H264Camera {
    camera: HostileCamera,
    number: u64,
}

impl H264Camera {
    fn start(system: &System, label: &str) -> Self {
        let mut camera = HostileCamera::handshake(system);
        camera.introduce(label);
        let mut open = OpenStream {
            frame_kib: 40,
            ..stream(0)
        };
        open.format.fourcc = FourCc::H264;
        open.format.rate = sdvr_frame::FrameRate::from_whole(50);
        camera.session.open_stream(open);
        camera.transmit();
        assert!(camera.is_let_in());
        Self { camera, number: 0 }
    }

    fn send(&mut self) {
        let now = Timestamp::now();
        let flags = if self.number.is_multiple_of(INTERVAL) {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        };
        let content = content(self.number);
        let mut frame = OutgoingFrame::new(StreamId(0), FrameNumber(self.number), now, flags);
        let mut out = Vec::new();
        let session = &mut self.camera.session;
        while !session
            .seal_frame(now, &mut frame, &content, &mut out)
            .unwrap()
        {}
        self.camera.stream.write_all(&out).unwrap();
        self.number += 1;
    }

    /// As a camera would.
    fn send_at_rate(&mut self, frames: u64) {
        for _ in 0..frames {
            self.send();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn content(number: u64) -> Vec<u8> {
    let mut content = number.to_ne_bytes().repeat(FRAME_BYTES / 8);
    content.truncate(FRAME_BYTES);
    content
}

/// The ring that has the name now.
fn ring(system: &System) -> RingReader {
    let directory = open_directory(&system.shm()).unwrap();
    let path = system.rings().pop().unwrap();
    let name = RingName::parse(path.file_name().unwrap().to_str().unwrap()).unwrap();
    RingReader::open(directory.as_fd(), &name).unwrap()
}

/// Reads all frames until it is told to stop; gives how many there were.
fn follow(system: &System, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let mut camera = Camera::open_in(&system.shm(), "camera", Start::Oldest).unwrap();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut next = 0;
        loop {
            match camera
                .next(Policy::Every, Duration::from_millis(300))
                .unwrap()
            {
                Some(frame) => {
                    assert_eq!(frame.number().0, next, "{} missed", frame.missed());
                    assert!(
                        frame.bytes() == content(next),
                        "frame {next} has other bytes"
                    );
                    next += 1;
                }
                None if stop.load(Ordering::Relaxed) => return next,
                None => {}
            }
        }
    })
}

#[test]
fn the_ring_reaches_back_to_the_last_key_frame_but_one_and_readers_lose_nothing_when_it_grows() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "128M"]);
    let mut camera = H264Camera::start(&system, "camera");
    camera.send();
    wait_until("the first frame is there", || system.list().len() == 1);
    let first_bytes = ring(&system).info().data_bytes;
    assert!(
        first_bytes < 2 << 20,
        "{first_bytes}: deep before there is a reason"
    );
    let stop = Arc::new(AtomicBool::new(false));
    let reader = follow(&system, &stop);
    for _ in 0..3 * INTERVAL / 20 {
        camera.send_at_rate(20);
        let wanted = camera.number.saturating_sub(1) / INTERVAL * INTERVAL;
        let wanted = wanted.saturating_sub(INTERVAL);
        let ring = ring(&system);
        let oldest = ring.meta(ring.oldest()).unwrap();
        assert!(
            oldest.number.0 <= wanted,
            "after {} frames the oldest is {}, not {wanted}",
            camera.number,
            oldest.number
        );
    }
    let ring = ring(&system);
    // Counted over all generations.
    wait_until("all are published", || ring.head() == camera.number);
    assert!(
        (8 << 20..=16 << 20).contains(&ring.info().data_bytes),
        "{}",
        ring.info().data_bytes
    );
    assert_eq!(system.list()[0]["frames"], camera.number);
    // Who comes now has a whole interval.
    let mut late = Camera::open_in(&system.shm(), "camera", Start::Oldest).unwrap();
    let mut late = late.frames(Policy::Every).map(Result::unwrap);
    assert!(late.any(|frame| frame.number().0 == 2 * INTERVAL));
    assert!(late.any(|frame| frame.number().0 == 3 * INTERVAL));
    // Whoever removes the file: the next one is as deep, and has all that the first one had.
    let oldest = ring.oldest();
    std::fs::remove_file(&system.rings()[0]).unwrap();
    wait_until("the ring is back", || !system.rings().is_empty());
    let next = crate::ring(&system);
    assert_eq!(next.info().data_bytes, ring.info().data_bytes);
    assert_eq!(next.oldest(), oldest);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(reader.join().unwrap(), camera.number);
    let log = system.daemon().log();
    assert!(!log.contains("does not reach back"), "{log}");
}

#[test]
fn where_the_memory_does_not_reach_that_far_it_is_said_once_and_the_camera_goes_on() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "8M"]);
    let mut camera = H264Camera::start(&system, "camera");
    camera.send();
    wait_until("the first frame is there", || system.list().len() == 1);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = follow(&system, &stop);
    camera.send_at_rate(2 * INTERVAL);
    let log = system.daemon().log();
    assert_eq!(log.matches("does not reach back").count(), 1, "{log}");
    assert!(log.contains("Raise --memory"), "{log}");
    stop.store(true, Ordering::Relaxed);
    assert_eq!(reader.join().unwrap(), camera.number);
    // What fits is there.
    let ring = ring(&system);
    assert!(ring.head() - ring.oldest() > 40, "{}", ring.oldest());
}
