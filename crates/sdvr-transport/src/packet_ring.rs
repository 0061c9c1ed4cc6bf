//! Frames that the kernel puts into memory which it shares with this process (`TPACKET_V2`), so that none costs a system call or a copy.
//!
//! The memory is slots of one length, in blocks. The kernel fills the slots one after the other, and drops what comes while the next one has not
//! been given back. A slot begins with a header (`struct tpacket2_hdr`, linux/if_packet.h):
//!
//! ```text
//! byte 0        4        8              12                          as `frame_at` says
//!      +--------+--------+--------------+----------+-------+--------+-----------------------+
//!      | status | length | length here  | frame at | …     | …      | frame with its header |
//!      +--------+--------+--------------+----------+-------+--------+-----------------------+
//!        0: the kernel's   longer than here: the slot is too short
//!        bit 0: ours
//! ```
#![expect(
    unsafe_code,
    reason = "memory shared with the kernel, of which each part is one side's or the other's"
)]

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{tpacket_req, tpacket2_hdr};

use crate::socket_options::{set_packet_option, set_receive_ring};

/// What the kernel asks for at once. A multiple of all sizes of pages.
const BLOCK_BYTES: usize = 64 << 10;
/// Between the start of a slot and that of the datagram in its frame, at most: the kernel's header and address, the frame's header, and what
/// aligns them.
const BEFORE_DATAGRAM_BYTES: usize = 96;
const STATUS_BYTES: usize = size_of::<u32>();
const LENGTH_AT: usize = offset_of!(tpacket2_hdr, tp_len);
const LENGTH_HERE_AT: usize = offset_of!(tpacket2_hdr, tp_snaplen);
const FRAME_AT: usize = offset_of!(tpacket2_hdr, tp_mac);

/// The memory, and whose turn it is. It goes on to exist when the socket is closed, and then nothing comes any more.
#[derive(Debug)]
pub(crate) struct PacketRing {
    memory: NonNull<u8>,
    memory_bytes: usize,
    block_bytes: usize,
    slot_bytes: usize,
    slots: usize,
    /// The slot that is filled next, or has been.
    next: usize,
}

/// What the kernel has put into a slot.
pub(crate) enum Filled<'a> {
    /// A frame with its header.
    Frame(&'a mut [u8]),
    /// One that is longer than the slot; the socket has all of it.
    InSocket,
    /// One that is longer than the slot, and of which there is no more.
    Cut,
}

// SAFETY: the memory is the process's, not a thread's, and is reached through this alone.
unsafe impl Send for PacketRing {}

impl PacketRing {
    /// Makes a ring of about so many bytes for a socket, for datagrams of at most so many.
    ///
    /// # Errors
    ///
    /// When the kernel does not give the memory, or has no such rings.
    pub(crate) fn new(
        socket: &impl AsFd,
        ring_bytes: usize,
        most_datagram_bytes: usize,
    ) -> io::Result<Self> {
        let slot_bytes = most_datagram_bytes
            .saturating_add(BEFORE_DATAGRAM_BYTES)
            .next_multiple_of(libc::TPACKET_ALIGNMENT);
        let block_bytes = slot_bytes.next_multiple_of(BLOCK_BYTES);
        let blocks = (ring_bytes / block_bytes).max(1);
        let slots = blocks.saturating_mul(block_bytes / slot_bytes);
        let number = |size: usize| u32::try_from(size).map_err(io::Error::other);
        let version = libc::tpacket_versions::TPACKET_V2 as u32;
        set_packet_option(socket, libc::PACKET_VERSION, version)?;
        // What is too long for its slot goes to the socket, so that the interface's frames may become longer while the program runs.
        set_packet_option(socket, libc::PACKET_COPY_THRESH, 1)?;
        let request = tpacket_req {
            tp_block_size: number(block_bytes)?,
            tp_block_nr: number(blocks)?,
            tp_frame_size: number(slot_bytes)?,
            tp_frame_nr: number(slots)?,
        };
        set_receive_ring(socket, &request)?;
        let memory_bytes = blocks.saturating_mul(block_bytes);
        // SAFETY: the kernel chooses where, among addresses that are free.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                memory_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_fd().as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            memory,
            memory_bytes,
            block_bytes,
            slot_bytes,
            slots,
            next: 0,
        })
    }

    /// Hands over what has come next, and gives its slot back afterwards. `None` when nothing has come.
    pub(crate) fn take<T>(&mut self, handle: impl FnOnce(Filled<'_>) -> T) -> Option<T> {
        let slots_per_block = self.block_bytes / self.slot_bytes;
        let offset = (self.next / slots_per_block) * self.block_bytes
            + (self.next % slots_per_block) * self.slot_bytes;
        // SAFETY: `next` is less than the number of slots, so that the whole slot is in the memory.
        let slot = unsafe { self.memory.add(offset) };
        // SAFETY: a slot begins at a multiple of 16 with the status, which is reached as one word by both sides, and here by nothing else.
        let status = unsafe { AtomicU32::from_ptr(slot.as_ptr().cast()) };
        // What the kernel wrote to the slot before is seen after.
        let bits = status.load(Ordering::Acquire);
        if bits & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: a slot is longer than its status.
        let after = unsafe { slot.add(STATUS_BYTES) };
        let after_bytes = self.slot_bytes.saturating_sub(STATUS_BYTES);
        // SAFETY: the rest of the slot is this side's until the status is written, and nobody else here has it, as `self` is borrowed mutably.
        let after_status = unsafe { std::slice::from_raw_parts_mut(after.as_ptr(), after_bytes) };
        let result = handle(filled(bits, after_status));
        // What this side did in the slot is done before the kernel has it.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.slots;
        Some(result)
    }
}

/// What a slot of this status holds.
fn filled(status: u32, after_status: &mut [u8]) -> Filled<'_> {
    let field = |at: usize| {
        let bytes = at
            .checked_sub(STATUS_BYTES)
            .and_then(|at| after_status.get(at..));
        bytes.and_then(<[u8]>::first_chunk).copied()
    };
    let word = |at| field(at).map_or(0, u32::from_ne_bytes);
    let (length, length_here) = (word(LENGTH_AT), word(LENGTH_HERE_AT));
    let [low, high, ..] = word(FRAME_AT).to_ne_bytes();
    let begin = usize::from(u16::from_ne_bytes([low, high])).checked_sub(STATUS_BYTES);
    if status & libc::TP_STATUS_COPY != 0 {
        return Filled::InSocket;
    }
    let end = begin.zip(usize::try_from(length_here).ok());
    let range = end.and_then(|(begin, length)| Some(begin..begin.checked_add(length)?));
    match range.filter(|_| length == length_here) {
        Some(range) => after_status
            .get_mut(range)
            .map_or(Filled::Cut, Filled::Frame),
        None => Filled::Cut,
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, of which no part is borrowed any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.memory_bytes) };
    }
}
