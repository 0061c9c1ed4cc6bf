//! A peer that owns its key and says anything, in datagrams: the session goes on or ends, and what is held stays bounded.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::{Control, MediaHeader, seal_datagram};
use sdvr_session::{CloseCode, DatagramOutcome, FragmentRequest, Session, SessionError};
use support::{NOW, streaming_datagrams};

/// What `to` makes of a datagram of `from` with any content, and of the time after it.
fn say(from: &mut Session, to: &mut Session, content: &[u8]) -> Result<(), SessionError> {
    let mut datagram = Vec::new();
    assert!(seal_datagram(from, content, &mut datagram));
    to.handle_datagram(NOW, &mut datagram)?;
    for milliseconds in [0, 5, 200, 5000] {
        let now = NOW + Duration::from_millis(milliseconds);
        to.handle_timeout(now);
        while to.poll_frame(now).is_some() {}
        let mut out = Vec::new();
        for _ in 0..100 {
            out.clear();
            if !to.poll_datagram(now, &mut out)? {
                break;
            }
        }
    }
    while to.poll_event().is_some() {}
    Ok(())
}

fn bytes_of(message: &Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

fn fragment(edit: impl FnOnce(&mut MediaHeader), bytes: &[u8]) -> Vec<u8> {
    let facts = (FrameNumber(1), NOW, FrameFlags::NONE);
    let mut header = MediaHeader {
        is_last: false,
        fragment_bytes: 1000,
        ..MediaHeader::whole(StreamId(0), facts, 10_000)
    };
    edit(&mut header);
    let mut message = Vec::new();
    header.write(&mut message);
    message.extend_from_slice(bytes);
    message
}

#[test]
fn fragments_that_lie_end_the_session() {
    let lies: [fn(&mut MediaHeader); 8] = [
        |header| header.frame_bytes = 0,
        |header| header.frame_bytes = u32::MAX,
        |header| header.fragment_bytes = 0,
        |header| header.fragment_bytes = 999,
        |header| header.offset = 1,
        |header| header.offset = u32::MAX - 999,
        |header| header.offset = 10_000,
        |header| header.frame_bytes = 500,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (mut client, mut server) = streaming_datagrams(true);
        let said = say(&mut client, &mut server, &fragment(lie, &[7; 1000]));
        assert!(
            matches!(said, Err(SessionError::Frame(_))),
            "{number}: {said:?}"
        );
    }
}

#[test]
fn a_fragment_that_contradicts_another_ends_the_session() {
    let contradictions: [fn(&mut MediaHeader); 4] = [
        |header| header.frame_bytes = 10_001,
        |header| header.captured = Timestamp::from_nanoseconds(5),
        |header| header.flags = FrameFlags::KEY,
        |header| (header.fragment_bytes, header.offset) = (500, 0),
    ];
    for (number, contradict) in contradictions.into_iter().enumerate() {
        let (mut client, mut server) = streaming_datagrams(true);
        let mut datagram = Vec::new();
        seal_datagram(&mut client, &fragment(|_| {}, &[7; 1000]), &mut datagram);
        server.handle_datagram(NOW, &mut datagram).unwrap();
        let said = say(&mut client, &mut server, &fragment(contradict, &[7; 1000]));
        assert!(
            matches!(said, Err(SessionError::Frame(_))),
            "{number}: {said:?}"
        );
    }
}

/// Parity of the frame of ten fragments: its number and how many rows there are, changed.
fn parity(number: u32, rows: u32, edit: impl FnOnce(&mut MediaHeader), bytes: &[u8]) -> Vec<u8> {
    fragment(
        |header| {
            header.is_parity = true;
            header.offset = rows << 24 | number;
            edit(header);
        },
        bytes,
    )
}

#[test]
fn parity_that_lies_ends_the_session() {
    let whole = [7; 1000];
    let lies = [
        parity(0, 0, |_| {}, &whole),
        parity(0, 65, |_| {}, &whole),
        parity(0, 255, |_| {}, &whole),
        parity(2, 2, |_| {}, &whole),
        parity(0xff_ffff, 64, |_| {}, &whole),
        parity(0, 2, |_| {}, &whole[1..]),
        parity(0, 2, |_| {}, &[]),
        parity(0, 2, |header| header.fragment_bytes = 0, &whole),
        parity(0, 2, |header| header.frame_bytes = 0, &whole),
        parity(0, 2, |header| header.frame_bytes = u32::MAX, &whole),
        parity(0, 2, |header| header.frame_bytes = 999, &whole),
    ];
    for (number, lie) in lies.iter().enumerate() {
        let (mut client, mut server) = streaming_datagrams(true);
        let said = say(&mut client, &mut server, lie);
        assert!(
            matches!(said, Err(SessionError::Frame(_))),
            "{number}: {said:?}"
        );
    }
}

#[test]
fn parity_that_contradicts_what_came_before_ends_the_session() {
    let whole = [7; 1000];
    let contradictions = [
        parity(1, 3, |_| {}, &whole),
        parity(1, 2, |header| header.frame_bytes = 10_001, &whole),
        parity(1, 2, |header| header.flags = FrameFlags::KEY, &whole),
    ];
    for (number, contradiction) in contradictions.iter().enumerate() {
        let (mut client, mut server) = streaming_datagrams(true);
        let mut datagram = Vec::new();
        seal_datagram(&mut client, &parity(0, 2, |_| {}, &whole), &mut datagram);
        server.handle_datagram(NOW, &mut datagram).unwrap();
        let said = say(&mut client, &mut server, contradiction);
        assert!(
            matches!(said, Err(SessionError::Frame(_))),
            "{number}: {said:?}"
        );
    }
}

/// All fragments of a frame but the last one, of 500 bytes, and parity that says `bytes`.
fn all_but_the_last_and_parity(bytes: &[u8]) -> (Result<(), SessionError>, Session) {
    let (mut client, mut server) = streaming_datagrams(true);
    let frame_bytes = |header: &mut MediaHeader| header.frame_bytes = 9500;
    for number in 0..9 {
        let message = fragment(
            |header| {
                frame_bytes(header);
                header.offset = 1000 * number;
            },
            &[number as u8; 1000],
        );
        let mut datagram = Vec::new();
        seal_datagram(&mut client, &message, &mut datagram);
        server.handle_datagram(NOW, &mut datagram).unwrap();
    }
    let mut datagram = Vec::new();
    let message = parity(0, 1, frame_bytes, bytes);
    seal_datagram(&mut client, &message, &mut datagram);
    let said = server.handle_datagram(NOW, &mut datagram).map(|_| ());
    (said, server)
}

#[test]
fn parity_of_rubbish_harms_only_the_frame_that_it_is_of() {
    // The sum of the nine fragments is 8.
    let mut honest = [8; 1000];
    honest[..500].fill(8 ^ 5);
    let (said, mut server) = all_but_the_last_and_parity(&honest);
    assert_eq!(said, Ok(()));
    let frame = server.poll_frame(NOW).unwrap();
    assert_eq!(frame.as_fragment().bytes[9000..], [5; 500]);
    assert_eq!(server.datagram_figures().restored, 1);

    let mut rubbish = honest;
    rubbish[..500].fill(0xee);
    let (said, mut server) = all_but_the_last_and_parity(&rubbish);
    assert_eq!(said, Ok(()));
    let frame = server.poll_frame(NOW).unwrap();
    assert_eq!(frame.as_fragment().bytes.len(), 9500);

    // Nothing is behind a frame's end.
    honest[999] ^= 1;
    let (said, mut server) = all_but_the_last_and_parity(&honest);
    assert!(matches!(said, Err(SessionError::Frame(_))), "{said:?}");
    assert_eq!(server.poll_frame(NOW), None);
}

#[test]
fn messages_out_of_place_end_the_session() {
    let lane = |message: &Control| Control::Lane {
        number: 0,
        message: bytes_of(message),
    };
    let nack = Control::Nack {
        stream: StreamId(0),
        requests: vec![FragmentRequest {
            number: FrameNumber(1),
            fragments: 0..1,
        }],
    };
    let from_client = [
        Control::CloseStream(StreamId(0)),
        Control::Seen(1),
        Control::LaneAck(1000),
        Control::RequestKeyframe(StreamId(0)),
        Control::ProbeAck(1400),
        nack,
        Control::Lane {
            number: 1_000_000,
            message: bytes_of(&Control::CloseStream(StreamId(0))),
        },
    ];
    for message in from_client {
        let (mut client, mut server) = streaming_datagrams(true);
        let said = say(&mut client, &mut server, &bytes_of(&message));
        assert!(said.is_err(), "{message:?}");
    }
    for inside in [Control::Ping(1), lane(&Control::Ping(1))] {
        let (mut client, mut server) = streaming_datagrams(true);
        // The next number of the lane: two messages have introduced the camera.
        let message = Control::Lane {
            number: 2,
            message: bytes_of(&inside),
        };
        let said = say(&mut client, &mut server, &bytes_of(&message));
        assert!(said.is_err(), "{inside:?}");
    }
}

#[test]
fn what_is_no_datagram_of_the_session_changes_nothing() {
    let (mut client, mut server) = streaming_datagrams(true);
    let mut datagram = Vec::new();
    seal_datagram(&mut client, &bytes_of(&Control::Ping(1)), &mut datagram);
    for length in 0..datagram.len() {
        let mut cut = datagram[..length].to_vec();
        let outcome = server.handle_datagram(NOW, &mut cut).unwrap();
        assert!(matches!(outcome, DatagramOutcome::Rejected(_)), "{length}");
    }
    let outcome = server.handle_datagram(NOW, &mut datagram).unwrap();
    assert!(matches!(outcome, DatagramOutcome::Opened { .. }));
}

/// Half a frame is there, and nobody will take the other half.
#[test]
fn a_session_that_ends_waits_for_no_frame() {
    for is_said_by_server in [true, false] {
        let (mut client, mut server) = streaming_datagrams(true);
        say(&mut client, &mut server, &fragment(|_| {}, &[7; 1000])).unwrap();
        let (mut one, mut other) = (&mut client, &mut server);
        if is_said_by_server {
            std::mem::swap(&mut one, &mut other);
        }
        one.close(CloseCode::EndOfSource, "no more");
        for _ in 0..2 {
            let mut datagram = Vec::new();
            while one.poll_datagram(NOW, &mut datagram).unwrap() {
                other.handle_datagram(NOW, &mut datagram).unwrap();
                datagram.clear();
            }
            while other.poll_event().is_some() {}
            std::mem::swap(&mut one, &mut other);
        }
        let late = NOW + Duration::from_secs(10);
        for _ in 0..100 {
            server.handle_timeout(late);
            while server.poll_datagram(late, &mut Vec::new()).unwrap() {}
        }
        assert!(server.poll_timeout() > late);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_said_a_session_goes_on_or_ends(
        said in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(kind, body)| {
                    let mut message = vec![kind, 0, body.len() as u8, 0];
                    message.extend_from_slice(&body);
                    message
                }),
                (0..12_000_u32, 0..12_000_u32, 0..2000_u16, 0..5_u64, any::<u16>(), any::<i64>(), 0..1100_usize).prop_map(
                    |(frame_bytes, offset, fragment_bytes, number, since, captured, bytes)| {
                        fragment(
                            |header| {
                                header.frame_bytes = frame_bytes;
                                header.offset = offset;
                                header.fragment_bytes = fragment_bytes;
                                header.number = FrameNumber(u64::MAX - number);
                                header.since = since;
                                header.captured = Timestamp::from_nanoseconds(captured);
                            },
                            &vec![1; bytes],
                        )
                    }
                ),
                // That fits often: fragments and parity of one frame of up to 40 fragments.
                (1..40_u32, 0..40_u32, any::<bool>(), 1..5_u32, any::<u8>()).prop_map(
                    |(fragments, number, is_parity, rows, byte)| {
                        let bytes = vec![byte; 256];
                        let fits = move |header: &mut MediaHeader| {
                            header.frame_bytes = 256 * fragments;
                            header.fragment_bytes = 256;
                        };
                        if is_parity {
                            parity(number % (rows + 1), rows, fits, &bytes)
                        } else {
                            fragment(|header| {
                                fits(header);
                                header.offset = 256 * number;
                            }, &bytes)
                        }
                    }
                ),
            ],
            1..20,
        ),
        to_server in any::<bool>(),
    ) {
        let (mut client, mut server) = streaming_datagrams(true);
        for content in said {
            let (from, to) = if to_server {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            if say(from, to, &content).is_err() {
                break;
            }
        }
    }
}
