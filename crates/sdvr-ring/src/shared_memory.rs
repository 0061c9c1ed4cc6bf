//! The mapping of a ring's file. Everything above this file is safe code over atomic words.
#![expect(
    unsafe_code,
    reason = "maps a file and hands its bytes out as atomic words"
)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::layout::{FUTEX_OFFSETS, Geometry, HEADER_BYTES, SLOT_WORDS, WORD_BYTES};
use crate::slot::{Words, usize_of};

/// What this process may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The daemon.
    Write,
    /// Everybody else. Stores through such a mapping would end the process; the types above it offer none.
    Read,
}

/// A ring's file in this process's memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    geometry: Geometry,
}

// SAFETY: the mapping belongs to no thread, and all access to it is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file of `geometry.file_bytes()` bytes. The caller has checked that the file has that length; it is never
    /// made shorter (LAYOUT.md).
    pub(crate) fn new(
        file: BorrowedFd<'_>,
        geometry: Geometry,
        access: Access,
    ) -> io::Result<Self> {
        let bytes = usize_of(geometry.file_bytes());
        let (protection, flags) = match access {
            // Populated: the first lap must not fault page by page.
            Access::Write => (
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
            ),
            Access::Read => (ProtFlags::READ, MapFlags::SHARED),
        };
        // SAFETY: a null address lets the kernel choose a place that is free, so no memory of this process is replaced.
        let base = unsafe { mmap(std::ptr::null_mut(), bytes, protection, flags, file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            bytes,
            geometry,
        })
    }

    /// The parts of the ring.
    pub(crate) fn words(&self) -> Words<'_> {
        let data_offset = usize_of(self.geometry.data_offset());
        Words {
            header: self.slice(0, HEADER_BYTES / WORD_BYTES),
            slots: self.slice(HEADER_BYTES, usize_of(self.geometry.slots) * SLOT_WORDS),
            data: self.slice(data_offset, usize_of(self.geometry.data_bytes) / WORD_BYTES),
        }
    }

    fn slice(&self, offset: usize, words: usize) -> &[AtomicU64] {
        assert!(
            offset.is_multiple_of(WORD_BYTES) && offset + words * WORD_BYTES <= self.bytes,
            "the geometry was checked"
        );
        // SAFETY: the assertion above keeps the result inside the mapping.
        let start = unsafe { self.base.add(offset) }.cast::<AtomicU64>();
        // SAFETY: the range lies in the mapping, which lives as long as `self`; it is aligned, since mappings begin at a
        // page and the offset is a multiple of a word; every bit pattern is a number; other processes' stores are no data
        // race, because every access in every process is atomic and of this size (the futex words are apart, LAYOUT.md).
        unsafe { std::slice::from_raw_parts(start.as_ptr(), words) }
    }

    /// The futex word of even (0) or odd (1) frames.
    pub(crate) fn futex(&self, index: usize) -> &AtomicU32 {
        let offset = FUTEX_OFFSETS
            .get(index)
            .copied()
            .unwrap_or(FUTEX_OFFSETS[0]);
        // SAFETY: both offsets lie in the header, which every mapping has.
        let word = unsafe { self.base.add(offset) }.cast::<AtomicU32>();
        // SAFETY: aligned, inside the mapping, which lives as long as `self`; accessed as 32 bits everywhere.
        unsafe { word.as_ref() }
    }

    /// Where the word at `index` of the data lies, for system calls that copy from there.
    pub(crate) fn data_pointer(&self, byte: u64) -> *const u8 {
        self.base
            .as_ptr()
            .cast_const()
            .wrapping_add(usize_of(self.geometry.data_offset() + byte))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and all references into it borrow from `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "only a wrong range cannot be unmapped");
    }
}
