//! The address of a server as a person types it.

use std::fmt;
use std::net::Ipv6Addr;

use crate::MacAddress;

/// The port of SDVR, for every protocol that has ports.
pub const DEFAULT_PORT: u16 = 1337;
/// What an address of raw Ethernet may begin with, as it does in lists of servers.
const ETHERNET: &str = "eth:";
/// The longest name that the domain name system has, with room for the zone of an IPv6 address.
const HOST_MOST_BYTES: usize = 255;

/// Host and port of a server. The host is kept as typed, in lower case: a name is not looked up, two spellings of one address are two servers.
///
/// Its text `[host]:port` is what a server's key is remembered by, so there is one text for each address: [`Self::parse`] gives back what
/// [`Display`](fmt::Display) wrote, and takes a port as a number is written, without sign and zeros before it.
///
/// ```
/// use sdvr_frame::ServerAddress;
///
/// assert_eq!(ServerAddress::parse("NVR.lan", None).unwrap().to_string(), "[nvr.lan]:1337");
/// assert_eq!(ServerAddress::parse("[::1]:1400", None).unwrap().to_string(), "[::1]:1400");
/// assert_eq!(ServerAddress::parse("10.0.0.7:1400", None).unwrap().port(), 1400);
/// assert!(ServerAddress::parse("nvr.lan:1400", Some(1500)).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// Reads `HOST`, `HOST:PORT`, `[HOST]`, `[HOST]:PORT`, or an IPv6 address without brackets; `port` is the one given apart, if any.
    ///
    /// # Errors
    ///
    /// When the text is no host, a port is 0, or the text names another port than `port`.
    pub fn parse(text: &str, port: Option<u16>) -> Result<Self, ParseAddressError> {
        let card = text
            .split_at_checked(ETHERNET.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(ETHERNET))
            .map_or(text, |(_, card)| card);
        if card.len() < text.len() || card.parse::<MacAddress>().is_ok() {
            return Err(ParseAddressError::Ethernet(card.to_owned()));
        }
        let (host, own_port) = split_port(text)?;
        let is_host = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | ':' | '%')
        };
        if !(1..=HOST_MOST_BYTES).contains(&host.len()) || !host.chars().all(is_host) {
            return Err(ParseAddressError::Host(text.to_owned()));
        }
        let port = match (own_port, port) {
            (Some(own), Some(other)) if own != other => {
                return Err(ParseAddressError::TwoPorts(own, other));
            }
            (None, Some(0)) => return Err(ParseAddressError::Port("0".to_owned())),
            (own, other) => own.or(other).unwrap_or(DEFAULT_PORT),
        };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), ParseAddressError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed
            .split_once(']')
            .ok_or_else(|| ParseAddressError::Host(text.to_owned()))?;
        if !rest.is_empty() && !rest.starts_with(':') {
            return Err(ParseAddressError::Host(text.to_owned()));
        }
        (host, rest.strip_prefix(':'))
    } else if text
        .split_once('%')
        .map_or(text, |(address, _zone)| address)
        .parse::<Ipv6Addr>()
        .is_ok()
    {
        (text, None)
    } else {
        text.split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map(parse_port).transpose()?;
    Ok((host, port))
}

/// A number as it is written: digits, no sign, no zeros before it.
fn parse_port(text: &str) -> Result<u16, ParseAddressError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let port = text.parse().ok().filter(|_| is_plain);
    port.ok_or_else(|| ParseAddressError::Port(text.to_owned()))
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{}]:{}", self.host, self.port)
    }
}

/// Why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Not a host.
    #[error("{0:?} is not the name or address of a host")]
    Host(String),
    /// The address of a network card.
    #[error(
        "{0} is the address of a network card, which is reached by raw Ethernet (sdvrc -o INTERFACE); name a host (one called eth is [eth]:PORT)"
    )]
    Ethernet(String),
    /// Not a port.
    #[error("{0:?} is not a port (1 to 65535)")]
    Port(String),
    /// Two different ports.
    #[error("the host names port {0} and the option port {1}; give one")]
    TwoPorts(u16, u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_host() {
        for text in [
            "",
            "[",
            "[]",
            "[::1",
            "[::1]x",
            "a b",
            "a/b",
            "host:",
            "host:0",
            "host:01337",
            "host:+1",
            "host:-1",
            "host: 1",
            "host:70000",
            "host:1:2",
            "user@host",
            "h\n",
            "caf\u{e9}",
            "eth:aa:bb:cc:dd:ee:ff",
            "ETH:1337",
        ] {
            assert!(ServerAddress::parse(text, None).is_err(), "{text:?}");
        }
        assert!(ServerAddress::parse(&"x".repeat(255), None).is_ok());
        assert!(ServerAddress::parse(&"x".repeat(256), None).is_err());
    }

    #[test]
    fn a_host_may_have_the_name_of_ethernet() {
        for (text, form) in [("eth", "[eth]:1337"), ("[eth]:9", "[eth]:9")] {
            let address = ServerAddress::parse(text, None);
            assert_eq!(
                address.map(|address| address.to_string()),
                Ok(form.to_owned())
            );
        }
    }

    #[test]
    fn port_0_is_none_wherever_it_is_named() {
        let error = Err(ParseAddressError::Port("0".to_owned()));
        assert_eq!(ServerAddress::parse("nvr.lan", Some(0)), error);
        assert_eq!(ServerAddress::parse("nvr.lan:0", None), error);
    }

    #[test]
    fn an_ipv6_address_needs_no_brackets() {
        let address =
            ServerAddress::parse("FE80::1%eth0", Some(9)).map(|address| address.to_string());
        assert_eq!(address, Ok("[fe80::1%eth0]:9".to_owned()));
    }
}
