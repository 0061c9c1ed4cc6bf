//! Keys that renew themselves: when epochs end, what a handshake inside the session changes, and what a peer may not do with
//! either.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::Control;
use sdvr_session::{CloseCode, Event, KeyLimits, Malformed, OutgoingFrame, Session, SessionError};
use support::peer::{bytes_of, hear, say};
use support::{
    NOW, Seeded, deliver, deliver_at, exchange, exchange_at, payload, seal_frame, streaming,
};

const EPOCH_BYTE: usize = 5;

fn limits() -> KeyLimits {
    KeyLimits {
        epoch_records: 4,
        ..KeyLimits::default()
    }
}

/// A streaming pair that renews its keys by `limits`.
fn pair(limits: KeyLimits) -> (Session, Session) {
    let (mut client, mut server) = streaming(true);
    client.set_key_limits(limits);
    server.set_key_limits(limits);
    (client, server)
}

/// Sends a frame of one record and gives its epoch.
#[track_caller]
fn send(client: &mut Session, server: &mut Session, now: Timestamp, number: u64) -> u8 {
    let mut wire = seal_frame(client, now, number, &payload(number, 100));
    let epoch = wire[EPOCH_BYTE];
    assert_eq!(deliver_at(now, server, &mut wire), payload(number, 100));
    epoch
}

#[test]
fn an_epoch_ends_at_the_first_of_its_limits() {
    let ends = |limits: KeyLimits, step: Duration| {
        let (mut client, mut server) = pair(limits);
        (0..100).find(|number| {
            let now = NOW + step * (*number as u32);
            send(&mut client, &mut server, now, *number) == 1
        })
    };
    let never = KeyLimits::default();
    // The introduction and the answer about the clock were two records.
    let records = KeyLimits {
        epoch_records: 10,
        ..never
    };
    assert_eq!(ends(records, Duration::ZERO), Some(8));
    let bytes = KeyLimits {
        epoch_bytes: 2000,
        ..never
    };
    assert_eq!(ends(bytes, Duration::ZERO), Some(15));
    assert_eq!(ends(never, Duration::from_secs(2)), Some(60));
    let time = KeyLimits {
        epoch_time: Duration::from_secs(1),
        ..never
    };
    assert_eq!(ends(time, Duration::from_millis(100)), Some(10));
    assert_eq!(ends(never, Duration::ZERO), None);
}

#[test]
fn at_most_one_epoch_is_unconfirmed() {
    let (mut client, mut server) = pair(limits());
    let epochs: Vec<u8> = (0..20)
        .map(|number| send(&mut client, &mut server, NOW, number))
        .collect();
    assert_eq!(epochs[..3], [0, 0, 1]);
    assert_eq!(epochs[3..], [1; 17], "nobody has confirmed epoch 1");
    exchange(&mut server, &mut client);
    assert_eq!(send(&mut client, &mut server, NOW, 20), 2);
}

#[test]
fn both_directions_renew_and_the_number_of_the_epoch_goes_round() {
    let (mut client, mut server) = pair(limits());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for number in 0..3000 {
        up.push(send(&mut client, &mut server, NOW, number));
        let ping = bytes_of(&Control::Ping(number));
        assert_eq!(say(&mut client, &mut server, &ping), Ok(None));
        let answer = exchange(&mut server, &mut client);
        down.push(answer[EPOCH_BYTE]);
        exchange(&mut client, &mut server);
    }
    for epochs in [up, down] {
        let changes = epochs.windows(2).filter(|pair| pair[0] != pair[1]);
        for pair in changes.clone() {
            assert_eq!(pair[1], pair[0].wrapping_add(1));
        }
        assert!(changes.count() > 300, "the byte went round");
    }
}

#[test]
fn a_silent_link_does_not_talk_about_its_epochs() {
    let (mut client, mut server) = pair(KeyLimits {
        epoch_records: 0,
        epoch_time: Duration::ZERO,
        ..limits()
    });
    send(&mut client, &mut server, NOW, 1);
    let mut said = 0;
    while said < 100 {
        let up = exchange(&mut client, &mut server).len();
        let down = exchange(&mut server, &mut client).len();
        if up + down == 0 {
            return;
        }
        said += 1;
    }
    panic!("each answer is answered");
}

#[test]
fn an_epoch_may_end_in_the_middle_of_a_frame() {
    let (mut client, mut server) = pair(limits());
    for number in 0..50 {
        let payload = payload(number, 200_000);
        let mut frame = OutgoingFrame::new(StreamId(0), FrameNumber(number), NOW, FrameFlags::KEY);
        let mut arrived = Vec::new();
        loop {
            let mut wire = Vec::new();
            let is_whole = client
                .seal_frame(NOW, &mut frame, &payload, &mut wire)
                .unwrap();
            arrived.extend(deliver(&mut server, &mut wire));
            exchange(&mut server, &mut client);
            if is_whole {
                break;
            }
        }
        assert_eq!(arrived, payload);
    }
}

/// Time at which a handshake is surely due.
fn due() -> Timestamp {
    NOW + Duration::from_secs(33 * 60)
}

fn begin(client: &mut Session, at: Timestamp, seed: u64) {
    client.handle_timeout(at);
    assert_eq!(client.poll_event(), Some(Event::Rekey));
    client.rekey(at, &mut Seeded(seed)).unwrap();
}

fn answer(server: &mut Session, at: Timestamp, seed: u64) {
    assert_eq!(server.poll_event(), Some(Event::Rekey));
    server.rekey(at, &mut Seeded(seed)).unwrap();
}

/// A handshake inside the session at `at`.
fn rekey(client: &mut Session, server: &mut Session, at: Timestamp) {
    begin(client, at, 1);
    exchange_at(at, client, server);
    answer(server, at, 2);
    exchange_at(at, server, client);
}

#[test]
fn a_handshake_is_due_after_30_minutes_give_or_take_a_tenth_or_many_bytes() {
    let (mut client, _) = streaming(true);
    client.handle_timeout(NOW + Duration::from_secs(27 * 60 - 1));
    assert_eq!(client.poll_event(), None);
    client.handle_timeout(due());
    assert_eq!(client.poll_event(), Some(Event::Rekey));

    let (mut client, mut server) = pair(KeyLimits {
        rekey_bytes: 5000,
        ..limits()
    });
    for number in 0..100 {
        send(&mut client, &mut server, NOW, number);
        exchange(&mut server, &mut client);
    }
    let at = NOW + Duration::from_millis(1500);
    assert_eq!(client.poll_timeout(), NOW + Duration::from_secs(1));
    client.handle_timeout(at);
    assert_eq!(client.poll_event(), Some(Event::Rekey));
    client.handle_timeout(at);
    assert_eq!(client.poll_event(), None, "asked once");
}

#[test]
fn fresh_keys_begin_with_the_next_epoch_and_streams_go_on() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        let mut at = due();
        for round in 0..20_u64 {
            let number = round * 10;
            let payload = payload(number, 250_000);
            let mut frame =
                OutgoingFrame::new(StreamId(0), FrameNumber(number), at, FrameFlags::KEY);
            let (mut wire, mut arrived) = (Vec::new(), Vec::new());
            client
                .seal_frame(at, &mut frame, &payload, &mut wire)
                .unwrap();
            let epoch = wire[EPOCH_BYTE];
            begin(&mut client, at, round);
            client.poll_transmit(at, &mut wire).unwrap();
            client
                .seal_frame(at, &mut frame, &payload, &mut wire)
                .unwrap();
            assert_eq!(
                wire[wire.len() - 65_536 + EPOCH_BYTE],
                epoch,
                "not before REKEY2"
            );
            arrived.extend(deliver_at(at, &mut server, &mut wire));
            answer(&mut server, at, 100 + round);
            let mut down = Vec::new();
            server.poll_transmit(at, &mut down).unwrap();
            deliver_at(at, &mut client, &mut down);
            wire.clear();
            while !client
                .seal_frame(at, &mut frame, &payload, &mut wire)
                .unwrap()
            {}
            assert_eq!(wire[EPOCH_BYTE], epoch.wrapping_add(1));
            arrived.extend(deliver_at(at, &mut server, &mut wire));
            assert_eq!(arrived, payload, "a frame half received goes on");
            down.clear();
            server.poll_transmit(at, &mut down).unwrap();
            deliver_at(at, &mut client, &mut down);
            exchange_at(at, &mut client, &mut server);
            assert_eq!(client.poll_event(), None);
            assert_eq!(server.poll_event(), None);
            at = at + Duration::from_secs(33 * 60);
        }
    }
}

#[test]
fn nothing_of_the_old_keys_is_in_the_new_ones() {
    // Two sessions that are the same until the handshake, which has other randomness.
    let wire_after = |seed| {
        let (mut client, mut server) = streaming(true);
        begin(&mut client, due(), seed);
        exchange_at(due(), &mut client, &mut server);
        answer(&mut server, due(), 2);
        exchange_at(due(), &mut server, &mut client);
        seal_frame(&mut client, due(), 1, b"a frame")
    };
    assert_eq!(wire_after(1), wire_after(1));
    assert_ne!(wire_after(1), wire_after(3));
}

#[test]
fn a_session_is_refused_60_minutes_after_its_last_handshake() {
    let refused = Err(SessionError::KeysUsedUp);
    let hour = Duration::from_secs(3600);
    let (mut client, mut server) = streaming(true);
    let mut wire = seal_frame(&mut client, NOW, 1, b"a frame");
    assert_eq!(
        server.handle_record(NOW + hour, &mut wire).map(|_| ()),
        refused
    );
    let mut frame = OutgoingFrame::new(StreamId(0), FrameNumber(2), NOW, FrameFlags::KEY);
    let sealed = client.seal_frame(NOW + hour, &mut frame, b"x", &mut Vec::new());
    assert_eq!(sealed.map(|_| ()), refused);
    // It can say why.
    server.close(CloseCode::KeysUsedUp, "");
    let mut wire = Vec::new();
    server.poll_transmit(NOW + hour, &mut wire).unwrap();
    assert!(!wire.is_empty());

    let (mut client, mut server) = streaming(true);
    rekey(&mut client, &mut server, due());
    let mut wire = seal_frame(&mut client, NOW + hour, 1, b"a frame");
    assert!(server.handle_record(NOW + hour, &mut wire).is_ok());
}

#[test]
fn an_end_during_a_handshake_is_confirmed() {
    // The client says CLOSE when REKEY1 is on its way: the answers are under the new keys.
    let (mut client, mut server) = streaming(true);
    begin(&mut client, due(), 1);
    let mut up = Vec::new();
    client.poll_transmit(due(), &mut up).unwrap();
    client.close(CloseCode::EndOfSource, "");
    let mut close = Vec::new();
    client.poll_transmit(due(), &mut close).unwrap();
    deliver_at(due(), &mut server, &mut up);
    answer(&mut server, due(), 2);
    let mut down = Vec::new();
    server.poll_transmit(due(), &mut down).unwrap();
    deliver_at(due(), &mut server, &mut close);
    assert!(matches!(server.poll_event(), Some(Event::Closed(_))));
    deliver_at(due(), &mut client, &mut down);
    exchange_at(due(), &mut server, &mut client);

    // The server does: REKEY1 is not answered any more, nor is the driver's randomness used.
    let (mut client, mut server) = streaming(true);
    begin(&mut client, due(), 1);
    exchange_at(due(), &mut client, &mut server);
    server.close(CloseCode::ShuttingDown, "");
    answer(&mut server, due(), 2);
    exchange_at(due(), &mut server, &mut client);
    assert!(matches!(client.poll_event(), Some(Event::Closed(_))));
}

#[test]
fn an_epoch_that_is_not_the_next_ends_the_session() {
    for epoch in [2, 3, 128, 255] {
        let (mut client, mut server) = streaming(true);
        let mut wire = seal_frame(&mut client, NOW, 1, b"a frame");
        wire[EPOCH_BYTE] = epoch;
        assert_eq!(hear(&mut server, &wire), Err(SessionError::Epoch(epoch)));
    }
    let (mut client, mut server) = streaming(true);
    let mut wire = seal_frame(&mut client, NOW, 1, b"a frame");
    wire[EPOCH_BYTE] = 1;
    assert_eq!(hear(&mut server, &wire), Err(SessionError::NotAuthentic));
    // A forged epoch changed nothing: the true record is still the next.
    wire[EPOCH_BYTE] = 0;
    assert_eq!(deliver(&mut server, &mut wire), b"a frame");
}

#[test]
fn an_epoch_before_the_last_was_confirmed_ends_the_session() {
    // The client believes that its epochs are confirmed, and the server has said nothing.
    let (mut client, mut server) = pair(limits());
    let (mut other_client, mut other) = pair(limits());
    let mut wires = Vec::new();
    for number in 0..12 {
        let wire = seal_frame(&mut other_client, NOW, number, b"a frame");
        deliver(&mut other, &mut wire.clone());
        exchange(&mut other, &mut other_client);
        wires.push(wire);
    }
    // The same keys: both pairs come from one seed.
    let heard: Vec<_> = wires.iter().map(|wire| hear(&mut server, wire)).collect();
    let first_error = heard.iter().find(|heard| heard.is_err());
    assert_eq!(first_error, Some(&Err(SessionError::Epoch(2))));
    exchange(&mut client, &mut server);
}

#[test]
fn rekey_messages_out_of_turn_end_the_session() {
    let noise1 = bytes_of(&Control::Rekey1([7; 96]));
    let noise2 = bytes_of(&Control::Rekey2([7; 48]));
    let unexpected = |name| Err(SessionError::Unexpected(name));
    // Too early.
    let (mut client, mut server) = streaming(true);
    assert_eq!(say(&mut client, &mut server, &noise1), unexpected("REKEY1"));
    // Not asked for.
    let (mut client, mut server) = streaming(true);
    assert_eq!(say(&mut server, &mut client, &noise2), unexpected("REKEY2"));
    // From the wrong end.
    let (mut client, mut server) = streaming(true);
    assert_eq!(
        say(&mut server, &mut client, &noise1),
        unexpected("client's")
    );
    let (mut client, mut server) = streaming(true);
    assert_eq!(
        say(&mut client, &mut server, &noise2),
        unexpected("server's")
    );
    // Records that were never sent are not seen.
    let (mut client, mut server) = streaming(true);
    let seen = bytes_of(&Control::Seen(1000));
    assert_eq!(say(&mut client, &mut server, &seen), unexpected("SEEN"));
}

/// A client's REKEY1 as it was said, and the pair, at a time when it is due.
fn said_rekey1() -> (Session, Session, Vec<u8>) {
    let (mut client, mut server) = streaming(true);
    let mut wire = Vec::new();
    begin(&mut client, due(), 1);
    client.poll_transmit(due(), &mut wire).unwrap();
    let mut record = wire.clone();
    server.handle_record(due(), &mut record).unwrap();
    // A PING may be before it.
    let noise = record[record.len() - 16 - 100..record.len() - 16].to_vec();
    assert_eq!(noise[..4], [52, 0, 96, 0]);
    (client, server, noise)
}

#[test]
fn a_rekey1_that_is_said_again_ends_the_session() {
    // Before it was answered, after, and when the new keys are in use.
    let (mut client, mut server, noise) = said_rekey1();
    let mut again = support::peer::sealed(&mut client, &noise);
    let heard = server.handle_record(due(), &mut again).map(|_| ());
    assert_eq!(heard, Err(SessionError::Unexpected("REKEY1")));

    let (mut client, mut server, noise) = said_rekey1();
    answer(&mut server, due(), 2);
    let mut again = support::peer::sealed(&mut client, &noise);
    let later = due() + Duration::from_secs(5);
    let heard = server.handle_record(later, &mut again).map(|_| ());
    assert_eq!(heard, Err(SessionError::Unexpected("REKEY1")));

    let (mut client, mut server, noise) = said_rekey1();
    answer(&mut server, due(), 2);
    exchange_at(due(), &mut server, &mut client);
    send(&mut client, &mut server, due(), 1);
    exchange_at(due(), &mut server, &mut client);
    exchange_at(due(), &mut client, &mut server);
    exchange_at(due(), &mut server, &mut client);
    let mut again = support::peer::sealed(&mut client, &noise);
    server.handle_record(later, &mut again).unwrap();
    assert_eq!(server.poll_event(), Some(Event::Rekey));
    let answered = server.rekey(later, &mut Seeded(3));
    assert_eq!(answered, Err(SessionError::NotAuthentic));
}

#[test]
fn an_altered_handshake_ends_the_session() {
    for byte in 4..100 {
        let (mut client, mut server) = streaming(true);
        let mut wire = Vec::new();
        begin(&mut client, due(), 1);
        let mut message = Vec::new();
        client.poll_transmit(due(), &mut wire).unwrap();
        let (mut twin_client, mut twin) = streaming(true);
        twin.handle_record(due(), &mut wire).unwrap();
        message.extend_from_slice(&wire[wire.len() - 16 - 100..wire.len() - 16]);
        message[byte] ^= 1;
        let mut record = support::peer::sealed(&mut twin_client, &message);
        server.handle_record(due(), &mut record).unwrap();
        assert_eq!(server.poll_event(), Some(Event::Rekey));
        let answered = server.rekey(due(), &mut Seeded(2));
        // The highest bit of a key on the curve means nothing there, but is bound into the handshake.
        assert_eq!(answered, Err(SessionError::NotAuthentic), "byte {byte}");
    }
    for byte in 4..52 {
        let (mut client, mut server, _) = said_rekey1();
        answer(&mut server, due(), 2);
        let mut wire = Vec::new();
        server.poll_transmit(due(), &mut wire).unwrap();
        let (mut twin_client, mut twin) = streaming(true);
        twin_client.handle_record(due(), &mut wire).unwrap_err();
        let mut message = wire[wire.len() - 16 - 52..wire.len() - 16].to_vec();
        assert_eq!(message[..4], [53, 0, 48, 0]);
        message[byte] ^= 1;
        let mut record = support::peer::sealed(&mut twin, &message);
        let heard = client.handle_record(due(), &mut record).map(|_| ());
        assert_eq!(heard, Err(SessionError::NotAuthentic), "byte {byte}");
    }
}

#[test]
fn during_a_handshake_no_epoch_of_the_old_chain_is_taken() {
    let (mut client, mut server, _) = said_rekey1();
    // A twin of the client that began no handshake and goes on as before.
    let (mut twin, mut twin_server) = pair(limits());
    let mut wires = Vec::new();
    for number in 0..4 {
        let wire = seal_frame(&mut twin, due(), number, b"a frame");
        deliver_at(due(), &mut twin_server, &mut wire.clone());
        wires.push(wire);
    }
    let next_epoch = wires.iter().find(|wire| wire[EPOCH_BYTE] == 1).unwrap();
    assert_eq!(hear(&mut server, next_epoch), Err(SessionError::Epoch(1)));
    let too_short = bytes_of(&Control::Rekey2([0; 48]))[..40].to_vec();
    let mut short = vec![53, 0, 36, 0];
    short.extend_from_slice(&too_short[4..]);
    let heard = say(&mut server, &mut client, &short);
    assert_eq!(heard, Err(SessionError::Malformed(Malformed::Short)));
}
