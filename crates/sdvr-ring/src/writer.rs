//! The daemon's end of a ring, or a publisher's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use sdvr_frame::{Link, PublicKey, StreamState};

use crate::directory::RingDirectory;
use crate::folder::Folder;
use crate::layout::{
    FIRST_WORD, FrameMeta, Geometry, LINK_WORD, Origin, RATE_WORD, RETRANSMITTED_WORD, usize_of,
};
use crate::name::RingName;
use crate::new_ring::{self, CreateError, NewFile, NewRing, RingOptions, failed};
use crate::predecessor::{Predecessor, TakenOver};
use crate::publisher::Publisher;
use crate::shared_memory::Mapping;
use crate::slot::store;
use crate::stale::StaleRing;
use crate::wakeup::Bell;
use crate::{file_lock, stale};

/// How much of the data gets its pages at a time during the first lap: far fewer faults than pages, and no long stop
/// when a large ring is made.
const POPULATE_BYTES: u64 = 2 << 20;

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
    origin: Origin,
    geometry: Geometry,
    publisher: Publisher,
    bell: Bell,
    /// How much of the data has its pages already.
    populated_bytes: u64,
    state: StreamState,
    is_linked: bool,
}

impl RingWriter {
    /// Makes a ring and gives it its name; a ring that had the name before loses it.
    ///
    /// # Errors
    ///
    /// [`CreateError`]; nothing is left behind.
    pub fn create(directory: &RingDirectory, options: RingOptions) -> Result<Self, CreateError> {
        Self::create_in(directory.folder(), options.into(), None)
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
        Self::create_in(directory.folder(), options.into(), Some(before))
    }

    pub(crate) fn create_in(
        folder: &Folder,
        new: NewRing,
        before: Option<&Predecessor>,
    ) -> Result<Self, CreateError> {
        let name = new.name();
        let origin = new.origin.clone();
        let NewFile {
            file,
            mapping,
            geometry,
        } = NewFile::make(folder, new)?;
        let directory =
            rustix::io::fcntl_dupfd_cloexec(folder, 0).map_err(failed("keep the directory"))?;
        let mut ring = Self {
            mapping: Arc::new(mapping),
            file,
            directory,
            name,
            origin,
            geometry,
            publisher: Publisher::new(geometry),
            bell: Bell::default(),
            populated_bytes: 0,
            state: StreamState::Live,
            is_linked: false,
        };
        if let Some(before) = before {
            ring.skip_to(before.begin());
            ring.follow(before);
        }
        new_ring::link(folder, &ring.file, &ring.name).map_err(failed("link"))?;
        ring.is_linked = true;
        Ok(ring)
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
        self.publisher
            .set_figures(self.mapping.words(), before.figures());
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

    /// Says how many packets of the stream were lost on the link, sent again and arrived; `None` when nobody can tell.
    pub fn set_retransmitted(&mut self, packets: Option<u64>) {
        // Relaxed: for people; nothing hangs on it.
        store(
            self.mapping.words().control,
            RETRANSMITTED_WORD,
            packets.map_or(0, |packets| packets.saturating_add(1)),
            Ordering::Relaxed,
        );
    }

    /// The camera's key as it was when the ring was made; `None` for a derived ring.
    #[must_use]
    pub const fn camera(&self) -> Option<PublicKey> {
        match self.origin {
            Origin::Camera(key) => Some(key),
            Origin::Derived { .. } => None,
        }
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

    /// The ring's memory, to be given back by whoever has time when the writer is dropped. It counts as written by a living program until then.
    ///
    /// # Errors
    ///
    /// When this process has no descriptor left; the memory is then free when the last reader lets go.
    pub fn memory(&self) -> io::Result<StaleRing> {
        let file = rustix::io::fcntl_dupfd_cloexec(&self.file, 0)?;
        Ok(StaleRing::new(file, self.geometry))
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
