//! What holds for records of any size: they open as they were sealed, no number comes twice, and nothing secret is printed.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sdvr_frame::PublicKey;
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::for_tests::{InitiatorStart, ResponderStart, keys_of};
use sdvr_session::server::Door;
use sdvr_session::{Limits, RECORD_OVERHEAD_BYTES, Session, Suites};
use support::{NOW, Seeded, deliver, established, payload, seal_frame, source, streaming};

/// Seals `content` at one end and opens it at the other.
#[track_caller]
fn check_round_trip(from: &mut Session, to: &mut Session, content: &[u8]) {
    let mut record = b"before".to_vec();
    let (sealer, _) = keys_of(from).unwrap();
    let counter = sealer.counter();
    sealer
        .seal(&mut record, content.len(), |out| {
            out.extend_from_slice(content);
        })
        .unwrap();
    assert_eq!(sealer.counter(), counter + 1);
    let record = record.strip_prefix(b"before").unwrap();
    assert_eq!(record.len(), content.len() + RECORD_OVERHEAD_BYTES);
    let length = u32::from_le_bytes(record[..4].try_into().unwrap());
    assert_eq!(length as usize + 8, record.len());
    let (_, opener) = keys_of(to).unwrap();
    assert_eq!(opener.counter(), counter);
    assert!(opener.open(&mut record.to_vec()).unwrap().messages == content);
    assert_eq!(opener.counter(), counter + 1);
}

#[test]
fn records_of_every_small_size_open_as_they_were_sealed() {
    for aes in [true, false] {
        let (mut client, mut server) = established(aes);
        for bytes in 0..=2000 {
            let content = payload(bytes as u64, bytes);
            check_round_trip(&mut client, &mut server, &content);
            check_round_trip(&mut server, &mut client, &content);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    #[test]
    fn records_of_any_size_open_as_they_were_sealed(
        sizes in proptest::collection::vec(0..=70_000_usize, 1..6),
        aes in any::<bool>(),
    ) {
        let (mut client, mut server) = established(aes);
        for (number, bytes) in sizes.into_iter().enumerate() {
            check_round_trip(&mut client, &mut server, &payload(number as u64, bytes));
        }
    }

    #[test]
    fn frames_of_any_size_arrive_whole(
        sizes in proptest::collection::vec(
            prop_oneof![1..=200_usize, 65_400..=65_600_usize, 1..=(2_usize << 20)], 1..4),
        aes in any::<bool>(),
    ) {
        let (mut client, mut server) = streaming(aes);
        let most_bytes = server.longest_record_bytes() + 8;
        for (number, bytes) in sizes.into_iter().enumerate() {
            let frame = payload(number as u64, bytes);
            let mut wire = seal_frame(&mut client, NOW, number as u64, &frame);
            let records = bytes.div_ceil(most_bytes - 32 - RECORD_OVERHEAD_BYTES - 8);
            prop_assert_eq!(wire.len(), bytes + records * (32 + RECORD_OVERHEAD_BYTES));
            prop_assert!(deliver(&mut server, &mut wire) == frame);
        }
    }
}

#[test]
fn the_same_content_never_looks_the_same_twice() {
    for aes in [true, false] {
        let (mut client, mut server) = established(aes);
        let mut seen = HashSet::new();
        for counter in 0..1000 {
            for end in [&mut client, &mut server] {
                let (sealer, _) = keys_of(end).unwrap();
                assert_eq!(sealer.counter(), counter);
                let mut record = Vec::new();
                sealer
                    .seal(&mut record, 32, |out| out.extend_from_slice(&[0; 32]))
                    .unwrap();
                assert!(seen.insert(record[8..].to_vec()), "{counter}");
            }
        }
    }
}

#[test]
fn a_record_that_does_not_open_does_not_count() {
    let (mut client, mut server) = established(true);
    let (sealer, _) = keys_of(&mut client).unwrap();
    let mut record = Vec::new();
    sealer.seal(&mut record, 1, |out| out.push(0)).unwrap();
    let (_, opener) = keys_of(&mut server).unwrap();
    for at in 0..record.len() {
        let mut altered = record.clone();
        altered[at] ^= 1;
        assert!(opener.open(&mut altered).is_err());
        assert_eq!(opener.counter(), 0);
    }
    assert_eq!(opener.open(&mut record).unwrap().messages, [0]);
}

/// Whether `text` holds `secret`, or enough of it, in any way that Rust prints bytes.
fn tells(text: &str, secret: &[u8; 32]) -> bool {
    let text = text.to_lowercase();
    secret.windows(4).any(|part| {
        let decimal = format!("{part:?}");
        let hex = format!("{part:x?}");
        [decimal, hex]
            .iter()
            .map(|list| list.trim_matches(['[', ']']))
            .any(|list| text.contains(list))
            || text.contains(&HEXLOWER.encode(part))
    })
}

#[test]
fn nothing_secret_is_printed() {
    let server_key: [u8; 32] = std::array::from_fn(|index| 150 + index as u8);
    let client_key: [u8; 32] = std::array::from_fn(|index| 200 + index as u8);
    assert!(tells(&format!("{server_key:?}"), &server_key));
    assert!(tells(&format!("{client_key:x?}"), &client_key));
    assert!(tells(&HEXLOWER.encode(&server_key), &server_key));

    let mut random = Seeded(1);
    let suites = Suites::all(true);
    let mut door = Door::new(NOW, &server_key, suites, Limits::default(), &mut random);
    let mut printed = format!("{door:?}");
    let (client, hello) = ExpectHelloReply::start(suites, Limits::default(), None, &mut random);
    printed += &format!("{client:?}");
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    let offer = client.handle_reply(&reply).unwrap();
    printed += &format!("{offer:?}");
    // The generator is known, so the ephemeral keys that it is about to give are, too.
    let client_ephemeral = {
        let mut ahead = random.clone();
        ahead.bytes::<4>();
        ahead.bytes::<32>()
    };
    let (client, initiation) = offer.initiate(&client_key, &mut random).unwrap();
    printed += &format!("{client:?}");
    let initiation = door.handle_initiation(NOW, &source(), &initiation).unwrap();
    printed += &format!("{initiation:?}");
    let server_ephemeral = random.clone().bytes::<32>();
    let (server, response) = initiation.accept(NOW, 1, &mut random).unwrap();
    let client = client.handle_response(NOW, &response).unwrap();
    printed += &format!("{client:?}{server:?}");
    for secret in [server_key, client_key, client_ephemeral, server_ephemeral] {
        assert!(!tells(&printed, &secret), "{printed}");
    }
    for word in ["chaining", "iv:", "key: ["] {
        assert!(!printed.contains(word), "{word} in {printed}");
    }
}

#[test]
fn the_keys_of_a_handshake_are_not_printed() {
    let public = {
        let secret = x25519_dalek::StaticSecret::from([1; 32]);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    };
    let initiator = InitiatorStart {
        prologue: b"",
        own: &[2; 32],
        responder: public,
    };
    assert_eq!(format!("{initiator:?}"), "InitiatorStart");
    let (finished, _) = initiator
        .run::<32>(&mut Seeded(1), &[0; 24], |message| {
            let responder = ResponderStart {
                prologue: b"",
                own: &[1; 32],
            };
            assert_eq!(format!("{responder:?}"), "ResponderStart");
            let (_, _, reply) = responder
                .run::<24>(&mut Seeded(2), message, &[0; 32])
                .unwrap();
            reply
        })
        .unwrap();
    assert_eq!(format!("{finished:?}"), "Finished");
}
