//! UDP sockets over loopback.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sdvr_frame::LinkAddress;
use sdvr_transport::{BoundTo, DatagramBuffer, DatagramSocket, Sent, bind_udp, udp_for_server};

fn bind(address: Option<&str>, shards: usize) -> (Vec<DatagramSocket>, u16) {
    let address = address.map(|address| address.parse::<IpAddr>().unwrap());
    let sockets = bind_udp(address, 0, shards).unwrap();
    let port = address_of(&sockets[0]).port();
    (sockets, port)
}

fn address_of(socket: &DatagramSocket) -> SocketAddr {
    match socket.bound_to() {
        BoundTo::Udp(address) => address,
        other @ BoundTo::Ethernet { .. } => panic!("{other}"),
    }
}

fn send(socket: &DatagramSocket, to: SocketAddr, datagrams: &[u8], each_bytes: usize) -> Sent {
    let to = LinkAddress::from(to);
    socket.send(to, datagrams, each_bytes).unwrap()
}

/// Asserts that nothing has arrived.
#[track_caller]
fn assert_nothing(socket: &DatagramSocket) {
    let count = socket.receive(&mut DatagramBuffer::default(), |_, _| {});
    assert_eq!(count.unwrap(), 0);
}

/// All that arrives until `count` datagrams have, with their senders' addresses.
fn receive(socket: &mut DatagramSocket, count: usize) -> Vec<(LinkAddress, Vec<u8>)> {
    let mut received = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut buffer = DatagramBuffer::default();
    while received.len() < count {
        assert!(Instant::now() < deadline, "{} of {count}", received.len());
        let more = socket
            .receive(&mut buffer, |from, datagram| {
                received.push((from, datagram.to_vec()))
            })
            .unwrap();
        if more == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    received
}

fn data(index: u32, rest: usize) -> Vec<u8> {
    let mut datagram = vec![0x10, 0, 0, 0];
    datagram.extend_from_slice(&index.to_le_bytes());
    datagram.resize(8 + rest, 7);
    datagram
}

#[test]
fn datagrams_arrive_over_both_families_with_their_senders() {
    for (bound, server) in [
        (Some("127.0.0.1"), "127.0.0.1"),
        (Some("::1"), "::1"),
        (None, "127.0.0.1"),
        (None, "::1"),
    ] {
        if server == "::1" && std::net::UdpSocket::bind("[::1]:0").is_err() {
            eprintln!("not tested: this host has no IPv6");
            continue;
        }
        let (mut sockets, port) = bind(bound, 1);
        let server = SocketAddr::new(server.parse().unwrap(), port);
        let mut client = udp_for_server(server).unwrap();
        assert_eq!(send(&client, server, b"hello", 5), Sent::Taken);
        let received = receive(&mut sockets[0], 1);
        let (from, datagram) = &received[0];
        assert_eq!(datagram, b"hello");
        let LinkAddress::Udp {
            address,
            reply_from,
        } = from
        else {
            panic!("{from}");
        };
        assert_eq!(address.ip(), server.ip(), "an IPv4 sender is shown as one");
        assert_eq!(reply_from.ip(), bound.is_none().then_some(server.ip()));
        assert_eq!(sockets[0].send(*from, b"answer", 6).unwrap(), Sent::Taken);
        assert_eq!(receive(&mut client, 1)[0].1, b"answer");
    }
}

#[test]
fn what_belongs_to_a_session_goes_to_its_shard_and_all_else_to_the_first_socket() {
    for (bound, server) in [
        (Some("127.0.0.1"), "127.0.0.1"),
        (None, "127.0.0.1"),
        (None, "::1"),
    ] {
        if server == "::1" && std::net::UdpSocket::bind("[::1]:0").is_err() {
            eprintln!("not tested: this host has no IPv6");
            continue;
        }
        let (mut sockets, port) = bind(bound, 3);
        check_steering(&mut sockets, SocketAddr::new(server.parse().unwrap(), port));
    }
}

#[track_caller]
fn check_steering(sockets: &mut [DatagramSocket], server: SocketAddr) {
    for sender in 0..10_u32 {
        let client = udp_for_server(server).unwrap();
        for index in 0..9_u32 {
            // Only the low byte counts.
            let datagram = data(index | sender << 8, 100);
            send(&client, server, &datagram, datagram.len());
        }
        let others: [&[u8]; 4] = [&[1, 2, 3, 4, 5, 6, 7], &[0x10], &[0x10, 0, 0, 0], &[3]];
        for other in others {
            send(&client, server, other, other.len());
        }
    }
    assert_eq!(receive(&mut sockets[0], 40).len(), 40);
    for (shard, socket) in (0..).zip(sockets.iter_mut().skip(1)) {
        let received = receive(socket, 30);
        let is_its_own = |(_, datagram): &(LinkAddress, Vec<u8>)| datagram[4] % 3 == shard;
        assert!(received.iter().all(is_its_own));
        assert_eq!(received.len(), 30);
        assert_nothing(socket);
    }
}

#[test]
fn many_datagrams_sent_at_once_arrive_each_whole() {
    let (mut sockets, port) = bind(Some("127.0.0.1"), 1);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let client = udp_for_server(server).unwrap();
    let count = client.most_at_once(1200).min(40);
    assert!(count > 10, "{count}");
    let mut datagrams: Vec<Vec<u8>> = vec![data(0, 1192); count];
    for (number, datagram) in datagrams.iter_mut().enumerate() {
        datagram[8] = number as u8;
    }
    datagrams.last_mut().unwrap().truncate(100);
    let sent = send(&client, server, &datagrams.concat(), 1200);
    assert_eq!(sent, Sent::Taken);
    let received = receive(&mut sockets[1], count);
    let received: Vec<Vec<u8>> = received.into_iter().map(|(_, datagram)| datagram).collect();
    assert_eq!(received, datagrams);
}

/// The kernel may ask once for all of them which socket gets them.
#[test]
fn what_is_sent_at_once_arrives_though_it_belongs_to_several() {
    let (mut sockets, port) = bind(Some("127.0.0.1"), 2);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let client = udp_for_server(server).unwrap();
    let mut datagrams = vec![data(0, 92), data(1, 92), data(0, 92), vec![1; 50]];
    let sent = send(&client, server, &datagrams.concat(), 100);
    assert_eq!(sent, Sent::Taken);
    let mut received = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut buffer = DatagramBuffer::default();
    while received.len() < datagrams.len() {
        assert!(Instant::now() < deadline, "{}", received.len());
        for socket in &mut sockets {
            let take = |_: LinkAddress, datagram: &mut [u8]| received.push(datagram.to_vec());
            socket.receive(&mut buffer, take).unwrap();
        }
    }
    received.sort();
    datagrams.sort();
    assert_eq!(received, datagrams);
}

#[test]
fn what_the_kernel_has_no_room_for_is_counted() {
    let (mut sockets, port) = bind(Some("127.0.0.1"), 1);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let client = udp_for_server(server).unwrap();
    assert_eq!(sockets[1].dropped().unwrap(), 0);
    let datagram = data(0, 1192);
    let mut sent = 0;
    while sockets[1].dropped().unwrap() == 0 {
        assert!(sent < 1_000_000, "the buffer has no end");
        let taken = send(&client, server, &datagram, datagram.len());
        assert_eq!(taken, Sent::Taken);
        sent += 1;
    }
    let arrived = sent - sockets[1].dropped().unwrap() as usize;
    assert_eq!(receive(&mut sockets[1], arrived).len(), arrived);
    assert_nothing(&sockets[1]);
}

#[test]
fn nobody_there_and_too_long_is_a_loss_and_no_error() {
    let (sockets, port) = bind(Some("127.0.0.1"), 0);
    drop(sockets);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let client = udp_for_server(server).unwrap();
    for _ in 0..10 {
        let sent = send(&client, server, b"anybody?", 8);
        assert!(!matches!(sent, Sent::Full { .. }), "{sent:?}");
        client
            .receive(&mut DatagramBuffer::default(), |_, _| {})
            .unwrap();
    }
    let nowhere: SocketAddr = "240.0.0.1:9".parse().unwrap();
    send(&client, nowhere, b"x", 1);
    let long = vec![0; 65_530];
    assert_eq!(send(&client, server, &long, long.len()), Sent::Lost);
}

#[test]
fn an_empty_datagram_is_nothing_and_hides_nothing() {
    let (mut sockets, port) = bind(Some("127.0.0.1"), 1);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let client = udp_for_server(server).unwrap();
    for datagram in [&b""[..], b"x", b"", b"y"] {
        send(&client, server, datagram, datagram.len());
    }
    let received = receive(&mut sockets[0], 2);
    assert_eq!((&*received[0].1, &*received[1].1), (&b"x"[..], &b"y"[..]));
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let (_sockets, port) = bind(Some("127.0.0.1"), 2);
    let address = "127.0.0.1".parse().unwrap();
    let error = bind_udp(Some(address), port, 2).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
