//! A camera over UDP that does as it likes.

pub mod live;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::bench_frame::{self, BenchHeader};
use sdvr_frame::{FrameFlags, FrameNumber, Label, StreamId, Timestamp};
use sdvr_session::client::ExpectResponse;
use sdvr_session::for_tests::seal_datagram;
use sdvr_session::{Event, OpenStream, Session, Setup, StreamCode};

use crate::hostile_camera::{hello, random, stream};
use crate::{PATIENCE, System};

/// What a datagram has room for that any link carries.
const DATAGRAM_BYTES: u16 = 1200;

/// What is taken in at once.
const TURN_MOST: usize = 64;

/// A socket for datagrams to the daemon, from this address of this host.
#[must_use]
pub fn socket_from(system: &System, address: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket
        .connect((Ipv4Addr::LOCALHOST, system.port()))
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    socket
}

/// The next datagram, if one comes in time.
#[must_use]
pub fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    let bytes = socket.recv(&mut buffer).ok()?;
    Some(buffer[..bytes].to_vec())
}

/// A camera with a real key.
#[derive(Debug)]
pub struct DatagramCamera {
    /// Where its datagrams leave from.
    pub socket: UdpSocket,
    /// Its session.
    pub session: Session,
    next_number: u64,
    waiting: Vec<Event>,
    sent: Vec<Vec<u8>>,
}

impl DatagramCamera {
    /// One with a new key, up to the handshake's end.
    #[must_use]
    pub fn handshake(system: &System) -> Self {
        let key: [u8; 32] = random(32).try_into().unwrap();
        Self::handshake_over(socket_from(system, Ipv4Addr::LOCALHOST), &key)
    }

    /// One with this key, by this socket.
    #[must_use]
    pub fn handshake_over(socket: UdpSocket, key: &[u8; 32]) -> Self {
        let (client, hello) = hello();
        let reply = exchange(&socket, &hello, 192);
        let (client, initiation) = client
            .handle_reply(&reply)
            .unwrap()
            .initiate(key, &mut UnwrapErr(SysRng))
            .unwrap();
        let response = exchange(&socket, &initiation, 96);
        let session = client
            .handle_datagram_response(Timestamp::now(), &response, DATAGRAM_BYTES)
            .unwrap();
        Self {
            socket,
            session,
            next_number: 0,
            waiting: Vec::new(),
            sent: vec![hello.to_vec(), initiation.to_vec()],
        }
    }

    /// Introduces itself with one stream and waits until that is open.
    pub fn introduce(&mut self, label: &str) {
        self.introduce_stream(label, stream(0));
    }

    /// The same with this stream.
    pub fn introduce_stream(&mut self, label: &str, stream: OpenStream) {
        self.ask_for(label, stream);
        let answer = self.wait_for(|event| match event {
            Event::StreamReply { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(answer, StreamCode::Open);
    }

    /// Introduces itself with one stream.
    pub fn ask(&mut self, label: &str) {
        self.ask_for(label, stream(0));
    }

    fn ask_for(&mut self, label: &str, stream: OpenStream) {
        let label: Label = label.parse().unwrap();
        let program = "datagrams".to_owned();
        self.session.introduce(Setup { label, program }, &[stream]);
        self.transmit();
    }

    /// Sends a frame of its only stream, and what was asked for again meanwhile.
    pub fn send_frame(&mut self, bytes: Vec<u8>) {
        let deadline = Instant::now() + PATIENCE;
        while self.session.is_sending(StreamId(0)) {
            assert!(Instant::now() < deadline, "the frame before does not leave");
            self.turn();
        }
        self.begin_frame(bytes);
        self.transmit();
    }

    /// The first part of [`Self::send_frame`]: what is to be sent is given by [`Self::poll`].
    pub fn begin_frame(&mut self, bytes: Vec<u8>) {
        let now = Timestamp::now();
        let number = FrameNumber(self.next_number);
        self.next_number += 1;
        self.session
            .send_frame(now, StreamId(0), (number, now, FrameFlags::KEY), bytes)
            .unwrap();
    }

    /// Sends a frame, all of which the link loses.
    pub fn lose_frame(&mut self, bytes: Vec<u8>) {
        self.begin_frame(bytes);
        let deadline = Instant::now() + PATIENCE;
        while self.session.is_sending(StreamId(0)) {
            assert!(Instant::now() < deadline, "the frame does not leave");
            drop(self.poll());
        }
    }

    /// Captures so many frames that are not sent.
    pub const fn leave_out(&mut self, frames: u64) {
        self.next_number += frames;
    }

    /// Sends a frame of that length which a [`Consumer`](crate::consumer::Consumer) can check.
    pub fn send_measuring_frame(&mut self, frame_bytes: usize) {
        let header = BenchHeader {
            sequence: FrameNumber(self.next_number),
            captured: Timestamp::now(),
        };
        let mut bytes = vec![0; frame_bytes];
        bench_frame::fill(&mut bytes, header);
        self.send_frame(bytes);
    }

    /// Seals and sends messages as they are, whatever the protocol thinks of them.
    pub fn say(&mut self, messages: &[u8]) {
        let mut datagram = Vec::new();
        assert!(seal_datagram(&mut self.session, messages, &mut datagram));
        let _ = self.socket.send(&datagram);
    }

    /// What was sent since this was asked last, from the first HELLO on.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }

    /// The datagrams that the session has to say.
    pub fn poll(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| {
            let mut out = Vec::new();
            let has_said = self
                .session
                .poll_datagram(Timestamp::now(), &mut out)
                .unwrap();
            has_said.then_some(out)
        })
        .collect()
    }

    /// Sends what the session has to say.
    pub fn transmit(&mut self) {
        for datagram in self.poll() {
            let _ = self.socket.send(&datagram);
            self.sent.push(datagram);
        }
    }

    /// Takes in what has come, if anything has, and says what there is to say.
    pub fn turn(&mut self) {
        // Not all: a server that asks for what never comes does so all the time.
        for _ in 0..TURN_MOST {
            let Some(mut datagram) = receive(&self.socket) else {
                break;
            };
            self.session
                .handle_datagram(Timestamp::now(), &mut datagram)
                .unwrap();
            self.waiting
                .extend(std::iter::from_fn(|| self.session.poll_event()));
            self.transmit();
        }
        self.session.handle_timeout(Timestamp::now());
        self.transmit();
    }

    /// Goes on for so long.
    pub fn go_on(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.turn();
        }
    }

    /// The first event of which `of` makes something; what comes before it is forgotten.
    pub fn wait_for<T>(&mut self, of: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut events = std::mem::take(&mut self.waiting).into_iter();
            let found = events.find_map(|event| of(&event));
            self.waiting = events.collect();
            if let Some(found) = found {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not say what it should"
            );
            self.turn();
        }
    }
}

/// Says HELLO and makes the HS1 that comes next.
#[must_use]
pub fn initiate(socket: &UdpSocket, key: &[u8; 32]) -> (ExpectResponse, [u8; 256]) {
    let (client, packet) = hello();
    let reply = exchange(socket, &packet, 192);
    client
        .handle_reply(&reply)
        .unwrap()
        .initiate(key, &mut UnwrapErr(SysRng))
        .unwrap()
}

/// Says something until an answer of that length comes.
#[must_use]
pub fn exchange(socket: &UdpSocket, packet: &[u8], answer_bytes: usize) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the server does not answer");
        let _ = socket.send(packet);
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            match receive(socket) {
                Some(answer) if answer.len() == answer_bytes => return answer,
                _ => {}
            }
        }
    }
}

/// Where the daemon receives.
#[must_use]
pub fn server(system: &System) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, system.port()).into()
}
