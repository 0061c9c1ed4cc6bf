//! The socket for datagrams to a server, and whether anybody is there.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use sdvr_frame::LinkAddress;
use sdvr_transport::{
    DatagramBuffer, DatagramSocket, EthernetError, Sent, ethernet_for_server, udp_for_server,
};

use crate::destination::EthernetPeer;

/// Where a server may be.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Udp(SocketAddr),
    Ethernet(EthernetPeer),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("cannot make a socket: {0}")]
    Udp(#[from] io::Error),
    #[error(transparent)]
    Ethernet(#[from] EthernetError),
}

impl SocketError {
    /// Whether it stays as it is until a person does something about it. An interface may come.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Ethernet(
                EthernetError::NotPermitted
                    | EthernetError::NotEthernet(_)
                    | EthernetError::NotAnEthertype(_)
                    | EthernetError::NotAServer(_)
                    | EthernetError::OwnAddress(_)
            )
        )
    }
}

/// A socket for one server. It is bound to no address, so that it goes on when this host gets another one.
#[derive(Debug)]
pub(crate) struct DatagramLink {
    socket: DatagramSocket,
    server: LinkAddress,
    buffer: DatagramBuffer,
}

impl DatagramLink {
    /// A socket for the server at `server`.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left, or may not use raw Ethernet there.
    pub(crate) fn open(server: &Peer) -> Result<Self, SocketError> {
        let (socket, server) = match server {
            Peer::Udp(address) => (udp_for_server(*address)?, LinkAddress::from(*address)),
            Peer::Ethernet(peer) => {
                ethernet_for_server(&peer.interface, peer.ethertype.number(), peer.mac)?
            }
        };
        Ok(Self {
            socket,
            server,
            buffer: DatagramBuffer::default(),
        })
    }

    /// How long a datagram may be for this host's own link; what the path carries shows when some have arrived.
    pub(crate) fn most_bytes(&self) -> u16 {
        self.socket.most_datagram_bytes()
    }

    /// Hands the datagrams that one system call gives to `handle`; gives how many there were. Anybody may have sent them: a server with
    /// several addresses need not answer from the one that it was asked at.
    ///
    /// # Errors
    ///
    /// When the socket is of no use any more.
    pub(crate) fn receive(&mut self, mut handle: impl FnMut(&mut [u8])) -> io::Result<usize> {
        self.socket
            .receive(&mut self.buffer, |_, datagram| handle(datagram))
    }

    /// How many datagrams of so many bytes may be sent at once.
    pub(crate) fn most_at_once(&self, datagram_bytes: usize) -> usize {
        self.socket.most_at_once(datagram_bytes)
    }

    /// Sends datagrams of `each_bytes`, of which the last may be shorter.
    pub(crate) fn send(&self, datagrams: &[u8], each_bytes: usize) -> Sent {
        // What the kernel does not take for another reason than its buffer does not arrive, and that shows soon enough.
        let sent = self.socket.send(self.server, datagrams, each_bytes);
        sent.unwrap_or(Sent::Lost)
    }
}

impl AsFd for DatagramLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a host says that nobody listens there. The kernel tells that only to a socket that is connected, which the one for datagrams cannot
/// be: it would be bound to an address of this host.
#[derive(Debug)]
pub(crate) struct Refusal {
    socket: std::net::UdpSocket,
}

impl Refusal {
    /// Asks, with a datagram without content, which a server ignores.
    ///
    /// # Errors
    ///
    /// When there is no way to `server` from here.
    pub(crate) fn ask(server: SocketAddr) -> io::Result<Self> {
        let socket = if server.is_ipv6() {
            std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?
        } else {
            std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?
        };
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        socket.send(&[])?;
        Ok(Self { socket })
    }

    /// What was said, if anything was.
    pub(crate) fn take(&self) -> Option<io::Error> {
        match self.socket.recv(&mut [0]) {
            Err(error) if is_for_now(&error) => None,
            Err(error) => Some(error),
            Ok(_) => None,
        }
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl AsFd for Refusal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
