//! A program's end of a ring: read-only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use sdvr_frame::{Link, StreamState, Timestamp};

use crate::file_lock;
use crate::layout::{
    BYTES_WORD, DESCRIPTION_BYTES, FrameMeta, Geometry, HEADER_BYTES, LINK_WORD, LOST_WORD,
    RATE_WORD, RETRANSMITTED_WORD, RingInfo, usize_of,
};
use crate::name::RingName;
use crate::shared_memory::{Access, Mapping};
use crate::slot::{self, Found, FrameWords, ReadError, load};
use crate::sync::{Ordering, fence};
use crate::wait_many::Awaited;
use crate::wakeup::{self, Futex, Patience, READER_WAKES, Wait};

/// Why a ring cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no ring of that name.
    #[error("there is no such ring")]
    NotFound,
    /// This user may not read it.
    #[error("the frames may be read by the daemon's user and its --group only")]
    Forbidden,
    /// It is no ring, or a damaged one.
    #[error("the ring cannot be used: {0}")]
    Invalid(&'static str),
    /// Something else failed.
    #[error("cannot open the ring: {0}")]
    Io(io::Error),
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::NotFound,
            Errno::ACCESS | Errno::PERM => Self::Forbidden,
            Errno::LOOP => Self::Invalid("it is a symbolic link"),
            error => Self::Io(error.into()),
        }
    }
}

/// A frame's place in the ring, for system calls that copy from there.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame {
    /// Where its bytes begin. Valid while the reader lives; they may be overwritten at any time.
    pub pointer: *const u8,
    /// How many there are.
    pub length: usize,
    /// What is said of it.
    pub meta: FrameMeta,
    found: Found,
}

/// Reads one ring. Copies or looks; never blocks the writer, and nothing it does can be seen by it.
///
/// ```no_run
/// use std::os::fd::AsFd;
///
/// use sdvr_frame::Timestamp;
/// use sdvr_ring::{ReadError, RingReader, Wait, list_rings, open_directory, search_directories};
///
/// let path = search_directories().remove(0);
/// let directory = open_directory(&path).ok_or("no daemon has been here")?;
/// let name = list_rings(directory.as_fd())?.into_iter().next().ok_or("no camera yet")?;
/// let mut reader = RingReader::open(directory.as_fd(), &name)?;
/// let (mut n, mut state, mut frame) = (reader.head(), reader.state(), Vec::new());
/// loop {
///     match reader.wait(n, state, Timestamp::NEVER) {
///         Wait::Ready => match reader.read(n, &mut frame) {
///             Ok(meta) => {
///                 println!("frame {}: {} bytes", meta.number, frame.len());
///                 n += 1;
///             }
///             Err(ReadError::Lapped) => {
///                 // Too slow; the oldest would be gone again in a moment.
///                 let next = reader.head().max(n + 1);
///                 println!("missed {}", next - n);
///                 n = next;
///             }
///             Err(error) => return Err(error.into()),
///         },
///         Wait::StateChanged => {
///             state = reader.state();
///             println!("now {state}");
///         }
///         Wait::Nothing => {}
///     }
///     if state.is_final() || reader.is_replaced() || !reader.writer_lives() {
///         println!("look for {} again", name.as_str());
///         break;
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RingReader {
    mapping: Arc<Mapping>,
    file: Arc<OwnedFd>,
    info: RingInfo,
    geometry: Geometry,
    patience: Patience,
}

impl RingReader {
    /// Opens a ring of a directory that was opened with [`crate::open_directory`].
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nothing in the file is believed without a check.
    pub fn open(directory: BorrowedFd<'_>, name: &RingName) -> Result<Self, OpenError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(directory, name.as_str(), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(OpenError::Invalid("it is no file"));
        }
        let file_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        if file_bytes < HEADER_BYTES as u64 {
            return Err(OpenError::Invalid("it is too short"));
        }
        // Read, not mapped: the length is checked before anything is.
        let mut description = [0; DESCRIPTION_BYTES];
        let read = rustix::io::pread(&file, &mut description, 0)?;
        if read != DESCRIPTION_BYTES {
            return Err(OpenError::Invalid("it is too short"));
        }
        let (info, geometry) =
            RingInfo::parse(&description, file_bytes).map_err(OpenError::Invalid)?;
        let mapping = Mapping::new(file.as_fd(), geometry, Access::Read).map_err(OpenError::Io)?;
        let patience = Patience::new(info.format.rate.interval_ns().map(Duration::from_nanos));
        Ok(Self {
            mapping: Arc::new(mapping),
            file: Arc::new(file),
            info,
            geometry,
            patience,
        })
    }

    /// What the ring says of its stream.
    #[must_use]
    pub const fn info(&self) -> &RingInfo {
        &self.info
    }

    /// How the stream is doing, as the daemon last said. A daemon that was killed says nothing: see [`Self::writer_lives`].
    #[must_use]
    pub fn state(&self) -> StreamState {
        slot::state(self.mapping.words())
    }

    /// What the stream arrives over.
    #[must_use]
    pub fn link(&self) -> Option<Link> {
        u8::try_from(load(self.mapping.words().control, LINK_WORD))
            .ok()
            .and_then(Link::from_number)
    }

    /// Frames that were captured and did not arrive.
    #[must_use]
    pub fn frames_lost(&self) -> u64 {
        load(self.mapping.words().control, LOST_WORD)
    }

    /// Bytes of all frames published.
    #[must_use]
    pub fn bytes_published(&self) -> u64 {
        load(self.mapping.words().control, BYTES_WORD)
    }

    /// Frames that came lately, in thousandths a second.
    #[must_use]
    pub fn measured_rate(&self) -> u64 {
        load(self.mapping.words().control, RATE_WORD)
    }

    /// Packets of the stream that were lost on the link, sent again and arrived; `None` when nobody can tell: over TCP, where the kernels do it unseen, of a
    /// derived stream, and of a daemon that does not count them.
    #[must_use]
    pub fn retransmitted(&self) -> Option<u64> {
        load(self.mapping.words().control, RETRANSMITTED_WORD).checked_sub(1)
    }

    /// Frames published, into earlier rings of the run, too: the next one will be frame `head()`.
    #[must_use]
    pub fn head(&self) -> u64 {
        slot::head(self.mapping.words())
    }

    /// The newest frame at which decoding can begin, if it is still there.
    #[must_use]
    pub fn last_key(&self) -> Option<u64> {
        let n = slot::last_key(self.mapping.words())?;
        self.meta(n).is_ok().then_some(n)
    }

    /// The oldest frame that may still be read.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        let head = self.head();
        let mut oldest = head.saturating_sub(self.geometry.slots);
        let mut newest = head;
        // What is overwritten ends somewhere: frames only grow older. A search of log2(slots) steps.
        while oldest < newest {
            let middle = oldest + (newest - oldest) / 2;
            if matches!(
                slot::find(self.mapping.words(), self.geometry, middle),
                Err(ReadError::Lapped)
            ) {
                oldest = middle + 1;
            } else {
                newest = middle;
            }
        }
        oldest
    }

    /// What is said of frame `n`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn meta(&self, n: u64) -> Result<FrameMeta, ReadError> {
        slot::find(self.mapping.words(), self.geometry, n).map(|found| found.meta)
    }

    /// Copies frame `n` into `buffer`, whose memory is used again. Never blocks, never disturbs the writer.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; `buffer` then holds nothing of use.
    pub fn read(&self, n: u64, buffer: &mut Vec<u8>) -> Result<FrameMeta, ReadError> {
        self.with_words(n, |_, words| words.copy_into(buffer))
            .map(|(meta, ())| meta)
    }

    /// Looks at frame `n` where it lies, without a copy. What `look` returns is thrown away if the frame was
    /// overwritten meanwhile; `look` must bear to see a mixture of frames.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn with_words<T>(
        &self,
        n: u64,
        look: impl FnOnce(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<(FrameMeta, T), ReadError> {
        let words = self.mapping.words();
        let found = slot::find(words, self.geometry, n)?;
        let seen = look(
            &found.meta,
            slot::frame_words(words, self.geometry, &found)?,
        );
        slot::check(words, &found)?;
        Ok((found.meta, seen))
    }

    /// Where frame `n` lies, for `write(2)` and its like. Ask [`Self::is_still_valid`] after the call, and take back what it did if not.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn raw_frame(&self, n: u64) -> Result<RawFrame, ReadError> {
        let found = slot::find(self.mapping.words(), self.geometry, n)?;
        let pointer = self
            .mapping
            .data_pointer(found.position & (self.geometry.data_bytes - 1));
        Ok(RawFrame {
            pointer,
            length: usize_of(found.length),
            meta: found.meta,
            found,
        })
    }

    /// Whether all that was read of `frame` until now was the frame.
    #[must_use]
    pub fn is_still_valid(&self, frame: &RawFrame) -> bool {
        slot::check(self.mapping.words(), &frame.found).is_ok()
    }

    /// How many bytes of the ring have been used since frame `n` began, itself among them. At
    /// [`RingInfo::data_bytes`] it is overwritten.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn age_bytes(&self, n: u64) -> Result<u64, ReadError> {
        let words = self.mapping.words();
        let found = slot::find(words, self.geometry, n)?;
        let newest = slot::find(words, self.geometry, self.head().saturating_sub(1));
        let published_end =
            newest.map_or(0, |newest| newest.position.saturating_add(newest.length));
        // In the first lap nothing is announced; afterwards this has the frame that is being written, too.
        let announced_end = match slot::reclaim(words) {
            0 => 0,
            reclaim => reclaim.saturating_add(self.geometry.data_bytes),
        };
        Ok(published_end
            .max(announced_end)
            .saturating_sub(found.position))
    }

    /// How far frame `n` is on its way to being overwritten, in hundredths, by bytes or by slots, whichever is nearer.
    /// 100 when it is, or is not readable for another reason.
    #[must_use]
    pub fn age_percent(&self, n: u64) -> u64 {
        let Ok(bytes) = self.age_bytes(n) else {
            return 100;
        };
        let slots = self.head().saturating_sub(n);
        let by_bytes = bytes.saturating_mul(100) / self.geometry.data_bytes;
        let by_slots = slots.saturating_mul(100) / self.geometry.slots;
        by_bytes.max(by_slots).min(100)
    }

    /// Waits for frame `n`, for a state other than `state`, or for a moment, but not past `deadline`.
    ///
    /// Returns [`Wait::Nothing`] after 50 to 500 ms even if the deadline is far: ask then whether the writer lives,
    /// and wait again.
    pub fn wait(&mut self, n: u64, state: StreamState, deadline: Timestamp) -> Wait {
        let words = self.mapping.words();
        wakeup::wait(
            &*self.mapping,
            words,
            &mut self.patience,
            n,
            state,
            deadline,
        )
    }

    /// Whether a daemon still writes this ring. A system call.
    #[must_use]
    pub fn writer_lives(&self) -> bool {
        file_lock::is_locked(self.file.as_fd()).unwrap_or(false)
    }

    /// Whether the ring has lost its name: a newer one may have it.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        is_unlinked(&self.file)
    }

    /// Frame `n`, to be waited for together with frames of other rings by [`crate::wait_many()`].
    #[must_use]
    pub fn await_frame(&self, n: u64) -> Awaited {
        let (mapping, file) = (Arc::clone(&self.mapping), Arc::clone(&self.file));
        Awaited::new(mapping, file, self.patience.clone(), n)
    }

    /// Leaves waits to the kernel, so that a wake that is lost is never made up for.
    #[cfg(test)]
    pub(crate) fn trust_wakes(&mut self) {
        self.patience = Patience::endless();
    }

    pub(crate) const fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The word that tells of frame `n`, for programs that wait on many rings at once.
    #[must_use]
    pub fn futex_word(&self, n: u64) -> FutexWord<'_> {
        FutexWord {
            mapping: &self.mapping,
            index: wakeup::word_of(n),
        }
    }
}

/// Whether a file has lost its name, or cannot be asked.
pub(crate) fn is_unlinked(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).map_or(true, |stat| stat.st_nlink == 0)
}

/// One of a ring's two futex words, for `futex_waitv` over many rings.
///
/// 1. [`Self::value`] of each word, 2. look at each ring ([`RingReader::head`] and [`RingReader::state`]), 3. wait on all addresses for these values, shared and 32 bits, at most as
///    long as [`RingReader::wait`] would, 4. after *any* return [`Self::relay`] on each: a call can take wakes of several words and tell of one.
#[derive(Clone, Copy, Debug)]
pub struct FutexWord<'a> {
    mapping: &'a Mapping,
    index: usize,
}

impl FutexWord<'_> {
    /// What it holds. A head or state that is looked at afterwards is not older.
    #[must_use]
    pub fn value(&self) -> u32 {
        let value = self.mapping.futex(self.index).load(Ordering::Relaxed);
        // Pairs with the writer's store of the word.
        fence(Ordering::Acquire);
        value
    }

    /// Where it is. Valid while the reader lives; not to be stored to.
    #[must_use]
    pub fn address(&self) -> *const u32 {
        self.mapping.futex(self.index).as_ptr().cast_const()
    }

    /// Wakes two more readers if the word no longer holds `value`, as every woken reader must.
    pub fn relay(&self, value: u32) {
        if self.value() != value {
            self.mapping.wake(self.index, READER_WAKES);
        }
    }
}

#[cfg(test)]
mod tests;
