//! A camera that a server has let in, and that then does as it likes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::{
    FourCc, FrameRate, InstanceId, Label, StreamFormat, StreamId, StreamKind, Timestamp,
};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::for_tests::Control;
use sdvr_session::{
    Event, Limits, OpenStream, Packet, Session, Setup, StreamCode, Suites, next_record,
};

use crate::System;

/// A connection to the daemon.
#[must_use]
pub fn connect(system: &System) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", system.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// A connection to the daemon from another address of this host, such as 127.0.0.2.
#[must_use]
pub fn connect_from(system: &System, address: Ipv4Addr) -> TcpStream {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(address, 0)).unwrap();
    let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, system.port());
    rustix::net::connect(&socket, &server).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// So many random bytes.
#[must_use]
pub fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A first packet, and what comes after it.
#[must_use]
pub fn hello() -> (ExpectHelloReply, [u8; 256]) {
    ExpectHelloReply::start(
        Suites::all(false),
        Limits::default(),
        None,
        &mut UnwrapErr(SysRng),
    )
}

/// A camera with real keys that does as it likes.
#[derive(Debug)]
pub struct HostileCamera {
    /// Its connection.
    pub stream: TcpStream,
    /// Its session.
    pub session: Session,
    received: Vec<u8>,
}

impl HostileCamera {
    /// One with a new key, up to the handshake's end.
    #[must_use]
    pub fn handshake(system: &System) -> Self {
        let key: [u8; 32] = random(32).try_into().unwrap();
        Self::handshake_with(system, &key)
    }

    /// One with this key.
    #[must_use]
    pub fn handshake_with(system: &System, key: &[u8; 32]) -> Self {
        Self::handshake_over(connect(system), key)
    }

    /// One with this key, over a connection that is there.
    #[must_use]
    pub fn handshake_over(mut stream: TcpStream, key: &[u8; 32]) -> Self {
        let (client, bytes) = hello();
        stream.write_all(&bytes).unwrap();
        let mut reply = [0; 192];
        stream.read_exact(&mut reply).unwrap();
        let (client, initiation) = client
            .handle_reply(&reply)
            .unwrap()
            .initiate(key, &mut UnwrapErr(SysRng))
            .unwrap();
        stream.write_all(&initiation).unwrap();
        let mut response = [0; 96];
        stream.read_exact(&mut response).unwrap();
        let session = client.handle_response(Timestamp::now(), &response).unwrap();
        Self {
            stream,
            session,
            received: Vec::new(),
        }
    }

    /// Seals whatever `plaintext` is as a record.
    pub fn send(&mut self, plaintext: &[u8]) {
        let mut record = Vec::new();
        let (sealer, _) = sdvr_session::for_tests::keys_of(&mut self.session).unwrap();
        sealer
            .seal(&mut record, plaintext.len(), |out| {
                out.extend_from_slice(plaintext)
            })
            .unwrap();
        // The server may have hung up already, which is as good.
        let _ = self.stream.write_all(&record);
    }

    /// Introduces itself with one stream.
    pub fn ask(&mut self, label: &str) {
        let label: Label = label.parse().unwrap();
        self.session.introduce(
            Setup {
                label,
                program: "hostile".to_owned(),
            },
            &[stream(0)],
        );
        self.transmit();
    }

    /// Whether its first stream is answered, before the server hangs up.
    pub fn is_let_in(&mut self) -> bool {
        loop {
            match self.event() {
                Some(Event::StreamReply { .. }) => return true,
                Some(Event::Closed(_)) | None => return false,
                Some(_) => {}
            }
        }
    }

    /// Introduces itself with one stream and waits for the answer.
    pub fn introduce(&mut self, label: &str) {
        self.ask(label);
        assert!(self.is_let_in());
    }

    /// Sends what the session has to say.
    pub fn transmit(&mut self) {
        let mut out = Vec::new();
        self.session
            .poll_transmit(Timestamp::now(), &mut out)
            .unwrap();
        let _ = self.stream.write_all(&out);
    }

    /// The next thing the server says; `None` when it has hung up.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            if let Ok(Packet::Complete(length)) = next_record(&self.received, 1 << 20) {
                let mut record: Vec<u8> = self.received.drain(..length).collect();
                self.session
                    .handle_record(Timestamp::now(), &mut record)
                    .unwrap();
                continue;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
            }
        }
    }

    /// Asks for a stream, and waits for the answer.
    pub fn open_stream(&mut self, open: &OpenStream) -> StreamCode {
        let mut message = Vec::new();
        Control::OpenStream(open.clone()).write(&mut message);
        self.send(&message);
        loop {
            match self.event() {
                Some(Event::StreamReply { stream, code }) if stream == open.stream => return code,
                Some(_) => {}
                None => panic!("the server has hung up"),
            }
        }
    }

    /// The server must end this session, for whatever reason it gives.
    #[must_use]
    pub fn ends_thrown_out(mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            match self.event() {
                None | Some(Event::Closed(_)) => return true,
                Some(_) => {}
            }
        }
        false
    }
}

/// A small stream.
#[must_use]
pub fn stream(number: u16) -> OpenStream {
    OpenStream {
        stream: StreamId(number),
        kind: StreamKind::Video,
        instance: InstanceId([number.to_le_bytes()[0]; 16]),
        format: StreamFormat {
            fourcc: FourCc::MJPG,
            width: 64,
            height: 48,
            rate: FrameRate::from_whole(30),
        },
        frame_kib: 64,
        parent: StreamId(0),
        latency_ms: 0,
        label: None,
        extradata: Vec::new(),
    }
}
