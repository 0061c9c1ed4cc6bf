//! Peers that own their key and say what may not be said: cut short, out of order, too often. Always an error or nothing, never a panic.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::{PublicKey, StreamId, Timestamp};
use sdvr_session::for_tests::Control;
use sdvr_session::{
    Close, CloseCode, Event, Malformed, NewIdCode, OpenStream, Packet, Report, SessionError,
    next_record,
};
use support::peer::{Victim, bytes_of, from_client, from_server, hear, media, say};
use support::{NOW, established, exchange, setup, stream, streaming};

#[test]
fn every_message_cut_short_is_an_error() {
    for (is_server, messages) in [(true, from_client()), (false, from_server())] {
        let mut victim = Victim::new(is_server);
        for message in messages {
            let whole = bytes_of(&message);
            for length in 1..whole.len() {
                let heard = victim.hear(&whole[..length]);
                let expected = Err(SessionError::Malformed(Malformed::Short));
                assert_eq!(heard, expected, "{message:?} cut to {length}");
                // The same with a header that agrees with what is there: now the body is too short.
                if length >= 4 {
                    let mut short = whole[..length].to_vec();
                    short[2..4].copy_from_slice(&(length as u16 - 4).to_le_bytes());
                    let heard = victim.hear(&short);
                    let is_text = matches!(message, Control::Close(_)) && length >= 6;
                    assert_eq!(heard.is_ok(), is_text, "{message:?} made {length}");
                }
            }
            let mut long = whole.clone();
            long.push(0);
            let body_bytes = long.len() as u16 - 4;
            long[2..4].copy_from_slice(&body_bytes.to_le_bytes());
            let heard = victim.hear(&long);
            let is_text = matches!(message, Control::Close(_));
            assert_eq!(heard.is_ok(), is_text, "{message:?} with one byte more");
        }
    }
    let mut victim = Victim::new(true);
    let whole = media(|_| (), b"frame");
    for length in 1..=whole.len() - b"frame".len() {
        assert!(
            victim.hear(&whole[..length]).is_err(),
            "MEDIA cut to {length}"
        );
    }
}

#[test]
fn no_number_anywhere_makes_a_panic() {
    let messages = |is_server| {
        let controls = if is_server {
            from_client()
        } else {
            from_server()
        };
        let mut all: Vec<Vec<u8>> = controls.iter().map(bytes_of).collect();
        all.push(media(|_| (), b"frame"));
        all
    };
    for is_server in [true, false] {
        let mut victim = Victim::new(is_server);
        let (mut errors, mut accepted) = (0, 0);
        for whole in messages(is_server) {
            for width in [1, 2, 4, 8] {
                for at in 0..(whole.len() + 1).saturating_sub(width) {
                    for value in [0, 1, u64::MAX - 1, u64::MAX, 1 << (width * 8 - 1)] {
                        let mut edited = whole.clone();
                        let bytes = value.to_le_bytes();
                        edited[at..at + width].copy_from_slice(&bytes[..width]);
                        match victim.hear(&edited) {
                            Ok(_) => accepted += 1,
                            Err(_) => errors += 1,
                        }
                    }
                }
            }
        }
        assert!(errors > 100 && accepted > 100, "{errors} {accepted}");
    }
}

const FLOOD: SessionError = SessionError::Unexpected("flood of");

#[test]
fn frames_before_the_camera_was_accepted_end_the_session() {
    let (mut client, mut server) = established(true);
    let piece = media(|_| (), b"frame");
    let refused = Err(SessionError::Unexpected("MEDIA"));
    assert_eq!(say(&mut client, &mut server, &piece), refused);

    let (mut client, mut server) = established(true);
    client.introduce(setup(), &[stream()]);
    exchange(&mut client, &mut server);
    assert_eq!(say(&mut client, &mut server, &piece), refused);
}

#[test]
fn messages_out_of_their_order_end_the_session() {
    for (message, expected) in [
        (Control::OpenStream(stream()), "OPEN_STREAM"),
        (Control::CloseStream(StreamId(0)), "premature"),
        (
            Control::ClockReply {
                t1: 0,
                t2: 0,
                t3: 0,
            },
            "premature",
        ),
        (Control::ClockRequest { t1: 0 }, "server's"),
        (Control::Report(Report::default()), "server's"),
        (Control::NewId(PublicKey([9; 32])), "NEW_ID"),
    ] {
        let (mut client, mut server) = established(true);
        let heard = say(&mut client, &mut server, &bytes_of(&message));
        assert_eq!(heard, Err(SessionError::Unexpected(expected)));
    }
    let (mut client, mut server) = streaming(true);
    let twice = say(
        &mut client,
        &mut server,
        &bytes_of(&Control::Setup(setup())),
    );
    assert_eq!(twice, Err(SessionError::Unexpected("SETUP")));
    for message in [
        Control::Setup(setup()),
        Control::OpenStream(stream()),
        Control::CloseStream(StreamId(0)),
        Control::ClockReply {
            t1: 0,
            t2: 0,
            t3: 0,
        },
        Control::NewId(PublicKey([9; 32])),
    ] {
        let (mut client, mut server) = streaming(true);
        let heard = say(&mut server, &mut client, &bytes_of(&message));
        assert_eq!(heard, Err(SessionError::Unexpected("client's")));
    }
    let (mut client, mut server) = streaming(true);
    let [_, _, _, reply, ..] = &from_server()[..] else {
        panic!("SETUP_REPLY is the fourth")
    };
    let twice = say(&mut server, &mut client, &bytes_of(reply));
    assert_eq!(twice, Err(SessionError::Unexpected("SETUP_REPLY")));
    let frame = say(&mut server, &mut client, &media(|_| (), b"frame"));
    assert_eq!(frame, Err(SessionError::Unexpected("MEDIA")));
}

#[test]
fn a_message_of_an_unknown_type_is_skipped() {
    let (mut client, mut server) = streaming(true);
    let mut content = vec![200, 7, 3, 0, 1, 2, 3];
    content.extend(media(|_| (), b"frame"));
    assert_eq!(say(&mut client, &mut server, &content), Ok(Some(5)));
}

#[test]
fn a_flood_of_events_ends_the_session() {
    let (mut client, mut server) = streaming(true);
    let close = bytes_of(&Control::CloseStream(StreamId(9)));
    assert_eq!(say(&mut client, &mut server, &close.repeat(64)), Ok(None));
    assert_eq!(say(&mut client, &mut server, &close), Err(FLOOD));
    let mut events = 0;
    while server.poll_event().is_some() {
        events += 1;
    }
    assert_eq!(events, 64);

    let (mut client, mut server) = streaming(true);
    let report = bytes_of(&Control::Report(Report::default()));
    assert_eq!(
        say(&mut server, &mut client, &report.repeat(65)),
        Err(FLOOD)
    );
}

#[test]
fn a_peer_that_asks_and_does_not_read_cannot_fill_the_memory() {
    let (mut client, mut server) = streaming(true);
    let questions = bytes_of(&Control::Ping(1)).repeat(5000);
    assert_eq!(say(&mut client, &mut server, &questions), Err(FLOOD));
    let questions = bytes_of(&Control::ClockRequest { t1: 1 }).repeat(5000);
    assert_eq!(say(&mut server, &mut client, &questions), Err(FLOOD));
    // The answers so far still make records that the other end takes.
    let mut wire = Vec::new();
    server.poll_transmit(NOW, &mut wire).unwrap();
    assert!(wire.len() < 20_000, "{}", wire.len());
    let Ok(Packet::Complete(_)) = next_record(&wire, 4096) else {
        panic!("an honest record")
    };
}

#[test]
fn many_streams_with_much_extradata_fit_before_acceptance() {
    let streams: Vec<OpenStream> = (0..8)
        .map(|number| OpenStream {
            stream: StreamId(number),
            extradata: vec![7; 1024],
            ..stream()
        })
        .collect();
    let (mut client, mut server) = established(true);
    client.introduce(setup(), &streams);
    exchange(&mut client, &mut server);
    assert_eq!(server.poll_event(), Some(Event::Setup(setup())));
    for stream in streams {
        assert_eq!(server.poll_event(), Some(Event::OpenStream(stream)));
    }
    assert_eq!(server.poll_event(), None);
}

#[test]
fn nothing_is_accepted_after_the_end() {
    let (mut client, mut server) = streaming(true);
    let close = bytes_of(&Control::Close(Close {
        code: CloseCode::EndOfSource,
        text: String::new(),
    }));
    let then = |after: &[u8]| [close.as_slice(), after].concat();
    let frame = then(&media(|_| (), b"frame"));
    assert_eq!(say(&mut client, &mut server, &frame), Ok(None));
    assert!(matches!(server.poll_event(), Some(Event::Closed(_))));
    for content in [
        media(|_| (), b"frame"),
        bytes_of(&Control::OpenStream(stream())),
        close,
    ] {
        assert_eq!(say(&mut client, &mut server, &content), Ok(None));
        assert_eq!(server.poll_event(), None);
    }
    // The end is answered, once.
    exchange(&mut server, &mut client);
    let answers: Vec<Event> = std::iter::from_fn(|| client.poll_event()).collect();
    assert!(
        matches!(
            &answers[..],
            [Event::Closed(Close {
                code: CloseCode::EndOfSource,
                ..
            })]
        ),
        "{answers:?}"
    );
    assert_eq!(server.poll_timeout(), Timestamp::NEVER);
}

/// Who ends a session hears nothing more but the other's answer, which proves that all before has arrived.
#[test]
fn the_end_is_answered_and_only_the_end() {
    let (mut client, mut server) = streaming(true);
    client.close(CloseCode::EndOfSource, "the end");
    // Said before the server heard of the end.
    server.close(CloseCode::ShuttingDown, "now");
    let mut late = Vec::new();
    server.poll_transmit(NOW, &mut late).unwrap();
    exchange(&mut client, &mut server);
    assert!(matches!(
        server.poll_event(),
        Some(Event::Closed(Close {
            code: CloseCode::EndOfSource,
            ..
        }))
    ));
    assert_eq!(client.poll_event(), None);
    assert_eq!(hear(&mut client, &late), Ok(()));
    // Both at once: that is no answer to this end, and its code says so.
    assert!(matches!(
        client.poll_event(),
        Some(Event::Closed(Close {
            code: CloseCode::ShuttingDown,
            ..
        }))
    ));

    let (mut client, mut server) = streaming(true);
    client.close(CloseCode::EndOfSource, "the end");
    let report = bytes_of(&Control::Report(Report::default()));
    assert_eq!(say(&mut server, &mut client, &report), Ok(None));
    assert_eq!(client.poll_event(), None);
    client.close(CloseCode::EndOfSource, "again");
    // It was said once.
    exchange(&mut client, &mut server);
    assert!(matches!(server.poll_event(), Some(Event::Closed(_))));
    assert_eq!(server.poll_event(), None);
}

/// At 20 kB/s a record takes seconds; the client must hear meanwhile that the server is there.
#[test]
fn a_part_of_a_record_makes_the_server_report() {
    let (_, mut server) = streaming(true);
    server.handle_timeout(NOW);
    let quiet = server.poll_timeout();
    server.handle_part_of_record(NOW);
    let soon = server.poll_timeout();
    assert!(
        soon < quiet && soon == NOW + std::time::Duration::from_millis(500),
        "{soon:?} {quiet:?}"
    );
}

#[test]
fn texts_for_people_carry_no_control_characters() {
    let (mut client, mut server) = streaming(true);
    let mut close = vec![3, 0, 10, 0, 2, 0];
    close.extend_from_slice(b"a\x1b[31m\nb");
    assert_eq!(say(&mut client, &mut server, &close), Ok(None));
    let Some(Event::Closed(Close { text, .. })) = server.poll_event() else {
        panic!("no CLOSE")
    };
    assert_eq!(text, "a?[31m?b");
    let (mut client, mut server) = streaming(true);
    let not_utf8 = [3, 0, 3, 0, 2, 0, 0xff];
    let heard = say(&mut client, &mut server, &not_utf8);
    assert_eq!(heard, Err(SessionError::Malformed(Malformed::Text)));
}

/// Every key that is announced makes the server write to its disk.
#[test]
fn keys_are_announced_by_accepted_clients_and_at_most_once_a_second() {
    let (mut client, mut server) = established(true);
    client.introduce(setup(), &[]);
    exchange(&mut client, &mut server);
    let announced = |number| bytes_of(&Control::NewId(PublicKey([number; 32])));
    let refused = Err(SessionError::Unexpected("NEW_ID"));
    // Nobody has decided on it.
    assert_eq!(say(&mut client, &mut server, &announced(1)), refused);

    let (mut client, mut server) = streaming(true);
    client.announce_new_id(PublicKey([1; 32]));
    exchange(&mut client, &mut server);
    let (key, code) = (PublicKey([1; 32]), NewIdCode::Recorded);
    assert_eq!(server.poll_event(), Some(Event::NewId(key)));
    server.reply_new_id(key, code);
    exchange(&mut server, &mut client);
    assert_eq!(client.poll_event(), Some(Event::NewIdReply { key, code }));
    assert_eq!(say(&mut client, &mut server, &announced(2)), refused);
    // The answer is the server's alone.
    let (mut client, mut server) = streaming(true);
    let answer = bytes_of(&Control::NewIdReply { key, code });
    let heard = say(&mut client, &mut server, &answer);
    assert_eq!(heard, Err(SessionError::Unexpected("server's")));
    // Nobody answers before the camera was accepted.
    let (mut client, mut server) = established(true);
    let heard = say(&mut server, &mut client, &answer);
    assert_eq!(heard, Err(SessionError::Unexpected("client's")));
}
