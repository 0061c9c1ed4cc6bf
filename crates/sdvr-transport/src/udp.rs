//! UDP: a socket for each who receives, many datagrams in one system call.
//!
//! The sockets of a server share one port. A filter in the kernel gives each packet to the socket of the thread that has its session, so that
//! no packet goes from one thread to another:
//!
//! ```text
//! byte 0       0x10 (DATA)  ──► socket 1 + (byte 4, the low byte of the session's index) modulo the number of shards
//!              anything else ──► socket 0
//! ```

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::socket_options::{dropped_packets, instruction, steer};

/// What a datagram of a session begins with.
const DATA_TYPE: u32 = 0x10;
/// Where in it the low byte of the session's index is.
const INDEX_AT: u32 = 4;
/// What one message of the kernel may hold, when it has joined datagrams of one sender.
const MESSAGE_BYTES: usize = 64 * 1024;
/// What a receive buffer should hold: 20 ms at a gigabit a second, in which a thread may not get to run.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Less than this loses packets of a few cameras already.
const RECEIVE_BUFFER_LEAST_BYTES: usize = 1 << 20;
/// What the kernel takes in one call for several datagrams.
const SEND_MOST_BYTES: usize = 65_000;

/// A socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
    receive_buffer_bytes: usize,
    messages: Box<[u8]>,
}

/// What became of datagrams that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has them.
    Taken,
    /// It has no room now: wait until the socket can be written to.
    Full,
    /// They are lost, as on any link: nobody is there, there is no way there, or they are too long for it.
    Lost,
}

/// Binds one socket for what begins sessions, and one for each of `shards`, in this order.
///
/// # Errors
///
/// When the port is taken or may not be used.
pub fn bind_udp(address: Option<IpAddr>, port: u16, shards: usize) -> io::Result<Vec<UdpSocket>> {
    match address {
        Some(address) => bind_group(SocketAddr::new(address, port), shards),
        None => match bind_group(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), shards) {
            Err(error)
                if error.kind() != ErrorKind::AddrInUse
                    && error.kind() != ErrorKind::PermissionDenied =>
            {
                bind_group(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), shards)
            }
            result => result,
        },
    }
}

fn bind_group(address: SocketAddr, shards: usize) -> io::Result<Vec<UdpSocket>> {
    // A port that another program has is taken, though it may share it.
    let first = new_socket(address)?;
    first.bind(&address.into())?;
    let port = first
        .local_addr()?
        .as_socket()
        .map_or_else(|| address.port(), |bound| bound.port());
    drop(first);
    let address = SocketAddr::new(address.ip(), port);
    let mut sockets = Vec::with_capacity(shards.saturating_add(1));
    for _ in 0..=shards {
        let socket = new_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(UdpSocket::new(socket)?);
    }
    if let Some(first) = sockets.first() {
        steer(first, &mut steering(shards))?;
    }
    Ok(sockets)
}

/// The filter that gives each packet to its socket.
fn steering(shards: usize) -> [libc::sock_filter; 7] {
    use libc::{
        BPF_ABS, BPF_ADD, BPF_ALU, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MOD, BPF_RET,
    };
    const BPF_A: u32 = 0x10;
    let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
    [
        instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, DATA_TYPE),
        instruction(BPF_RET | BPF_K, 0, 0, 0),
        // A packet that ends before it makes the filter give 0.
        instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, INDEX_AT),
        instruction(BPF_ALU | BPF_MOD | BPF_K, 0, 0, shards),
        instruction(BPF_ALU | BPF_ADD | BPF_K, 0, 0, 1),
        instruction(BPF_RET | BPF_A, 0, 0, 0),
    ]
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

impl UdpSocket {
    /// A client's socket, for a server of the same family. It is bound to no address of this host, so that it goes on when that changes.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn for_server(server: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = if server.is_ipv6() {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let address = SocketAddr::new(any, 0);
        let socket = new_socket(address)?;
        socket.bind(&address.into())?;
        Self::new(socket)
    }

    fn new(socket: Socket) -> io::Result<Self> {
        // As far as the system allows: a limit is no reason not to start.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(RECEIVE_BUFFER_BYTES);
        let socket = std::net::UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        let address = socket.local_addr()?;
        // The kernel says twice what it was asked for, as it counts its own part.
        let receive_buffer_bytes = state.recv_buffer_size((&socket).into())? / 2;
        Ok(Self {
            socket,
            state,
            address,
            receive_buffer_bytes,
            messages: vec![0; MESSAGE_BYTES * BATCH_SIZE].into_boxed_slice(),
        })
    }

    /// Where it is bound; the port is the real one if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to do if the kernel may hold so little that packets of a few cameras are lost when this host is busy.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        (self.receive_buffer_bytes < RECEIVE_BUFFER_LEAST_BYTES).then(|| {
            format!(
                "the kernel holds at most {} KiB of packets for a socket, and loses what comes while this host is busy: sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}",
                self.receive_buffer_bytes >> 10
            )
        })
    }

    /// Packets for which the kernel had no room.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn dropped(&self) -> io::Result<u32> {
        dropped_packets(self)
    }

    /// Takes what has arrived, as much as one system call gives, and hands each datagram to `handle` with its sender. Gives how many there
    /// were: none when nothing has arrived.
    ///
    /// # Errors
    ///
    /// Only for a bug here.
    pub fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = {
            let mut messages = self.messages.chunks_mut(MESSAGE_BYTES);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(messages.next().unwrap_or_default()));
            match self
                .state
                .recv((&self.socket).into(), &mut slices, &mut metas)
            {
                Ok(count) => count,
                Err(error) if is_of_the_link(&error) => return Ok(0),
                Err(error) => return Err(error),
            }
        };
        let mut datagrams: usize = 0;
        let messages = self.messages.chunks_mut(MESSAGE_BYTES);
        for (message, meta) in messages.zip(metas.iter().take(count)) {
            let received = message.get_mut(..meta.len).unwrap_or_default();
            let sender = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            for datagram in received.chunks_mut(meta.stride.max(1)) {
                datagrams = datagrams.saturating_add(1);
                handle(sender, datagram);
            }
        }
        Ok(datagrams)
    }

    /// How many datagrams of so many bytes may be sent at once.
    #[must_use]
    pub fn most_at_once(&self, datagram_bytes: usize) -> usize {
        let fit = SEND_MOST_BYTES
            .checked_div(datagram_bytes)
            .unwrap_or(1)
            .max(1);
        self.state.max_gso_segments().min(fit)
    }

    /// Sends `datagrams`, each of which has `each_bytes` but the last, which may be shorter; at most [`Self::most_at_once`].
    ///
    /// # Errors
    ///
    /// Only for a bug here.
    pub fn send(
        &self,
        receiver: SocketAddr,
        datagrams: &[u8],
        each_bytes: usize,
    ) -> io::Result<Sent> {
        let destination = match (receiver.ip(), self.address.is_ipv6()) {
            (IpAddr::V4(address), true) => {
                SocketAddr::new(address.to_ipv6_mapped().into(), receiver.port())
            }
            _ => receiver,
        };
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: datagrams,
            segment_size: (each_bytes < datagrams.len()).then_some(each_bytes),
            src_ip: None,
        };
        match self.state.try_send((&self.socket).into(), &transmit) {
            Ok(()) => Ok(Sent::Taken),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Sent::Full),
            Err(error) if is_of_the_link(&error) => Ok(Sent::Lost),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says something of the link or of who is at its other end, and nothing of this socket.
fn is_of_the_link(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::WOULDBLOCK
                | Errno::INTR
                | Errno::CONNREFUSED
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::NETDOWN
                | Errno::NOBUFS
                | Errno::MSGSIZE
                | Errno::PERM
                | Errno::ACCESS
                | Errno::ADDRNOTAVAIL
                | Errno::IO
        )
    )
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
