use super::*;

const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
const INTERVAL: Duration = Duration::from_millis(33);

/// Sends a frame of 100 fragments; gives how long it took to leave, and how many left at once at most.
fn leave(pace: &mut Pace, began: Timestamp) -> (Duration, usize) {
    pace.begin(began, 100, 1104);
    let times: Vec<Timestamp> = std::iter::from_fn(|| {
        let due = pace.due();
        pace.left();
        (due < Timestamp::NEVER).then_some(due)
    })
    .collect();
    assert_eq!(times.len(), 100);
    assert!(times.is_sorted() && times[0] == began);
    let groups = times.chunk_by(|time, next| time == next);
    let largest = groups.map(<[Timestamp]>::len).max().unwrap();
    (times[99].saturating_since(began), largest)
}

/// A stream at its sender, of which each report tells of a thousand packets.
struct Stream {
    pace: Pace,
    frames: u32,
    reported: u64,
}

impl Stream {
    fn new() -> Self {
        Self {
            pace: Pace::new(),
            frames: 0,
            reported: 0,
        }
    }

    /// Three frames and a report; gives how long the last of them took to leave.
    fn report(&mut self, lost: u64) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..3 {
            (took, _) = leave(&mut self.pace, NOW + INTERVAL.saturating_mul(self.frames));
            self.frames += 1;
        }
        let numbers = self.reported..self.reported + 1000;
        self.reported = numbers.end;
        self.pace.handle_losses(lost, numbers, self.reported);
        took
    }

    /// So many reports, on a link that loses so much of frames that leave fast and of such that leave slowly; gives how many of them
    /// frames left slowly.
    fn reports(&mut self, count: u32, fast: u64, slow: u64) -> u32 {
        let mut slowly = 0;
        for _ in 0..count {
            let is_slow = self.pace.spread() > SHORT.saturating_mul(4);
            self.report(if is_slow { slow } else { fast });
            slowly += u32::from(is_slow);
        }
        slowly
    }
}

#[test]
fn a_frame_leaves_within_two_milliseconds_in_small_groups() {
    let (took, largest) = leave(&mut Pace::new(), NOW);
    assert!(took < SHORT, "{took:?}");
    // The first of them is the burst.
    assert!(largest <= 25, "{largest}");
}

#[test]
fn a_small_frame_leaves_at_once_until_losses_follow() {
    let mut stream = Stream::new();
    let is_at_once = |pace: &mut Pace, number: u32| {
        let began = NOW + INTERVAL.saturating_mul(number);
        pace.begin(began, 18, 1104);
        (0..18).all(|_| {
            let due = pace.due();
            pace.left();
            due == began
        })
    };
    assert!(is_at_once(&mut stream.pace, 0));
    stream.frames = 1;
    stream.report(30);
    assert!(!is_at_once(&mut stream.pace, 4));
}

#[test]
fn losses_spread_frames_over_half_of_their_interval_at_most() {
    let mut stream = Stream::new();
    assert!(stream.report(30) < SHORT);
    let took = stream.report(30);
    assert!(took > INTERVAL / 3 && took < INTERVAL / 2, "{took:?}");
}

#[test]
fn and_no_losses_make_it_fast_again() {
    let mut stream = Stream::new();
    assert!(stream.reports(100, 30, 0) >= 20);
    stream.reports(300, 0, 0);
    let took = stream.report(0);
    assert!(took < SHORT, "{took:?}");
}

#[test]
fn where_leaving_slowly_does_not_help_frames_leave_fast_soon() {
    let mut stream = Stream::new();
    assert!(stream.reports(300, 30, 30) <= 2);
    // It is tried again: the network may be another one.
    assert!((1..=2).contains(&stream.reports(10, 30, 30)));
}

#[test]
fn a_trial_is_judged_by_what_left_slowly_alone() {
    let mut stream = Stream::new();
    stream.report(30);
    // Three reports of what had left before, as on a long way.
    for _ in 0..3 {
        leave(
            &mut stream.pace,
            NOW + INTERVAL.saturating_mul(stream.frames),
        );
        stream.frames += 1;
        let numbers = stream.reported - 500..stream.reported;
        stream.pace.handle_losses(15, numbers, stream.reported);
    }
    let took = stream.report(0);
    assert!(took > INTERVAL / 3, "{took:?}");
    assert!(matches!(stream.pace.mode, Mode::Slow { .. }));
}

#[test]
fn few_losses_are_counted_for_longer() {
    let mut stream = Stream::new();
    // Six of a thousand.
    assert_eq!(stream.reports(4, 6, 6), 0);
    let slowly = stream.reports(30, 6, 6);
    assert!((3..10).contains(&slowly), "{slowly}");
    // One of a thousand is none.
    assert_eq!(Stream::new().reports(1000, 1, 1), 0);
}

#[test]
fn where_it_helps_they_leave_slowly_as_long_as_it_does() {
    let mut stream = Stream::new();
    // Bursts lose 3 %, frames that leave slowly next to nothing.
    stream.reports(10, 30, 3);
    for round in 0..60 {
        assert!(stream.reports(10, 30, 3) >= 8, "{round}");
    }
    // Another network, where it does not help.
    stream.reports(100, 30, 30);
    assert_eq!(stream.reports(100, 30, 30), 0);
}

#[test]
fn a_camera_that_is_faster_than_two_milliseconds_is_not_held_up() {
    let mut pace = Pace::new();
    for number in 0..10 {
        let began = NOW + Duration::from_millis(number);
        let (took, _) = leave(&mut pace, began);
        assert!(
            number < 2 || took < Duration::from_millis(1),
            "{number}: {took:?}"
        );
    }
}
