//! Ending the rings of a daemon that is gone.
//!
//! Through the file and not through a mapping: a mapped store into a file of which we know nothing could end the process.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Result;
use sdvr_frame::StreamState;

use crate::directory::RingDirectory;
use crate::layout::{
    CONTROL_OFFSET, DESCRIPTION_BYTES, FUTEX_OFFSETS, Geometry, HEADER_BYTES, RingInfo, STATE_WORD,
    WORD_BYTES,
};
use crate::shared_memory::{Access, Mapping};
use crate::wakeup::{self, Futex, WAKE_ALL};

/// Takes the ring's name away, then tells its readers to look for another and wakes them.
///
/// In this order: a reader that looks at once must not find the same file.
pub(crate) fn end_ring(directory: &RingDirectory, name: &str) -> Result<()> {
    let file = open_for_writing(directory, name);
    rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    // What cannot be opened or is no ring has no readers that could be told.
    if let Ok(file) = file {
        let _ = tell_readers(&file);
        let _ = rustix::fs::fchmod(&file, Mode::from_raw_mode(0o440));
    }
    Ok(())
}

/// Rings are read-only, even to their owner, who may change that.
fn open_for_writing(directory: &RingDirectory, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let readable = rustix::fs::openat(directory, name, flags | OFlags::RDONLY, Mode::empty())?;
    if !FileType::from_raw_mode(rustix::fs::fstat(&readable)?.st_mode).is_file() {
        return Err(rustix::io::Errno::INVAL);
    }
    rustix::fs::fchmod(&readable, Mode::from_raw_mode(0o600))?;
    // Nobody else can have put another file there: the directory is this user's alone to write, and locked.
    rustix::fs::openat(directory, name, flags | OFlags::RDWR, Mode::empty())
}

fn tell_readers(file: &OwnedFd) -> Result<()> {
    let Some(geometry) = geometry(file)? else {
        return Ok(());
    };
    let state = u64::from(StreamState::Moved.number()).to_ne_bytes();
    rustix::io::pwrite(
        file,
        &state,
        (CONTROL_OFFSET + STATE_WORD * WORD_BYTES) as u64,
    )?;
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
    Ok(())
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
