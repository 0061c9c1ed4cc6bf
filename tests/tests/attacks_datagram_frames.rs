//! What a camera that was let in can do with the frames that it sends in datagrams: it ends its own session, and no other.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::{Control, MediaHeader};
use sdvr_session::{CloseCode, Event, FragmentRequest, OpenStream};
use sdvr_tests::datagram_camera::DatagramCamera;
use sdvr_tests::datagram_camera::live::Scene;
use sdvr_tests::hostile_camera::stream;
use sdvr_tests::wait_until;

/// A fragment of a frame that has ten of a thousand bytes, captured at `captured`.
fn fragment(captured: Timestamp, edit: impl FnOnce(&mut MediaHeader), bytes: usize) -> Vec<u8> {
    let facts = (FrameNumber(1), captured, FrameFlags::NONE);
    let mut header = MediaHeader {
        is_last: false,
        fragment_bytes: 1000,
        ..MediaHeader::whole(StreamId(0), facts, 10_000)
    };
    edit(&mut header);
    let mut message = Vec::new();
    header.write(&mut message);
    message.resize(message.len() + bytes, 7);
    message
}

fn bytes_of(message: &Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

fn lane(number: u32, message: Vec<u8>) -> Vec<u8> {
    bytes_of(&Control::Lane { number, message })
}

fn why_closed(event: &Event) -> Option<CloseCode> {
    match event {
        Event::Closed(close) => Some(close.code),
        _ => None,
    }
}

/// Each of `lies`, said by a camera that was let in, ends its session, and the cameras beside it lose nothing.
#[track_caller]
fn each_ends_its_own_session(lies: Vec<(&str, Vec<Vec<u8>>)>) {
    each_ends(lies, |what, liar| {
        assert_eq!(liar.wait_for(why_closed), CloseCode::Protocol, "{what}");
    });
}

#[track_caller]
fn each_ends(lies: Vec<(&str, Vec<Vec<u8>>)>, hear: impl Fn(&str, &mut DatagramCamera)) {
    let mut scene = Scene::new(&["--threads", "1"]);
    for (number, (what, messages)) in (1_u64..).zip(lies) {
        let mut liar = DatagramCamera::handshake(&scene.system);
        liar.introduce(&format!("liar-{number}"));
        messages.iter().for_each(|message| liar.say(message));
        hear(what, &mut liar);
        scene.system.wait_for_figure("sessions_broken", number);
        assert_eq!(scene.system.figures()["sessions_broken"], number, "{what}");
    }
    scene.lost_nothing();
}

#[test]
fn fragments_that_cannot_be_end_only_their_session() {
    let now = Timestamp::now();
    let lie = |edit: fn(&mut MediaHeader)| vec![fragment(now, edit, 1000)];
    each_ends_its_own_session(vec![
        ("of an empty frame", lie(|header| header.frame_bytes = 0)),
        ("of 4 GiB", lie(|header| header.frame_bytes = u32::MAX)),
        (
            "of more than was announced",
            lie(|header| header.frame_bytes = 64 * 1024 + 1),
        ),
        ("of no length", lie(|header| header.fragment_bytes = 0)),
        (
            "of another length",
            lie(|header| header.fragment_bytes = 999),
        ),
        ("between two", lie(|header| header.offset = 1)),
        (
            "at the end of the numbers",
            lie(|header| header.offset = u32::MAX - 999),
        ),
        (
            "near it, at a multiple",
            lie(|header| header.offset = u32::MAX / 1000 * 1000),
        ),
        ("past its frame", lie(|header| header.offset = 10_000)),
        (
            "longer than its frame",
            lie(|header| header.frame_bytes = 500),
        ),
        ("without bytes", vec![fragment(now, |_| {}, 0)]),
        ("without a whole header", vec![vec![20, 0, 0]]),
        (
            "with an unknown flag",
            vec![[&[20, 0x80][..], &[0; 40]].concat()],
        ),
    ]);
}

#[test]
fn fragments_that_contradict_each_other_end_only_their_session() {
    let now = Timestamp::now();
    let after_the_first = |edit: fn(&mut MediaHeader), bytes| {
        vec![fragment(now, |_| {}, 1000), fragment(now, edit, bytes)]
    };
    each_ends_its_own_session(vec![
        (
            "another length",
            after_the_first(
                |header| (header.frame_bytes, header.offset) = (10_001, 1000),
                1000,
            ),
        ),
        (
            "another time",
            after_the_first(
                |header| header.captured = Timestamp::from_nanoseconds(5),
                1000,
            ),
        ),
        (
            "other flags",
            after_the_first(|header| header.flags = FrameFlags::KEY, 1000),
        ),
        (
            "overlapping",
            after_the_first(
                |header| (header.fragment_bytes, header.offset) = (500, 500),
                500,
            ),
        ),
        (
            "overlapping by a byte",
            after_the_first(|header| header.offset = 999, 1000),
        ),
        (
            "longer than the others",
            after_the_first(|header| header.offset = 1000, 1100),
        ),
    ]);
}

#[test]
fn messages_that_have_no_place_there_end_only_their_session() {
    let nack = Control::Nack {
        stream: StreamId(0),
        requests: vec![FragmentRequest {
            number: FrameNumber(1),
            fragments: 0..1,
        }],
    };
    each_ends_its_own_session(vec![
        ("outside the lane", vec![close_stream()]),
        ("a server's", vec![bytes_of(&nack)]),
        (
            "acknowledges what was never said",
            vec![bytes_of(&Control::LaneAck(1000))],
        ),
        (
            "far ahead in the lane",
            vec![lane(1_000_000, close_stream())],
        ),
        ("cut in its header", vec![vec![1, 0, 8]]),
        ("longer than its datagram", vec![vec![1, 0, 8, 0, 1, 2, 3]]),
    ]);
}

/// What is said in the lane without the session's knowledge is acknowledged, which that does not understand: nobody listens.
#[test]
fn messages_that_have_no_place_in_the_lane_end_only_their_session() {
    // Two have introduced the camera.
    let lies = vec![
        (
            "a passing one in the lane",
            vec![lane(2, bytes_of(&Control::Ping(1)))],
        ),
        ("a lane in the lane", vec![lane(2, lane(3, close_stream()))]),
        (
            "two in one",
            vec![lane(2, [close_stream(), close_stream()].concat())],
        ),
        ("nothing in the lane", vec![lane(2, Vec::new())]),
    ];
    each_ends(lies, |_, _| {});
}

fn close_stream() -> Vec<u8> {
    bytes_of(&Control::CloseStream(StreamId(0)))
}

/// Half a frame is there when the session ends, which the camera does not confirm: nobody waits for the other half.
#[test]
fn half_a_frame_at_the_end_of_a_session_keeps_nobody_busy() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let now = Timestamp::now();
    let mut liar = DatagramCamera::handshake(&scene.system);
    liar.introduce("liar");
    liar.say(&fragment(now, |_| {}, 1000));
    liar.say(&fragment(now, |header| header.offset = 1, 1000));
    scene.system.wait_for_figure("sessions_broken", 1);
    let mut leaver = DatagramCamera::handshake(&scene.system);
    leaver.introduce("leaver");
    leaver.say(&fragment(Timestamp::now(), |_| {}, 1000));
    leaver.session.close(CloseCode::EndOfSource, "no more");
    leaver.transmit();
    scene.system.wait_for_figure("sessions_finished", 1);
    scene.camera.wait_for_frames(30);
    scene.lost_nothing();
}

/// In new datagrams, which are no replays: a number that is there is not published again, nor is what comes after it, and halves that come twice
/// are no whole.
#[test]
fn frames_that_are_said_again_and_halves_that_are_said_twice_are_dropped() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce_stream("again", patient(64));
    let captured = Timestamp::now();
    let mut say = |number: u64, places: std::ops::Range<u32>| {
        for place in places {
            let edit = |header: &mut MediaHeader| {
                header.number = FrameNumber(number);
                header.offset = place * 1000;
            };
            camera.say(&fragment(captured, edit, 1000));
        }
    };
    for _ in 0..3 {
        say(5, 0..10);
    }
    say(3, 0..10);
    for _ in 0..3 {
        say(6, 0..5);
    }
    // It waits until nobody waits for the other half of the one before.
    say(7, 0..10);
    let frames = |scene: &Scene| scene.row("again")["frames"].as_u64().unwrap();
    wait_until("the last frame is there", || frames(&scene) >= 2);
    camera.go_on(Duration::from_millis(500));
    assert_eq!(frames(&scene), 2, "{}", scene.row("again"));
    assert_eq!(scene.system.figures()["sessions_broken"], 0);
    scene.lost_nothing();
}

/// What is held of them is bounded: the oldest is given up for the newest.
#[test]
fn thousands_of_open_frames_take_neither_memory_nor_the_session() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce_stream("many-open", patient(64));
    let before = scene.memory_bytes();
    let beginnings = 5000;
    for number in 0..beginnings {
        let first = |header: &mut MediaHeader| header.number = FrameNumber(number);
        camera.say(&fragment(Timestamp::now(), first, 1000));
        rest_every_twenty(number);
    }
    let after = scene.memory_bytes();
    assert!(after < before + (16 << 20), "{before} to {after} bytes");
    assert_goes_on(&scene, &mut camera, "many-open", beginnings);
    scene.lost_nothing();
}

/// A pace at which the kernel has room for all on a busy machine.
fn rest_every_twenty(number: u64) {
    if number.is_multiple_of(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A stream with frames of so many KiB, for which the daemon waits as long as a busy machine may take.
fn patient(frame_kib: u32) -> OpenStream {
    let mut open = stream(0);
    open.frame_kib = frame_kib;
    open.latency_ms = 2_000;
    open
}

/// The session of the camera goes on: whole frames are published, from `number` on. Nothing is sent again of those that a busy host had no
/// room for, so there are more until one has come.
#[track_caller]
fn assert_goes_on(scene: &Scene, camera: &mut DatagramCamera, label: &str, number: u64) {
    let mut numbers = (number..).map(FrameNumber);
    wait_until("a whole frame of its is there", || {
        let (captured, number) = (Timestamp::now(), numbers.next().unwrap());
        for place in 0..10 {
            let edit = |header: &mut MediaHeader| {
                header.number = number;
                header.captured = captured;
                header.offset = place * 1000;
            };
            camera.say(&fragment(captured, edit, 1000));
        }
        camera.turn();
        let list = scene.system.list();
        list.iter()
            .any(|row| row["label"] == label && row["frames"].as_u64().unwrap() > 0)
    });
    assert_eq!(scene.system.figures()["sessions_broken"], 0);
}

/// Of each frame only the end is sent: what the daemon would keep room for, and would ask for, is a million times that. Each datagram costs no
/// more than others all the same, so that who shares the thread with it loses nothing.
#[test]
fn ends_of_large_frames_cost_neither_memory_nor_time() {
    let mut scene = Scene::new(&["--threads", "1", "--memory", "4G"]);
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce_stream("ends", patient(32 * 1024));
    let before = scene.memory_bytes();
    let frame_bytes: u32 = 32_000_000;
    let ends = 3000;
    for number in 0..ends {
        let end = |header: &mut MediaHeader| {
            header.number = FrameNumber(number);
            header.frame_bytes = frame_bytes;
            header.fragment_bytes = 256;
            header.offset = frame_bytes - 256;
        };
        camera.say(&fragment(Timestamp::now(), end, 256));
        rest_every_twenty(number);
    }
    let after = scene.memory_bytes();
    // Two such frames may be kept room for, and not yet given back.
    let most = u64::from(frame_bytes) * 3;
    assert!(after < before + most, "{before} to {after} bytes");
    assert_goes_on(&scene, &mut camera, "ends", ends);
    scene.lost_nothing();
}

/// Every other fragment of large frames, so that there are as many gaps as fragments.
#[test]
fn frames_full_of_holes_cost_no_time() {
    let mut scene = Scene::new(&["--threads", "1"]);
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce_stream("holes", patient(8 * 1024));
    let frame_bytes: u32 = 8_000_000;
    for number in 0..2 {
        for place in 0..6000 {
            let hole = |header: &mut MediaHeader| {
                header.number = FrameNumber(number);
                header.captured = Timestamp::from_nanoseconds(1_000_000_000);
                header.frame_bytes = frame_bytes;
                header.fragment_bytes = 256;
                header.offset = 512 * place;
            };
            camera.say(&fragment(Timestamp::now(), hole, 256));
            rest_every_twenty(place.into());
        }
    }
    assert_goes_on(&scene, &mut camera, "holes", 2);
    scene.lost_nothing();
}

/// One datagram that names a fragment of a byte, the last of millions, once took gigabytes.
#[test]
fn fragments_of_a_byte_end_only_their_session() {
    let now = Timestamp::now();
    let mut scene = Scene::new(&["--threads", "1"]);
    let before = scene.memory_bytes();
    let mut camera = DatagramCamera::handshake(&scene.system);
    camera.introduce_stream("bytes", patient(32 * 1024));
    let last = |header: &mut MediaHeader| {
        header.frame_bytes = 32_000_000;
        header.fragment_bytes = 1;
        header.offset = 31_999_999;
    };
    camera.say(&fragment(now, last, 1));
    assert_eq!(camera.wait_for(why_closed), CloseCode::Protocol);
    let after = scene.memory_bytes();
    assert!(after < before + (16 << 20), "{before} to {after} bytes");
    scene.lost_nothing();
}
