//! A simulated link, which delays, stalls and cuts.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a simulated link has delays of milliseconds and pieces of kilobytes"
)]

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::Timestamp;

use super::{NOW, Seeded};

pub(crate) const MILLISECOND: i64 = 1_000_000;

/// One direction of a link that keeps order, as TCP does.
pub(crate) struct Way {
    pub(crate) base_delay: i64,
    pub(crate) jitter: i64,
    pub(crate) in_flight: VecDeque<(Timestamp, Vec<u8>)>,
    pub(crate) last_arrival: Timestamp,
    pub(crate) is_cut: bool,
}

impl Way {
    pub(crate) fn new(random: &mut Seeded) -> Self {
        Self {
            base_delay: random.below(40 * MILLISECOND as u64) as i64,
            jitter: 1 + random.below(5 * MILLISECOND as u64) as i64,
            in_flight: VecDeque::new(),
            last_arrival: NOW,
            is_cut: false,
        }
    }

    /// Sends `bytes` off in pieces, one of which may be held up.
    pub(crate) fn send(&mut self, now: Timestamp, mut bytes: &[u8], random: &mut Seeded) {
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

    pub(crate) fn next_arrival(&self) -> Timestamp {
        self.in_flight
            .front()
            .map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    pub(crate) fn receive(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.next_arrival() > now {
            return None;
        }
        self.in_flight.pop_front().map(|(_, bytes)| bytes)
    }

    /// Nothing arrives for `time`, then everything.
    pub(crate) fn stall(&mut self, now: Timestamp, time: Duration) {
        for (at, _) in &mut self.in_flight {
            *at = *at + time;
        }
        self.last_arrival = self.last_arrival.max(now) + time;
    }

    /// Nothing arrives any more, but for a part of the piece that was next.
    pub(crate) fn cut(&mut self, random: &mut Seeded) {
        self.is_cut = true;
        self.in_flight.truncate(1);
        if let Some((_, piece)) = self.in_flight.front_mut() {
            piece.truncate(random.below(piece.len() as u64 + 1) as usize);
        }
    }
}
