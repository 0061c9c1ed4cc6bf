//! A link that is cut or stands still, in the middle of a renewal of keys or at any byte: no harm comes of it, and it is no end.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::server::Door;
use sdvr_session::{
    CloseCode, Event, Limits, Packet, Session, StreamCode, Suites, next_handshake_packet,
};
use support::receiver::Receiver;
use support::simulation::Simulation;
use support::{
    CLIENT_PRIVATE_KEY, NOW, Seeded, door, handshake, label, payload, seal_frame, setup, source,
    stream,
};

/// What becomes of the link in the middle of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Break {
    /// Nothing arrives at the server any more.
    CutUp,
    /// … at the client.
    CutDown,
    CutBoth,
    /// All of it arrives a minute later, as after a cut that TCP outlives.
    Stall,
}

/// A link that is broken when so many steps were made, and for a minute: nothing hangs, ends run apart or loses a frame that
/// arrived.
fn break_link(seed: u64, after_steps: usize, how: Break) {
    let minute = Duration::from_secs(60);
    let mut simulation = Simulation::renewing(seed);
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    while simulation.steps < after_steps {
        assert!(simulation.step(Timestamp::NEVER));
    }
    if matches!(how, Break::CutUp | Break::CutBoth) {
        simulation.up.cut(&mut simulation.random);
    }
    if matches!(how, Break::CutDown | Break::CutBoth) {
        simulation.down.cut(&mut simulation.random);
    }
    let before = simulation.handshakes;
    if how == Break::Stall {
        simulation.up.stall(simulation.now, minute);
        simulation.down.stall(simulation.now, minute);
    }
    // A link that is cut is given up by its driver; until then it must do no harm. Some frames come, and wait where they are.
    simulation.run_until(simulation.now + Duration::from_secs(1));
    simulation.next_frame = Timestamp::NEVER;
    simulation.run_until(simulation.now + minute);
    simulation.check_frames();
    if how == Break::Stall {
        simulation.run_until(simulation.now + Duration::from_secs(3));
        assert_eq!(simulation.at_server.arrived.len(), simulation.sent.len());
        assert!(simulation.handshakes > before, "renewing goes on");
        assert_eq!(simulation.at_client.buffer.len(), 0);
    } else {
        assert!(
            simulation.handshakes <= before + 2,
            "one that is not answered is the last"
        );
    }
}

#[test]
fn a_link_that_is_cut_or_stands_still_for_a_minute_at_any_message_of_a_renewal_does_no_harm() {
    for seed in 0..8 {
        let mut whole = Simulation::renewing(seed);
        whole.client.introduce(setup(), &[stream()]);
        whole.transmit();
        while whole.handshakes == 0 {
            assert!(whole.step(Timestamp::NEVER));
        }
        let handshake = whole.steps;
        whole.run_until(whole.now + Duration::from_millis(700));
        // From the last epoch before the handshake to the first one by itself after it: the steps in which something was said
        // for it, and those in which that was on its way.
        let mut steps: Vec<usize> = whole
            .renewals
            .iter()
            .filter(|&&step| step + 20 > handshake)
            .flat_map(|&step| step..step + 3)
            .collect();
        steps.sort_unstable();
        steps.dedup();
        assert!(steps.len() >= 6, "{steps:?}");
        for step in steps {
            for how in [Break::CutUp, Break::CutDown, Break::CutBoth, Break::Stall] {
                let outcome = std::panic::catch_unwind(|| break_link(seed, step, how));
                assert!(
                    outcome.is_ok(),
                    "seed {seed}, step {step}, {how:?} failed, see above"
                );
            }
        }
    }
}

/// The bytes a client sends in a short conversation, and what a server answers to each part.
struct Conversation {
    hello: Vec<u8>,
    initiation: Vec<u8>,
    /// From SETUP to CLOSE.
    records: Vec<u8>,
    /// Where in `records` each frame ends.
    frame_ends: Vec<usize>,
}

const CONVERSATION_SEED: u64 = 6;

fn record_conversation() -> Conversation {
    let pair = handshake(CONVERSATION_SEED, true);
    let (mut client, mut server) = (pair.client, pair.server);
    let mut records = introduce(&mut client, &mut server);
    let mut frame_ends = Vec::new();
    for number in 0..4 {
        let wire = seal_frame(&mut client, NOW, number, &payload(number, 50));
        records.extend(wire);
        frame_ends.push(records.len());
    }
    client.close(CloseCode::EndOfSource, "");
    client.poll_transmit(NOW, &mut records).unwrap();
    Conversation {
        hello: pair.hello,
        initiation: pair.initiation,
        records,
        frame_ends,
    }
}

/// Lets `client` stream to `server`; gives all that it sent for that, the answer to the clock request too.
fn introduce(client: &mut Session, server: &mut Session) -> Vec<u8> {
    client.introduce(setup(), &[stream()]);
    let mut from_client = Vec::new();
    client.poll_transmit(NOW, &mut from_client).unwrap();
    Receiver::default().take_in(server, NOW, &from_client);
    answer_events(server);
    let mut from_server = Vec::new();
    server.poll_transmit(NOW, &mut from_server).unwrap();
    Receiver::default().take_in(client, NOW, &from_server);
    client.poll_transmit(NOW, &mut from_client).unwrap();
    from_client
}

/// Answers as a daemon does; gives the CLOSE, if there was one.
fn answer_events(server: &mut Session) -> Option<CloseCode> {
    let mut closed = None;
    while let Some(event) = server.poll_event() {
        match event {
            Event::Setup(_) => server.accept(NOW, label()),
            Event::OpenStream(open) => server.reply_stream(&open, StreamCode::Open),
            Event::Closed(close) => closed = Some(close.code),
            other => panic!("{other:?}"),
        }
    }
    closed
}

/// A server that was sent `bytes` and then nothing more: the frames it has, and whether it saw the end.
fn server_after(conversation: &Conversation, bytes: &[u8]) -> (usize, Option<CloseCode>) {
    let mut random = Seeded(CONVERSATION_SEED);
    let mut door: Door = door(&mut random);
    // The client's share of the seed's randomness, so that the server's is as it was.
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    assert_eq!(hello.as_slice(), conversation.hello);
    let Ok(Packet::Complete(hello_bytes)) = next_handshake_packet(bytes) else {
        return (0, None);
    };
    let (hello, rest) = bytes.split_at(hello_bytes);
    let reply = door
        .handle_hello(NOW, &source(), hello, None, &mut random)
        .unwrap();
    let Ok(Packet::Complete(initiation_bytes)) = next_handshake_packet(rest) else {
        return (0, None);
    };
    let (initiation, records) = rest.split_at(initiation_bytes);
    let offer = client.handle_reply(&reply).unwrap();
    offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap();
    let (mut server, _) = door
        .handle_initiation(NOW, &source(), initiation)
        .unwrap()
        .accept(NOW, 1, &mut random)
        .unwrap();
    let mut receiver = Receiver::default();
    receiver.take_in(&mut server, NOW, records);
    let mut closed = answer_events(&mut server);
    while receiver.has_more(&server) {
        receiver.take_in(&mut server, NOW, &[]);
        let seen = answer_events(&mut server);
        closed = closed.or(seen);
    }
    for (number, frame) in receiver.arrived.iter().enumerate() {
        assert_eq!(frame.number, number as u64);
        assert_eq!(frame.bytes, payload(number as u64, 50));
    }
    (receiver.arrived.len(), closed)
}

#[test]
fn a_cut_at_any_byte_delivers_what_was_whole_and_is_no_close() {
    let conversation = record_conversation();
    let before_records = conversation.hello.len() + conversation.initiation.len();
    let all = [
        conversation.hello.as_slice(),
        &conversation.initiation,
        &conversation.records,
    ]
    .concat();
    for length in 0..=all.len() {
        let (frames, closed) = server_after(&conversation, &all[..length]);
        let whole = conversation
            .frame_ends
            .iter()
            .filter(|&&end| before_records + end <= length)
            .count();
        assert_eq!(frames, whole, "cut after {length} bytes");
        let expected = (length == all.len()).then_some(CloseCode::EndOfSource);
        assert_eq!(closed, expected, "cut after {length} bytes");
    }
}
