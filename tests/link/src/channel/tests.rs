//! Frames go in, frames come out, and the counters know where the others are.

use super::*;
use crate::impairment::{Jitter, Loss, Rate, Reordering};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A frame of 100 bytes of packet, with its number.
fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x13, 0x37]);
    frame.extend(number.to_be_bytes());
    frame.resize(ETHERNET_HEADER_BYTES + 100, 0);
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(*frame[ETHERNET_HEADER_BYTES..].first_chunk().unwrap())
}

/// The numbers of all that arrives until then, by the clock that `poll_timeout` asks for.
fn drain(channel: &mut Channel, until: Duration) -> Vec<(Duration, u32)> {
    let mut arrived = Vec::new();
    while let Some(due) = channel.poll_timeout().filter(|due| *due <= until) {
        if let Some(before) = due.checked_sub(Duration::from_nanos(1)) {
            assert_eq!(channel.poll_frame(before), None);
        }
        arrived.push((due, number(&channel.poll_frame(due).unwrap())));
    }
    arrived
}

fn send(channel: &mut Channel, count: u32) {
    for number in 0..count {
        channel.handle_frame(MILLISECOND * number, &frame(number));
    }
}

fn all() -> Duration {
    Duration::from_secs(1_000_000)
}

#[test]
fn frames_arrive_once_in_order_and_after_their_delay() {
    let delay = Duration::from_millis(10);
    let mut channel = Channel::new(
        Impairment {
            delay,
            ..Impairment::default()
        },
        1,
    );
    send(&mut channel, 1_000);
    let expected: Vec<_> = (0..1_000)
        .map(|number| (MILLISECOND * number + delay, number))
        .collect();
    assert_eq!(drain(&mut channel, all()), expected);
    assert_eq!(channel.poll_timeout(), None);
    let counters = Counters {
        sent: 1_000,
        sent_bytes: 100_000,
        arrived: 1_000,
        arrived_bytes: 100_000,
        ..Counters::default()
    };
    assert_eq!(channel.counters(), counters);
}

#[test]
fn every_frame_is_in_a_counter() {
    let mut channel = Channel::new(
        Impairment {
            loss: Loss::Random { share: 0.1 },
            jitter: Jitter::Overtaking(5 * MILLISECOND),
            duplication: 0.1,
            corruption: 0.1,
            rate: Some(Rate {
                bits_per_second: 700_000,
                queue_bytes: 1_000,
            }),
            largest_packet_bytes: Some(100),
            ..Impairment::default()
        },
        1,
    );
    send(&mut channel, 2_000);
    channel.handle_frame(2_000 * MILLISECOND, &[&frame(0)[..], &[0]].concat());
    let under_way = drain(&mut channel, all()).len() as u64;
    channel.cut(None);
    channel.handle_frame(3_000 * MILLISECOND, &frame(0));
    let counters = channel.counters();
    let Counters {
        sent,
        arrived,
        lost,
        doubled,
        overtaken,
        corrupted,
        queue_full,
        too_large,
        cut,
        ..
    } = counters;
    assert_eq!(sent, 2_002);
    assert_eq!(arrived, under_way);
    assert_eq!(
        sent + doubled,
        arrived + lost + queue_full + too_large + cut
    );
    assert_eq!((too_large, cut), (1, 1));
    assert!(lost > 100 && doubled > 100 && corrupted > 100 && queue_full > 100);
    assert!(overtaken > 100, "{counters:?}");
}

#[test]
fn a_held_back_frame_is_overtaken_by_those_that_follow_in_that_time() {
    let mut channel = Channel::new(
        Impairment {
            reordering: Reordering {
                probability: 0.02,
                held_back: Duration::from_micros(5_500),
            },
            ..Impairment::default()
        },
        1,
    );
    send(&mut channel, 1_000);
    let order: Vec<u32> = drain(&mut channel, all())
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    let mut late = 0;
    let mut highest = 0;
    for number in order {
        if number < highest {
            late += 1;
            // Unless they are held back themselves.
            assert!((1..=5).contains(&(highest - number)));
        }
        highest = highest.max(number);
    }
    assert!(late > 5, "{late}");
    assert_eq!(channel.counters().overtaken, late);
}

#[test]
fn a_second_frame_is_right_behind_the_first_and_is_not_called_overtaken() {
    let mut channel = Channel::new(
        Impairment {
            duplication: 1.0,
            ..Impairment::default()
        },
        1,
    );
    send(&mut channel, 3);
    let numbers: Vec<u32> = drain(&mut channel, all())
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert_eq!(numbers, [0, 0, 1, 1, 2, 2]);
    let counters = channel.counters();
    assert_eq!((counters.doubled, counters.overtaken), (3, 0));
}

#[test]
fn a_corrupted_frame_differs_in_one_bit() {
    let mut channel = Channel::new(
        Impairment {
            corruption: 1.0,
            ..Impairment::default()
        },
        1,
    );
    channel.handle_frame(MILLISECOND, &frame(7));
    let arrived = channel.poll_frame(MILLISECOND).unwrap();
    let differing: u32 = arrived
        .iter()
        .zip(frame(7))
        .map(|(new, old)| (new ^ old).count_ones())
        .sum();
    assert_eq!(differing, 1);
    assert_eq!(channel.counters().corrupted, 1);
}

#[test]
fn nothing_passes_a_cut_not_even_what_was_under_way() {
    let mut channel = Channel::new(
        Impairment {
            delay: 10 * MILLISECOND,
            ..Impairment::default()
        },
        1,
    );
    let second = Duration::from_secs(1);
    channel.handle_frame(second, &frame(1));
    channel.cut(None);
    channel.handle_frame(2 * second, &frame(2));
    assert_eq!(channel.poll_timeout(), None);
    channel.mend();
    channel.handle_frame(3 * second, &frame(3));
    // It mends itself when its time has come, or earlier when somebody does.
    assert_eq!(drain(&mut channel, all()).len(), 1);
    channel.cut(Some(5 * second));
    channel.handle_frame(4 * second, &frame(4));
    channel.handle_frame(5 * second, &frame(5));
    let arrived = drain(&mut channel, all());
    assert_eq!(arrived, [(5 * second + 10 * MILLISECOND, 5)]);
    channel.cut(Some(9 * second));
    channel.handle_frame(6 * second, &frame(6));
    channel.mend();
    channel.handle_frame(7 * second, &frame(7));
    let arrived = drain(&mut channel, all());
    assert_eq!(arrived, [(7 * second + 10 * MILLISECOND, 7)]);
    assert_eq!(channel.counters().cut, 4);
}

#[test]
fn kernels_ask_each_other_at_once_and_take_no_chance() {
    let losing = Impairment {
        loss: Loss::Random { share: 0.5 },
        delay: Duration::from_secs(1),
        ..Impairment::default()
    };
    let mut arp = frame(0);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut asking = Channel::new(losing, 1);
    let mut silent = Channel::new(losing, 1);
    for number in 0..100 {
        let now = MILLISECOND * number;
        asking.handle_frame(now, &arp);
        assert_eq!(asking.poll_timeout(), Some(Duration::ZERO));
        assert_eq!(asking.poll_frame(now).as_ref(), Some(&arp));
        asking.handle_frame(now, &frame(number));
        silent.handle_frame(now, &frame(number));
    }
    assert_eq!(drain(&mut asking, all()), drain(&mut silent, all()));
    assert_eq!(asking.counters().housekeeping, 100);
    asking.cut(None);
    asking.handle_frame(all(), &arp);
    assert_eq!(asking.poll_frame(all()), None);
}
