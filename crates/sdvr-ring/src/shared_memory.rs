//! The mapping of a ring's file, and copies into and out of it. Everything above this file is safe code over atomic words.
#![expect(
    unsafe_code,
    reason = "maps a file, hands its bytes out as atomic words, and copies those with one instruction"
)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use crate::copy;
#[cfg(target_arch = "x86_64")]
use crate::copy::PrivateWord;
use crate::layout::{
    CONTROL_OFFSET, CONTROL_WORDS, DESCRIPTION_BYTES, FUTEX_OFFSETS, Geometry, HEADER_BYTES,
    SLOT_WORDS, WORD_BYTES, Words, usize_of,
};

/// From so many words on the string instruction is worth its start.
#[cfg(target_arch = "x86_64")]
const STRING_MOVE_WORDS: usize = 64;

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
        let protection = match access {
            Access::Write => ProtFlags::READ | ProtFlags::WRITE,
            Access::Read => ProtFlags::READ,
        };
        let address = std::ptr::null_mut();
        // SAFETY: a null address lets the kernel choose a place that is free, so no memory of this process is replaced.
        let base = unsafe { mmap(address, bytes, protection, MapFlags::SHARED, file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            bytes,
            geometry,
        })
    }

    /// What frames go through.
    pub(crate) fn words(&self) -> Words<'_> {
        let data_offset = usize_of(self.geometry.data_offset());
        Words {
            control: self.slice(CONTROL_OFFSET, CONTROL_WORDS),
            slots: self.slice(HEADER_BYTES, usize_of(self.geometry.slots) * SLOT_WORDS),
            data: self.slice(data_offset, usize_of(self.geometry.data_bytes) / WORD_BYTES),
        }
    }

    /// The description at the ring's start.
    pub(crate) fn description(&self) -> &[AtomicU64] {
        self.slice(0, DESCRIPTION_BYTES / WORD_BYTES)
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
        // race, because every access in every process is atomic and of this size. No caller's range has the futex words.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), words) }
    }

    /// The futex word of even (0) or odd (1) frames.
    pub(crate) fn futex(&self, index: usize) -> &AtomicU32 {
        let offset = FUTEX_OFFSETS[index & 1];
        // SAFETY: both offsets lie in the header, which every mapping has.
        let word = unsafe { self.base.add(offset) }.cast::<AtomicU32>();
        // SAFETY: aligned, inside the mapping, which lives as long as `self`; accessed as 32 bits everywhere.
        unsafe { word.as_ref() }
    }

    /// Where byte `byte` of the data lies, for system calls that copy from there.
    pub(crate) fn data_pointer(&self, byte: u64) -> *const u8 {
        self.base
            .as_ptr()
            .cast_const()
            .wrapping_add(usize_of(self.geometry.data_offset() + byte))
    }

    /// Has the kernel give `bytes` from `offset` on their pages now and at once, not one by one as they are first
    /// stored to. Does nothing on kernels that cannot (before 5.14): then they fault.
    pub(crate) fn populate(&self, offset: usize, bytes: usize) {
        let offset = offset.min(self.bytes);
        let bytes = bytes.min(self.bytes - offset);
        // SAFETY: the clamps above keep the result inside the mapping.
        let start = unsafe { self.base.add(offset) };
        // SAFETY: the range lies in the mapping; the advice changes no byte of it.
        let _ = unsafe { madvise(start.as_ptr().cast(), bytes, Advice::LinuxPopulateWrite) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and all references into it borrow from `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "only a wrong range cannot be unmapped");
    }
}

/// Copies the first `length` bytes of `words` into `buffer`, which then has just these. Memory that it has is used
/// again and not cleared first.
pub(crate) fn read_into(words: &[AtomicU64], length: usize, buffer: &mut Vec<u8>) {
    let bytes = words.len() * WORD_BYTES;
    assert!(length <= bytes, "the words hold the bytes");
    buffer.clear();
    buffer.reserve(bytes);
    let (places, _) = buffer.spare_capacity_mut().as_chunks_mut();
    copy::load_words(words, places);
    // SAFETY: `reserve` made room for `bytes`, so `places` was at least as long as `words`, and every word was copied;
    // `length` is no more than that by the assertion.
    unsafe { buffer.set_len(length) };
}

/// Stores `from` into the first words of `to`, as far as both reach: [`copy::store_each`] at the speed of `memcpy`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn store_words(to: &[AtomicU64], from: &[[u8; WORD_BYTES]]) {
    let words = to.len().min(from.len());
    if words < STRING_MOVE_WORDS {
        return copy::store_each(to, from);
    }
    // W2.
    // SAFETY: both are `words` long at least and do not overlap, since nobody has a `&[u8]` into a ring; the words are
    // atomic, so that storing through a shared reference is allowed; the instruction moves 8 bytes at a time, each of
    // which the processor stores at once, as relaxed stores would be (LAYOUT.md).
    unsafe { string_move(to.as_ptr().cast_mut().cast(), from.as_ptr().cast(), words) };
}

/// Loads the first words of `from` into `to`, as far as both reach: [`copy::load_each`] at the speed of `memcpy`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn load_words(from: &[AtomicU64], to: &mut [PrivateWord]) {
    let words = from.len().min(to.len());
    if words < STRING_MOVE_WORDS {
        return copy::load_each(from, to);
    }
    // R4.
    // SAFETY: as above; `to` is this thread's alone.
    unsafe { string_move(to.as_mut_ptr().cast(), from.as_ptr().cast(), words) };
}

/// Moves `words` words of 8 bytes, in any order.
///
/// # Safety
///
/// `to` must be valid for writing and `from` for reading so many words, and they must not overlap. Neither needs to be
/// aligned. Other threads may access the memory that is a ring's, atomically.
#[cfg(target_arch = "x86_64")]
unsafe fn string_move(to: *mut u8, from: *const u8, words: usize) {
    // SAFETY: the caller vouches for the memory; the direction flag is clear, as the calling convention has it; no flag
    // changes and no stack is used.
    unsafe {
        std::arch::asm!(
            "rep movsq",
            inout("rcx") words => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_whole_words_of_every_length_and_alignment() {
        let words: Vec<AtomicU64> = (0..200_u64)
            .map(|n| AtomicU64::new(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| {
                word.load(std::sync::atomic::Ordering::Relaxed)
                    .to_ne_bytes()
            })
            .collect();
        let mut buffer = Vec::new();
        for length in (0..=1600_usize).step_by(7) {
            let count = length.div_ceil(WORD_BYTES);
            read_into(&words[..count], length, &mut buffer);
            assert_eq!(buffer, bytes[..length], "{length} bytes out");

            for skew in 0..WORD_BYTES {
                let ring: Vec<AtomicU64> = (0..202).map(|_| AtomicU64::new(u64::MAX)).collect();
                let (from, _) = bytes[skew.min(length)..length].as_chunks();
                copy::store_words(&ring[1..], from);
                read_into(&ring, ring.len() * WORD_BYTES, &mut buffer);
                let end = WORD_BYTES + from.len() * WORD_BYTES;
                assert_eq!(buffer[WORD_BYTES..end], *from.as_flattened());
                assert!(
                    buffer[end..].iter().all(|&byte| byte == 0xff),
                    "past the end"
                );
                assert!(
                    buffer[..WORD_BYTES].iter().all(|&byte| byte == 0xff),
                    "before the start"
                );
            }
        }
    }
}
