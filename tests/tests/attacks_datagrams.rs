//! What strangers do to the daemon's port with datagrams. Cameras that stream meanwhile lose nothing, published frames stay as they were sent,
//! the daemon does not grow, and whoever's address is forged hears less than was said in its name.
//!
//! Of what an earlier daemon got wrong over datagrams, and which test holds the rule that has taken its place:
//!
//! | an earlier daemon                                     | now held by                                                                       |
//! |-------------------------------------------------------|-----------------------------------------------------------------------------------|
//! | aborted at a few bytes with a live session's index    | `forged_datagrams_of_a_live_session_do_no_harm`, `datagrams_cut_anywhere_do_no_harm` |
//! | aborted when a handshake's answer was lost            | `a_handshake_said_again_and_again_is_one_guest`, datagrams.rs                     |
//! | aborted at lengths that cannot be, 0, near 2^32       | attacks_datagram_frames.rs, `sdvr-session`: hostile_datagrams.rs, datagram/partial.rs |
//! | wrote past its list of sessions                       | attacks_guests.rs                                                                 |
//! | took another camera's name over datagrams             | datagrams.rs: `trust_is_the_same_over_udp`                                        |
//! | let one fast sender starve all                        | attacks_fast_senders.rs, `forged_datagrams_of_a_live_session_do_no_harm`          |
//! | kept something of each handshake for ever             | attacks_guests.rs, `handshakes_of_garbage_do_no_harm`                             |
//! | made a second session of a repeated handshake         | `a_handshake_said_again_and_again_is_one_guest`                                   |
//! | aborted at a number that came twice                   | attacks_datagram_frames.rs: `frames_that_are_said_again_and_halves_that_are_said_twice_are_dropped` |
//! | showed replayed halves as whole frames                | the same, `captures_said_again_change_nothing`; `sdvr-session`: datagram/replay.rs |
//! | had times of capture that go round after 71 minutes   | datagrams.rs: `frames_captured_hours_apart_keep_their_times`                      |
//! | could not go on after one packet of junk              | `datagrams_cut_anywhere_do_no_harm`; `sdvr-session`: datagram/sealed.rs           |
//! | sealed last fragments so that they did not open       | every live camera here; `sdvr-session`: properties.rs                             |
//! | had no length of its own in a padded Ethernet frame   | `sdvr-session`: datagram/sealed.rs (`an_altered_byte_opens_nothing_and_moves_nothing`), `sdvr-transport` |
//! | matched replies by address and not by session         | attacks_roaming.rs                                                                |
//! | ended at an error of the socket                       | `senders_that_are_gone_do_no_harm`                                                |
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::{Ipv4Addr, UdpSocket};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use sdvr_session::for_tests::{Control, seal_datagram};
use sdvr_tests::PATIENCE;
use sdvr_tests::datagram_camera::live::{Scene, Stranger};
use sdvr_tests::datagram_camera::{DatagramCamera, exchange, initiate, receive, socket_from};
use sdvr_tests::hostile_camera::{hello, random};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

/// A socket of a stranger's, what comes by which counts.
fn stranger_at(scene: &Scene, stranger: &mut Stranger, address: Ipv4Addr) -> UdpSocket {
    let socket = socket_from(&scene.system, address);
    stranger.listen_to(&socket);
    socket
}

/// Says everything from an address of its own, and from the camera's.
fn say_from_both(scene: &Scene, stranger: &mut Stranger, datagrams: &[Vec<u8>]) {
    let elsewhere = stranger_at(scene, stranger, ELSEWHERE);
    for datagram in datagrams {
        stranger.say(&elsewhere, datagram);
        stranger.say(&scene.camera.socket, datagram);
    }
}

/// A datagram with the header of one that belongs to the session of `index`.
fn forged(index: [u8; 4], epoch: u8, counter: u64, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + content.len()).unwrap().to_le_bytes();
    let header = [&[0x10, epoch][..], &length, &index, &counter.to_le_bytes()].concat();
    [&header, content].concat()
}

#[test]
fn random_bytes_do_no_harm() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        let index = scene.camera.index();
        let mut datagrams = Vec::new();
        for length in (0..64).chain([96, 127, 192, 255, 256, 257, 1199, 1200, 1473, 9000, 60_000]) {
            datagrams.push(random(length));
            // More of it is looked at when the first bytes are right.
            for kind in [1, 2, 3, 4, 5, 0x10, 0xff] {
                let mut datagram = random(length.max(4));
                let own_length = u16::try_from(datagram.len()).unwrap().to_le_bytes();
                datagram[..4].copy_from_slice(&[kind, 2, own_length[0], own_length[1]]);
                datagrams.push(datagram.clone());
                if let Some(place) = datagram.get_mut(4..8) {
                    place.copy_from_slice(&index);
                    datagrams.push(datagram);
                }
            }
        }
        say_from_both(scene, stranger, &datagrams);
        stranger.hear();
        assert_eq!(stranger.heard_bytes, 0, "random bytes were answered");
    });
}

/// What is cut or altered changes nothing: what it was made of still counts when it comes afterwards.
#[test]
fn datagrams_cut_anywhere_do_no_harm() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        let mut camera = DatagramCamera::handshake(&scene.system);
        // Before it has introduced itself, when nobody knows yet who it is.
        cut_and_altered(scene, stranger, &mut camera);
        // And of the handshake.
        let prover = socket_from(&scene.system, ELSEWHERE);
        let (_, initiation) = initiate(&prover, &[3; 32]);
        let elsewhere = stranger_at(scene, stranger, ELSEWHERE);
        for (socket, packet) in [(&elsewhere, hello().1), (&prover, initiation)] {
            for length in 0..packet.len() {
                stranger.say(socket, &packet[..length]);
                let mut shortened = packet[..length].to_vec();
                if let Some(place) = shortened.get_mut(2..4) {
                    place.copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
                    stranger.say(socket, &shortened);
                }
            }
            for more in [1, 2, 256, 1000] {
                stranger.say(socket, &[&packet[..], &random(more)].concat());
            }
        }
        stranger.hear();
        assert_eq!(stranger.heard_bytes, 0, "half a HELLO was answered");
        let answers = std::iter::from_fn(|| receive(&prover));
        let lengths: Vec<usize> = answers.map(|answer| answer.len()).collect();
        assert!(!lengths.contains(&96), "half an HS1 was answered");
        assert_eq!(exchange(&prover, &initiation, 96).len(), 96);
    });
}

/// Sends a PING of the camera's cut at each byte, with and without its length told so, and with each bit altered: only the whole is answered.
fn cut_and_altered(scene: &Scene, stranger: &mut Stranger, camera: &mut DatagramCamera) {
    let mut ping = Vec::new();
    Control::Ping(0x1234).write(&mut ping);
    let mut datagram = Vec::new();
    assert!(seal_datagram(&mut camera.session, &ping, &mut datagram));
    let mut datagrams = Vec::new();
    for length in 0..datagram.len() {
        datagrams.push(datagram[..length].to_vec());
        let mut shortened = datagram[..length].to_vec();
        if let Some(place) = shortened.get_mut(2..4) {
            place.copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
            datagrams.push(shortened);
        }
    }
    for bit in 0..datagram.len() * 8 {
        let mut altered = datagram.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        datagrams.push(altered);
    }
    let elsewhere = stranger_at(scene, stranger, ELSEWHERE);
    for datagram in &datagrams {
        stranger.say(&elsewhere, datagram);
        stranger.say(&camera.socket, datagram);
    }
    stranger.hear();
    assert_eq!(stranger.heard_bytes, 0);
    assert_eq!(
        receive(&camera.socket),
        None,
        "half a datagram was answered"
    );
    camera.socket.send(&datagram).unwrap();
    let mut answer = std::iter::repeat_with(|| receive(&camera.socket)).take(1000);
    assert!(
        answer.any(|answer| answer.is_some()),
        "the whole one was not"
    );
}

#[test]
fn captures_said_again_change_nothing() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        scene.camera.wait_for_frames(20);
        let mut captured = scene.camera.captured();
        assert!(captured.len() > 300, "{}", captured.len());
        say_from_both(scene, stranger, &captured);
        captured.reverse();
        say_from_both(scene, stranger, &captured);
        stranger.hear();
        // The HELLO in it may be answered, as any; nothing else.
        assert!(
            stranger.heard_lengths.iter().all(|&bytes| bytes == 192),
            "{:?}",
            stranger.heard_lengths
        );
    });
}

#[test]
fn forged_datagrams_of_a_live_session_do_no_harm() {
    Scene::new(&["--threads", "1"]).loses_nothing_by(|scene, stranger| {
        let index = scene.camera.index();
        let next = u64::try_from(scene.camera.captured().len()).unwrap();
        let counters = [
            0,
            1,
            next,
            next + 1000,
            next + 20_000,
            u64::MAX / 2,
            u64::MAX,
        ];
        let mut datagrams = Vec::new();
        for epoch in [0, 1, 2, 127, 255] {
            for counter in counters {
                for length in [0, 1, 15, 16, 17, 28, 100, 1184, 1400] {
                    datagrams.push(forged(index, epoch, counter, &random(length)));
                }
            }
        }
        for _ in 0..10 {
            say_from_both(scene, stranger, &datagrams);
        }
        stranger.hear();
        assert_eq!(stranger.heard_bytes, 0, "a forged datagram was answered");
    });
}

#[test]
fn greetings_from_many_addresses_do_no_harm() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        for host in 0..200_u8 {
            let sockets: Vec<UdpSocket> = (1..=20)
                .map(|net| stranger_at(scene, stranger, Ipv4Addr::new(127, 7, net, host)))
                .collect();
            for socket in &sockets {
                (0..5).for_each(|_| stranger.say(socket, &hello().1));
            }
            stranger.forget();
        }
        assert!(stranger.heard_bytes > 0, "nobody was answered");
        assert_eq!(
            stranger.heard_lengths.len(),
            1,
            "{:?}",
            stranger.heard_lengths
        );
    });
}

/// A medium's part of the 20,000 HELLOs a second for who has not shown where he is, beside connections: a quarter. The camera comes from where
/// others are that were let in.
#[test]
fn a_flood_of_greetings_is_answered_in_part_and_keeps_no_known_site_out() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        let flood = stranger_at(scene, stranger, ELSEWHERE);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let mut comes_back = None;
            while comes_back
                .as_ref()
                .is_none_or(|it: &ScopedJoinHandle<'_, ()>| !it.is_finished())
            {
                for _ in 0..2_000 {
                    stranger.say(&flood, &hello().1);
                }
                stranger.hear();
                if comes_back.is_none() && scene.system.figures()["strangers_crowded"] != 0 {
                    comes_back =
                        Some(scope.spawn(|| drop(DatagramCamera::handshake(&scene.system))));
                }
                assert!(begin.elapsed() < 2 * PATIENCE, "too few are left out");
            }
        });
        stranger.hear();
        let answers = stranger.heard_bytes / 192;
        let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap() + 1;
        assert!(
            (1..=5_000 * seconds).contains(&answers),
            "{answers} in {seconds} s"
        );
    });
}

#[test]
fn handshakes_of_garbage_do_no_harm() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        let before = scene.system.figures()["strangers_not_authentic"]
            .as_u64()
            .unwrap();
        let mut with_token = 0;
        for host in 0..50_u8 {
            let socket = socket_from(&scene.system, Ipv4Addr::new(127, 8, 0, host));
            for _ in 0..20 {
                let (_, hello) = hello();
                let reply = exchange(&socket, &hello, 192);
                let initiation = garbage_initiation(&hello, &reply[72..104]);
                stranger.say(&socket, &initiation);
                with_token += 1;
                // Said again, with a token of nobody's, and by somebody else.
                stranger.say(&socket, &initiation);
                stranger.say(&socket, &garbage_initiation(&hello, &random(32)));
                stranger.say(&scene.camera.socket, &initiation);
            }
            stranger.listen_to(&socket);
            stranger.forget();
        }
        assert!(
            !stranger.heard_lengths.contains(&96),
            "garbage was answered"
        );
        scene
            .system
            .wait_for_figure("strangers_not_authentic", before + 4 * with_token);
    });
}

/// An HS1 that has this token, and noise where the keys should be.
fn garbage_initiation(hello: &[u8; 256], token: &[u8]) -> Vec<u8> {
    let mut initiation = vec![3, 2, 0, 1];
    initiation.extend_from_slice(&random(4));
    initiation.extend_from_slice(&[0; 8]);
    initiation.extend_from_slice(&hello[..64]);
    initiation.extend_from_slice(token);
    initiation.extend_from_slice(&random(120));
    initiation.resize(256, 0);
    initiation
}

#[test]
fn a_handshake_said_again_and_again_is_one_guest() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        let socket = stranger_at(scene, stranger, ELSEWHERE);
        let (_, initiation) = initiate(&socket, &[4; 32]);
        let before = scene.system.figures()["strangers"].as_u64().unwrap();
        for _ in 0..1000 {
            stranger.say(&socket, &initiation);
        }
        stranger.hear();
        assert_eq!(stranger.heard_lengths, [96].into());
        // It goes as the one that it is.
        scene.system.wait_for_figure("strangers", before + 1);
        assert_eq!(scene.system.figures()["strangers"], before + 1);
    });
}

/// What the daemon answers comes back as an error of the network, and its own words come back as a stranger's.
#[test]
fn senders_that_are_gone_do_no_harm() {
    Scene::new(&[]).loses_nothing_by(|scene, stranger| {
        for _ in 0..300 {
            let socket = socket_from(&scene.system, ELSEWHERE);
            stranger.say(&socket, &hello().1);
        }
        let socket = socket_from(&scene.system, ELSEWHERE);
        let reply = exchange(&socket, &hello().1, 192);
        let (_, initiation) = initiate(&socket, &[6; 32]);
        let response = exchange(&socket, &initiation, 96);
        let elsewhere = stranger_at(scene, stranger, ELSEWHERE);
        for packet in [&reply, &response] {
            stranger.say(&socket, packet);
            stranger.say(&elsewhere, packet);
        }
        stranger.hear();
        assert_eq!(stranger.heard_bytes, 0, "an answer was answered");
    });
}
