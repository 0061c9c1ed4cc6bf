//! Golden bytes: what is on the wire never changes without somebody noticing.
//!
//! `tests/vectors/*.hex` were written by this program and are frozen. After a deliberate change of WIRE.md write them anew
//! with `SDVR_WRITE_VECTORS=1 cargo test -p sdvr-session --test vectors` and look at the difference.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::Duration;

use data_encoding::HEXLOWER;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, PublicKey, StreamFormat, StreamId,
    StreamKind, Timestamp,
};
use sdvr_session::for_tests::{Control, HelloReply, MediaHeader, fragments_of, hkdf};
use sdvr_session::{
    Close, CloseCode, DataHeader, Event, FragmentRequest, KeyLimits, NewIdCode, OpenStream,
    OutgoingFrame, Packet, Report, Setup, SetupCode, SetupReply, StreamCode, Suite,
    next_handshake_packet,
};
use support::{
    Handshake, NOW, Seeded, deliver_at, exchange_at, handshake, label, seal_frame, start_streaming,
};

const BYTES_PER_LINE: usize = 32;

/// Compares `bytes` with the vector `name`.
#[track_caller]
fn check(name: &str, bytes: &[u8]) {
    let path = format!("{}/tests/vectors/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let lines = bytes
        .chunks(BYTES_PER_LINE)
        .map(|line| HEXLOWER.encode(line));
    let text: String = lines.map(|line| line + "\n").collect();
    if std::env::var_os("SDVR_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let frozen = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(text, frozen, "{name} differs from its vector");
}

/// A whole conversation from one seed: handshake, the first record of each direction, a frame in two pieces.
#[track_caller]
fn check_conversation(name: &str, aes: bool, suite: Suite) {
    let Handshake {
        mut client,
        mut server,
        hello,
        reply,
        initiation,
        response,
    } = handshake(20_261, aes);
    assert_eq!(client.suite(), suite);
    for (packet, bytes) in [
        ("hello", &hello),
        ("hello_reply", &reply),
        ("hs1", &initiation),
        ("hs2", &response),
    ] {
        let found = next_handshake_packet(bytes);
        assert_eq!(found, Ok(Packet::Complete(bytes.len())));
        check(&format!("{name}_{packet}"), bytes);
    }
    let (from_client, from_server) = start_streaming(&mut client, &mut server);
    check(&format!("{name}_client_first"), &from_client);
    check(&format!("{name}_server_first"), &from_server);
    let mut frame = OutgoingFrame::new(
        StreamId(0),
        FrameNumber(0x0102_0304_0506_0708),
        NOW,
        FrameFlags::KEY,
    );
    let mut record = Vec::new();
    let is_whole = client.seal_frame(NOW, &mut frame, b"a frame", &mut record);
    assert_eq!(is_whole, Ok(true));
    check(&format!("{name}_media"), &record);
}

/// One epoch's end and a handshake inside the session: all that both ends say, in its order.
#[track_caller]
fn check_renewal(name: &str, aes: bool) {
    let Handshake {
        mut client,
        mut server,
        ..
    } = handshake(20_262, aes);
    start_streaming(&mut client, &mut server);
    let mut random = Seeded(20_263);
    let mut wire = Vec::new();
    let at = NOW + KeyLimits::default().epoch_time;
    let frame = seal_frame(&mut client, at, 1, b"of epoch 1");
    assert_eq!(frame[5], 1);
    deliver_at(at, &mut server, &mut frame.clone());
    wire.extend(frame);
    wire.extend(exchange_at(at, &mut server, &mut client));
    let at = NOW + KeyLimits::default().rekey_time + Duration::from_secs(180);
    client.handle_timeout(at);
    assert_eq!(client.poll_event(), Some(Event::Rekey));
    client.rekey(at, &mut random).unwrap();
    wire.extend(exchange_at(at, &mut client, &mut server));
    assert_eq!(server.poll_event(), Some(Event::Rekey));
    server.rekey(at, &mut random).unwrap();
    wire.extend(exchange_at(at, &mut server, &mut client));
    let frame = seal_frame(&mut client, at, 2, b"of epoch 2");
    assert_eq!(frame[5], 2);
    deliver_at(at, &mut server, &mut frame.clone());
    wire.extend(frame);
    wire.extend(exchange_at(at, &mut server, &mut client));
    check(&format!("{name}_renewal"), &wire);
}

#[test]
fn renewed_keys_stay_the_same() {
    check_renewal("chacha", false);
    check_renewal("aes", true);
}

#[test]
fn a_conversation_under_chacha20_poly1305_stays_the_same() {
    check_conversation("chacha", false, Suite::ChaCha20Poly1305);
}

#[test]
fn a_conversation_under_aes_256_gcm_stays_the_same() {
    check_conversation("aes", true, Suite::Aes256Gcm);
}

fn every_control_message() -> Vec<(&'static str, Control)> {
    let open = OpenStream {
        stream: StreamId(0x0102),
        kind: StreamKind::Metadata,
        instance: InstanceId(*b"0123456789abcdef"),
        format: StreamFormat {
            fourcc: FourCc::Y4M,
            width: 1920,
            height: 1080,
            rate: FrameRate::new(30_000, 1001).unwrap(),
        },
        frame_kib: 0x0a0b_0c0d,
        parent: StreamId(7),
        latency_ms: 120,
        label: Some("detections".parse().unwrap()),
        extradata: b"YUV4MPEG2 W1920 H1080\n".to_vec(),
    };
    vec![
        ("ping", Control::Ping(0x0102_0304_0506_0708)),
        ("pong", Control::Pong(0x0807_0605_0403_0201)),
        (
            "close",
            Control::Close(Close {
                code: CloseCode::ShuttingDown,
                text: "bis später".to_owned(),
            }),
        ),
        ("clock_request", Control::ClockRequest { t1: -2 }),
        (
            "clock_reply",
            Control::ClockReply {
                t1: 1,
                t2: i64::MAX,
                t3: i64::MIN,
            },
        ),
        (
            "setup",
            Control::Setup(Setup {
                label: label(),
                program: "sdvrc 0.1.0".to_owned(),
            }),
        ),
        (
            "setup_reply",
            Control::SetupReply(SetupReply {
                code: SetupCode::LabelTaken,
                retry_after_s: 60,
                in_the_way: [0xab; 32],
                label: label(),
            }),
        ),
        ("open_stream", Control::OpenStream(open)),
        ("close_stream", Control::CloseStream(StreamId(0xfffe))),
        ("path_challenge", Control::PathChallenge(*b"question")),
        ("path_response", Control::PathResponse(*b"response")),
        (
            "lane",
            Control::Lane {
                number: 0x0102_0304,
                message: vec![15, 0, 2, 0, 0xfe, 0xff],
            },
        ),
        ("lane_ack", Control::LaneAck(0x0403_0201)),
        (
            "nack",
            Control::Nack {
                stream: StreamId(0x0102),
                requests: vec![
                    FragmentRequest {
                        number: FrameNumber(0x0102_0304_0506_0708),
                        fragments: 5..7,
                    },
                    FragmentRequest {
                        number: FrameNumber(9),
                        fragments: 0..u32::MAX,
                    },
                ],
            },
        ),
        ("received", Control::Received(0x0102_0304_0506_0708)),
        (
            "request_keyframe",
            Control::RequestKeyframe(StreamId(0x0102)),
        ),
        ("padding", Control::Padding(5)),
        ("probe", Control::Probe(1472)),
        ("probe_ack", Control::ProbeAck(8952)),
        (
            "stream_reply",
            Control::StreamReply {
                stream: StreamId(3),
                code: StreamCode::FramesTooLarge,
            },
        ),
        (
            "report",
            Control::Report(Report {
                highest_counter: 1,
                frames_received: 2,
                frames_lost: 3,
                jitter_us: 4,
                received_kbps: 5,
                round_trip_us: 6,
                congestion_marks: 7,
            }),
        ),
        (
            "rekey1",
            Control::Rekey1(std::array::from_fn(|at| at as u8)),
        ),
        (
            "rekey2",
            Control::Rekey2(std::array::from_fn(|at| 255 - at as u8)),
        ),
        ("seen", Control::Seen(0x0102_0304_0506_0708)),
        ("next_key", Control::NextKey(PublicKey([0xcd; 32]))),
        ("new_id", Control::NewId(PublicKey([0xce; 32]))),
        (
            "new_id_reply",
            Control::NewIdReply {
                key: PublicKey([0xcf; 32]),
                code: NewIdCode::StoreFailed,
            },
        ),
    ]
}

#[test]
fn control_messages_stay_the_same() {
    for (name, message) in every_control_message() {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        check(&format!("control_{name}"), &bytes);
        assert_eq!(Control::parse(&bytes), Ok((message, [].as_slice())));
    }
}

/// The vectors above come from the code; this one was written by hand from WIRE.md.
#[test]
fn data_is_laid_out_as_the_page_says() {
    let mut datagram = vec![
        0x10, 0x7f, 0x28, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    // Its content and tag, and padding.
    datagram.resize(46, 0xff);
    let header = DataHeader {
        epoch: 127,
        length: 40,
        receiver: 0x0403_0201,
        counter: 0x0c0b_0a09_0807_0605,
    };
    assert_eq!(DataHeader::parse(&datagram), Ok(header));
}

/// So was this.
#[test]
fn media_is_laid_out_as_the_page_says() {
    let header = MediaHeader {
        stream: StreamId(0x0102),
        frame_bytes: 0x0304_0506,
        number: FrameNumber(0x0708_090a_0b0c_0d0e),
        captured: Timestamp::from_nanoseconds(-2),
        flags: FrameFlags::KEY | FrameFlags::DISCARDABLE | FrameFlags::TRAILER,
        is_first: true,
        is_last: false,
        is_parity: false,
        offset: 0x1112_1314,
        fragment_bytes: 0,
        since: 0,
    };
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    let expected = concat!(
        "14",
        "53",
        "0201",
        "06050403",
        "0e0d0c0b0a090807",
        "feffffffffffffff",
        "14131211",
        "00000000",
    );
    assert_eq!(HEXLOWER.encode(&bytes), expected);
}

/// A frame of 138 fragments of 8 bytes, the last one shorter, and its parity: two groups, seven rows.
#[test]
fn parity_stays_the_same() {
    let frame: Vec<u8> = (0..1100_u32).map(|byte| (byte * 7 % 251) as u8).collect();
    let header = MediaHeader {
        stream: StreamId(0x0102),
        frame_bytes: 1100,
        number: FrameNumber(0x0708_090a_0b0c_0d0e),
        captured: Timestamp::from_nanoseconds(-2),
        flags: FrameFlags::KEY,
        is_first: false,
        is_last: false,
        is_parity: false,
        offset: 0,
        fragment_bytes: 8,
        since: 0,
    };
    let messages = fragments_of(&header, &frame, 10);
    let (fragments, parity) = messages.split_at(138);
    assert_eq!(parity.len(), 14);
    check("parity", &parity.concat());
    // Row 0 by hand: fragments 0, 2, 4 … are of group 0.
    let sum = |group: usize| {
        let bytes = fragments.iter().skip(group).step_by(2);
        bytes.fold(0, |sum, message| sum ^ message[32])
    };
    assert_eq!((parity[0][32], parity[1][32]), (sum(0), sum(1)));
    // Flags, and the place: number 13, seven rows.
    assert_eq!(
        (parity[13][1], &parity[13][24..28]),
        (0x21, &[13, 0, 0, 7][..])
    );
}

/// Written by hand from WIRE.md, section 1.
#[test]
fn handshake_packets_are_laid_out_as_the_page_says() {
    let Handshake {
        hello,
        reply,
        initiation,
        response,
        ..
    } = handshake(1, true);
    let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    assert_eq!(hello.len(), 256);
    assert_eq!(
        hello[..16],
        *b"\x01\x02\x00\x01SDVR\x02\x02\x03\x01\0\0\0\0"
    );
    assert!(!zero(&hello[16..32]), "the nonce");
    assert!(zero(&hello[32..48]), "no pin, no hint");
    assert_eq!(hello[48..52], [64, 0, 0xb0, 0x04]);
    assert!(zero(&hello[52..]));

    assert_eq!(reply.len(), 192);
    assert_eq!(
        reply[..16],
        *b"\x02\x02\xc0\x00SDVR\x02\x02\x03\x01\0\0\0\0"
    );
    assert_eq!(reply[16..32], hello[16..32]);
    let server_key = HelloReply::parse(&reply).unwrap().server_key;
    assert_eq!(reply[32..64], server_key.0);
    assert_eq!(reply[64..72], [2, 1, 0, 0, 0, 0, 0, 0]);
    let issued_ms = u64::from_le_bytes(reply[72..80].try_into().unwrap());
    assert_eq!(issued_ms, 1_000_000);
    assert!(zero(&reply[104..]));

    assert_eq!(initiation.len(), 256);
    assert_eq!(initiation[..4], [3, 2, 0, 1]);
    assert!(zero(&initiation[8..16]));
    assert_eq!(initiation[16..80], hello[..64]);
    assert_eq!(initiation[80..112], reply[72..104]);
    assert!(zero(&initiation[232..]));

    assert_eq!(response.len(), 96);
    assert_eq!(response[..8], [4, 2, 96, 0, 1, 0, 0, 0]);
    assert_eq!(response[8..12], initiation[4..8]);
    assert!(zero(&response[12..16]));
}

/// The expected values are of another implementation: Python's `hmac` with `hashlib.blake2s`.
#[test]
fn key_derivation_is_hkdf_over_hmac_blake2s() {
    #[track_caller]
    fn check(key: [u8; 32], info: &[&[u8]], expected: &str) {
        assert_eq!(HEXLOWER.encode(&*hkdf(&key, info)), expected);
    }
    let counting: [u8; 64] = std::array::from_fn(|index| index.try_into().unwrap());
    let (key, hash) = counting.split_first_chunk().unwrap();
    check(
        *key,
        &[b"sdvr2 secret", &[1], b"c", hash],
        "433d1e39257c32f74eb4e8c28f6112b1ff1f88f1dac8d3f53a94db08275e6530",
    );
    check(
        [0xff; 32],
        &[b"key"],
        "3e13740f73872da91e79b08c2d8ca134a25338d78c1ac02e76d4cda06a917b25",
    );
    check(
        [0; 32],
        &[],
        "1090894613df8aef670b0b867e222daebc0d3e436cdddbc16c65855ab93cc91a",
    );
}
