//! Peers that own their key and break the protocol, and bytes that are no protocol at all: always an error or nothing,
//! never a panic, and never a frame.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use proptest::prelude::*;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, StreamFormat, StreamId,
    StreamKind, Timestamp,
};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::for_tests::{Control, HelloCore, HelloReply, MediaHeader, keys_of};
use sdvr_session::{
    Close, CloseCode, Event, Limits, Malformed, OpenStream, Packet, Report, Session, SessionError,
    Setup, SetupCode, SetupReply, StreamCode, Suites, next_handshake_packet, next_record,
};
use support::{
    CLIENT_PRIVATE_KEY, NOW, Seeded, deliver, door, established, exchange, handshake, label,
    payload, seal_frame, setup, source, start_streaming, stream, streaming,
};

/// A record of `from` with any content.
fn sealed(from: &mut Session, content: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let (sealer, _) = keys_of(from);
    sealer
        .seal(&mut record, content.len(), |out| {
            out.extend_from_slice(content);
        })
        .unwrap();
    record
}

/// What `to` makes of a record of `from` with any content: an error, or how many bytes of a frame.
fn say(
    from: &mut Session,
    to: &mut Session,
    content: &[u8],
) -> Result<Option<usize>, SessionError> {
    let mut record = sealed(from, content);
    let piece = to.handle_record(NOW, &mut record)?;
    Ok(piece.map(|piece| piece.bytes.len()))
}

/// What `to` makes of a copy of `record`.
fn hear(to: &mut Session, record: &[u8]) -> Result<(), SessionError> {
    to.handle_record(NOW, &mut record.to_vec()).map(|_| ())
}

fn bytes_of(message: &Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

fn media(edit: impl FnOnce(&mut MediaHeader), piece: &[u8]) -> Vec<u8> {
    let mut header = MediaHeader {
        stream: StreamId(0),
        frame_bytes: piece.len() as u32,
        number: FrameNumber(1),
        captured: NOW,
        flags: FrameFlags::KEY,
        is_first: true,
        is_last: true,
        offset: 0,
    };
    edit(&mut header);
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(piece);
    bytes
}

fn from_client() -> Vec<Control> {
    vec![
        Control::Ping(1),
        Control::Pong(2),
        Control::ClockReply {
            t1: 1,
            t2: 2,
            t3: 3,
        },
        Control::Setup(setup()),
        Control::OpenStream(OpenStream {
            label: Some(label()),
            ..stream()
        }),
        Control::CloseStream(StreamId(0)),
        Control::Close(Close {
            code: CloseCode::EndOfSource,
            text: "the end".to_owned(),
        }),
    ]
}

fn from_server() -> Vec<Control> {
    vec![
        Control::Ping(1),
        Control::Pong(2),
        Control::ClockRequest { t1: 5 },
        Control::SetupReply(SetupReply {
            code: SetupCode::Accepted,
            retry_after_s: 0,
            in_the_way: [0; 32],
            label: label(),
        }),
        Control::StreamReply {
            stream: StreamId(0),
            code: StreamCode::Open,
        },
        Control::Report(Report::default()),
        Control::Close(Close {
            code: CloseCode::Replaced,
            text: "a newer session".to_owned(),
        }),
    ]
}

/// Hands `content` to one end of a fresh or a used pair and takes out all that came of it.
struct Victim {
    pair: (Session, Session),
    is_server: bool,
    uses: u32,
}

impl Victim {
    fn new(is_server: bool) -> Self {
        Self {
            pair: streaming(true),
            is_server,
            uses: 0,
        }
    }

    fn hear(&mut self, content: &[u8]) -> Result<Option<usize>, SessionError> {
        let (client, server) = &mut self.pair;
        let (from, to) = if self.is_server {
            (client, server)
        } else {
            (server, client)
        };
        let heard = say(from, to, content);
        let mut has_closed = false;
        while let Some(event) = to.poll_event() {
            has_closed |= matches!(event, Event::Closed(_));
        }
        to.poll_transmit(NOW, &mut Vec::new()).unwrap();
        to.handle_timeout(NOW);
        self.uses += 1;
        if has_closed || self.uses == 500 {
            *self = Self::new(self.is_server);
        }
        heard
    }
}

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

const FITS: &str = "a piece does not fit into its frame";
const CONTRADICTS: &str = "a piece contradicts the first one";

/// What the server makes of the last of `pieces`; those before are fine.
#[track_caller]
fn check_frame(pieces: &[Vec<u8>], expected: &'static str) {
    let (mut client, mut server) = streaming(true);
    let (last, before) = pieces.split_last().unwrap();
    for piece in before {
        assert!(say(&mut client, &mut server, piece).is_ok());
    }
    let heard = say(&mut client, &mut server, last);
    assert_eq!(heard, Err(SessionError::Frame(expected)));
}

/// The first half of a frame of ten bytes, with number 1.
fn first_half() -> Vec<u8> {
    media(
        |header| (header.frame_bytes, header.is_last) = (10, false),
        b"first",
    )
}

/// The second half, changed.
fn second_half(edit: impl FnOnce(&mut MediaHeader)) -> Vec<u8> {
    media(
        |header| {
            (header.frame_bytes, header.is_first, header.offset) = (10, false, 5);
            edit(header);
        },
        b"secnd",
    )
}

#[test]
fn a_frame_in_two_pieces_arrives() {
    let (mut client, mut server) = streaming(true);
    assert_eq!(say(&mut client, &mut server, &first_half()), Ok(Some(5)));
    let second = second_half(|_| ());
    assert_eq!(say(&mut client, &mut server, &second), Ok(Some(5)));
}

#[test]
fn pieces_that_contradict_their_frame_end_the_session() {
    let start = "a frame does not begin at its start";
    check_frame(&[second_half(|_| ())], start);
    check_frame(&[media(|header| header.is_first = false, b"x")], start);
    check_frame(&[first_half(), first_half()], CONTRADICTS);
    let edits: [fn(&mut MediaHeader); 6] = [
        |header| header.number = FrameNumber(2),
        |header| header.captured = NOW.offset_by(1),
        |header| header.flags = FrameFlags::NONE,
        |header| header.is_first = true,
        |header| (header.frame_bytes, header.is_last) = (11, false),
        |header| (header.offset, header.is_last) = (4, false),
    ];
    for edit in edits {
        check_frame(&[first_half(), second_half(edit)], CONTRADICTS);
    }
    let whole = second_half(|_| ());
    check_frame(&[first_half(), whole.clone(), whole], start);
}

#[test]
fn pieces_outside_their_frame_end_the_session() {
    check_frame(&[media(|header| header.frame_bytes = 4, b"five!")], FITS);
    check_frame(
        &[first_half(), second_half(|header| header.offset = 6)],
        FITS,
    );
    let wraps = second_half(|header| header.offset = u32::MAX);
    check_frame(&[first_half(), wraps], FITS);
    check_frame(
        &[first_half(), second_half(|header| header.is_last = false)],
        FITS,
    );
    let too_soon = media(|header| header.frame_bytes = 10, b"first");
    check_frame(&[too_soon], FITS);
    check_frame(&[media(|_| (), b"")], FITS);
    check_frame(&[media(|header| header.frame_bytes = 1, b"")], FITS);
}

#[test]
fn numbers_that_do_not_grow_end_the_session() {
    let numbered = |number| media(|header| header.number = FrameNumber(number), b"frame");
    let grow = "its number does not grow";
    check_frame(&[numbered(1), numbered(1)], grow);
    check_frame(&[numbered(5), numbered(4)], grow);
    check_frame(&[numbered(u64::MAX), numbered(u64::MAX)], grow);
    check_frame(&[numbered(u64::MAX), numbered(0)], grow);
}

#[test]
fn a_frame_above_the_streams_limit_ends_the_session() {
    let of_bytes = |bytes| {
        media(
            |header| (header.frame_bytes, header.is_last) = (bytes, false),
            b"start",
        )
    };
    let most_bytes = stream().frame_kib * 1024;
    let (mut client, mut server) = streaming(true);
    let heard = say(&mut client, &mut server, &of_bytes(most_bytes));
    assert_eq!(heard, Ok(Some(5)));
    let larger = "it is larger than the stream announced";
    check_frame(&[of_bytes(most_bytes + 1)], larger);
    check_frame(&[of_bytes(u32::MAX)], larger);
}

#[test]
fn a_frame_of_a_stream_that_is_not_open_ends_the_session() {
    let closed = "its stream is not open";
    check_frame(&[media(|header| header.stream = StreamId(1), b"x")], closed);
    let close = bytes_of(&Control::CloseStream(StreamId(0)));
    check_frame(&[close, media(|_| (), b"x")], closed);
}

/// A client waits for the answer, also when it opens a stream anew.
#[test]
fn frames_of_a_stream_that_is_not_answered_or_refused_end_the_session() {
    let not_open = Err(SessionError::Frame("its stream is not open"));
    let frame = media(|_| (), b"frame");
    let (mut client, mut server) = streaming(true);
    assert!(matches!(say(&mut client, &mut server, &frame), Ok(Some(_))));
    client.open_stream(stream());
    exchange(&mut client, &mut server);
    assert_eq!(say(&mut client, &mut server, &frame), not_open);
    let (mut client, mut server) = streaming(true);
    server.reply_stream(&stream(), StreamCode::NoMemory);
    assert_eq!(say(&mut client, &mut server, &frame), not_open);
}

#[test]
fn an_unknown_flag_ends_the_session() {
    for bit in [1 << 3, 1 << 5, 1 << 7] {
        let (mut client, mut server) = streaming(true);
        let mut piece = media(|_| (), b"frame");
        piece[1] |= bit;
        let heard = say(&mut client, &mut server, &piece);
        let flags = Malformed::Number(u64::from(piece[1]));
        assert_eq!(heard, Err(SessionError::Malformed(flags)));
    }
    let (mut client, mut server) = streaming(true);
    let mut ping = bytes_of(&Control::Ping(0));
    ping[1] = 1;
    let heard = say(&mut client, &mut server, &ping);
    let expected = Err(SessionError::Malformed(Malformed::ReservedNotZero));
    assert_eq!(heard, expected);
}

#[test]
fn a_message_of_an_unknown_type_is_skipped() {
    let (mut client, mut server) = streaming(true);
    let mut content = vec![200, 7, 3, 0, 1, 2, 3];
    content.extend(media(|_| (), b"frame"));
    assert_eq!(say(&mut client, &mut server, &content), Ok(Some(5)));
}

#[test]
fn nothing_comes_after_media_in_a_record() {
    let (mut client, mut server) = streaming(true);
    let mut content = media(|_| (), b"frame");
    content.extend(bytes_of(&Control::Setup(setup())));
    // What follows is taken for the frame's, and that is too much of it.
    let heard = say(&mut client, &mut server, &content);
    assert_eq!(heard, Err(SessionError::Frame(FITS)));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_record_above_the_limit_ends_the_session() {
    let (mut client, mut server) = established(true);
    // 4,096 bytes after the header, of which 16 are the tag.
    let filler = |bytes: usize| {
        let mut content = vec![200, 0];
        content.extend_from_slice(&((bytes - 4) as u16).to_le_bytes());
        content.resize(bytes, 0);
        content
    };
    assert_eq!(say(&mut client, &mut server, &filler(4080)), Ok(None));
    let heard = say(&mut client, &mut server, &filler(4081));
    assert_eq!(heard, Err(SessionError::RecordTooLong(4105)));

    let (mut client, mut server) = streaming(true);
    let most_bytes = server.longest_record_bytes();
    let piece = vec![0; most_bytes - 16 - 32];
    let fits = media(|_| (), &piece);
    assert_eq!(say(&mut client, &mut server, &fits), Ok(Some(piece.len())));
    let too_long = vec![0; piece.len() + 1];
    let heard = say(&mut client, &mut server, &media(|_| (), &too_long));
    let expected = SessionError::RecordTooLong(most_bytes as u32 + 9);
    assert_eq!(heard, Err(expected));
}

#[test]
fn the_length_is_refused_before_anything_is_read() {
    let header = |length: u32| [length.to_le_bytes().as_slice(), &[0x20, 0, 0, 0]].concat();
    assert_eq!(
        next_record(&header(4096), 4096),
        Ok(Packet::NeedsMore(4104))
    );
    assert_eq!(
        next_record(&header(4097), 4096),
        Err(Malformed::Length(4097))
    );
    assert_eq!(
        next_record(&header(u32::MAX), 1 << 20),
        Err(Malformed::Length(u32::MAX.into()))
    );
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

#[test]
fn reserved_bytes_of_a_records_header_must_be_zero() {
    for (at, byte, expected) in [
        (4, 0x21, Malformed::UnexpectedType(0x21)),
        (5, 1, Malformed::ReservedNotZero),
        (6, 1, Malformed::ReservedNotZero),
        (7, 1, Malformed::ReservedNotZero),
    ] {
        let (mut client, mut server) = streaming(true);
        let mut record = sealed(&mut client, &bytes_of(&Control::Ping(1)));
        record[at] = byte;
        let refused = Err(SessionError::Malformed(expected));
        assert_eq!(hear(&mut server, &record), refused);
    }
}

#[test]
fn a_record_with_one_flipped_bit_delivers_nothing() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        let record = seal_frame(&mut client, NOW, 1, b"a frame");
        for bit in 0..record.len() * 8 {
            let mut altered = record.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(server.handle_record(NOW, &mut altered).is_err(), "{bit}");
        }
        for length in 0..record.len() {
            let mut cut = record[..length].to_vec();
            assert!(server.handle_record(NOW, &mut cut).is_err(), "{length}");
            // A header that agrees with what is there.
            if length >= 8 {
                let mut cut = record[..length].to_vec();
                cut[..4].copy_from_slice(&(length as u32 - 8).to_le_bytes());
                assert!(server.handle_record(NOW, &mut cut).is_err(), "{length}");
            }
        }
        assert_eq!(server.poll_event(), None);
        // What was not accepted did not count: the true record is still the next.
        assert_eq!(deliver(&mut server, &mut record.clone()), b"a frame");
    }
}

#[test]
fn a_record_out_of_its_order_delivers_nothing() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        let first = seal_frame(&mut client, NOW, 1, b"first");
        let second = seal_frame(&mut client, NOW, 2, b"second");
        let refused = Err(SessionError::NotAuthentic);
        let heard = hear(&mut server, &second);
        assert_eq!(heard, refused);
        assert_eq!(deliver(&mut server, &mut first.clone()), b"first");
        let again = hear(&mut server, &first);
        assert_eq!(again, refused);
        assert_eq!(deliver(&mut server, &mut second.clone()), b"second");
        // Nor does a record come back to its sender, or go to another session of the same two keys.
        let third = seal_frame(&mut client, NOW, 3, b"third");
        let reflected = hear(&mut client, &third);
        assert_eq!(reflected, refused);
        let mut other = handshake(8, aes);
        start_streaming(&mut other.client, &mut other.server);
        let elsewhere = hear(&mut other.server, &third);
        assert_eq!(elsewhere, refused);
    }
}

fn any_label() -> impl Strategy<Value = Label> {
    "[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}".prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn any_open_stream()(
        (stream, parent, latency_ms) in any::<(u16, u16, u16)>(),
        kind in 0..3_u8,
        instance in any::<[u8; 16]>(),
        fourcc in any::<[u8; 4]>(),
        (width, height, frame_kib) in any::<(u32, u32, u32)>(),
        numerator in any::<u32>(),
        denominator in 1..=u32::MAX,
        label in proptest::option::of(any_label()),
        extradata in proptest::collection::vec(any::<u8>(), 0..=1024),
    ) -> Option<OpenStream> {
        Some(OpenStream {
            stream: StreamId(stream),
            kind: StreamKind::from_number(kind)?,
            instance: InstanceId(instance),
            format: StreamFormat {
                fourcc: FourCc(fourcc),
                width,
                height,
                rate: FrameRate::new(numerator, denominator)?,
            },
            frame_kib,
            parent: StreamId(parent),
            latency_ms,
            label,
            extradata,
        })
    }
}

/// The code that a number stands for, by way of the wire: the types do not tell.
fn close_of(code: u16, text: &str) -> Control {
    let mut bytes = vec![3, 0];
    bytes.extend_from_slice(&(text.len() as u16 + 2).to_le_bytes());
    bytes.extend_from_slice(&code.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Control::parse(&bytes).unwrap().0
}

fn any_control() -> impl Strategy<Value = Control> {
    prop_oneof![
        any::<u64>().prop_map(Control::Ping),
        any::<u64>().prop_map(Control::Pong),
        (any::<u16>(), "[ -~äöü]{0,64}").prop_map(|(code, text)| close_of(code, &text)),
        any::<i64>().prop_map(|t1| Control::ClockRequest { t1 }),
        any::<[i64; 3]>().prop_map(|[t1, t2, t3]| Control::ClockReply { t1, t2, t3 }),
        (any_label(), "[ -~]{0,64}")
            .prop_map(|(label, program)| Control::Setup(Setup { label, program })),
        (0..5_u8, any::<u32>(), any::<[u8; 32]>(), any_label()).prop_map(
            |(code, retry_after_s, in_the_way, label)| {
                let code = match code {
                    0 => SetupCode::Accepted,
                    1 => SetupCode::LabelTaken,
                    2 => SetupCode::Revoked,
                    3 => SetupCode::StoreFailed,
                    _ => SetupCode::Other(99),
                };
                Control::SetupReply(SetupReply {
                    code,
                    retry_after_s,
                    in_the_way,
                    label,
                })
            }
        ),
        any_open_stream().prop_map(|open| Control::OpenStream(open.unwrap())),
        any::<u16>().prop_map(|stream| Control::CloseStream(StreamId(stream))),
        (any::<u16>(), 5..=u16::MAX).prop_map(|(stream, code)| Control::StreamReply {
            stream: StreamId(stream),
            code: StreamCode::Other(code),
        }),
        (any::<[u64; 3]>(), any::<[u32; 4]>()).prop_map(|(long, short)| {
            let [highest_counter, frames_received, frames_lost] = long;
            let [jitter_us, received_kbps, round_trip_us, congestion_marks] = short;
            Control::Report(Report {
                highest_counter,
                frames_received,
                frames_lost,
                jitter_us,
                received_kbps,
                round_trip_us,
                congestion_marks,
            })
        }),
    ]
}

prop_compose! {
    fn any_media()(
        stream in any::<u16>(),
        (frame_bytes, offset) in any::<(u32, u32)>(),
        number in any::<u64>(),
        captured in any::<i64>(),
        flags in 0..8_u32,
        (is_first, is_last) in any::<(bool, bool)>(),
    ) -> MediaHeader {
        MediaHeader {
            stream: StreamId(stream),
            frame_bytes,
            number: FrameNumber(number),
            captured: Timestamp::from_nanoseconds(captured),
            flags: FrameFlags::from_bits_truncate(flags),
            is_first,
            is_last,
            offset,
        }
    }
}

/// Bytes that begin like something, so that more than the first check is reached.
fn almost(start: &'static [u8], bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    (
        proptest::collection::vec(any::<u8>(), bytes..=bytes),
        0..=start.len(),
        any::<bool>(),
    )
        .prop_map(move |(mut packet, keep, zero_rest)| {
            if zero_rest {
                packet[start.len().min(bytes)..].fill(0);
            }
            packet[..keep].copy_from_slice(&start[..keep]);
            packet
        })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(2),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn control_messages_come_back_as_they_were(message in any_control(), after in any::<[u8; 3]>()) {
        let mut bytes = bytes_of(&message);
        bytes.extend_from_slice(&after);
        prop_assert_eq!(Control::parse(&bytes), Ok((message, after.as_slice())));
    }

    #[test]
    fn media_headers_come_back_as_they_were(header in any_media(), piece in any::<[u8; 5]>()) {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.extend_from_slice(&piece);
        prop_assert_eq!(MediaHeader::parse(&bytes), Ok((header, piece.as_slice())));
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(Packet::Complete(length)) = next_handshake_packet(&bytes) {
            prop_assert!(length <= bytes.len());
        }
        if let Ok(Packet::Complete(length)) = next_record(&bytes, 500) {
            prop_assert!(length <= bytes.len() && length <= 508);
        }
        if let Ok((_, rest)) = Control::parse(&bytes) {
            prop_assert!(rest.len() < bytes.len());
        }
        let _ = MediaHeader::parse(&bytes);
        let _ = HelloReply::parse(&bytes);
    }

    /// Whatever parses is written back as it came: no two packets mean the same, apart from the texts for people.
    #[test]
    fn what_parses_is_written_as_it_came(kind in 0..31_u8, body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut bytes = vec![kind, 0];
        bytes.extend_from_slice(&(body.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&body);
        match Control::parse(&bytes) {
            Ok((Control::Unknown(_) | Control::Close(_) | Control::Setup(_), _)) | Err(_) => {}
            Ok((message, _)) => prop_assert_eq!(bytes_of(&message), bytes),
        }
    }

    #[test]
    fn any_hello_core_is_no_reason_to_panic(bytes in almost(b"\x01\x02\x00\x01SDVR\x02\x02\x03\x01", 64)) {
        let core: [u8; 64] = bytes.try_into().unwrap();
        let _ = HelloCore::parse(core);
    }

    #[test]
    fn a_hello_reply_comes_back_as_it_was(bytes in almost(b"\x02\x02\xc0\x00SDVR\x02\x02\x03\x01\0\0\0\0", 192)) {
        if let Ok(reply) = HelloReply::parse(&bytes) {
            prop_assert_eq!(HelloReply::parse(&reply.to_bytes()), Ok(reply));
        }
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_door_survives_anything(
        hello in almost(b"\x01\x02\x00\x01SDVR\x02\x02\x03\x01\0\0\0\0", 256),
        initiation in almost(b"\x03\x02\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x00\x01SDVR\x02\x02\x03\x01\0\0\0\0", 256),
        odd in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut random = Seeded(1);
        let mut door = door(&mut random);
        for packet in [&hello, &odd] {
            let _ = door.handle_hello(NOW, &source(), packet, None, &mut random);
        }
        for packet in [&initiation, &odd] {
            prop_assert!(door.handle_initiation(NOW, &source(), packet).is_err());
        }
    }

    #[test]
    fn a_client_survives_anything(
        reply in almost(b"\x02\x02\xc0\x00SDVR\x02\x02\x03\x01\0\0\0\0", 192),
        response in almost(b"\x04\x02\x60\x00", 96),
        odd in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut random = Seeded(1);
        let mut door = door(&mut random);
        for packet in [&reply, &odd] {
            let (client, _) =
                ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
            prop_assert!(client.handle_reply(packet).is_err());
        }
        for packet in [&response, &odd] {
            let (client, hello) =
                ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
            let reply = door.handle_hello(NOW, &source(), &hello, None, &mut random).unwrap();
            let (client, initiation) =
                client.handle_reply(&reply).unwrap().initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap();
            // With the index that this client expects, the rest of the packet is looked at too.
            let mut packet = packet.clone();
            if packet.len() > 12 {
                packet[8..12].copy_from_slice(&initiation[4..8]);
            }
            prop_assert!(client.handle_response(NOW, &packet).is_err());
        }
    }

    #[test]
    fn any_sealed_content_is_no_reason_to_panic(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
        types in proptest::collection::vec(0..31_u8, 5),
        to_server in any::<bool>(),
        is_streaming in any::<bool>(),
    ) {
        let (mut client, mut server) = if is_streaming { streaming(true) } else { established(true) };
        let (from, to) = if to_server { (&mut client, &mut server) } else { (&mut server, &mut client) };
        for (mut content, message_type) in contents.into_iter().zip(types) {
            if let Some([first, flags, low, high]) = content.first_chunk_mut() {
                (*first, *flags, *low, *high) = (message_type, 0, *low % 100, 0);
            }
            let _ = say(from, to, &content);
            let mut events = 0;
            while to.poll_event().is_some() {
                events += 1;
            }
            prop_assert!(events <= 64);
            to.handle_timeout(NOW);
            to.poll_transmit(NOW, &mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn a_peers_frames_are_the_frames_it_sent() {
    let (mut client, mut server) = streaming(false);
    for number in 1..50 {
        let payload = payload(number, 3000 * number as usize);
        let mut wire = seal_frame(&mut client, NOW, number, &payload);
        assert_eq!(deliver(&mut server, &mut wire), payload);
    }
}
