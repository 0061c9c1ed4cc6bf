//! Where datagrams of UDP come from and go to: hosts with several addresses, links that an address needs, addresses that nothing reaches.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sdvr_frame::{Interface, LinkAddress, MacAddress, ReplyFrom};
use sdvr_test_link::{INTERFACE, Link, Settings, Side};
use sdvr_transport::{BoundTo, DatagramBuffer, DatagramSocket, Sent, bind_udp, udp_for_server};
use socket2::{Domain, Socket, Type};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn port_of(socket: &DatagramSocket) -> u16 {
    match socket.bound_to() {
        BoundTo::Udp(address) => address.port(),
        other @ BoundTo::Ethernet { .. } => panic!("{other}"),
    }
}

/// The only datagram that comes, with its sender's address.
#[track_caller]
fn receive(socket: &mut DatagramSocket) -> (LinkAddress, Vec<u8>) {
    let mut received = receive_many(socket, 1);
    assert_eq!(received.len(), 1);
    received.remove(0)
}

/// All that arrives until `count` datagrams have, with their senders' addresses.
#[track_caller]
fn receive_many(socket: &mut DatagramSocket, count: usize) -> Vec<(LinkAddress, Vec<u8>)> {
    let deadline = Instant::now() + PATIENCE;
    let mut received = Vec::new();
    let mut buffer = DatagramBuffer::default();
    while received.len() < count {
        assert!(Instant::now() < deadline, "{} of {count}", received.len());
        let more = socket.receive(&mut buffer, |from, datagram| {
            received.push((from, datagram.to_vec()))
        });
        if more.unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    received
}

/// Asks a server on all addresses at one of them, as a client that takes answers from that one only.
#[track_caller]
fn check_answer(server: &mut [DatagramSocket], client: &UdpSocket, asked: SocketAddr) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(asked).unwrap();
    client.send(b"question").unwrap();
    let (from, question) = receive(&mut server[0]);
    assert_eq!(question, b"question");
    let LinkAddress::Udp { address, .. } = from else {
        panic!("{from}");
    };
    assert_eq!(address, client.local_addr().unwrap());
    // One alone, and several that the kernel takes apart, from another socket of the group.
    assert_eq!(server[0].send(from, b"answer", 6).unwrap(), Sent::Taken);
    assert_eq!(server[1].send(from, b"parts", 3).unwrap(), Sent::Taken);
    let mut buffer = [0; 100];
    for expected in [&b"answer"[..], b"par", b"ts"] {
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], expected);
    }
}

#[test]
fn a_server_on_all_addresses_answers_from_the_one_that_was_asked() {
    let mut server = bind_udp(None, 0, 1).unwrap();
    let port = port_of(&server[0]);
    for asked in ["127.0.0.1", "127.0.0.2", "127.255.255.254"] {
        // The way back to 127.0.0.1 begins there, whatever was asked.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        check_answer(
            &mut server,
            &client,
            SocketAddr::new(asked.parse().unwrap(), port),
        );
    }
}

#[test]
fn a_server_answers_from_the_ipv6_address_that_was_asked_and_over_the_link_of_a_local_one() {
    let Some(link) = Link::for_test(&Settings::default()) else {
        return;
    };
    for (side, addresses) in [
        (Side::A, &["fe80::a"][..]),
        (Side::B, &["fd77::99", "fe80::b"]),
    ] {
        for address in addresses {
            let arguments = format!("address add {address}/64 dev {INTERFACE} nodad");
            let status = link.enter(side, || {
                Command::new("ip").args(arguments.split(' ')).status()
            });
            assert!(status.unwrap().success(), "ip {arguments}");
        }
    }
    let mut server = link.enter(Side::B, || bind_udp(None, 0, 1)).unwrap();
    let port = port_of(&server[0]);
    let index = link.enter(Side::A, || {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        rustix::net::netdevice::name_to_index(&socket, INTERFACE).unwrap()
    });
    for (own, asked) in [
        ("fd77::1".to_owned(), "fd77::2".to_owned()),
        ("fd77::1".to_owned(), "fd77::99".to_owned()),
        (format!("fe80::a%{index}"), format!("fe80::b%{index}")),
    ] {
        let bind = || UdpSocket::bind(format!("[{own}]:0"));
        let client = wait_for(|| link.enter(Side::A, bind).ok());
        check_answer(
            &mut server,
            &client,
            format!("[{asked}]:{port}").parse().unwrap(),
        );
    }
}

/// An address is there a little after it was added.
#[track_caller]
fn wait_for<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_server_on_one_address_needs_not_be_told_and_a_client_keeps_to_none() {
    let mut server = bind_udp(Some("127.0.0.1".parse().unwrap()), 0, 0).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port_of(&server[0])));
    let mut client = udp_for_server(address).unwrap();
    let reply_from = |from| match from {
        LinkAddress::Udp { reply_from, .. } => reply_from.ip(),
        LinkAddress::Ethernet { .. } => panic!("{from}"),
    };
    client.send(address.into(), b"x", 1).unwrap();
    let (from, _) = receive(&mut server[0]);
    assert_eq!(reply_from(from), None);
    server[0].send(from, b"y", 1).unwrap();
    let (from, _) = receive(&mut client);
    assert_eq!((from, reply_from(from)), (address.into(), None));
}

#[test]
fn an_address_that_nothing_reaches_is_a_loss_and_costs_the_others_nothing() {
    let server = bind_udp(None, 0, 1).unwrap();
    let at_once = server[1].most_at_once(1_200);
    assert!(at_once > 10, "{at_once}");
    let udp = |address: &str, reply_from| LinkAddress::Udp {
        address: address.parse().unwrap(),
        reply_from,
    };
    let own = |ip: &str| ReplyFrom::address(ip.parse::<IpAddr>().unwrap());
    let card = LinkAddress::Ethernet {
        interface: Interface::new(1, "eth0").unwrap(),
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
    };
    for nowhere in [
        udp("127.0.0.1:0", ReplyFrom::ANY),
        udp("[::1]:0", ReplyFrom::ANY),
        udp("255.255.255.255:9", ReplyFrom::ANY),
        udp("[fe80::1%4000000]:9", ReplyFrom::ANY),
        // From addresses that this host has not, or no more.
        udp("127.0.0.1:9", own("192.0.2.1")),
        udp("[::1]:9", own("2001:db8::1")),
        card,
    ] {
        for datagrams in [&[7; 100][..], &[7; 2_400]] {
            let sent = server[1].send(nowhere, datagrams, 1_200).unwrap();
            assert_eq!(sent, Sent::Lost, "{nowhere:?}");
        }
    }
    assert_eq!(server[1].most_at_once(1_200), at_once);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = LinkAddress::from(client.local_addr().unwrap());
    assert_eq!(server[1].send(to, &[7; 2_401], 1_200).unwrap(), Sent::Taken);
    let lengths = [(); 3].map(|()| client.recv(&mut [0; 2_000]).unwrap());
    assert_eq!(lengths, [1_200, 1_200, 1]);
}

/// As where an interface computes no checksums: the kernel takes no more than 128 apart.
#[test]
fn what_the_kernel_does_not_take_apart_is_sent_one_by_one() {
    let mut server = bind_udp(Some("127.0.0.1".parse().unwrap()), 0, 0).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port_of(&server[0])));
    let client = udp_for_server(address).unwrap();
    let datagrams: Vec<u8> = (0..=255).collect();
    let sent = client.send(address.into(), &datagrams, 1).unwrap();
    assert_eq!(sent, Sent::Taken);
    let received = receive_many(&mut server[0], datagrams.len());
    assert!(
        received
            .iter()
            .map(|(_, datagram)| &datagram[..])
            .eq(datagrams.chunks(1))
    );
}

#[test]
fn a_port_is_nobody_elses_though_he_would_share_it() {
    let sharing = |address: SocketAddr| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).map(|()| socket)
    };
    let foreign = sharing(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let taken = foreign.local_addr().unwrap().as_socket().unwrap();
    for address in [Some(taken.ip()), None] {
        let error = bind_udp(address, taken.port(), 2).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    }
    // And a server with one socket shares its own with nobody.
    let server = bind_udp(Some(taken.ip()), 0, 0).unwrap();
    let own = SocketAddr::new(taken.ip(), port_of(&server[0]));
    assert!(sharing(own).is_err());
}

#[test]
fn a_client_knows_how_long_datagrams_may_be_on_its_link() {
    let Some(link) = Link::for_test(&Settings::default()) else {
        return;
    };
    for (server, most_bytes) in [
        (link.ipv4(Side::B).into(), 1_472_u16),
        (IpAddr::from(link.ipv6(Side::B)), 1_452),
        ("192.0.2.1".parse().unwrap(), 65_507),
    ] {
        let to = SocketAddr::new(server, 9);
        let client = link.enter(Side::A, || udp_for_server(to)).unwrap();
        assert_eq!(client.most_datagram_bytes(), most_bytes, "{server}");
        let longest = vec![0; most_bytes.into()];
        let sent = client.send(to.into(), &longest, longest.len()).unwrap();
        let has_way = most_bytes < 2_000;
        assert_eq!(sent, if has_way { Sent::Taken } else { Sent::Lost });
        let too_long = vec![0; usize::from(most_bytes) + 1];
        let sent = client.send(to.into(), &too_long, too_long.len()).unwrap();
        assert_eq!(sent, Sent::Lost);
    }
}

#[test]
fn who_manages_the_network_has_room_and_who_does_not_is_told_how_to_get_it() {
    let mut own = capabilities(None).unwrap();
    if own.effective.contains(CapabilitySet::NET_ADMIN) {
        let sockets = bind_udp(Some("127.0.0.1".parse().unwrap()), 0, 1).unwrap();
        assert!(sockets.iter().all(|socket| socket.remedy().is_none()));
    } else {
        eprintln!("not tested in full: this needs the capability CAP_NET_ADMIN");
    }
    // Of this thread alone.
    own.effective.remove(CapabilitySet::NET_ADMIN);
    set_capabilities(None, own).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    let is_little = limit.trim().parse::<usize>().unwrap() < 1 << 20;
    let sockets = bind_udp(Some("127.0.0.1".parse().unwrap()), 0, 1).unwrap();
    for socket in &sockets {
        assert_eq!(socket.remedy().is_some(), is_little, "{limit}");
    }
}
