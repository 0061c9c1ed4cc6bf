//! Whoever stands between two ends cannot change what they agree on: packets of the handshake with a bit flipped, cut or grown.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_session::client::ExpectHelloReply;
use sdvr_session::{Event, HandshakeError, Limits, Malformed, Session, Suite, Suites};
use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, door, exchange, flipped, setup, source};

/// Where in HELLO_REPLY the flags are, with the waiting time behind them: WIRE.md, section 1.
const REPLY_FLAGS: usize = 66;

/// What happens to the packets on their way.
type Edit<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// Who edits which packet.
struct Way<'a> {
    hello: Edit<'a>,
    reply: Edit<'a>,
    initiation: Edit<'a>,
    response: Edit<'a>,
}

impl Default for Way<'_> {
    fn default() -> Self {
        Self {
            hello: &<[u8]>::to_vec,
            reply: &<[u8]>::to_vec,
            initiation: &<[u8]>::to_vec,
            response: &<[u8]>::to_vec,
        }
    }
}

fn handshake_over(way: &Way<'_>) -> Result<(Session, Session), HandshakeError> {
    let mut random = Seeded(31);
    let mut door = door(&mut random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let reply = door.handle_hello(NOW, &source(), &(way.hello)(&hello), None, &mut random)?;
    let (client, initiation) = client
        .handle_reply(&(way.reply)(&reply))?
        .initiate(&CLIENT_PRIVATE_KEY, &mut random)?;
    let (server, response) = door
        .handle_initiation(NOW, &source(), &(way.initiation)(&initiation))?
        .accept(NOW, 1, &mut random)?;
    let client = client.handle_response(NOW, &(way.response)(&response))?;
    Ok((client, server))
}

/// Checks that both ends mean the same, and what nobody's edit would have made of it.
#[track_caller]
fn check_agreement(client: &mut Session, server: &mut Session) {
    assert_eq!(client.suite(), Suite::Aes256Gcm);
    assert_eq!(server.suite(), Suite::Aes256Gcm);
    assert_eq!(client.granted(), Limits::default());
    assert_eq!(server.granted(), Limits::default());
    assert_eq!(client.longest_record_bytes(), 64 * 1024);
    client.introduce(setup(), &[]);
    exchange(client, server);
    assert_eq!(server.poll_event(), Some(Event::Setup(setup())));
}

/// Flips each bit of a packet; gives the bits whose flip was not noticed.
fn unnoticed(
    bytes: usize,
    way_of: impl Fn(usize) -> Result<(Session, Session), HandshakeError>,
) -> Vec<usize> {
    let mut bits = Vec::new();
    for bit in 0..bytes * 8 {
        if let Ok((mut client, mut server)) = way_of(bit) {
            check_agreement(&mut client, &mut server);
            bits.push(bit);
        }
    }
    bits
}

/// The bits of byte `at`.
fn byte(at: usize) -> std::ops::Range<usize> {
    at * 8..at * 8 + 8
}

#[test]
fn nothing_is_changed_when_nobody_edits() {
    let (mut client, mut server) = handshake_over(&Way::default()).unwrap();
    check_agreement(&mut client, &mut server);
}

#[test]
fn every_flipped_bit_of_hello_ends_the_handshake() {
    let bits = unnoticed(256, |bit| {
        handshake_over(&Way {
            hello: &|packet| flipped(packet, bit),
            ..Way::default()
        })
    });
    assert_eq!(bits, [0; 0]);
}

#[test]
fn a_flipped_bit_of_hello_reply_changes_nothing_that_was_agreed() {
    let bits = unnoticed(192, |bit| {
        handshake_over(&Way {
            reply: &|packet| flipped(packet, bit),
            ..Way::default()
        })
    });
    // The header's version is not the one that counts, and the flags and the waiting time are advice.
    let advisory = byte(1).chain(REPLY_FLAGS * 8..(REPLY_FLAGS + 6) * 8);
    let busy = REPLY_FLAGS * 8;
    let expected: Vec<usize> = advisory.filter(|&bit| bit != busy).collect();
    assert_eq!(bits, expected);
}

#[test]
fn a_flipped_bit_of_hs1_changes_nothing_that_was_agreed() {
    let bits = unnoticed(256, |bit| {
        handshake_over(&Way {
            initiation: &|packet| flipped(packet, bit),
            ..Way::default()
        })
    });
    assert_eq!(bits, byte(1).collect::<Vec<_>>());
}

#[test]
fn a_flipped_bit_of_hs2_changes_nothing_that_was_agreed() {
    let bits = unnoticed(96, |bit| {
        handshake_over(&Way {
            response: &|packet| flipped(packet, bit),
            ..Way::default()
        })
    });
    // The server's index has no use over TCP.
    let expected: Vec<usize> = byte(1).chain(byte(4).start..byte(7).end).collect();
    assert_eq!(bits, expected);
}

#[test]
fn packets_of_other_lengths_are_refused() {
    let cut = |packet: &[u8]| packet[..packet.len() - 1].to_vec();
    let grown = |packet: &[u8]| [packet, &[0]].concat();
    for edit in [&cut as Edit<'_>, &grown] {
        let way = Way::default;
        for way in [
            Way {
                hello: edit,
                ..way()
            },
            Way {
                reply: edit,
                ..way()
            },
            Way {
                initiation: edit,
                ..way()
            },
            Way {
                response: edit,
                ..way()
            },
        ] {
            assert!(matches!(
                handshake_over(&way),
                Err(HandshakeError::Malformed(Malformed::Length(_)))
            ));
        }
    }
}
