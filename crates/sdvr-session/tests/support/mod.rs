//! Two ends of a session, joined by nothing but a test.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "each test uses a part of this; a test that cannot go on must stop, with the place"
)]

pub(crate) mod datagrams;
pub(crate) mod link;
pub(crate) mod peer;
pub(crate) mod receiver;
pub(crate) mod seeds;
pub(crate) mod simulation;

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
#[derive(Clone, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let Ok(number) = self.try_next_u64();
        number % end
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let Ok(()) = self.try_fill_bytes(&mut bytes);
        bytes
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
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

pub(crate) const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
pub(crate) const SERVER_PRIVATE_KEY: [u8; 32] = [1; 32];
pub(crate) const CLIENT_PRIVATE_KEY: [u8; 32] = [2; 32];

/// `packet` with one bit changed.
pub(crate) fn flipped(packet: &[u8], bit: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[bit / 8] ^= 1 << (bit % 8);
    packet
}

pub(crate) fn address(text: &str) -> SourceAddress {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

pub(crate) fn source() -> SourceAddress {
    address("192.0.2.1:4711")
}

pub(crate) fn door(random: &mut Seeded) -> Door {
    Door::new(
        NOW,
        &SERVER_PRIVATE_KEY,
        Suites::all(true),
        Limits::default(),
        random,
    )
}

/// A handshake that went well, with its packets.
pub(crate) struct Handshake {
    pub(crate) client: Session,
    pub(crate) server: Session,
    pub(crate) hello: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    pub(crate) initiation: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

/// A handshake from `seed`; `aes` says whether the client has AES in hardware, as the server has.
pub(crate) fn handshake(seed: u64, aes: bool) -> Handshake {
    let mut random = Seeded(seed);
    let mut door = door(&mut random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(aes), Limits::default(), None, &mut random);
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, &mut random)
        .unwrap();
    let (client, initiation) = client
        .handle_reply(&reply)
        .unwrap()
        .initiate(&CLIENT_PRIVATE_KEY, &mut random)
        .unwrap();
    let (server, response) = door
        .handle_initiation(NOW, &source(), &initiation)
        .unwrap()
        .accept(NOW, 1, &mut random)
        .unwrap();
    Handshake {
        client: client.handle_response(NOW, &response).unwrap(),
        server,
        hello: hello.to_vec(),
        reply: reply.to_vec(),
        initiation: initiation.to_vec(),
        response: response.to_vec(),
    }
}

pub(crate) fn established(aes: bool) -> (Session, Session) {
    let Handshake { client, server, .. } = handshake(7, aes);
    (client, server)
}

pub(crate) fn label() -> Label {
    "door".parse().unwrap()
}

pub(crate) fn setup() -> Setup {
    Setup {
        label: label(),
        program: "test".to_owned(),
    }
}

pub(crate) fn stream() -> OpenStream {
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
        frame_kib: 2048,
        parent: StreamId(0),
        latency_ms: 0,
        label: None,
        extradata: b"header".to_vec(),
    }
}

/// Hands every record of `bytes` to `to`; gives the frame bytes that came out.
pub(crate) fn deliver(to: &mut Session, bytes: &mut [u8]) -> Vec<u8> {
    deliver_at(NOW, to, bytes)
}

/// The same at another time.
pub(crate) fn deliver_at(now: Timestamp, to: &mut Session, bytes: &mut [u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(Packet::Complete(length)) = next_record(rest, to.longest_record_bytes()) else {
            panic!("no record")
        };
        let (record, after) = rest.split_at_mut(length);
        if let Some(fragment) = to.handle_record(now, record).unwrap() {
            frame.extend_from_slice(fragment.bytes);
        }
        rest = after;
    }
    frame
}

/// Carries what `from` has to say to `to`, and gives the bytes.
pub(crate) fn exchange(from: &mut Session, to: &mut Session) -> Vec<u8> {
    exchange_at(NOW, from, to)
}

/// The same at another time.
pub(crate) fn exchange_at(now: Timestamp, from: &mut Session, to: &mut Session) -> Vec<u8> {
    let mut wire = Vec::new();
    from.poll_transmit(now, &mut wire).unwrap();
    deliver_at(now, to, &mut wire.clone());
    wire
}

/// Lets `client`, which has not introduced itself, stream to `server`. Gives the first bytes of both directions.
pub(crate) fn start_streaming(client: &mut Session, server: &mut Session) -> (Vec<u8>, Vec<u8>) {
    client.introduce(setup(), &[stream()]);
    let from_client = exchange(client, server);
    assert_eq!(server.poll_event(), Some(Event::Setup(setup())));
    server.accept(NOW, label());
    let Some(Event::OpenStream(open)) = server.poll_event() else {
        panic!("no stream")
    };
    assert_eq!(open, stream());
    let mut from_server = exchange(server, client);
    server.reply_stream(&open, StreamCode::Open);
    from_server.extend(exchange(server, client));
    assert!(matches!(client.poll_event(), Some(Event::SetupReply(_))));
    assert!(matches!(
        client.poll_event(),
        Some(Event::StreamReply {
            code: StreamCode::Open,
            ..
        })
    ));
    exchange(client, server);
    (from_client, from_server)
}

pub(crate) fn streaming(aes: bool) -> (Session, Session) {
    let (mut client, mut server) = established(aes);
    start_streaming(&mut client, &mut server);
    (client, server)
}

/// The bytes of a frame: they differ from frame to frame and from place to place.
pub(crate) fn payload(number: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64)
        .map(|index| (index.wrapping_mul(31) ^ (index >> 8) ^ number.wrapping_mul(131)) as u8)
        .collect()
}

/// All records of one frame.
pub(crate) fn seal_frame(
    client: &mut Session,
    now: Timestamp,
    number: u64,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = OutgoingFrame::new(StreamId(0), FrameNumber(number), now, FrameFlags::KEY);
    let mut wire = Vec::new();
    while !client
        .seal_frame(now, &mut frame, payload, &mut wire)
        .unwrap()
    {}
    wire
}

/// Two ends over datagrams, of which the client has to introduce itself next. `index` names the session, and `aes` says whether the client has AES in
/// hardware, as the server has.
pub(crate) fn introducing_datagrams(
    random: &mut Seeded,
    aes: bool,
    index: u32,
) -> (Session, Session) {
    let mut door = door(random);
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(aes), Limits::default(), None, random);
    let reply = door
        .handle_hello(NOW, &source(), &hello, None, random)
        .unwrap();
    let offer = client.handle_reply(&reply).unwrap();
    let (client, initiation) = offer.initiate(&CLIENT_PRIVATE_KEY, random).unwrap();
    let (server, response) = door
        .handle_initiation(NOW, &source(), &initiation)
        .unwrap()
        .accept_datagrams(NOW, index, random)
        .unwrap();
    let mut client = client
        .handle_datagram_response(NOW, &response, 1472)
        .unwrap();
    client.introduce(setup(), &[stream()]);
    (client, server)
}

/// Two ends that stream over datagrams, and have found out that those may have 1,472 bytes.
pub(crate) fn streaming_datagrams(aes: bool) -> (Session, Session) {
    let (mut client, mut server) = introducing_datagrams(&mut Seeded(7), aes, 1);
    // The introduction, its answer, and three lengths that are tried.
    for _ in 0..6 {
        exchange_datagrams(NOW, &mut client, &mut server);
        while let Some(event) = server.poll_event() {
            match event {
                Event::Setup(_) => server.accept(NOW, label()),
                Event::OpenStream(open) => server.reply_stream(&open, StreamCode::Open),
                _ => {}
            }
        }
        exchange_datagrams(NOW, &mut server, &mut client);
        while client.poll_event().is_some() {}
    }
    (client, server)
}

/// Carries all datagrams that `from` has to send to `to`.
pub(crate) fn exchange_datagrams(now: Timestamp, from: &mut Session, to: &mut Session) {
    from.handle_timeout(now);
    let mut datagram = Vec::new();
    while from.poll_datagram(now, &mut datagram).unwrap() {
        to.handle_datagram(now, &mut datagram).unwrap();
        datagram.clear();
    }
}
