//! What a server is remembered by: the address the user typed, in one form.
//!
//! ```text
//! [host]:port              TCP and UDP, lower case, IPv6 addresses too
//! eth:aa:bb:cc:dd:ee:ff    raw Ethernet
//! ```

use sdvr_frame::ServerAddress;

use crate::error::TrustError;

/// What an address of raw Ethernet begins with. Nothing dials one yet; the file has room for it.
const ETHERNET: &str = "eth:";

/// The form in which the server that a user typed is remembered.
///
/// Takes `HOST`, `HOST:PORT`, `[HOST]`, `[HOST]:PORT`, an IPv6 address without brackets, and `eth:MAC`. The host stays as
/// typed, in lower case: a name is not looked up, two spellings of one address are two servers.
///
/// ```
/// use sdvr_trust::normalise_address;
///
/// assert_eq!(normalise_address("NVR.lan").unwrap(), "[nvr.lan]:1337");
/// assert_eq!(normalise_address("::1").unwrap(), "[::1]:1337");
/// assert_eq!(normalise_address("[::1]:1400").unwrap(), "[::1]:1400");
/// ```
///
/// # Errors
///
/// [`TrustError::Address`] when it is no address.
pub fn normalise_address(typed: &str) -> Result<String, TrustError> {
    let lower = typed.to_ascii_lowercase();
    let address = match lower.strip_prefix(ETHERNET) {
        Some(mac) => is_mac(mac).then_some(lower),
        None => one_form(typed),
    };
    address.ok_or_else(|| TrustError::Address {
        address: typed.to_owned(),
    })
}

/// Whether `address` is in the one form. Anything else in the file would never be found, and its server be a new one.
pub(crate) fn check_address(address: &str) -> Result<(), &'static str> {
    let is_good = match address.strip_prefix(ETHERNET) {
        Some(mac) => is_mac(mac),
        None => one_form(address).is_some_and(|form| form == address),
    };
    if is_good {
        Ok(())
    } else {
        Err("it does not begin with [host]:port (in lower case) or eth:mac")
    }
}

/// `[host]:port`, of what [`ServerAddress`] takes.
fn one_form(typed: &str) -> Option<String> {
    let address = ServerAddress::parse(typed, None).ok()?;
    Some(address.to_string())
}

fn is_mac(mac: &str) -> bool {
    let is_pair = |pair: &str| {
        pair.len() == 2
            && pair
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    mac.split(':').count() == 6 && mac.split(':').all(is_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: &str) {
        assert_eq!(normalise_address(typed).unwrap(), expected);
    }

    #[test]
    fn what_is_typed_has_one_form() {
        check("NVR.lan", "[nvr.lan]:1337");
        check("nvr.lan:1400", "[nvr.lan]:1400");
        check("[NVR.lan]:1337", "[nvr.lan]:1337");
        check("[nvr.lan]", "[nvr.lan]:1337");
        check("10.0.0.7", "[10.0.0.7]:1337");
        check("::1", "[::1]:1337");
        check("[::1]", "[::1]:1337");
        check("[::1]:1400", "[::1]:1400");
        check("FE80::1%eth0", "[fe80::1%eth0]:1337");
        check("eth:AA:bb:CC:dd:EE:0f", "eth:aa:bb:cc:dd:ee:0f");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for typed in [
            "",
            "[]",
            "[",
            "[::1",
            "[::1]x",
            "host:",
            "host:0",
            "host:01337",
            "host:+1",
            "host:70000",
            "a b",
            "a/b",
            "user@host",
            "h\n",
            "caf\u{e9}",
            "eth:",
            "eth:aa:bb:cc:dd:ee",
            "eth:aa:bb:cc:dd:ee:fg",
            "eth:aa:bb:cc:dd:ee:ff:00",
            "eth:aabb:cc:dd:ee:ff:0",
            "eth:1337",
        ] {
            assert!(normalise_address(typed).is_err(), "{typed:?}");
        }
        assert!(normalise_address(&"x".repeat(256)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn the_one_form_stays_as_it_is(typed in "[^ ]{0,40}|[a-zA-Z0-9.]{1,9}(:[0-9]{1,5})?|\\[[0-9a-fA-F:]{1,9}\\](:[0-9]{1,5})?") {
            if let Ok(address) = normalise_address(&typed) {
                proptest::prop_assert_eq!(check_address(&address), Ok(()));
                proptest::prop_assert_eq!(normalise_address(&address).unwrap(), address);
            }
        }
    }
}
