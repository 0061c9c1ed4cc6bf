//! A file that is being written.
//!
//! It only ever grows, by whole fragments, each in one write: cut off anywhere it plays to the last whole one. When it ends, what players like to know beforehand is
//! written into its head, whose length was settled in the beginning.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::AddAssign;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use sdvr_frame::StreamFormat;
use twox_hash::XxHash3_128;

use crate::container::{Added, Announced, Ending, Fragment, Muxer, NotRecordable};
use crate::index::IndexError;
use crate::options::Sync;
use crate::plain::{PlainForm, PlainMuxer, times_path};
use crate::sample::{About, Sample, UtcTime};

/// What a crash may cost at most; of a stream with B frames besides those that waited at the last write for others to come.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// How soon it is looked again whether frames that wait for others are settled, when none is.
const UNSETTLED_INTERVAL: Duration = Duration::from_millis(100);
/// Frames wait no longer for others of a camera that sends nothing.
const SILENCE_MOST: Duration = Duration::from_secs(2);
/// No more waits to be written, however little time has passed.
const WAITING_BYTES_MOST: u64 = 8 << 20;

/// A file that is being written.
pub(crate) struct SegmentWriter {
    file: File,
    path: PathBuf,
    sync: Sync,
    muxer: AnyMuxer,
    /// Of a file that does not say when its frames were taken: where that stands.
    times: Option<Times>,
    head: Vec<u8>,
    /// What is whole, from the beginning of the file.
    written_bytes: u64,
    /// Of what is behind the head.
    hash: XxHash3_128,
    /// Could not be written yet.
    stuck: Option<Fragment>,
    /// Memory of the last frames that were written.
    unused: Vec<Vec<u8>>,
    waiting: Waiting,
    written: Written,
    begins: UtcTime,
    /// When the newest frame was captured that is in the file.
    written_ends: UtcTime,
    /// At once in the beginning: a file plays as soon as it is there.
    next_write: Instant,
    last_added: Instant,
}

/// What puts frames together.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a camera")]
pub(crate) enum AnyMuxer {
    Container(Muxer),
    Plain(PlainMuxer),
}

impl AnyMuxer {
    /// For a file that begins with `first`; `plain` says what it is if it is of decoded pictures.
    pub(crate) fn begin(
        about: &About,
        first: &Sample<'_>,
        plain: Option<&PlainForm>,
    ) -> Result<Self, NotRecordable> {
        Ok(match plain {
            Some(form) => Self::Plain(PlainMuxer::new(form.clone())),
            None => Self::Container(Muxer::begin(about, first)?),
        })
    }

    pub(crate) fn extension(&self) -> &'static str {
        match self {
            Self::Container(muxer) => muxer.kind().extension(),
            Self::Plain(muxer) => muxer.form().extension,
        }
    }

    fn head(&self) -> &[u8] {
        match self {
            Self::Container(muxer) => muxer.head(),
            Self::Plain(muxer) => &muxer.form().head,
        }
    }

    fn add(&mut self, captured: UtcTime, is_key: bool, bytes: Vec<u8>) -> Added {
        match self {
            Self::Container(muxer) => muxer.add(captured, is_key, bytes),
            Self::Plain(muxer) => {
                muxer.add(captured, bytes);
                Added::Taken
            }
        }
    }

    /// See [`Muxer::announce`].
    fn announce(&self, captured: UtcTime, is_key: bool, frame_bytes: u64) -> Option<Announced> {
        match self {
            Self::Container(muxer) => muxer.announce(captured, is_key, frame_bytes),
            Self::Plain(_) => None,
        }
    }

    fn wrote(&mut self, announced: Announced) {
        if let Self::Container(muxer) = self {
            muxer.wrote(announced);
        }
    }

    /// See [`Muxer::take_fragment`] and [`Muxer::take_rest`].
    fn take(&mut self, which: Which) -> Fragment {
        match (self, which) {
            (Self::Container(muxer), Which::Ready) => muxer.take_fragment(),
            (Self::Container(muxer), Which::All) => muxer.take_rest(),
            (Self::Plain(muxer), _) => muxer.take_fragment(),
        }
    }

    fn ending(&self) -> Ending {
        match self {
            Self::Container(muxer) => muxer.ending(),
            Self::Plain(_) => Ending {
                tail: Vec::new(),
                patches: Vec::new(),
            },
        }
    }
}

/// Frames, and their bytes as the camera sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// Frames that were taken and are not written: when each was captured, and its bytes.
#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<(UtcTime, u64)>,
    bytes: u64,
    /// Of those that waited on when there was a write.
    unsettled_bytes: u64,
}

/// Which of the frames that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that are ready; all, if none comes any more by which others could be: see [`Muxer::take_fragment`].
    Ready,
    /// None follows.
    All,
}

/// What became of a frame that was to be written out of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is in the file.
    Written,
    /// It was overwritten in the ring before it was. The file is as before.
    Overwritten,
    /// This file takes no frames so, or not now. Nothing has happened.
    No,
}

/// A file that is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) begins: UtcTime,
    /// When its last frame was captured.
    pub(crate) ends: UtcTime,
    pub(crate) frames: u64,
    /// Of the whole file.
    pub(crate) bytes: u64,
    pub(crate) head_bytes: u64,
    /// XXH3-128 of what is behind the head, and then of the head.
    pub(crate) checksum: u128,
}

/// Why no file could be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    NotRecordable(#[from] NotRecordable),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot make {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl CreateError {
    /// Whether there is no room on the disk: when something is removed, the same may succeed.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::NotRecordable(_) => false,
            Self::Index(error) => error.is_disk_full(),
            Self::Io { error, .. } => is_disk_full(error),
        }
    }
}

/// Whether there is no room on the disk, or no more for this user.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.frames = self.frames.saturating_add(more.frames);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

impl Waiting {
    /// Takes out the first so many.
    fn take(&mut self, count: usize) -> impl Iterator<Item = (UtcTime, u64)> {
        let taken = self.frames.drain(..count.min(self.frames.len()));
        taken.inspect(|(_, bytes)| self.bytes = self.bytes.saturating_sub(*bytes))
    }
}

impl SegmentWriter {
    /// Makes the file and writes its head. The first frame has still to be added.
    pub(crate) fn create(
        path: &Path,
        begins: UtcTime,
        muxer: AnyMuxer,
        sync: Sync,
    ) -> Result<Self, CreateError> {
        let head = muxer.head().to_vec();
        let failed = |error| CreateError::Io {
            path: path.to_owned(),
            error,
        };
        // The list first: a file without one says less than a list without a file.
        let times = match &muxer {
            AnyMuxer::Container(_) => None,
            AnyMuxer::Plain(_) => Some(Times::create(path).map_err(failed)?),
        };
        let made = create(path).and_then(|file| file.write_all_at(&head, 0).map(|()| file));
        let file = made.map_err(|error| {
            // Nothing is in it; if another's was there, that stays.
            if error.kind() != io::ErrorKind::AlreadyExists {
                remove(path);
            }
            failed(error)
        })?;
        if sync != Sync::Never {
            // Its name, too, is to be there after a power cut.
            let folder = path.parent().and_then(|folder| File::open(folder).ok());
            if let Some(folder) = folder {
                let _ = folder.sync_all();
            }
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            sync,
            muxer,
            times,
            written_bytes: head.len() as u64,
            head,
            hash: XxHash3_128::new(),
            stuck: None,
            unused: Vec::new(),
            waiting: Waiting::default(),
            written: Written::default(),
            begins,
            written_ends: begins,
            next_write: Instant::now(),
            last_added: Instant::now(),
        })
    }

    /// Whether the file can hold this frame.
    pub(crate) fn fits(
        &self,
        format: &StreamFormat,
        sample: &Sample<'_>,
        plain: Option<&PlainForm>,
    ) -> bool {
        match &self.muxer {
            AnyMuxer::Container(muxer) => plain.is_none() && muxer.fits(format, sample),
            AnyMuxer::Plain(muxer) => plain == Some(muxer.form()),
        }
    }

    /// Takes a frame; it is written later.
    pub(crate) fn add(&mut self, captured: UtcTime, is_key: bool, bytes: Vec<u8>) -> Added {
        let length = bytes.len() as u64;
        let added = self.muxer.add(captured, is_key, bytes);
        if !matches!(added, Added::Taken) {
            return added;
        }
        self.last_added = Instant::now();
        self.waiting.frames.push_back((captured, length));
        self.waiting.bytes = self.waiting.bytes.saturating_add(length);
        added
    }

    /// Whether so many bytes wait that they have to be written at once.
    pub(crate) const fn is_full(&self) -> bool {
        let new_bytes = self
            .waiting
            .bytes
            .saturating_sub(self.waiting.unsettled_bytes);
        new_bytes >= WAITING_BYTES_MOST
    }

    /// Memory of a frame that was written.
    pub(crate) fn take_unused(&mut self) -> Option<Vec<u8>> {
        self.unused.pop()
    }

    /// How long until something has to be written; `None` when nothing waits.
    pub(crate) fn write_due_in(&self) -> Option<Duration> {
        if self.waiting.frames.is_empty() {
            return None;
        }
        if self.is_full() {
            return Some(Duration::ZERO);
        }
        Some(self.next_write.saturating_duration_since(Instant::now()))
    }

    /// Writes what waits, and tells how much that was; after a failure that which could not be written, and no more. Blocks for as long as the disk does. What could not be written waits on, and the file is as it was before.
    pub(crate) fn write(&mut self, which: Which) -> io::Result<Written> {
        let is_silent = self.last_added.elapsed() >= SILENCE_MOST;
        let fragment = match self.stuck.take() {
            Some(fragment) => fragment,
            None if is_silent => self.muxer.take(Which::All),
            None => self.muxer.take(which),
        };
        self.waiting.unsettled_bytes = self.waiting.bytes;
        if fragment.is_empty() {
            self.next_write = Instant::now() + UNSETTLED_INTERVAL;
            return Ok(Written::default());
        }
        self.next_write = Instant::now() + WRITE_INTERVAL;
        if let Err(error) = self.append(&fragment) {
            self.stuck = Some(fragment);
            return Err(error);
        }
        let count = usize::try_from(fragment.frames()).unwrap_or(usize::MAX);
        let mut written = Written::default();
        for (captured, bytes) in self.waiting.take(count) {
            written += Written { frames: 1, bytes };
            self.written_ends = self.written_ends.max(captured);
        }
        self.waiting.unsettled_bytes = self.waiting.bytes;
        self.written += written;
        self.unused = fragment.into_buffers();
        self.unused.retain(|memory| memory.capacity() > 4096);
        Ok(written)
    }

    /// Writes a frame of `frame_bytes` part by part, as `read` gives them to its argument; `read` tells whether they were the frame's. For large frames, which cost half as much
    /// when they need not go to memory and back between being copied, summed and written. Blocks for as long as the disk does; what cannot be written leaves the file as
    /// it was.
    pub(crate) fn pass(
        &mut self,
        captured: UtcTime,
        is_key: bool,
        frame_bytes: u64,
        read: impl FnOnce(&mut dyn FnMut(&[u8])) -> bool,
    ) -> io::Result<Passed> {
        // Smaller ones gather and are written together.
        let may_pass = frame_bytes >= WAITING_BYTES_MOST
            && self.stuck.is_none()
            && self.waiting.frames.is_empty();
        let announced = may_pass.then(|| self.muxer.announce(captured, is_key, frame_bytes));
        let Some(announced) = announced.flatten() else {
            return Ok(Passed::No);
        };
        let before = self.hash.clone();
        let (mut end, mut written) = (self.written_bytes, Ok(()));
        let mut put = |parts: &[&[u8]]| {
            if written.is_ok() {
                let slices: Vec<IoSlice<'_>> =
                    parts.iter().map(|part| IoSlice::new(part)).collect();
                written = write_all_at(&self.file, &slices, end);
                for part in parts {
                    self.hash.write(part);
                    end = end.saturating_add(part.len() as u64);
                }
            }
        };
        let mut head = announced.head();
        let is_whole = read(&mut |part| put(&[std::mem::take(&mut head), part]));
        if written.is_ok() && is_whole && self.sync == Sync::Write {
            written = self.file.sync_data();
        }
        if written.is_err() || !is_whole {
            self.hash = before;
            // A part of a frame is of no use to anybody, and takes room.
            let _ = self.file.set_len(self.written_bytes);
            return written.map(|()| Passed::Overwritten);
        }
        self.next_write = Instant::now() + WRITE_INTERVAL;
        self.written_bytes = end;
        self.muxer.wrote(announced);
        self.written += Written {
            frames: 1,
            bytes: frame_bytes,
        };
        self.written_ends = self.written_ends.max(captured);
        Ok(Passed::Written)
    }

    fn append(&mut self, fragment: &Fragment) -> io::Result<()> {
        let parts = fragment.io_slices();
        let is_synced = self.sync == Sync::Write;
        let mut written = write_all_at(&self.file, &parts, self.written_bytes);
        if is_synced {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let (Ok(()), Some(times), AnyMuxer::Plain(muxer)) =
            (&written, &mut self.times, &self.muxer)
        {
            written = times.append(muxer.lines(), is_synced);
        }
        if let Err(error) = written {
            // A part of a fragment is of no use to anybody, and takes room.
            let _ = self.file.set_len(self.written_bytes);
            return Err(error);
        }
        if let AnyMuxer::Plain(muxer) = &mut self.muxer {
            muxer.take_lines();
        }
        for part in &parts {
            self.hash.write(part);
            self.written_bytes = self.written_bytes.saturating_add(part.len() as u64);
        }
        Ok(())
    }

    /// Completes the file with what is written of it; frames that still wait are given up, see [`Self::waiting`].
    ///
    /// # Errors
    ///
    /// It is not complete then, and can be made so later as after a crash.
    pub(crate) fn finish(mut self) -> io::Result<Finished> {
        if self.stuck.is_some() {
            // What it would say of itself is of frames that are not in it: whoever completes it later looks.
            return Err(io::ErrorKind::StorageFull.into());
        }
        let ending = self.muxer.ending();
        if let Err(error) = self.file.write_all_at(&ending.tail, self.written_bytes) {
            let _ = self.file.set_len(self.written_bytes);
            return Err(error);
        }
        self.hash.write(&ending.tail);
        self.written_bytes = self.written_bytes.saturating_add(ending.tail.len() as u64);
        if self.sync != Sync::Never {
            // Before the head, which says that the rest is there.
            self.file.sync_data()?;
        }
        for (offset, bytes) in &ending.patches {
            self.file.write_all_at(bytes, *offset)?;
            let begin = usize::try_from(*offset).unwrap_or(usize::MAX);
            let end = begin.saturating_add(bytes.len());
            if let Some(place) = self.head.get_mut(begin..end) {
                place.copy_from_slice(bytes);
            }
        }
        if self.sync != Sync::Never {
            self.file.sync_all()?;
        }
        self.hash.write(&self.head);
        Ok(Finished {
            begins: self.begins,
            ends: self.written_ends,
            frames: self.written.frames,
            bytes: self.written_bytes,
            head_bytes: self.head.len() as u64,
            checksum: self.hash.finish_128(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn begins(&self) -> UtcTime {
        self.begins
    }

    /// When the newest frame was captured that is in the file; that of the first while there is none.
    pub(crate) const fn written_ends(&self) -> UtcTime {
        self.written_ends
    }

    /// What is in the file.
    pub(crate) const fn written(&self) -> Written {
        self.written
    }

    /// Removes the file.
    pub(crate) fn discard(self) {
        remove(&self.path);
    }

    /// When the last frame was captured that waits to be written.
    pub(crate) fn last_waiting(&self) -> Option<UtcTime> {
        self.waiting.frames.back().map(|(captured, _)| *captured)
    }

    /// What was taken and is not written.
    pub(crate) fn waiting(&self) -> Written {
        Written {
            frames: self.waiting.frames.len() as u64,
            bytes: self.waiting.bytes,
        }
    }

    /// Bytes that are in the file.
    pub(crate) const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }
}

/// The list of times beside a file that does not say them.
#[derive(Debug)]
struct Times {
    file: File,
    bytes: u64,
}

impl Times {
    /// For the file at `path`.
    fn create(path: &Path) -> io::Result<Self> {
        let file = create(&times_path(path))?;
        Ok(Self { file, bytes: 0 })
    }

    /// Adds these lines, all of them or none.
    fn append(&mut self, lines: &str, is_synced: bool) -> io::Result<()> {
        let mut written = self.file.write_all_at(lines.as_bytes(), self.bytes);
        if is_synced {
            written = written.and_then(|()| self.file.sync_data());
        }
        match written {
            Ok(()) => self.bytes = self.bytes.saturating_add(lines.len() as u64),
            Err(_) => {
                let _ = self.file.set_len(self.bytes);
            }
        }
        written
    }
}

/// Removes a file, and the list of times beside it if there is one.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_file(times_path(path));
}

/// Makes a file that only its owner reads, where nothing is yet.
fn create(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

/// Writes all parts, in one call of the system as a rule.
fn write_all_at(file: &File, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    /// More parts at a time are not taken.
    const PARTS_MOST: usize = 1024;
    let mut left: Vec<IoSlice<'_>> = parts.to_vec();
    let mut left = &mut left[..];
    while !left.is_empty() {
        let (some, _) = left.split_at(left.len().min(PARTS_MOST));
        let written = match rustix::io::pwritev(file, some, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        offset = offset.saturating_add(written as u64);
        IoSlice::advance_slices(&mut left, written);
    }
    Ok(())
}
