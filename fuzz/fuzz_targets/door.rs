//! What a stranger sends to the daemon's door: any bytes, and good packets with any bytes changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::server::Door;
use sdvr_session::{HELLO_BYTES, INITIATION_BYTES, Limits, Suites, next_handshake_packet};

#[path = "../../crates/sdvr-session/tests/support/mod.rs"]
mod support;

use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, source};

/// `good` with the bytes of `changes` exclusive-ored onto it: zeros are the good packet.
fn altered<const N: usize>(good: &[u8; N], changes: &[u8]) -> [u8; N] {
    let mut packet = *good;
    for (byte, change) in packet.iter_mut().zip(changes) {
        *byte ^= change;
    }
    packet
}

/// Bytes of HS1 that nothing protects: the version in its header, and the client's index, which the client compares itself.
const UNPROTECTED: [usize; 5] = [1, 4, 5, 6, 7];

fn initiation_is_accepted(door: &mut Door, packet: &[u8]) -> bool {
    door.handle_initiation(NOW, &source(), packet)
        .and_then(|initiation| initiation.accept(NOW, 1, &mut Seeded(3)))
        .is_ok()
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let random = &mut Seeded(1);
    let mut door = support::door(random);
    match kind % 4 {
        0 => {
            let _ = next_handshake_packet(bytes);
            let reply = door.handle_hello(NOW, &source(), bytes, Some(5), random);
            assert!(reply.is_err() || bytes.len() == HELLO_BYTES);
        }
        1 => assert!(
            !initiation_is_accepted(&mut door, bytes),
            "it never had a token"
        ),
        kind => {
            let (client, hello) =
                ExpectHelloReply::start(Suites::all(true), Limits::default(), None, random);
            if kind == 2 {
                let hello = altered(&hello, bytes);
                if let Ok(reply) = door.handle_hello(NOW, &source(), &hello, None, random) {
                    assert!(reply.len() < hello.len(), "an amplifier");
                }
                return;
            }
            let reply = door.handle_hello(NOW, &source(), &hello, None, random);
            let offer = client.handle_reply(&reply.expect("HELLO was good"));
            let (_, good) = offer
                .and_then(|offer| offer.initiate(&CLIENT_PRIVATE_KEY, random))
                .expect("the reply was good");
            let packet: [u8; INITIATION_BYTES] = altered(&good, bytes);
            let mut differences = (0_usize..)
                .zip(packet.iter().zip(&good))
                .filter(|(_, (a, b))| a != b);
            let is_good = differences.all(|(place, _)| UNPROTECTED.contains(&place));
            assert_eq!(initiation_is_accepted(&mut door, &packet), is_good);
        }
    }
});
