//! How long frames take over a link that loses, in simulated time: nothing else runs there, so what is measured is what the rules make of it.

mod support;

use std::time::Duration;

use sdvr_frame::percentile;
use support::datagrams::{CALM, Simulation, Weather};

const FRAME_BYTES: usize = 100_000;
/// As long as a short measurement: what goes wrong at first counts.
const SECONDS: u64 = 7;
const RUNS: u64 = 20;

/// From capture until a frame is handed out, the shortest first; and bytes on the wire for each of the frames'.
fn delays(weather: Weather) -> (Vec<Duration>, f64) {
    let mut delays = Vec::new();
    let (mut sent, mut wire_bytes) = (0, 0);
    for seed in 0..RUNS {
        let mut simulation = Simulation::new(seed, weather);
        simulation.run(1000 * SECONDS, FRAME_BYTES);
        sent += simulation.sent;
        wire_bytes += simulation.wire_bytes;
        let arrived = simulation.arrived.iter();
        delays.extend(arrived.map(|arrived| arrived.at.saturating_since(arrived.captured)));
    }
    delays.sort_unstable();
    (
        delays,
        wire_bytes as f64 / (sent * FRAME_BYTES as u64) as f64,
    )
}

/// Frames of 100 KB, 30 a second, there and back in 20 ms; the most that half of them and nine of ten may take, in milliseconds.
#[track_caller]
fn check(weather: Weather, (half_ms, nine_of_ten_ms): (u64, u64), most_overhead: f64) {
    let (delays, overhead) = delays(weather);
    let within = |per_cent| percentile(&delays, per_cent).expect("some arrived");
    eprintln!(
        "half of the frames within {:?}, 75 % {:?}, 90 % {:?}, 99 % {:?}, {overhead:.3} bytes a byte",
        within(50),
        within(75),
        within(90),
        within(99)
    );
    assert!(within(50) <= Duration::from_millis(half_ms));
    assert!(within(90) <= Duration::from_millis(nine_of_ten_ms));
    assert!(overhead <= most_overhead);
}

fn losing(loss: f64, burst: u32) -> Weather {
    Weather {
        loss,
        burst,
        ..CALM
    }
}

#[test]
fn frames_take_the_way_and_their_pace() {
    check(CALM, (12, 12), 1.08);
}

#[test]
fn half_of_the_frames_take_one_round_trip_more_at_one_per_cent_loss() {
    check(losing(0.01, 1), (33, 40), 1.10);
}

#[test]
fn half_of_the_frames_take_one_round_trip_more_at_five_per_cent_loss() {
    check(losing(0.05, 1), (35, 57), 1.15);
}

#[test]
fn half_of_the_frames_take_one_round_trip_more_when_losses_come_in_bursts() {
    check(losing(0.05, 5), (35, 57), 1.15);
}

#[test]
fn half_of_the_frames_take_two_round_trips_more_at_ten_per_cent_loss() {
    check(losing(0.1, 1), (56, 65), 1.22);
}

/// Where bursts are to blame, frames that leave slowly need nothing again.
#[test]
fn frames_leave_slowly_where_a_buffer_on_the_way_is_small() {
    let weather = Weather {
        bytes_a_millisecond: 12_500,
        buffer_bytes: 40_000,
        ..CALM
    };
    check(weather, (20, 28), 1.15);
}
