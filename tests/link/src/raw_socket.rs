//! Whole Ethernet frames of one ethertype, for tests of what has no IP.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::{INTERFACE, kernel};

/// A packet socket on the link's interface. To be made in [`Link::enter`](crate::Link::enter).
#[derive(Debug)]
pub struct RawSocket(Socket);

impl RawSocket {
    /// Sends and receives frames of `ethertype`.
    ///
    /// # Errors
    ///
    /// What the kernel says; without the link's interface, that there is none.
    pub fn new(ethertype: u16) -> io::Result<Self> {
        // Of no protocol until it is bound: before that it would get the frames of all interfaces.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        let index = rustix::net::netdevice::name_to_index(&socket, INTERFACE)?;
        socket.bind(&kernel::packet_address(ethertype, index))?;
        Ok(Self(socket))
    }

    /// Sends a frame, its 14 bytes of header included.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }

    /// Waits for a frame; gives its length.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when none has come in time; else what the kernel says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    /// How long [`receive`](Self::receive) waits; `None` is for ever, as it is at first.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
