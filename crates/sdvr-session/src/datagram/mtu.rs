//! How long datagrams may be: what every link carries at first, then whatever longer one was seen to arrive.
//!
//! A path's limit shows only by what vanishes, and may change when the path does. So each length is tried with a datagram that carries nothing
//! else, and when only short ones arrive any more it is back to the beginning.

use std::time::Duration;

use sdvr_frame::Timestamp;

/// What every link carries: IPv6 promises 1,280 bytes with its headers and UDP's.
pub(crate) const LEAST_BYTES: u16 = 1200;
/// What is tried: tunnels; Ethernet under IPv6 and IPv4; raw Ethernet; and the same where frames are long.
const STEPS: [u16; 7] = [1400, 1452, 1472, 1500, 8952, 8972, 9000];
/// A length that was tried so often without an answer is too long.
const TRIES: u32 = 3;
/// How long an answer is waited for, at least.
const ANSWER_LEAST: Duration = Duration::from_millis(250);
/// After which time lengths that were too long are tried again.
const AGAIN: Duration = Duration::from_secs(600);
/// And after they have stopped arriving.
const AGAIN_AFTER_BLACK_HOLE: Duration = Duration::from_secs(60);
/// So many reports in a row of which hardly anything has arrived.
const BLACK_HOLE_REPORTS: u32 = 3;
/// That say something: fewer packets may be lost by chance.
const PACKETS_LEAST: u64 = 20;

/// The length of one direction's datagrams.
#[derive(Debug)]
pub(crate) struct DatagramLength {
    bytes: u16,
    /// What this end's link carries.
    most: u16,
    probe: Probe,
    bad_reports: u32,
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    /// The next one is due then.
    Idle(Timestamp),
    /// Tried so often; the answer is waited for until then.
    Waiting {
        bytes: u16,
        tries: u32,
        until: Timestamp,
    },
}

impl DatagramLength {
    /// Of a link that carries datagrams of `most` bytes.
    pub(crate) const fn new(most: u16) -> Self {
        Self {
            bytes: LEAST_BYTES,
            most,
            probe: Probe::Idle(Timestamp::from_nanoseconds(0)),
            bad_reports: 0,
        }
    }

    /// How long datagrams may be now.
    pub(crate) const fn bytes(&self) -> u16 {
        self.bytes
    }

    /// The length of a datagram to be tried now, if one is due.
    pub(crate) fn poll(&mut self, now: Timestamp, round_trip: Duration) -> Option<u16> {
        if now < self.poll_timeout() {
            return None;
        }
        let (bytes, tries) = match self.probe {
            Probe::Idle(_) => (self.next_step()?, 1),
            Probe::Waiting { tries, .. } if tries >= TRIES => {
                self.probe = Probe::Idle(now + AGAIN);
                return None;
            }
            Probe::Waiting { bytes, tries, .. } => (bytes, tries.saturating_add(1)),
        };
        let until = now + round_trip.saturating_mul(3).max(ANSWER_LEAST);
        self.probe = Probe::Waiting {
            bytes,
            tries,
            until,
        };
        Some(bytes)
    }

    fn next_step(&mut self) -> Option<u16> {
        let mut steps = STEPS.into_iter();
        let step = steps.find(|step| *step > self.bytes && *step <= self.most);
        if step.is_none() {
            self.probe = Probe::Idle(Timestamp::NEVER);
        }
        step
    }

    /// A datagram of this length has arrived.
    pub(crate) fn handle_answer(&mut self, now: Timestamp, bytes: u16) {
        if let Probe::Waiting { bytes: tried, .. } = self.probe
            && tried == bytes
        {
            self.bytes = bytes;
            self.probe = Probe::Idle(now);
        }
    }

    /// The other end says that of `sent` packets since its last report `lost` were lost. Whether datagrams are shorter from now on.
    pub(crate) fn handle_losses(&mut self, now: Timestamp, lost: u64, sent: u64) -> bool {
        if sent < PACKETS_LEAST || self.bytes == LEAST_BYTES {
            return false;
        }
        let has_vanished = lost.saturating_mul(10) >= sent.saturating_mul(9);
        self.bad_reports = if has_vanished {
            self.bad_reports.saturating_add(1)
        } else {
            0
        };
        let is_black_hole = self.bad_reports >= BLACK_HOLE_REPORTS;
        if is_black_hole {
            self.bad_reports = 0;
            self.bytes = LEAST_BYTES;
            self.probe = Probe::Idle(now + AGAIN_AFTER_BLACK_HOLE);
        }
        is_black_hole
    }

    pub(crate) const fn poll_timeout(&self) -> Timestamp {
        match self.probe {
            Probe::Idle(due) => due,
            Probe::Waiting { until, .. } => until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const ROUND_TRIP: Duration = Duration::from_millis(20);

    /// Lets time pass over a path that carries `path_bytes`; gives how many probes that took.
    fn run(length: &mut DatagramLength, from: Timestamp, seconds: u64, path_bytes: u16) -> u32 {
        let mut probes = 0;
        for millisecond in 0..seconds * 1000 {
            let now = from + Duration::from_millis(millisecond);
            if let Some(bytes) = length.poll(now, ROUND_TRIP) {
                probes += 1;
                if bytes <= path_bytes {
                    length.handle_answer(now + ROUND_TRIP, bytes);
                }
            }
        }
        probes
    }

    #[test]
    fn the_longest_that_arrives_is_found() {
        for (most, path, expected) in [
            (65_000, 1500, 1500),
            (1472, 9000, 1472),
            (65_000, 1471, 1452),
            (9000, 9000, 9000),
            (65_000, 1280, 1200),
        ] {
            let mut length = DatagramLength::new(most);
            let probes = run(&mut length, NOW, 5, path);
            assert_eq!(length.bytes(), expected, "{most} {path}");
            assert!(probes <= 10, "{probes}");
            assert_eq!(run(&mut length, NOW + Duration::from_secs(5), 60, path), 0);
        }
    }

    #[test]
    fn a_path_that_swallows_what_is_long_is_noticed() {
        let mut length = DatagramLength::new(1472);
        run(&mut length, NOW, 5, 1500);
        let later = NOW + Duration::from_secs(5);
        // Loss alone is no reason, and neither are a few packets.
        assert!((0..100).all(|_| !length.handle_losses(later, 60, 100)));
        assert!((0..100).all(|_| !length.handle_losses(later, 10, 10)));
        assert!((0..2).all(|_| !length.handle_losses(later, 95, 100)));
        assert_eq!(length.bytes(), 1472);
        assert!(length.handle_losses(later, 95, 100));
        assert_eq!(length.bytes(), LEAST_BYTES);
        assert_eq!(run(&mut length, later, 59, 1500), 0);
        run(&mut length, later + Duration::from_secs(60), 5, 1500);
        assert_eq!(length.bytes(), 1472);
    }

    #[test]
    fn an_answer_to_what_was_not_tried_says_nothing() {
        let mut length = DatagramLength::new(65_000);
        length.handle_answer(NOW, 9000);
        assert_eq!(length.poll(NOW, ROUND_TRIP), Some(1400));
        length.handle_answer(NOW, 1500);
        assert_eq!(length.bytes(), LEAST_BYTES);
    }
}
