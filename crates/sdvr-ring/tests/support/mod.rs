//! What the tests of the ring share: a directory in shared memory, a ring, frames that can be recognised.
#![allow(dead_code, reason = "each test program uses another part")]

pub(crate) mod processes;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Longer than anything takes on a busy machine: what has not happened by then never will.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A directory of rings in shared memory that is removed at the end.
pub(crate) struct Place {
    pub(crate) rings: RingDirectory,
    // After the rings, so that it is dropped after them.
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = folder();
        let rings = RingDirectory::create(folder.path(), None).expect("the directory is ours");
        Self { rings, folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ring(&self, slots: u32, data_bytes: u64) -> RingWriter {
        RingWriter::create(&self.rings, options(slots, data_bytes)).expect("there is room")
    }

    pub(crate) fn open(&self) -> RingReader {
        open(self.path()).expect("the ring is there")
    }

    /// The names of all files but the lock, sorted.
    pub(crate) fn file_names(&self) -> Vec<String> {
        file_names(self.path())
    }
}

/// A directory in shared memory that nobody else may write to.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("sdvr-test-")
        .tempdir_in("/dev/shm")
        .expect("/dev/shm can be written")
}

pub(crate) fn file_names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| {
            let entry = entry.expect("the directory can be read");
            entry.file_name().to_string_lossy().into_owned()
        })
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

pub(crate) fn name() -> RingName {
    RingName::new(&CAMERA, StreamId(3))
}

pub(crate) fn ring_path(directory: &Path) -> PathBuf {
    directory.join(name().as_str())
}

/// Makes the directory `rings` in a place that has room for other things too.
pub(crate) fn create_rings(place: &Path) -> RingDirectory {
    RingDirectory::create(&place.join("rings"), None).expect("the place is ours")
}

/// Opens the ring in the directory that [`create_rings`] made.
pub(crate) fn open_in(place: &Path) -> Result<RingReader, OpenError> {
    open(&place.join("rings"))
}

pub(crate) fn directory(path: &Path) -> OwnedFd {
    open_directory(path).expect("the directory can be trusted")
}

pub(crate) fn open(path: &Path) -> Result<RingReader, OpenError> {
    let directory = open_directory(path).ok_or(OpenError::NotFound)?;
    RingReader::open(directory.as_fd(), &name())
}

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

/// What is said of frame `n`: the same every time.
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

/// Whether these are all the bytes of frame `n` and no others.
pub(crate) fn is_frame(bytes: &[u8], n: u64) -> bool {
    bench_frame::check(bytes).is_some_and(|header| header.sequence.0 == n)
}

/// Publishes a measuring frame of `bytes` bytes now, numbered like its place.
pub(crate) fn publish(writer: &mut RingWriter, bytes: usize) -> u64 {
    let n = writer.published();
    let frame = frame(n, bytes);
    assert!(writer.begin(bytes as u64), "frame {n} fits");
    assert!(writer.write(&frame));
    let published = Timestamp::now();
    assert!(writer.publish(&FrameMeta {
        published,
        ..meta(n)
    }));
    n
}

/// Publishes measuring frame `n`, of the length and with the facts that belong to its number, in pieces.
pub(crate) fn publish_numbered(writer: &mut RingWriter, n: u64) {
    let frame = frame(n, frame_bytes(n));
    assert!(writer.begin(frame.len() as u64));
    for piece in frame.chunks(1501) {
        assert!(writer.write(piece));
    }
    assert!(writer.publish(&meta(n)));
}

/// Waits until `is_so` says so, and fails the test if that never comes.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A number that differs from run to run, for choosing when to strike.
pub(crate) fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("Linux has random numbers");
    u64::from_ne_bytes(bytes) % bound
}

/// This crate is for 64-bit hosts only.
pub(crate) fn usize_of(value: u64) -> usize {
    usize::try_from(value).expect("an address has 64 bits")
}
