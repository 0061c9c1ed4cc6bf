//! Raw Ethernet between two network namespaces. Each test has a link of its own; without root they say that nothing was tested.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sdvr_frame::{Interface, LinkAddress, MacAddress};
use sdvr_test_link::{INTERFACE, Link, RawSocket, Settings, Side};
use sdvr_transport::{
    BoundTo, DatagramBuffer, DatagramSocket, Interest, Poller, Sent, bind_ethernet,
    ethernet_for_server,
};

const ETHERTYPE: u16 = 0x1337;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn link() -> Option<Link> {
    Link::for_test(&Settings::default())
}

fn mac(side: Side) -> MacAddress {
    MacAddress(side.mac())
}

fn server(link: &Link, shards: usize) -> Vec<DatagramSocket> {
    let bound = link.enter(Side::B, || bind_ethernet(INTERFACE, ETHERTYPE, shards));
    bound.unwrap()
}

fn client(link: &Link) -> (DatagramSocket, LinkAddress) {
    let bound = link.enter(Side::A, || {
        ethernet_for_server(INTERFACE, ETHERTYPE, mac(Side::B))
    });
    bound.unwrap()
}

/// Asserts that nothing has arrived.
#[track_caller]
fn assert_nothing(socket: &DatagramSocket) {
    let count = socket.receive(&mut DatagramBuffer::default(), |_, _| {});
    assert_eq!(count.unwrap(), 0);
}

/// All that arrives until `count` datagrams have, with their senders' addresses.
#[track_caller]
fn receive(socket: &mut DatagramSocket, count: usize) -> Vec<(LinkAddress, Vec<u8>)> {
    let mut received = Vec::new();
    let deadline = Instant::now() + PATIENCE;
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

/// A datagram that says its length; `index` is of the session, if it is of one.
fn datagram(kind: u8, index: u32, length: u16) -> Vec<u8> {
    let [low, high] = length.to_le_bytes();
    let mut datagram = vec![kind, 0, low, high];
    datagram.extend_from_slice(&index.to_le_bytes());
    datagram.resize(length.into(), 7);
    datagram
}

/// A frame from one card to another.
fn frame(to: MacAddress, from: MacAddress, ethertype: u16, carried: &[u8]) -> Vec<u8> {
    let ethertype = ethertype.to_be_bytes();
    [&to.0[..], &from.0, &ethertype, carried].concat()
}

#[test]
fn a_datagram_and_its_answer_pass_between_two_cards() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 1);
    let (mut client, to) = client(&link);
    assert_eq!(to.to_string(), "02:73:64:76:72:02 on sdvr0");
    let question = datagram(1, 0, 256);
    assert_eq!(client.send(to, &question, 256).unwrap(), Sent::Taken);
    let (from, received) = receive(&mut sockets[0], 1).remove(0);
    assert_eq!(received, question);
    assert_eq!(from.to_string(), "02:73:64:76:72:01 on sdvr0");
    // From a shard's socket, too.
    let answers: Vec<Vec<u8>> = (0..2).map(|kind| datagram(kind, 0, 20)).collect();
    for (socket, answer) in sockets.iter().zip(&answers) {
        assert_eq!(socket.send(from, answer, 20).unwrap(), Sent::Taken);
    }
    let received = receive(&mut client, 2);
    assert_eq!(
        received,
        [(to, answers[0].clone()), (to, answers[1].clone())]
    );
}

#[test]
fn what_belongs_to_a_session_goes_to_its_shard_and_all_else_to_the_first_socket() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 3);
    let (client, to) = client(&link);
    check_steering(&mut sockets, &client, to);
}

#[track_caller]
fn check_steering(sockets: &mut [DatagramSocket], client: &DatagramSocket, to: LinkAddress) {
    for index in 0..90_u32 {
        // Only the low byte counts.
        let data = datagram(0x10, (index % 9) | (index << 8), 100);
        assert_eq!(client.send(to, &data, 100).unwrap(), Sent::Taken);
    }
    let others = [
        datagram(1, 1, 256),
        datagram(3, 2, 256),
        datagram(0x11, 1, 8),
    ];
    for other in &others {
        assert_eq!(client.send(to, other, other.len()).unwrap(), Sent::Taken);
    }
    let (door, shards) = sockets.split_first_mut().unwrap();
    let received = receive(door, others.len());
    assert!(received.iter().map(|(_, datagram)| datagram).eq(&others));
    for (shard, socket) in (0..).zip(shards) {
        let received = receive(socket, 30);
        assert!(received.iter().all(|(_, data)| data[4] % 3 == shard));
        assert_nothing(socket);
    }
    assert_nothing(door);
}

#[test]
fn what_comes_while_a_server_starts_comes_to_the_first_socket_alone() {
    let Some(link) = link() else { return };
    let (client, to) = client(&link);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.send(to, &datagram(1, 0, 60), 60).unwrap();
            }
        });
        let starts = scope.spawn(|| {
            for _ in 0..10 {
                let mut sockets = server(&link, 8);
                let (door, shards) = sockets.split_first_mut().unwrap();
                receive(door, 10);
                shards.iter().for_each(assert_nothing);
            }
        });
        let outcome = starts.join();
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn padding_is_cut_and_nonsense_is_handed_over_as_it_came() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 0);
    let raw = link.enter(Side::A, || RawSocket::new(ETHERTYPE)).unwrap();
    let padded = |datagram: &[u8], to: usize| {
        let mut carried = datagram.to_vec();
        carried.resize(to, 0xee);
        carried
    };
    let cases: [(Vec<u8>, Vec<u8>); 7] = [
        (padded(&datagram(1, 0, 20), 46), datagram(1, 0, 20)),
        (padded(&datagram(1, 0, 256), 1_500), datagram(1, 0, 256)),
        (datagram(1, 0, 46), datagram(1, 0, 46)),
        // Longer than the frame; without room for a length; nothing at all.
        (vec![1, 0, 0xff, 0xff, 9, 9], vec![1, 0, 0xff, 0xff, 9, 9]),
        (vec![1, 0, 4], vec![1, 0, 4]),
        (vec![1, 0, 0, 0, 5], vec![]),
        (vec![], vec![]),
    ];
    for (carried, _) in &cases {
        let frame = frame(mac(Side::B), mac(Side::A), ETHERTYPE, carried);
        raw.send(&frame).unwrap();
    }
    let received = receive(&mut sockets[0], cases.len());
    let expected: Vec<Vec<u8>> = cases.into_iter().map(|(_, expected)| expected).collect();
    let received: Vec<Vec<u8>> = received.into_iter().map(|(_, datagram)| datagram).collect();
    assert_eq!(received, expected);
}

#[test]
fn frames_are_as_long_as_the_interface_allows() {
    for mtu_bytes in [1_500_u16, 9_000, 65_521] {
        let settings = Settings {
            mtu_bytes: mtu_bytes.into(),
            ..Settings::default()
        };
        let Some(link) = Link::for_test(&settings) else {
            return;
        };
        let mut sockets = server(&link, 1);
        let (client, to) = client(&link);
        assert_eq!(client.most_datagram_bytes(), mtu_bytes);
        assert_eq!(sockets[0].most_datagram_bytes(), mtu_bytes);
        let longest = datagram(1, 0, mtu_bytes);
        assert_eq!(
            client.send(to, &longest, longest.len()).unwrap(),
            Sent::Taken
        );
        let too_long = datagram(1, 0, mtu_bytes + 1);
        assert_eq!(
            client.send(to, &too_long, too_long.len()).unwrap(),
            Sent::Lost
        );
        let after = datagram(2, 0, 40);
        assert_eq!(client.send(to, &after, after.len()).unwrap(), Sent::Taken);
        let received = receive(&mut sockets[0], 2);
        let received: Vec<Vec<u8>> = received.into_iter().map(|(_, datagram)| datagram).collect();
        assert_eq!(received, [longest, after]);
    }
}

#[test]
fn only_what_is_sent_to_this_card_in_this_ethertype_is_seen() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 1);
    let (mut client, to) = client(&link);
    let [a, b] = Side::ALL.map(mac);
    let stranger = MacAddress([2, 0, 0, 0, 0, 9]);
    let everybody = MacAddress([0xff; 6]);
    // The server's but for its beginning, and but for its end.
    let near = [
        [0x06, 0x73, 0x64, 0x76, 0x72, 0x02],
        [0x02, 0x73, 0x64, 0x76, 0x72, 0x03],
    ];
    let [near_begin, near_end] = near.map(MacAddress);
    let raw = |side, ethertype| link.enter(side, || RawSocket::new(ethertype)).unwrap();
    let says = |text: u8| datagram(text, 0, 60);
    for ethertype in [0x1338_u16, 0x88b5, ETHERTYPE] {
        let from_a = raw(Side::A, ethertype);
        let from_b = raw(Side::B, ethertype);
        for sender in [
            everybody,
            MacAddress([0x03, 0, 0, 0, 0, 9]),
            MacAddress([0; 6]),
        ] {
            from_a.send(&frame(b, sender, ethertype, &says(7))).unwrap();
        }
        for receiver in [stranger, everybody, b] {
            let is_meant = receiver == b && ethertype == ETHERTYPE;
            let content = says(if is_meant { 1 } else { 2 });
            from_a
                .send(&frame(receiver, a, ethertype, &content))
                .unwrap();
        }
        for (receiver, sender) in [
            (stranger, b),
            (everybody, b),
            (a, stranger),
            (a, near_begin),
            (a, near_end),
            (a, b),
        ] {
            let is_meant = (receiver, sender, ethertype) == (a, b, ETHERTYPE);
            let content = says(if is_meant { 3 } else { 4 });
            from_b
                .send(&frame(receiver, sender, ethertype, &content))
                .unwrap();
        }
    }
    let to_self = LinkAddress::Ethernet {
        interface: Interface::new(1, "any").unwrap(),
        mac: a,
    };
    // A server hears neither itself nor a client beside it.
    assert_eq!(client.send(to_self, &says(5), 60).unwrap(), Sent::Taken);
    let from_self = LinkAddress::Ethernet {
        interface: Interface::new(1, "any").unwrap(),
        mac: b,
    };
    assert_eq!(
        sockets[1].send(from_self, &says(6), 60).unwrap(),
        Sent::Taken
    );
    assert_eq!(client.send(to, &says(1), 60).unwrap(), Sent::Taken);
    let heard = receive(&mut sockets[0], 2);
    assert_eq!(
        heard,
        [(address(&link, a), says(1)), (address(&link, a), says(1))]
    );
    assert_eq!(receive(&mut client, 1), [(to, says(3))]);
    for socket in sockets.iter_mut().chain([&mut client]) {
        assert_nothing(socket);
    }
}

/// A card as who listens on the link's interface is told of it.
fn address(link: &Link, mac: MacAddress) -> LinkAddress {
    let bound = link
        .enter(Side::B, || bind_ethernet(INTERFACE, 0x1338, 0))
        .unwrap();
    let BoundTo::Ethernet { interface, .. } = bound[0].bound_to() else {
        panic!("{}", bound[0].bound_to());
    };
    LinkAddress::Ethernet { interface, mac }
}

#[test]
fn an_interface_that_was_down_is_used_again_and_shards_keep_what_is_theirs() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 3);
    let (mut client, to) = client(&link);
    check_steering(&mut sockets, &client, to);
    for side in [Side::B, Side::A, Side::B] {
        link.set_down(side).unwrap();
        if side == Side::A {
            assert_eq!(
                client.send(to, &datagram(1, 0, 60), 60).unwrap(),
                Sent::Lost
            );
        }
        for socket in sockets.iter_mut().chain([&mut client]) {
            assert_nothing(socket);
        }
        link.set_up(side).unwrap();
        check_steering(&mut sockets, &client, to);
    }
}

#[test]
fn a_server_may_start_before_its_interface_is_up() {
    let Some(link) = link() else { return };
    link.set_down(Side::B).unwrap();
    let mut sockets = server(&link, 3);
    for socket in &mut sockets {
        assert_nothing(socket);
    }
    link.set_up(Side::B).unwrap();
    let (client, to) = client(&link);
    check_steering(&mut sockets, &client, to);
}

#[test]
fn a_poller_tells_of_datagrams_and_not_for_ever_of_an_interface_that_is_down() {
    let Some(link) = link() else { return };
    let mut sockets = server(&link, 0);
    let (client, to) = client(&link);
    let poller = Poller::new().unwrap();
    poller.add(&sockets[0], 7, Interest::Read).unwrap();
    let mut ready = Vec::new();
    client.send(to, &datagram(1, 0, 60), 60).unwrap();
    poller.wait(Some(PATIENCE), &mut ready).unwrap();
    assert!(ready[0].readable && ready[0].token == 7);
    receive(&mut sockets[0], 1);
    link.set_down(Side::B).unwrap();
    poller.wait(Some(PATIENCE), &mut ready).unwrap();
    assert!(ready[0].readable, "it is told of being down");
    assert_nothing(&sockets[0]);
    poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
    assert_eq!(ready, []);
}
