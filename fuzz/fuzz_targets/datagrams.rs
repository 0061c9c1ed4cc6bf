//! A session over datagrams on a link that loses, repeats, alters and reorders as the input says, with two honest ends or with one that owns its
//! key and says anything: frames come out whole, in order and once, and what is held stays bounded.
//!
//! The first byte chooses who is hostile: nobody but the link, the client, or the server; then whether keys are renewed all the time. The rest is
//! a program: an operation a byte, and what it needs.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sdvr_frame::{StreamId, Timestamp};
use sdvr_session::for_tests::Control;
use sdvr_session::{
    CloseCode, DatagramOutcome, Event, KeyLimits, NewIdCode, OpenStream, PeerPath,
    ReassemblyBudget, Session, SessionError, StreamCode,
};

#[path = "datagrams/hostile.rs"]
mod hostile;
#[path = "datagrams/operations.rs"]
mod operations;
#[path = "datagrams/promised.rs"]
mod promised;
#[path = "../../crates/sdvr-session/tests/support/mod.rs"]
mod support;

use hostile::{Frames, Program};
use promised::Promised;
use support::{NOW, Seeded, stream, streaming_datagrams};

/// What frames on their way may take.
const BUDGET_BYTES: usize = 3 << 20;
/// A stream that holds no more yields to nobody.
const SMALL_BYTES: usize = 1 << 20;
const STREAMS_MOST: usize = 8;
/// The longest datagram that the two find out about.
const DATAGRAM_MOST_BYTES: usize = 1472;
/// What is on the way in one direction; the rest is lost.
const QUEUE_MOST: usize = 256;
const KEPT_MOST: usize = 32;
/// What may be said at once, beside 64 times what was heard.
const ANSWER_MOST_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hostile {
    Link,
    Client,
    Server,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

#[derive(Clone)]
struct Datagram {
    bytes: Vec<u8>,
    /// What is in it, if the input chose that.
    content: Option<Vec<u8>>,
}

/// One of the two ends, and what is on its way to it.
struct End {
    session: Session,
    coming: VecDeque<Datagram>,
    /// Those that were opened.
    opened: VecDeque<Datagram>,
    /// It was told that its session is of no more use.
    is_over: bool,
}

struct Joined {
    hostile: Hostile,
    now: Timestamp,
    client: End,
    server: End,
    path: PeerPath<u8>,
    /// What was said to whom to find out where the client is.
    challenges: Vec<(u8, [u8; 8])>,
    budget: ReassemblyBudget,
    streams: Vec<StreamId>,
    promised: Promised,
    frames: Frames,
    next_number: u64,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            coming: VecDeque::new(),
            opened: VecDeque::new(),
            is_over: false,
        }
    }

    /// Takes what this end has to say; gives how many bytes that is.
    fn drain(&mut self, now: Timestamp, to: &mut VecDeque<Datagram>) -> usize {
        let mut said = 0;
        while !self.is_over {
            let mut bytes = Vec::new();
            match self.session.poll_datagram(now, &mut bytes) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    assert_eq!(error, SessionError::KeysUsedUp);
                    self.is_over = true;
                    break;
                }
            }
            assert!(bytes.len() <= DATAGRAM_MOST_BYTES, "{} bytes", bytes.len());
            said += bytes.len();
            if to.len() < QUEUE_MOST {
                to.push_back(Datagram {
                    bytes,
                    content: None,
                });
            }
        }
        said
    }
}

impl Joined {
    fn new(kind: u8) -> Self {
        let (mut client, mut server) = streaming_datagrams(true);
        if kind & 4 != 0 {
            let limits = KeyLimits {
                epoch_time: Duration::from_millis(300),
                epoch_records: 100,
                rekey_time: Duration::from_secs(2),
                ..KeyLimits::default()
            };
            client.set_key_limits(limits);
            server.set_key_limits(limits);
        }
        let budget = ReassemblyBudget::new(BUDGET_BYTES);
        server.set_reassembly_budget(budget.clone());
        // The stream is opened again, so that it counts in the budget.
        server.reply_stream(&stream(), StreamCode::Open);
        Self {
            hostile: match kind & 3 {
                0 | 3 => Hostile::Link,
                1 => Hostile::Client,
                _ => Hostile::Server,
            },
            now: NOW,
            client: End::new(client),
            server: End::new(server),
            path: PeerPath::new(0),
            challenges: Vec::new(),
            budget,
            streams: vec![StreamId(0)],
            promised: Promised::default(),
            frames: Frames::default(),
            next_number: 0,
        }
    }

    const fn end(&mut self, to: Way) -> &mut End {
        match to {
            Way::Up => &mut self.server,
            Way::Down => &mut self.client,
        }
    }

    /// Whether an end may find fault with the other one.
    fn may_complain(&self, error: SessionError) {
        assert!(
            self.hostile != Hostile::Link || error == SessionError::KeysUsedUp,
            "an honest end was taken for a broken one: {error}"
        );
    }

    fn deliver(&mut self, to: Way, from: u8, mut datagram: Datagram) -> Option<DatagramOutcome> {
        let now = self.now;
        if self.end(to).is_over {
            return None;
        }
        let (kept, heard_bytes) = (datagram.clone(), datagram.bytes.len());
        if let (Way::Up, Some(content)) = (to, &datagram.content) {
            self.promised.hear(content);
        }
        let before = (
            self.end(to).session.poll_timeout(),
            self.end(to).session.datagram_figures(),
        );
        let result = self
            .end(to)
            .session
            .handle_datagram(now, &mut datagram.bytes);
        match result {
            Ok(DatagramOutcome::Rejected(_)) => {
                let session = &mut self.end(to).session;
                let (timeout, mut figures) = before;
                figures.rejected += 1;
                assert_eq!(session.datagram_figures(), figures);
                assert_eq!(session.poll_timeout(), timeout);
                assert_eq!(session.poll_event(), None);
            }
            Ok(DatagramOutcome::Opened { is_newest }) => {
                let opened = &mut self.end(to).opened;
                opened.truncate(KEPT_MOST - 1);
                opened.push_front(kept);
                if (to, is_newest) == (Way::Up, true) {
                    self.follow(from);
                }
            }
            Err(error) => {
                self.may_complain(error);
                let end = self.end(to);
                // As the programs do: it says so and leaves.
                end.session.close(CloseCode::Protocol, "protocol error");
                let mut lost = VecDeque::new();
                end.drain(now, &mut lost);
                end.is_over = true;
            }
        }
        self.settle(to, from, heard_bytes);
        result.ok()
    }

    /// The newest datagram came from there.
    fn follow(&mut self, from: u8) {
        let (now, number) = (self.now, self.challenges.len() as u64);
        let before = self.path.address();
        let secret = self.path.handle_newest(now, from, || number.to_le_bytes());
        assert_eq!(self.path.address(), before, "moved unasked");
        if let Some(secret) = secret {
            self.challenges.push((from, secret));
            let mut bytes = Vec::new();
            if self.server.session.challenge(secret, &mut bytes).is_ok() {
                self.client.coming.push_back(Datagram {
                    bytes,
                    content: None,
                });
            }
        }
    }

    /// Takes out all that came of what an end has heard.
    fn settle(&mut self, to: Way, from: u8, heard_bytes: usize) {
        let now = self.now;
        if to == Way::Up {
            while let Some(frame) = self.server.session.poll_frame(now) {
                self.promised.take(&frame.as_fragment());
            }
            let most = BUDGET_BYTES + self.streams.len() * SMALL_BYTES;
            assert!(self.budget.held_bytes() <= most);
        }
        while let Some(event) = self.end(to).session.poll_event() {
            self.handle_event(to, from, event);
        }
        let (end, queue) = match to {
            Way::Up => (&mut self.server, &mut self.client.coming),
            Way::Down => (&mut self.client, &mut self.server.coming),
        };
        let said = end.drain(now, queue);
        // What the client sends is mostly frames, and sent again at most as much.
        let most = match to {
            Way::Up => 64 * heard_bytes + ANSWER_MOST_BYTES,
            Way::Down => 4 << 20,
        };
        assert!(said <= most, "{said} bytes after {heard_bytes}");
    }

    fn handle_event(&mut self, to: Way, from: u8, event: Event) {
        let now = self.now;
        match event {
            Event::Rekey => {
                if let Err(error) = self.end(to).session.rekey(now, &mut Seeded(1)) {
                    self.may_complain(error);
                    self.end(to).is_over = true;
                }
            }
            Event::OpenStream(open) => self.answer_stream(&open),
            Event::CloseStream(stream) => self.streams.retain(|open| *open != stream),
            Event::NewId(key) => self.server.session.reply_new_id(key, NewIdCode::Recorded),
            Event::PathResponse(secret) if to == Way::Up => {
                let has_moved = self.path.handle_answer(now, from, secret);
                let is_proved = self.challenges.contains(&(from, secret));
                assert!(!has_moved || is_proved, "moved unproved");
            }
            Event::Closed(_) => self.end(to).is_over = true,
            _ => {}
        }
    }

    fn answer_stream(&mut self, open: &OpenStream) {
        self.streams.retain(|stream| *stream != open.stream);
        self.promised.forget(open.stream);
        let code = if open.frame_kib > 4096 {
            StreamCode::FramesTooLarge
        } else if self.streams.len() >= STREAMS_MOST {
            StreamCode::TooManyStreams
        } else {
            self.streams.push(open.stream);
            StreamCode::Open
        };
        self.server.session.reply_stream(open, code);
    }

    fn pass_time(&mut self, milliseconds: u64) {
        self.now = self.now + Duration::from_millis(milliseconds);
        for to in [Way::Up, Way::Down] {
            let now = self.now;
            self.end(to).session.handle_timeout(now);
            self.settle(to, 0, 0);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, program)) = input.split_first() else {
        return;
    };
    if let Ok((control, _)) = Control::parse(program) {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        control.write(&mut once);
        let (same, _) = Control::parse(&once).expect("it was written here");
        same.write(&mut again);
        assert_eq!(once, again, "{control:?}");
    }
    let mut joined = Joined::new(*kind);
    let mut program = Program::new(program);
    while joined.step(&mut program).is_some() {}
    // All that is on its way arrives, and nothing more is said: whatever is held is given up in time.
    for to in [Way::Up, Way::Down] {
        while let Some(datagram) = joined.end(to).coming.pop_front() {
            joined.deliver(to, 0, datagram);
        }
    }
    for _ in 0..4 {
        joined.pass_time(5000);
    }
    assert_eq!(joined.budget.held_bytes(), 0, "held for ever");
});
