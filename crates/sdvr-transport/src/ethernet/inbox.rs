//! How frames are taken from a packet socket: out of a ring that the kernel shares, or by calls.
//!
//! At 100,000 frames of 1,500 bytes a second a frame out of a ring takes a receiver 0.2 to 0.3 us, and one by a call for many 0.7 to 1.0. Of the
//! kernel's rings this is the second kind, which shows each frame at once; the third (`TPACKET_V3`) holds a frame back for up to a millisecond.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, TryLockError};

use crate::datagram_socket::{DatagramBuffer, is_of_the_link};
use crate::packet_ring::{Filled, PacketRing};
use crate::packet_socket::{RECEIVE_MOST, receive_frames};
use crate::socket_options::{dropped_by_ring, dropped_packets};

/// Where a socket's frames are until a thread takes them.
#[derive(Debug)]
pub(super) enum Inbox {
    /// In its receive buffer.
    Buffer,
    /// In memory that the kernel shares.
    Ring {
        /// One thread takes from it, and never waits for another one to have done so.
        ring: Mutex<PacketRing>,
        /// Frames for which it had no room, of which the kernel tells once.
        dropped: AtomicU32,
    },
}

impl Inbox {
    /// A ring of about so many bytes for datagrams of at most so many; the receive buffer where the kernel gives none.
    pub(super) fn new(socket: &impl AsFd, ring_bytes: usize, most_datagram_bytes: usize) -> Self {
        PacketRing::new(socket, ring_bytes, most_datagram_bytes).map_or(Self::Buffer, |ring| {
            Self::Ring {
                ring: Mutex::new(ring),
                dropped: AtomicU32::new(0),
            }
        })
    }

    /// Takes some of what has come, and hands over each frame that has at most `most_frame_bytes` with its header. Gives how many there were.
    pub(super) fn receive(
        &self,
        socket: &impl AsFd,
        buffer: &mut DatagramBuffer,
        most_frame_bytes: usize,
        mut handle: impl FnMut(&mut [u8]),
    ) -> io::Result<usize> {
        let ring = match self {
            Self::Buffer => {
                let room = buffer.bytes(most_frame_bytes.saturating_mul(RECEIVE_MOST));
                return receive_by_call(socket, room, most_frame_bytes, handle);
            }
            Self::Ring { ring, .. } => ring,
        };
        let mut ring = match ring.try_lock() {
            Ok(ring) => ring,
            // A ring is whole after each of its calls, whatever became of who had it.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever takes what is there has all of it.
            Err(TryLockError::WouldBlock) => return Ok(0),
        };
        let mut count = 0;
        while count < RECEIVE_MOST {
            let taken = ring.take(|filled| match filled {
                Filled::Frame(frame) => {
                    handle(frame);
                    Ok(0)
                }
                Filled::InSocket => {
                    let room = buffer.bytes(most_frame_bytes);
                    receive_by_call(socket, room, most_frame_bytes, &mut handle)
                }
                Filled::Cut => Ok(0),
            });
            let Some(result) = taken else {
                break;
            };
            result?;
            count += 1;
        }
        if count == 0 {
            // The interface may have gone down, of which the poller tells until a call has.
            let room = buffer.bytes(most_frame_bytes);
            return receive_by_call(socket, room, most_frame_bytes, handle);
        }
        Ok(count)
    }

    /// Frames for which there was no room.
    pub(super) fn dropped(&self, socket: &impl AsFd) -> io::Result<u32> {
        match self {
            Self::Buffer => dropped_packets(socket),
            Self::Ring { dropped, .. } => {
                let more = dropped_by_ring(socket)?;
                let before = dropped.fetch_add(more, Ordering::Relaxed);
                Ok(before.wrapping_add(more))
            }
        }
    }
}

/// Takes frames into `room`, as many as there is room for and at most [`RECEIVE_MOST`].
fn receive_by_call(
    socket: &impl AsFd,
    room: &mut [u8],
    most_frame_bytes: usize,
    mut handle: impl FnMut(&mut [u8]),
) -> io::Result<usize> {
    let mut lengths = [None; RECEIVE_MOST];
    let count = match receive_frames(socket, room, most_frame_bytes, &mut lengths) {
        Ok(count) => count,
        Err(error) if is_of_the_link(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let frames = room.chunks_exact_mut(most_frame_bytes);
    for (frame, length) in frames.zip(lengths).take(count) {
        if let Some(frame) = length.and_then(|length| frame.get_mut(..length)) {
            handle(frame);
        }
    }
    Ok(count)
}
