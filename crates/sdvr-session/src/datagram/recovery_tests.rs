//! What the rules of loss recovery achieve, without anything else: a sender, a receiver, and a link that loses packets both ways.

#![allow(
    clippy::cast_possible_truncation,
    reason = "frames are told apart by the last byte of their number"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use super::FragmentRequest;
use super::arrivals::{ArrivalLimits, Arrivals};
use super::gaps::RoundTrip;
use super::held::ReassemblyBudget;
use super::link::media_header;
use super::parity::Parity;
use super::partial::{FrameFacts, Piece};
use super::sent::SentFrames;
use crate::media::MediaHeader;

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
const FRAME_BYTES: u32 = 100_000;
const FRAGMENT_BYTES: u16 = 1136;
const INTERVAL_US: u64 = 33_333;
const STEP_US: u64 = 250;
/// A frame leaves within two milliseconds.
const FRAGMENTS_A_STEP: usize = 11;

/// What a link does to packets.
#[derive(Clone, Copy)]
enum Loss {
    Random(f64),
    /// So many packets of those sent are lost, so many at a time.
    Bursts(f64, u32),
}

struct Link {
    loss: Loss,
    random: u64,
    burst_rest: u32,
}

impl Link {
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn loses(&mut self) -> bool {
        let chance = self.chance();
        match self.loss {
            Loss::Random(share) => chance < share,
            Loss::Bursts(share, length) => {
                if self.burst_rest == 0 && chance < share / (f64::from(length) * (1.0 - share)) {
                    self.burst_rest = length;
                }
                let loses = self.burst_rest > 0;
                self.burst_rest = self.burst_rest.saturating_sub(1);
                loses
            }
        }
    }
}

enum Packet {
    Fragment {
        number: u64,
        header: MediaHeader,
        bytes: Vec<u8>,
    },
    Requests(Vec<FragmentRequest>),
}

/// What frames have to go through.
#[derive(Clone, Copy)]
struct Way {
    loss: Loss,
    one_way: Duration,
    latency: Duration,
    parity_percent: u8,
}

/// What came of many frames.
struct Outcome {
    whole: u64,
    sent_bytes: u64,
    /// From capture to the end, in order.
    delays: Vec<Duration>,
}

impl Outcome {
    fn median(&self) -> Duration {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays[delays.len() / 2]
    }
}

fn run(way: Way, seed: u64, frames: u64) -> Outcome {
    let latency = way.latency;
    let one_way_us = u64::try_from(way.one_way.as_micros()).unwrap();
    let round_trip = RoundTrip {
        time: way.one_way * 2,
        spread: Duration::from_millis(1),
    };
    let mut link = Link {
        loss: way.loss,
        random: seed,
        burst_rest: 0,
    };
    let mut sender = SentFrames::new(latency, 4 << 20);
    let limits = ArrivalLimits {
        frame_most_bytes: 1 << 20,
        held_most_bytes: 4 << 20,
        latency,
    };
    let mut receiver = Arrivals::new(limits, &ReassemblyBudget::default());
    let mut flying: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut packets: std::collections::HashMap<u64, Packet> = std::collections::HashMap::new();
    let mut outcome = Outcome {
        whole: 0,
        sent_bytes: 0,
        delays: Vec::new(),
    };
    let (mut packet_number, mut flight, mut newest, mut next_frame) = (0_u64, 0_u64, 0_u64, 0_u64);
    let end_us = frames * INTERVAL_US + 1_000_000;
    for step in 0..end_us / STEP_US {
        let now_us = step * STEP_US;
        let now = START + Duration::from_micros(now_us);
        let mut fly = |link: &mut Link, packet: Packet| {
            if !link.loses() {
                flight += 1;
                flying.push(Reverse((now_us + one_way_us, flight)));
                packets.insert(flight, packet);
            }
        };
        if next_frame < frames && now_us >= next_frame * INTERVAL_US && !sender.is_sending() {
            let facts = FrameFacts {
                stream: StreamId(0),
                number: FrameNumber(next_frame),
                frame_bytes: FRAME_BYTES,
                fragment_bytes: FRAGMENT_BYTES,
                captured: now,
                flags: FrameFlags::NONE,
            };
            let bytes = content(next_frame);
            let parity = Parity::of(&facts, &bytes, way.parity_percent);
            sender.push(now, facts, bytes, parity);
            next_frame += 1;
        }
        for _ in 0..FRAGMENTS_A_STEP {
            if let Some(fragment) = sender.poll(now) {
                packet_number += 1;
                // With the headers of messages, packets, UDP and IP.
                outcome.sent_bytes += fragment.bytes.len() as u64 + 64 + 28;
                let packet = Packet::Fragment {
                    number: packet_number,
                    header: media_header(&fragment),
                    bytes: fragment.bytes.to_vec(),
                };
                fly(&mut link, packet);
            }
        }
        let requests = receiver.poll_requests(now, newest, round_trip);
        if !requests.is_empty() {
            fly(&mut link, Packet::Requests(requests));
        }
        while let Some(Reverse((at, flight))) = flying.peek().copied()
            && at <= now_us
        {
            flying.pop();
            match packets.remove(&flight).unwrap() {
                Packet::Fragment {
                    number,
                    header,
                    bytes,
                } => {
                    newest = newest.max(number);
                    let piece = Piece::of(&header, &bytes);
                    receiver
                        .take(now, number, FrameFacts::of(&header), header.since, piece)
                        .unwrap();
                }
                Packet::Requests(requests) => {
                    for request in &requests {
                        sender.handle_request(now, request, round_trip.time);
                    }
                }
            }
        }
        while let Some(frame) = receiver.poll(now) {
            assert_eq!(frame.bytes, content(frame.facts.number.0));
            outcome.whole += 1;
            outcome
                .delays
                .push(now.saturating_since(frame.facts.captured));
        }
    }
    outcome
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A frame's bytes, which differ from fragment to fragment.
fn content(number: u64) -> Vec<u8> {
    (0..u64::from(FRAME_BYTES))
        .map(|byte| (number ^ byte ^ (byte / 1000)) as u8)
        .collect()
}

/// Loss, budget, and how many frames of ten thousand are whole in time at least.
#[test]
fn frames_are_whole_in_time_in_spite_of_loss() {
    let cells = [
        (Loss::Random(0.0), 120, 10_000),
        (Loss::Random(0.01), 120, 10_000),
        (Loss::Random(0.05), 120, 9_999),
        (Loss::Random(0.10), 120, 9_990),
        (Loss::Random(0.20), 120, 9_500),
        (Loss::Random(0.05), 60, 9_950),
        (Loss::Random(0.10), 60, 9_800),
        (Loss::Bursts(0.05, 5), 120, 9_990),
    ];
    let frames = 2_000;
    for (loss, latency_ms, least_of_ten_thousand) in cells {
        let way = Way {
            loss,
            one_way: Duration::from_millis(10),
            latency: Duration::from_millis(latency_ms),
            parity_percent: 0,
        };
        let outcome = run(way, SEED, frames);
        let of_ten_thousand = outcome.whole * 10_000 / frames;
        let name = match loss {
            Loss::Random(share) => format!("{} %", share * 100.0),
            Loss::Bursts(share, length) => format!("{} % in bursts of {length}", share * 100.0),
        };
        let overhead = outcome.sent_bytes as f64 / (frames * u64::from(FRAME_BYTES)) as f64;
        eprintln!(
            "{name}, {latency_ms} ms: {of_ten_thousand} of 10,000, p50 {:?}, {overhead:.3} bytes a byte",
            outcome.median()
        );
        assert!(
            of_ten_thousand >= least_of_ten_thousand,
            "{name}, {latency_ms} ms"
        );
    }
}

/// How many of a thousand frames are whole where there is no time to ask for anything, and what was sent for each of their bytes.
fn whole_of_a_thousand(loss: Loss, parity_percent: u8, seed: u64) -> (u64, f64) {
    let way = Way {
        loss,
        one_way: Duration::from_millis(100),
        latency: Duration::from_millis(100),
        parity_percent,
    };
    let frames = 1_000;
    let outcome = run(way, seed, frames);
    let overhead = outcome.sent_bytes as f64 / (frames * u64::from(FRAME_BYTES)) as f64;
    eprintln!(
        "parity {parity_percent} %: {} of {frames}, {overhead:.3} bytes a byte",
        outcome.whole
    );
    // What came in time came at once: nothing was waited for.
    if parity_percent > 0 {
        let most = outcome.delays.iter().max().unwrap();
        assert!(*most < Duration::from_millis(140), "{most:?}");
    }
    (outcome.whole, overhead)
}

#[test]
fn parity_makes_frames_whole_where_no_round_trip_fits_the_latency() {
    for seed in [1, SEED, 77] {
        let loss = Loss::Random(0.02);
        let (without, _) = whole_of_a_thousand(loss, 0, seed);
        assert!(without < 300, "{without}");
        let (with, overhead) = whole_of_a_thousand(loss, 20, seed);
        assert!(with >= 999, "{with}");
        assert!(overhead < 1.31, "{overhead}");
        let (bursts, _) = whole_of_a_thousand(Loss::Bursts(0.02, 5), 20, seed);
        assert!(bursts >= 990, "{bursts}");
    }
}

#[test]
fn what_parity_covers_is_not_asked_for_and_what_it_does_not_is() {
    let way = Way {
        loss: Loss::Random(0.02),
        one_way: Duration::from_millis(10),
        latency: Duration::from_millis(120),
        parity_percent: 20,
    };
    let sent_without_loss = run(
        Way {
            loss: Loss::Random(0.0),
            ..way
        },
        SEED,
        500,
    )
    .sent_bytes;
    let outcome = run(way, SEED, 500);
    assert_eq!(outcome.whole, 500);
    // The first frame's gaps are asked for, as nothing tells yet that there is parity.
    let again = outcome.sent_bytes - sent_without_loss;
    assert!(again <= 20 * u64::from(FRAGMENT_BYTES), "{again}");
    let worse = Way {
        loss: Loss::Random(0.25),
        ..way
    };
    let with = run(worse, SEED, 500).whole;
    let without = run(
        Way {
            parity_percent: 0,
            ..worse
        },
        SEED,
        500,
    )
    .whole;
    assert!(with >= 475 && with > without, "{with}, {without} without");
}
