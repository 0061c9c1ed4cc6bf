//! Two ends over a simulated link and a simulated clock: bytes in arbitrary pieces, delays and stalls.
//!
//! Each run follows from its seed, which is printed when it fails.

mod support;

use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::CloseCode;
use support::seeds::for_each_seed;
use support::simulation::Simulation;
use support::{NOW, setup, stream};

const SEEDS: u64 = 500;

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Close,
    Cut,
}

fn run(mut simulation: Simulation, seed: u64) {
    let end = if seed.is_multiple_of(3) {
        End::Cut
    } else {
        End::Close
    };
    let lasts = Duration::from_millis(500 + simulation.random.below(4000));
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    simulation.run_until(NOW + lasts);
    match end {
        End::Close => {
            simulation.client.close(CloseCode::EndOfSource, "");
            simulation.next_frame = Timestamp::NEVER;
        }
        End::Cut => simulation.up.cut(&mut simulation.random),
    }
    simulation.transmit();
    simulation.run_until(simulation.now + Duration::from_secs(5));
    simulation.check_frames();
    if end == End::Close {
        assert_eq!(simulation.closed, Some(CloseCode::EndOfSource));
        assert!(simulation.end_was_answered);
        assert_eq!(simulation.at_server.arrived.len(), simulation.sent.len());
        simulation.check_keepalive();
    } else {
        assert_eq!(simulation.closed, None, "a cut is no CLOSE");
    }
}

#[test]
fn only_whole_frames_arrive_in_order_and_at_most_once() {
    for_each_seed(SEEDS, |seed| run(Simulation::new(seed), seed));
}

#[test]
fn frames_arrive_as_they_do_while_keys_are_renewed() {
    for_each_seed(SEEDS, |seed| run(Simulation::renewing(seed), seed));
}

#[test]
fn the_runs_are_worth_something() {
    let mut simulation = Simulation::new(1);
    simulation.client.introduce(setup(), &[stream()]);
    simulation.transmit();
    simulation.run_until(NOW + Duration::from_secs(20));
    let arrived = &simulation.at_server.arrived;
    assert!(arrived.len() > 100, "{}", arrived.len());
    assert!(arrived.iter().any(|frame| frame.missed > 0));
    assert!(arrived.iter().any(|frame| frame.bytes.len() > 65_536));
    assert!(simulation.reports.len() > 10);
}
