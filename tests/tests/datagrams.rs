//! Cameras over UDP, as far as one can see without a real client: one that does as it likes.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use rustix::process::Signal;
use sdvr::Policy;
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::{CloseCode, Event, SetupCode};
use sdvr_tests::datagram_camera::{DatagramCamera, exchange, initiate, receive, socket_from};
use sdvr_tests::hostile_camera::HostileCamera;
use sdvr_tests::{System, wait_until};

fn frame(number: u8, bytes: usize) -> Vec<u8> {
    vec![number; bytes]
}

#[test]
fn a_camera_over_udp_is_there_like_any_other() {
    let mut system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("udp");
    for number in 0..20 {
        camera.send_frame(frame(number, 50_000));
    }
    wait_until("all frames are there", || {
        camera.turn();
        system.list()[0]["frames"] == 20
    });
    let listed = &system.list()[0];
    assert_eq!(
        (&listed["state"], &listed["link"]),
        (&"live".into(), &"udp".into())
    );
    system.wait_for_figure("sessions", 1);
    let log = system.daemon().log();
    assert!(
        log.contains("camera connected camera=udp peer=127.0.0.1:"),
        "{log}"
    );

    // It goes as any other does.
    camera.session.close(CloseCode::EndOfSource, "no more");
    camera.transmit();
    let said = camera.wait_for(|event| match event {
        Event::Closed(close) => Some(close.code),
        _ => None,
    });
    assert_eq!(said, CloseCode::EndOfSource);
    wait_until("it is gone", || system.list().is_empty());
}

/// Microseconds in 32 bits go round after 71.6 minutes.
#[test]
fn frames_captured_hours_apart_keep_their_times() {
    let system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("hours");
    let mut reader = sdvr::Camera::wait_for_in(&system.shm(), "hours");
    let now = Timestamp::now();
    let round = Duration::from_micros(1 << 32);
    for (number, captured) in (0..).zip([now - 2 * round, now - round, now]) {
        let facts = (FrameNumber(number), captured, FrameFlags::KEY);
        camera
            .session
            .send_frame(Timestamp::now(), StreamId(0), facts, frame(1, 2_000))
            .unwrap();
        let mut seen = None;
        wait_until("the frame is there", || {
            camera.turn();
            let next = reader.next(Policy::Every, Duration::from_millis(1));
            seen = next.unwrap_or_default();
            seen.is_some()
        });
        let wrong_by = seen.unwrap().captured().nanoseconds_since(captured);
        assert!(
            wrong_by.unsigned_abs() < Duration::from_secs(60).as_nanos().try_into().unwrap(),
            "frame {number} is wrong by {wrong_by} ns"
        );
    }
}

#[test]
fn trust_is_the_same_over_udp() {
    let mut system = System::with_daemon();
    let mut owner = HostileCamera::handshake(&system);
    owner.introduce("door");
    let mut other = DatagramCamera::handshake(&system);
    other.ask("door");
    let answer = other.wait_for(|event| match event {
        Event::SetupReply(reply) => Some(reply.code),
        _ => None,
    });
    assert_eq!(answer, SetupCode::LabelTaken);
    system.wait_for_figure("refused_label", 1);

    // The same camera over the other link: its newer session takes the place of the older one.
    let key = [9; 32];
    let mut by_udp =
        DatagramCamera::handshake_over(socket_from(&system, Ipv4Addr::LOCALHOST), &key);
    by_udp.introduce("gate");
    let stream = sdvr_tests::hostile_camera::connect(&system);
    HostileCamera::handshake_over(stream, &key).introduce("gate");
    let why = by_udp.wait_for(|event| match event {
        Event::Closed(close) => Some(close.code),
        _ => None,
    });
    assert_eq!(why, CloseCode::Replaced);

    // Whom somebody takes back, hears so.
    let mut gone = DatagramCamera::handshake(&system);
    gone.introduce("gone");
    assert!(system.sdvr(&["keys", "revoke", "gone"]).status.success());
    let why = gone.wait_for(|event| match event {
        Event::Closed(close) => Some(close.code),
        _ => None,
    });
    assert_eq!(why, CloseCode::Revoked);
    system.kill_daemon();
}

/// The answer to the first was lost: there is one session, and one answer.
#[test]
fn a_handshake_that_is_said_again_has_the_same_answer() {
    let system = System::with_daemon();
    let socket = socket_from(&system, Ipv4Addr::LOCALHOST);
    let (_client, initiation) = initiate(&socket, &[5; 32]);
    let first = exchange(&socket, &initiation, 96);
    let second = exchange(&socket, &initiation, 96);
    assert_eq!(first, second);
    // From elsewhere it is a replay.
    let elsewhere = socket_from(&system, Ipv4Addr::new(127, 0, 0, 2));
    elsewhere.send(&initiation).unwrap();
    for _ in 0..20 {
        assert_eq!(receive(&elsewhere), None);
    }
}

/// A link loses all of a frame, and what is sent for it again.
#[test]
fn frames_that_the_link_lost_are_told_from_those_that_were_not_sent() {
    let system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("lossy");
    for number in 0..10 {
        camera.send_frame(frame(number, 5_000));
    }
    wait_until("all are there", || {
        camera.turn();
        system.figures()["frames"] == 10
    });
    // Longer than the stream waits: what is asked for meanwhile comes too late.
    camera.lose_frame(frame(10, 5_000));
    std::thread::sleep(Duration::from_millis(300));
    camera.leave_out(2);
    for number in 13..20 {
        camera.send_frame(frame(number, 5_000));
        camera.go_on(Duration::from_millis(20));
    }
    wait_until("all others are there", || {
        camera.turn();
        system.figures()["frames"] == 17
    });
    let seen = system.figures();
    assert_eq!(seen["missing_on_link"], 1, "{seen}");
    assert_eq!(seen["missing_at_source"], 2, "{seen}");
    assert_eq!(seen["frames_missing"], 3, "{seen}");
}

/// More comes while the daemon does not run than this host has room for.
#[test]
fn packets_without_room_are_counted_and_said() {
    let mut system = System::with_daemon();
    let socket = socket_from(&system, Ipv4Addr::LOCALHOST);
    let daemon = rustix::process::Pid::from_raw(system.daemon().id().cast_signed()).unwrap();
    rustix::process::kill_process(daemon, Signal::STOP).unwrap();
    let mut packet = vec![0; 1200];
    packet[0] = 0x10;
    for _ in 0..40_000 {
        let _ = socket.send(&packet);
    }
    rustix::process::kill_process(daemon, Signal::CONT).unwrap();
    system.wait_for_figure("packets_dropped", 1);
    wait_until("it is said", || {
        system
            .daemon()
            .log()
            .contains("this host had no room for packets of cameras")
    });
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("after");
}

/// What waits in the socket while the daemon does not get to run is late by then, and has not been lost.
#[test]
fn frames_that_the_daemon_comes_late_to_take_are_published() {
    let mut system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("waits");
    let mut number = 0;
    for _ in 0..4 {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(30));
            camera.send_frame(frame(number, 10_000));
            camera.turn();
            number += 1;
        }
        wait_until("all frames so far are there", || {
            camera.turn();
            system.list()[0]["frames"] == number
        });
        system.daemon().signal(Signal::STOP);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(50));
            camera.send_frame(frame(number, 10_000));
            camera.transmit();
            number += 1;
        }
        system.daemon().signal(Signal::CONT);
        wait_until("what came meanwhile is there", || {
            camera.turn();
            system.list()[0]["frames"] == number
        });
    }
    assert_eq!(system.list()[0]["lost"], 0);
}
