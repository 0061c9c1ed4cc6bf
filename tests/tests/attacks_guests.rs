//! Who shakes hands over datagrams and has not introduced itself: a guest, of whom there are few at once, and for seconds.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::Ipv4Addr;

use sdvr_session::{Event, SetupCode};
use sdvr_tests::datagram_camera::{DatagramCamera, socket_from};
use sdvr_tests::hostile_camera::random;
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
