//! Where the page is served, as people write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// Where nothing else is said; its port is that of addresses without one.
pub(super) const DEFAULT: &str = "127.0.0.1:8337";
const PORT_DEFAULT: u16 = 8337;
const THIS_HOST: &str = "localhost";
const EXAMPLES: &str = "use an address and a port, such as 127.0.0.1:8337, [::1]:8337, localhost:8337 or 0.0.0.0:8337 (for others, too), or one of the two alone";

/// Reads an address with a port, one of the two alone, or `localhost` in place of the address.
///
/// # Errors
///
/// For people: what is wrong, and an example.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let without_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = without_brackets.unwrap_or(text).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT_DEFAULT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None if is_number(text) => (None, text),
        None => (Some(text), ""),
    };
    let port = match port {
        "" if !text.ends_with(':') => PORT_DEFAULT,
        port if is_number(port) => port
            .parse()
            .map_err(|_| format!("ports are numbers from 0 to 65535; {EXAMPLES}"))?,
        _ => return Err(EXAMPLES.to_owned()),
    };
    match host {
        None => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        Some(host) if host.eq_ignore_ascii_case(THIS_HOST) => {
            let addresses = (THIS_HOST, port).to_socket_addrs();
            let addresses = addresses
                .map_err(|error| format!("cannot look up {THIS_HOST} ({error}); {EXAMPLES}"))?;
            of_this_host(addresses.collect())
        }
        Some(_) => Err(EXAMPLES.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One of the addresses that `localhost` has, IPv4 first: clients that try both find it, and some know only that.
///
/// # Errors
///
/// Where the name leads elsewhere: who asks for this host only must not be open to others.
fn of_this_host(mut addresses: Vec<SocketAddr>) -> Result<SocketAddr, String> {
    addresses.sort_by_key(SocketAddr::is_ipv6);
    match addresses.first() {
        Some(first) if addresses.iter().all(|it| it.ip().is_loopback()) => Ok(*first),
        Some(_) => Err(format!(
            "{THIS_HOST} is the name of other hosts here, too, as /etc/hosts has it; {EXAMPLES}"
        )),
        None => Err(format!("{THIS_HOST} has no address here; {EXAMPLES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text), Ok(expected.parse().unwrap()), "{text}");
    }

    #[test]
    fn an_address_a_port_or_both_are_understood() {
        check(DEFAULT, DEFAULT);
        check("0.0.0.0:0", "0.0.0.0:0");
        check("[::1]:4541", "[::1]:4541");
        check("8338", "127.0.0.1:8338");
        check("192.0.2.7", "192.0.2.7:8337");
        check("::1", "[::1]:8337");
        check("[::]", "[::]:8337");
    }

    #[test]
    fn localhost_is_this_host_alone() {
        for text in ["localhost:4541", "LOCALHOST:4541", "localhost"] {
            let address = parse(text).unwrap();
            assert!(address.ip().is_loopback(), "{address}");
            let port = if text == "localhost" { 8337 } else { 4541 };
            assert_eq!(address.port(), port);
        }
        let of =
            |texts: &[&str]| of_this_host(texts.iter().map(|it| it.parse().unwrap()).collect());
        assert_eq!(
            of(&["[::1]:1", "127.0.0.1:1"]),
            Ok("127.0.0.1:1".parse().unwrap())
        );
        assert_eq!(of(&["[::1]:1"]), Ok("[::1]:1".parse().unwrap()));
        assert!(of(&["127.0.0.1:1", "192.0.2.7:1"]).is_err());
        assert!(of(&[]).is_err());
    }

    #[test]
    fn what_is_no_address_is_told_with_an_example() {
        for text in [
            "",
            ":",
            "80000",
            "127.0.0.1:80000",
            "127.0.0.1:",
            "localhost:",
            "localhost:http",
            "nvr.lan:8337",
            "nvr.lan",
            "1.2.3",
            "[::1",
            "-1",
            "+80",
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains("127.0.0.1:8337"), "{text:?}: {said}");
            let is_port = text.ends_with("80000");
            assert_eq!(said.contains("65535"), is_port, "{text:?}: {said}");
        }
    }
}
