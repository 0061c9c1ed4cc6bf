//! Where the other end of a link without connections is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::MacAddress;

/// The address of a peer that sends datagrams, over UDP or raw Ethernet.
///
/// Two are equal when they are the same peer's: where the peer had sent to is no part of that.
///
/// ```
/// use sdvr_frame::{LinkAddress, ReplyFrom};
///
/// let peer = LinkAddress::from("[2001:db8::1]:4242".parse::<std::net::SocketAddr>().unwrap());
/// assert_eq!(peer.to_string(), "[2001:db8::1]:4242");
/// let LinkAddress::Udp { address, .. } = peer else { unreachable!() };
/// let heard_at = ReplyFrom::address("2001:db8::2".parse().unwrap());
/// assert_eq!(peer, LinkAddress::Udp { address, reply_from: heard_at });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkAddress {
    /// A port of a host.
    Udp {
        /// The peer. An IPv4 address is one, not an IPv6 address that stands for it.
        address: SocketAddr,
        /// Of this host's addresses the one that the peer knows.
        reply_from: ReplyFrom,
    },
    /// A network card that is in reach of one of this host's.
    Ethernet {
        /// This host's.
        interface: Interface,
        /// The peer's.
        mac: MacAddress,
    },
}

impl From<SocketAddr> for LinkAddress {
    /// A peer over UDP, to be sent to from whichever address leads there.
    fn from(address: SocketAddr) -> Self {
        let address = match address {
            SocketAddr::V4(_) => address,
            SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
                Some(ip) => SocketAddr::new(ip.into(), address.port()),
                // A flow's label is of a packet, and no part of who sent it.
                None => {
                    SocketAddrV6::new(*address.ip(), address.port(), 0, address.scope_id()).into()
                }
            },
        };
        Self::Udp {
            address,
            reply_from: ReplyFrom::ANY,
        }
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { address, .. } => write!(formatter, "{address}"),
            Self::Ethernet { interface, mac } => write!(formatter, "{mac} on {interface}"),
        }
    }
}

/// The address of this host that a peer has sent to, from which it expects the answer.
///
/// A host may have several, and the way back may begin at another one; the peer, or a firewall before it, would not take what comes from there.
///
/// All are equal: it says where packets leave from, and not who the peer is.
#[derive(Clone, Copy, Debug, Eq)]
pub struct ReplyFrom(Option<IpAddr>);

impl ReplyFrom {
    /// From the address that leads there.
    pub const ANY: Self = Self(None);

    /// From this one.
    #[must_use]
    pub const fn address(address: IpAddr) -> Self {
        Self(Some(address))
    }

    /// Which one; `None` if any may be taken.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        self.0
    }
}

impl PartialEq for ReplyFrom {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Hash for ReplyFrom {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

/// A network interface of this host.
///
/// ```
/// use sdvr_frame::Interface;
///
/// let interface = Interface::new(2, "eth0").unwrap();
/// assert_eq!((interface.index(), interface.name()), (2, "eth0"));
/// assert_eq!(Interface::new(2, "a name that is too long"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    index: u32,
    name: [u8; Self::NAME_MOST_BYTES],
}

impl Interface {
    /// The most bytes that the kernel lets a name have.
    pub const NAME_MOST_BYTES: usize = 15;

    /// The interface of that number and name; `None` if no interface can have the name.
    #[must_use]
    pub fn new(index: u32, name: &str) -> Option<Self> {
        let is_name = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, 0 | b'/' | b':');
        if name.is_empty() || matches!(name, "." | "..") || !name.bytes().all(is_name) {
            return None;
        }
        let mut bytes = [0; Self::NAME_MOST_BYTES];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self { index, name: bytes })
    }

    /// The kernel's number for it, which no other interface gets.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.name.split(|&byte| byte == 0).next();
        // It was made of a text, and the text has no zeros.
        name.and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(text: &str) -> LinkAddress {
        text.parse::<SocketAddr>().map(LinkAddress::from).unwrap()
    }

    #[test]
    fn a_peer_is_the_same_wherever_it_has_sent_to() {
        let LinkAddress::Udp { address, .. } = udp("192.0.2.1:4242") else {
            unreachable!("made of a port");
        };
        let heard_at = |ip: &str| LinkAddress::Udp {
            address,
            reply_from: ReplyFrom::address(ip.parse().unwrap()),
        };
        let peers = [
            udp("192.0.2.1:4242"),
            heard_at("10.0.0.1"),
            heard_at("10.0.0.2"),
        ];
        let different: std::collections::HashSet<LinkAddress> = peers.into();
        assert_eq!(different.len(), 1);
        assert_ne!(udp("192.0.2.1:4242"), udp("192.0.2.1:4243"));
        assert_ne!(udp("192.0.2.1:4242"), udp("192.0.2.2:4242"));
    }

    #[test]
    fn an_ipv4_peer_has_one_form_and_a_link_local_one_its_link() {
        assert_eq!(udp("[::ffff:192.0.2.1]:9"), udp("192.0.2.1:9"));
        assert_ne!(udp("[fe80::1%2]:9"), udp("[fe80::1%3]:9"));
        assert_eq!(udp("[fe80::1%2]:9").to_string(), "[fe80::1%2]:9");
        let labelled = SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 7, 2);
        assert_eq!(
            LinkAddress::from(SocketAddr::V6(labelled)),
            udp("[fe80::1%2]:9")
        );
    }

    #[test]
    fn an_ethernet_peer_is_told_with_the_interface_that_reaches_it() {
        let peer = |index, name| LinkAddress::Ethernet {
            interface: Interface::new(index, name).unwrap(),
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
        };
        assert_eq!(peer(3, "eth0").to_string(), "02:00:00:00:00:01 on eth0");
        assert_ne!(peer(3, "eth0"), peer(4, "eth1"));
    }

    #[test]
    fn only_what_the_kernel_takes_is_the_name_of_an_interface() {
        for name in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a:b",
            "a\0",
            "sixteen-letters-",
        ] {
            assert_eq!(Interface::new(1, name), None, "{name:?}");
        }
        for name in ["eth0", "fifteen-letters", "wlan0.7", "br-\u{e9}"] {
            assert_eq!(Interface::new(1, name).unwrap().name(), name);
        }
    }
}
