//! Sessions over a simulated link that loses, repeats, reorders and cuts, on a simulated clock. Each run follows from its seed, which is printed
//! when it fails.
//!
//! Safety: only authentic, whole frames come out, each at most once, in order. Liveness: when faults stop, frames flow.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sdvr_session::{CloseCode, Event, KeyLimits};
use support::Seeded;
use support::datagrams::{Arrived, CALM, ROUGH, Simulation, To, Weather};
use support::seeds::for_each_seed;

#[test]
fn frames_arrive_whole_and_in_order_over_a_calm_link() {
    let mut simulation = Simulation::new(1, CALM);
    simulation.run(3000, 100_000);
    assert!(simulation.sent >= 85, "{}", simulation.sent);
    // The last one is on its way.
    assert!(simulation.arrived.len() as u64 + 1 >= simulation.sent);
    assert_eq!(simulation.rejected, 0);
}

#[test]
fn frames_of_any_size_arrive() {
    for (seed, bytes) in [1, 1103, 1104, 1105, 20_000, 1_000_000]
        .into_iter()
        .enumerate()
    {
        let mut simulation = Simulation::new(seed as u64, CALM);
        simulation.run(2000, bytes);
        assert!(
            simulation.arrived.len() >= 30,
            "{bytes}: {}",
            simulation.arrived.len()
        );
    }
}

#[test]
fn only_authentic_whole_frames_come_out_at_most_once_and_in_order_and_when_faults_stop_they_flow() {
    for_each_seed(2000, |seed| {
        let mut random = Seeded(seed);
        let percent = [0, 5, 20, 50][seed as usize % 4];
        let weather = Weather {
            loss: f64::from(percent) / 100.0,
            burst: 1 + random.below(8) as u32,
            ..ROUGH
        };
        let mut simulation = Simulation::new(seed, weather);
        simulation.set_key_limits(KeyLimits {
            epoch_time: Duration::from_millis(300),
            rekey_time: Duration::from_secs(2),
            ..KeyLimits::default()
        });
        // The simulation holds the safety at every step.
        for _ in 0..4 {
            simulation.run(
                100 + random.below(600),
                1000 + random.below(19_000) as usize,
            );
            match random.below(4) {
                // A client that moves before it is answered has nothing to say from where it is then: its driver begins anew.
                0 if simulation.is_open => simulation.address += 1,
                1 => {
                    simulation.is_cut = true;
                    simulation.run(random.below(800), 2000);
                    simulation.is_cut = false;
                }
                _ => {}
            }
        }
        let before = simulation.arrived.len();
        simulation.set_weather(CALM);
        // One second more than after a mere cut: a client that has moved more often than it may is found a second later.
        simulation.run(4000, 2000);
        assert!(simulation.is_open, "seed {seed}");
        // Those of the last half second, if what was lost last was said again as late as it may be, at both ends.
        let arrived = simulation.arrived_since(before);
        assert!(
            arrived >= 15,
            "seed {seed}: {arrived} frames after the faults"
        );
    });
}

#[test]
fn at_five_per_cent_loss_hardly_a_frame_is_missing() {
    let weather = Weather { loss: 0.05, ..CALM };
    let mut simulation = Simulation::new(3, weather);
    simulation.run(20_000, 100_000);
    let missing = simulation.sent - simulation.arrived.len() as u64;
    assert!(missing <= 1 + 4, "{missing} of {}", simulation.sent);
}

#[test]
fn parity_makes_frames_whole_where_there_is_no_time_to_ask() {
    let weather = Weather {
        loss: 0.02,
        one_way_us: 100_000,
        ..CALM
    };
    // The stream's latency is 120 ms, a round trip takes 200.
    let missing = |percent| {
        let mut simulation = Simulation::new(8, weather);
        simulation.client.set_parity(percent);
        simulation.run(2000, 100_000);
        let (sent, arrived) = (simulation.sent, simulation.arrived.len() as u64);
        simulation.run(20_000, 100_000);
        // Those that are on their way are not missing.
        let sent = simulation.sent - sent;
        (sent, sent - (simulation.arrived.len() as u64 - arrived))
    };
    let (sent, without) = missing(0);
    assert!(without > sent / 2, "{without} of {sent}");
    let (sent, with) = missing(20);
    assert!(with <= 1, "{with} of {sent}");
}

#[test]
fn a_camera_sends_what_the_link_carries_and_all_when_it_carries_all() {
    // Three frames of 20 KB in 100 ms are 600 bytes a millisecond, and 640 with their headers.
    let narrow = Weather {
        bytes_a_millisecond: 380,
        buffer_bytes: 38_000,
        ..CALM
    };
    let mut simulation = Simulation::new(9, narrow);
    simulation.run(8000, 20_000);
    assert_eq!(simulation.keep_one_in, 2);
    let (before, sent) = (simulation.arrived.len(), simulation.sent);
    simulation.run(5000, 20_000);
    let (arrived, sent) = (simulation.arrived_since(before), simulation.sent - sent);
    assert!(arrived as u64 + 1 >= sent, "{arrived} of {sent}");
    simulation.run(20_000, 20_000);
    let trials = |simulation: &Simulation| {
        let events = simulation.client_events.iter();
        events.filter(|event| **event == Event::SendAll).count()
    };
    let before = trials(&simulation);
    assert!((1..=3).contains(&before), "{before} trials");
    simulation.set_weather(CALM);
    simulation.run(45_000, 20_000);
    assert_eq!(
        (simulation.keep_one_in, trials(&simulation)),
        (1, before + 1)
    );
}

#[test]
fn losses_by_chance_and_a_cut_do_not_make_a_camera_send_less() {
    let weather = Weather { loss: 0.1, ..CALM };
    let mut simulation = Simulation::new(10, weather);
    simulation.run(10_000, 20_000);
    simulation.is_cut = true;
    simulation.run(4000, 20_000);
    simulation.is_cut = false;
    simulation.run(20_000, 20_000);
    let advice = |event: &&Event| matches!(event, Event::SendLess { .. });
    assert_eq!(simulation.client_events.iter().find(advice), None);
}

#[test]
fn keys_are_renewed_under_loss_without_a_missing_frame() {
    let weather = Weather { loss: 0.05, ..CALM };
    let mut simulation = Simulation::new(4, weather);
    simulation.set_key_limits(KeyLimits {
        epoch_time: Duration::from_millis(100),
        rekey_time: Duration::from_secs(2),
        ..KeyLimits::default()
    });
    simulation.run(20_000, 50_000);
    assert!(simulation.rekeys >= 5, "{} handshakes", simulation.rekeys);
    let missing = simulation.sent - simulation.arrived.len() as u64;
    assert!(missing <= 1 + 4, "{missing} of {}", simulation.sent);
}

#[test]
fn a_cut_of_any_length_is_survived_and_frames_flow_within_three_seconds_of_its_end() {
    for loss in [0.0, 0.05] {
        for seconds in [1, 30, 600] {
            let mut simulation = Simulation::new(seconds, Weather { loss, ..CALM });
            simulation.run(2000, 5000);
            simulation.is_cut = true;
            simulation.run(1000 * seconds, 5000);
            simulation.is_cut = false;
            let (before, end) = (simulation.arrived.len(), simulation.now());
            simulation.run(10_000, 5000);
            let first = simulation.arrived[before].at.saturating_since(end);
            eprintln!("{seconds} s, then {loss} lost: {first:?}");
            assert!(first < Duration::from_secs(3), "after {seconds} s");
            let arrived = simulation.arrived_since(before);
            assert!(arrived > 290, "{arrived} after {seconds} s");
        }
    }
}

/// The longest time between two frames.
fn longest_gap(arrived: &[Arrived]) -> Duration {
    let gaps = arrived
        .windows(2)
        .map(|pair| pair[1].at.saturating_since(pair[0].at));
    gaps.max().unwrap()
}

#[test]
fn a_client_that_moves_goes_on_in_its_session_within_half_a_second() {
    let longest = AtomicU64::new(0);
    for_each_seed(50, |seed| {
        for loss in [0.0, 0.05] {
            let mut simulation = Simulation::new(seed, Weather { loss, ..CALM });
            simulation.run(1500 + seed % 33, 20_000);
            let before = simulation.arrived.len() - 1;
            for address in 1..=3 {
                simulation.address = address;
                simulation.run(1500, 20_000);
                assert_eq!(simulation.path.address(), address, "seed {seed}");
            }
            let arrived = &simulation.arrived[before..];
            let gap = longest_gap(arrived);
            longest.fetch_max(gap.as_millis() as u64, Ordering::Relaxed);
            assert!(gap <= Duration::from_millis(500), "seed {seed}: {gap:?}");
            assert!(arrived.len() >= 125, "seed {seed}: {}", arrived.len());
        }
    });
    eprintln!("at most {longest:?} ms between two frames");
}

#[test]
fn a_whole_capture_replayed_changes_nothing() {
    let mut simulation = Simulation::new(5, CALM);
    simulation.is_capturing = true;
    simulation.run(2000, 50_000);
    simulation.is_capturing = false;
    let captured = std::mem::take(&mut simulation.captured);
    let (before, rejected) = (simulation.arrived.len(), simulation.rejected);
    for datagram in &captured {
        for to in [To::Server { from: 0 }, To::Client { at: 0 }] {
            simulation.launch(0, to, datagram.clone());
        }
    }
    simulation.run(1000, 50_000);
    assert_eq!(simulation.rejected - rejected, 2 * captured.len() as u64);
    assert!(simulation.arrived_since(before) >= 29);
}

#[test]
fn the_end_is_confirmed_in_spite_of_loss() {
    for_each_seed(100, |seed| {
        let weather = Weather { loss: 0.3, ..CALM };
        let mut simulation = Simulation::new(seed, weather);
        // One that ends before it was accepted has nothing that is to be confirmed.
        while !simulation.is_open {
            simulation.run(100, 20_000);
        }
        simulation.run(1000, 20_000);
        simulation.client.close(CloseCode::EndOfSource, "bye");
        simulation.run(20_000, 20_000);
        let is_closed =
            |events: &[Event]| events.iter().any(|event| matches!(event, Event::Closed(_)));
        assert!(
            is_closed(&simulation.server_events),
            "seed {seed}: at the server"
        );
        assert!(
            is_closed(&simulation.client_events),
            "seed {seed}: at the client"
        );
    });
}

#[test]
fn datagrams_become_as_long_as_the_path_carries() {
    let mut simulation = Simulation::new(6, CALM);
    simulation.run(3000, 50_000);
    assert_eq!(simulation.longest, 1472);
    let mut narrow = Simulation::new(6, CALM);
    narrow.path_bytes = 1300;
    narrow.run(3000, 50_000);
    narrow.longest = 0;
    narrow.run(3000, 50_000);
    assert!(narrow.longest <= 1200, "{}", narrow.longest);
    assert!(narrow.arrived.len() > 170, "{}", narrow.arrived.len());
}

#[test]
fn a_path_that_becomes_narrower_is_noticed_and_frames_flow_within_three_seconds() {
    let mut simulation = Simulation::new(7, CALM);
    simulation.run(3000, 50_000);
    simulation.path_bytes = 1300;
    simulation.run(3000, 50_000);
    let before = simulation.arrived.len();
    simulation.run(1000, 50_000);
    assert!(
        simulation.arrived_since(before) >= 29,
        "{}",
        simulation.arrived_since(before)
    );
}
