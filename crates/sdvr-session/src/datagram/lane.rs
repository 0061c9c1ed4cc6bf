//! Control messages over a link that loses: a lane of numbered messages that are sent until they are acknowledged, and are handed out
//! once each and in order.
//!
//! What is only true for a moment (PING, REPORT, NACK, clock readings, probes) does not travel in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sdvr_frame::Timestamp;

use crate::error::SessionError;

/// How many messages may be on their way at once.
const WINDOW: u32 = 16;
/// A message is not sent again sooner than this, whatever the round trip.
const AGAIN_LEAST: Duration = Duration::from_millis(50);
const AGAIN_MOST: Duration = Duration::from_secs(1);

/// The sending end.
#[derive(Debug, Default)]
pub(crate) struct LaneSender {
    /// The number of the first message in `on_the_way`, else of the next.
    first: u32,
    on_the_way: VecDeque<OnTheWay>,
    waiting: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct OnTheWay {
    message: Vec<u8>,
    /// When it is sent, again or for the first time.
    due: Timestamp,
    times_sent: u32,
}

impl LaneSender {
    /// Takes a message to be sent.
    pub(crate) fn push(&mut self, message: Vec<u8>) {
        self.waiting.push_back(message);
    }

    /// What waits or was not acknowledged.
    pub(crate) fn held_bytes(&self) -> usize {
        let on_the_way = self.on_the_way.iter().map(|sent| sent.message.len());
        on_the_way.chain(self.waiting.iter().map(Vec::len)).sum()
    }

    /// Whether everything was acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.on_the_way.is_empty() && self.waiting.is_empty()
    }

    /// How long the message is that [`Self::poll`] gives now.
    pub(crate) fn due_bytes(&mut self, now: Timestamp) -> Option<usize> {
        self.fill(now);
        let mut on_the_way = self.on_the_way.iter();
        on_the_way
            .find(|sent| sent.due <= now)
            .map(|sent| sent.message.len())
    }

    /// The next message to send now, with its number.
    pub(crate) fn poll(&mut self, now: Timestamp, round_trip: Duration) -> Option<(u32, &[u8])> {
        self.fill(now);
        let place = self.on_the_way.iter().position(|sent| sent.due <= now)?;
        let sent = self.on_the_way.get_mut(place)?;
        // Twice as long each time, so that an outage is not filled with what it swallows.
        let again = round_trip
            .saturating_mul(2)
            .max(AGAIN_LEAST)
            .saturating_mul(1 << sent.times_sent.min(5))
            .min(AGAIN_MOST);
        sent.due = now + again;
        sent.times_sent = sent.times_sent.saturating_add(1);
        let number = self.first.wrapping_add(u32::try_from(place).unwrap_or(0));
        Some((number, &sent.message))
    }

    /// Moves messages into the window.
    fn fill(&mut self, now: Timestamp) {
        while self.on_the_way.len() < WINDOW as usize {
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            self.on_the_way.push_back(OnTheWay {
                message,
                due: now,
                times_sent: 0,
            });
        }
    }

    /// The other end has everything before `next`: whether it can have.
    pub(crate) fn acknowledge(&mut self, next: u32) -> bool {
        let count = next.wrapping_sub(self.first);
        let on_the_way = u32::try_from(self.on_the_way.len()).unwrap_or(u32::MAX);
        if count > on_the_way {
            // An acknowledgement that was overtaken by a later one lies behind.
            return self.first.wrapping_sub(next) <= u32::MAX / 2;
        }
        self.on_the_way.drain(..count as usize);
        self.first = next;
        true
    }

    /// When [`Self::poll`] has something, if nothing is pushed or acknowledged before.
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let has_room = self.on_the_way.len() < WINDOW as usize;
        if has_room && !self.waiting.is_empty() {
            return Timestamp::from_nanoseconds(0);
        }
        let due = self.on_the_way.iter().map(|sent| sent.due);
        due.min().unwrap_or(Timestamp::NEVER)
    }
}

/// The receiving end.
#[derive(Debug, Default)]
pub(crate) struct LaneReceiver {
    /// The number of the message that is handed out next.
    next: u32,
    /// Messages that have overtaken it.
    early: BTreeMap<u32, Vec<u8>>,
    /// Whether something has arrived that was not acknowledged since.
    owes_acknowledgement: bool,
}

impl LaneReceiver {
    /// Takes a message as it comes.
    ///
    /// # Errors
    ///
    /// The sender cannot have sent it: it would be too far ahead of what was acknowledged.
    pub(crate) fn take(&mut self, number: u32, message: &[u8]) -> Result<(), SessionError> {
        let ahead = number.wrapping_sub(self.next);
        self.owes_acknowledgement = true;
        if ahead < WINDOW {
            self.early.entry(ahead).or_insert_with(|| message.to_vec());
            return Ok(());
        }
        // Sent again because the acknowledgement was lost, or repeated by the link.
        let is_old = self.next.wrapping_sub(number) <= u32::MAX / 2;
        if is_old {
            Ok(())
        } else {
            Err(SessionError::Unexpected("a message far ahead of"))
        }
    }

    /// The next message, in order.
    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        let message = self.early.remove(&0)?;
        self.next = self.next.wrapping_add(1);
        let early = std::mem::take(&mut self.early);
        // Numbers are kept by how far ahead they are, so that they may go round.
        self.early = early
            .into_iter()
            .map(|(ahead, message)| (ahead.saturating_sub(1), message))
            .collect();
        Some(message)
    }

    /// What is to be acknowledged, if anything is.
    pub(crate) fn poll_acknowledgement(&mut self) -> Option<u32> {
        std::mem::take(&mut self.owes_acknowledgement).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(20);
    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    /// All that is due.
    fn sent(sender: &mut LaneSender, now: Timestamp) -> Vec<(u32, Vec<u8>)> {
        std::iter::from_fn(|| {
            let (number, message) = sender.poll(now, ROUND_TRIP)?;
            Some((number, message.to_vec()))
        })
        .collect()
    }

    fn numbers(sent: &[(u32, Vec<u8>)]) -> Vec<u32> {
        sent.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_message_is_sent_until_it_is_acknowledged_ever_more_seldom() {
        let mut sender = LaneSender::default();
        sender.push(b"one".to_vec());
        let mut times = Vec::new();
        for millisecond in 0..5000 {
            if !sent(&mut sender, after(millisecond)).is_empty() {
                times.push(millisecond);
            }
        }
        assert_eq!(times, [0, 50, 150, 350, 750, 1550, 2550, 3550, 4550]);
        assert!(!sender.is_idle());
        assert!(sender.acknowledge(1));
        assert!(sender.is_idle());
        assert_eq!(sender.poll_timeout(), Timestamp::NEVER);
    }

    #[test]
    fn no_more_than_the_window_is_on_the_way() {
        let mut sender = LaneSender::default();
        (0..20).for_each(|number| sender.push(vec![number]));
        assert_eq!(
            numbers(&sent(&mut sender, NOW)),
            (0..16).collect::<Vec<_>>()
        );
        assert!(sender.acknowledge(2));
        assert_eq!(numbers(&sent(&mut sender, NOW)), [16, 17]);
        assert!(sender.acknowledge(1), "one that was overtaken");
        assert!(!sender.acknowledge(19), "of what was not sent");
    }

    #[test]
    fn messages_come_out_once_and_in_order() {
        let mut receiver = LaneReceiver::default();
        for number in [1, 0, 0, 3, 1] {
            receiver
                .take(number, &[u8::try_from(number).unwrap()])
                .unwrap();
        }
        assert_eq!(receiver.poll(), Some(vec![0]));
        assert_eq!(receiver.poll(), Some(vec![1]));
        assert_eq!(receiver.poll(), None);
        assert_eq!(receiver.poll_acknowledgement(), Some(2));
        assert_eq!(receiver.poll_acknowledgement(), None);
        receiver.take(2, &[2]).unwrap();
        assert_eq!(receiver.poll(), Some(vec![2]));
        assert_eq!(receiver.poll(), Some(vec![3]));
        assert!(receiver.take(4 + WINDOW, &[]).is_err());
    }

    #[test]
    fn everything_arrives_over_a_link_that_loses_repeats_and_reorders() {
        for seed in 1..50_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut below = |limit: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % limit
            };
            // Numbers go round in the middle.
            let first = u32::MAX - 100;
            let mut sender = LaneSender {
                first,
                ..LaneSender::default()
            };
            let mut receiver = LaneReceiver {
                next: first,
                ..LaneReceiver::default()
            };
            let mut link: Vec<(u64, u32, Vec<u8>)> = Vec::new();
            let mut acknowledgements: Vec<(u64, u32)> = Vec::new();
            let mut received = Vec::new();
            let (mut pushed, mut millisecond) = (0_u32, 0);
            while received.len() < 300 {
                assert!(
                    millisecond < 200_000,
                    "seed {seed}: {} arrived",
                    received.len()
                );
                if pushed < 300 {
                    sender.push(pushed.to_le_bytes().to_vec());
                    pushed += 1;
                }
                for (number, message) in sent(&mut sender, after(millisecond)) {
                    for _ in 0..below(3) {
                        link.push((millisecond + below(40), number, message.clone()));
                    }
                }
                let (arrived, rest) = link.into_iter().partition(|(at, ..)| *at <= millisecond);
                link = rest;
                for (_, number, message) in arrived {
                    receiver.take(number, &message).unwrap();
                }
                received.extend(std::iter::from_fn(|| receiver.poll()));
                if let Some(next) = receiver.poll_acknowledgement()
                    && below(3) > 0
                {
                    acknowledgements.push((millisecond + below(40), next));
                }
                acknowledgements.retain(|(at, next)| {
                    let has_come = *at <= millisecond;
                    assert!(!has_come || sender.acknowledge(*next));
                    !has_come
                });
                millisecond += 1;
            }
            let expected: Vec<_> = (0..300_u32)
                .map(|number| number.to_le_bytes().to_vec())
                .collect();
            assert_eq!(received, expected, "seed {seed}");
        }
    }
}
