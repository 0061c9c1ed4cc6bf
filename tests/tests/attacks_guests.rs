//! Who shakes hands over datagrams and has not introduced itself: a guest, of whom there are few at once, and for seconds.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::Ipv4Addr;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::MediaHeader;
use sdvr_session::{Event, SetupCode};
use sdvr_tests::datagram_camera::live::Scene;
use sdvr_tests::datagram_camera::{DatagramCamera, socket_from};
use sdvr_tests::hostile_camera::{hello, random};
use sdvr_tests::{System, wait_until};

fn accepted(event: &Event) -> Option<SetupCode> {
    match event {
        Event::SetupReply(reply) => Some(reply.code),
        _ => None,
    }
}

/// They shake hands before the first of them is let in: each stays at the shard that its session's index names.
#[test]
fn cameras_that_are_switched_on_at_once_all_come_in_and_are_shared_out() {
    let mut system = System::new();
    system.start_daemon(&["--threads", "4"]);
    let mut cameras: Vec<_> = (0..16)
        .map(|_| DatagramCamera::handshake(&system))
        .collect();
    for (number, camera) in cameras.iter_mut().enumerate() {
        camera.ask(&format!("camera-{number}"));
    }
    let mut per_shard = [0; 4];
    for camera in &mut cameras {
        assert_eq!(camera.wait_for(accepted), SetupCode::Accepted);
        let sent = camera.take_sent();
        let data = sent.iter().find(|datagram| datagram[0] == 0x10).unwrap();
        per_shard[usize::from(data[4])] += 1;
    }
    assert_eq!(per_shard, [4; 4]);
}

/// Where a camera is, it has shown in the handshake. What leaves from elsewhere tells nothing: neither the log nor what one host may do.
#[test]
fn an_introduction_from_elsewhere_counts_for_where_the_handshake_was() {
    let mut system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    let elsewhere = socket_from(&system, Ipv4Addr::new(127, 0, 0, 44));
    let home = std::mem::replace(&mut camera.socket, elsewhere);
    camera.ask("liar");
    camera.socket = home;
    assert_eq!(camera.wait_for(accepted), SetupCode::Accepted);
    let log = system.daemon().log();
    assert!(
        log.contains("new camera") && !log.contains("127.0.0.44"),
        "{log}"
    );
}

/// Who sends frames before it has said who it is, is gone at once: what it says afterwards is nobody's.
#[test]
fn frames_before_the_introduction_end_the_session() {
    let system = System::with_daemon();
    let mut camera = DatagramCamera::handshake(&system);
    let facts = (FrameNumber(0), Timestamp::now(), FrameFlags::KEY);
    let mut frame = Vec::new();
    MediaHeader::whole(StreamId(0), facts, 100).write(&mut frame);
    frame.resize(frame.len() + 100, 7);
    camera.say(&frame);
    camera.ask("early");
    system.wait_for_figure("strangers", 1);
    camera.turn();
    assert_eq!(camera.session.poll_event(), None);
    let figures = system.figures();
    assert_eq!(
        (&figures["sessions"], &figures["handshakes"]),
        (&0.into(), &0.into())
    );
    assert!(system.list().is_empty());
}

/// One site has a quarter of the places. What is more makes room itself, and after five seconds all are gone.
#[test]
fn guests_of_one_site_keep_nobody_out_and_end() {
    let system = System::with_daemon();
    let flood = Ipv4Addr::new(127, 0, 0, 45);
    let key: [u8; 32] = random(32).try_into().unwrap();
    let count: u64 = 1200;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..count / 4 {
                    drop(DatagramCamera::handshake_over(
                        socket_from(&system, flood),
                        &key,
                    ));
                }
            });
        }
    });
    // Another site, while they are all there.
    let mut camera = DatagramCamera::handshake(&system);
    camera.introduce("among-them");
    for number in 0..10 {
        camera.send_frame(vec![number; 20_000]);
    }
    wait_until("its frames are there", || {
        camera.turn();
        system.list()[0]["frames"] == 10
    });
    wait_until("all guests are gone", || {
        camera.turn();
        system.figures()["strangers"] == count
    });
    let figures = system.figures();
    let of = |name: &str| figures[name].as_u64().unwrap();
    assert!(of("strangers_slow") > 0, "{figures}");
    assert_eq!(of("strangers_slow") + of("strangers_crowded"), count);
    assert_eq!((of("handshakes"), of("sessions")), (1, 1), "{figures}");
}

/// All sites together have 3,072 places. Who comes from many addresses has one at each, as the camera has that comes among them.
#[test]
fn more_guests_than_there_are_places_keep_nobody_out() {
    let scene = Scene::new(&[]);
    let key: [u8; 32] = random(32).try_into().unwrap();
    let (threads, each) = (4_u8, 1200_u16);
    let count = u64::from(threads) * u64::from(each);
    scene.loses_nothing_by(|scene, stranger| {
        // The handshakes count their own packets; the scene holds what this one is answered against what it says.
        let greeting = socket_from(&scene.system, Ipv4Addr::new(127, 0, 0, 47));
        stranger.listen_to(&greeting);
        stranger.say(&greeting, &hello().1);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let key = &key;
                scope.spawn(move || {
                    for number in 0..each {
                        let [high, low] = number.to_be_bytes();
                        let address = Ipv4Addr::new(127, 20 + thread, high, low);
                        let socket = socket_from(&scene.system, address);
                        drop(DatagramCamera::handshake_over(socket, key));
                    }
                });
            }
        });
        // Without a session of its own, by which the scene would be another one.
        let other = socket_from(&scene.system, Ipv4Addr::new(127, 0, 0, 46));
        let mut camera = DatagramCamera::handshake_over(other, &[46; 32]);
        camera.ask("by-udp");
        assert_eq!(camera.wait_for(accepted), SetupCode::LabelTaken);
        wait_until("all guests are gone", || {
            scene.system.figures()["strangers"] == count
        });
        let figures = scene.system.figures();
        let of = |name: &str| figures[name].as_u64().unwrap();
        assert_eq!(of("strangers_slow") + of("strangers_crowded"), count);
    });
}
