//! The socket options for which there is no safe call: which socket of a group gets a packet, and how many packets were dropped.
#![expect(
    unsafe_code,
    reason = "no crate that is kept well sets SO_ATTACH_REUSEPORT_CBPF or options of packet sockets, or reads SO_MEMINFO or PACKET_STATISTICS"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_uint};

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
    // SAFETY: `program` and the instructions it points to are alive and of the lengths given until the call returns; the kernel copies them.
    unsafe { set_option(socket, level, option, &program) }
}

/// Sets an option of packet sockets that is a number.
pub(crate) fn set_packet_option(
    socket: &impl AsFd,
    option: c_int,
    value: c_uint,
) -> io::Result<()> {
    // SAFETY: a number has no pointers.
    unsafe { set_option(socket, libc::SOL_PACKET, option, &value) }
}

/// Gives a packet socket a ring of slots that it receives into.
pub(crate) fn set_receive_ring(socket: &impl AsFd, ring: &libc::tpacket_req) -> io::Result<()> {
    // SAFETY: the request is numbers, and has no pointers.
    unsafe { set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, ring) }
}

/// Sets an option.
///
/// # Safety
///
/// What `value` points to, if it has pointers, is what the option's description says, and is alive until the call returns.
unsafe fn set_option<T>(
    socket: &impl AsFd,
    level: c_int,
    option: c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel reads as much as `value` has; what that points to, the caller
    // answers for.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default(),
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
    get_option(socket, libc::SOL_PACKET, option).map(|[number]| number)
}

/// How many packets the kernel had no room for in the socket's receive buffer.
pub(crate) fn dropped_packets(socket: &impl AsFd) -> io::Result<u32> {
    let figures: [c_uint; DROPS + 1] = get_option(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(figures[DROPS])
}

/// How many packets the kernel had no room for in a packet socket's ring since this was asked last.
pub(crate) fn dropped_by_ring(socket: &impl AsFd) -> io::Result<u32> {
    // Two numbers: packets, and drops.
    get_option(socket, libc::SOL_PACKET, libc::PACKET_STATISTICS).map(|[_, drops]| drops)
}

/// Gives an option that is one or more numbers.
fn get_option<const NUMBERS: usize>(
    socket: &impl AsFd,
    level: c_int,
    option: c_int,
) -> io::Result<[c_uint; NUMBERS]> {
    let mut numbers = [0; NUMBERS];
    let mut length = libc::socklen_t::try_from(size_of_val(&numbers)).unwrap_or_default();
    // SAFETY: the descriptor is open as long as `socket` is borrowed. The kernel writes at most `length` bytes to the numbers, which have as many
    // and may hold any, and how many they are to `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(numbers)
    } else {
        Err(io::Error::last_os_error())
    }
}
