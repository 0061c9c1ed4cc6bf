//! What frames of raw Ethernet say that they carry.

use std::fmt;
use std::str::FromStr;

/// The number in a frame of raw Ethernet by which it is known what it carries.
///
/// ```
/// use sdvr_frame::Ethertype;
///
/// assert_eq!(Ethertype::DEFAULT.to_string(), "0x1337");
/// assert_eq!("0x88b5".parse(), Ok(Ethertype::new(0x88b5).unwrap()));
/// assert_eq!("34997".parse(), Ok(Ethertype::new(0x88b5).unwrap()));
/// // Below it is the length of a frame, and a host needs those of IP itself.
/// assert!("0x5ff".parse::<Ethertype>().is_err());
/// assert!("0x0800".parse::<Ethertype>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ethertype(u16);

/// The text is no ethertype.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use a number from 0x600 to 0xffff that is not of IPv4, ARP, IPv6 or VLANs, such as 0x1337, or 0x88b5, which IEEE 802 leaves to experiments"
)]
pub struct ParseEthertypeError;

impl Ethertype {
    /// What both sides use unless they are told otherwise.
    pub const DEFAULT: Self = Self(0x1337);
    /// Smaller numbers are lengths (IEEE 802.3, 3.2.6).
    const LEAST: u16 = 0x600;

    /// The ethertype of that number, if it is one, and not one that every host has another use for: IPv4, ARP, IPv6, and those of VLANs, of
    /// which the kernel takes the frames.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            ..Self::LEAST | 0x0800 | 0x0806 | 0x86dd | 0x8100 | 0x88a8 => None,
            _ => Some(Self(number)),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Ethertype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#06x}", self.0)
    }
}

impl FromStr for Ethertype {
    type Err = ParseEthertypeError;

    fn from_str(text: &str) -> Result<Self, ParseEthertypeError> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16),
            None => text.parse(),
        };
        number.ok().and_then(Self::new).ok_or(ParseEthertypeError)
    }
}
