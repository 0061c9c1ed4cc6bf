//! What two ends agree on, whoever stands between them; and what a token is good for.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use sdvr_frame::PublicKey;
use sdvr_session::client::{ExpectHelloReply, ExpectResponse};
use sdvr_session::for_tests::{Finished, InitiatorStart, ResponderStart};
use sdvr_session::server::Door;
use sdvr_session::{
    Event, HandshakeError, Limits, Malformed, Session, SourceAddress, Suite, Suites,
};
use support::{
    CLIENT_PRIVATE_KEY, NOW, SERVER_PRIVATE_KEY, Seeded, address, door, exchange, setup, source,
};

/// Where in HELLO, HELLO_REPLY and HS1 the fields are: WIRE.md, section 1.
const HELLO_VERSIONS: usize = 8;
const HELLO_SUITES: usize = 10;
const HELLO_RECORD_KIB: usize = 48;
const REPLY_VERSIONS: usize = 8;
const REPLY_SUITES: usize = 10;
const REPLY_CHOSEN: usize = 64;
const REPLY_FLAGS: usize = 66;
const INITIATION_TOKEN: usize = 80;
const RESPONSE_NOISE: usize = 16;

fn flipped(packet: &[u8], bit: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[bit / 8] ^= 1 << (bit % 8);
    packet
}

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

#[test]
fn a_busy_server_says_when_to_come_back() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let reply = door
        .handle_hello(NOW, &source(), &hello, Some(1500), &mut random)
        .unwrap();
    assert_eq!(
        client.handle_reply(&reply).map(|_| ()),
        Err(HandshakeError::Busy {
            retry_after_ms: 1500
        })
    );
}

#[test]
fn a_reply_to_somebody_else_is_refused() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let (client, _) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let (_, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    assert_eq!(
        client.handle_reply(&reply).map(|_| ()),
        Err(HandshakeError::WrongNonce)
    );
}

fn public(private: [u8; 32]) -> PublicKey {
    let secret = x25519_dalek::StaticSecret::from(private);
    PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
}

/// The prologue by the words of WIRE.md, not by the code.
fn prologue(core: &[u8], reply: &[u8]) -> Vec<u8> {
    let mut reply = reply.to_vec();
    reply[66..72].fill(0);
    [b"sdvr2", core, &reply].concat()
}

/// A client written from WIRE.md, which offers whatever `edit` makes of an honest HELLO.
fn hand_made_client(
    door: &mut Door,
    edit: impl FnOnce(&mut [u8]),
) -> Result<(Session, Finished), HandshakeError> {
    let mut random = Seeded(77);
    let (_, mut hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    edit(&mut hello);
    let reply = door.handle_hello(NOW, &source(), &hello, None, &mut random)?;
    let core = &hello[..64];
    let mut payload = [0; 24];
    payload[0] = 1;
    let mut server = Err(HandshakeError::Token);
    let finished = InitiatorStart {
        prologue: &prologue(core, &reply),
        own: &CLIENT_PRIVATE_KEY,
        responder: public(SERVER_PRIVATE_KEY),
    }
    .run::<32>(&mut random.clone(), &payload, |message| {
        let mut packet = vec![3, 2, 0, 1, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(core);
        packet.extend_from_slice(&reply[72..104]);
        packet.extend_from_slice(message);
        packet.resize(256, 0);
        let accepted = door
            .handle_initiation(NOW, &source(), &packet)
            .and_then(|initiation| initiation.accept(NOW, 1, &mut random));
        match accepted {
            Ok((session, response)) => {
                server = Ok(session);
                response[RESPONSE_NOISE..].to_vec()
            }
            Err(error) => {
                server = Err(error);
                Vec::new()
            }
        }
    });
    let server = server?;
    Ok((server, finished?.0))
}

#[test]
fn aes_is_chosen_only_if_both_ends_are_fast_at_it() {
    let (chacha, aes, fast) = (1, 1 << 1, 1 << 8);
    for server_is_fast in [false, true] {
        for bits in 0..8_u16 {
            let of = |bit: u16, value: u16| if bits & bit != 0 { value } else { 0 };
            let offered = of(1, chacha) | of(2, aes) | of(4, fast);
            let expected = if server_is_fast && offered & (aes | fast) == aes | fast {
                Ok(Suite::Aes256Gcm)
            } else if offered & chacha != 0 {
                Ok(Suite::ChaCha20Poly1305)
            } else {
                Err(HandshakeError::Suite)
            };
            let suites = Suites::all(server_is_fast);
            let mut door = Door::new(
                NOW,
                &SERVER_PRIVATE_KEY,
                suites,
                Limits::default(),
                &mut Seeded(1),
            );
            let session = hand_made_client(&mut door, |hello| {
                hello[HELLO_SUITES..HELLO_SUITES + 2].copy_from_slice(&offered.to_le_bytes());
            });
            assert_eq!(session.map(|(server, _)| server.suite()), expected);
        }
    }
}

#[test]
fn versions_must_overlap() {
    for (lowest, highest) in [
        (2, 2),
        (1, 2),
        (2, 9),
        (0, 255),
        (1, 1),
        (3, 9),
        (9, 3),
        (0, 0),
    ] {
        let mut door = door(&mut Seeded(1));
        let session = hand_made_client(&mut door, |hello| {
            hello[HELLO_VERSIONS..HELLO_VERSIONS + 2].copy_from_slice(&[lowest, highest]);
        });
        let expected = if lowest <= 2 && 2 <= highest {
            Ok(())
        } else {
            Err(HandshakeError::Version { lowest, highest })
        };
        assert_eq!(session.map(|_| ()), expected);
    }
}

#[test]
fn a_client_of_another_version_is_told_ours() {
    let mut random = Seeded(1);
    let (_, mut hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    hello[HELLO_VERSIONS..HELLO_VERSIONS + 2].copy_from_slice(&[7, 9]);
    let reply = door(&mut random)
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    assert_eq!(reply[REPLY_VERSIONS..REPLY_VERSIONS + 2], [2, 2]);
}

/// What a client makes of a reply that `edit` has changed.
fn client_on_reply(edit: impl FnOnce(&mut [u8])) -> Result<(), HandshakeError> {
    let mut random = Seeded(3);
    let mut door = door(&mut random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(false), Limits::default(), None, &mut random);
    let mut reply = door.handle_hello(NOW, &source(), &hello, None, &mut random)?;
    edit(&mut reply);
    client.handle_reply(&reply).map(|_| ())
}

#[test]
fn a_server_cannot_choose_what_was_not_offered() {
    assert_eq!(client_on_reply(|_| ()), Ok(()));
    // AES, though this client is slow at it; no cipher at all; a suite that does not exist.
    let refused = client_on_reply(|reply| reply[REPLY_CHOSEN + 1] = 1);
    assert_eq!(refused, Err(HandshakeError::Suite));
    let refused = client_on_reply(|reply| reply[REPLY_SUITES..REPLY_SUITES + 2].fill(0));
    assert_eq!(refused, Err(HandshakeError::Suite));
    let refused = client_on_reply(|reply| reply[REPLY_CHOSEN + 1] = 2);
    assert_eq!(
        refused,
        Err(HandshakeError::Malformed(Malformed::Number(2)))
    );
    for (range, version) in [([3, 3], 3), ([2, 2], 3), ([3, 3], 2), ([1, 1], 1)] {
        let refused = client_on_reply(|reply| {
            reply[REPLY_VERSIONS..REPLY_VERSIONS + 2].copy_from_slice(&range);
            reply[REPLY_CHOSEN] = version;
        });
        let [lowest, highest] = range;
        assert_eq!(refused, Err(HandshakeError::Version { lowest, highest }));
    }
}

fn door_with_records_of(record_kib: u16) -> Door {
    let limits = Limits {
        record_kib,
        ..Limits::default()
    };
    Door::new(
        NOW,
        &SERVER_PRIVATE_KEY,
        Suites::all(true),
        limits,
        &mut Seeded(1),
    )
}

#[test]
fn the_smaller_record_limit_counts_and_must_be_in_range() {
    for (client_kib, server_kib, agreed) in [
        (16, 64, Some(16)),
        (64, 16, Some(16)),
        (1024, 1024, Some(1024)),
        (1025, 64, Some(64)),
        (65_535, 1024, Some(1024)),
        (0, 64, None),
        (1, 64, None),
        (15, 64, None),
        (1025, 1025, None),
        (65_535, 65_535, None),
        (64, 0, None),
        (64, 15, None),
    ] {
        let mut door = door_with_records_of(server_kib);
        let session = hand_made_client(&mut door, |hello| {
            hello[HELLO_RECORD_KIB..HELLO_RECORD_KIB + 2]
                .copy_from_slice(&u16::to_le_bytes(client_kib));
        });
        let smaller = u64::from(client_kib.min(server_kib));
        match (session, agreed) {
            (Ok((mut server, _)), Some(agreed)) => {
                // Before the camera is accepted the session's own, smaller limit counts.
                assert_eq!(server.longest_record_bytes(), 4096);
                server.close(sdvr_session::CloseCode::Idle, "");
                assert_eq!(server.longest_record_bytes(), agreed * 1024);
            }
            (Err(error), None) => assert_eq!(
                error,
                HandshakeError::Malformed(Malformed::Length(smaller)),
                "{client_kib} {server_kib}"
            ),
            (session, _) => panic!("{client_kib} {server_kib}: {:?}", session.map(|_| ())),
        }
    }
}

/// A client that has sent HS1, and what a server needs to answer it.
fn waiting_client(record_kib: u16) -> (ExpectResponse, [u8; 256], Vec<u8>) {
    let mut random = Seeded(5);
    let limits = Limits {
        record_kib,
        ..Limits::default()
    };
    let (client, hello) = ExpectHelloReply::start(Suites::all(true), limits, None, &mut random);
    let reply = door(&mut random)
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    let (client, initiation) = client
        .handle_reply(&reply)
        .unwrap()
        .initiate(&CLIENT_PRIVATE_KEY, &mut random)
        .unwrap();
    (client, initiation, prologue(&hello[..64], &reply))
}

/// What a client that takes records of `record_kib` makes of a server that owns its key and grants `payload`.
fn client_on_grant(record_kib: u16, payload: [u8; 32]) -> Result<Session, HandshakeError> {
    let (client, initiation, prologue) = waiting_client(record_kib);
    let server = ResponderStart {
        prologue: &prologue,
        own: &SERVER_PRIVATE_KEY,
    };
    let (_, hs1_payload, message) =
        server.run::<24>(&mut Seeded(6), &initiation[112..232], &payload)?;
    assert_eq!(hs1_payload[0], 1);
    let mut packet = vec![4, 2, 96, 0, 1, 0, 0, 0];
    packet.extend_from_slice(&initiation[4..8]);
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&message);
    client.handle_response(NOW, &packet)
}

fn grant(record_kib: u16, frame_kib: u32, streams: u8) -> [u8; 32] {
    let mut payload = [0; 32];
    payload[..2].copy_from_slice(&record_kib.to_le_bytes());
    payload[8..12].copy_from_slice(&frame_kib.to_le_bytes());
    payload[12] = streams;
    payload
}

#[test]
fn a_client_refuses_a_grant_that_makes_no_sense() {
    let session = client_on_grant(64, grant(32, 1, 1)).unwrap();
    assert_eq!(session.longest_record_bytes(), 32 * 1024);
    assert_eq!(
        (session.granted().frame_kib, session.granted().streams),
        (1, 1)
    );
    let refusal = |record_kib, payload| client_on_grant(record_kib, payload).unwrap_err();
    let length = |length| HandshakeError::Malformed(Malformed::Length(length));
    assert_eq!(refusal(64, grant(0, 1, 1)), length(0));
    assert_eq!(refusal(64, grant(15, 1, 1)), length(15));
    assert_eq!(refusal(1025, grant(1025, 1, 1)), length(1025));
    assert_eq!(refusal(65_535, grant(65_535, 1, 1)), length(65_535));
    let number = HandshakeError::Malformed(Malformed::Number(0));
    assert_eq!(refusal(64, grant(64, 0, 1)), number);
    assert_eq!(refusal(64, grant(64, 1, 0)), number);
    for at in 13..32 {
        let mut payload = grant(64, 1, 1);
        payload[at] = 1;
        assert_eq!(
            refusal(64, payload),
            HandshakeError::Malformed(Malformed::ReservedNotZero)
        );
    }
}

#[test]
fn a_server_without_the_key_it_named_is_refused() {
    let (client, initiation, prologue) = waiting_client(64);
    let impostor = ResponderStart {
        prologue: &prologue,
        own: &[9; 32],
    };
    let read = impostor.run::<24>(&mut Seeded(6), &initiation[112..232], &grant(64, 1, 1));
    assert_eq!(read.map(|_| ()), Err(HandshakeError::NotAuthentic));
    // It cannot read HS1; whatever it answers does not open.
    let mut packet = vec![4, 2, 96, 0, 1, 0, 0, 0];
    packet.extend_from_slice(&initiation[4..8]);
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&public([8; 32]).0);
    packet.resize(96, 0);
    let refused = client.handle_response(NOW, &packet);
    assert_eq!(refused.map(|_| ()), Err(HandshakeError::NotAuthentic));
}

/// An HS1 with a token that `door` issued `after` its start.
fn initiation_of(door: &mut Door, after: Duration, seed: u64) -> [u8; 256] {
    let mut random = Seeded(seed);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let reply = door
        .handle_hello(NOW + after, &source(), &hello, None, &mut random)
        .unwrap();
    let offer = client.handle_reply(&reply).unwrap();
    assert_eq!(offer.server_key(), public(SERVER_PRIVATE_KEY));
    offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap().1
}

fn bring(
    door: &mut Door,
    after: Duration,
    from: &SourceAddress,
    initiation: &[u8],
) -> Result<(), HandshakeError> {
    let initiation = door.handle_initiation(NOW + after, from, initiation)?;
    assert_eq!(initiation.client_key(), public(CLIENT_PRIVATE_KEY));
    Ok(())
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_token_works_only_where_it_was_sent() {
    let mut door = door(&mut Seeded(1));
    let initiation = initiation_of(&mut door, seconds(0), 2);
    for other in [
        "192.0.2.2:4711",
        "192.0.2.1:4712",
        "[::ffff:192.0.2.1]:4711",
        "[2001:db8::1]:4711",
    ] {
        let refused = bring(&mut door, seconds(0), &address(other), &initiation);
        assert_eq!(refused, Err(HandshakeError::Token), "{other}");
    }
    assert_eq!(bring(&mut door, seconds(0), &source(), &initiation), Ok(()));
}

#[test]
fn a_token_lives_10_seconds() {
    for (after, expected) in [
        (seconds(0), Ok(())),
        (seconds(10), Ok(())),
        (seconds(10) + MILLISECOND, Err(HandshakeError::Token)),
        (seconds(3600), Err(HandshakeError::Token)),
    ] {
        let mut door = door(&mut Seeded(1));
        let initiation = initiation_of(&mut door, seconds(0), 2);
        let brought = bring(&mut door, after, &source(), &initiation);
        assert_eq!(brought, expected, "{after:?}");
    }
}

#[test]
fn a_token_of_the_future_is_refused() {
    let mut door = door(&mut Seeded(1));
    let initiation = initiation_of(&mut door, seconds(5), 2);
    let refused = bring(&mut door, seconds(4), &source(), &initiation);
    assert_eq!(refused, Err(HandshakeError::Token));
}

#[test]
fn a_token_works_once() {
    let mut door = door(&mut Seeded(1));
    let initiation = initiation_of(&mut door, seconds(0), 2);
    assert_eq!(bring(&mut door, seconds(1), &source(), &initiation), Ok(()));
    for after in 1..=10 {
        let again = bring(&mut door, seconds(after), &source(), &initiation);
        assert_eq!(again, Err(HandshakeError::Replayed), "{after}");
    }
    let again = bring(&mut door, seconds(11), &source(), &initiation);
    assert_eq!(again, Err(HandshakeError::Token));
}

/// However used tokens are forgotten: never before they are too old, to the nanosecond.
#[test]
fn a_used_token_is_not_forgotten_too_early() {
    for forget_after in (0..=4000).step_by(500) {
        for steps in [1, 499_999, 999_999, 1_000_001] {
            let mut door = door(&mut Seeded(1));
            let step = Duration::from_nanos(steps);
            let issued = seconds(10) + Duration::from_millis(forget_after);
            let initiation = initiation_of(&mut door, issued, 2);
            assert_eq!(bring(&mut door, issued, &source(), &initiation), Ok(()));
            // Others come and go, which makes the server forget.
            let other = initiation_of(&mut door, issued, 3);
            let soon = issued + step;
            assert_eq!(bring(&mut door, soon, &source(), &other), Ok(()));
            let again = bring(&mut door, soon + seconds(10) + step, &source(), &initiation);
            assert!(again.is_err(), "{forget_after} {steps}");
        }
    }
}

#[test]
fn a_change_of_the_token_key_disturbs_nobody() {
    let mut door = door(&mut Seeded(1));
    for (seed, issued) in [(2, 55), (3, 115), (4, 175)] {
        let initiation = initiation_of(&mut door, seconds(issued), seed);
        // Somebody else's HELLO is what changes the key, at 60, 120 and 180 s.
        initiation_of(&mut door, seconds(issued + 5), 100 + seed);
        let brought = bring(&mut door, seconds(issued + 6), &source(), &initiation);
        assert_eq!(brought, Ok(()));
    }
}

#[test]
fn the_token_key_before_the_last_is_gone() {
    let mut door = door(&mut Seeded(1));
    let initiation = initiation_of(&mut door, seconds(55), 2);
    initiation_of(&mut door, seconds(60), 3);
    initiation_of(&mut door, seconds(120), 4);
    // The clock that this door is shown goes back, so that only the key can be the reason.
    let refused = bring(&mut door, seconds(56), &source(), &initiation);
    assert_eq!(refused, Err(HandshakeError::Token));
}

#[test]
fn a_forged_token_is_refused() {
    let mut door = door(&mut Seeded(1));
    let initiation = initiation_of(&mut door, seconds(5), 2);
    for bit in 0..32 * 8 {
        let forged = flipped(&initiation, INITIATION_TOKEN * 8 + bit);
        let refused = bring(&mut door, seconds(5), &source(), &forged);
        assert_eq!(refused, Err(HandshakeError::Token), "bit {bit}");
    }
    assert_eq!(bring(&mut door, seconds(5), &source(), &initiation), Ok(()));
}

#[test]
fn another_doors_token_is_refused() {
    let initiation = initiation_of(&mut door(&mut Seeded(1)), seconds(0), 2);
    let refused = bring(
        &mut door(&mut Seeded(2)),
        seconds(0),
        &source(),
        &initiation,
    );
    assert_eq!(refused, Err(HandshakeError::Token));
}

#[test]
fn a_site_that_floods_is_asked_to_wait_and_others_come_in() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let mut come = |after: Duration, from: &str| -> Result<(), HandshakeError> {
        let (client, hello) =
            ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
        let (now, from) = (NOW + after, address(from));
        let reply = door
            .handle_hello(now, &from, &hello, None, &mut random)
            .unwrap();
        // Who is asked to wait is asked here, and sends nothing that costs more.
        let offer = client.handle_reply(&reply)?;
        let (_, initiation) = offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap();
        let brought = door.handle_initiation(now, &from, &initiation);
        assert!(brought.is_ok(), "{brought:?}");
        Ok(())
    };
    // A site behind one address that switches on a thousand cameras.
    for port in 1..=1_000 {
        let camera = format!("192.0.2.1:{port}");
        assert_eq!(come(Duration::ZERO, &camera), Ok(()), "camera {port}");
    }
    let busy = HandshakeError::Busy {
        retry_after_ms: 1_000,
    };
    assert_eq!(come(Duration::ZERO, "192.0.2.1:1001"), Err(busy));
    assert_eq!(come(Duration::ZERO, "192.0.2.2:1001"), Ok(()));
    // Coming back when it was told, it is let in.
    assert_eq!(come(seconds(1), "192.0.2.1:1001"), Ok(()));
}

#[test]
fn a_client_that_does_not_wait_is_refused_before_anything_expensive() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let late = initiation_of(&mut door, Duration::ZERO, 77);
    for seed in 0..1_000 {
        let initiation = initiation_of(&mut door, Duration::ZERO, 1_000 + seed);
        bring(&mut door, Duration::ZERO, &source(), &initiation).unwrap();
    }
    let busy = HandshakeError::Busy {
        retry_after_ms: 1_000,
    };
    assert_eq!(bring(&mut door, MILLISECOND, &source(), &late), Err(busy));
    // Its token was not used up by that.
    assert_eq!(bring(&mut door, seconds(1), &source(), &late), Ok(()));
}
