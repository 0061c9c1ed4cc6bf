//! Where the server is, and what carries packets there.

use std::fmt;

use sdvr_frame::{Ethertype, MacAddress, ServerAddress};

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Reached by a connection.
    Tcp(ServerAddress),
    /// Reached by datagrams.
    Udp(ServerAddress),
    /// Reached by frames of Ethernet that carry nothing else.
    Ethernet(EthernetPeer),
}

/// A server in reach of one of this host's network cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EthernetPeer {
    pub(crate) interface: String,
    pub(crate) ethertype: Ethertype,
    pub(crate) mac: MacAddress,
}

impl Destination {
    /// What to look at when nothing comes back from there, to be said after that.
    pub(crate) fn why_silent(&self) -> String {
        match self {
            Self::Tcp(_) => String::new(),
            Self::Udp(address) => format!(
                ": does sdvrd run there, and does every firewall on the way let UDP port {} through?",
                address.port()
            ),
            Self::Ethernet(EthernetPeer {
                interface,
                ethertype,
                mac,
            }) => format!(
                ": does `sdvrd -i` have the interface of {mac} there, with --ethertype {ethertype}, and is it on one switch with {interface}?"
            ),
        }
    }

    /// Whether packets may be lost on the way.
    pub(crate) const fn is_by_datagrams(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Udp(_) | Self::Ethernet(_) => true,
        }
    }
}

impl fmt::Display for Destination {
    /// What the server's key is remembered by: it is one server, whatever carries packets to it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Udp(address) => address.fmt(formatter),
            Self::Ethernet(peer) => write!(formatter, "eth:{}", peer.mac),
        }
    }
}
