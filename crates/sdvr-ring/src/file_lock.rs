//! Open-file-description locks: free the moment their process dies, and visible to readers that may not write. And leases: whether
//! anybody else has a file open.
#![expect(
    unsafe_code,
    reason = "fcntl with F_OFD_SETLK, F_OFD_GETLK and F_SETLEASE, which no safe wrapper at hand has"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

fn lock_of_byte_0(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind.try_into().unwrap_or_default(),
        l_whence: libc::SEEK_SET.try_into().unwrap_or_default(),
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    }
}

/// Takes the write lock of a file's first byte; false when somebody else has it.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    try_lock_of_kind(file, libc::F_WRLCK)
}

/// Takes a read lock of the first byte, as a hostile reader could.
#[cfg(test)]
pub(crate) fn try_read_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    try_lock_of_kind(file, libc::F_RDLCK)
}

fn try_lock_of_kind(file: BorrowedFd<'_>, kind: libc::c_int) -> io::Result<bool> {
    let lock = lock_of_byte_0(kind);
    // SAFETY: the descriptor is open, and F_OFD_SETLK only reads the structure.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether somebody holds the write lock. Asks for a read lock, so that another reader's lock does not answer.
pub(crate) fn is_locked(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut lock = lock_of_byte_0(libc::F_RDLCK);
    // SAFETY: the descriptor is open, and the structure lives through the call that fills it in.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// The same on every Linux that rings work on; the `libc` crate does not have it.
const F_SETSIG: libc::c_int = 10;

/// Whether this descriptor of the caller's own file is the only open one; mappings keep theirs open. No reader has to do anything for it, or can deny it:
/// the kernel grants a write lease to nobody else. False also when it does not tell.
pub(crate) fn is_only_open_one(file: BorrowedFd<'_>) -> bool {
    // Somebody may open the file, by way of `/proc`, while the lease lasts, and the owner is then told by a signal: by one that nobody minds, instead
    // of one that ends the process.
    set(file, F_SETSIG, libc::SIGURG)
        && set(file, libc::F_SETLEASE, libc::F_WRLCK)
        && set(file, libc::F_SETLEASE, libc::F_UNLCK)
}

fn set(file: BorrowedFd<'_>, command: libc::c_int, value: libc::c_int) -> bool {
    // SAFETY: the descriptor is open, and these commands take a number.
    unsafe { libc::fcntl(file.as_raw_fd(), command, value) == 0 }
}
