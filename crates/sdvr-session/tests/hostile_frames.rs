//! Peers that own their key and lie about frames: an error, and never a frame.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId};
use sdvr_session::for_tests::{Control, MediaHeader};
use sdvr_session::{Malformed, SessionError, StreamCode};
use support::peer::{FITS, bytes_of, media, say};
use support::{NOW, exchange, stream, streaming};

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
fn parity_in_a_record_ends_the_session() {
    let parity = media(|header| header.is_parity = true, b"frame");
    check_frame(&[parity], "a record has a fragment of a datagram");
}

#[test]
fn an_unknown_flag_ends_the_session() {
    for bit in [1 << 3, 1 << 7] {
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
