//! Where a camera over UDP is: it may be elsewhere from one datagram to the next, and who passes its datagrams on is not there.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use sdvr_session::Event;
use sdvr_tests::datagram_camera::live::Scene;
use sdvr_tests::datagram_camera::{DatagramCamera, receive, socket_from};
use sdvr_tests::{System, wait_until};

/// A router that has forgotten gives another port, and another network another address: frames go on in the same session and ring, and are
/// none the worse.
#[test]
fn a_camera_that_moves_goes_on_in_its_session_and_ring() {
    let mut scene = Scene::new(&[]);
    let rings = scene.system.rings();
    for address in [
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 0, 0, 7),
        Ipv4Addr::new(127, 1, 2, 3),
    ] {
        scene.camera.move_to(&scene.system, address);
        scene.camera.wait_for_frames(20);
    }
    let sessions = scene.system.figures()["sessions"].as_u64();
    assert_eq!(sessions, Some(2), "of this camera and the one over TCP");
    assert_eq!(scene.system.rings(), rings);
    assert_eq!(scene.system.figures()["cameras_connected"], 2);
    // All of its frames are there, and the readers have lost nothing.
    scene.lost_nothing();
}

fn heard_a_report(event: &Event) -> Option<()> {
    matches!(event, Event::Report(_)).then_some(())
}

fn connected(system: &System, label: &str) -> DatagramCamera {
    let mut camera = DatagramCamera::handshake(system);
    camera.introduce(label);
    camera
}

/// What comes by the socket, but what has come already.
fn heard_by(socket: &UdpSocket) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| receive(socket)).collect()
}

/// What the server says follows it, once it has answered from there.
#[test]
fn a_camera_hears_the_server_where_it_has_moved_to() {
    let system = System::with_daemon();
    let mut camera = connected(&system, "moving");
    for (number, host) in (1..).zip([2, 3]) {
        let elsewhere = socket_from(&system, Ipv4Addr::new(127, 0, 0, host));
        let last = std::mem::replace(&mut camera.socket, elsewhere);
        // The peer moves once a second at most.
        for frame in 0..24 {
            camera.send_frame(vec![frame; 5000]);
            camera.go_on(Duration::from_millis(50));
        }
        // Those of before it moved have come by then, and were forgotten by this.
        camera.go_on(Duration::from_millis(50));
        let _ = heard_by(&last);
        camera.send_frame(vec![0; 5000]);
        camera.wait_for(heard_a_report);
        camera.send_frame(vec![0; 5000]);
        camera.go_on(Duration::from_millis(600));
        assert_eq!(
            heard_by(&last),
            [[0; 0]; 0],
            "the server speaks where it was"
        );
        wait_until("its frames are there", || {
            camera.turn();
            system.list()[0]["frames"] == number * 26
        });
    }
    assert_eq!(system.figures()["sessions"], 1);
}

/// Somebody on the way takes each datagram, and sends it on from an address of its own before the camera's comes: the newest always comes from
/// there. It cannot answer for the camera, so the server goes on where the camera is.
#[test]
fn who_passes_datagrams_on_takes_no_session_over() {
    let system = System::with_daemon();
    let mut camera = connected(&system, "followed");
    let attacker = socket_from(&system, Ipv4Addr::new(127, 0, 0, 66));
    let (mut said_bytes, mut heard_bytes) = (0, 0);
    let mut frames = 0;
    // Longer than a peer may take to move, and to be reported to.
    for number in 0..60 {
        camera.begin_frame(vec![number; 3000]);
        frames += 1;
        for _ in 0..10 {
            let datagrams = camera.poll();
            for datagram in &datagrams {
                attacker.send(datagram).unwrap();
                said_bytes += datagram.len();
            }
            for datagram in &datagrams {
                camera.socket.send(datagram).unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        for challenge in heard_by(&attacker) {
            heard_bytes += challenge.len();
            assert!(challenge.len() < 64, "{} bytes", challenge.len());
        }
        camera.turn();
    }
    camera.wait_for(heard_a_report);
    assert!(heard_bytes > 0, "the attack was none: nobody was asked");
    assert!(heard_bytes < 3 * said_bytes);
    // What the server says goes to the camera all the time.
    for number in 0..10 {
        camera.send_frame(vec![number; 3000]);
        frames += 1;
        camera.go_on(Duration::from_millis(60));
    }
    camera.wait_for(heard_a_report);
    assert_eq!(heard_by(&attacker), [[0; 0]; 0]);
    wait_until("its frames are there", || {
        camera.turn();
        system.list()[0]["frames"] == frames
    });
    assert_eq!(system.figures()["sessions"], 1);
}
