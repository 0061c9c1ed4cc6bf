//! Bytes that are no protocol at all, or nearly: never a panic, and what parses is written as it came.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use proptest::prelude::*;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, PublicKey, StreamFormat,
    StreamId, StreamKind, Timestamp,
};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::for_tests::{Control, HelloCore, HelloReply, MediaHeader};
use sdvr_session::{
    Limits, NewIdCode, OpenStream, Packet, Report, Setup, SetupCode, SetupReply, StreamCode,
    Suites, next_handshake_packet, next_record,
};
use support::peer::{bytes_of, say};
use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, door, established, source, streaming};

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
        any::<[u8; 32]>().prop_map(|key| Control::NewId(PublicKey(key))),
        (any::<[u8; 32]>(), 4..=u16::MAX).prop_map(|(key, code)| Control::NewIdReply {
            key: PublicKey(key),
            code: NewIdCode::Other(code),
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
        (is_first, is_last, is_parity) in any::<(bool, bool, bool)>(),
        (fragment_bytes, since) in any::<(u16, u16)>(),
    ) -> MediaHeader {
        MediaHeader {
            stream: StreamId(stream),
            frame_bytes,
            number: FrameNumber(number),
            captured: Timestamp::from_nanoseconds(captured),
            flags: FrameFlags::from_bits_truncate(flags),
            is_first,
            is_last,
            is_parity,
            offset,
            fragment_bytes,
            since,
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
