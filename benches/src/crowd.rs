//! Many cameras in one process, and `cargo xtask bench crowd`: a thousand new ones that are switched on at once.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, StreamFormat, StreamId, StreamKind,
    Timestamp,
};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::{
    Event, Limits, OpenStream, OutgoingFrame, Packet, Session, Setup, StreamCode, Suites,
    next_record,
};

use crate::system::System;

/// How many are switched on at once.
const CROWD: u32 = 1000;
/// The target.
const STREAMING_WITHIN: Duration = Duration::from_secs(10);
/// A record is no longer.
const RECORD_MOST_BYTES: usize = 1 << 20;
/// Enough for a camera's thread.
const STACK_BYTES: usize = 256 << 10;

/// A camera with a key of its own, of which a process can have many.
pub(crate) struct Member {
    stream: TcpStream,
    session: Box<Session>,
    received: Vec<u8>,
    number: u64,
}

impl Member {
    /// Meets the server as camera `number`, and is let in with one stream of frames of at most `frame_kib` KiB, one a second.
    pub(crate) fn come(port: u16, number: u32, frame_kib: u32) -> anyhow::Result<Self> {
        let mut key = [9; 32];
        // Not the first byte, of which X25519 takes only some bits.
        if let Some(place) = key.get_mut(4..8) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut member = Self {
            session: Box::new(handshake(&stream, &key)?),
            stream,
            received: Vec::new(),
            number: 0,
        };
        let setup = Setup {
            label: label(number).parse()?,
            program: "one of many".to_owned(),
        };
        member.session.introduce(setup, &[open(frame_kib)]);
        member.transmit()?;
        loop {
            match member.event()? {
                Event::StreamReply { code, .. } => {
                    ensure!(code == StreamCode::Open, "camera {number}: {code:?}");
                    return Ok(member);
                }
                Event::Closed(close) => bail!("camera {number}: {}", close.text),
                _ => {}
            }
        }
    }

    pub(crate) fn send(&mut self, content: &[u8]) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let (number, flags) = (FrameNumber(self.number), FrameFlags::KEY);
        let mut frame = OutgoingFrame::new(StreamId(0), number, now, flags);
        let mut out = Vec::new();
        while !self
            .session
            .seal_frame(now, &mut frame, content, &mut out)?
        {}
        self.number += 1;
        Ok(self.stream.write_all(&out)?)
    }

    /// Takes what the server has sent and answers it; does not wait for anything.
    pub(crate) fn tend(&mut self) -> anyhow::Result<()> {
        self.stream.set_nonblocking(true)?;
        let received = self.receive();
        self.stream.set_nonblocking(false)?;
        match received {
            Ok(0) => bail!("the server hung up"),
            Ok(_) => self.handle_records()?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        while let Some(event) = self.session.poll_event() {
            if let Event::Closed(close) = event {
                bail!("the server closed: {}", close.text);
            }
        }
        let now = Timestamp::now();
        if now >= self.session.poll_timeout() {
            self.session.handle_timeout(now);
        }
        self.transmit()
    }

    fn transmit(&mut self) -> anyhow::Result<()> {
        let mut out = Vec::new();
        self.session.poll_transmit(Timestamp::now(), &mut out)?;
        Ok(self.stream.write_all(&out)?)
    }

    fn event(&mut self) -> anyhow::Result<Event> {
        loop {
            self.handle_records()?;
            if let Some(event) = self.session.poll_event() {
                return Ok(event);
            }
            ensure!(self.receive()? > 0, "the server hung up");
        }
    }

    fn receive(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 4096];
        let bytes = self.stream.read(&mut buffer)?;
        self.received
            .extend_from_slice(buffer.get(..bytes).unwrap_or_default());
        Ok(bytes)
    }

    fn handle_records(&mut self) -> anyhow::Result<()> {
        while let Packet::Complete(length) = next_record(&self.received, RECORD_MOST_BYTES)? {
            let mut record: Vec<u8> = self.received.drain(..length).collect();
            self.session.handle_record(Timestamp::now(), &mut record)?;
        }
        Ok(())
    }
}

fn handshake(mut stream: &TcpStream, key: &[u8; 32]) -> anyhow::Result<Session> {
    let mut random = UnwrapErr(SysRng);
    let suites = Suites::of_this_machine();
    let (client, hello) = ExpectHelloReply::start(suites, Limits::default(), None, &mut random);
    stream.write_all(&hello)?;
    let mut reply = [0; 192];
    stream.read_exact(&mut reply)?;
    let (client, initiation) = client.handle_reply(&reply)?.initiate(key, &mut random)?;
    stream.write_all(&initiation)?;
    let mut response = [0; 96];
    stream.read_exact(&mut response)?;
    Ok(client.handle_response(Timestamp::now(), &response)?)
}

fn label(number: u32) -> String {
    format!("cam{number}")
}

fn open(frame_kib: u32) -> OpenStream {
    OpenStream {
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([1; 16]),
        format: StreamFormat {
            fourcc: FourCc::MJPG,
            width: 640,
            height: 480,
            rate: FrameRate::from_whole(1),
        },
        frame_kib,
        parent: StreamId(0),
        latency_ms: 0,
        label: None,
        extradata: Vec::new(),
    }
}

/// Both ends of every connection are open on this host, each in a process that may have so many.
pub(crate) fn allow_many_files() -> anyhow::Result<()> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)
        .context("cannot raise the limit of open files")
}

pub(crate) fn run(programs: &Path) -> anyhow::Result<()> {
    allow_many_files()?;
    let system = System::start(programs)?;
    let port = system.port();
    let start = Arc::new(Barrier::new(usize::try_from(CROWD)? + 1));
    let threads = (0..CROWD)
        .map(|number| {
            let start = Arc::clone(&start);
            let camera = move || -> anyhow::Result<Member> {
                start.wait();
                let mut member = Member::come(port, number, 1)?;
                member.send(&[1; 1000])?;
                Ok(member)
            };
            thread::Builder::new().stack_size(STACK_BYTES).spawn(camera)
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    start.wait();
    let begin = Instant::now();
    let mut members = Vec::new();
    for thread in threads {
        let member = thread
            .join()
            .map_err(|_| anyhow::anyhow!("a camera has panicked"))??;
        members.push(member);
    }
    let sent = begin.elapsed();
    let pins = pins(&system)?;
    system.wait_for_cameras(members.len())?;
    let published = begin.elapsed();
    println!("{CROWD} new cameras at once, each trusted on first use, in one process of this host");
    println!(
        "  first frames sent by all after {:.2} s, in shared memory after {:.2} s (target <= {} s)",
        sent.as_secs_f64(),
        published.as_secs_f64(),
        STREAMING_WITHIN.as_secs()
    );
    println!("  {pins} of {CROWD} keys on disk when the last one streamed (target: all)");
    ensure!(
        pins == members.len() && published <= STREAMING_WITHIN,
        "the target is missed"
    );
    Ok(())
}

/// How many of them the server's file of keys has.
fn pins(system: &System) -> anyhow::Result<usize> {
    let path = system.home().join(".sdvr/known_cameras");
    let known = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let labels: std::collections::BTreeSet<&str> = known
        .lines()
        .filter(|line| line.contains(" x25519 "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    Ok((0..CROWD)
        .filter(|&number| labels.contains(&*label(number)))
        .count())
}
