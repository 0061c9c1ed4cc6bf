//! Which frames a packet socket takes: filters that run in the kernel.

use sdvr_frame::MacAddress;
use socket2::SockFilter;

/// A filter that takes nothing.
pub(crate) fn nothing() -> [SockFilter; 1] {
    [accept(0)]
}

/// A filter that takes what was sent to this host alone, and not what this host sends, nor what others see in a network that floods.
pub(crate) fn to_this_host() -> [SockFilter; 4] {
    let [kind, is_to_host] = is_to_this_host(1);
    [kind, is_to_host, accept(u32::MAX), accept(0)]
}

/// The same, from one sender, who stands in the bytes 6 to 11 of a frame.
pub(crate) fn from_to_this_host(sender: MacAddress) -> [SockFilter; 8] {
    use libc::{BPF_ABS, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_W};
    let [a, b, c, d, e, f] = sender.0;
    let [kind, is_to_host] = is_to_this_host(5);
    [
        kind,
        is_to_host,
        filter(BPF_LD | BPF_W | BPF_ABS, 0, 0, 6),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            3,
            u32::from_be_bytes([a, b, c, d]),
        ),
        filter(BPF_LD | BPF_H | BPF_ABS, 0, 0, 10),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            1,
            u16::from_be_bytes([e, f]).into(),
        ),
        accept(u32::MAX),
        accept(0),
    ]
}

/// Goes on if it is so, and else leaves so many instructions out.
fn is_to_this_host(else_skip: u8) -> [SockFilter; 2] {
    use libc::{BPF_ABS, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD};
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    [
        filter(BPF_LD | BPF_B | BPF_ABS, 0, 0, kind),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            else_skip,
            libc::PACKET_HOST.into(),
        ),
    ]
}

/// Takes so many bytes of the frame; none if 0.
fn accept(bytes: u32) -> SockFilter {
    filter(libc::BPF_RET | libc::BPF_K, 0, 0, bytes)
}

fn filter(code: u32, if_true: u8, if_false: u8, value: u32) -> SockFilter {
    // All codes are below 2^8.
    SockFilter::new((code & 0xffff) as u16, if_true, if_false, value)
}
