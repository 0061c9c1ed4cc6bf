//! Two ends of a session, joined by nothing but this test.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

use rand_core::{Infallible, TryCryptoRng, TryRng};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, StreamFormat, StreamId,
    StreamKind, Timestamp,
};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::server::Door;
use sdvr_session::{
    Event, Limits, OpenStream, OutgoingFrame, Packet, Session, Setup, SourceAddress, StreamCode,
    Suites, next_record,
};

/// Reproducible randomness: a counter through a mixing function. Not for keys outside tests.
struct Seeded(u64);

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Ok(mixed ^ (mixed >> 27))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);

fn source() -> SourceAddress {
    "192.0.2.1:4711"
        .parse::<std::net::SocketAddr>()
        .unwrap()
        .into()
}

fn established(aes: bool) -> (Session, Session) {
    let mut random = Seeded(7);
    let mut door = Door::new(
        NOW,
        &[1; 32],
        Suites::all(true),
        Limits::default(),
        &mut random,
    );
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(aes), Limits::default(), None, &mut random);
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    let (client, initiation) = client
        .handle_reply(&reply)
        .unwrap()
        .initiate(&[2; 32], &mut random)
        .unwrap();
    let (server, response) = door
        .handle_initiation(NOW, &source(), &initiation)
        .unwrap()
        .accept(NOW, 1, &mut random)
        .unwrap();
    (client.handle_response(NOW, &response).unwrap(), server)
}

fn stream() -> OpenStream {
    OpenStream {
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([3; 16]),
        format: StreamFormat {
            fourcc: FourCc::MJPG,
            width: 640,
            height: 480,
            rate: FrameRate::from_whole(30),
        },
        frame_kib: 1024,
        parent: StreamId(0),
        latency_ms: 0,
        label: None,
        extradata: b"header".to_vec(),
    }
}

/// Hands every record of `bytes` to `to`; gives the frame bytes that came out.
fn deliver(to: &mut Session, bytes: &mut [u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(Packet::Complete(length)) = next_record(rest, to.longest_record_bytes()) else {
            panic!("no record")
        };
        let (record, after) = rest.split_at_mut(length);
        if let Some(fragment) = to.handle_record(NOW, record).unwrap() {
            frame.extend_from_slice(fragment.bytes);
        }
        rest = after;
    }
    frame
}

fn exchange(from: &mut Session, to: &mut Session) {
    let mut wire = Vec::new();
    from.poll_transmit(NOW, &mut wire).unwrap();
    deliver(to, &mut wire);
}

fn streaming(aes: bool) -> (Session, Session) {
    let (mut client, mut server) = established(aes);
    let label: Label = "door".parse().unwrap();
    client.introduce(
        Setup {
            label: label.clone(),
            program: "test".to_owned(),
        },
        &[stream()],
    );
    exchange(&mut client, &mut server);
    assert!(matches!(server.poll_event(), Some(Event::Setup(setup)) if setup.label == label));
    server.accept(NOW, label);
    let Some(Event::OpenStream(open)) = server.poll_event() else {
        panic!("no stream")
    };
    assert_eq!(open, stream());
    server.reply_stream(&open, StreamCode::Open);
    exchange(&mut server, &mut client);
    assert!(matches!(client.poll_event(), Some(Event::SetupReply(_))));
    assert!(matches!(
        client.poll_event(),
        Some(Event::StreamReply {
            code: StreamCode::Open,
            ..
        })
    ));
    exchange(&mut client, &mut server);
    (client, server)
}

#[test]
fn frames_arrive_as_they_were_sent() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        assert_eq!(client.suite(), server.suite());
        for (number, length) in [1, 8, 65_000, 65_480, 65_481, 200_000, 1 << 20]
            .into_iter()
            .enumerate()
        {
            let payload: Vec<u8> = (0..length).map(|index: u32| (index % 251) as u8).collect();
            let mut frame = OutgoingFrame::new(
                StreamId(0),
                FrameNumber(number as u64),
                NOW,
                FrameFlags::KEY,
            );
            let mut wire = Vec::new();
            while !client
                .seal_frame(NOW, &mut frame, &payload, &mut wire)
                .unwrap()
            {}
            assert_eq!(deliver(&mut server, &mut wire), payload);
        }
        assert_eq!(server.clock().round_trip(), Some(std::time::Duration::ZERO));
    }
}
