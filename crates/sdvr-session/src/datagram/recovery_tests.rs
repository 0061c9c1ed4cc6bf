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
use super::partial::FrameFacts;
use super::sent::{Fragment, SentFrames};

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
const FRAME_BYTES: u32 = 100_000;
const FRAGMENT_BYTES: u16 = 1136;
const INTERVAL_US: u64 = 33_333;
const ONE_WAY_US: u64 = 10_000;
const STEP_US: u64 = 250;
/// A frame leaves within two milliseconds.
const FRAGMENTS_A_STEP: usize = 11;
const ROUND_TRIP: RoundTrip = RoundTrip {
    time: Duration::from_millis(20),
    spread: Duration::from_millis(1),
};

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
    Fragment(u64, Fragment),
    Requests(Vec<FragmentRequest>),
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

fn run(loss: Loss, latency: Duration, frames: u64) -> Outcome {
    let mut link = Link {
        loss,
        random: 0x9e37_79b9_7f4a_7c15,
        burst_rest: 0,
    };
    let mut sender = SentFrames::new(latency, 4 << 20);
    let mut receiver = Arrivals::new(ArrivalLimits {
        frame_most_bytes: 1 << 20,
        held_most_bytes: 4 << 20,
        latency,
    });
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
                flying.push(Reverse((now_us + ONE_WAY_US, flight)));
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
            sender.push(now, facts, vec![next_frame as u8; FRAME_BYTES as usize]);
            next_frame += 1;
        }
        for _ in 0..FRAGMENTS_A_STEP {
            if let Some(fragment) = sender.poll(now) {
                packet_number += 1;
                // With the headers of messages, packets, UDP and IP.
                outcome.sent_bytes += fragment.bytes().len() as u64 + 64 + 28;
                fly(&mut link, Packet::Fragment(packet_number, fragment));
            }
        }
        let requests = receiver.poll_requests(now, newest, ROUND_TRIP);
        if !requests.is_empty() {
            fly(&mut link, Packet::Requests(requests));
        }
        while let Some(Reverse((at, flight))) = flying.peek().copied()
            && at <= now_us
        {
            flying.pop();
            match packets.remove(&flight).unwrap() {
                Packet::Fragment(number, fragment) => {
                    newest = newest.max(number);
                    let piece = (fragment.offset(), fragment.bytes());
                    receiver
                        .take(now, number, fragment.facts, fragment.since, piece)
                        .unwrap();
                }
                Packet::Requests(requests) => {
                    for request in &requests {
                        sender.handle_request(now, request, ROUND_TRIP.time);
                    }
                }
            }
        }
        while let Some(frame) = receiver.poll(now) {
            assert_eq!(
                frame.bytes,
                vec![frame.facts.number.0 as u8; FRAME_BYTES as usize]
            );
            outcome.whole += 1;
            outcome
                .delays
                .push(now.saturating_since(frame.facts.captured));
        }
    }
    outcome
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
        let outcome = run(loss, Duration::from_millis(latency_ms), frames);
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
