//! A whole session in simulated time, which follows from its seed.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a simulated link has delays of milliseconds and pieces of kilobytes"
)]

use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::{
    CloseCode, Event, KeyLimits, Packet, PeerClock, Session, StreamCode, next_record,
};

use super::link::{MILLISECOND, Way};
use super::receiver::Receiver;
use super::{NOW, Seeded, handshake, label, payload, seal_frame};

const SECOND: i64 = 1000 * MILLISECOND;

/// Two ends, their clocks, and the link between them.
pub(crate) struct Simulation {
    pub(crate) random: Seeded,
    pub(crate) now: Timestamp,
    /// The client's clock minus the server's.
    pub(crate) offset: i64,
    pub(crate) client: Session,
    pub(crate) server: Session,
    pub(crate) up: Way,
    pub(crate) down: Way,
    pub(crate) at_server: Receiver,
    pub(crate) at_client: Receiver,
    pub(crate) accepted: bool,
    pub(crate) reports: Vec<Timestamp>,
    pub(crate) client_sent: Vec<Timestamp>,
    pub(crate) sent: Vec<(u64, usize)>,
    pub(crate) closed: Option<CloseCode>,
    pub(crate) end_was_answered: bool,
    pub(crate) next_number: u64,
    pub(crate) next_frame: Timestamp,
    /// Steps until now, and those in which keys were renewed: an epoch begun, a part of a handshake said.
    pub(crate) steps: usize,
    pub(crate) renewals: Vec<usize>,
    pub(crate) handshakes: usize,
    pub(crate) epochs: [u8; 2],
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
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
    pub(crate) fn renewing(seed: u64) -> Self {
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
    pub(crate) fn note_epoch(&mut self, end: usize, wire: &[u8]) {
        let mut rest = wire;
        while let Ok(Packet::Complete(length)) = next_record(rest, 1 << 20) {
            let epoch = rest[5];
            if std::mem::replace(&mut self.epochs[end], epoch) != epoch {
                self.renewals.push(self.steps);
            }
            rest = &rest[length..];
        }
    }

    pub(crate) fn client_now(&self) -> Timestamp {
        self.now.offset_by(self.offset)
    }

    /// The client's next timeout on the server's clock, which is the simulation's.
    pub(crate) fn client_timeout(&self) -> Timestamp {
        match self.client.poll_timeout() {
            Timestamp::NEVER => Timestamp::NEVER,
            at => at.offset_by(-self.offset),
        }
    }

    pub(crate) fn transmit(&mut self) {
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

    pub(crate) fn send_frame(&mut self) {
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

    pub(crate) fn handle_server_events(&mut self) {
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

    pub(crate) fn handle_client_events(&mut self) {
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
    pub(crate) fn step(&mut self, end: Timestamp) -> bool {
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

    pub(crate) fn run_until(&mut self, end: Timestamp) {
        let mut steps = 0;
        while self.step(end) {
            steps += 1;
            assert!(steps < 200_000, "time does not go on");
        }
    }

    /// The client's clock is known within the bound that is told, however asymmetric the way.
    pub(crate) fn check_clock(&self) {
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
    pub(crate) fn check_frames(&self) {
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
    pub(crate) fn check_keepalive(&self) {
        for pair in self.client_sent.windows(2) {
            let silence = pair[1].saturating_since(pair[0]);
            let is_starting = pair[0] < self.first_media();
            let most = Duration::from_secs(1);
            assert!(is_starting || silence <= most, "{silence:?}");
        }
    }

    pub(crate) fn first_media(&self) -> Timestamp {
        self.at_server
            .media_times
            .first()
            .copied()
            .unwrap_or(Timestamp::NEVER)
    }
}
