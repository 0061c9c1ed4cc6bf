#![allow(
    clippy::cast_possible_truncation,
    reason = "frames are told apart by the last byte of their number"
)]

use sdvr_frame::{FrameFlags, StreamId};

use super::*;
use crate::datagram::parity::ParityPlace;

const FRAGMENT: u16 = 1000;
const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
/// The client's clock is another one.
const CLIENT_AHEAD: i64 = 77_000_000_000;
const ROUND_TRIP: RoundTrip = RoundTrip {
    time: Duration::from_millis(20),
    spread: Duration::from_millis(1),
};
const LATENCY: Duration = Duration::from_millis(60);

fn after(milliseconds: u64) -> Timestamp {
    START + Duration::from_millis(milliseconds)
}

fn arrivals() -> Arrivals {
    let limits = ArrivalLimits {
        frame_most_bytes: 1 << 20,
        held_most_bytes: 1 << 21,
        latency: LATENCY,
    };
    Arrivals::new(limits, &ReassemblyBudget::default())
}

/// A frame of the number, captured 33 ms after the one before.
fn facts(number: u64, frame_bytes: u32) -> FrameFacts {
    FrameFacts {
        stream: StreamId(0),
        number: FrameNumber(number),
        frame_bytes,
        fragment_bytes: FRAGMENT,
        captured: after(33 * number).offset_by(CLIENT_AHEAD),
        flags: FrameFlags::NONE,
    }
}

/// A receiver, and the number of its last packet.
struct Receiver {
    arrivals: Arrivals,
    packet: u64,
}

impl Receiver {
    fn new() -> Self {
        Self {
            arrivals: arrivals(),
            packet: 0,
        }
    }

    /// Fragments of a frame of ten arrive at `now`; the frame before it had the number before.
    fn take(&mut self, now: Timestamp, number: u64, fragments: impl IntoIterator<Item = u32>) {
        self.take_after(now, number, u16::from(number > 0), fragments);
    }

    fn take_after(
        &mut self,
        now: Timestamp,
        number: u64,
        since: u16,
        fragments: impl IntoIterator<Item = u32>,
    ) {
        for fragment in fragments {
            self.packet += 1;
            let (offset, bytes) = (
                fragment * u32::from(FRAGMENT),
                [number as u8; FRAGMENT as usize],
            );
            self.arrivals
                .take(
                    now,
                    self.packet,
                    facts(number, 10_000),
                    since,
                    Piece::Fragment {
                        offset,
                        bytes: &bytes,
                    },
                )
                .unwrap();
        }
    }

    /// The numbers of the frames that come out, and what each says was missed.
    fn out(&mut self, now: Timestamp) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| {
            let frame = self.arrivals.poll(now)?;
            assert_eq!(frame.bytes, vec![frame.facts.number.0 as u8; 10_000]);
            Some((frame.facts.number.0, frame.missed))
        })
        .collect()
    }

    fn requests(&mut self, now: Timestamp) -> Vec<(u64, Range<u32>)> {
        let requests = self.arrivals.poll_requests(now, self.packet, ROUND_TRIP);
        requests
            .into_iter()
            .map(|request| (request.number.0, request.fragments))
            .collect()
    }

    fn timeout(&self) -> Timestamp {
        self.arrivals.poll_timeout(self.packet, ROUND_TRIP)
    }
}

#[test]
fn a_frame_is_handed_out_when_it_is_whole() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..9);
    assert!(receiver.out(after(5)).is_empty());
    receiver.take(after(6), 0, 9..10);
    assert_eq!(receiver.out(after(6)), [(0, 0)]);
    assert_eq!(receiver.timeout(), Timestamp::NEVER);
}

#[test]
fn frames_are_handed_out_in_order_however_they_arrive() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..5);
    receiver.take(after(38), 1, 0..10);
    assert!(receiver.out(after(38)).is_empty());
    receiver.take(after(39), 0, (5..10).rev());
    assert_eq!(receiver.out(after(39)), [(0, 0), (1, 0)]);
}

#[test]
fn a_lost_fragment_is_asked_for_and_fills_the_gap() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, [0, 1, 2, 4, 5, 8]);
    // Three packets have overtaken fragment 3, and none fragments 6 and 7.
    assert_eq!(receiver.requests(after(5)), [(0, 3..4)]);
    receiver.take(after(6), 0, [9]);
    assert_eq!(receiver.requests(after(8)), [(0, 3..4), (0, 6..8)]);
    receiver.take(after(26), 0, [3, 6, 7]);
    assert_eq!(receiver.out(after(26)), [(0, 0)]);
    assert!(receiver.requests(after(60)).is_empty());
}

#[test]
fn a_lost_end_is_asked_for_after_a_silence_or_when_the_next_frame_comes() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..8);
    assert!(receiver.requests(after(7)).is_empty());
    let silent = receiver.timeout();
    assert_eq!(silent, after(8));
    // It is noticed now, and asked for when it cannot have been overtaken only.
    assert!(receiver.requests(silent).is_empty());
    assert_eq!(receiver.requests(after(11)), [(0, 8..10)]);

    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..8);
    receiver.take(after(6), 1, 0..4);
    assert_eq!(receiver.requests(after(6)), [(0, 8..10)]);
}

#[test]
fn what_is_not_whole_at_its_deadline_is_given_up_and_told() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(receiver.out(after(5)), [(0, 0)]);
    receiver.take(after(38), 1, 0..9);
    receiver.take(after(71), 2, 0..10);
    let deadline = after(38 + 60);
    assert!(receiver.out(deadline.offset_by(-1)).is_empty());
    assert_eq!(receiver.out(deadline), [(2, 1)]);
    assert_eq!(receiver.arrivals.given_up(), 1);
    // What comes after all counts, and does nothing.
    receiver.take(after(100), 1, 9..10);
    assert!(receiver.out(after(100)).is_empty());
    assert_eq!(receiver.arrivals.late(), 1);
}

#[test]
fn a_frame_of_which_nothing_has_arrived_is_asked_for_as_a_whole() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(receiver.out(after(5)), [(0, 0)]);
    receiver.take(after(71), 2, 0..10);
    assert!(receiver.out(after(71)).is_empty());
    assert_eq!(receiver.requests(after(71)), [(1, ALL_FRAGMENTS)]);
    receiver.take(after(92), 1, 0..10);
    assert_eq!(receiver.out(after(92)), [(1, 0), (2, 0)]);
}

#[test]
fn a_frame_of_which_nothing_arrives_is_waited_for_until_its_own_deadline() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(receiver.out(after(5)), [(0, 0)]);
    receiver.take(after(71), 2, 0..10);
    let deadline = after(38 + 60);
    assert_eq!(receiver.timeout().min(deadline), receiver.timeout());
    assert!(receiver.out(deadline.offset_by(-1)).is_empty());
    assert_eq!(receiver.out(deadline), [(2, 1)]);
    assert_eq!(receiver.arrivals.given_up(), 1);
}

#[test]
fn frames_that_were_never_sent_are_not_waited_for() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(receiver.out(after(5)), [(0, 0)]);
    receiver.take_after(after(170), 5, 5, 0..10);
    assert_eq!(receiver.out(after(170)), [(5, 4)]);
    assert!(receiver.requests(after(171)).is_empty());
}

#[test]
fn nothing_is_asked_for_whose_answer_would_come_too_late() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, (0..10).filter(|fragment| *fragment != 4));
    let last = after(5 + 60 - 20);
    assert!(!receiver.requests(last).is_empty());
    assert!(receiver.requests(last + COPY).is_empty());
    assert_eq!(receiver.timeout(), after(65));
}

const COPY: Duration = Duration::from_millis(2);

#[test]
fn a_slow_start_does_not_move_the_deadlines_of_later_frames() {
    let mut receiver = Receiver::new();
    // The first frame takes 300 ms, as when its fragments had to be sent again; the next ones 5.
    receiver.take(after(300), 0, 0..10);
    assert_eq!(receiver.out(after(300)), [(0, 0)]);
    for number in 10..20 {
        let now = after(33 * number + 5);
        receiver.take_after(now, number, if number == 10 { 10 } else { 1 }, 0..10);
        assert_eq!(receiver.out(now).len(), 1);
    }
    receiver.take(after(33 * 20 + 5), 20, 0..9);
    assert_eq!(
        receiver.timeout().min(after(33 * 20 + 5 + 60)),
        receiver.timeout()
    );
    assert!(receiver.out(after(33 * 20 + 5 + 60)).is_empty());
    assert_eq!(receiver.arrivals.given_up(), 1);
}

#[test]
fn no_more_frames_are_held_than_may_be() {
    let mut receiver = Receiver::new();
    for number in 0..1000 {
        receiver.take(after(5), number, 0..1);
        assert!(receiver.arrivals.coming.len() <= OPEN_MOST);
    }
    let mut receiver = Receiver::new();
    receiver.arrivals.limits.held_most_bytes = 100_000;
    for number in 0..20 {
        receiver.take(after(5), number, 0..9);
        let held: usize = receiver
            .arrivals
            .coming
            .values()
            .map(Coming::held_bytes)
            .sum();
        assert!(held <= 100_000, "{held}");
    }
    assert!(receiver.arrivals.given_up() > 0);
}

/// Parity of a frame of ten fragments, all of whose bytes are alike: in row 0 they cancel out.
fn take_parity(receiver: &mut Receiver, now: Timestamp, number: u64, place: ParityPlace) {
    receiver.packet += 1;
    let piece = Piece::Parity {
        place,
        bytes: &[0; FRAGMENT as usize],
    };
    let facts = facts(number, 10_000);
    let since = u16::from(number > 0);
    let packet = receiver.packet;
    let taken = receiver.arrivals.take(now, packet, facts, since, piece);
    taken.unwrap();
}

const ONLY_ROW: ParityPlace = ParityPlace { number: 0, rows: 1 };

#[test]
fn parity_fills_a_gap_at_once() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, (0..10).filter(|fragment| *fragment != 4));
    assert!(receiver.out(after(5)).is_empty());
    take_parity(&mut receiver, after(6), 0, ONLY_ROW);
    assert_eq!(receiver.out(after(6)), [(0, 0)]);
    assert_eq!(receiver.arrivals.restored(), 1);
    assert_eq!(receiver.timeout(), Timestamp::NEVER);
    // What came to be needless is not late.
    receiver.take(after(38), 1, 0..10);
    take_parity(&mut receiver, after(38), 1, ONLY_ROW);
    assert_eq!(receiver.arrivals.late(), 0);
}

#[test]
fn what_the_coming_parity_covers_is_asked_for_only_when_it_does_not_come() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    take_parity(&mut receiver, after(5), 0, ONLY_ROW);
    assert_eq!(receiver.out(after(5)), [(0, 0)]);
    // One gap is covered by what is expected, and of two the second is not.
    receiver.take(after(38), 1, [0, 2, 3, 4, 5]);
    assert!(receiver.requests(after(40)).is_empty());
    receiver.take(after(40), 1, [7, 8, 9]);
    assert_eq!(receiver.requests(after(40)), [(1, 6..7)]);
    // Nothing more comes.
    let silent = receiver.timeout().max(after(43));
    assert_eq!(receiver.requests(silent), [(1, 1..2), (1, 6..7)]);
    // What has come without parity leads nobody to expect it.
    receiver.take(after(71), 2, [0, 2, 3, 4]);
    assert!(receiver.requests(after(71)).contains(&(2, 1..2)));
}

#[test]
fn parity_that_has_come_covers_what_it_can() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, [0, 1, 2, 3, 4, 6, 8, 9]);
    take_parity(&mut receiver, after(5), 0, ONLY_ROW);
    receiver.take(after(6), 1, 0..3);
    assert_eq!(receiver.requests(after(6)), [(0, 7..8)]);
    receiver.take(after(26), 0, [7]);
    assert_eq!(receiver.out(after(26)), [(0, 0)]);
}

/// Of frame after frame with as much parity as may be one arrives, and nothing else: each packet looks through what is covered.
#[test]
fn no_more_is_covered_than_may_be() {
    let mut receiver = Receiver::new();
    receiver.arrivals.limits.frame_most_bytes = 1 << 27;
    let place = ParityPlace {
        number: 0,
        rows: 64,
    };
    for number in 0..40 {
        let facts = FrameFacts {
            frame_bytes: 100_000 * u32::from(FRAGMENT),
            ..facts(number, 0)
        };
        let piece = Piece::Parity {
            place,
            bytes: &[0; FRAGMENT as usize],
        };
        receiver.packet += 1;
        let packet = receiver.packet;
        let taken = receiver.arrivals.take(after(5), packet, facts, 0, piece);
        taken.unwrap();
    }
    let cover = 1024;
    // The newest frame's parity may still come, and so it covers; those before are over, and one has come of each.
    let requests = receiver.requests(after(30));
    let asked: u64 = requests
        .iter()
        .map(|(_, run)| u64::from(run.end - run.start))
        .sum();
    assert!(asked >= 40 * 100_000 - cover, "{asked}");
}

#[test]
fn parity_counts_as_held() {
    let mut receiver = Receiver::new();
    receiver.arrivals.limits.held_most_bytes = 50_000;
    for number in 0..20 {
        for row in 0..8 {
            let place = ParityPlace {
                number: row,
                rows: 8,
            };
            take_parity(&mut receiver, after(5), number, place);
        }
        let coming = receiver.arrivals.coming.values();
        let held: usize = coming.map(Coming::held_bytes).sum();
        assert!(held <= 50_000, "{held}");
    }
    assert!(receiver.arrivals.given_up() > 10);
}

#[test]
fn numbers_at_the_end_of_their_range_do_no_harm() {
    let mut receiver = Receiver::new();
    for (number, since) in [
        (u64::MAX, 1),
        (u64::MAX - 1, u16::MAX),
        (0, 1),
        (1, u16::MAX),
    ] {
        let mut facts = facts(0, 10_000);
        facts.number = FrameNumber(number);
        for captured in [i64::MIN, 0, i64::MAX] {
            facts.captured = Timestamp::from_nanoseconds(captured);
            let piece = Piece::Fragment {
                offset: 0,
                bytes: &[0; 1000],
            };
            let _ = receiver.arrivals.take(after(5), 1, facts, since, piece);
            let _ = receiver.arrivals.poll(after(6));
            let _ = receiver.requests(after(7));
            let _ = receiver.timeout();
        }
    }
}

/// A driver that looks too late finds nothing to ask for, and must not be sent to look again at once: it would do nothing else.
#[test]
fn who_was_just_looked_at_has_nothing_to_do_at_once() {
    for end in [5, 2] {
        for late in 0..100 {
            let mut arrivals = arrivals();
            let frame_bytes = 5 * u32::from(FRAGMENT);
            for fragment in [0, end - 1] {
                let offset = fragment * u32::from(FRAGMENT);
                arrivals
                    .take(
                        START,
                        fragment.into(),
                        facts(0, frame_bytes),
                        0,
                        Piece::Fragment {
                            offset,
                            bytes: &[0; 1000],
                        },
                    )
                    .unwrap();
            }
            let now = after(late);
            assert_eq!(arrivals.poll(now), None);
            let _ = arrivals.poll_requests(now, 1, ROUND_TRIP);
            let due = arrivals.poll_timeout(1, ROUND_TRIP);
            assert!(due > now, "{late} ms: {due:?}");
        }
    }
}

/// Two streams that hold as much as both may have: a third that wants much more gets nothing of it, and one of small frames all it needs.
#[test]
fn what_all_sessions_hold_is_bounded_and_small_frames_come_through() {
    let budget = ReassemblyBudget::new(4 << 20);
    let limits = ArrivalLimits {
        frame_most_bytes: 4 << 20,
        held_most_bytes: 16 << 20,
        latency: LATENCY,
    };
    let mut large = [(); 3].map(|()| Arrivals::new(limits, &budget));
    let fragments = 3000_u32;
    for arrivals in &mut large {
        for fragment in 0..fragments - 1 {
            let offset = fragment * u32::from(FRAGMENT);
            let bytes = &[0; 1000];
            let facts = facts(0, fragments * u32::from(FRAGMENT));
            let piece = Piece::Fragment { offset, bytes };
            arrivals
                .take(START, fragment.into(), facts, 0, piece)
                .unwrap();
        }
    }
    // A step of memory of each is what they may be beyond it.
    assert!(
        budget.held_bytes() <= (4 << 20) + (1 << 20),
        "{}",
        budget.held_bytes()
    );
    let given_up: u64 = large.iter().map(Arrivals::given_up).sum();
    assert!(given_up > 0);
    let mut small = Arrivals::new(limits, &budget);
    let piece = Piece::Fragment {
        offset: 0,
        bytes: &[7; 1000],
    };
    small.take(START, 0, facts(0, 1000), 0, piece).unwrap();
    assert_eq!(small.poll(START).unwrap().bytes, [7; 1000]);
    drop((large, small));
    assert_eq!(budget.held_bytes(), 0);
}

/// What each frame that comes out says of fragments that came after they were asked for.
fn retransmitted(receiver: &mut Receiver, now: Timestamp) -> Vec<u64> {
    std::iter::from_fn(|| receiver.arrivals.poll(now))
        .map(|frame| frame.retransmitted)
        .collect()
}

#[test]
fn fragments_that_come_after_they_were_asked_for_are_counted_once() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, [0, 1, 2, 4, 5, 6, 7, 9]);
    assert_eq!(receiver.requests(after(5)), [(0, 3..4)]);
    // The one was only overtaken, and comes before it is asked for; the other one comes twice.
    receiver.take(after(6), 0, [8, 3, 3]);
    assert_eq!(retransmitted(&mut receiver, after(6)), [1]);
    receiver.take(after(38), 1, 0..10);
    assert_eq!(retransmitted(&mut receiver, after(38)), [0]);
}

#[test]
fn a_frame_that_was_asked_for_as_a_whole_was_sent_again_as_a_whole() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(retransmitted(&mut receiver, after(5)), [0]);
    receiver.take(after(71), 2, 0..10);
    assert_eq!(receiver.requests(after(71)), [(1, ALL_FRAGMENTS)]);
    receiver.take(after(92), 1, 0..10);
    assert_eq!(retransmitted(&mut receiver, after(92)), [10, 0]);
}

#[test]
fn what_came_again_of_a_frame_that_was_given_up_is_counted_with_the_next_one() {
    let mut receiver = Receiver::new();
    receiver.take(after(5), 0, 0..10);
    assert_eq!(retransmitted(&mut receiver, after(5)), [0]);
    receiver.take(after(38), 1, [0, 1, 2, 5, 6, 7]);
    assert_eq!(receiver.requests(after(38)), [(1, 3..5)]);
    receiver.take(after(60), 1, [3]);
    receiver.take(after(71), 2, 0..10);
    assert_eq!(retransmitted(&mut receiver, after(38 + 60)), [1]);
}
