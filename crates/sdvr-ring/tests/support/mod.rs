//! What the tests of the ring share: a directory in shared memory, a ring, frames that can be recognised.
#![allow(dead_code, reason = "each test program uses another part")]

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
    RingName::new(&CAMERA, StreamId(0))
}

pub(crate) fn ring_path(directory: &Path) -> PathBuf {
    directory.join(name().as_str())
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
        label: Label::from_lossy("test"),
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([1; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(30),
        },
        extradata: Vec::new(),
        link: Link::Tcp,
        slots,
        data_bytes,
    }
}

pub(crate) fn meta(n: u64) -> FrameMeta {
    let now = Timestamp::now();
    FrameMeta {
        number: FrameNumber(n),
        flags: FrameFlags::NONE,
        missed: 0,
        captured_at_source: now,
        captured: now,
        clock_error_ns: Some(0),
        received: now,
        published: now,
    }
}

/// Fills `frame` so that [`is_frame`] knows it again.
pub(crate) fn fill(frame: &mut [u8], n: u64) {
    let header = BenchHeader {
        sequence: FrameNumber(n),
        captured: Timestamp::from_nanoseconds(0),
    };
    bench_frame::fill(frame, header);
}

/// Whether these are all the bytes of frame `n` and no others.
pub(crate) fn is_frame(bytes: &[u8], n: u64) -> bool {
    bench_frame::check(bytes).is_some_and(|header| header.sequence.0 == n)
}

/// Publishes a measuring frame of `bytes` bytes, numbered like its place.
pub(crate) fn publish(writer: &mut RingWriter, bytes: usize) -> u64 {
    let n = writer.published();
    let mut frame = vec![0; bytes];
    fill(&mut frame, n);
    assert!(writer.begin(bytes as u64), "frame {n} fits");
    assert!(writer.write(&frame));
    assert!(writer.publish(&meta(n)));
    n
}

/// Waits until `is_so` says so, and fails the test if that never comes.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// This crate is for 64-bit hosts only.
pub(crate) fn usize_of(value: u64) -> usize {
    usize::try_from(value).expect("an address has 64 bits")
}
