//! Where a camera's host is, however its packets come.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::{LinkAddress, MacAddress, ParseMacError};

/// The address of a host: of a network, or of a network card where packets come as raw Ethernet.
///
/// ```
/// use sdvr_frame::HostAddress;
///
/// for text in ["192.0.2.1", "2001:db8::1", "02:73:64:76:72:0a"] {
///     let host: HostAddress = text.parse().unwrap();
///     assert_eq!(host.to_string(), text);
/// }
/// assert!("camera.example".parse::<HostAddress>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostAddress {
    /// Of a network.
    Ip(IpAddr),
    /// Of a network card.
    Mac(MacAddress),
}

impl LinkAddress {
    /// The peer's host, whatever port its packets come from and whichever link they come by.
    #[must_use]
    pub const fn host(&self) -> HostAddress {
        match self {
            Self::Udp { address, .. } => HostAddress::Ip(address.ip()),
            Self::Ethernet { mac, .. } => HostAddress::Mac(*mac),
        }
    }
}

impl From<IpAddr> for HostAddress {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<MacAddress> for HostAddress {
    fn from(address: MacAddress) -> Self {
        Self::Mac(address)
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(formatter),
            Self::Mac(address) => address.fmt(formatter),
        }
    }
}

impl FromStr for HostAddress {
    type Err = ParseMacError;

    /// No text is both.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.into()),
            Err(_) => text.parse::<MacAddress>().map(Self::Mac),
        }
    }
}
