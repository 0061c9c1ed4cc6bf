//! The socket options for which there is no safe call: which socket of a group gets a packet, and how many packets were dropped.
#![expect(
    unsafe_code,
    reason = "no crate that is kept well sets SO_ATTACH_REUSEPORT_CBPF or reads SO_MEMINFO"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Where the number of dropped packets stands among what SO_MEMINFO gives (`SK_MEMINFO_DROPS`, linux/sock_diag.h).
const DROPS: usize = 8;

/// One instruction of the classic Berkeley packet filter.
pub(crate) const fn instruction(
    code: u32,
    if_true: u8,
    if_false: u8,
    value: u32,
) -> libc::sock_filter {
    libc::sock_filter {
        // All codes are below 2^8.
        code: (code & 0xffff) as u16,
        jt: if_true,
        jf: if_false,
        k: value,
    }
}

/// From now on `program` says which socket of the group a packet goes to, by its place in the order in which they were bound.
pub(crate) fn steer(socket: &impl AsFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_mut_ptr(),
    };
    let length = size_of::<libc::sock_fprog>();
    // SAFETY: the descriptor is open as long as `socket` is borrowed. `program` and the instructions it points to are alive and of the
    // lengths given until the call returns; the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&program).cast(),
            libc::socklen_t::try_from(length).unwrap_or_default(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// How many packets the kernel had no room for in the socket's receive buffer.
pub(crate) fn dropped_packets(socket: &impl AsFd) -> io::Result<u32> {
    let mut figures = [0_u32; DROPS + 1];
    let mut length = libc::socklen_t::try_from(size_of_val(&figures)).unwrap_or_default();
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel writes at most `length` bytes to `figures`, which has as
    // many and may hold any, and the number of them to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(figures[DROPS])
    } else {
        Err(io::Error::last_os_error())
    }
}
