//! Raw Ethernet: frames of one ethertype, without IP, in the sockets of who receives them.
//!
//! Sockets are bound to the interface, and see only what was sent to its own address. Each frame has its header of 14 bytes, which this file
//! writes and reads:
//!
//! ```text
//! byte 0            6        12           14
//!      +------------+--------+-----------+----------------------+---------------------------+
//!      | receiver   | sender | ethertype | datagram             | zeros up to 60 bytes      |
//!      +------------+--------+-----------+----------------------+---------------------------+
//! ```
//!
//! A datagram says its length in its bytes 2 and 3, so that the zeros can be told from it.
//!
//! A server, to which most frames come, takes them out of rings that it shares with the kernel ([`inbox`]); a client, to which few come, by calls.

mod error;
mod inbox;

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, netdevice, sendmmsg};
use sdvr_frame::{Interface, LinkAddress, MacAddress};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

pub use error::EthernetError;
use inbox::Inbox;

use crate::datagram_socket::{BoundTo, DatagramBuffer, Sent, not_sent};
use crate::hearing::{from_to_this_host, nothing, to_this_host};
use crate::packet_socket::{ethernet_address, has_lost_interface, mtu_bytes, packet_address};
use crate::receive_buffer::ReceiveBuffer;
use crate::socket_options::{packet_option, set_packet_option, steer_frames};
use crate::steering::steering;

/// How many datagrams are sent in one call.
pub(crate) const SEND_MOST: usize = 64;
const HEADER_BYTES: usize = 14;
/// Where the sender is in it.
const SENDER_AT: usize = 6;
/// Ethertypes below are the lengths of older frames.
const ETHERTYPE_LEAST: u16 = 0x0600;
/// The byte of a session's index that tells the shard tells no more apart.
const SHARDS_MOST: usize = 255;
/// The room for a frame holds these even where the interface's are shorter, so that they may become longer while the program runs.
const JUMBO_BYTES: usize = 9_000;
/// What the rings of a server's sockets take together on an interface, of memory that the kernel holds for good. Each gets its share: 8 MiB hold what a
/// gigabit a second brings in 60 ms, in which a thread may not get to run; a tenth of that is the least that is of use.
const RINGS_BYTES: usize = 64 << 20;
const RING_MOST_BYTES: usize = 8 << 20;
const RING_LEAST_BYTES: usize = 1 << 20;

/// A socket.
#[derive(Debug)]
pub(crate) struct EthernetSocket {
    socket: Socket,
    interface: Interface,
    mac: MacAddress,
    ethertype: u16,
    mtu_bytes: usize,
    receive_buffer: ReceiveBuffer,
    inbox: Inbox,
    frame_bytes: usize,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Client,
    /// Nobody else is a server here as long as one of the group is open.
    Server {
        _claim: Arc<UnixDatagram>,
    },
}

/// Binds one socket for what begins sessions, and one for each of `shards`.
pub(crate) fn bind(
    interface: &str,
    ethertype: u16,
    shards: usize,
) -> Result<Vec<EthernetSocket>, EthernetError> {
    if shards > SHARDS_MOST {
        return Err(EthernetError::TooManyShards(shards));
    }
    let mut sockets = Vec::with_capacity(shards.saturating_add(1));
    for _ in 0..=shards {
        sockets.push(EthernetSocket::bind_deaf(interface, ethertype)?);
    }
    let kernel = |error| EthernetError::of_kernel(interface, error);
    if let Some(first) = sockets.first() {
        let claim = Arc::new(first.claim()?);
        let ring_bytes = (RINGS_BYTES / sockets.len()).clamp(RING_LEAST_BYTES, RING_MOST_BYTES);
        for socket in &mut sockets {
            socket.role = Role::Server {
                _claim: Arc::clone(&claim),
            };
            socket.inbox = Inbox::new(&socket.socket, ring_bytes, socket.mtu_bytes);
        }
    }
    form_group(&sockets, shards).map_err(kernel)?;
    for socket in &sockets {
        socket.hear(&to_this_host()).map_err(kernel)?;
    }
    Ok(sockets)
}

/// Makes the sockets a group of which each frame goes to one.
fn form_group(sockets: &[EthernetSocket], shards: usize) -> io::Result<()> {
    let how = (libc::PACKET_FANOUT_CBPF | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING) << 16;
    let Some((first, others)) = sockets.split_first() else {
        return Ok(());
    };
    // The kernel finds a number that no other program's group has.
    let unique = libc::PACKET_FANOUT_FLAG_UNIQUEID << 16;
    set_packet_option(&first.socket, libc::PACKET_FANOUT, how | unique)?;
    let group = packet_option(&first.socket, libc::PACKET_FANOUT)? & 0xffff;
    for socket in others {
        set_packet_option(&socket.socket, libc::PACKET_FANOUT, how | group)?;
    }
    steer_frames(&first.socket, &mut steering(shards))
}

impl EthernetSocket {
    /// A client's socket.
    pub(crate) fn for_server(
        interface: &str,
        ethertype: u16,
        server: MacAddress,
    ) -> Result<Self, EthernetError> {
        if !server.is_of_one_card() {
            return Err(EthernetError::NotAServer(server));
        }
        let socket = Self::bind_deaf(interface, ethertype)?;
        if socket.mac == server {
            return Err(EthernetError::OwnAddress(server));
        }
        // An older kernel shows what this host sends, and the filter drops it.
        let _ = set_packet_option(&socket.socket, libc::PACKET_IGNORE_OUTGOING, 1);
        socket
            .hear(&from_to_this_host(server))
            .map_err(|error| EthernetError::of_kernel(interface, error))?;
        Ok(socket)
    }

    /// Binds a socket that hears nothing yet: what came before it is in its group would come to more than one.
    fn bind_deaf(interface: &str, ethertype: u16) -> Result<Self, EthernetError> {
        if ethertype < ETHERTYPE_LEAST {
            return Err(EthernetError::NotAnEthertype(ethertype));
        }
        // Of no protocol until it is bound: before that it would get the frames of all interfaces.
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW.nonblocking().cloexec(),
            Some(Protocol::from(0)),
        );
        let socket = socket.map_err(|error| EthernetError::of_new_socket(interface, error))?;
        let refused = |error| EthernetError::of_kernel(interface, error);
        let interface = find(&socket, interface)?;
        let mac = ethernet_address(&socket, &interface)
            .map_err(refused)?
            .ok_or(EthernetError::NotEthernet(interface))?;
        let bound = (|| {
            let mtu_bytes = mtu_bytes(&socket, &interface)?;
            let receive_buffer = ReceiveBuffer::claim(&socket)?;
            socket.attach_filter(&nothing())?;
            socket.bind(&packet_address(ethertype, interface.index()))?;
            let frame_bytes = mtu_bytes.max(JUMBO_BYTES).saturating_add(HEADER_BYTES);
            Ok(Self {
                socket,
                interface,
                mac,
                ethertype,
                mtu_bytes,
                receive_buffer,
                inbox: Inbox::Buffer,
                frame_bytes,
                role: Role::Client,
            })
        })();
        bound.map_err(refused)
    }

    /// Takes the place of the one server of its ethertype on the interface. Packet sockets share what they are bound to with everybody; a name
    /// in the namespace of the network, which the kernel frees with who has it, is shared with nobody.
    fn claim(&self) -> Result<UnixDatagram, EthernetError> {
        let name = format!(
            "sdvr ethertype {} on {}",
            self.ethertype,
            self.interface.index()
        );
        let bound = SocketAddr::from_abstract_name(name);
        bound
            .and_then(|name| UnixDatagram::bind_addr(&name))
            .map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => EthernetError::Taken {
                    interface: self.interface,
                    ethertype: self.ethertype,
                },
                _ => EthernetError::of_kernel(self.interface.name(), error),
            })
    }

    fn hear(&self, filter: &[SockFilter]) -> io::Result<()> {
        self.socket.attach_filter(filter)
    }

    pub(crate) fn bound_to(&self) -> BoundTo {
        BoundTo::Ethernet {
            interface: self.interface,
            mac: self.mac,
            ethertype: self.ethertype,
        }
    }

    /// A peer in reach of the interface.
    pub(crate) fn peer(&self, mac: MacAddress) -> LinkAddress {
        LinkAddress::Ethernet {
            interface: self.interface,
            mac,
        }
    }

    /// See [`crate::DatagramSocket::lost_interface`].
    pub(crate) fn lost_interface(&self) -> Option<Interface> {
        let is_lost = has_lost_interface(&self.socket).unwrap_or(false);
        is_lost.then_some(self.interface)
    }

    /// See [`crate::DatagramSocket::remedy`].
    pub(crate) fn remedy(&self) -> Option<String> {
        match self.inbox {
            Inbox::Buffer => self.receive_buffer.remedy(),
            // No limit of the system applies to it.
            Inbox::Ring { .. } => None,
        }
    }

    /// See [`crate::DatagramSocket::dropped`].
    pub(crate) fn dropped(&self) -> io::Result<u32> {
        self.inbox.dropped(&self.socket)
    }

    pub(crate) fn most_datagram_bytes(&self) -> u16 {
        u16::try_from(self.mtu_bytes).unwrap_or(u16::MAX)
    }

    /// See [`crate::DatagramSocket::receive`].
    pub(crate) fn receive(
        &self,
        buffer: &mut DatagramBuffer,
        mut handle: impl FnMut(LinkAddress, &mut [u8]),
    ) -> io::Result<usize> {
        let take = |frame: &mut [u8]| {
            let Some((header, datagram)) = frame.split_at_mut_checked(HEADER_BYTES) else {
                return;
            };
            // An answer to a group would go to all that are in it, whoever had asked.
            let sender = header.get(SENDER_AT..).and_then(<[u8]>::first_chunk);
            let sender = sender.copied().map(MacAddress);
            if let Some(sender) = sender.filter(|sender| sender.is_of_one_card()) {
                handle(self.peer(sender), without_padding(datagram));
            }
        };
        self.inbox
            .receive(&self.socket, buffer, self.frame_bytes, take)
    }

    /// See [`crate::DatagramSocket::send`].
    pub(crate) fn send(
        &self,
        receiver: MacAddress,
        datagrams: &[u8],
        each_bytes: usize,
    ) -> io::Result<Sent> {
        let header = self.header(receiver);
        let mut outcome = Sent::Taken;
        let mut done: usize = 0;
        loop {
            let rest = datagrams.chunks(each_bytes.max(1)).skip(done);
            if rest.len() == 0 {
                return Ok(outcome);
            }
            let sent = match self.send_some(&header, rest) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => match not_sent(error, done)? {
                    // One, which need not mean the others.
                    Sent::Lost => {
                        outcome = Sent::Lost;
                        1
                    }
                    full => return Ok(full),
                },
            };
            done = done.saturating_add(sent);
        }
    }

    /// Gives as many datagrams to the kernel as it takes in one call.
    fn send_some<'a>(
        &self,
        header: &[u8; HEADER_BYTES],
        mut datagrams: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let count = datagrams.len().min(SEND_MOST);
        let frames: [[IoSlice<'_>; 2]; SEND_MOST] = std::array::from_fn(|_| {
            [header, datagrams.next().unwrap_or_default()].map(IoSlice::new)
        });
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; SEND_MOST] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let mut frames = frames.iter();
        let mut messages = controls.each_mut().map(|control| {
            let frame = frames.next().map_or(&[][..], |frame| &frame[..]);
            MMsgHdr::new(frame, control)
        });
        let messages = messages.get_mut(..count).unwrap_or_default();
        Ok(sendmmsg(&self.socket, messages, SendFlags::DONTWAIT)?)
    }

    fn header(&self, receiver: MacAddress) -> [u8; HEADER_BYTES] {
        let [a, b, c, d, e, f] = receiver.0;
        let [g, h, i, j, k, l] = self.mac.0;
        let [m, n] = self.ethertype.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }
}

impl AsFd for EthernetSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn find(socket: &Socket, name: &str) -> Result<Interface, EthernetError> {
    let none = || EthernetError::NoInterface(name.to_owned());
    // What cannot be a name is not asked for: the kernel would cut it.
    Interface::new(0, name).ok_or_else(none)?;
    match netdevice::name_to_index(socket, name) {
        Ok(index) => Interface::new(index, name).ok_or_else(none),
        Err(Errno::NODEV) => Err(none()),
        Err(error) => Err(EthernetError::of_kernel(name, error.into())),
    }
}

/// The datagram in what a frame carries.
fn without_padding(carried: &mut [u8]) -> &mut [u8] {
    let said = match *carried {
        [_, _, low, high, ..] => usize::from(u16::from_le_bytes([low, high])),
        _ => carried.len(),
    };
    let said = said.min(carried.len());
    carried.get_mut(..said).unwrap_or_default()
}
