//! One direction of the link without I/O: frames and times in, frames out when they are due, and what became of all of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::fate::{Arrival, Fate, Verdict};
use crate::frame::{self, ETHERNET_HEADER_BYTES};
use crate::impairment::Impairment;

/// What became of the frames of one direction.
///
/// Bytes are those of packets: with the headers of IP and UDP, without Ethernet's. What the kernels ask each other (ARP, IPv6's neighbour
/// discovery, group membership) is in `housekeeping` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames sent into the link.
    pub sent: u64,
    /// Bytes sent into the link.
    pub sent_bytes: u64,
    /// Frames that came out at the other end, with second ones.
    pub arrived: u64,
    /// Bytes that came out at the other end.
    pub arrived_bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Arrived twice.
    pub doubled: u64,
    /// Arrived after one that was sent later.
    pub overtaken: u64,
    /// Changed on the way.
    pub corrupted: u64,
    /// Dropped because the queue before the narrow place was full.
    pub queue_full: u64,
    /// Vanished because they were too large.
    pub too_large: u64,
    /// Sent, or under way, while the link was cut.
    pub cut: u64,
    /// Came out at an interface that was down.
    pub interface_down: u64,
    /// What kernels ask each other, which no impairment but a cut touches.
    pub housekeeping: u64,
}

/// Whether anything passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Open,
    /// Until somebody mends it.
    Cut,
    CutUntil(Duration),
}

/// One direction of a link. Times are since the link was made.
///
/// After every `handle_frame`, and whenever `poll_timeout` has come, drain `poll_frame`.
#[derive(Debug)]
pub struct Channel {
    fate: Fate,
    passage: Passage,
    counters: Counters,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    housekeeping: VecDeque<Vec<u8>>,
    next_number: u64,
    highest_arrived: Option<u64>,
}

/// A frame on its way; the first to arrive is the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Duration,
    /// Also the order of those that arrive at the same time.
    number: u64,
    is_second: bool,
    frame: Vec<u8>,
}

impl Channel {
    /// A direction whose chances are by `seed`.
    #[must_use]
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            fate: Fate::new(impairment, seed),
            passage: Passage::Open,
            counters: Counters::default(),
            under_way: BinaryHeap::new(),
            housekeeping: VecDeque::new(),
            next_number: 0,
            highest_arrived: None,
        }
    }

    /// Treats the next frames otherwise. What is under way arrives as it would have.
    pub fn impair(&mut self, impairment: Impairment) {
        self.fate.impair(impairment);
    }

    /// Lets nothing pass until `until`, or until it is mended, if that is earlier. What is under way is gone.
    pub fn cut(&mut self, until: Option<Duration>) {
        self.passage = until.map_or(Passage::Cut, Passage::CutUntil);
        let gone = self.under_way.iter().filter(|Reverse(it)| !it.is_second);
        self.counters.cut += gone.count() as u64;
        self.under_way.clear();
        self.housekeeping.clear();
    }

    /// Lets frames pass again.
    pub fn mend(&mut self) {
        self.passage = Passage::Open;
    }

    /// Takes in an Ethernet frame that was sent now.
    pub fn handle_frame(&mut self, now: Duration, frame: &[u8]) {
        let is_cut = self.is_cut(now);
        if frame::is_housekeeping(frame) {
            self.counters.housekeeping += 1;
            if !is_cut {
                self.housekeeping.push_back(frame.to_vec());
            }
            return;
        }
        let packet_bytes = frame.len().saturating_sub(ETHERNET_HEADER_BYTES);
        self.counters.sent += 1;
        self.counters.sent_bytes += packet_bytes as u64;
        if is_cut {
            // It takes no chance: after a cut of whatever length, the frames that follow meet what they would have met without it.
            self.counters.cut += 1;
            return;
        }
        match self.fate.decide(now, packet_bytes) {
            Verdict::Arrives(arrival) => self.send_on(arrival, frame.to_vec()),
            Verdict::Lost => self.counters.lost += 1,
            Verdict::TooLarge => self.counters.too_large += 1,
            Verdict::QueueFull => self.counters.queue_full += 1,
        }
    }

    /// The next frame that arrives now or should have.
    pub fn poll_frame(&mut self, now: Duration) -> Option<Vec<u8>> {
        if let Some(frame) = self.housekeeping.pop_front() {
            return Some(frame);
        }
        if self.under_way.peek()?.0.at > now {
            return None;
        }
        let Reverse(arrived) = self.under_way.pop()?;
        self.counters.arrived += 1;
        self.counters.arrived_bytes +=
            arrived.frame.len().saturating_sub(ETHERNET_HEADER_BYTES) as u64;
        if self.highest_arrived > Some(arrived.number) && !arrived.is_second {
            self.counters.overtaken += 1;
        }
        self.highest_arrived = self.highest_arrived.max(Some(arrived.number));
        Some(arrived.frame)
    }

    /// When the next frame arrives; `None` when nothing is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.housekeeping.is_empty() {
            return Some(Duration::ZERO);
        }
        self.under_way.peek().map(|Reverse(first)| first.at)
    }

    /// Notes that a frame that came out was not taken.
    pub(crate) fn handle_interface_down(&mut self, frame: &[u8]) {
        if !frame::is_housekeeping(frame) {
            self.counters.interface_down += 1;
        }
    }

    /// What became of all frames so far. Those under way are in `sent` only.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn is_cut(&mut self, now: Duration) -> bool {
        if matches!(self.passage, Passage::CutUntil(until) if now >= until) {
            self.passage = Passage::Open;
        }
        self.passage != Passage::Open
    }

    fn send_on(&mut self, arrival: Arrival, mut frame: Vec<u8>) {
        if let Some(bit) = arrival.flipped_bit
            && frame::flip_bit(&mut frame, bit)
        {
            self.counters.corrupted += 1;
        }
        let number = self.next_number;
        self.next_number += 1;
        let mut queue = |is_second, frame| {
            self.under_way.push(Reverse(UnderWay {
                at: arrival.at,
                number,
                is_second,
                frame,
            }));
        };
        if arrival.is_doubled {
            self.counters.doubled += 1;
            queue(true, frame.clone());
        }
        queue(false, frame);
    }
}

#[cfg(test)]
mod tests;
