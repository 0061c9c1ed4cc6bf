//! What a server, or who plays one, sends to a client: any bytes, and good packets with any bytes changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdvr_session::client::{ExpectHelloReply, ExpectResponse};
use sdvr_session::for_tests::HelloReply;
use sdvr_session::{HELLO_REPLY_BYTES, Limits, RESPONSE_BYTES, Suites};

#[path = "../../crates/sdvr-session/tests/support/mod.rs"]
mod support;

use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, source};

/// Bytes of HELLO_REPLY that nothing protects: the version in its header, the flags and the waiting time, which the prologue leaves out.
const REPLY_UNPROTECTED: &[usize] = &[1, 66, 67, 68, 69, 70, 71];
/// Bytes of HS2 that nothing protects: the version in its header, the server's index, for which TCP has no use.
const RESPONSE_UNPROTECTED: &[usize] = &[1, 4, 5, 6, 7];

/// Exclusive-ors `changes` onto `packet`; whether a byte outside of `unprotected` is another one now.
fn alter(packet: &mut [u8], changes: &[u8], unprotected: &[usize]) -> bool {
    let mut is_altered = false;
    for (place, (byte, change)) in packet.iter_mut().zip(changes).enumerate() {
        *byte ^= change;
        is_altered |= *change != 0 && !unprotected.contains(&place);
    }
    is_altered
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let random = &mut Seeded(1);
    let mut door = support::door(random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, random);
    if kind % 4 == 0 {
        if let Ok(reply) = HelloReply::parse(bytes) {
            let again = HelloReply::parse(&reply.to_bytes());
            assert_eq!(again.map(|again| again.to_bytes()), Ok(reply.to_bytes()));
        }
        // The generator's nonce is always the same here, and the fuzzer can learn it: it may be accepted.
        let _ = client.handle_reply(bytes);
        return;
    }
    let reply = door.handle_hello(NOW, &source(), &hello, None, random);
    let mut reply: [u8; HELLO_REPLY_BYTES] = reply.expect("HELLO was good");
    let is_altered = kind % 4 == 1 && alter(&mut reply, bytes, REPLY_UNPROTECTED);
    let offer = client.handle_reply(&reply);
    let Ok((client, initiation)) =
        offer.and_then(|offer| offer.initiate(&CLIENT_PRIVATE_KEY, random))
    else {
        assert!(kind % 4 == 1, "a good reply was refused");
        return;
    };
    let accepted = door
        .handle_initiation(NOW, &source(), &initiation)
        .and_then(|initiation| initiation.accept(NOW, 1, random));
    let Ok((_, mut response)) = accepted else {
        assert!(is_altered, "a good initiation was refused");
        return;
    };
    assert!(!is_altered, "both ends agree on a reply that was altered");
    answer(client, &mut response, *kind, bytes);
});

fn answer(client: ExpectResponse, response: &mut [u8; RESPONSE_BYTES], kind: u8, bytes: &[u8]) {
    let (packet, is_good): (&[u8], bool) = match kind % 4 {
        2 => (bytes, bytes == response.as_slice()),
        3 => {
            let is_altered = alter(response, bytes, RESPONSE_UNPROTECTED);
            (response, !is_altered)
        }
        _ => (response, true),
    };
    assert_eq!(client.handle_response(NOW, packet).is_ok(), is_good);
}
