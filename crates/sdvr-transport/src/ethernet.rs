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

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, netdevice, sendmmsg};
use sdvr_frame::{Interface, LinkAddress, MacAddress};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::datagram_socket::{BoundTo, DatagramBuffer, Sent, is_of_the_link, not_sent};
use crate::packet_socket::{
    RECEIVE_MOST, ethernet_address, mtu_bytes, packet_address, receive_frames,
};
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

/// Why there is no socket for raw Ethernet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EthernetError {
    /// Whoever starts the program may mend it.
    #[error(
        "raw Ethernet needs the capability CAP_NET_RAW: start the program by `sudo`, or give it to the program's file: sudo setcap cap_net_raw+ep FILE"
    )]
    NotPermitted,
    /// No interface has the name.
    #[error("this host has no network interface {0:?}; `ip link` lists them")]
    NoInterface(String),
    /// The interface has no Ethernet: a tunnel, the loopback.
    #[error("{0} is no Ethernet interface; `ip link` shows link/ether for those that are")]
    NotEthernet(Interface),
    /// The number means something else.
    #[error("{0:#06x} is not an ethertype (0x0600 to 0xffff)")]
    NotAnEthertype(u16),
    /// The address belongs to no single network card.
    #[error("{0} is not the address of one network card, which a server has")]
    NotAServer(MacAddress),
    /// There are more shards than a packet can name.
    #[error("{0} threads for sessions are more than raw Ethernet can tell apart (255)")]
    TooManyShards(usize),
    /// The kernel refuses what it should not.
    #[error("raw Ethernet on {interface}: {error}")]
    Kernel {
        /// The interface.
        interface: String,
        /// What it says.
        error: io::Error,
    },
}

/// A socket.
#[derive(Debug)]
pub(crate) struct EthernetSocket {
    socket: Socket,
    interface: Interface,
    mac: MacAddress,
    ethertype: u16,
    mtu_bytes: usize,
    receive_buffer: ReceiveBuffer,
    frame_bytes: usize,
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
    let kernel = |error| EthernetError::Kernel {
        interface: interface.to_owned(),
        error,
    };
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
        // An older kernel shows what this host sends, and the filter drops it.
        let _ = set_packet_option(&socket.socket, libc::PACKET_IGNORE_OUTGOING, 1);
        socket
            .hear(&from_to_this_host(server))
            .map_err(|error| EthernetError::Kernel {
                interface: interface.to_owned(),
                error,
            })?;
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
        let refused = |error: io::Error| EthernetError::Kernel {
            interface: interface.to_owned(),
            error,
        };
        let socket = socket.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => EthernetError::NotPermitted,
            _ => refused(error),
        })?;
        let interface = find(&socket, interface)?;
        let mac = ethernet_address(&socket, &interface)
            .map_err(refused)?
            .ok_or(EthernetError::NotEthernet(interface))?;
        let bound = (|| {
            let mtu_bytes = mtu_bytes(&socket, &interface)?;
            let receive_buffer = ReceiveBuffer::claim(&socket)?;
            socket.attach_filter(&[accept(0)])?;
            socket.bind(&packet_address(ethertype, interface.index()))?;
            let frame_bytes = mtu_bytes.max(JUMBO_BYTES).saturating_add(HEADER_BYTES);
            Ok(Self {
                socket,
                interface,
                mac,
                ethertype,
                mtu_bytes,
                receive_buffer,
                frame_bytes,
            })
        })();
        bound.map_err(refused)
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

    pub(crate) fn receive_buffer(&self) -> ReceiveBuffer {
        self.receive_buffer
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
        let bytes = buffer.bytes(self.frame_bytes.saturating_mul(RECEIVE_MOST));
        let mut lengths = [None; RECEIVE_MOST];
        let received = receive_frames(&self.socket, bytes, self.frame_bytes, &mut lengths);
        let count = match received {
            Ok(count) => count,
            Err(error) if is_of_the_link(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        let frames = bytes.chunks_exact_mut(self.frame_bytes);
        for (frame, length) in frames.zip(lengths).take(count) {
            let frame = length.and_then(|length| frame.get_mut(..length));
            let Some((header, datagram)) =
                frame.and_then(|frame| frame.split_at_mut_checked(HEADER_BYTES))
            else {
                continue;
            };
            let Some(sender) = header.get(SENDER_AT..).and_then(<[u8]>::first_chunk) else {
                continue;
            };
            let sender = LinkAddress::Ethernet {
                interface: self.interface,
                mac: MacAddress(*sender),
            };
            handle(sender, without_padding(datagram));
        }
        Ok(count)
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
        Err(error) => Err(EthernetError::Kernel {
            interface: name.to_owned(),
            error: error.into(),
        }),
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

/// A filter that takes what was sent to this host alone, and not what this host sends, nor what others see in a network that floods.
fn to_this_host() -> [SockFilter; 4] {
    let [kind, is_to_host] = is_to_this_host(1);
    [kind, is_to_host, accept(u32::MAX), accept(0)]
}

/// The same, from one sender.
fn from_to_this_host(sender: MacAddress) -> [SockFilter; 8] {
    use libc::{BPF_ABS, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_W};
    let [a, b, c, d, e, f] = sender.0;
    let [kind, is_to_host] = is_to_this_host(5);
    [
        kind,
        is_to_host,
        filter(BPF_LD | BPF_W | BPF_ABS, 0, 0, 6),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            3,
            u32::from_be_bytes([a, b, c, d]),
        ),
        filter(BPF_LD | BPF_H | BPF_ABS, 0, 0, 10),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            1,
            u16::from_be_bytes([e, f]).into(),
        ),
        accept(u32::MAX),
        accept(0),
    ]
}

/// Goes on if it is so, and else leaves so many instructions out.
fn is_to_this_host(else_skip: u8) -> [SockFilter; 2] {
    use libc::{BPF_ABS, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD};
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    [
        filter(BPF_LD | BPF_B | BPF_ABS, 0, 0, kind),
        filter(
            BPF_JMP | BPF_JEQ | BPF_K,
            0,
            else_skip,
            libc::PACKET_HOST.into(),
        ),
    ]
}

/// Takes so many bytes of the frame; none if 0.
fn accept(bytes: u32) -> SockFilter {
    filter(libc::BPF_RET | libc::BPF_K, 0, 0, bytes)
}

fn filter(code: u32, if_true: u8, if_false: u8, value: u32) -> SockFilter {
    // All codes are below 2^8.
    SockFilter::new((code & 0xffff) as u16, if_true, if_false, value)
}
