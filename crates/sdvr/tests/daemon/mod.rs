//! A daemon's rings without a daemon: the test publishes.
#![allow(
    dead_code,
    reason = "each test program uses a part of what they all share"
)]

mod options;

use std::path::Path;
use std::time::Duration;

use sdvr::{FrameFlags, FrameMeta, FrameNumber, StreamFormat, Timestamp};
use sdvr_ring::{RingDirectory, RingOptions, RingWriter, TakenOver};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How many frames a ring keeps.
pub(crate) const SLOTS: u32 = 4;

/// A directory of rings that is locked by this process.
pub(crate) struct Daemon {
    _folder: Option<tempfile::TempDir>,
    rings: RingDirectory,
}

impl Daemon {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
        Self {
            rings: RingDirectory::create(folder.path(), None).expect("the folder is ours"),
            _folder: Some(folder),
        }
    }

    pub(crate) fn new_in(path: &Path) -> Self {
        Self {
            rings: RingDirectory::create(path, None).expect("the path is ours"),
            _folder: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.rings.path()
    }

    /// Starts a run of the camera with this key. To drop it is to kill the daemon.
    pub(crate) fn open(&self, label: &str, key: u8, instance: u8) -> Run {
        let options = options(label, key, instance);
        let ring = RingWriter::create(&self.rings, options).expect("there is room");
        Run { ring }
    }

    /// Starts runs of so many cameras, the first ones that [`Self::open_numbered`] knows.
    pub(crate) fn open_many(&self, count: u16) -> Vec<Run> {
        (0..count)
            .map(|number| self.open_numbered(number))
            .collect()
    }

    /// Starts a run of the camera `camera-<number>`, of which there are more than of those with a key of one byte.
    pub(crate) fn open_numbered(&self, number: u16) -> Run {
        let mut options = options(&format!("camera-{number}"), 0, 1);
        options.camera.0[..2].copy_from_slice(&number.to_be_bytes());
        let ring = RingWriter::create(&self.rings, options).expect("there is room");
        Run { ring }
    }

    /// Starts a run whose frames look like that, in a ring with room for many.
    pub(crate) fn open_with(&self, label: &str, instance: u8, format: StreamFormat) -> Run {
        let options = RingOptions {
            slots: 64,
            data_bytes: 1 << 22,
            format,
            ..options::options(label, 7, instance)
        };
        let ring = RingWriter::create(&self.rings, options).expect("there is room");
        Run { ring }
    }

    /// Makes another ring for a run and gives it the name, as the daemon does before it goes over between two frames.
    pub(crate) fn make_next(&self, run: &Run, label: &str, key: u8, instance: u8) -> RingWriter {
        let before = run.ring.predecessor(TakenOver::LastIntervals);
        let options = options(label, key, instance);
        RingWriter::create_after(&self.rings, options, &before).expect("there is room")
    }

    /// Gives a run that [`Self::open`] began another ring.
    pub(crate) fn go_on(&self, run: &mut Run, label: &str, key: u8, instance: u8) {
        let ring = self.make_next(run, label, key, instance);
        std::mem::replace(&mut run.ring, ring).was_replaced();
    }
}

fn options(label: &str, key: u8, instance: u8) -> RingOptions {
    RingOptions {
        slots: SLOTS,
        data_bytes: 1 << 16,
        ..options::options(label, key, instance)
    }
}

/// A run's ring.
pub(crate) struct Run {
    pub(crate) ring: RingWriter,
}

impl Run {
    /// Goes over to a ring that was made for it, with what was published meanwhile.
    pub(crate) fn go_over(&mut self, mut next: RingWriter) {
        next.follow(&self.ring.predecessor(TakenOver::LastIntervals));
        std::mem::replace(&mut self.ring, next).was_replaced();
    }

    /// Publishes frames of these numbers.
    pub(crate) fn publish(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.publish_with(number, FrameFlags::NONE);
        }
    }

    pub(crate) fn publish_with(&mut self, number: u64, flags: FrameFlags) {
        self.publish_at(number, flags, Timestamp::now());
    }

    /// Publishes a frame that was captured at this time.
    pub(crate) fn publish_at(&mut self, number: u64, flags: FrameFlags, captured: Timestamp) {
        self.publish_bytes_at(number, flags, &number.to_ne_bytes(), captured);
    }

    pub(crate) fn publish_bytes(&mut self, number: u64, flags: FrameFlags, bytes: &[u8]) {
        self.publish_bytes_at(number, flags, bytes, Timestamp::now());
    }

    fn publish_bytes_at(
        &mut self,
        number: u64,
        flags: FrameFlags,
        bytes: &[u8],
        captured: Timestamp,
    ) {
        let now = Timestamp::now();
        assert!(self.ring.begin(bytes.len() as u64) && self.ring.write(bytes));
        assert!(self.ring.publish(&FrameMeta {
            number: FrameNumber(number),
            flags,
            missed: 0,
            captured_at_source: captured,
            captured,
            clock_error_ns: Some(100),
            received: now,
            published: now,
        }));
    }
}
