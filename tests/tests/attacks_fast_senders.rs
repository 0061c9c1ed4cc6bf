//! A camera that sends as fast as it can, by a thread of the daemon's that it shares with others: it gets its turn as they do, and no more.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::{MediaHeader, fragments_of};
use sdvr_tests::datagram_camera::DatagramCamera;
use sdvr_tests::datagram_camera::live::Scene;
use sdvr_tests::hostile_camera::HostileCamera;
use sdvr_tests::wait_until;

const FRAME_BYTES: u32 = 60_000;

/// What is common to all messages of a frame.
fn header(number: u64) -> MediaHeader {
    let facts = (FrameNumber(number), Timestamp::now(), FrameFlags::KEY);
    MediaHeader::whole(StreamId(0), facts, FRAME_BYTES)
}

/// Runs `send`, which sends one frame, again and again, until a camera beside it has sent so many.
fn flood(scene: &Scene, frames: u64, mut send: impl FnMut(u64) + Send) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut numbers = 0..;
            while !is_over.load(Ordering::Relaxed) {
                send(numbers.next().unwrap());
            }
        });
        scene.camera.wait_for_frames(frames);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// The flood was one: more of it was published than of both others.
#[track_caller]
fn was_faster(scene: &Scene) {
    let frames = |label| scene.row(label)["frames"].as_u64().unwrap();
    assert!(frames("flood") > frames("by-udp") + frames("by-tcp"));
}

#[test]
fn a_connection_that_is_never_silent_takes_nothing_from_others() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let mut camera = HostileCamera::handshake(&scene.system);
    camera.introduce("flood");
    let frame = vec![7; FRAME_BYTES as usize];
    flood(&scene, 75, |number| {
        let mut message = Vec::new();
        header(number).write(&mut message);
        message.extend_from_slice(&frame);
        camera.send(&message);
    });
    was_faster(&scene);
    scene.lost_nothing();
}

/// Those who come by the same socket have the kernel's room together, and lose what it has none for: most of that is asked for again, and nothing
/// remains of it once the flood is over.
#[test]
fn datagrams_without_end_take_nothing_from_connections_and_little_from_other_datagrams() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let before = scene.row("by-udp")["frames"].as_u64().unwrap();
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce("flood");
    let frame = vec![7; FRAME_BYTES as usize];
    flood(&scene, 75, |number| {
        let header = MediaHeader {
            fragment_bytes: 1136,
            ..header(number)
        };
        for fragment in fragments_of(&header, &frame, 0) {
            camera.say(&fragment);
        }
    });
    was_faster(&scene);
    // How much faster than the daemon the flood was depends on who else uses this machine, and so does what is lost.
    wait_until("frames came through the flood", || {
        scene.row("by-udp")["frames"].as_u64().unwrap() >= before + 15
    });
    let settled = settled_losses(&scene);
    scene.camera.wait_for_frames(50);
    assert_eq!(
        scene.row("by-udp")["lost"],
        settled,
        "the flood is over and frames are lost"
    );
    scene.connection_had_its_turns();
}

/// What the camera over UDP has lost, when nothing more of the flood can be waited for: it is as long ago as a frame is waited for.
fn settled_losses(scene: &Scene) -> serde_json::Value {
    let flooded = scene.camera.sent_frames();
    wait_until(
        "all that was sent in the flood has come or is given up",
        || {
            let row = scene.row("by-udp");
            row["frames"].as_u64().unwrap() + row["lost"].as_u64().unwrap() >= flooded + 10
        },
    );
    scene.row("by-udp")["lost"].clone()
}
