use super::*;

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
const REPORTS_APART: Duration = Duration::from_millis(500);

/// A link, and a camera that does as it is advised.
struct Link {
    breaker: Breaker,
    now: Timestamp,
    /// Packets between two reports if all frames are sent.
    all: u64,
    /// Of them, so many are carried.
    capacity: u64,
    /// What is not carried waits if this is so, and is lost otherwise.
    holds_back: bool,
    waiting: u64,
    /// Of what is carried.
    lost_of_thousand: u64,
    random: u64,
    keep_one_in: u32,
    /// What was advised, and when.
    advised: Vec<(u64, u32)>,
}

impl Link {
    fn new(capacity: u64) -> Self {
        Self {
            breaker: Breaker::new(),
            now: START,
            all: 1500,
            capacity,
            holds_back: false,
            waiting: 0,
            lost_of_thousand: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            keep_one_in: 1,
            advised: Vec::new(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..2 * seconds {
            self.now = self.now + REPORTS_APART;
            let sent = self.all / u64::from(self.keep_one_in);
            let arrived = (sent + self.waiting).min(self.capacity);
            let excess = sent + self.waiting - arrived;
            self.waiting = if self.holds_back { excess } else { 0 };
            let overrun = if self.holds_back { 0 } else { excess };
            let by_chance = (0..arrived)
                .filter(|_| self.below(1000) < self.lost_of_thousand)
                .count() as u64;
            let delay = Duration::from_millis(20 + 500 * self.waiting / self.capacity);
            let counts = (overrun + by_chance, sent);
            if let Some(keep_one_in) = self.breaker.handle_report(self.now, counts, delay) {
                self.keep_one_in = keep_one_in;
                let at = self.now.saturating_since(START).as_secs();
                self.advised.push((at, keep_one_in));
            }
        }
    }
}

#[test]
fn a_link_that_is_overrun_gets_less_until_losses_stop() {
    let mut link = Link::new(300);
    link.run(19);
    // 1500 packets, 750, 375; 300 of 375 is a loss that the rest can live with.
    assert_eq!(link.advised, [(5, 2), (11, 4)]);
    let mut narrow = Link::new(100);
    narrow.run(25);
    assert_eq!(narrow.advised, [(5, 2), (11, 4), (16, 8), (22, 16)]);
}

#[test]
fn more_is_tried_ever_more_seldom_while_the_link_is_too_narrow() {
    let mut link = Link::new(900);
    link.run(600);
    let trials: Vec<u64> = link
        .advised
        .iter()
        .filter(|(_, keep_one_in)| *keep_one_in == 1)
        .map(|(at, _)| *at)
        .collect();
    let apart: Vec<u64> = trials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.is_sorted(), "{apart:?}");
    assert!((3..=7).contains(&trials.len()), "{trials:?}");
    // A trial is over soon: of ten minutes hardly any is spent in them.
    let in_trials: u64 = link
        .advised
        .windows(2)
        .filter(|pair| pair[0].1 == 1)
        .map(|pair| pair[1].0 - pair[0].0)
        .sum();
    assert!(in_trials <= 2 * trials.len() as u64, "{:?}", link.advised);
}

#[test]
fn all_is_sent_again_when_the_link_recovers() {
    let mut link = Link::new(100);
    link.run(30);
    assert_eq!(link.keep_one_in, 16);
    link.capacity = 2000;
    link.run(60);
    assert_eq!(link.keep_one_in, 1, "{:?}", link.advised);
    // And by one step each time.
    let after = &link.advised[4..];
    let shares: Vec<u32> = after.iter().map(|(_, keep_one_in)| *keep_one_in).collect();
    assert_eq!(shares, [8, 4, 2, 1]);
}

#[test]
fn losses_by_chance_never_trip_it() {
    for lost_of_thousand in [0, 10, 50, 100, 200] {
        for all in [1500, 60, 12, 1] {
            let mut link = Link::new(2000);
            link.lost_of_thousand = lost_of_thousand;
            link.all = all;
            link.run(3600);
            assert_eq!(link.advised, [], "{lost_of_thousand} of {all}");
        }
    }
}

#[test]
fn all_is_sent_again_over_a_link_that_loses_by_chance() {
    let mut link = Link::new(900);
    link.lost_of_thousand = 100;
    link.run(8);
    assert_eq!(link.keep_one_in, 2);
    link.capacity = 2000;
    link.run(15);
    assert_eq!(link.keep_one_in, 1);
}

#[test]
fn losses_that_last_less_than_five_seconds_do_not_trip_it() {
    let mut link = Link::new(2000);
    for _ in 0..100 {
        link.capacity = 700;
        link.run(3);
        link.capacity = 2000;
        link.run(4);
    }
    assert_eq!(link.advised, []);
}

#[test]
fn a_link_that_holds_back_ever_more_gets_less() {
    let mut link = Link::new(1000);
    link.holds_back = true;
    link.run(8);
    assert_eq!(link.keep_one_in, 2, "{:?}", link.advised);
    // What had piled up leaves, and trials are taken back before as much piles up again.
    for _ in 0..600 {
        link.run(1);
        assert!(link.waiting <= 8 * link.capacity, "{:?}", link.advised);
    }
    assert!(link.advised.len() < 20, "{:?}", link.advised);
}

#[test]
fn a_longer_way_is_no_rise_without_end() {
    let mut breaker = Breaker::new();
    let mut now = START;
    // 20 ms, from then on 3 s; and a rhythm of reports that drifts against that of the frames, by half a second at most.
    for report in 0..1000_u64 {
        now = now + REPORTS_APART;
        let way = if report < 20 { 20 } else { 3000 };
        let drift = report * 7 % 500;
        let delay = Duration::from_millis(way + drift);
        let advised = breaker.handle_report(now, (0, 100), delay);
        assert_eq!(advised, None, "{report}");
    }
}

#[test]
fn reports_of_hardly_a_packet_tell_of_no_rise() {
    let mut breaker = Breaker::new();
    for report in 0..100_u64 {
        let now = START + Duration::from_secs(report);
        let delay = Duration::from_millis(20 + report * 250);
        assert_eq!(breaker.handle_report(now, (0, 1), delay), None, "{report}");
    }
}

#[test]
fn a_report_tells_how_long_packets_take() {
    let mut times = SendTimes::default();
    let after = |milliseconds| START + Duration::from_millis(milliseconds);
    for millisecond in 0..1000 {
        times.handle_sent(after(millisecond), 10 * millisecond);
    }
    // Packet 5000 was sent half a second ago.
    let delay = times.delay(after(1000), 5001);
    assert_eq!(delay, Duration::from_millis(500));
    let delay = times.delay(after(1000), 5490);
    assert_eq!(delay, Duration::from_millis(500), "to 50 ms");
    assert_eq!(times.delay(after(1000), 9990), Duration::from_millis(50));
    for millisecond in 1000..100_000 {
        times.handle_sent(after(millisecond), 10 * millisecond);
    }
    assert!(times.marks.len() <= MARKS_MOST);
    let oldest = times.delay(after(100_000), 9991);
    assert_eq!(oldest, Duration::from_secs(10));
}
