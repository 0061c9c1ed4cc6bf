//! Real cameras across bad networks, by UDP and raw Ethernet. Each test has a network of its own; without root they say that nothing was tested.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sdvr_test_link::{INTERFACE, Impairment, Loss, Side};
use sdvr_tests::across::Across;
use sdvr_tests::consumer::Consumer;
use sdvr_tests::{Running, wait_until};

const SOURCE: &str = "test:?format=BNCH&bytes=30000&fps=30";

/// Frames of `label` come, and more of them.
fn wait_for_frames(consumer: &Consumer, more: u64) {
    let before = consumer.seen().frames;
    wait_until("frames flow", || consumer.seen().frames >= before + more);
}

/// Whatever the network did, what was read is what was sent, in order and once.
fn assert_nothing_wrong(consumer: &Consumer, client: &Running) {
    assert_eq!(
        consumer.seen().wrong,
        Vec::<String>::new(),
        "{}",
        client.log()
    );
}

fn link_of(across: &Across) -> String {
    across.system.list()[0]["link"].as_str().unwrap().to_owned()
}

#[test]
fn frames_are_whole_over_a_network_that_loses_repeats_and_mixes_up() {
    let Some(across) = Across::new() else { return };
    across.link.impair_both(Impairment {
        loss: Loss::Random { share: 0.05 },
        delay: Duration::from_millis(5),
        reordering: sdvr_test_link::Reordering {
            probability: 0.05,
            held_back: Duration::from_millis(3),
        },
        duplication: 0.05,
        corruption: 0.02,
        ..Impairment::default()
    });
    let client = across.start_udp("camera", SOURCE);
    let consumer = Consumer::start(&across.system.shm(), "camera");
    wait_for_frames(&consumer, 100);
    assert_nothing_wrong(&consumer, &client);
    assert_eq!(link_of(&across), "udp");
    let figures = across.system.figures();
    assert_eq!(figures["sessions"], 1, "{}", client.log());
    // Of some 2,000 packets a twentieth was lost, and came all the same.
    let camera = &across.system.list()[0];
    assert!(camera["retransmitted"].as_u64() > Some(0), "{camera}");
    assert!(
        figures["packets_retransmitted"].as_u64() > Some(0),
        "{figures}"
    );
}

#[test]
fn after_a_cut_frames_flow_again_in_the_same_ring() {
    let Some(across) = Across::new() else { return };
    let client = across.start_udp("camera", SOURCE);
    let consumer = Consumer::start(&across.system.shm(), "camera");
    wait_for_frames(&consumer, 10);
    let rings = across.system.rings();
    for side in Side::ALL {
        across.link.cut_for(side, Duration::from_secs(5));
    }
    std::thread::sleep(Duration::from_secs(5));
    wait_for_frames(&consumer, 30);
    assert_nothing_wrong(&consumer, &client);
    assert_eq!(across.system.rings(), rings, "{}", client.log());
}

#[test]
fn a_camera_that_gets_another_address_goes_on_in_its_session() {
    let Some(across) = Across::new() else { return };
    let client = across.start_udp("camera", SOURCE);
    let consumer = Consumer::start(&across.system.shm(), "camera");
    wait_for_frames(&consumer, 10);
    let rings = across.system.rings();
    for last in [77, 78] {
        let address = std::net::Ipv4Addr::new(10, 77, 0, last);
        across.link.change_address(Side::A, address.into()).unwrap();
        wait_for_frames(&consumer, 60);
    }
    assert_nothing_wrong(&consumer, &client);
    assert_eq!(across.system.rings(), rings);
    assert_eq!(across.system.figures()["sessions"], 1, "{}", client.log());
}

#[test]
fn a_hole_that_swallows_long_datagrams_is_found() {
    let Some(across) = Across::new() else { return };
    let client = across.start_udp("camera", SOURCE);
    let consumer = Consumer::start(&across.system.shm(), "camera");
    // Until datagrams have grown to what the interface takes.
    wait_for_frames(&consumer, 60);
    across.link.impair_both(Impairment {
        largest_packet_bytes: Some(1300),
        ..Impairment::default()
    });
    wait_for_frames(&consumer, 60);
    assert!(client.log().contains("too long for the link"));
    assert_nothing_wrong(&consumer, &client);
    assert_eq!(across.system.figures()["sessions"], 1, "{}", client.log());
}

#[test]
fn raw_ethernet_is_a_way_like_any_other_and_outlives_its_interface() {
    let Some(across) = Across::new() else { return };
    across.link.impair_both(Impairment {
        loss: Loss::Random { share: 0.02 },
        delay: Duration::from_millis(2),
        ..Impairment::default()
    });
    let client = across.start_ethernet("camera", SOURCE);
    let consumer = Consumer::start(&across.system.shm(), "camera");
    wait_for_frames(&consumer, 60);
    assert_eq!(link_of(&across), "eth");
    for side in Side::ALL {
        let set = |state: &str| {
            let ip = across.link.enter(side, || {
                Command::new("ip")
                    .args(["link", "set", INTERFACE, state])
                    .status()
            });
            assert!(ip.unwrap().success());
        };
        set("down");
        std::thread::sleep(Duration::from_millis(500));
        set("up");
        wait_for_frames(&consumer, 60);
    }
    assert_nothing_wrong(&consumer, &client);
}

#[test]
fn frames_for_signals_come_alone_and_are_no_reason_to_send_less() {
    let Some(across) = Across::new() else { return };
    across.link.impair_both(Impairment {
        loss: Loss::Random { share: 0.05 },
        delay: Duration::from_millis(5),
        ..Impairment::default()
    });
    let client = across.start_udp_with("camera", "test:?format=BNCH&bytes=115000&fps=30", &["-t"]);
    wait_until("it is connected", || client.log().contains("connected"));
    for taken in 1..=5 {
        // In between so little is sent that it says nothing of the link.
        std::thread::sleep(Duration::from_secs(3));
        client.signal(Signal::USR1);
        wait_until("the frame comes", || {
            across.system.list()[0]["frames"] == taken
        });
    }
    assert!(!client.log().contains("carries less"), "{}", client.log());
}
