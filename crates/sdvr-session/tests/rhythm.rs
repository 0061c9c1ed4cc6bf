//! What ends say by themselves, and when: reports, signs of life, questions for the clock.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId};
use sdvr_session::Event;
use support::receiver::Receiver;
use support::{
    NOW, exchange_datagrams, handshake, seal_frame, start_streaming, streaming_datagrams,
};

/// Runs a server with streaming frames every `interval`; gives the times at which it reported.
fn report_times(interval: Duration, frames: u32) -> Vec<Duration> {
    let pair = handshake(3, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    let mut receiver = Receiver::default();
    let mut reported = Vec::new();
    for number in 0..frames {
        let at = NOW + interval * number;
        // What the timers want comes before what arrives later.
        while server.poll_timeout() < at {
            let due = server.poll_timeout();
            server.handle_timeout(due);
            let mut wire = Vec::new();
            server.poll_transmit(due, &mut wire).unwrap();
            receiver.take_in(&mut client, due, &wire);
            while let Some(event) = client.poll_event() {
                if matches!(event, Event::Report(_)) {
                    reported.push(due.saturating_since(NOW));
                }
            }
        }
        let wire = seal_frame(&mut client, at, number.into(), b"a frame");
        Receiver::default().take_in(&mut server, at, &wire);
    }
    reported
}

#[test]
fn a_server_reports_every_500_ms_while_frames_flow() {
    let reported = report_times(Duration::from_millis(33), 300);
    let expected: Vec<Duration> = (1..=19)
        .map(|number| Duration::from_millis(500) * number)
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn a_report_follows_each_frame_of_a_slow_camera() {
    let reported = report_times(Duration::from_secs(10), 5);
    let expected: Vec<Duration> = (0..4)
        .map(|number| Duration::from_millis(10_000 * number + 500))
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn a_silent_client_pings_every_second_and_is_answered() {
    let pair = handshake(4, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    let mut at = NOW;
    for number in 1..10 {
        at = client.poll_timeout();
        assert_eq!(at, NOW + Duration::from_secs(number));
        client.handle_timeout(at.offset_by(-1));
        let mut wire = Vec::new();
        client.poll_transmit(at, &mut wire).unwrap();
        assert!(wire.is_empty(), "too early");
        client.handle_timeout(at);
        client.handle_timeout(at);
        client.poll_transmit(at, &mut wire).unwrap();
        assert_eq!(wire.len(), 8 + 12 + 16, "one PING");
        server.handle_record(at, &mut wire).unwrap();
        assert_eq!(server.last_heard(), at);
        let mut answer = Vec::new();
        server.poll_transmit(at, &mut answer).unwrap();
        assert_eq!(answer.len(), 8 + 12 + 16, "one PONG");
        client.handle_record(at, &mut answer).unwrap();
        assert_eq!(client.last_heard(), at);
    }
    // A frame is a sign of life too.
    let later = at.offset_by(500_000_000);
    seal_frame(&mut client, later, 1, b"a frame");
    assert_eq!(client.poll_timeout(), later + Duration::from_secs(1));
}

#[test]
fn the_clock_is_asked_for_at_once_then_ten_times_a_second_apart_then_every_ten_seconds() {
    let pair = handshake(5, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    assert!(server.clock().round_trip().is_some(), "asked at once");
    let mut asked = Vec::new();
    for _ in 0..13 {
        let at = server.poll_timeout();
        server.handle_timeout(at);
        let mut wire = Vec::new();
        server.poll_transmit(at, &mut wire).unwrap();
        assert_eq!(wire.len(), 8 + 12 + 16, "one CLOCK_REQUEST");
        asked.push(at.saturating_since(NOW).as_secs());
    }
    assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40]);
}

#[test]
fn over_datagrams_a_server_that_is_not_heard_is_asked_five_times_a_second() {
    let (mut client, _) = streaming_datagrams(true);
    let heard = client.last_heard();
    let mut asked = Vec::new();
    loop {
        let at = client.poll_timeout();
        if at > heard + Duration::from_millis(1900) {
            break;
        }
        client.handle_timeout(at);
        let mut datagram = Vec::new();
        while client.poll_datagram(at, &mut datagram).unwrap() {}
        if !datagram.is_empty() {
            asked.push(at.saturating_since(heard).as_millis());
        }
    }
    assert_eq!(asked, [1000, 1200, 1400, 1600, 1800]);
}

#[test]
fn over_datagrams_the_answer_to_a_question_says_what_has_arrived() {
    let (mut client, mut server) = streaming_datagrams(true);
    assert_eq!(client.answered_ping(), None);
    let facts = (FrameNumber(0), NOW, FrameFlags::KEY);
    client
        .send_frame(NOW, StreamId(0), facts, vec![1; 500])
        .unwrap();
    let asked = NOW + Duration::from_millis(7);
    client.ping(asked);
    exchange_datagrams(asked, &mut client, &mut server);
    while server.poll_frame(asked).is_some() {}
    // The report goes with the answer, so it is of what was handed out by then: the next one counts the frame.
    client.ping(asked + Duration::from_millis(1));
    exchange_datagrams(asked + Duration::from_millis(1), &mut client, &mut server);
    exchange_datagrams(asked + Duration::from_millis(1), &mut server, &mut client);
    assert_eq!(
        client.answered_ping(),
        Some(asked + Duration::from_millis(1))
    );
    let received: Vec<u64> = std::iter::from_fn(|| client.poll_event())
        .filter_map(|event| match event {
            Event::Report(report) => Some(report.frames_received),
            _ => None,
        })
        .collect();
    assert_eq!(received, [0, 1]);
}
