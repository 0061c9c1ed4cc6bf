//! Many frames of raw Ethernet, between two interfaces of one network namespace that are connected in the kernel. Without root the tests say
//! that nothing was tested.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use sdvr_frame::LinkAddress;
use sdvr_test_link::{Link, Settings, Side};
use sdvr_transport::{
    DatagramBuffer, DatagramSocket, Interest, Poller, Sent, bind_ethernet, ethernet_for_server,
};
use socket2::SockRef;

const ETHERTYPE: u16 = 0x1337;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const FRAME_BYTES: u16 = 1_500;

/// A client, its server's address, and the server's sockets.
struct Ends {
    client: DatagramSocket,
    to: LinkAddress,
    server: Vec<DatagramSocket>,
    buffer: DatagramBuffer,
    namespace: Link,
}

/// Over two interfaces that hand each other's frames over.
fn ends(shards: usize) -> Option<Ends> {
    let namespace = Link::for_test(&Settings::default())?;
    let (client, to, server) = namespace.enter(Side::A, || {
        let server_mac = "02:73:64:76:72:0b";
        for arguments in [
            "link add left type veth peer name right",
            &format!("link set right address {server_mac} addrgenmode none up"),
            "link set left address 02:73:64:76:72:0a addrgenmode none up",
        ] {
            configure("ip", arguments);
        }
        let server = bind_ethernet("right", ETHERTYPE, shards).unwrap();
        let mac = server_mac.parse().unwrap();
        let (client, to) = ethernet_for_server("left", ETHERTYPE, mac).unwrap();
        (client, to, server)
    });
    Some(Ends {
        client,
        to,
        server,
        buffer: DatagramBuffer::default(),
        namespace,
    })
}

/// So many datagrams of one session, one after the other, each with its number.
fn numbered(first: u32, count: usize) -> Vec<u8> {
    let [low, high] = FRAME_BYTES.to_le_bytes();
    let one = |number: u32| {
        let mut datagram = vec![0x10, 0, low, high, 0, 0, 0, 0];
        datagram.extend_from_slice(&number.to_le_bytes());
        datagram.resize(FRAME_BYTES.into(), 7);
        datagram
    };
    let datagrams: Vec<Vec<u8>> = (first..).take(count).map(one).collect();
    datagrams.concat()
}

fn number_of(datagram: &[u8]) -> u32 {
    assert_eq!(datagram.len(), usize::from(FRAME_BYTES));
    u32::from_le_bytes(*datagram[8..].first_chunk().unwrap())
}

/// Does something to the network by a program of iproute2; to be done in a network namespace.
fn configure(program: &str, arguments: &str) {
    let status = Command::new(program).args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "{program} {arguments}");
}

/// Asserts that nothing has arrived.
#[track_caller]
fn assert_nothing(socket: &DatagramSocket) {
    let count = socket.receive(&mut DatagramBuffer::default(), |_, _| {});
    assert_eq!(count.unwrap(), 0);
}

impl Ends {
    /// Takes what comes to the shard's socket until nothing is under way any more: all that was sent was received or dropped.
    #[track_caller]
    fn receive_the_rest(&mut self, sent: u32, received: &mut Vec<u32>) {
        let socket = &self.server[1];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let more = socket.receive(&mut self.buffer, |_, datagram| {
                received.push(number_of(datagram));
            });
            let arrived = u32::try_from(received.len()).unwrap();
            let dropped = socket.dropped().unwrap();
            if more.unwrap() == 0 && arrived + dropped == sent {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{arrived} received and {dropped} dropped of {sent}"
            );
        }
    }
}

#[test]
fn a_hundred_thousand_frames_arrive_in_order_when_they_are_taken_in_time() {
    let Some(mut ends) = ends(1) else { return };
    let at_once = ends.client.most_at_once(FRAME_BYTES.into());
    assert!(at_once >= 32, "{at_once}");
    let mut received = Vec::new();
    let mut sent: u32 = 0;
    while sent < 100_000 {
        let datagrams = numbered(sent, at_once);
        let taken = ends.client.send(ends.to, &datagrams, FRAME_BYTES.into());
        assert_eq!(taken.unwrap(), Sent::Taken);
        sent += u32::try_from(at_once).unwrap();
        ends.receive_the_rest(sent, &mut received);
    }
    assert_eq!(ends.server[1].dropped().unwrap(), 0);
    assert!(received.iter().copied().eq(0..sent));
}

#[test]
fn what_the_kernel_has_no_room_for_is_counted() {
    let Some(mut ends) = ends(1) else { return };
    let mut sent: u32 = 0;
    while ends.server[1].dropped().unwrap() < 100 {
        assert!(sent < 1_000_000, "the buffer has no end");
        let taken = ends
            .client
            .send(ends.to, &numbered(sent, 8), FRAME_BYTES.into());
        assert_eq!(taken.unwrap(), Sent::Taken);
        sent += 8;
    }
    // Reading it changes nothing.
    assert!(ends.server[1].dropped().unwrap() >= 100);
    assert_eq!(ends.server[0].dropped().unwrap(), 0);
    let mut received = Vec::new();
    ends.receive_the_rest(sent, &mut received);
    assert!(received.is_sorted());
    assert!(received.len() > 1_000, "{} frames fill it", received.len());
    // And then there is room again.
    let before = ends.server[1].dropped().unwrap();
    ends.client
        .send(ends.to, &numbered(sent, 8), FRAME_BYTES.into())
        .unwrap();
    ends.receive_the_rest(sent + 8, &mut received);
    assert_eq!(ends.server[1].dropped().unwrap(), before);
}

#[test]
fn an_interface_that_is_taken_away_is_a_loss_and_no_error() {
    let Some(mut ends) = ends(1) else { return };
    let poller = Poller::new().unwrap();
    for socket in &ends.server {
        poller.add(socket, 0, Interest::Read).unwrap();
    }
    ends.namespace
        .enter(Side::A, || configure("ip", "link del right"));
    let sent = ends
        .client
        .send(ends.to, &numbered(0, 3), FRAME_BYTES.into());
    assert_eq!(sent.unwrap(), Sent::Lost);
    let mut ready = Vec::new();
    for socket in &mut ends.server {
        poller.wait(Some(PATIENCE), &mut ready).unwrap();
        assert_nothing(socket);
        let sent = socket.send(ends.to, &numbered(0, 1), FRAME_BYTES.into());
        assert_eq!(sent.unwrap(), Sent::Lost);
    }
    poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
    assert_eq!(ready, [], "it is told once");
}

/// Over an interface that takes its time, by a socket that holds few frames. A quarter of a millisecond for each frame is longer than any machine
/// needs to hand one over: with a tenth of that, one that was busy never filled the socket.
#[test]
fn what_was_not_taken_can_be_sent_again_without_loss_or_repetition() {
    let Some(mut ends) = ends(1) else { return };
    ends.namespace.enter(Side::A, || {
        let slow = "qdisc add dev left root tbf rate 50mbit burst 20000 limit 10000000";
        configure("tc", slow);
    });
    SockRef::from(&ends.client)
        .set_send_buffer_size(10_000)
        .unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&ends.client, 0, Interest::Write).unwrap();
    let mut received = Vec::new();
    let mut was_full = false;
    for first in (0..3_200).step_by(64) {
        let datagrams = numbered(first, 64);
        let mut rest = &datagrams[..];
        loop {
            match ends.client.send(ends.to, rest, FRAME_BYTES.into()).unwrap() {
                Sent::Taken => break,
                Sent::Full { taken } => {
                    was_full = true;
                    rest = &rest[taken * usize::from(FRAME_BYTES)..];
                    poller.wait(Some(PATIENCE), &mut Vec::new()).unwrap();
                }
                Sent::Lost => panic!("lost"),
            }
        }
        ends.receive_the_rest(first + 64, &mut received);
    }
    assert!(was_full);
    assert!(received.iter().copied().eq(0..3_200));
}

#[test]
fn frames_that_become_longer_while_the_server_runs_are_whole_and_in_order() {
    let Some(mut ends) = ends(1) else { return };
    let longer = 9_000_u16;
    let (client, to) = ends.namespace.enter(Side::A, || {
        for side in ["left", "right"] {
            configure("ip", &format!("link set {side} mtu {longer}"));
        }
        let server = "02:73:64:76:72:0b".parse().unwrap();
        ethernet_for_server("left", ETHERTYPE, server).unwrap()
    });
    let datagram = |number: u8, bytes: u16| {
        let [low, high] = bytes.to_le_bytes();
        let mut datagram = vec![0x10, 0, low, high, 0, 0, 0, 0];
        datagram.resize(bytes.into(), number);
        datagram
    };
    let mut sent = Vec::new();
    for number in 0..60 {
        let bytes = if number % 3 == 0 { longer } else { FRAME_BYTES };
        let datagram = datagram(number, bytes);
        assert_eq!(
            client.send(to, &datagram, datagram.len()).unwrap(),
            Sent::Taken
        );
        sent.push(datagram);
    }
    let mut received = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while received.len() < sent.len() {
        let take = |_, datagram: &mut [u8]| received.push(datagram.to_vec());
        ends.server[1].receive(&mut ends.buffer, take).unwrap();
        assert!(Instant::now() < deadline, "{} came", received.len());
    }
    assert!(received == sent);
}

#[test]
fn an_interface_that_is_removed_is_told_of() {
    let Some(mut ends) = ends(1) else { return };
    let poller = Poller::new().unwrap();
    poller.add(&ends.server[0], 0, Interest::Read).unwrap();
    assert_eq!(ends.server[0].lost_interface(), None);
    ends.namespace
        .enter(Side::A, || configure("ip", "link delete right"));
    let mut ready = Vec::new();
    poller.wait(Some(PATIENCE), &mut ready).unwrap();
    assert_eq!(ready.len(), 1);
    for socket in &ends.server {
        let received = socket.receive(&mut ends.buffer, |_, _| {});
        assert_eq!(received.unwrap(), 0);
        assert_eq!(socket.lost_interface().unwrap().name(), "right");
    }
}
