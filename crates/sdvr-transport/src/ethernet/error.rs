//! Why there is no raw Ethernet, for people.

use std::io;

use rustix::io::Errno;
use sdvr_frame::{Interface, MacAddress};

/// Why there is no socket for raw Ethernet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EthernetError {
    /// Whoever starts the program may mend it.
    #[error(
        "raw Ethernet needs the capability CAP_NET_RAW: start the program by `sudo`, or give it to the program's file: sudo setcap cap_net_raw+ep FILE"
    )]
    NotPermitted,
    /// Whoever runs the program, or made the kernel, may mend it.
    #[error(
        "raw Ethernet needs packet sockets, which this program may not make (a unit of systemd needs AF_PACKET among its RestrictAddressFamilies) or this kernel does not have"
    )]
    NoPacketSockets,
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
    /// A client on the host of its server has no use for cards.
    #[error(
        "{0} is the address of this host's own card; a server on this host is reached without -o"
    )]
    OwnAddress(MacAddress),
    /// Clients would be answered by both.
    #[error(
        "another server receives ethertype {ethertype:#06x} on {interface} already: end it, or choose another ethertype"
    )]
    Taken {
        /// The interface.
        interface: Interface,
        /// The ethertype.
        ethertype: u16,
    },
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

impl EthernetError {
    /// What the kernel says of `interface`, for which it should have had no reason.
    pub(crate) fn of_kernel(interface: &str, error: io::Error) -> Self {
        Self::Kernel {
            interface: interface.to_owned(),
            error,
        }
    }

    /// The same when a packet socket was to be made.
    pub(crate) fn of_new_socket(interface: &str, error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::PERM | Errno::ACCESS) => Self::NotPermitted,
            Some(Errno::AFNOSUPPORT) => Self::NoPacketSockets,
            _ => Self::of_kernel(interface, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_make_no_packet_socket_is_told_what_to_do() {
        for (errno, remedy) in [
            (Errno::PERM, "setcap cap_net_raw+ep"),
            (
                Errno::AFNOSUPPORT,
                "AF_PACKET among its RestrictAddressFamilies",
            ),
            (Errno::MFILE, "raw Ethernet on eth0: "),
        ] {
            let text = EthernetError::of_new_socket("eth0", errno.into()).to_string();
            assert!(text.contains(remedy), "{text}");
        }
    }
}
