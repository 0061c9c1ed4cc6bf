//! The socket options for which there is no safe call: which socket of a group gets a packet, and how many packets were dropped.
#![expect(
    unsafe_code,
    reason = "no crate that is kept well sets SO_ATTACH_REUSEPORT_CBPF or options of packet sockets, or reads SO_MEMINFO"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_uint};

/// Where the number of dropped packets stands among what SO_MEMINFO gives (`SK_MEMINFO_DROPS`, linux/sock_diag.h).
const DROPS: usize = 8;
/// How long an option is that is a number.
const NUMBER_BYTES: libc::socklen_t = 4;

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
pub(crate) fn steer_datagrams(
    socket: &impl AsFd,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    set_program(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_REUSEPORT_CBPF,
        program,
    )
}

/// From now on `program` says which socket of the group a frame goes to, by its place in the order in which they joined.
pub(crate) fn steer_frames(
    socket: &impl AsFd,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    set_program(socket, libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program)
}

fn set_program(
    socket: &impl AsFd,
    level: c_int,
    option: c_int,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
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
            level,
            option,
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

/// Sets an option of packet sockets that is a number.
pub(crate) fn set_packet_option(
    socket: &impl AsFd,
    option: c_int,
    value: c_uint,
) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel reads the number, which is as long as said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(&value).cast(),
            NUMBER_BYTES,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives an option of packet sockets that is a number.
pub(crate) fn packet_option(socket: &impl AsFd, option: c_int) -> io::Result<c_uint> {
    let mut value: c_uint = 0;
    let mut length = NUMBER_BYTES;
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel writes at most `length` bytes to the number, which has as many
    // and may hold any, and how many they are to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(value)
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
