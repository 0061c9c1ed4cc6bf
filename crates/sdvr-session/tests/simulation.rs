//! Two ends over a simulated link and a simulated clock: bytes in arbitrary pieces, delays, stalls and cuts.
//!
//! Each run follows from its seed, which is printed when it fails.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::server::Door;
use sdvr_session::{
    CloseCode, Event, KeyLimits, Limits, Packet, PeerClock, Session, StreamCode, Suites,
    next_handshake_packet, next_record,
};
use support::{
    CLIENT_PRIVATE_KEY, NOW, Seeded, door, handshake, label, payload, seal_frame, setup, source,
    start_streaming, stream,
};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;
const SEEDS: u64 = 200;

/// One direction of a link that keeps order, as TCP does.
struct Way {
    base_delay: i64,
    jitter: i64,
    in_flight: VecDeque<(Timestamp, Vec<u8>)>,
    last_arrival: Timestamp,
    is_cut: bool,
}

impl Way {
    fn new(random: &mut Seeded) -> Self {
        Self {
            base_delay: random.below(40 * MILLISECOND as u64) as i64,
            jitter: 1 + random.below(5 * MILLISECOND as u64) as i64,
            in_flight: VecDeque::new(),
            last_arrival: NOW,
            is_cut: false,
        }
    }

    /// Sends `bytes` off in pieces, one of which may be held up.
    fn send(&mut self, now: Timestamp, mut bytes: &[u8], random: &mut Seeded) {
        while !bytes.is_empty() && !self.is_cut {
            let most = if random.below(4) == 0 { 7 } else { 20_000 };
            let length = 1 + random.below(most.min(bytes.len() as u64)) as usize;
            let (piece, rest) = bytes.split_at(length);
            let stall = if random.below(300) == 0 {
                random.below(900) as i64 * MILLISECOND
            } else {
                0
            };
            let delay = self.base_delay + random.below(self.jitter as u64) as i64 + stall;
            self.last_arrival = self.last_arrival.max(now.offset_by(delay));
            self.in_flight
                .push_back((self.last_arrival, piece.to_vec()));
            bytes = rest;
        }
    }

    fn next_arrival(&self) -> Timestamp {
        self.in_flight
            .front()
            .map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    fn receive(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.next_arrival() > now {
            return None;
        }
        self.in_flight.pop_front().map(|(_, bytes)| bytes)
    }

    /// Nothing arrives for `time`, then everything.
    fn stall(&mut self, now: Timestamp, time: Duration) {
        for (at, _) in &mut self.in_flight {
            *at = *at + time;
        }
        self.last_arrival = self.last_arrival.max(now) + time;
    }

    /// Nothing arrives any more, but for a part of the piece that was next.
    fn cut(&mut self, random: &mut Seeded) {
        self.is_cut = true;
        self.in_flight.truncate(1);
        if let Some((_, piece)) = self.in_flight.front_mut() {
            piece.truncate(random.below(piece.len() as u64 + 1) as usize);
        }
    }
}

/// A frame that came out whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrived {
    number: u64,
    bytes: Vec<u8>,
    missed: u64,
}

/// Cuts a byte stream into records and puts frames together, as a driver does.
#[derive(Default)]
struct Receiver {
    buffer: Vec<u8>,
    frame: Vec<u8>,
    frame_missed: u64,
    arrived: Vec<Arrived>,
    media_times: Vec<Timestamp>,
}

impl Receiver {
    fn take_in(&mut self, session: &mut Session, now: Timestamp, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Packet::Complete(length) =
            next_record(&self.buffer, session.longest_record_bytes()).unwrap()
        {
            let mut record: Vec<u8> = self.buffer.drain(..length).collect();
            let Some(piece) = session.handle_record(now, &mut record).unwrap() else {
                return;
            };
            self.media_times.push(now);
            if piece.header.is_first {
                self.frame.clear();
                self.frame_missed = piece.missed;
            } else {
                assert_eq!(piece.missed, 0, "a gap is told once");
            }
            assert_eq!(piece.header.offset as usize, self.frame.len());
            self.frame.extend_from_slice(piece.bytes);
            if piece.header.is_last {
                self.arrived.push(Arrived {
                    number: piece.header.number.0,
                    bytes: std::mem::take(&mut self.frame),
                    missed: self.frame_missed,
                });
            }
        }
    }

    /// Whether more records are waiting: the driver lets events be handled between two of them.
    fn has_more(&self, session: &Session) -> bool {
        matches!(
            next_record(&self.buffer, session.longest_record_bytes()),
            Ok(Packet::Complete(_))
        )
    }
}

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Close,
    Cut,
}

struct Simulation {
    random: Seeded,
    now: Timestamp,
    /// The client's clock minus the server's.
    offset: i64,
    client: Session,
    server: Session,
    up: Way,
    down: Way,
    at_server: Receiver,
    at_client: Receiver,
    accepted: bool,
    reports: Vec<Timestamp>,
    client_sent: Vec<Timestamp>,
    sent: Vec<(u64, usize)>,
    closed: Option<CloseCode>,
    end_was_answered: bool,
    next_number: u64,
    next_frame: Timestamp,
    /// Steps until now, and those in which keys were renewed: an epoch begun, a part of a handshake said.
    steps: usize,
    renewals: Vec<usize>,
    handshakes: usize,
    epochs: [u8; 2],
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Seeded(seed);
        let pair = handshake(seed, random.below(2) == 0);
        let (up, down) = (Way::new(&mut random), Way::new(&mut random));
        Self {
            now: NOW,
            offset: random.below(2000 * SECOND as u64) as i64 - 1000 * SECOND,
            client: pair.client,
            server: pair.server,
            up,
            down,
            at_server: Receiver::default(),
            at_client: Receiver::default(),
            accepted: false,
            reports: Vec::new(),
            client_sent: Vec::new(),
            sent: Vec::new(),
            closed: None,
            end_was_answered: false,
            next_number: random.below(1000),
            next_frame: Timestamp::NEVER,
            steps: 0,
            renewals: Vec::new(),
            handshakes: 0,
            epochs: [0; 2],
            random,
        }
    }

    /// One in which keys are renewed all the time.
    fn renewing(seed: u64) -> Self {
        let mut simulation = Self::new(seed);
        // The sessions count from the handshake, which was at the same time on both clocks.
        simulation.offset = 0;
        let limits = KeyLimits {
            epoch_time: Duration::from_millis(300),
            epoch_records: 100,
            rekey_time: Duration::from_secs(2),
            ..KeyLimits::default()
        };
        simulation.client.set_key_limits(limits);
        simulation.server.set_key_limits(limits);
        simulation
    }

    /// Notes the epoch of the last record of `wire`, sent by the client or by the server.
    fn note_epoch(&mut self, end: usize, wire: &[u8]) {
        let mut rest = wire;
        while let Ok(Packet::Complete(length)) = next_record(rest, 1 << 20) {
            let epoch = rest[5];
            if std::mem::replace(&mut self.epochs[end], epoch) != epoch {
                self.renewals.push(self.steps);
            }
            rest = &rest[length..];
        }
    }

    fn client_now(&self) -> Timestamp {
        self.now.offset_by(self.offset)
    }

    /// The client's next timeout on the server's clock, which is the simulation's.
    fn client_timeout(&self) -> Timestamp {
        match self.client.poll_timeout() {
            Timestamp::NEVER => Timestamp::NEVER,
            at => at.offset_by(-self.offset),
        }
    }

    fn transmit(&mut self) {
        let mut wire = Vec::new();
        let client_now = self.client_now();
        self.client.poll_transmit(client_now, &mut wire).unwrap();
        if !wire.is_empty() {
            self.client_sent.push(self.now);
            self.note_epoch(0, &wire);
            self.up.send(self.now, &wire, &mut self.random);
        }
        wire.clear();
        self.server.poll_transmit(self.now, &mut wire).unwrap();
        self.note_epoch(1, &wire);
        self.down.send(self.now, &wire, &mut self.random);
    }

    fn send_frame(&mut self) {
        // Some frames are captured and not sent.
        self.next_number += 1 + self.random.below(3) * self.random.below(2);
        let bytes = match self.random.below(10) {
            0 => 65_000 + self.random.below(200_000),
            1..4 => 1 + self.random.below(10),
            _ => 1 + self.random.below(20_000),
        } as usize;
        let number = self.next_number;
        let at = self.client_now();
        let wire = seal_frame(&mut self.client, at, number, &payload(number, bytes));
        self.client_sent.push(self.now);
        self.note_epoch(0, &wire);
        self.up.send(self.now, &wire, &mut self.random);
        self.sent.push((number, bytes));
        // Mostly a steady rhythm, with pauses that make both ends fall silent.
        let pause_ms = if self.random.below(40) == 0 {
            self.random.below(4000)
        } else {
            10 + self.random.below(60)
        };
        self.next_frame = self.now + Duration::from_millis(pause_ms);
    }

    fn handle_server_events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Setup(_) => self.server.accept(self.now, label()),
                Event::OpenStream(open) => self.server.reply_stream(&open, StreamCode::Open),
                Event::Closed(close) => self.closed = Some(close.code),
                Event::Rekey => {
                    self.renewals.push(self.steps);
                    self.server.rekey(self.now, &mut self.random).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn handle_client_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::SetupReply(_) => self.accepted = true,
                Event::StreamReply { .. } => self.next_frame = self.now,
                Event::Report(report) => {
                    self.reports.push(self.now);
                    assert!(report.frames_received <= self.sent.len() as u64);
                }
                Event::Rekey => {
                    self.renewals.push(self.steps);
                    self.handshakes += 1;
                    let now = self.client_now();
                    self.client.rekey(now, &mut self.random).unwrap();
                }
                // The answer to the client's end.
                Event::Closed(close) => {
                    assert_eq!(Some(close.code), self.closed);
                    self.end_was_answered = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Moves on to the next thing that happens, if that is before `end`.
    fn step(&mut self, end: Timestamp) -> bool {
        let next = [
            self.up.next_arrival(),
            self.down.next_arrival(),
            self.client_timeout(),
            self.server.poll_timeout(),
            self.next_frame,
        ]
        .into_iter()
        .min()
        .unwrap_or(Timestamp::NEVER);
        if next > end {
            self.now = end;
            return false;
        }
        self.now = self.now.max(next);
        let client_now = self.client_now();
        while let Some(bytes) = self.up.receive(self.now) {
            self.at_server.take_in(&mut self.server, self.now, &bytes);
            self.handle_server_events();
            while self.at_server.has_more(&self.server) {
                self.at_server.take_in(&mut self.server, self.now, &[]);
                self.handle_server_events();
            }
            self.check_clock();
        }
        while let Some(bytes) = self.down.receive(self.now) {
            self.at_client.take_in(&mut self.client, client_now, &bytes);
            self.handle_client_events();
            while self.at_client.has_more(&self.client) {
                self.at_client.take_in(&mut self.client, client_now, &[]);
                self.handle_client_events();
            }
        }
        if self.now >= self.next_frame {
            self.send_frame();
        }
        self.client.handle_timeout(client_now);
        self.handle_client_events();
        self.server.handle_timeout(self.now);
        self.transmit();
        self.steps += 1;
        true
    }

    fn run_until(&mut self, end: Timestamp) {
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 200_000, "time does not go on");
        }
    }

    /// The client's clock is known within the bound that is told, however asymmetric the way.
    fn check_clock(&self) {
        let truth = self.now;
        let clock: &PeerClock = self.server.clock();
        let known = clock.to_local(self.client_now(), self.now);
        if let Some(error_ns) = known.error_ns {
            let wrong_by = known.at.nanoseconds_since(truth).unsigned_abs();
            assert!(wrong_by <= u64::from(error_ns) + 1, "{wrong_by} {error_ns}");
            let round_trip = clock.round_trip().unwrap().as_nanos() as u64;
            let shortest = (self.up.base_delay + self.down.base_delay) as u64;
            assert!(round_trip >= shortest, "{round_trip} {shortest}");
        }
    }

    /// Whole, authentic, in order, each once, and every gap told exactly.
    fn check_frames(&self) {
        let arrived = &self.at_server.arrived;
        assert!(arrived.len() <= self.sent.len());
        let mut last = None;
        for (arrived, (number, bytes)) in arrived.iter().zip(&self.sent) {
            assert_eq!(arrived.number, *number);
            assert!(arrived.bytes == payload(*number, *bytes), "frame {number}");
            let gap = last.map_or(0, |last| number - last - 1);
            assert_eq!(arrived.missed, gap);
            last = Some(*number);
        }
    }

    /// A client is never silent for longer than a second.
    fn check_keepalive(&self) {
        for pair in self.client_sent.windows(2) {
            let silence = pair[1].saturating_since(pair[0]);
            let is_starting = pair[0] < self.first_media();
            let most = Duration::from_secs(1);
            assert!(is_starting || silence <= most, "{silence:?}");
        }
    }

    fn first_media(&self) -> Timestamp {
        self.at_server
            .media_times
            .first()
            .copied()
            .unwrap_or(Timestamp::NEVER)
    }
}

fn run(mut simulation: Simulation, seed: u64) {
    let end = if seed.is_multiple_of(3) {
        End::Cut
    } else {
        End::Close
    };
    let lasts = Duration::from_millis(500 + simulation.random.below(4000));
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    simulation.run_until(NOW + lasts);
    match end {
        End::Close => {
            simulation.client.close(CloseCode::EndOfSource, "");
            simulation.next_frame = Timestamp::NEVER;
        }
        End::Cut => simulation.up.cut(&mut simulation.random),
    }
    simulation.transmit();
    simulation.run_until(simulation.now + Duration::from_secs(5));
    simulation.check_frames();
    if end == End::Close {
        assert_eq!(simulation.closed, Some(CloseCode::EndOfSource));
        assert!(simulation.end_was_answered);
        assert_eq!(simulation.at_server.arrived.len(), simulation.sent.len());
        simulation.check_keepalive();
    } else {
        assert_eq!(simulation.closed, None, "a cut is no CLOSE");
    }
}

#[test]
fn only_whole_frames_arrive_in_order_and_at_most_once() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| run(Simulation::new(seed), seed));
        assert!(outcome.is_ok(), "seed {seed} failed, see above");
    }
}

#[test]
fn frames_arrive_as_they_do_while_keys_are_renewed() {
    for seed in 0..SEEDS / 2 {
        let outcome = std::panic::catch_unwind(|| run(Simulation::renewing(seed), seed));
        assert!(outcome.is_ok(), "seed {seed} failed, see above");
    }
}

/// What becomes of the link in the middle of a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Break {
    /// Nothing arrives at the server any more.
    CutUp,
    /// … at the client.
    CutDown,
    CutBoth,
    /// All of it arrives a minute later, as after a cut that TCP outlives.
    Stall,
}

/// A link that is broken when so many steps were made, and for a minute: nothing hangs, ends run apart or loses a frame that
/// arrived.
fn break_link(seed: u64, after_steps: usize, how: Break) {
    let minute = Duration::from_secs(60);
    let mut simulation = Simulation::renewing(seed);
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    while simulation.steps < after_steps {
        assert!(simulation.step(Timestamp::NEVER));
    }
    if matches!(how, Break::CutUp | Break::CutBoth) {
        simulation.up.cut(&mut simulation.random);
    }
    if matches!(how, Break::CutDown | Break::CutBoth) {
        simulation.down.cut(&mut simulation.random);
    }
    let before = simulation.handshakes;
    if how == Break::Stall {
        simulation.up.stall(simulation.now, minute);
        simulation.down.stall(simulation.now, minute);
    }
    // A link that is cut is given up by its driver; until then it must do no harm. Some frames come, and wait where they are.
    simulation.run_until(simulation.now + Duration::from_secs(1));
    simulation.next_frame = Timestamp::NEVER;
    simulation.run_until(simulation.now + minute);
    simulation.check_frames();
    if how == Break::Stall {
        simulation.run_until(simulation.now + Duration::from_secs(3));
        assert_eq!(simulation.at_server.arrived.len(), simulation.sent.len());
        assert!(simulation.handshakes > before, "renewing goes on");
        assert_eq!(simulation.at_client.buffer.len(), 0);
    } else {
        assert!(
            simulation.handshakes <= before + 2,
            "one that is not answered is the last"
        );
    }
}

#[test]
fn a_link_that_is_cut_or_stands_still_for_a_minute_at_any_message_of_a_renewal_does_no_harm() {
    for seed in 0..8 {
        let mut whole = Simulation::renewing(seed);
        whole.client.introduce(setup(), &[stream()]);
        whole.transmit();
        while whole.handshakes == 0 {
            assert!(whole.step(Timestamp::NEVER));
        }
        let handshake = whole.steps;
        whole.run_until(whole.now + Duration::from_millis(700));
        // From the last epoch before the handshake to the first one by itself after it: the steps in which something was said
        // for it, and those in which that was on its way.
        let mut steps: Vec<usize> = whole
            .renewals
            .iter()
            .filter(|&&step| step + 20 > handshake)
            .flat_map(|&step| step..step + 3)
            .collect();
        steps.sort_unstable();
        steps.dedup();
        assert!(steps.len() >= 6, "{steps:?}");
        for step in steps {
            for how in [Break::CutUp, Break::CutDown, Break::CutBoth, Break::Stall] {
                let outcome = std::panic::catch_unwind(|| break_link(seed, step, how));
                assert!(
                    outcome.is_ok(),
                    "seed {seed}, step {step}, {how:?} failed, see above"
                );
            }
        }
    }
}

#[test]
fn the_runs_are_worth_something() {
    let mut simulation = Simulation::new(1);
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    simulation.run_until(NOW + Duration::from_secs(20));
    let arrived = &simulation.at_server.arrived;
    assert!(arrived.len() > 100, "{}", arrived.len());
    assert!(arrived.iter().any(|frame| frame.missed > 0));
    assert!(arrived.iter().any(|frame| frame.bytes.len() > 65_536));
    assert!(simulation.reports.len() > 10);
}

/// Runs a server with streaming frames every `interval`; gives the times at which it reported.
fn report_times(interval: Duration, frames: u32) -> Vec<Duration> {
    let pair = handshake(3, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    let mut receiver = Receiver::default();
    let mut reported = Vec::new();
    for number in 0..frames {
        let at = NOW + interval * number;
        // What the timers want comes before what arrives later.
        while server.poll_timeout() < at {
            let due = server.poll_timeout();
            server.handle_timeout(due);
            let mut wire = Vec::new();
            server.poll_transmit(due, &mut wire).unwrap();
            receiver.take_in(&mut client, due, &wire);
            while let Some(event) = client.poll_event() {
                if matches!(event, Event::Report(_)) {
                    reported.push(due.saturating_since(NOW));
                }
            }
        }
        let wire = seal_frame(&mut client, at, number.into(), b"a frame");
        Receiver::default().take_in(&mut server, at, &wire);
    }
    reported
}

#[test]
fn a_server_reports_every_500_ms_while_frames_flow() {
    let reported = report_times(Duration::from_millis(33), 300);
    let expected: Vec<Duration> = (1..=19)
        .map(|number| Duration::from_millis(500) * number)
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn a_report_follows_each_frame_of_a_slow_camera() {
    let reported = report_times(Duration::from_secs(10), 5);
    let expected: Vec<Duration> = (0..4)
        .map(|number| Duration::from_millis(10_000 * number + 500))
        .collect();
    assert_eq!(reported, expected);
}

#[test]
fn a_silent_client_pings_every_second_and_is_answered() {
    let pair = handshake(4, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    let mut at = NOW;
    for number in 1..10 {
        at = client.poll_timeout();
        assert_eq!(at, NOW + Duration::from_secs(number));
        client.handle_timeout(at.offset_by(-1));
        let mut wire = Vec::new();
        client.poll_transmit(at, &mut wire).unwrap();
        assert!(wire.is_empty(), "too early");
        client.handle_timeout(at);
        client.handle_timeout(at);
        client.poll_transmit(at, &mut wire).unwrap();
        assert_eq!(wire.len(), 8 + 12 + 16, "one PING");
        server.handle_record(at, &mut wire).unwrap();
        assert_eq!(server.last_heard(), at);
        let mut answer = Vec::new();
        server.poll_transmit(at, &mut answer).unwrap();
        assert_eq!(answer.len(), 8 + 12 + 16, "one PONG");
        client.handle_record(at, &mut answer).unwrap();
        assert_eq!(client.last_heard(), at);
    }
    // A frame is a sign of life too.
    let later = at.offset_by(SECOND / 2);
    seal_frame(&mut client, later, 1, b"a frame");
    assert_eq!(client.poll_timeout(), later + Duration::from_secs(1));
}

#[test]
fn the_clock_is_asked_for_at_once_then_ten_times_a_second_apart_then_every_ten_seconds() {
    let pair = handshake(5, true);
    let (mut client, mut server) = (pair.client, pair.server);
    start_streaming(&mut client, &mut server);
    assert!(server.clock().round_trip().is_some(), "asked at once");
    let mut asked = Vec::new();
    for _ in 0..13 {
        let at = server.poll_timeout();
        server.handle_timeout(at);
        let mut wire = Vec::new();
        server.poll_transmit(at, &mut wire).unwrap();
        assert_eq!(wire.len(), 8 + 12 + 16, "one CLOCK_REQUEST");
        asked.push(at.saturating_since(NOW).as_secs());
    }
    assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40]);
}

/// The bytes a client sends in a short conversation, and what a server answers to each part.
struct Conversation {
    hello: Vec<u8>,
    initiation: Vec<u8>,
    /// From SETUP to CLOSE.
    records: Vec<u8>,
    /// Where in `records` each frame ends.
    frame_ends: Vec<usize>,
}

const CONVERSATION_SEED: u64 = 6;

fn record_conversation() -> Conversation {
    let pair = handshake(CONVERSATION_SEED, true);
    let (mut client, mut server) = (pair.client, pair.server);
    let mut records = introduce(&mut client, &mut server);
    let mut frame_ends = Vec::new();
    for number in 0..4 {
        let wire = seal_frame(&mut client, NOW, number, &payload(number, 50));
        records.extend(wire);
        frame_ends.push(records.len());
    }
    client.close(CloseCode::EndOfSource, "");
    client.poll_transmit(NOW, &mut records).unwrap();
    Conversation {
        hello: pair.hello,
        initiation: pair.initiation,
        records,
        frame_ends,
    }
}

/// Lets `client` stream to `server`; gives all that it sent for that, the answer to the clock request too.
fn introduce(client: &mut Session, server: &mut Session) -> Vec<u8> {
    client.introduce(setup(), &[stream()]);
    let mut from_client = Vec::new();
    client.poll_transmit(NOW, &mut from_client).unwrap();
    Receiver::default().take_in(server, NOW, &from_client);
    answer_events(server);
    let mut from_server = Vec::new();
    server.poll_transmit(NOW, &mut from_server).unwrap();
    Receiver::default().take_in(client, NOW, &from_server);
    client.poll_transmit(NOW, &mut from_client).unwrap();
    from_client
}

/// Answers as a daemon does; gives the CLOSE, if there was one.
fn answer_events(server: &mut Session) -> Option<CloseCode> {
    let mut closed = None;
    while let Some(event) = server.poll_event() {
        match event {
            Event::Setup(_) => server.accept(NOW, label()),
            Event::OpenStream(open) => server.reply_stream(&open, StreamCode::Open),
            Event::Closed(close) => closed = Some(close.code),
            other => panic!("{other:?}"),
        }
    }
    closed
}

/// A server that was sent `bytes` and then nothing more: the frames it has, and whether it saw the end.
fn server_after(conversation: &Conversation, bytes: &[u8]) -> (usize, Option<CloseCode>) {
    let mut random = Seeded(CONVERSATION_SEED);
    let mut door: Door = door(&mut random);
    // The client's share of the seed's randomness, so that the server's is as it was.
    let (client, hello) =
        ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
    assert_eq!(hello.as_slice(), conversation.hello);
    let Ok(Packet::Complete(hello_bytes)) = next_handshake_packet(bytes) else {
        return (0, None);
    };
    let (hello, rest) = bytes.split_at(hello_bytes);
    let reply = door
        .handle_hello(NOW, &source(), hello, None, &mut random)
        .unwrap();
    let Ok(Packet::Complete(initiation_bytes)) = next_handshake_packet(rest) else {
        return (0, None);
    };
    let (initiation, records) = rest.split_at(initiation_bytes);
    let offer = client.handle_reply(&reply).unwrap();
    offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap();
    let (mut server, _) = door
        .handle_initiation(NOW, &source(), initiation)
        .unwrap()
        .accept(NOW, 1, &mut random)
        .unwrap();
    let mut receiver = Receiver::default();
    receiver.take_in(&mut server, NOW, records);
    let mut closed = answer_events(&mut server);
    while receiver.has_more(&server) {
        receiver.take_in(&mut server, NOW, &[]);
        let seen = answer_events(&mut server);
        closed = closed.or(seen);
    }
    for (number, frame) in receiver.arrived.iter().enumerate() {
        assert_eq!(frame.number, number as u64);
        assert_eq!(frame.bytes, payload(number as u64, 50));
    }
    (receiver.arrived.len(), closed)
}

#[test]
fn a_cut_at_any_byte_delivers_what_was_whole_and_is_no_close() {
    let conversation = record_conversation();
    let before_records = conversation.hello.len() + conversation.initiation.len();
    let all = [
        conversation.hello.as_slice(),
        &conversation.initiation,
        &conversation.records,
    ]
    .concat();
    for length in 0..=all.len() {
        let (frames, closed) = server_after(&conversation, &all[..length]);
        let whole = conversation
            .frame_ends
            .iter()
            .filter(|&&end| before_records + end <= length)
            .count();
        assert_eq!(frames, whole, "cut after {length} bytes");
        let expected = (length == all.len()).then_some(CloseCode::EndOfSource);
        assert_eq!(closed, expected, "cut after {length} bytes");
    }
}
