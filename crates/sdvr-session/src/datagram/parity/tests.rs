use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use super::*;

const FRAGMENT: u16 = 1136;

fn facts(frame_bytes: u32) -> FrameFacts {
    FrameFacts {
        stream: StreamId(0),
        number: FrameNumber(1),
        frame_bytes,
        fragment_bytes: FRAGMENT,
        captured: Timestamp::from_nanoseconds(0),
        flags: FrameFlags::NONE,
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self, count: u32) -> Vec<u8> {
        (0..count)
            .map(|_| self.below(256).to_le_bytes()[0])
            .collect()
    }

    /// So many of the numbers below `limit`.
    fn choose(&mut self, count: u32, limit: u32) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..limit).collect();
        (0..count)
            .map(|_| {
                let place = self.below(numbers.len() as u64);
                numbers.swap_remove(usize::try_from(place).unwrap())
            })
            .collect()
    }
}

/// What the page says of a parity, byte by byte and without haste.
fn parity_by_the_page(facts: &FrameFacts, frame: &[u8], place: ParityPlace) -> Vec<u8> {
    let multiply = |one: u8, other: u8| {
        let product = (0..8).fold(0, |sum: u16, bit| {
            let mut product = u16::from(one) << bit;
            for high in (8..16).rev() {
                if product >> high & 1 == 1 {
                    product ^= 0x11d << (high - 8);
                }
            }
            sum ^ if other >> bit & 1 == 1 { product } else { 0 }
        });
        product.to_le_bytes()[0]
    };
    let divide = |one: u8, other: u8| {
        (0..=255)
            .find(|quotient| multiply(*quotient, other) == one)
            .unwrap()
    };
    let groups = facts.fragments().div_ceil(128);
    let (row, group) = (place.number / groups, place.number % groups);
    let length = usize::from(facts.fragment_bytes).min(frame.len());
    let mut parity = vec![0; length];
    let fragments = frame.chunks(facts.fragment_bytes.into());
    let of_group = fragments.skip(group as usize).step_by(groups as usize);
    for (place, fragment) in of_group.enumerate() {
        let place = u8::try_from(place).unwrap();
        let point = 128 + u8::try_from(row).unwrap();
        let coefficient = divide(128 ^ place, point ^ place);
        for (sum, byte) in parity.iter_mut().zip(fragment) {
            *sum ^= multiply(coefficient, *byte);
        }
    }
    parity
}

#[test]
fn parity_is_what_the_page_says() {
    let mut random = Random(1);
    for (fragments, percent) in [
        (1, 20),
        (2, 50),
        (5, 20),
        (88, 20),
        (128, 50),
        (129, 7),
        (300, 3),
    ] {
        let facts = FrameFacts {
            fragment_bytes: 8,
            ..facts(8 * fragments - 3)
        };
        let frame = random.bytes(facts.frame_bytes);
        let parity = Parity::of(&facts, &frame, percent).unwrap();
        for number in 0..parity.count() {
            let place = ParityPlace {
                number,
                rows: parity.rows,
            };
            let expected = parity_by_the_page(&facts, &frame, place);
            assert_eq!(parity.bytes(number), expected, "{fragments}: {number}");
        }
    }
}

#[test]
fn there_are_so_many_per_cent_of_parity_rounded_up() {
    let count = |fragments: u32, percent| {
        let facts = facts(fragments * u32::from(FRAGMENT));
        let frame = vec![0; facts.frame_bytes as usize];
        Parity::of(&facts, &frame, percent).map_or(0, |parity| parity.count())
    };
    assert_eq!(count(88, 0), 0);
    assert_eq!(count(88, 20), 18);
    assert_eq!(count(1, 1), 1);
    assert_eq!(count(128, 50), 64);
    assert_eq!(count(128, 100), 64);
    assert_eq!(count(1000, 10), 8 * 13);
}

/// Loses fragments and parities of a frame, and hands over what is left in disorder; whether the frame is whole then.
fn survives(random: &mut Random, facts: &FrameFacts, percent: u8, lost: &[u32]) -> bool {
    let frame = random.bytes(facts.frame_bytes);
    let parity = Parity::of(facts, &frame, percent).unwrap();
    let (fragments, parities) = (facts.fragments(), parity.count());
    let mut arrived = ArrivedParity::new(facts, parity.rows);
    let mut has = vec![false; fragments as usize];
    let mut received = vec![0; frame.len()];
    let order = random.choose(fragments + parities, fragments + parities);
    for number in order {
        if lost.contains(&number) {
            continue;
        }
        let is_here = |fragment: u32| has[fragment as usize];
        let group = match number.checked_sub(fragments) {
            None if is_here(number) => None,
            None => {
                let begin = number as usize * usize::from(FRAGMENT);
                let end = (begin + usize::from(FRAGMENT)).min(frame.len());
                received[begin..end].copy_from_slice(&frame[begin..end]);
                has[number as usize] = true;
                arrived.fill(number)
            }
            Some(number) => {
                let place = ParityPlace {
                    number,
                    rows: parity.rows,
                };
                let bytes = parity.bytes(number);
                arrived.take(place, bytes, is_here).unwrap()
            }
        };
        if let Some(group) = group {
            let restored = arrived
                .restore(group, &received, |fragment| has[fragment as usize])
                .unwrap();
            let bytes = restored.bytes.chunks(Groups::of(facts).parity_bytes);
            for (number, bytes) in restored.fragments.iter().zip(bytes) {
                let begin = *number as usize * usize::from(FRAGMENT);
                let length = bytes.len().min(frame.len() - begin);
                received[begin..begin + length].copy_from_slice(&bytes[..length]);
                has[*number as usize] = true;
            }
        }
    }
    let is_whole = has.iter().all(|has| *has);
    assert!(!is_whole || received == frame, "a frame of rubbish");
    is_whole
}

#[test]
fn any_so_many_of_a_group_give_the_whole() {
    let mut random = Random(2);
    for (frame_bytes, percent) in [
        (1, 10),
        (1136, 10),
        (1137, 50),
        (5000, 20),
        (100_000, 20),
        (145_408, 50),
    ] {
        let facts = facts(frame_bytes);
        let fragments = facts.fragments();
        let rows = u32::from(Groups::of(&facts).rows_of_percent(percent));
        for lost in 0..=rows {
            let lost = random.choose(lost, fragments + rows);
            assert!(
                survives(&mut random, &facts, percent, &lost),
                "{frame_bytes}: {lost:?}"
            );
        }
        let first: Vec<u32> = (0..rows.min(fragments)).collect();
        assert!(
            survives(&mut random, &facts, percent, &first),
            "{frame_bytes}"
        );
        let too_many: Vec<u32> = random.choose(rows + 1, fragments + rows);
        let whole = survives(&mut random, &facts, percent, &too_many);
        // Unless the parity alone was lost.
        assert!(!whole || too_many.iter().all(|number| *number >= fragments));
    }
}

#[test]
fn a_burst_is_shared_among_the_groups_of_a_large_frame() {
    let mut random = Random(3);
    let facts = facts(1_000_000);
    assert_eq!(Groups::of(&facts).count, 7);
    // 13 rows in each of 7 groups.
    let burst: Vec<u32> = (100..100 + 13 * 7).collect();
    assert!(survives(&mut random, &facts, 10, &burst));
    let longer: Vec<u32> = (100..=100 + 13 * 7).collect();
    assert!(!survives(&mut random, &facts, 10, &longer));
}

#[test]
fn parity_that_is_not_of_its_frame_is_refused() {
    let facts = facts(100_000);
    let refused = |number, rows, length: usize| {
        let mut arrived = ArrivedParity::new(&facts, rows);
        let place = ParityPlace { number, rows };
        arrived.take(place, &vec![0; length], |_| false).is_err()
    };
    assert!(!refused(17, 18, 1136));
    assert!(refused(18, 18, 1136));
    assert!(refused(0xff_ffff, 18, 1136));
    assert!(refused(0, 0, 1136));
    assert!(refused(0, 65, 1136));
    assert!(refused(0, 18, 1135));
    assert!(refused(0, 18, 0));
    let mut arrived = ArrivedParity::new(&facts, 18);
    let other = ParityPlace {
        number: 0,
        rows: 17,
    };
    assert!(arrived.take(other, &[0; 1136], |_| false).is_err());
}

#[test]
fn no_more_parity_is_held_than_is_missing() {
    let facts = facts(100_000);
    let mut arrived = ArrivedParity::new(&facts, 18);
    for _ in 0..3 {
        for number in 0..5 {
            let place = ParityPlace { number, rows: 18 };
            let ready = arrived.take(place, &[1; 1136], |fragment| fragment < 81);
            assert_eq!(ready, Ok(None));
        }
    }
    assert_eq!(arrived.arrived_of(0), 5);
    assert!(
        arrived.held_bytes() <= 10 * 1136,
        "{}",
        arrived.held_bytes()
    );
    let place = ParityPlace {
        number: 9,
        rows: 18,
    };
    assert_eq!(
        arrived.take(place, &[1; 1136], |fragment| fragment >= 1),
        Ok(None),
        "it was counted at first"
    );
    arrived.fill(81);
    assert_eq!(arrived.fill(82), Some(0));
}

#[test]
fn places_are_written_and_read_alike() {
    let place = ParityPlace {
        number: 0x03_0201,
        rows: 0x40,
    };
    assert_eq!(place.to_offset(), 0x4003_0201);
    assert_eq!(ParityPlace::from_offset(0x4003_0201), place);
}

#[test]
fn rows_that_are_still_to_come_are_told_by_the_highest_number() {
    let groups = Groups::of(&facts(1_000_000));
    // Numbers 2, 9, 16, 23 are of group 2.
    let rows: Vec<u32> = [0, 2, 3, 9, 10, 23, 24, 1000]
        .map(|from| groups.rows_from(2, 4, from))
        .to_vec();
    assert_eq!(rows, [4, 4, 3, 3, 2, 1, 0, 0]);
}
