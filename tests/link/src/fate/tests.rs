//! The statistics that are promised, by fixed seeds: what holds here once holds always.

use super::*;
use crate::impairment::Reordering;

const FRAMES: u32 = 100_000;
const BYTES: usize = 1_200;
const TICK: Duration = Duration::from_micros(100);
const SEEDS: [u64; 3] = [0, 1, 0xfeed_beef_0bad_cafe];

fn verdicts(impairment: Impairment, seed: u64) -> Vec<Verdict> {
    let mut fate = Fate::new(impairment, seed);
    (0..FRAMES)
        .map(|number| fate.decide(TICK * number, BYTES))
        .collect()
}

fn losing(loss: Loss) -> Impairment {
    Impairment {
        loss,
        ..Impairment::default()
    }
}

fn arrivals(impairment: Impairment, seed: u64) -> Vec<Arrival> {
    let arrival = |verdict| match verdict {
        Verdict::Arrives(arrival) => Some(arrival),
        _ => None,
    };
    verdicts(impairment, seed)
        .into_iter()
        .filter_map(arrival)
        .collect()
}

/// Whether `count` of all frames is as probable as it should be, when one outcome stands for `spread` independent ones.
#[track_caller]
fn check_share(count: usize, share: f64, spread: f64) {
    let frames = f64::from(FRAMES);
    let sigma = (frames * share * (1.0 - share) * spread).sqrt();
    let off = (count as f64 - frames * share) / sigma;
    assert!(
        off.abs() < 4.0,
        "{count} of {FRAMES}, {off:.1} sigma from {share}"
    );
}

/// How many in a row were lost, each time.
fn losses_in_a_row(verdicts: &[Verdict]) -> Vec<usize> {
    verdicts
        .split(|verdict| *verdict != Verdict::Lost)
        .map(<[Verdict]>::len)
        .filter(|length| *length > 0)
        .collect()
}

#[test]
fn random_loss_has_its_share() {
    for (seed, share) in SEEDS.into_iter().zip([0.001, 0.05, 0.7]) {
        let lost = losses_in_a_row(&verdicts(losing(Loss::Random { share }), seed));
        check_share(lost.iter().sum(), share, 1.0);
        // Each for itself: the mean row is `1 / (1 - share)` long.
        let rows = lost.len();
        check_share(rows, share * (1.0 - share), 1.0);
    }
}

#[test]
fn bursts_have_their_length_and_their_share() {
    for (seed, share) in SEEDS.into_iter().zip([0.01, 0.05, 0.3]) {
        let frames = 5;
        let loss = Loss::Bursts { share, frames };
        let lost = losses_in_a_row(&verdicts(losing(loss), seed));
        // The variance of a renewal process whose good times are geometric and whose bad ones are fixed.
        let spread = f64::from(frames) * (1.0 - share) + share;
        check_share(lost.iter().sum(), share, spread);
        assert!(
            lost.iter()
                .all(|row| row % 5 == 0 || is_cut_off(*row, &lost))
        );
        let single = lost.iter().filter(|row| **row == 5).count();
        assert!(single * 10 > lost.len() * 8, "{single} of {}", lost.len());
    }
}

/// The last row may go on after the last frame.
fn is_cut_off(row: usize, rows: &[usize]) -> bool {
    rows.last() == Some(&row)
}

#[test]
fn gilbert_and_elliott_s_link_is_bad_as_often_and_as_long_as_said() {
    let (to_bad, to_good) = (0.01, 0.25);
    let loss = Loss::GilbertElliott {
        to_bad,
        to_good,
        loss_in_good: 0.0,
        loss_in_bad: 1.0,
    };
    for seed in SEEDS {
        let lost = losses_in_a_row(&verdicts(losing(loss), seed));
        let share = to_bad / (to_bad + to_good);
        // Of a chain with two states, whose correlation falls by `1 - to_bad - to_good` a step.
        let correlation = 1.0 - to_bad - to_good;
        let spread = (1.0 + correlation) / (1.0 - correlation);
        check_share(lost.iter().sum(), share, spread);
        let mean = lost.iter().sum::<usize>() as f64 / lost.len() as f64;
        assert!((3.5..4.5).contains(&mean), "{mean}");
    }
    let loss = Loss::GilbertElliott {
        to_bad: 0.1,
        to_good: 0.1,
        loss_in_good: 0.02,
        loss_in_bad: 0.5,
    };
    for seed in SEEDS {
        let lost = losses_in_a_row(&verdicts(losing(loss), seed));
        let (in_good, in_bad): (f64, f64) = (0.02, 0.5);
        let between = (in_bad - in_good).powi(2) / 4.0 * (1.0 + 0.8) / (1.0 - 0.8);
        check_share(lost.iter().sum(), 0.26, 1.0 + between / (0.26 * 0.74));
    }
}

#[test]
fn outages_are_by_time_and_have_their_share() {
    // In frames, of which ten are sent in a millisecond.
    for (seed, (share, frames)) in SEEDS.into_iter().zip([(0.05, 500), (0.3, 50), (0.6, 20)]) {
        let lasting = TICK * frames;
        let lost = losses_in_a_row(&verdicts(losing(Loss::Outages { share, lasting }), seed));
        // Of a renewal process whose good times are exponential and whose bad ones are fixed; the ends of each are somewhere between two frames.
        let spread = f64::from(frames) * (1.0 - share);
        check_share(lost.iter().sum(), share, spread.max(1.0));
        let frames = frames as usize;
        assert!(
            lost.iter()
                .all(|row| *row + 1 >= frames || is_cut_off(*row, &lost))
        );
        let single = lost.iter().filter(|row| **row <= frames + 1).count();
        assert!(single * 10 > lost.len() * 8, "{single} of {}", lost.len());
    }
}

#[test]
fn what_is_lost_hangs_on_the_seed_only() {
    let loss = Loss::Random { share: 0.1 };
    let plain = verdicts(losing(loss), 7);
    assert_eq!(plain, verdicts(losing(loss), 7));
    assert_ne!(plain, verdicts(losing(loss), 8));
    let busy = Impairment {
        delay: Duration::from_millis(10),
        jitter: Jitter::Overtaking(Duration::from_millis(3)),
        reordering: Reordering {
            probability: 0.1,
            held_back: Duration::from_millis(4),
        },
        duplication: 0.1,
        corruption: 0.1,
        rate: Some(Rate {
            bits_per_second: 1_000_000_000,
            queue_bytes: 1_000_000,
        }),
        ..losing(loss)
    };
    let is_lost = |verdicts: Vec<Verdict>| -> Vec<bool> {
        let is_lost = |verdict| verdict == Verdict::Lost;
        verdicts.into_iter().map(is_lost).collect()
    };
    let plain = is_lost(plain);
    assert_eq!(plain, is_lost(verdicts(busy, 7)));
    // Neither on the time, nor on what is too large meanwhile.
    let mut fate = Fate::new(
        Impairment {
            largest_packet_bytes: Some(BYTES),
            ..busy
        },
        7,
    );
    for (number, is_lost) in plain.into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let bytes = BYTES + usize::from(number.is_multiple_of(10));
        let verdict = fate.decide(Duration::from_millis(1) * number, bytes);
        if number.is_multiple_of(10) {
            assert_eq!(verdict, Verdict::TooLarge);
        } else {
            assert_eq!(verdict == Verdict::Lost, is_lost);
        }
    }
}

#[test]
fn doubled_corrupted_and_held_back_frames_have_their_shares_each_for_itself() {
    let impairment = Impairment {
        delay: Duration::from_millis(20),
        reordering: Reordering {
            probability: 0.03,
            held_back: Duration::from_millis(5),
        },
        duplication: 0.1,
        corruption: 0.2,
        ..Impairment::default()
    };
    for seed in SEEDS {
        let arrivals = arrivals(impairment, seed);
        let count = |what: fn(u32, &Arrival) -> bool| {
            let all = (0..).zip(&arrivals);
            all.filter(|(number, arrival)| what(*number, arrival))
                .count()
        };
        let is_held_back: fn(u32, &Arrival) -> bool =
            |number, arrival| arrival.at == TICK * number + Duration::from_millis(25);
        check_share(count(is_held_back), 0.03, 1.0);
        check_share(count(|_, arrival| arrival.is_doubled), 0.1, 1.0);
        check_share(count(|_, arrival| arrival.flipped_bit.is_some()), 0.2, 1.0);
        let both = count(|_, arrival| arrival.is_doubled && arrival.flipped_bit.is_some());
        check_share(both, 0.02, 1.0);
        let others =
            count(|number, arrival| arrival.at == TICK * number + Duration::from_millis(20));
        assert_eq!(others + count(is_held_back), arrivals.len());
    }
}

#[test]
fn jitter_is_uniform_and_overtakes_only_if_asked_to() {
    let most = Duration::from_millis(10);
    let delay = Duration::from_millis(20);
    let overtaking = Impairment {
        delay,
        jitter: Jitter::Overtaking(most),
        ..Impairment::default()
    };
    let arrivals_of = |impairment| arrivals(impairment, 3);
    let jitters: Vec<Duration> = (0..)
        .zip(arrivals_of(overtaking))
        .map(|(number, arrival)| arrival.at - delay - TICK * number)
        .collect();
    assert!(jitters.iter().all(|jitter| *jitter < most));
    for tenth in 1..10 {
        let below = jitters.iter().filter(|jitter| **jitter < most / 10 * tenth);
        check_share(below.count(), f64::from(tenth) / 10.0, 1.0);
    }
    let is_in_order = |arrivals: &[Arrival]| arrivals.is_sorted_by_key(|arrival| arrival.at);
    assert!(!is_in_order(&arrivals_of(overtaking)));
    let in_order = Impairment {
        jitter: Jitter::InOrder(most),
        ..overtaking
    };
    let arrivals = arrivals_of(in_order);
    assert!(is_in_order(&arrivals));
    for (number, arrival) in (0..).zip(&arrivals) {
        assert!((delay..delay + most).contains(&(arrival.at - TICK * number)));
    }
}

#[test]
fn order_is_kept_when_nothing_is_asked_for_that_breaks_it() {
    let mut fate = Fate::new(Impairment::default(), 1);
    let mut last = Duration::ZERO;
    for number in 0..10_000_u32 {
        // Now long, now short.
        fate.impair(Impairment {
            loss: Loss::Random { share: 0.2 },
            delay: Duration::from_millis(u64::from(number % 7) * 10),
            rate: number.is_multiple_of(3).then_some(Rate {
                bits_per_second: 50_000_000,
                queue_bytes: 10_000,
            }),
            ..Impairment::default()
        });
        if let Verdict::Arrives(arrival) = fate.decide(TICK * number, BYTES) {
            assert!(arrival.at >= last);
            last = arrival.at;
        }
    }
}

#[test]
fn a_narrow_place_passes_its_rate_and_drops_what_does_not_fit_before_it() {
    // 12 Mbit/s are one frame of 1,200 bytes in 0.8 ms; one is sent each 0.1 ms.
    let impairment = Impairment {
        rate: Some(Rate {
            bits_per_second: 12_000_000,
            queue_bytes: 12_000,
        }),
        ..Impairment::default()
    };
    let verdicts = verdicts(impairment, 1);
    let mut last = Duration::ZERO;
    for (number, verdict) in (0..).zip(&verdicts) {
        let sent = TICK * number;
        match verdict {
            Verdict::Arrives(arrival) => {
                assert!(arrival.at - last >= Duration::from_micros(800));
                // Ten frames wait at most, the arriving one among them.
                assert!(arrival.at - sent <= Duration::from_millis(8));
                last = arrival.at;
            }
            verdict => assert_eq!(*verdict, Verdict::QueueFull),
        }
    }
    let passed = verdicts
        .iter()
        .filter(|verdict| **verdict != Verdict::QueueFull)
        .count();
    assert!((12_500..12_520).contains(&passed), "{passed}");
    // After a pause the queue is empty again, and a larger packet than it never fits.
    let mut fate = Fate::new(impairment, 1);
    let pause = Duration::from_secs(1);
    let at = pause + Duration::from_micros(800);
    let (is_doubled, flipped_bit) = (false, None);
    let arrives = Verdict::Arrives(Arrival {
        at,
        is_doubled,
        flipped_bit,
    });
    for _ in 0..20 {
        fate.decide(Duration::ZERO, BYTES);
    }
    assert_eq!(fate.decide(pause, BYTES), arrives);
    assert_eq!(fate.decide(2 * pause, 12_001), Verdict::QueueFull);
}

#[test]
fn only_larger_packets_fall_into_the_black_hole() {
    let impairment = Impairment {
        largest_packet_bytes: Some(1_300),
        ..Impairment::default()
    };
    let mut fate = Fate::new(impairment, 1);
    assert_eq!(fate.decide(TICK, 1_301), Verdict::TooLarge);
    assert!(matches!(fate.decide(TICK, 1_300), Verdict::Arrives(_)));
}

#[test]
fn extremes_are_no_trouble() {
    let huge = Duration::MAX;
    for (share, is_always_lost) in [
        (-1.0, false),
        (0.0, false),
        (f64::NAN, false),
        (1.0, true),
        (7.0, true),
    ] {
        for loss in [
            Loss::Random { share },
            Loss::Bursts { share, frames: 0 },
            Loss::Outages {
                share,
                lasting: huge,
            },
            Loss::Outages {
                share,
                lasting: Duration::ZERO,
            },
            Loss::GilbertElliott {
                to_bad: share,
                to_good: 1.0 - share,
                loss_in_good: 0.0,
                loss_in_bad: share,
            },
        ] {
            let impairment = Impairment {
                delay: huge,
                jitter: Jitter::Overtaking(Duration::from_secs(1)),
                rate: Some(Rate {
                    bits_per_second: 0,
                    queue_bytes: usize::MAX,
                }),
                ..losing(loss)
            };
            let mut fate = Fate::new(impairment, 1);
            for number in 0..100_u32 {
                let verdict = fate.decide(Duration::from_secs(100_000) * number, BYTES);
                assert_eq!(verdict == Verdict::Lost, is_always_lost, "{loss:?}");
            }
        }
    }
}
