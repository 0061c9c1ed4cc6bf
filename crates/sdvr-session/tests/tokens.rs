//! What a token of a server is good for: where, for how long, how often, and not for a flood.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

#[path = "support/public.rs"]
mod public;
mod support;

use std::time::Duration;

use public::public;
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::server::Door;
use sdvr_session::{HandshakeError, Limits, SourceAddress, Suites};
use support::{
    CLIENT_PRIVATE_KEY, NOW, SERVER_PRIVATE_KEY, Seeded, address, door, flipped, source,
};

/// Where in HS1 the token is: WIRE.md, section 1.
const INITIATION_TOKEN: usize = 80;

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
