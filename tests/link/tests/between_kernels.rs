//! Real sockets in two network namespaces. Each test has a link of its own; without root they say that nothing was tested.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use sdvr_test_link::flow::{self, Carrier, Flow};
use sdvr_test_link::{
    Fate, Impairment, Jitter, Link, Loss, RawSocket, Reordering, Settings, Side, Verdict,
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this silence nothing comes any more. Only what must not come, and the end of what does, is waited for so long.
const SILENCE: Duration = Duration::from_millis(300);
/// IP's and UDP's headers.
const IPV4_HEADERS_BYTES: u64 = 28;
const IPV6_HEADERS_BYTES: u64 = 48;

fn link(impairment: Impairment, seed: u64) -> Option<Link> {
    Link::for_test(&Settings {
        seed,
        impairment,
        ..Settings::default()
    })
}

fn addresses(link: &Link, side: Side) -> [IpAddr; 2] {
    [link.ipv4(side).into(), link.ipv6(side).into()]
}

/// A socket in a side's namespace, with room for all that a test sends.
fn socket(link: &Link, side: Side, address: IpAddr) -> UdpSocket {
    let socket = link.enter(side, || UdpSocket::bind((address, 0))).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    set_socket_recv_buffer_size_force(&socket, 8 << 20).unwrap();
    socket
}

/// One socket on each side, for IPv4.
fn sockets(link: &Link) -> (UdpSocket, UdpSocket) {
    let of = |side| socket(link, side, link.ipv4(side).into());
    (of(Side::A), of(Side::B))
}

#[track_caller]
fn assert_receives(socket: &UdpSocket, expected: &[u8]) -> SocketAddr {
    let mut buffer = [0; 2_000];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..length], *expected);
    from
}

#[track_caller]
fn assert_silent(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let error = socket.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Sends datagrams that begin with their numbers, and an end mark when the link is `clean` again; gives what arrives before it.
fn send_numbers(link: &Link, sender: Side, count: u32, clean: Impairment) -> Vec<u32> {
    let of = |side| socket(link, side, link.ipv4(side).into());
    let (a, b) = (of(sender), of(sender.other()));
    let target = b.local_addr().unwrap();
    for number in 0..count {
        a.send_to(&number.to_le_bytes(), target).unwrap();
        // Not faster than a busy relay fetches them.
        if number.is_multiple_of(50) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    wait_until(|| link.counters(sender).sent == u64::from(count));
    link.impair(sender, clean);
    a.send_to(b"the end", target).unwrap();
    let mut arrived = Vec::new();
    loop {
        let mut buffer = [0; 100];
        match b.recv(&mut buffer).unwrap() {
            4 => arrived.push(u32::from_le_bytes(*buffer.first_chunk().unwrap())),
            _ => return arrived,
        }
    }
}

#[track_caller]
fn wait_until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it does not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn datagrams_pass_both_ways_by_ipv4_and_ipv6_and_are_all_that_is_counted() {
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    let pairs = addresses(&link, Side::A)
        .into_iter()
        .zip(addresses(&link, Side::B));
    for (own, other) in pairs {
        let (a, b) = (socket(&link, Side::A, own), socket(&link, Side::B, other));
        a.send_to(b"there", b.local_addr().unwrap()).unwrap();
        let from = assert_receives(&b, b"there");
        assert_eq!(from, a.local_addr().unwrap());
        b.send_to(b"and back", from).unwrap();
        assert_receives(&a, b"and back");
    }
    for (side, payload_bytes) in [(Side::A, 5), (Side::B, 8)] {
        let counters = link.counters(side);
        let bytes = IPV4_HEADERS_BYTES + IPV6_HEADERS_BYTES + 2 * payload_bytes;
        assert_eq!((counters.sent, counters.arrived), (2, 2));
        assert_eq!(
            (counters.sent_bytes, counters.arrived_bytes),
            (bytes, bytes)
        );
        assert_eq!(link.overruns(side), 0);
    }
}

/// The kernel gives an interface its IPv6 address some milliseconds before it takes what is sent to it.
#[test]
fn the_first_datagram_over_a_new_link_arrives() {
    for _ in 0..30 {
        let Some(link) = link(Impairment::default(), 1) else {
            return;
        };
        for sender in Side::ALL {
            let own = socket(&link, sender, link.ipv6(sender).into());
            let other = sender.other();
            let other = socket(&link, other, link.ipv6(other).into());
            own.send_to(b"first", other.local_addr().unwrap()).unwrap();
            assert_receives(&other, b"first");
        }
    }
}

#[test]
fn the_seed_says_which_datagrams_are_lost() {
    const COUNT: u32 = 1_000;
    for loss in [
        Loss::Random { share: 0.1 },
        Loss::Bursts {
            share: 0.1,
            frames: 5,
        },
    ] {
        let losing = Impairment {
            loss,
            ..Impairment::default()
        };
        let Some(link) = link(losing, 7) else {
            return;
        };
        let arrived = send_numbers(&link, Side::A, COUNT, Impairment::default());
        let mut fate = Fate::new(losing, 7);
        let expected: Vec<u32> = (0..COUNT)
            .filter(|_| fate.decide(Duration::ZERO, 32) != Verdict::Lost)
            .collect();
        assert_eq!(arrived, expected);
        let lost = u64::from(COUNT) - expected.len() as u64;
        assert!(lost > 50);
        assert_eq!(link.counters(Side::A).lost, lost);
        // The other direction has chances of its own.
        assert_eq!(link.counters(Side::B).sent, 0);
        let back = send_numbers(&link, Side::B, COUNT, Impairment::default());
        assert_ne!(back, expected);
        assert!(link.counters(Side::B).lost > 50);
    }
}

#[test]
fn datagrams_are_under_way_as_long_as_said() {
    let delay = Duration::from_millis(30);
    let Some(link) = link(
        Impairment {
            delay,
            ..Impairment::default()
        },
        1,
    ) else {
        return;
    };
    let flow = Flow {
        carrier: Carrier::Udp,
        size_bytes: 100,
        // So seldom that nothing else wakes who is to hand the frame out.
        bits_per_second: 8_000,
        lasting: Duration::from_secs(1),
    };
    for sender in Side::ALL {
        let outcome = flow::run(&link, sender, &flow).unwrap();
        assert_eq!(outcome.delays.len() as u64, outcome.sent);
        assert!(outcome.sent >= 9, "{}", outcome.sent);
        assert!(outcome.delays[0] >= delay);
        // How exact it is on a quiet machine, `sdvr-test-link measure` tells.
        assert!(outcome.delays[0] < 2 * delay, "{:?}", outcome.delays[0]);
    }
}

#[test]
fn doubled_and_overtaken_datagrams_come_as_often_as_counted() {
    const COUNT: u32 = 1_000;
    let Some(link) = link(
        Impairment {
            delay: Duration::from_millis(1),
            jitter: Jitter::InOrder(Duration::from_millis(1)),
            reordering: Reordering {
                probability: 0.05,
                held_back: Duration::from_millis(10),
            },
            duplication: 0.05,
            ..Impairment::default()
        },
        3,
    ) else {
        return;
    };
    let in_the_end = Impairment {
        delay: Duration::from_millis(50),
        ..Impairment::default()
    };
    let arrived = send_numbers(&link, Side::A, COUNT, in_the_end);
    let counters = link.counters(Side::A);
    let distinct: BTreeSet<u32> = arrived.iter().copied().collect();
    assert_eq!(distinct.len(), 1_000);
    assert_eq!(arrived.len() as u64, 1_000 + counters.doubled);
    assert!(counters.doubled > 20);
    let mut late = BTreeSet::new();
    let mut highest = 0;
    for number in arrived {
        if number < highest {
            late.insert(number);
        }
        highest = highest.max(number);
    }
    assert_eq!(late.len() as u64, counters.overtaken);
    assert!(counters.overtaken > 10);
}

#[test]
fn a_corrupted_datagram_reaches_the_program_with_one_bit_flipped() {
    let Some(link) = link(
        Impairment {
            corruption: 1.0,
            ..Impairment::default()
        },
        1,
    ) else {
        return;
    };
    let pairs = addresses(&link, Side::A)
        .into_iter()
        .zip(addresses(&link, Side::B));
    for (own, other) in pairs {
        let (a, b) = (socket(&link, Side::A, own), socket(&link, Side::B, other));
        let target = b.local_addr().unwrap();
        for _ in 0..50 {
            let payload = [0x55; 101];
            a.send_to(&payload, target).unwrap();
            let mut buffer = [0; 200];
            assert_eq!(b.recv(&mut buffer).unwrap(), payload.len());
            let differing = buffer
                .iter()
                .zip(payload)
                .map(|(new, old)| (new ^ old).count_ones());
            assert_eq!(differing.sum::<u32>(), 1);
        }
    }
    assert_eq!(link.counters(Side::A).corrupted, 100);
}

#[test]
fn large_datagrams_vanish_in_the_black_hole_and_nobody_is_told() {
    let Some(link) = link(
        Impairment {
            largest_packet_bytes: Some(1_300),
            ..Impairment::default()
        },
        1,
    ) else {
        return;
    };
    let (a, b) = sockets(&link);
    let target = b.local_addr().unwrap();
    a.send_to(&[1; 1_273], target).unwrap();
    a.send_to(&[2; 1_272], target).unwrap();
    assert_receives(&b, &[2; 1_272]);
    a.send_to(&[3; 1_273], target).unwrap();
    assert_silent(&b);
    assert_silent(&a);
    assert_eq!(link.counters(Side::A).too_large, 2);
    // The other direction has one of its own.
    link.impair(Side::B, Impairment::default());
    b.send_to(&[4; 1_472], a.local_addr().unwrap()).unwrap();
    assert_receives(&a, &[4; 1_472]);
}

#[test]
fn nothing_passes_a_cut_link_until_it_is_mended_or_its_time_is_over() {
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    let (a, b) = sockets(&link);
    let (to_a, to_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
    link.cut(Side::A);
    a.send_to(b"cut", to_b).unwrap();
    assert_silent(&b);
    // One direction is cut, the other is not.
    b.send_to(b"back", to_a).unwrap();
    assert_receives(&a, b"back");
    link.mend(Side::A);
    a.send_to(b"mended", to_b).unwrap();
    assert_receives(&b, b"mended");

    let lasting = Duration::from_millis(200);
    let begun = Instant::now();
    link.cut_for(Side::A, lasting);
    let mut buffer = [0; 10];
    b.set_nonblocking(true).unwrap();
    while b.recv(&mut buffer).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        a.send_to(b"again", to_b).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(begun.elapsed() >= lasting);
    assert!(link.counters(Side::A).cut > 1);
}

#[test]
fn raw_frames_of_an_ethertype_pass_both_ways_and_are_impaired_like_others() {
    const ETHERTYPE: u16 = 0x1337;
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    let open = |side| {
        let socket = link.enter(side, || RawSocket::new(ETHERTYPE)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let sockets = [(Side::A, open(Side::A)), (Side::B, open(Side::B))];
    let frame = |sender: Side, ethertype: u16, bytes: usize| {
        let header = [sender.other().mac(), sender.mac()].concat();
        let mut frame = [&header[..], &ethertype.to_be_bytes()].concat();
        frame.resize(bytes, 0xa5);
        frame
    };
    let [(_, a), (_, b)] = &sockets;
    for (sender, from, to) in [(Side::A, a, b), (Side::B, b, a)] {
        // Down to what no wire would carry, and not padded.
        for bytes in [15, 60, 1_514] {
            // Frames of other types are not for this socket.
            from.send(&frame(sender, 0x88b5, bytes)).unwrap();
            from.send(&frame(sender, ETHERTYPE, bytes)).unwrap();
            let mut buffer = [0; 2_000];
            let length = to.receive(&mut buffer).unwrap();
            assert_eq!(buffer[..length], frame(sender, ETHERTYPE, bytes));
        }
        let counters = link.counters(sender);
        assert_eq!(counters.arrived, 6);
        assert_eq!(counters.arrived_bytes, 2 * (1 + 46 + 1_500));
    }
    let everything = Loss::Random { share: 1.0 };
    link.impair(
        Side::A,
        Impairment {
            loss: everything,
            ..Impairment::default()
        },
    );
    a.send(&frame(Side::A, ETHERTYPE, 100)).unwrap();
    wait_until(|| link.counters(Side::A).lost == 1);
    b.set_read_timeout(Some(SILENCE)).unwrap();
    let error = b.receive(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_stream_of_tcp_arrives_whole_over_a_bad_link() {
    let Some(link) = link(
        Impairment {
            loss: Loss::Random { share: 0.01 },
            delay: Duration::from_millis(1),
            ..Impairment::default()
        },
        1,
    ) else {
        return;
    };
    let address = (link.ipv6(Side::B), 7_000);
    let listener = link.enter(Side::B, || TcpListener::bind(address)).unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = link.enter(Side::A, || TcpStream::connect(address)).unwrap();
            stream.write_all(&sent).unwrap();
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received == sent);
    });
    assert!(link.counters(Side::A).lost > 0);
}

#[test]
fn a_side_that_moves_has_its_new_address_and_not_its_old_one() {
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    for (any, new) in [("0.0.0.0", "10.77.4.9"), ("::", "fd77::9:1")] {
        let any: IpAddr = any.parse().unwrap();
        let new: IpAddr = new.parse().unwrap();
        let own = |side| {
            let addresses = addresses(&link, side);
            addresses[usize::from(any.is_ipv6())]
        };
        let (a, b) = (socket(&link, Side::A, any), socket(&link, Side::B, any));
        let old = SocketAddr::new(own(Side::A), a.local_addr().unwrap().port());
        let target = SocketAddr::new(own(Side::B), b.local_addr().unwrap().port());
        a.send_to(b"at home", target).unwrap();
        assert_eq!(assert_receives(&b, b"at home"), old);

        link.change_address(Side::A, new).unwrap();
        assert_eq!(own(Side::A), new);
        b.send_to(b"to where it was", old).unwrap();
        a.send_to(b"elsewhere", target).unwrap();
        let from = assert_receives(&b, b"elsewhere");
        assert_eq!(from.ip(), new);
        b.send_to(b"found", from).unwrap();
        // The first one has gone nowhere.
        assert_receives(&a, b"found");
    }
    let foreign: IpAddr = "10.78.0.1".parse().unwrap();
    assert!(link.change_address(Side::A, foreign).is_err());
    assert!(
        link.change_address(Side::A, "fd78::1".parse().unwrap())
            .is_err()
    );
}

#[test]
fn an_interface_that_was_down_is_as_it_was_before() {
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    for (own, other) in addresses(&link, Side::A)
        .into_iter()
        .zip(addresses(&link, Side::B))
    {
        let any: IpAddr = if own.is_ipv4() { "0.0.0.0" } else { "::" }
            .parse()
            .unwrap();
        let (a, b) = (socket(&link, Side::A, any), socket(&link, Side::B, other));
        let target = b.local_addr().unwrap();
        link.set_down(Side::A).unwrap();
        let error = a.send_to(b"down", target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        let down_before = link.counters(Side::B).interface_down;
        b.send_to(b"down", (own, a.local_addr().unwrap().port()))
            .unwrap();
        wait_until(|| link.counters(Side::B).interface_down == down_before + 1);
        link.set_up(Side::A).unwrap();
        a.send_to(b"up", target).unwrap();
        let from = assert_receives(&b, b"up");
        assert_eq!(from.ip(), own);
        b.send_to(b"back", from).unwrap();
        assert_receives(&a, b"back");
    }
}

#[test]
fn a_program_runs_in_the_namespace_of_its_side() {
    let Some(link) = link(Impairment::default(), 1) else {
        return;
    };
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let mut networks = BTreeSet::from([own.to_string_lossy().into_owned()]);
    for side in Side::ALL {
        let output = link
            .command(side, "readlink")
            .arg("/proc/self/ns/net")
            .output()
            .unwrap();
        let network = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let entered = link.enter(side, || std::fs::read_link("/proc/thread-self/ns/net"));
        assert_eq!(entered.unwrap().to_string_lossy(), network);
        networks.insert(network);
    }
    // Two, and the one that this thread is still in.
    assert_eq!(networks.len(), 3);
}

/// Whether this process has anything of that namespace.
fn holds(network: &std::path::Path) -> bool {
    std::fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
        let target = std::fs::read_link(entry.unwrap().path());
        target.is_ok_and(|target| target == network)
    })
}

#[test]
fn nothing_is_left_of_a_link_when_its_test_panics() {
    if link(Impairment::default(), 1).is_none() {
        return;
    }
    let mut networks = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let link = link(Impairment::default(), 1).unwrap();
        for side in Side::ALL {
            let network = link.enter(side, || std::fs::read_link("/proc/thread-self/ns/net"));
            networks.push(network.unwrap());
        }
        assert!(networks.iter().all(|network| holds(network)));
        panic!("as tests do");
    }));
    assert!(panicked.is_err());
    assert_eq!(networks.len(), 2);
    assert!(!networks.iter().any(|network| holds(network)));
}

#[test]
fn the_link_carries_a_video_s_worth_in_any_build() {
    let delay = Duration::from_millis(10);
    let Some(link) = link(
        Impairment {
            delay,
            ..Impairment::default()
        },
        1,
    ) else {
        return;
    };
    for (carrier, size_bytes) in [(Carrier::Udp, 1_200), (Carrier::Ethernet, 1_514)] {
        let flow = Flow {
            carrier,
            size_bytes,
            bits_per_second: 50_000_000,
            lasting: Duration::from_secs(1),
        };
        let outcome = flow::run(&link, Side::A, &flow).unwrap();
        let megabits = outcome.bits_per_second() / 1e6;
        println!("{carrier:?}: {megabits:.1} of 50 Mbit/s");
        // What it carries on a quiet machine, `sdvr-test-link measure` tells.
        assert!(megabits > 15.0, "{carrier:?}: {megabits:.1} Mbit/s");
        assert!(outcome.delays[0] >= delay);
    }
}
