//! What `sdvr verify` and `sdvr pipe` say when they end, and with which code: of rings that the test writes, so that exactly the frames are
//! missing or wrong that it leaves out or spoils.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use sdvr_frame::bench_frame::{self, BenchHeader};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, StreamFormat, StreamState, Timestamp,
};
use sdvr_ring::{FrameMeta, RingDirectory, RingOptions, RingWriter};
use sdvr_tests::rings::options;
use sdvr_tests::{Running, System, text, wait_until};

const FRAME_BYTES: usize = 64;
const INTERVAL: Duration = Duration::from_millis(20);

/// A camera whose frames the test makes.
struct TestCamera {
    ring: RingWriter,
    _directory: RingDirectory,
}

impl TestCamera {
    fn new(system: &System, format: FourCc) -> Self {
        let directory = RingDirectory::create(&system.shm(), None).unwrap();
        let small = options("door", 7, 1);
        let options = RingOptions {
            format: StreamFormat {
                fourcc: format,
                rate: FrameRate::from_whole(50),
                ..small.format
            },
            slots: 1024,
            data_bytes: 1 << 20,
            ..small
        };
        let ring = RingWriter::create(&directory, options).unwrap();
        Self {
            ring,
            _directory: directory,
        }
    }

    fn publish(&mut self, number: u64, age: Duration, spoil: impl FnOnce(&mut [u8])) {
        let captured = Timestamp::now();
        let mut bytes = [0; FRAME_BYTES];
        let header = BenchHeader {
            sequence: FrameNumber(number),
            captured,
        };
        bench_frame::fill(&mut bytes, header);
        spoil(&mut bytes);
        let nanoseconds = i64::try_from(age.as_nanos()).unwrap();
        let captured = Timestamp::from_nanoseconds(captured.as_nanoseconds() - nanoseconds);
        assert!(self.ring.begin(FRAME_BYTES as u64) && self.ring.write(&bytes));
        assert!(self.ring.publish(&FrameMeta {
            number: FrameNumber(number),
            flags: FrameFlags::KEY,
            missed: 0,
            captured_at_source: captured,
            captured,
            clock_error_ns: Some(1000),
            received: captured,
            published: captured,
        }));
    }

    /// Publishes all the time, until the result is asked for: `publish` is given how many times it was called.
    fn run(mut self, mut publish: impl FnMut(&mut Self, u64) + Send + 'static) -> Publishing {
        let ends = Arc::<AtomicBool>::default();
        let their_ends = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if their_ends.load(Ordering::Relaxed) {
                    break;
                }
                publish(&mut self, turn);
                std::thread::sleep(INTERVAL);
            }
            self
        });
        Publishing { ends, thread }
    }
}

struct Publishing {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<TestCamera>,
}

impl Publishing {
    fn end(self) -> TestCamera {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Runs `sdvr verify` while `publish` does; gives its exit code, what it found and what it said.
fn verify(
    publish: impl FnMut(&mut TestCamera, u64) + Send + 'static,
) -> (Option<i32>, serde_json::Value, String) {
    let system = System::new();
    let publishing = TestCamera::new(&system, FourCc::BNCH).run(publish);
    let output = system.sdvr(&["verify", "door", "--seconds", "1.5", "--json"]);
    publishing.end();
    let findings = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), findings, text(&output.stderr))
}

/// Asserts that verify has found frames that are `wrong` in this way and in no other, and says so.
#[track_caller]
fn assert_wrong(wrong: &str, (code, findings, said): &(Option<i32>, serde_json::Value, String)) {
    assert_eq!(*code, Some(1), "{findings} {said}");
    for name in ["missing", "torn", "out_of_order"] {
        let count = findings[name].as_u64().unwrap();
        assert_eq!(count > 0, name == wrong, "{name}: {findings}");
    }
    let count = findings[wrong].as_u64().unwrap();
    let words = format!("{count} {}", wrong.replace('_', " "));
    assert!(count > 0 && said.contains(&words), "{findings} {said}");
}

#[test]
fn verify_of_whole_frames_ends_with_0() {
    // A machine that stops for a second makes a frame stale, but not each time.
    let mut found = verify(|camera, turn| camera.publish(turn, Duration::ZERO, |_| {}));
    for _ in 0..3 {
        if found.1["stale"] == 0 {
            break;
        }
        found = verify(|camera, turn| camera.publish(turn, Duration::ZERO, |_| {}));
    }
    let (code, findings, said) = found;
    assert_eq!(code, Some(0), "{findings} {said}");
    assert!(said.is_empty(), "{said}");
    assert!(findings["frames"].as_u64().unwrap() > 0, "{findings}");
}

#[test]
fn verify_of_missing_frames_ends_with_1() {
    let found = verify(|camera, turn| camera.publish(3 * turn, Duration::ZERO, |_| {}));
    assert_wrong("missing", &found);
    let frames = found.1["frames"].as_u64().unwrap();
    assert_eq!(found.1["missing"], 2 * (frames - 1), "{}", found.1);
}

#[test]
fn verify_of_torn_frames_ends_with_1() {
    let found = verify(|camera, turn| {
        camera.publish(turn, Duration::ZERO, |bytes| bytes[FRAME_BYTES - 1] ^= 1);
    });
    assert_wrong("torn", &found);
}

#[test]
fn verify_of_frames_out_of_order_ends_with_1() {
    // 1 0 3 2 is 0 to 3 with nothing missing but the order, and a jump forward is a gap: so the same number, twice.
    let found = verify(|camera, turn| camera.publish(turn / 2, Duration::ZERO, |_| {}));
    assert_wrong("out_of_order", &found);
}

#[test]
fn verify_of_stale_frames_ends_with_1() {
    let found = verify(|camera, turn| camera.publish(turn, Duration::from_secs(3), |_| {}));
    assert_wrong("stale", &found);
    assert_eq!(found.1["stale"], found.1["frames"], "{}", found.1);
}

#[test]
fn verify_of_a_camera_that_sends_nothing_ends_with_1() {
    let (code, findings, said) = verify(|_, _| {});
    assert_eq!(code, Some(1), "{findings} {said}");
    assert!(said.contains("no frame came in"), "{said}");
}

#[test]
fn verify_of_a_picture_is_wrong_usage() {
    let system = System::new();
    let _camera = TestCamera::new(&system, FourCc::MJPG);
    let output = system.sdvr(&["verify", "door", "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains("MJPG") && said.contains("format=BNCH"),
        "{said}"
    );
}

/// `sdvr pipe` of a camera, when it has written its first frame.
fn start_pipe(system: &System) -> Running {
    let path = system.home().join("out");
    let out = std::fs::File::create(&path).unwrap();
    let mut command = system.command("sdvr");
    let pipe = system.start(command.args(["pipe", "door"]).stdout(out), "pipe");
    wait_until("the pipe has written a frame", || written(system) > 0);
    pipe
}

/// Frames that were written.
fn written(system: &System) -> u64 {
    let bytes = std::fs::metadata(system.home().join("out")).unwrap().len();
    assert_eq!(bytes % FRAME_BYTES as u64, 0);
    bytes / FRAME_BYTES as u64
}

#[test]
fn pipe_that_missed_nothing_ends_with_0_at_the_end_and_when_interrupted() {
    for interrupts in [false, true] {
        let system = System::new();
        let publishing = TestCamera::new(&system, FourCc::BNCH)
            .run(|camera, turn| camera.publish(turn, Duration::ZERO, |_| {}));
        let mut pipe = start_pipe(&system);
        if interrupts {
            pipe.signal(Signal::INT);
        }
        let mut status = interrupts.then(|| pipe.wait());
        let mut camera = publishing.end();
        camera.ring.set_state(StreamState::Closed);
        let status = status.take().unwrap_or_else(|| pipe.wait());
        assert_eq!(status.code(), Some(0), "{interrupts}: {}", pipe.log());
        assert_eq!(pipe.log(), "");
    }
}

#[test]
fn pipe_that_missed_frames_writes_the_others_counts_and_ends_with_1() {
    for interrupts in [false, true] {
        let system = System::new();
        let publishing = TestCamera::new(&system, FourCc::BNCH)
            .run(|camera, turn| camera.publish(2 * turn, Duration::ZERO, |_| {}));
        let mut pipe = start_pipe(&system);
        wait_until("some frames are written", || written(&system) > 5);
        if interrupts {
            pipe.signal(Signal::INT);
            pipe.wait();
        }
        let mut camera = publishing.end();
        camera.ring.set_state(StreamState::Closed);
        assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
        let missed = written(&system) - 1;
        let words = format!("missed {missed} frames in all");
        assert!(pipe.log().contains(&words), "{words}: {}", pipe.log());
    }
}

#[test]
fn pipe_whose_reader_has_enough_ends_with_0_though_frames_were_missed() {
    let system = System::new();
    let publishing = TestCamera::new(&system, FourCc::BNCH)
        .run(|camera, turn| camera.publish(2 * turn, Duration::ZERO, |_| {}));
    let mut command = system.command("sdvr");
    let mut pipe = system.start(
        command.args(["pipe", "door"]).stdout(Stdio::piped()),
        "pipe",
    );
    let mut head = Command::new("head")
        .args(["-c", &(5 * FRAME_BYTES).to_string()])
        .stdin(pipe.child().stdout.take().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(head.wait().unwrap().success());
    assert_eq!(pipe.wait().code(), Some(0), "{}", pipe.log());
    publishing.end();
}
