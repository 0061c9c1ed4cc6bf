//! The daemon's end of a ring.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use sdvr_frame::{
    InstanceId, Label, Link, PublicKey, StreamFormat, StreamId, StreamKind, StreamState,
};

use crate::directory::{RingDirectory, RingName, UNFINISHED_PREFIX};
use crate::layout::{
    EXTRADATA_MOST_BYTES, FIRST_WORD, FrameMeta, Geometry, LINK_WORD, RATE_WORD, RingInfo,
    WORD_BYTES, usize_of,
};
use crate::predecessor::{Predecessor, TakenOver};
use crate::publisher::Publisher;
use crate::shared_memory::{Access, Mapping};
use crate::slot::store;
use crate::wakeup::Bell;
use crate::{file_lock, stale};

/// How much of the data gets its pages at a time during the first lap: far fewer faults than pages, and no long stop
/// when a large ring is made.
const POPULATE_BYTES: u64 = 2 << 20;

/// What a new ring is for.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// The camera.
    pub camera: PublicKey,
    /// The camera's label.
    pub label: Label,
    /// Which of its streams.
    pub stream: StreamId,
    /// What it carries.
    pub kind: StreamKind,
    /// Which run of the source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// What a decoder needs beforehand, at most 1,024 bytes.
    pub extradata: Vec<u8>,
    /// What it arrives over.
    pub link: Link,
    /// Frames to hold at most; rounded up to a power of two.
    pub slots: u32,
    /// Bytes for frames; rounded up to a power of two.
    pub data_bytes: u64,
}

/// Why a ring could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The sizes are impossible.
    #[error("a ring of {slots} slots and {data_bytes} bytes is impossible")]
    Size {
        /// As asked for.
        slots: u32,
        /// As asked for.
        data_bytes: u64,
    },
    /// What a decoder needs is more than a ring has room for.
    #[error("{bytes} bytes of extradata do not fit into a ring, which has room for 1024")]
    Extradata {
        /// How many there are.
        bytes: usize,
    },
    /// The file system is full.
    #[error(
        "shared memory is full: a ring of {bytes} bytes does not fit into {free_bytes}. Lower --memory, or make /dev/shm larger (mount -o remount,size=…)"
    )]
    NoSpace {
        /// What the ring needs.
        bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// Something else failed.
    #[error("cannot make a ring ({step}): {error}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

/// The one writer of a ring. Dropping it leaves the ring as it is, without a writer.
///
/// ```
/// use std::os::fd::AsFd;
///
/// use sdvr_frame::{
///     FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Link, PublicKey, StreamFormat, StreamId, StreamKind,
///     Timestamp,
/// };
/// use sdvr_ring::{FrameMeta, RingDirectory, RingOptions, RingReader, RingWriter};
///
/// # let folder = tempfile::tempdir_in("/dev/shm")?;
/// # let path = folder.path().join("rings");
/// let directory = RingDirectory::create(&path, None)?;
/// directory.remove_stale_rings()?;
/// let mut writer = RingWriter::create(&directory, RingOptions {
///     camera: PublicKey([7; 32]),
///     label: "front-door".parse()?,
///     stream: StreamId(0),
///     kind: StreamKind::Video,
///     instance: InstanceId([1; 16]),
///     format: StreamFormat { fourcc: FourCc::MJPG, width: 640, height: 480, rate: FrameRate::from_whole(30) },
///     extradata: Vec::new(),
///     link: Link::Tcp,
///     slots: 256,
///     data_bytes: 8 << 20,
/// })?;
///
/// // A frame comes in pieces, cut anywhere.
/// let (now, pieces) = (Timestamp::now(), [&b"a pict"[..], b"ure"]);
/// assert!(writer.begin(9));
/// for piece in pieces {
///     assert!(writer.write(piece));
/// }
/// assert!(writer.publish(&FrameMeta {
///     number: FrameNumber(4711),
///     flags: FrameFlags::KEY,
///     missed: 0,
///     captured_at_source: now,
///     captured: now,
///     clock_error_ns: Some(0),
///     received: now,
///     published: now,
/// }));
///
/// let reader = RingReader::open(directory.as_fd(), writer.name())?;
/// let mut picture = Vec::new();
/// let meta = reader.read(0, &mut picture)?;
/// assert_eq!((meta.number, &picture[..]), (FrameNumber(4711), &b"a picture"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RingWriter {
    mapping: Arc<Mapping>,
    /// Holds the lock that tells readers that the writer lives.
    file: OwnedFd,
    directory: OwnedFd,
    name: RingName,
    /// Of whose key the name is made.
    camera: PublicKey,
    geometry: Geometry,
    publisher: Publisher,
    bell: Bell,
    /// How much of the data has its pages already.
    populated_bytes: u64,
    state: StreamState,
    is_linked: bool,
}

/// Makes names of unfinished rings differ.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

impl RingWriter {
    /// Makes a ring and gives it its name; a ring that had the name before loses it.
    ///
    /// # Errors
    ///
    /// [`CreateError`]; nothing is left behind.
    pub fn create(directory: &RingDirectory, options: RingOptions) -> Result<Self, CreateError> {
        Self::prepare(directory, options)?.linked(directory)
    }

    /// Makes a ring that comes after another of the same run: the count of its frames goes on, and it begins with what
    /// `before` has it take over. It has that before it has its name. The other one's writer may go on meanwhile;
    /// [`Self::follow`] then takes over the rest.
    ///
    /// # Errors
    ///
    /// [`CreateError`]; nothing is left behind.
    pub fn create_after(
        directory: &RingDirectory,
        options: RingOptions,
        before: &Predecessor,
    ) -> Result<Self, CreateError> {
        let mut ring = Self::prepare(directory, options)?;
        ring.skip_to(before.begin());
        ring.follow(before);
        ring.linked(directory)
    }

    /// Makes a ring that has no name yet.
    fn prepare(directory: &RingDirectory, options: RingOptions) -> Result<Self, CreateError> {
        let impossible = || CreateError::Size {
            slots: options.slots,
            data_bytes: options.data_bytes,
        };
        let slots = options
            .slots
            .checked_next_power_of_two()
            .ok_or_else(impossible)?;
        let data_bytes = options
            .data_bytes
            .max(4096)
            .checked_next_power_of_two()
            .ok_or_else(impossible)?;
        let geometry = Geometry::new(slots.max(2).into(), data_bytes).ok_or_else(impossible)?;
        if options.extradata.len() > EXTRADATA_MOST_BYTES {
            return Err(CreateError::Extradata {
                bytes: options.extradata.len(),
            });
        }
        let failed = |step| {
            move |error: Errno| CreateError::Io {
                step,
                error: error.into(),
            }
        };

        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, ".", flags, Mode::from_raw_mode(0o600))
            .map_err(failed("open"))?;
        reserve(&file, geometry.file_bytes(), directory)?;
        let mapping = Mapping::new(file.as_fd(), geometry, Access::Write)
            .map_err(|error| CreateError::Io { step: "map", error })?;
        let camera = options.camera;
        let name = RingName::new(&camera, options.stream);
        mapping.populate(0, usize_of(geometry.data_offset()));
        describe(&mapping, geometry, options);
        // Before the name exists: nobody can hold a lock that would be in the way.
        let is_locked = file_lock::try_lock(file.as_fd()).map_err(|error| CreateError::Io {
            step: "lock",
            error,
        })?;
        if !is_locked {
            return Err(failed("lock")(Errno::BUSY));
        }
        rustix::fs::fchown(&file, None, directory.group()).map_err(failed("change the group"))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o440)).map_err(failed("change the mode"))?;
        let own_directory =
            rustix::io::fcntl_dupfd_cloexec(directory, 0).map_err(failed("keep the directory"))?;
        Ok(Self {
            mapping: Arc::new(mapping),
            file,
            directory: own_directory,
            name,
            camera,
            geometry,
            publisher: Publisher::new(geometry),
            bell: Bell::default(),
            populated_bytes: 0,
            state: StreamState::Live,
            is_linked: false,
        })
    }

    fn linked(mut self, directory: &RingDirectory) -> Result<Self, CreateError> {
        link(directory, &self.file, &self.name).map_err(|error| CreateError::Io {
            step: "link",
            error: error.into(),
        })?;
        self.is_linked = true;
        Ok(self)
    }

    /// This ring, as the one that comes after it sees it.
    #[must_use]
    pub fn predecessor(&self, taken_over: TakenOver) -> Predecessor {
        Predecessor::new(Arc::clone(&self.mapping), self.geometry, taken_over)
    }

    /// Takes over what `before`, from which this ring was made, has published since then; gives how many frames. Readers of this ring
    /// get them like any others. What `before` has overwritten already, and what is too large for this ring, is overwritten here, too.
    ///
    /// Costs two copies of each frame.
    pub fn follow(&mut self, before: &Predecessor) -> u64 {
        let mut bytes = Vec::new();
        let mut taken = 0;
        while self.published() < before.head() {
            match before.read(self.published(), &mut bytes) {
                Some(meta) if self.take_over(&meta, &bytes) => taken += 1,
                _ => self.skip_to(before.begin().max(self.published() + 1)),
            }
        }
        let (lost, bytes) = before.figures();
        self.publisher
            .set_figures(self.mapping.words(), lost, bytes);
        taken
    }

    fn take_over(&mut self, meta: &FrameMeta, bytes: &[u8]) -> bool {
        self.begin(bytes.len() as u64) && self.write(bytes) && self.publish(meta)
    }

    fn skip_to(&mut self, n: u64) {
        self.publisher.skip_to(self.mapping.words(), n);
        if !self.is_linked {
            // Relaxed: linking orders it.
            store(self.mapping.description(), FIRST_WORD, n, Ordering::Relaxed);
        }
    }

    /// The name of its file.
    #[must_use]
    pub const fn name(&self) -> &RingName {
        &self.name
    }

    /// The largest frame it takes.
    #[must_use]
    pub const fn frame_most_bytes(&self) -> u64 {
        self.geometry.frame_most_bytes()
    }

    /// Frames published, in the earlier rings of the run, too.
    #[must_use]
    pub const fn published(&self) -> u64 {
        self.publisher.published()
    }

    /// The state as last set.
    #[must_use]
    pub const fn state(&self) -> StreamState {
        self.state
    }

    /// Begins a frame of `length` bytes; one begun before and not published is given up. False when it does not fit
    /// or has no bytes.
    ///
    /// From here on the oldest frames, whose place it takes, cannot be read.
    #[must_use]
    pub fn begin(&mut self, length: u64) -> bool {
        let has_begun = self.publisher.begin(self.mapping.words(), length);
        if self.populated_bytes < self.geometry.data_bytes {
            self.populate();
        }
        has_begun
    }

    /// Gives the frame that was begun its pages, and some more. Once round the ring, then never again.
    fn populate(&mut self) {
        let end = self.publisher.reserved_end().min(self.geometry.data_bytes);
        while self.populated_bytes < end {
            let start = self.geometry.data_offset() + self.populated_bytes;
            self.mapping
                .populate(usize_of(start), usize_of(POPULATE_BYTES));
            self.populated_bytes += POPULATE_BYTES;
        }
    }

    /// Adds the next bytes of the frame, however it was cut. Copies them once. False when they go past its end; the
    /// frame is then given up.
    #[must_use]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.publisher.write(self.mapping.words(), bytes)
    }

    /// Gives up the frame that was begun, if one was: nobody will have seen it.
    pub fn abort(&mut self) {
        self.publisher.abort();
    }

    /// Publishes the frame and wakes readers. False when it is not whole; it is then given up. Never blocks, and costs
    /// the same for any number of readers.
    pub fn publish(&mut self, meta: &FrameMeta) -> bool {
        let Some(n) = self.publisher.publish(self.mapping.words(), meta) else {
            return false;
        };
        self.bell.announce_frame(&*self.mapping, n);
        true
    }

    /// Says how the stream is doing and wakes every reader, if that is new.
    pub fn set_state(&mut self, state: StreamState) {
        if state == self.state {
            return;
        }
        self.state = state;
        self.publisher.store_state(self.mapping.words(), state);
        self.bell.announce_state(&*self.mapping);
    }

    /// Says what the stream arrives over.
    pub fn set_link(&mut self, link: Link) {
        // Relaxed: for people; nothing hangs on it.
        store(
            self.mapping.words().control,
            LINK_WORD,
            link.number().into(),
            Ordering::Relaxed,
        );
    }

    /// Says how many frames came lately, in thousandths a second.
    pub fn set_measured_rate(&mut self, frames_per_1000_s: u64) {
        // Relaxed: for people; nothing hangs on it.
        store(
            self.mapping.words().control,
            RATE_WORD,
            frames_per_1000_s,
            Ordering::Relaxed,
        );
    }

    /// The camera's key as it was when the ring was made.
    #[must_use]
    pub const fn camera(&self) -> PublicKey {
        self.camera
    }

    /// Takes the ring's name away, if it still has it. Programs that have it mapped keep it.
    pub fn unlink(&mut self) {
        if std::mem::take(&mut self.is_linked) && !self.is_replaced() {
            // Fails only if somebody removed it before.
            let _ = rustix::fs::unlinkat(&self.directory, self.name.as_str(), AtFlags::empty());
        }
    }

    /// Tells the ring that a newer one is in its place, which has its name as a rule.
    pub fn was_replaced(&mut self) {
        self.unlink();
        self.set_state(StreamState::Moved);
    }

    /// Whether the file has lost its name, by us or by somebody else.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Whether a program has it open. True also when the system does not tell.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !file_lock::is_only_open_one(self.file.as_fd())
    }

    /// Gives all memory but the first page back, even while programs have the ring mapped. Nothing can be read afterwards.
    pub fn release_memory(&mut self) {
        self.publisher.reclaim_all(self.mapping.words());
        stale::punch(&self.file, self.geometry);
    }
}

/// Reserves all of the file's memory now, so that no later write can fail.
fn reserve(file: &OwnedFd, bytes: u64, directory: &RingDirectory) -> Result<(), CreateError> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::NOSPC | Errno::FBIG | Errno::DQUOT) => {
                // A failed reservation leaves nothing behind, so this is what there was.
                let free_bytes = directory.free_bytes().unwrap_or(0);
                return Err(CreateError::NoSpace { bytes, free_bytes });
            }
            Err(error) => {
                return Err(CreateError::Io {
                    step: "reserve",
                    error: error.into(),
                });
            }
        }
    }
}

fn describe(mapping: &Mapping, geometry: Geometry, options: RingOptions) {
    let link = options.link;
    let info = RingInfo {
        camera: options.camera,
        label: options.label,
        stream: options.stream,
        kind: options.kind,
        instance: options.instance,
        format: options.format,
        extradata: options.extradata,
        slots: geometry.slots,
        data_bytes: geometry.data_bytes,
        writer_pid: std::process::id(),
        realtime_offset_ns: realtime_offset_ns(),
        first: 0,
    };
    let bytes = info.to_bytes(geometry);
    let (words, _) = bytes.as_chunks::<WORD_BYTES>();
    // Relaxed: the file has no name yet; linking it orders them.
    for (index, word) in words.iter().enumerate() {
        store(
            mapping.description(),
            index,
            u64::from_ne_bytes(*word),
            Ordering::Relaxed,
        );
    }
    store(
        mapping.words().control,
        LINK_WORD,
        link.number().into(),
        Ordering::Relaxed,
    );
}

fn realtime_offset_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let realtime = time
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec);
    realtime.saturating_sub(sdvr_frame::Timestamp::now().as_nanoseconds())
}

/// Gives a nameless file its name, in place of another that may have it.
fn link(directory: &RingDirectory, file: &OwnedFd, name: &RingName) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;
    // Relaxed: the number only has to differ.
    let unfinished = format!(
        "{UNFINISHED_PREFIX}{}-{}",
        std::process::id(),
        UNFINISHED.fetch_add(1, Ordering::Relaxed)
    );
    // Kernels before 6.10 want a capability for this; /proc serves there.
    if rustix::fs::linkat(file, "", directory, &unfinished, AtFlags::EMPTY_PATH).is_err() {
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(rustix::fs::CWD, source, directory, &unfinished, flags)?;
    }
    rustix::fs::renameat(directory, &unfinished, directory, name.as_str()).inspect_err(|_| {
        let _ = rustix::fs::unlinkat(directory, &unfinished, AtFlags::empty());
    })
}
