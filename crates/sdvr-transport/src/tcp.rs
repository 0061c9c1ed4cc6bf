//! TCP: sockets that do not block, and set so that a frame leaves at once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::ServerAddress;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections that wait to be accepted. A site may switch a thousand cameras on at once.
const BACKLOG: i32 = 1024;
/// How long one of a server's addresses is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much the kernel holds that it has not sent: what a live camera's latency pays for, so not more than a frame.
const UNSENT_BYTES: u32 = 256 * 1024;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Listens on `address`, or on all of IPv6 and IPv4 (IPv4 alone where there is no IPv6).
///
/// # Errors
///
/// When the port is taken or may not be used.
pub fn listen(address: Option<IpAddr>, port: u16) -> io::Result<Listener> {
    match address {
        Some(address) => bind(SocketAddr::new(address, port)),
        None => match bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
            Err(error)
                if error.kind() != ErrorKind::AddrInUse
                    && error.kind() != ErrorKind::PermissionDenied =>
            {
                bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            result => result,
        },
    }
}

fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // A restarted daemon must not wait for the old one's connections to be forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that waits; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptor or memory left: leave the listener alone for a while.
    pub fn accept(&self) -> io::Result<Option<(TcpLink, SocketAddr)>> {
        loop {
            match self.socket.accept() {
                Ok((stream, mut peer)) => {
                    // An IPv4 peer of a dual-stack socket is shown as what it is.
                    peer.set_ip(peer.ip().to_canonical());
                    return Ok(Some((TcpLink::new(stream)?, peer)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // The peer was gone before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects to a server. Blocks while names are looked up and for at most 2 s an address.
///
/// # Errors
///
/// [`ConnectError`] says what was tried.
pub fn connect(server: &ServerAddress) -> Result<(TcpLink, SocketAddr), ConnectError> {
    let mut last = no_address(server);
    for address in resolve(server)? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(TcpLink::new) {
            Ok(link) => return Ok((link, address)),
            Err(error) => last = ConnectError::Connect { address, error },
        }
    }
    Err(last)
}

/// Looks up the addresses of a server, the one to be tried first in front; there is at least one. Blocks meanwhile.
///
/// # Errors
///
/// When the name is not known or has no address.
pub fn resolve(server: &ServerAddress) -> Result<Vec<SocketAddr>, ConnectError> {
    let addresses = (server.host(), server.port())
        .to_socket_addrs()
        .map_err(|error| ConnectError::Resolve {
            host: server.host().to_owned(),
            error,
        })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    if addresses.is_empty() {
        return Err(no_address(server));
    }
    Ok(addresses)
}

fn no_address(server: &ServerAddress) -> ConnectError {
    ConnectError::NoAddress {
        host: server.host().to_owned(),
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name is not known.
    #[error("cannot find the host {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        error: io::Error,
    },
    /// The name has no address.
    #[error("the host {host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// None of the addresses answers; this is the last one.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other end has sent all it will.
    End,
}

/// A TCP connection that does not block.
#[derive(Debug)]
pub struct TcpLink {
    stream: TcpStream,
}

impl TcpLink {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Nagle's algorithm held the end of every frame back for 30 ms.
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
        Ok(Self { stream })
    }

    /// Reads what has arrived.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match (&self.stream).read(buffer) {
                Ok(0) if !buffer.is_empty() => return Ok(Received::End),
                Ok(bytes) => return Ok(Received::Bytes(bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Received::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes as much of `bytes` as the kernel takes; gives how much that was, 0 when it takes nothing now.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.stream).write(bytes) {
                Ok(written) => return Ok(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&self) {
        // Fails only on a connection that is gone already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}

impl AsFd for TcpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_and_the_end_is_seen() {
        let listener = listen(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let server = ServerAddress::parse("127.0.0.1", Some(listener.address().port())).unwrap();
        let (client, _) = connect(&server).unwrap();
        let (accepted, peer) = std::iter::repeat_with(|| listener.accept().unwrap())
            .flatten()
            .next()
            .unwrap();
        assert_eq!(peer.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
        let mut buffer = [0; 16];
        assert_eq!(accepted.read(&mut buffer).unwrap(), Received::Nothing);
        assert_eq!(client.write(b"frame").unwrap(), 5);
        client.finish_writing();
        let mut received = Vec::new();
        loop {
            match accepted.read(&mut buffer).unwrap() {
                Received::Bytes(bytes) => received.extend_from_slice(&buffer[..bytes]),
                Received::Nothing => std::thread::yield_now(),
                Received::End => break,
            }
        }
        assert_eq!(received, b"frame");
    }

    #[test]
    fn a_dual_stack_listener_shows_ipv4_peers_as_ipv4() {
        let listener = listen(None, 0).unwrap();
        let server = ServerAddress::parse("127.0.0.1", Some(listener.address().port())).unwrap();
        let _client = connect(&server).unwrap();
        let (_, peer) = std::iter::repeat_with(|| listener.accept().unwrap())
            .flatten()
            .next()
            .unwrap();
        assert!(peer.is_ipv4(), "{peer}");
    }
}
