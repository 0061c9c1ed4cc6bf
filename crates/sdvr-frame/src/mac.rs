//! The address of a network card.

use std::fmt;
use std::str::FromStr;

/// The address of a network card, as six bytes of two hexadecimal digits.
///
/// ```
/// use sdvr_frame::MacAddress;
///
/// let mac: MacAddress = "02:73:64:76:72:0A".parse().unwrap();
/// assert_eq!(mac.to_string(), "02:73:64:76:72:0a");
/// assert!("2:73:64:76:72:a".parse::<MacAddress>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Whether one card may have it: it is neither that of a group of cards, as the broadcast address is, nor empty.
    #[must_use]
    pub const fn is_of_one_card(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for MacAddress {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let digits = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            *byte = digits
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or_else(|| ParseMacError(text.to_owned()))?;
        }
        match parts.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(ParseMacError(text.to_owned())),
        }
    }
}

/// The text is not the address of a network card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the address of a network card: six times two hexadecimal digits, as `ip link` shows them after link/ether (02:73:64:76:72:0a)"
)]
pub struct ParseMacError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_every_other_form() {
        for text in [
            "",
            "02:73:64:76:72",
            "02:73:64:76:72:0a:",
            "02:73:64:76:72:0a:00",
            "2:73:64:76:72:0a",
            "002:73:64:76:72:0a",
            "02-73-64-76-72-0a",
            "027364.76720a",
            "+2:73:64:76:72:0a",
            " 02:73:64:76:72:0a",
            "02:73:64:76:72:0g",
            "02:73:64:76:72:\u{e9}",
        ] {
            assert_eq!(
                text.parse::<MacAddress>(),
                Err(ParseMacError(text.to_owned()))
            );
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for bytes in [[0; 6], [0xff; 6], [0, 1, 0x0a, 0xa0, 0xfe, 9]] {
            let mac = MacAddress(bytes);
            assert_eq!(mac.to_string().parse(), Ok(mac));
            assert_eq!(mac.to_string().to_uppercase().parse(), Ok(mac));
        }
    }

    #[test]
    fn groups_and_nobody_are_no_card() {
        let is_card = |text: &str| text.parse::<MacAddress>().unwrap().is_of_one_card();
        assert!(is_card("02:73:64:76:72:0a"));
        assert!(!is_card("ff:ff:ff:ff:ff:ff"));
        assert!(!is_card("01:00:5e:00:00:01"));
        assert!(!is_card("00:00:00:00:00:00"));
    }
}
