//! Where somebody is who sends packets.

use std::fmt;
use std::net::SocketAddr;

use sdvr_frame::{HostAddress, Link, LinkAddress};
use sdvr_session::{Site, SourceAddress};

/// The address of a camera, or of who claims to be one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// At the other end of a connection.
    Connection(SocketAddr),
    /// Without one.
    Datagrams(LinkAddress),
}

impl Peer {
    /// What its packets come over.
    pub(crate) const fn link(self) -> Link {
        match self {
            Self::Connection(_) => Link::Tcp,
            Self::Datagrams(LinkAddress::Udp { .. }) => Link::Udp,
            Self::Datagrams(LinkAddress::Ethernet { .. }) => Link::Ethernet,
        }
    }

    /// The host, whatever port of it the packets come from.
    pub(crate) fn host(self) -> HostAddress {
        match self {
            Self::Connection(address) => address.ip().to_canonical().into(),
            Self::Datagrams(address) => address.host(),
        }
    }

    /// The site that it belongs to.
    pub(crate) fn site(self) -> Site {
        match self {
            Self::Connection(address) => SourceAddress::from(address).site(),
            Self::Datagrams(address) => SourceAddress::from(address).site(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(address) => address.fmt(formatter),
            Self::Datagrams(address) => address.fmt(formatter),
        }
    }
}
