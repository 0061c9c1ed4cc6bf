//! Sessions over a simulated link that loses, repeats, reorders and cuts, on a simulated clock. Each run follows from its seed, which is printed
//! when it fails.
//!
//! Safety: only authentic, whole frames come out, each at most once, in order. Liveness: when faults stop, frames flow.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::{
    CloseCode, DatagramOutcome, Event, KeyLimits, Limits, Session, StreamCode, Suites,
};
use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, door, label, payload, setup, source, stream};

const MILLISECOND_US: u64 = 1000;
const STREAM: StreamId = StreamId(0);

/// What the link does, in shares of all packets.
#[derive(Clone, Copy, Debug)]
struct Weather {
    loss: f64,
    repeats: f64,
    /// Come later than they should, by up to the jitter.
    late: f64,
    one_way_us: u64,
    jitter_us: u64,
    /// One bit is another one.
    altered: f64,
    /// What the way to the server carries; more is lost.
    bytes_a_millisecond: u64,
}

const CALM: Weather = Weather {
    loss: 0.0,
    repeats: 0.0,
    late: 0.0,
    one_way_us: 10_000,
    jitter_us: 0,
    altered: 0.0,
    bytes_a_millisecond: 1_000_000,
};

const ROUGH: Weather = Weather {
    loss: 0.1,
    repeats: 0.05,
    late: 0.2,
    one_way_us: 10_000,
    jitter_us: 15_000,
    altered: 0.02,
    bytes_a_millisecond: 1_000_000,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Client,
    Server,
}

struct Simulation {
    client: Session,
    server: Session,
    random: Seeded,
    weather: Weather,
    /// Longer datagrams vanish.
    path_bytes: usize,
    longest: usize,
    is_cut: bool,
    now_us: u64,
    flights: BinaryHeap<Reverse<(u64, u64)>>,
    packets: BTreeMap<u64, (To, Vec<u8>)>,
    next_flight: u64,
    is_open: bool,
    next_frame: u64,
    /// As advised.
    keep_one_in: u64,
    /// What the way carries now.
    credit_bytes: u64,
    sent: u64,
    arrived: Vec<(u64, u64, Timestamp)>,
    rejected: u64,
    client_events: Vec<Event>,
    server_events: Vec<Event>,
    rekeys: u32,
    /// Of all datagrams, so that old ones can be sent again.
    captured: Vec<Vec<u8>>,
    is_capturing: bool,
}

impl Simulation {
    fn new(seed: u64, weather: Weather) -> Self {
        let mut random = Seeded(seed);
        let mut door = door(&mut random);
        let (client, hello) =
            ExpectHelloReply::start(Suites::all(true), Limits::default(), None, &mut random);
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
            .accept_datagrams(NOW, 77, &mut random)
            .unwrap();
        let mut client = client
            .handle_datagram_response(NOW, &response, 1472)
            .unwrap();
        client.introduce(setup(), &[stream()]);
        Self {
            client,
            server,
            random,
            weather,
            path_bytes: 1472,
            longest: 0,
            is_cut: false,
            now_us: 0,
            flights: BinaryHeap::new(),
            packets: BTreeMap::new(),
            next_flight: 0,
            is_open: false,
            next_frame: 0,
            keep_one_in: 1,
            credit_bytes: 0,
            sent: 0,
            arrived: Vec::new(),
            rejected: 0,
            client_events: Vec::new(),
            server_events: Vec::new(),
            rekeys: 0,
            captured: Vec::new(),
            is_capturing: false,
        }
    }

    fn set_key_limits(&mut self, limits: KeyLimits) {
        self.client.set_key_limits(limits);
        self.server.set_key_limits(limits);
    }

    fn now(&self) -> Timestamp {
        NOW + Duration::from_micros(self.now_us)
    }

    fn chance(&mut self, share: f64) -> bool {
        (self.random.below(1_000_000) as f64) < share * 1e6
    }

    fn fly(&mut self, to: To, datagram: Vec<u8>) {
        assert!(datagram.len() <= 1472, "{} bytes", datagram.len());
        self.longest = self.longest.max(datagram.len());
        if self.is_capturing {
            self.captured.push(datagram.clone());
        }
        let copies = 1 + u64::from(self.chance(self.weather.repeats));
        for _ in 0..copies {
            let is_too_long = datagram.len() > self.path_bytes;
            if self.is_cut || is_too_long || self.chance(self.weather.loss) {
                continue;
            }
            if to == To::Server {
                let bytes = datagram.len() as u64;
                let Some(rest) = self.credit_bytes.checked_sub(bytes) else {
                    continue;
                };
                self.credit_bytes = rest;
            }
            let mut datagram = datagram.clone();
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

    fn launch(&mut self, delay_us: u64, to: To, datagram: Vec<u8>) {
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

    fn step(&mut self) {
        let now = self.now();
        while let Some(Reverse((at, flight))) = self.flights.peek().copied()
            && at <= self.now_us
        {
            self.flights.pop();
            let (to, mut datagram) = self.packets.remove(&flight).unwrap();
            let end = match to {
                To::Client => &mut self.client,
                To::Server => &mut self.server,
            };
            if let DatagramOutcome::Rejected(_) = end.handle_datagram(now, &mut datagram).unwrap() {
                self.rejected += 1;
            }
            self.handle_events(now);
        }
        self.client.handle_timeout(now);
        self.server.handle_timeout(now);
        self.handle_events(now);
        for to in [To::Server, To::Client] {
            loop {
                let mut datagram = Vec::new();
                let from = match to {
                    To::Server => &mut self.client,
                    To::Client => &mut self.server,
                };
                if !from.poll_datagram(now, &mut datagram).unwrap() {
                    break;
                }
                self.fly(to, datagram);
            }
        }
        // Else a driver that waits for the time goes round and round.
        for (name, end) in [("client", &self.client), ("server", &self.server)] {
            let due = end.poll_timeout();
            assert!(
                due > now,
                "the {name} wants to be called at {due:?}, and it is {now:?}"
            );
        }
    }

    fn handle_events(&mut self, now: Timestamp) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::Setup(_) => self.server.accept(now, label()),
                Event::OpenStream(open) => self.server.reply_stream(open, StreamCode::Open),
                Event::Rekey => {
                    self.rekeys += 1;
                    self.server.rekey(now, &mut self.random).unwrap();
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
                Event::SendAll => self.keep_one_in = 1,
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
            if let Some((last, ..)) = self.arrived.last() {
                assert!(number > *last, "{number} after {last}");
                assert_eq!(fragment.missed, number - last - 1);
            }
            self.arrived.push((number, fragment.missed, now));
        }
    }

    /// Lets time pass in steps of a quarter of a millisecond, with a frame every 33.
    fn run(&mut self, milliseconds: u64, frame_bytes: usize) {
        let end = self.now_us + milliseconds * MILLISECOND_US;
        while self.now_us < end {
            if self.now_us.is_multiple_of(33 * MILLISECOND_US) {
                self.capture(frame_bytes);
            }
            // What the way holds back in a buffer arrives as if it had not.
            let rate = self.weather.bytes_a_millisecond;
            self.credit_bytes = (self.credit_bytes + rate / 4).min(100 * rate);
            self.step();
            self.now_us += 250;
        }
    }

    /// Frames that have come since `count`.
    fn arrived_since(&self, count: usize) -> usize {
        self.arrived.len() - count
    }
}

#[test]
fn frames_arrive_whole_and_in_order_over_a_calm_link() {
    let mut simulation = Simulation::new(1, CALM);
    simulation.run(3000, 100_000);
    assert!(simulation.sent >= 85, "{}", simulation.sent);
    // The last one is on its way.
    assert!(simulation.arrived.len() as u64 + 1 >= simulation.sent);
    assert_eq!(simulation.rejected, 0);
}

#[test]
fn frames_of_any_size_arrive() {
    for (seed, bytes) in [1, 1103, 1104, 1105, 20_000, 1_000_000]
        .into_iter()
        .enumerate()
    {
        let mut simulation = Simulation::new(seed as u64, CALM);
        simulation.run(2000, bytes);
        assert!(
            simulation.arrived.len() >= 30,
            "{bytes}: {}",
            simulation.arrived.len()
        );
    }
}

#[test]
fn only_authentic_whole_frames_come_out_at_most_once_and_in_order_and_when_faults_stop_they_flow() {
    for seed in 0..seeds() {
        let mut simulation = Simulation::new(seed, ROUGH);
        simulation.weather.loss = [0.0, 0.05, 0.2, 0.5][seed as usize % 4];
        simulation.set_key_limits(KeyLimits {
            epoch_time: Duration::from_millis(300),
            rekey_time: Duration::from_secs(2),
            ..KeyLimits::default()
        });
        // `handle_events` holds the safety at every step.
        simulation.run(4000, 10_000 + (seed as usize % 7) * 5000);
        let (before, calm_from) = (simulation.arrived.len(), simulation.now());
        simulation.weather = CALM;
        simulation.run(3000, 30_000);
        assert!(simulation.is_open, "seed {seed}");
        let last = simulation.arrived.last().map(|(.., at)| *at);
        assert!(
            simulation.arrived_since(before) >= 60 && last > Some(calm_from),
            "seed {seed}: {} frames after the faults",
            simulation.arrived_since(before)
        );
    }
}

/// Thousands by hand: `SDVR_SEEDS=10000`.
fn seeds() -> u64 {
    std::env::var("SDVR_SEEDS").map_or(60, |seeds| seeds.parse().unwrap())
}

#[test]
fn at_five_per_cent_loss_hardly_a_frame_is_missing() {
    let weather = Weather { loss: 0.05, ..CALM };
    let mut simulation = Simulation::new(3, weather);
    simulation.run(20_000, 100_000);
    let missing = simulation.sent - simulation.arrived.len() as u64;
    assert!(missing <= 1 + 4, "{missing} of {}", simulation.sent);
}

#[test]
fn parity_makes_frames_whole_where_there_is_no_time_to_ask() {
    let weather = Weather {
        loss: 0.02,
        one_way_us: 100_000,
        ..CALM
    };
    // The stream's latency is 120 ms, a round trip takes 200.
    let missing = |percent| {
        let mut simulation = Simulation::new(8, weather);
        simulation.client.set_parity(percent);
        simulation.run(2000, 100_000);
        let (sent, arrived) = (simulation.sent, simulation.arrived.len() as u64);
        simulation.run(20_000, 100_000);
        // Those that are on their way are not missing.
        let sent = simulation.sent - sent;
        (sent, sent - (simulation.arrived.len() as u64 - arrived))
    };
    let (sent, without) = missing(0);
    assert!(without > sent / 2, "{without} of {sent}");
    let (sent, with) = missing(20);
    assert!(with <= 1, "{with} of {sent}");
}

#[test]
fn a_camera_sends_what_the_link_carries_and_all_when_it_carries_all() {
    // Three frames of 20 KB in 100 ms are 600 bytes a millisecond, and 640 with their headers.
    let narrow = Weather {
        bytes_a_millisecond: 380,
        ..CALM
    };
    let mut simulation = Simulation::new(9, narrow);
    simulation.run(8000, 20_000);
    assert_eq!(simulation.keep_one_in, 2);
    let (before, sent) = (simulation.arrived.len(), simulation.sent);
    simulation.run(5000, 20_000);
    let (arrived, sent) = (simulation.arrived_since(before), simulation.sent - sent);
    assert!(arrived as u64 + 1 >= sent, "{arrived} of {sent}");
    simulation.run(20_000, 20_000);
    let trials = |simulation: &Simulation| {
        let events = simulation.client_events.iter();
        events.filter(|event| **event == Event::SendAll).count()
    };
    let before = trials(&simulation);
    assert!((1..=3).contains(&before), "{before} trials");
    simulation.weather = CALM;
    simulation.run(45_000, 20_000);
    assert_eq!(
        (simulation.keep_one_in, trials(&simulation)),
        (1, before + 1)
    );
}

#[test]
fn losses_by_chance_and_a_cut_do_not_make_a_camera_send_less() {
    let weather = Weather { loss: 0.1, ..CALM };
    let mut simulation = Simulation::new(10, weather);
    simulation.run(10_000, 20_000);
    simulation.is_cut = true;
    simulation.run(4000, 20_000);
    simulation.is_cut = false;
    simulation.run(20_000, 20_000);
    let advice = |event: &&Event| matches!(event, Event::SendLess { .. });
    assert_eq!(simulation.client_events.iter().find(advice), None);
}

#[test]
fn keys_are_renewed_under_loss_without_a_missing_frame() {
    let weather = Weather { loss: 0.05, ..CALM };
    let mut simulation = Simulation::new(4, weather);
    simulation.set_key_limits(KeyLimits {
        epoch_time: Duration::from_millis(100),
        rekey_time: Duration::from_secs(2),
        ..KeyLimits::default()
    });
    simulation.run(20_000, 50_000);
    assert!(simulation.rekeys >= 5, "{} handshakes", simulation.rekeys);
    let missing = simulation.sent - simulation.arrived.len() as u64;
    assert!(missing <= 1 + 4, "{missing} of {}", simulation.sent);
}

#[test]
fn a_cut_of_any_length_is_survived_and_frames_flow_within_three_seconds_of_its_end() {
    for seconds in [1, 10, 30] {
        let mut simulation = Simulation::new(seconds, CALM);
        simulation.run(2000, 50_000);
        simulation.is_cut = true;
        simulation.run(1000 * seconds, 50_000);
        simulation.is_cut = false;
        let before = simulation.arrived.len();
        simulation.run(3000, 50_000);
        assert!(simulation.arrived_since(before) > 30, "after {seconds} s");
    }
}

#[test]
fn a_whole_capture_replayed_changes_nothing() {
    let mut simulation = Simulation::new(5, CALM);
    simulation.is_capturing = true;
    simulation.run(2000, 50_000);
    simulation.is_capturing = false;
    let captured = std::mem::take(&mut simulation.captured);
    let (before, rejected) = (simulation.arrived.len(), simulation.rejected);
    for datagram in &captured {
        for to in [To::Server, To::Client] {
            simulation.launch(0, to, datagram.clone());
        }
    }
    simulation.run(1000, 50_000);
    assert_eq!(simulation.rejected - rejected, 2 * captured.len() as u64);
    assert!(simulation.arrived_since(before) >= 29);
}

#[test]
fn the_end_is_confirmed_in_spite_of_loss() {
    for seed in 0..20 {
        let weather = Weather { loss: 0.3, ..CALM };
        let mut simulation = Simulation::new(seed, weather);
        simulation.run(2000, 20_000);
        simulation.client.close(CloseCode::EndOfSource, "bye");
        simulation.run(5000, 20_000);
        let is_closed =
            |events: &[Event]| events.iter().any(|event| matches!(event, Event::Closed(_)));
        assert!(
            is_closed(&simulation.server_events),
            "seed {seed}: at the server"
        );
        assert!(
            is_closed(&simulation.client_events),
            "seed {seed}: at the client"
        );
    }
}

#[test]
fn datagrams_become_as_long_as_the_path_carries() {
    let mut simulation = Simulation::new(6, CALM);
    simulation.run(3000, 50_000);
    assert_eq!(simulation.longest, 1472);
    let mut narrow = Simulation::new(6, CALM);
    narrow.path_bytes = 1300;
    narrow.run(3000, 50_000);
    narrow.longest = 0;
    narrow.run(3000, 50_000);
    assert!(narrow.longest <= 1200, "{}", narrow.longest);
    assert!(narrow.arrived.len() > 170, "{}", narrow.arrived.len());
}

#[test]
fn a_path_that_becomes_narrower_is_noticed_and_frames_flow_within_three_seconds() {
    let mut simulation = Simulation::new(7, CALM);
    simulation.run(3000, 50_000);
    simulation.path_bytes = 1300;
    simulation.run(3000, 50_000);
    let before = simulation.arrived.len();
    simulation.run(1000, 50_000);
    assert!(
        simulation.arrived_since(before) >= 29,
        "{}",
        simulation.arrived_since(before)
    );
}
