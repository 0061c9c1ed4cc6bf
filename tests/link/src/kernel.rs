//! What the link needs of the kernel that no safe function wraps.
#![expect(
    unsafe_code,
    reason = "unshare, an ioctl, and the address of a packet socket; everything above this file is safe code"
)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Updater, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use socket2::{SockAddr, SockAddrStorage};

/// `struct ifreq` as far as `TUNSETIFF` reads it: a name, flags, and room for what other requests have there.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    unused: [u8; 22],
}

const TUNSETIFF: u32 = opcode::write::<libc::c_int>(b'T', 202);
/// Whole Ethernet frames, without a header of the device's own.
const TAP_WITHOUT_HEADER: u16 = 0x0002 | 0x1000;

/// Gives the calling thread a network namespace of its own, which has nothing but a loopback interface that is down.
pub(crate) fn leave_for_new_network() -> io::Result<()> {
    // SAFETY: the condition is about `UnshareFlags::FILES`, which is not among the flags.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Makes the open `/dev/net/tun` an Ethernet interface in the network namespace of the calling thread, without offloading: what is sent there
/// comes out as frames that fit its MTU, with finished checksums.
pub(crate) fn become_interface(tun: &File, name: &str) -> io::Result<()> {
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: TAP_WITHOUT_HEADER,
        unused: [0; 22],
    };
    // The last byte stays zero, which ends the name.
    let room = request.name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (to, from) in room.zip(name.bytes()) {
        *to = from;
    }
    // SAFETY: `TUNSETIFF` reads and writes a `struct ifreq`, whose size and start `InterfaceRequest` has.
    let request = unsafe { Updater::<{ TUNSETIFF }, _>::new(&mut request) };
    // SAFETY: the kernel writes to the request only, which is borrowed for the call.
    Ok(unsafe { ioctl(tun.as_fd(), request) }?)
}

/// The address of one ethertype on one interface, for a packet socket. `ethertype` as in the text of standards: 0x1337.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a small constant and a small size, in the types of their field and parameter"
)]
pub(crate) fn packet_address(ethertype: u16, interface_index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is a kind of socket address, is smaller than the storage, and is valid with all bytes zero.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = interface_index.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds a whole `sockaddr_ll`, which is as long as said.
    unsafe { SockAddr::new(storage, length) }
}
