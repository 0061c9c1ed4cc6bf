//! What the tests of this folder have in common: rings in a directory of their own, and the measuring frame.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sdvr_frame::bench_frame::{self, BenchHeader};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, PublicKey, StreamFormat,
    StreamId, StreamKind, Timestamp,
};
use sdvr_ring::{
    FrameMeta, OpenError, RingDirectory, RingName, RingOptions, RingReader, RingWriter,
    open_directory,
};

pub(crate) const CAMERA: PublicKey = PublicKey([7; 32]);

pub(crate) fn options(slots: u32, data_bytes: u64) -> RingOptions {
    RingOptions {
        camera: CAMERA,
        label: Label::from_lossy("front-door"),
        stream: StreamId(3),
        kind: StreamKind::Video,
        instance: InstanceId([5; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 640,
            height: 480,
            rate: FrameRate::from_whole(30),
        },
        extradata: b"parameter sets".to_vec(),
        link: Link::Udp,
        slots,
        data_bytes,
    }
}

pub(crate) fn name() -> RingName {
    RingName::new(&CAMERA, StreamId(3))
}

/// A place for one directory of rings, in shared memory as in life.
pub(crate) fn place() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("sdvr-ring-test-")
        .tempdir_in("/dev/shm")
        .expect("/dev/shm can be written")
}

pub(crate) fn directory(place: &Path) -> RingDirectory {
    RingDirectory::create(&place.join("rings"), None).expect("the place is ours")
}

pub(crate) fn open(place: &Path) -> Result<RingReader, OpenError> {
    let directory = open_directory(&place.join("rings")).expect("the directory is ours");
    RingReader::open(directory.as_fd(), &name())
}

pub(crate) fn meta(n: u64) -> FrameMeta {
    let time = |offset: i64| Timestamp::from_nanoseconds(n.cast_signed() * 1000 + offset);
    FrameMeta {
        number: FrameNumber(n),
        flags: if n.is_multiple_of(10) {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        },
        missed: n % 3,
        captured_at_source: time(1),
        captured: time(2),
        clock_error_ns: u32::try_from(n).ok(),
        received: time(3),
        published: time(4),
    }
}

/// The measuring frame `n`, of `bytes` bytes.
pub(crate) fn frame(n: u64, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes];
    let header = BenchHeader {
        sequence: FrameNumber(n),
        captured: Timestamp::from_nanoseconds(0),
    };
    bench_frame::fill(&mut frame, header);
    frame
}

/// Frames of every length between 100 and 8,000 bytes, one length after the other.
pub(crate) fn frame_bytes(n: u64) -> usize {
    100 + usize::try_from(n.wrapping_mul(7919) % 7900).unwrap_or(0)
}

pub(crate) fn publish(writer: &mut RingWriter, n: u64) {
    let frame = frame(n, frame_bytes(n));
    assert!(writer.begin(frame.len() as u64));
    for piece in frame.chunks(1501) {
        assert!(writer.write(piece));
    }
    assert!(writer.publish(&meta(n)));
}

/// Whether `bytes` are frame `n`, whole.
pub(crate) fn is_frame(bytes: &[u8], n: u64) -> bool {
    bench_frame::check(bytes).is_some_and(|header| header.sequence.0 == n)
}

/// This test program again, as another process that runs only the ignored test `role`, in `place`.
pub(crate) fn spawn(role: &str, place: &Path) -> Process {
    let child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", role, "--ignored", "--nocapture", "--quiet"])
        .env("SDVR_TEST_PLACE", place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run");
    Process(child)
}

/// In such a process: the place. `None` when somebody runs the ignored tests as tests.
pub(crate) fn spawned_place() -> Option<std::path::PathBuf> {
    std::env::var_os("SDVR_TEST_PLACE").map(Into::into)
}

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.0.id()).expect("process ids are small");
        let id = rustix::process::Pid::from_raw(id).expect("no process has id 0");
        rustix::process::kill_process(id, signal).expect("the process is ours");
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("the process is ours");
        self.0.wait().expect("the process is ours");
    }

    /// Its output, once it has ended by itself.
    pub(crate) fn finish(mut self) -> String {
        let mut output = String::new();
        let mut pipe = self.0.stdout.take().expect("the output is a pipe");
        std::io::Read::read_to_string(&mut pipe, &mut output).expect("it prints text");
        let status = self.0.wait().expect("the process is ours");
        assert!(status.success(), "a helper failed: {status}\n{output}");
        output
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so, at most 30 s: the machine may be busy.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never happened: {what}");
}

/// A number that differs from run to run, for choosing when to strike.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("Linux has random numbers");
    u64::from_ne_bytes(bytes) % bound
}
