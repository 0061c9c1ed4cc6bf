//! Ending the rings of a daemon that is gone, or of a publisher.
//!
//! Through the file and not through a mapping: a mapped store into a file of which we know nothing could end the process.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Result;
use sdvr_frame::StreamState;

use crate::file_lock;
use crate::folder::Folder;
use crate::layout::{
    CONTROL_OFFSET, DESCRIPTION_BYTES, FUTEX_OFFSETS, Geometry, HEADER_BYTES, RECLAIM_WORD,
    RingInfo, STATE_WORD, WORD_BYTES,
};
use crate::shared_memory::{Access, Mapping};
use crate::slot::RECLAIMED;
use crate::wakeup::{self, Futex, WAKE_ALL};

/// What [`crate::RingDirectory::remove_stale_rings`] has removed.
#[derive(Debug, Default)]
pub struct StaleRings {
    /// How many files, unfinished rings among them.
    pub files: usize,
    /// The rings that programs still have open. Give their memory back in time: dropping them leaves it to the programs.
    pub still_read: Vec<StaleRing>,
}

/// A ring that has ended, such as one of a daemon or of a publisher that is gone, without a name. Its readers have been told to look for another one.
#[derive(Debug)]
pub struct StaleRing {
    file: OwnedFd,
    geometry: Geometry,
}

impl StaleRing {
    pub(crate) const fn new(file: OwnedFd, geometry: Geometry) -> Self {
        Self { file, geometry }
    }

    /// How much memory it holds.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.geometry.file_bytes()
    }

    /// Whether a program still has it open. True also when the system does not tell.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !file_lock::is_only_open_one(self.file.as_fd())
    }

    /// Gives all memory but the first page back, even while programs have the ring mapped. Nothing can be read afterwards.
    pub fn release_memory(&self) {
        // If this fails, readers would take a hole for frames. A word that is half stored is between the old and the new one, and system calls are full
        // barriers: who sees a hole sees that he may not.
        if write_word(&self.file, RECLAIM_WORD, RECLAIMED).is_ok() {
            punch(&self.file, self.geometry);
        }
    }
}

/// Gives a ring's memory back, all but its first page.
pub(crate) fn punch(file: &OwnedFd, geometry: Geometry) {
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let begin = HEADER_BYTES as u64;
    // Fails on file systems that have no holes; the memory is then free when the last reader lets go.
    let _ = rustix::fs::fallocate(file, hole, begin, geometry.file_bytes() - begin);
}

/// Takes the ring's name away, then tells its readers to look for another and wakes them. Gives it if it has any.
///
/// In this order: a reader that looks at once must not find the same file.
pub(crate) fn end_ring(directory: &Folder, name: &str) -> Result<Option<StaleRing>> {
    let file = open_for_writing(directory, name);
    directory.remove(name)?;
    // What cannot be opened or is no ring has no readers that could be told.
    let Ok(file) = file else {
        return Ok(None);
    };
    let geometry = tell_readers(&file);
    let _ = rustix::fs::fchmod(&file, Mode::from_raw_mode(0o440));
    Ok(geometry
        .ok()
        .flatten()
        .map(|geometry| StaleRing::new(file, geometry))
        .filter(StaleRing::is_read))
}

/// Rings are read-only, even to their owner, who may change that.
fn open_for_writing(directory: &Folder, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let readable = rustix::fs::openat(directory, name, flags | OFlags::RDONLY, Mode::empty())?;
    if !FileType::from_raw_mode(rustix::fs::fstat(&readable)?.st_mode).is_file() {
        return Err(rustix::io::Errno::INVAL);
    }
    rustix::fs::fchmod(&readable, Mode::from_raw_mode(0o600))?;
    // Nobody else can have put another file there: the directory is this user's alone to write, and locked, by `.lock` or `.publishers`.
    rustix::fs::openat(directory, name, flags | OFlags::RDWR, Mode::empty())
}

fn tell_readers(file: &OwnedFd) -> Result<Option<Geometry>> {
    let Some(geometry) = geometry(file)? else {
        return Ok(None);
    };
    write_word(file, STATE_WORD, StreamState::Moved.number().into())?;
    for offset in FUTEX_OFFSETS {
        let mut word = [0; 4];
        rustix::io::pread(file, &mut word, offset as u64)?;
        let word = wakeup::with_other_state_bit(u32::from_ne_bytes(word));
        rustix::io::pwrite(file, &word.to_ne_bytes(), offset as u64)?;
    }
    // System calls are full barriers: who is woken sees the state.
    let mapping = Mapping::new(file.as_fd(), geometry, Access::Read).map_err(|error| {
        rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO)
    })?;
    for index in 0..FUTEX_OFFSETS.len() {
        mapping.wake(index, WAKE_ALL);
    }
    Ok(Some(geometry))
}

fn write_word(file: &OwnedFd, word: usize, value: u64) -> Result<()> {
    let offset = (CONTROL_OFFSET + word * WORD_BYTES) as u64;
    rustix::io::pwrite(file, &value.to_ne_bytes(), offset).map(|_| ())
}

fn geometry(file: &OwnedFd) -> Result<Option<Geometry>> {
    let file_bytes = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
    let mut description = [0; DESCRIPTION_BYTES];
    if file_bytes < HEADER_BYTES as u64
        || rustix::io::pread(file, &mut description, 0)? != DESCRIPTION_BYTES
    {
        return Ok(None);
    }
    Ok(RingInfo::parse(&description, file_bytes)
        .ok()
        .map(|(_, geometry)| geometry))
}
