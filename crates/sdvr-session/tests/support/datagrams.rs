//! A session over datagrams in simulated time, over a link that loses, repeats, reorders and cuts; it follows from its seed.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a simulated link carries packets, and seconds"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::{DatagramOutcome, Event, KeyLimits, PeerPath, Session, StreamCode};

use super::{NOW, Seeded, introducing_datagrams, label, payload};

const MILLISECOND_US: u64 = 1000;
pub(crate) const STREAM: StreamId = StreamId(0);
/// Between two frames.
const INTERVAL_US: u64 = 33 * MILLISECOND_US;
/// IPv4 and UDP.
const HEADERS_BYTES: usize = 28;

/// What the link does, in shares of all packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    /// So many are lost in a row.
    pub(crate) burst: u32,
    pub(crate) repeats: f64,
    /// Come later than they should, by up to the jitter.
    pub(crate) late: f64,
    pub(crate) one_way_us: u64,
    pub(crate) jitter_us: u64,
    /// One bit is another one.
    pub(crate) altered: f64,
    /// What the way to the server carries; more is lost.
    pub(crate) bytes_a_millisecond: u64,
    /// How much of it may come at once.
    pub(crate) buffer_bytes: u64,
}

pub(crate) const CALM: Weather = Weather {
    loss: 0.0,
    burst: 1,
    repeats: 0.0,
    late: 0.0,
    one_way_us: 10_000,
    jitter_us: 0,
    altered: 0.0,
    bytes_a_millisecond: 1_000_000,
    buffer_bytes: 100_000_000,
};

pub(crate) const ROUGH: Weather = Weather {
    loss: 0.1,
    repeats: 0.05,
    late: 0.2,
    jitter_us: 15_000,
    altered: 0.02,
    ..CALM
};

/// Where a datagram flies to. A client is somewhere, and may move.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Client { at: u8 },
    Server { from: u8 },
}

/// A frame that was handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) number: u64,
    pub(crate) captured: Timestamp,
    pub(crate) at: Timestamp,
}

pub(crate) struct Simulation {
    pub(crate) client: Session,
    pub(crate) server: Session,
    pub(crate) random: Seeded,
    weather: Weather,
    /// How many more are lost now, to each end.
    burst_rest: [u32; 2],
    /// Longer datagrams vanish.
    pub(crate) path_bytes: usize,
    pub(crate) longest: usize,
    pub(crate) is_cut: bool,
    now_us: u64,
    flights: BinaryHeap<Reverse<(u64, u64)>>,
    packets: BTreeMap<u64, (To, Vec<u8>)>,
    next_flight: u64,
    /// Where the client is.
    pub(crate) address: u8,
    /// Where the server takes it to be.
    pub(crate) path: PeerPath<u8>,
    pub(crate) is_open: bool,
    next_capture_us: u64,
    next_frame: u64,
    /// As advised.
    pub(crate) keep_one_in: u64,
    /// What the way carries now, in thousandths of a byte, and since when.
    credit: (u64, u64),
    pub(crate) sent: u64,
    /// By the client, with the headers that a network sees.
    pub(crate) wire_bytes: u64,
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) rejected: u64,
    pub(crate) client_events: Vec<Event>,
    pub(crate) server_events: Vec<Event>,
    pub(crate) rekeys: u32,
    /// Of all datagrams, so that old ones can be sent again.
    pub(crate) captured: Vec<Vec<u8>>,
    pub(crate) is_capturing: bool,
}

impl Simulation {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut random = Seeded(seed);
        let (client, server) = introducing_datagrams(&mut random, true, 77);
        Self {
            client,
            server,
            random,
            weather,
            burst_rest: [0; 2],
            path_bytes: 1472,
            longest: 0,
            is_cut: false,
            now_us: 0,
            flights: BinaryHeap::new(),
            packets: BTreeMap::new(),
            next_flight: 0,
            address: 0,
            path: PeerPath::new(0),
            is_open: false,
            next_capture_us: 0,
            next_frame: 0,
            keep_one_in: 1,
            credit: (1000 * weather.buffer_bytes, 0),
            sent: 0,
            wire_bytes: 0,
            arrived: Vec::new(),
            rejected: 0,
            client_events: Vec::new(),
            server_events: Vec::new(),
            rekeys: 0,
            captured: Vec::new(),
            is_capturing: false,
        }
    }

    pub(crate) fn set_key_limits(&mut self, limits: KeyLimits) {
        self.client.set_key_limits(limits);
        self.server.set_key_limits(limits);
    }

    /// The link is another one from now on.
    pub(crate) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
        self.burst_rest = [0; 2];
    }

    pub(crate) fn now(&self) -> Timestamp {
        NOW + Duration::from_micros(self.now_us)
    }

    fn chance(&mut self, share: f64) -> bool {
        (self.random.below(1_000_000) as f64) < share * 1e6
    }

    /// Whether a packet is lost, by itself or with those before it.
    fn loses(&mut self, to: To) -> bool {
        let Weather { loss, burst, .. } = self.weather;
        let end = usize::from(matches!(to, To::Server { .. }));
        let begins = loss / (f64::from(burst) * (1.0 - loss) + loss);
        if self.burst_rest[end] == 0 && self.chance(begins) {
            self.burst_rest[end] = burst;
        }
        let loses = self.burst_rest[end] > 0;
        self.burst_rest[end] = self.burst_rest[end].saturating_sub(1);
        loses
    }

    /// Whether the way to the server has room for so many bytes; they are in it then.
    fn carries(&mut self, bytes: usize) -> bool {
        let Weather {
            bytes_a_millisecond,
            buffer_bytes,
            ..
        } = self.weather;
        // What the way holds back in a buffer arrives as if it had not.
        let (credit, since_us) = self.credit;
        let credit = credit + (self.now_us - since_us) * bytes_a_millisecond;
        let credit = credit.min(1000 * buffer_bytes);
        let rest = credit.checked_sub(1000 * bytes as u64);
        self.credit = (rest.unwrap_or(credit), self.now_us);
        rest.is_some()
    }

    fn fly(&mut self, to: To, datagram: &[u8]) {
        assert!(datagram.len() <= 1472, "{} bytes", datagram.len());
        self.longest = self.longest.max(datagram.len());
        if self.is_capturing {
            self.captured.push(datagram.to_vec());
        }
        if matches!(to, To::Server { .. }) {
            self.wire_bytes += (datagram.len() + HEADERS_BYTES) as u64;
        }
        let copies = 1 + u64::from(self.chance(self.weather.repeats));
        for _ in 0..copies {
            let is_too_long = datagram.len() > self.path_bytes;
            if self.is_cut || is_too_long || self.loses(to) {
                continue;
            }
            if matches!(to, To::Server { .. }) && !self.carries(datagram.len()) {
                continue;
            }
            let mut datagram = datagram.to_vec();
            if self.chance(self.weather.altered) {
                let place = self.random.below(datagram.len() as u64) as usize;
                datagram[place] ^= 1 << self.random.below(8);
            }
            let late = if self.chance(self.weather.late) {
                self.random.below(self.weather.jitter_us.max(1))
            } else {
                0
            };
            self.launch(self.weather.one_way_us + late, to, datagram);
        }
    }

    pub(crate) fn launch(&mut self, delay_us: u64, to: To, datagram: Vec<u8>) {
        self.next_flight += 1;
        self.flights
            .push(Reverse((self.now_us + delay_us, self.next_flight)));
        self.packets.insert(self.next_flight, (to, datagram));
    }

    /// A frame is captured, and sent unless the one before has not left.
    fn capture(&mut self, bytes: usize) {
        let number = self.next_frame;
        self.next_frame += 1;
        let is_left_out = !number.is_multiple_of(self.keep_one_in);
        if !self.is_open || self.client.is_sending(STREAM) || is_left_out {
            return;
        }
        let facts = (FrameNumber(number), self.now(), FrameFlags::NONE);
        self.client
            .send_frame(self.now(), STREAM, facts, payload(number, bytes))
            .unwrap();
        self.sent += 1;
    }

    fn land(&mut self, to: To, datagram: &mut [u8]) {
        let now = self.now();
        let outcome = match to {
            // Nobody is there any more.
            To::Client { at } if at != self.address => return,
            To::Client { .. } => self.client.handle_datagram(now, datagram),
            To::Server { .. } => self.server.handle_datagram(now, datagram),
        };
        match (outcome.unwrap(), to) {
            (DatagramOutcome::Rejected(_), _) => self.rejected += 1,
            (DatagramOutcome::Opened { is_newest: true }, To::Server { from }) => {
                let random = &mut self.random;
                if let Some(secret) = self.path.handle_newest(now, from, || random.bytes()) {
                    let mut challenge = Vec::new();
                    self.server.challenge(secret, &mut challenge).unwrap();
                    self.fly(To::Client { at: from }, &challenge);
                }
            }
            (DatagramOutcome::Opened { .. }, _) => {}
        }
        self.handle_events(to);
    }

    /// What happens now.
    fn step(&mut self) {
        let now = self.now();
        while let Some(Reverse((at, flight))) = self.flights.peek().copied()
            && at <= self.now_us
        {
            self.flights.pop();
            let (to, mut datagram) = self.packets.remove(&flight).unwrap();
            self.land(to, &mut datagram);
            // As drivers do: an answer does not wait for what else arrives.
            self.transmit();
        }
        self.client.handle_timeout(now);
        self.server.handle_timeout(now);
        self.handle_events(To::Client { at: self.address });
        self.transmit();
        // Else a driver that waits for the time goes round and round.
        for (name, end) in [("client", &self.client), ("server", &self.server)] {
            let due = end.poll_timeout();
            assert!(
                due > now,
                "the {name} wants to be called at {due:?}, and it is {now:?}"
            );
        }
    }

    fn transmit(&mut self) {
        let now = self.now();
        let mut datagram = Vec::new();
        let from = self.address;
        while self.client.poll_datagram(now, &mut datagram).unwrap() {
            self.fly(To::Server { from }, &datagram);
            datagram.clear();
        }
        let at = self.path.address();
        while self.server.poll_datagram(now, &mut datagram).unwrap() {
            self.fly(To::Client { at }, &datagram);
            datagram.clear();
        }
    }

    /// What the ends make of a datagram that has landed.
    fn handle_events(&mut self, landed: To) {
        let now = self.now();
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::Setup(_) => self.server.accept(now, label()),
                Event::OpenStream(open) => self.server.reply_stream(open, StreamCode::Open),
                Event::Rekey => {
                    self.rekeys += 1;
                    self.server.rekey(now, &mut self.random).unwrap();
                }
                Event::PathResponse(secret) => {
                    if let To::Server { from } = landed {
                        self.path.handle_answer(now, from, *secret);
                    }
                }
                _ => {}
            }
            self.server_events.push(event);
        }
        while let Some(event) = self.client.poll_event() {
            match &event {
                Event::StreamReply { code, .. } => self.is_open = *code == StreamCode::Open,
                Event::Rekey => self.client.rekey(now, &mut self.random).unwrap(),
                Event::SendLess { keep_one_in } => self.keep_one_in = u64::from(*keep_one_in),
                Event::SendAll | Event::SendShorter => self.keep_one_in = 1,
                _ => {}
            }
            if !matches!(event, Event::Report(_)) {
                self.client_events.push(event);
            }
        }
        while let Some(frame) = self.server.poll_frame(now) {
            let fragment = frame.as_fragment();
            let number = fragment.header.number.0;
            assert_eq!(
                fragment.bytes,
                payload(number, fragment.bytes.len()),
                "frame {number} is what was sent"
            );
            if let Some(Arrived { number: last, .. }) = self.arrived.last() {
                assert!(number > *last, "{number} after {last}");
                assert_eq!(fragment.missed, number - last - 1);
            }
            self.arrived.push(Arrived {
                number,
                captured: fragment.header.captured,
                at: now,
            });
        }
    }

    /// When something happens next, in microseconds.
    fn next_us(&self) -> u64 {
        let due = self.client.poll_timeout().min(self.server.poll_timeout());
        let due_us = due.saturating_since(NOW).as_nanos().div_ceil(1000);
        let landing_us = self.flights.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        u64::try_from(due_us)
            .unwrap_or(u64::MAX)
            .min(landing_us)
            .min(self.next_capture_us)
    }

    /// Lets time pass, with a frame every 33 ms.
    pub(crate) fn run(&mut self, milliseconds: u64, frame_bytes: usize) {
        let end_us = self.now_us + milliseconds * MILLISECOND_US;
        self.transmit();
        loop {
            let next_us = self.next_us();
            if next_us >= end_us {
                break;
            }
            self.now_us = next_us.max(self.now_us);
            if self.now_us >= self.next_capture_us {
                self.capture(frame_bytes);
                self.next_capture_us += INTERVAL_US;
            }
            self.step();
        }
        self.now_us = end_us;
    }

    /// Frames that have come since `count`.
    pub(crate) fn arrived_since(&self, count: usize) -> usize {
        self.arrived.len() - count
    }
}
