//! What two ends agree on, from what each offers, takes and grants.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

#[path = "support/public.rs"]
mod public;
mod support;

use public::public;
use sdvr_session::client::{ExpectHelloReply, ExpectResponse};
use sdvr_session::for_tests::{Finished, InitiatorStart, ResponderStart};
use sdvr_session::server::Door;
use sdvr_session::{HandshakeError, Limits, Malformed, Session, Suite, Suites};
use support::{CLIENT_PRIVATE_KEY, NOW, SERVER_PRIVATE_KEY, Seeded, door, source};

/// Where in HELLO, HELLO_REPLY and HS2 the fields are: WIRE.md, section 1.
const HELLO_VERSIONS: usize = 8;
const HELLO_SUITES: usize = 10;
const HELLO_RECORD_KIB: usize = 48;
const REPLY_VERSIONS: usize = 8;
const REPLY_SUITES: usize = 10;
const REPLY_CHOSEN: usize = 64;
const RESPONSE_NOISE: usize = 16;

#[test]
fn among_datagrams_only_those_are_answers_that_name_what_was_said() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let mut begin =
        || ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    let ((client, hello), (other, _)) = (begin(), begin());
    let mut random = Seeded(2);
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    assert!(client.is_answered_by(&reply) && !other.is_answered_by(&reply));
    assert!(!client.is_answered_by(&hello) && !client.is_answered_by(&reply[..191]));
    let mut initiate = || {
        let offer = client.clone().handle_reply(&reply).unwrap();
        offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap()
    };
    let ((client, initiation), (other, _)) = (initiate(), initiate());
    let (_, response) = door
        .handle_initiation(NOW, &source(), &initiation)
        .unwrap()
        .accept_datagrams(NOW, 7, &mut Seeded(3))
        .unwrap();
    assert!(client.is_answered_by(&response) && !other.is_answered_by(&response));
    assert!(!client.is_answered_by(&reply) && !client.is_answered_by(&response[..95]));
    assert!(
        client
            .handle_datagram_response(NOW, &response, 1200)
            .is_ok()
    );
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
