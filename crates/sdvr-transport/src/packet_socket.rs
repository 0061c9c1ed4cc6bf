//! What of packet sockets no safe function wraps: their address, what an interface is, and receiving many frames in one call.
#![expect(
    unsafe_code,
    reason = "sockaddr_ll, two requests to interfaces, and recvmmsg; everything above this file is safe code"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use sdvr_frame::{Interface, MacAddress};
use socket2::{SockAddr, SockAddrStorage, Socket};

/// The most frames that one call gives.
pub(crate) const RECEIVE_MOST: usize = 64;

/// The address of the frames of `ethertype` on the interface of that index.
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

/// Whether the interface is gone that the socket was bound to: the kernel then says that it is bound to none.
pub(crate) fn has_lost_interface(socket: &Socket) -> io::Result<bool> {
    let bound = socket.local_addr()?;
    if libc::c_int::from(bound.family()) != libc::AF_PACKET {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: the kernel says of packet sockets a `sockaddr_ll`, for which there is room.
    let bound = unsafe { &*bound.as_ptr().cast::<libc::sockaddr_ll>() };
    Ok(bound.sll_ifindex == -1)
}

/// The address of an interface; `None` if it is not one of Ethernet.
pub(crate) fn ethernet_address(
    socket: &impl AsFd,
    interface: &Interface,
) -> io::Result<Option<MacAddress>> {
    let request = ask(socket, interface, libc::SIOCGIFHWADDR)?;
    // SAFETY: after this request the kernel has written that member of the union.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let bytes = address.sa_data.map(|byte| byte.to_ne_bytes()[0]);
    let mac = bytes.first_chunk().copied().map(MacAddress);
    Ok(mac.filter(|_| address.sa_family == libc::ARPHRD_ETHER))
}

/// How many bytes a frame of an interface has at most after its header.
pub(crate) fn mtu_bytes(socket: &impl AsFd, interface: &Interface) -> io::Result<usize> {
    let request = ask(socket, interface, libc::SIOCGIFMTU)?;
    // SAFETY: after this request the kernel has written that member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(usize::try_from(mtu).unwrap_or_default())
}

fn ask(
    socket: &impl AsFd,
    interface: &Interface,
    question: libc::Ioctl,
) -> io::Result<libc::ifreq> {
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 },
    };
    // A name is shorter than its room: the zero that ends it stays.
    for (to, from) in request.ifr_name.iter_mut().zip(interface.name().bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The requests asked here read the name and write to the rest of a
    // `struct ifreq`, which is borrowed for the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), question, &raw mut request) };
    if result == 0 {
        Ok(request)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Puts what has arrived into `room`, of which each frame gets `each_bytes`, and their lengths into `lengths`: `None` for one that is longer.
/// Gives how many there are. `socket` does not block.
///
/// # Errors
///
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing has arrived; else what the kernel says.
pub(crate) fn receive_frames(
    socket: &impl AsFd,
    room: &mut [u8],
    each_bytes: usize,
    lengths: &mut [Option<usize>; RECEIVE_MOST],
) -> io::Result<usize> {
    let mut vectors = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; RECEIVE_MOST];
    let rooms = room.chunks_exact_mut(each_bytes);
    let count = rooms.len().min(RECEIVE_MOST);
    for (vector, room) in vectors.iter_mut().zip(rooms) {
        vector.iov_base = room.as_mut_ptr().cast();
        vector.iov_len = room.len();
    }
    let mut messages = MaybeUninit::<[libc::mmsghdr; RECEIVE_MOST]>::zeroed();
    // SAFETY: `mmsghdr` is numbers and pointers, which may all be zero.
    let messages = unsafe { messages.assume_init_mut() };
    for (message, vector) in messages.iter_mut().zip(&mut vectors) {
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the descriptor is open as long as `socket` is borrowed. There are `count` messages, each with one vector to a part of `room` that
    // no other one has; all of them outlive the call. Names and control messages have no room, and no time is given.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_fd().as_raw_fd(),
            messages.as_mut_ptr(),
            libc::c_uint::try_from(count).unwrap_or_default(),
            0,
            std::ptr::null_mut(),
        )
    };
    // Less than zero is an error.
    let Ok(received) = usize::try_from(received) else {
        return Err(io::Error::last_os_error());
    };
    for (length, message) in lengths.iter_mut().zip(messages.iter().take(received)) {
        let is_whole = message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        *length = usize::try_from(message.msg_len).ok().filter(|_| is_whole);
    }
    Ok(received)
}
