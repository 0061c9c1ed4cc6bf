//! Datagrams over UDP or raw Ethernet, alike for who sends and receives them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use sdvr_frame::{Interface, LinkAddress, MacAddress};

use crate::ethernet::{self, EthernetError, EthernetSocket};
use crate::socket_options::dropped_packets;
use crate::udp::{self, UdpSocket};

/// A socket for datagrams. It never blocks.
///
/// ```
/// use sdvr_frame::LinkAddress;
/// use sdvr_transport::{BoundTo, DatagramBuffer, Sent, bind_udp, udp_for_server};
///
/// let sockets = bind_udp(Some("127.0.0.1".parse().unwrap()), 0, 2).unwrap();
/// let BoundTo::Udp(server) = sockets[0].bound_to() else { unreachable!() };
/// let client = udp_for_server(server).unwrap();
/// // Two datagrams in one call. They begin as what is of no session does, and so come to the first socket.
/// assert_eq!(client.send(LinkAddress::from(server), &[1, 0, 5, 0, 9, 1, 0, 5, 0, 7], 5).unwrap(), Sent::Taken);
/// let (mut buffer, mut received) = (DatagramBuffer::default(), Vec::new());
/// while received.len() < 2 {
///     sockets[0].receive(&mut buffer, |_from, datagram| received.push(datagram.to_vec())).unwrap();
/// }
/// assert_eq!(received, [[1, 0, 5, 0, 9], [1, 0, 5, 0, 7]]);
/// ```
#[derive(Debug)]
pub struct DatagramSocket(Kind);

#[derive(Debug)]
enum Kind {
    Udp(UdpSocket),
    Ethernet(EthernetSocket),
}

/// Where datagrams are put that a socket takes. One does for all sockets of a thread.
#[derive(Debug, Default)]
pub struct DatagramBuffer(Vec<u8>);

impl DatagramBuffer {
    /// At least so many bytes, whatever they are.
    pub(crate) fn bytes(&mut self, least: usize) -> &mut [u8] {
        if self.0.len() < least {
            self.0.resize(least, 0);
        }
        &mut self.0
    }
}

/// What became of datagrams that were to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has them.
    Taken,
    /// It has no room for all of them now: wait until the socket can be written to, and send the others.
    Full {
        /// So many it has, from the first one on; often none.
        taken: usize,
    },
    /// Some or all are lost, as on any link: nobody is there, there is no way there, or they are too long for it.
    Lost,
}

/// Where a socket is bound to, as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundTo {
    /// A port; the real one if 0 was asked for.
    Udp(SocketAddr),
    /// An ethertype on an interface.
    Ethernet {
        /// The interface.
        interface: Interface,
        /// Its address.
        mac: MacAddress,
        /// The ethertype.
        ethertype: u16,
    },
}

impl fmt::Display for BoundTo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(formatter, "{address}"),
            Self::Ethernet {
                interface,
                mac,
                ethertype,
            } => write!(
                formatter,
                "{mac} on {interface}, ethertype {ethertype:#06x}"
            ),
        }
    }
}

/// Binds one socket for what begins sessions, and one for each of `shards`, in this order, on `address` or on all of IPv6 and IPv4 (IPv4 alone
/// where there is no IPv6).
///
/// # Errors
///
/// When the port is taken or may not be used.
pub fn bind_udp(
    address: Option<IpAddr>,
    port: u16,
    shards: usize,
) -> io::Result<Vec<DatagramSocket>> {
    let sockets = udp::bind(address, port, shards)?;
    Ok(sockets.into_iter().map(DatagramSocket::udp).collect())
}

/// Binds one socket for what begins sessions, and one for each of `shards` (at most 255), in this order, to the frames of an ethertype that come
/// to `interface`'s own address.
///
/// They stay bound while the interface goes down and up. One that is removed and made anew is another one. What this host itself sends by the
/// interface does not come to them: it is on the wire.
///
/// # Errors
///
/// [`EthernetError`] says what is missing.
pub fn bind_ethernet(
    interface: &str,
    ethertype: u16,
    shards: usize,
) -> Result<Vec<DatagramSocket>, EthernetError> {
    let sockets = ethernet::bind(interface, ethertype, shards)?;
    Ok(sockets.into_iter().map(DatagramSocket::ethernet).collect())
}

/// A client's socket, for a server of the same family. It is bound to no address of this host, so that it goes on when that changes.
///
/// # Errors
///
/// When the process has no descriptor left.
pub fn udp_for_server(server: SocketAddr) -> io::Result<DatagramSocket> {
    UdpSocket::for_server(server).map(DatagramSocket::udp)
}

/// A client's socket, for the frames of an ethertype that come from `server` to `interface`'s own address; and whom to send to.
///
/// # Errors
///
/// [`EthernetError`] says what is missing.
pub fn ethernet_for_server(
    interface: &str,
    ethertype: u16,
    server: MacAddress,
) -> Result<(DatagramSocket, LinkAddress), EthernetError> {
    let socket = EthernetSocket::for_server(interface, ethertype, server)?;
    let server = socket.peer(server);
    Ok((DatagramSocket::ethernet(socket), server))
}

impl DatagramSocket {
    fn udp(socket: UdpSocket) -> Self {
        Self(Kind::Udp(socket))
    }

    fn ethernet(socket: EthernetSocket) -> Self {
        Self(Kind::Ethernet(socket))
    }

    /// Where it is bound to.
    #[must_use]
    pub fn bound_to(&self) -> BoundTo {
        match &self.0 {
            Kind::Udp(socket) => BoundTo::Udp(socket.address()),
            Kind::Ethernet(socket) => socket.bound_to(),
        }
    }

    /// Takes what has arrived into `buffer`, as much as one system call gives, and hands each datagram to `handle` with its sender. Gives how
    /// many there were: none when nothing has arrived, or while another thread does this.
    ///
    /// What fills up a short frame of Ethernet is cut off, by the length that each datagram says of itself; one that says nonsense is handed
    /// over as it came.
    ///
    /// # Errors
    ///
    /// Only for a bug here.
    pub fn receive(
        &self,
        buffer: &mut DatagramBuffer,
        handle: impl FnMut(LinkAddress, &mut [u8]),
    ) -> io::Result<usize> {
        match &self.0 {
            Kind::Udp(socket) => socket.receive(buffer, handle),
            Kind::Ethernet(socket) => socket.receive(buffer, handle),
        }
    }

    /// How many datagrams of so many bytes may be sent at once.
    #[must_use]
    pub fn most_at_once(&self, each_bytes: usize) -> usize {
        match &self.0 {
            Kind::Udp(socket) => socket.most_at_once(each_bytes),
            Kind::Ethernet(_) => ethernet::SEND_MOST,
        }
    }

    /// How long a datagram may be for this end's link: what longer ones meet is [`Sent::Lost`]. For a server over UDP, whose peers are on many
    /// links, what UDP can say at all.
    #[must_use]
    pub fn most_datagram_bytes(&self) -> u16 {
        match &self.0 {
            Kind::Udp(socket) => socket.most_datagram_bytes(),
            Kind::Ethernet(socket) => socket.most_datagram_bytes(),
        }
    }

    /// Sends `datagrams`, each of which has `each_bytes` but the last, which may be shorter; at most [`Self::most_at_once`].
    ///
    /// An address of the other kind of link is [`Sent::Lost`].
    ///
    /// # Errors
    ///
    /// Only for a bug here.
    pub fn send(
        &self,
        receiver: LinkAddress,
        datagrams: &[u8],
        each_bytes: usize,
    ) -> io::Result<Sent> {
        match (&self.0, receiver) {
            (
                Kind::Udp(socket),
                LinkAddress::Udp {
                    address,
                    reply_from,
                },
            ) => socket.send(address, reply_from, datagrams, each_bytes),
            (Kind::Ethernet(socket), LinkAddress::Ethernet { mac, .. }) => {
                socket.send(mac, datagrams, each_bytes)
            }
            (Kind::Udp(_), LinkAddress::Ethernet { .. })
            | (Kind::Ethernet(_), LinkAddress::Udp { .. }) => Ok(Sent::Lost),
        }
    }

    /// Packets for which the kernel had no room, since the socket was made. It begins again at 0 after 4 billion.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn dropped(&self) -> io::Result<u32> {
        match &self.0 {
            Kind::Udp(socket) => dropped_packets(socket),
            Kind::Ethernet(socket) => socket.dropped(),
        }
    }

    /// The interface of raw Ethernet that was removed, if that was so: nothing comes to this socket any more, also when one of the same name is
    /// made.
    #[must_use]
    pub fn lost_interface(&self) -> Option<Interface> {
        match &self.0 {
            Kind::Udp(_) => None,
            Kind::Ethernet(socket) => socket.lost_interface(),
        }
    }

    /// What to do if the kernel may hold so little that packets of a few cameras are lost when this host is busy.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match &self.0 {
            Kind::Udp(socket) => socket.receive_buffer().remedy(),
            Kind::Ethernet(socket) => socket.remedy(),
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Udp(socket) => socket.as_fd(),
            Kind::Ethernet(socket) => socket.as_fd(),
        }
    }
}

/// What an error means that comes after the kernel has taken so many datagrams of those given to it; itself if it says something of this program.
pub(crate) fn not_sent(error: io::Error, taken: usize) -> io::Result<Sent> {
    if error.kind() == io::ErrorKind::WouldBlock {
        Ok(Sent::Full { taken })
    } else if is_of_the_link(&error) || is_of_the_address(&error) {
        Ok(Sent::Lost)
    } else {
        Err(error)
    }
}

/// Whether an error says something of the link or of who is at its other end, and nothing of this socket.
pub(crate) fn is_of_the_link(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::WOULDBLOCK
                | Errno::INTR
                | Errno::CONNREFUSED
                | Errno::CONNRESET
                | Errno::HOSTUNREACH
                | Errno::HOSTDOWN
                | Errno::NETUNREACH
                | Errno::NETDOWN
                | Errno::NONET
                | Errno::NXIO
                | Errno::NODEV
                | Errno::NOBUFS
                | Errno::NOMEM
                | Errno::MSGSIZE
                | Errno::PERM
                | Errno::ACCESS
                | Errno::ADDRNOTAVAIL
                | Errno::AFNOSUPPORT
                | Errno::OPNOTSUPP
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::TIMEDOUT
                | Errno::IO
        )
    )
}

/// Whether an error of sending may say that nobody can be at an address, such as port 0, or that this host has not the one to send from any
/// more. An answer to whoever sends from such a one is no bug here.
fn is_of_the_address(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::INVAL)
}
