//! Which socket of a server's group gets a packet, so that no packet goes from one thread to another.
//!
//! ```text
//! byte 0       0x10 (DATA)   ──► socket 1 + (byte 4, the low byte of the session's index) modulo the number of shards
//!              anything else ──► socket 0
//! ```
//!
//! Of UDP, the kernel may have joined datagrams of one sender that have one length, and a shorter one after them, before it asks this (what the
//! sender gave at once, on this host; what arrived at once, from others); the first of them decides. So what is not of a shard's sessions may
//! come to it now and then, as when a peer begins a handshake right after data of the session before. It is lost to who does not pass it on,
//! and said again like anything that is lost.

use crate::socket_options::instruction;

/// What a datagram of a session begins with.
const DATA_TYPE: u32 = 0x10;
/// Where in it the low byte of the session's index is.
const INDEX_AT: u32 = 4;

/// The filter that gives each packet to its socket.
pub(crate) fn steering(shards: usize) -> [libc::sock_filter; 7] {
    use libc::{
        BPF_ABS, BPF_ADD, BPF_ALU, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MOD, BPF_RET,
    };
    const BPF_A: u32 = 0x10;
    let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
    [
        instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, DATA_TYPE),
        instruction(BPF_RET | BPF_K, 0, 0, 0),
        // A packet that ends before it makes the filter give 0.
        instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, INDEX_AT),
        instruction(BPF_ALU | BPF_MOD | BPF_K, 0, 0, shards),
        instruction(BPF_ALU | BPF_ADD | BPF_K, 0, 0, 1),
        instruction(BPF_RET | BPF_A, 0, 0, 0),
    ]
}
