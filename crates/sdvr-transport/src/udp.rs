//! UDP: a socket for each who receives, many datagrams in one system call.
//!
//! The sockets of a server share one port; `steering.rs` says which of them gets a datagram. One that is bound to all addresses of its host
//! answers from the one that it was asked at, for which each sender's address tells it.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::io::Errno;
use rustix::net::sockopt;
use sdvr_frame::{LinkAddress, ReplyFrom};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, Socket, Type};

use crate::datagram_socket::{DatagramBuffer, Sent, is_of_the_link, not_sent};
use crate::receive_buffer::ReceiveBuffer;
use crate::socket_options::steer_datagrams;
use crate::steering::steering;

/// What one message of the kernel may hold, when it has joined datagrams of one sender.
const MESSAGE_BYTES: usize = 64 * 1024;
/// What the kernel takes in one call for several datagrams.
const SEND_MOST_BYTES: usize = 65_000;
/// The most that a datagram holds over IPv4.
const DATAGRAM_MOST_BYTES: u16 = 65_507;
const IPV4_HEADERS_BYTES: u32 = 28;
const IPV6_HEADERS_BYTES: u32 = 48;

/// A socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    socket: Socket,
    state: UdpSocketState,
    address: SocketAddr,
    role: Role,
    receive_buffer: ReceiveBuffer,
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Server,
    Client { most_datagram_bytes: u16 },
}

/// Binds one socket for what begins sessions, and one for each of `shards`.
pub(crate) fn bind(
    address: Option<IpAddr>,
    port: u16,
    shards: usize,
) -> io::Result<Vec<UdpSocket>> {
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
    // The first one is bound for itself alone, and shares the port afterwards: a port that another program has is taken, though it may share it.
    let first = new_socket(address)?;
    first.bind(&address.into())?;
    if shards > 0 {
        first.set_reuse_port(true)?;
    }
    let first = UdpSocket::new(first, Role::Server)?;
    let address = SocketAddr::new(address.ip(), first.address().port());
    let mut sockets = Vec::with_capacity(shards.saturating_add(1));
    sockets.push(first);
    for _ in 0..shards {
        let socket = new_socket(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        sockets.push(UdpSocket::new(socket, Role::Server)?);
    }
    if let [first, _, ..] = &sockets[..] {
        steer_datagrams(first, &mut steering(shards))?;
    }
    Ok(sockets)
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
    /// A client's socket.
    pub(crate) fn for_server(server: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = if server.is_ipv6() {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let address = SocketAddr::new(any, 0);
        let socket = new_socket(address)?;
        socket.bind(&address.into())?;
        let most_datagram_bytes = most_datagram_bytes_to(server).unwrap_or(DATAGRAM_MOST_BYTES);
        Self::new(
            socket,
            Role::Client {
                most_datagram_bytes,
            },
        )
    }

    fn new(socket: Socket, role: Role) -> io::Result<Self> {
        let receive_buffer = ReceiveBuffer::claim(&socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let address = socket
            .local_addr()?
            .as_socket()
            .ok_or(ErrorKind::Unsupported)?;
        Ok(Self {
            socket,
            state,
            address,
            role,
            receive_buffer,
        })
    }

    /// Where it is bound; the port is the real one if 0 was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn receive_buffer(&self) -> ReceiveBuffer {
        self.receive_buffer
    }

    pub(crate) const fn most_datagram_bytes(&self) -> u16 {
        match self.role {
            Role::Server => DATAGRAM_MOST_BYTES,
            Role::Client {
                most_datagram_bytes,
            } => most_datagram_bytes,
        }
    }

    /// See [`crate::DatagramSocket::receive`].
    pub(crate) fn receive(
        &self,
        buffer: &mut DatagramBuffer,
        mut handle: impl FnMut(LinkAddress, &mut [u8]),
    ) -> io::Result<usize> {
        let bytes = buffer.bytes(MESSAGE_BYTES * BATCH_SIZE);
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = {
            let mut messages = bytes.chunks_mut(MESSAGE_BYTES);
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
        let answers_where_asked = self.answers_where_asked();
        let mut datagrams: usize = 0;
        let messages = bytes.chunks_mut(MESSAGE_BYTES);
        for (message, meta) in messages.zip(metas.iter().take(count)) {
            let received = message.get_mut(..meta.len).unwrap_or_default();
            let sender = match (LinkAddress::from(meta.addr), meta.dst_ip) {
                (LinkAddress::Udp { address, .. }, Some(ip)) if answers_where_asked => {
                    LinkAddress::Udp {
                        address,
                        reply_from: ReplyFrom::address(ip.to_canonical()),
                    }
                }
                (sender, _) => sender,
            };
            for datagram in received.chunks_mut(meta.stride.max(1)) {
                datagrams = datagrams.saturating_add(1);
                handle(sender, datagram);
            }
        }
        Ok(datagrams)
    }

    /// Whether senders are told with the address that they have sent to. One address needs no telling, and a client that moves keeps to none.
    fn answers_where_asked(&self) -> bool {
        matches!(self.role, Role::Server) && self.address.ip().is_unspecified()
    }

    /// How many datagrams of so many bytes may be sent at once.
    pub(crate) fn most_at_once(&self, each_bytes: usize) -> usize {
        let fit = SEND_MOST_BYTES.checked_div(each_bytes).unwrap_or(1).max(1);
        self.state.max_gso_segments().min(fit)
    }

    /// See [`crate::DatagramSocket::send`].
    pub(crate) fn send(
        &self,
        receiver: SocketAddr,
        reply_from: ReplyFrom,
        datagrams: &[u8],
        each_bytes: usize,
    ) -> io::Result<Sent> {
        let to = match (receiver, self.address.is_ipv6()) {
            (SocketAddr::V4(address), true) => {
                SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port())
            }
            _ => receiver,
        };
        let to = SockAddr::from(to);
        let from = reply_from.ip();
        if datagrams.len() <= each_bytes {
            return match self.send_message(&to, datagrams, Control::new(from, None)) {
                Ok(()) => Ok(Sent::Taken),
                Err(error) => not_sent(error, 0),
            };
        }
        let segment = u16::try_from(each_bytes).ok();
        match self.send_message(&to, datagrams, Control::new(from, segment)) {
            Ok(()) => Ok(Sent::Taken),
            Err(error) if is_of_segmentation(&error) => {
                self.send_each(&to, from, datagrams.chunks(each_bytes.max(1)))
            }
            Err(error) => not_sent(error, 0),
        }
    }

    /// Sends datagrams one by one, where the way out cannot take them apart. Whether it can is not remembered: another way may, and asking costs
    /// one call for several datagrams.
    fn send_each<'a>(
        &self,
        to: &SockAddr,
        from: Option<IpAddr>,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<Sent> {
        let mut outcome = Sent::Taken;
        for (taken, datagram) in datagrams.enumerate() {
            match self.send_message(to, datagram, Control::new(from, None)) {
                Ok(()) => {}
                Err(error) => match not_sent(error, taken)? {
                    Sent::Lost => outcome = Sent::Lost,
                    full => return Ok(full),
                },
            }
        }
        Ok(outcome)
    }

    fn send_message(&self, to: &SockAddr, bytes: &[u8], control: Control) -> io::Result<()> {
        let buffers = [IoSlice::new(bytes)];
        let message = MsgHdr::new().with_addr(to).with_buffers(&buffers);
        let message = match control.bytes() {
            [] => message,
            control => message.with_control(control),
        };
        loop {
            match self.socket.sendmsg(&message, libc::MSG_DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How long a datagram may be on the way to a server, as far as this host knows; `None` if it knows no way.
fn most_datagram_bytes_to(server: SocketAddr) -> Option<u16> {
    let socket = new_socket(server).ok()?;
    socket.connect(&server.into()).ok()?;
    let is_ipv4 = server.ip().to_canonical().is_ipv4();
    let bytes = if is_ipv4 {
        sockopt::ip_mtu(&socket)
            .ok()?
            .checked_sub(IPV4_HEADERS_BYTES)?
    } else {
        sockopt::ipv6_mtu(&socket)
            .ok()?
            .checked_sub(IPV6_HEADERS_BYTES)?
    };
    Some(u16::try_from(bytes).map_or(DATAGRAM_MOST_BYTES, |bytes| bytes.min(DATAGRAM_MOST_BYTES)))
}

/// Whether the kernel may have refused only to take datagrams apart: an interface that computes no checksums, a tunnel that encrypts.
fn is_of_segmentation(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::INVAL | Errno::OPNOTSUPP)
    )
}

/// What the kernel is told besides a message: control messages, each a header (length, level, type), its value, and room up to a multiple
/// of the length's own bytes.
#[derive(Clone, Copy, Debug)]
struct Control {
    bytes: [u8; Self::MOST_BYTES],
    length: usize,
}

impl Control {
    const HEADER_BYTES: usize = size_of::<usize>() + 8;
    const MOST_BYTES: usize = 64;

    /// Where to send from, and how long each datagram is.
    fn new(from: Option<IpAddr>, segment: Option<u16>) -> Self {
        let mut control = Self {
            bytes: [0; Self::MOST_BYTES],
            length: 0,
        };
        match from {
            // `struct in_pktinfo`: interface (any), source, destination (unused).
            Some(IpAddr::V4(ip)) => {
                let [a, b, c, d] = ip.octets();
                let value = [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &value);
            }
            // `struct in6_pktinfo`: source, interface (any).
            Some(IpAddr::V6(ip)) => {
                let mut value = [0; 20];
                let (source, _) = value.split_at_mut(16);
                source.copy_from_slice(&ip.octets());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &value);
            }
            None => {}
        }
        if let Some(segment) = segment {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        control
    }

    fn push(&mut self, level: i32, kind: i32, value: &[u8]) {
        let length = Self::HEADER_BYTES.saturating_add(value.len());
        let parts: [&[u8]; 4] = [
            &length.to_ne_bytes(),
            &level.to_ne_bytes(),
            &kind.to_ne_bytes(),
            value,
        ];
        let mut at = self.length;
        for part in parts {
            let end = at.saturating_add(part.len());
            if let Some(room) = self.bytes.get_mut(at..end) {
                room.copy_from_slice(part);
            }
            at = end;
        }
        self.length = at.next_multiple_of(size_of::<usize>());
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
