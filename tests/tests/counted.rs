//! Nothing is refused or lost in silence: whatever is turned away, ends or is missing has a counter for its cause, which tells of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rustix::process::Signal;
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::{Control, MediaHeader};
use sdvr_session::{OpenStream, Session};
use sdvr_tests::hostile_camera::{HostileCamera, connect, connect_from, hello, stream};
use sdvr_tests::proxy::{Direction, Harm, Proxy};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{PATIENCE, System, wait_until};

const SOURCE: &str = "test:?format=BNCH&bytes=1000&fps=20";

/// Neither a counter without a test, nor one that nobody sees.
#[test]
fn every_figure_is_provoked_by_a_test_and_shown() {
    let tests = [
        include_str!("counted.rs"),
        include_str!("statistics.rs"),
        include_str!("resources.rs"),
        include_str!("camera_rotation.rs"),
        include_str!("datagrams.rs"),
    ];
    let system = System::with_daemon();
    let shown = system.figures();
    for (name, _) in sdvr::Statistics::default().named() {
        if name.ends_with("_ns") {
            continue;
        }
        assert!(shown[name].is_u64(), "{name}: {shown}");
        let quoted = format!("\"{name}\"");
        // What only a bug could provoke has a test in the daemon.
        let is_exempt = ["busy_ms", "streams_failed"].contains(&name);
        assert!(
            is_exempt || tests.iter().any(|test| test.contains(&quoted)),
            "{name}"
        );
    }
}

#[track_caller]
fn assert_figures(system: &System, expected: &[(&str, u64)]) {
    for (name, least) in expected {
        system.wait_for_figure(name, *least);
    }
    let seen = system.figures();
    for (name, exactly) in expected {
        assert_eq!(seen[name], *exactly, "{name}: {seen}");
    }
}

/// Says bytes and waits until the server hangs up.
fn say(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn strangers_are_counted_by_what_they_did() {
    let system = System::with_daemon();
    // A port scan, and half a HELLO.
    drop(connect(&system));
    let mut half = connect(&system);
    half.write_all(&hello().1[..100]).unwrap();
    drop(half);
    // A browser, and one who says more than a greeting.
    say(
        connect(&system),
        &[b"GET / HTTP/1.1\r\n".as_slice(), &[b' '; 400]].concat(),
    );
    // A camera from the future, which has another version, and one that has none of our ciphers.
    for (place, value) in [(8..10, [9, 9]), (10..12, [0, 0x40])] {
        let (_, mut bytes) = hello();
        bytes[place].copy_from_slice(&value);
        let mut camera = connect(&system);
        camera.write_all(&bytes).unwrap();
        // The one may be told which versions there are. It goes.
        let _ = camera.read(&mut [0; 192]);
    }
    // One that does not have the key which it names.
    let mut forger = connect(&system);
    let (client, bytes) = hello();
    forger.write_all(&bytes).unwrap();
    let mut reply = [0; 192];
    forger.read_exact(&mut reply).unwrap();
    let ready = client.handle_reply(&reply).unwrap();
    let (_, mut initiation) = ready.initiate(&[9; 32], &mut UnwrapErr(SysRng)).unwrap();
    initiation[150] ^= 1;
    say(forger, &initiation);
    // One that waits.
    say(connect(&system), &[]);
    assert_figures(
        &system,
        &[
            ("strangers_gone", 2),
            ("strangers_not_sdvr", 1),
            ("strangers_version", 2),
            ("strangers_not_authentic", 1),
            ("strangers_slow", 1),
            ("strangers", 7),
            ("handshakes", 0),
        ],
    );
}

#[test]
fn strangers_that_make_room_for_others_are_counted() {
    let system = System::with_daemon();
    // One address may have a quarter of 4,096.
    let held: Vec<TcpStream> = (0..1030).map(|_| connect(&system)).collect();
    system.wait_for_figure("strangers_crowded", 6);
    drop(held);
    // Nobody had done anything but that, or gone.
    wait_until("all have gone", || {
        let seen = system.figures();
        let of = |name: &str| seen[name].as_u64().unwrap();
        of("strangers") == 1030
            && of("strangers_crowded") + of("strangers_gone") + of("strangers_slow") == 1030
    });
}

#[test]
fn a_revoked_key_another_s_label_and_a_known_camera_under_another_label_are_counted() {
    let system = System::with_daemon();
    let (holder, revoked) = ([7; 32], [8; 32]);
    HostileCamera::handshake_with(&system, &holder).introduce("door");
    HostileCamera::handshake_with(&system, &holder).introduce("gate");
    let mut streaming = HostileCamera::handshake_with(&system, &revoked);
    streaming.introduce("yard");
    HostileCamera::handshake(&system).ask("door");
    let revoke = system.sdvr(&["keys", "revoke", "yard"]);
    assert!(revoke.status.success(), "{revoke:?}");
    assert!(streaming.ends_thrown_out());
    let mut again = HostileCamera::handshake_with(&system, &revoked);
    again.ask("yard");
    assert!(!again.is_let_in());
    assert_figures(
        &system,
        &[
            ("refused_label", 1),
            ("refused_revoked", 1),
            ("refused", 2),
            ("other_labels", 1),
            ("new_cameras", 2),
            ("sessions_dismissed", 1),
        ],
    );
}

#[test]
fn cameras_that_wait_or_are_not_known_are_counted() {
    let mut system = System::new();
    system.start_daemon(&["--accept", "ask"]);
    // One more than may wait.
    for number in 0..257 {
        let mut camera = HostileCamera::handshake(&system);
        camera.ask(&format!("camera-{number}"));
        assert!(!camera.is_let_in());
    }
    let expected = [
        ("refused_waiting", 256),
        ("refused_too_many", 1),
        ("refused", 257),
    ];
    assert_figures(&system, &expected);
    assert!(system.terminate_daemon().success());

    system.start_daemon(&["--accept", "closed"]);
    let mut stranger = connect(&system);
    let (client, bytes) = hello();
    stranger.write_all(&bytes).unwrap();
    let mut reply = [0; 192];
    stranger.read_exact(&mut reply).unwrap();
    let ready = client.handle_reply(&reply).unwrap();
    let (_, initiation) = ready.initiate(&[9; 32], &mut UnwrapErr(SysRng)).unwrap();
    say(stranger, &initiation);
    assert_figures(
        &system,
        &[("refused_unknown", 1), ("refused", 1), ("strangers", 0)],
    );
}

#[test]
fn a_key_that_two_hosts_have_is_counted() {
    let system = System::with_daemon();
    let come_from = |last: u8| {
        let stream = connect_from(&system, Ipv4Addr::new(127, 0, 0, last));
        let mut camera = HostileCamera::handshake_over(stream, &[7; 32]);
        camera.ask("cloned");
        let is_let_in = camera.is_let_in();
        (camera, is_let_in)
    };
    let cameras: Vec<_> = [2, 3, 2, 3, 2].into_iter().map(come_from).collect();
    assert!(!cameras[4].1);
    let expected = [
        ("sessions_replaced", 3),
        ("refused_cloned", 1),
        ("refused", 1),
        ("sessions", 4),
    ];
    assert_figures(&system, &expected);
}

#[test]
fn cameras_that_cannot_be_remembered_are_counted() {
    let mut system = System::new();
    let keys = system.home().join("keys");
    let Some(_disk) = SmallDisk::mount(&keys, 64 * 1024) else {
        return;
    };
    system.start_daemon(&["-k", keys.to_str().unwrap()]);
    let _ = std::fs::write(keys.join("filler"), vec![0; 128 * 1024]);
    let mut camera = HostileCamera::handshake(&system);
    camera.ask("new");
    assert!(!camera.is_let_in());
    assert_figures(&system, &[("refused_not_stored", 1), ("refused", 1)]);
}

/// A frame of one piece, of the first stream.
fn send_frame(camera: &mut HostileCamera, number: u64, bytes: &[u8]) {
    let mut message = Vec::new();
    write_frame(&mut message, StreamId(0), number, bytes);
    camera.send(&message);
}

fn write_frame(message: &mut Vec<u8>, stream: StreamId, number: u64, bytes: &[u8]) {
    let facts = (FrameNumber(number), Timestamp::now(), FrameFlags::KEY);
    let header = MediaHeader::whole(stream, facts, bytes.len().try_into().unwrap());
    header.write(message);
    message.extend_from_slice(bytes);
}

#[test]
fn sessions_are_counted_by_how_they_ended() {
    let system = System::with_daemon();
    let mut finished = system.start_client("finished", &format!("{SOURCE}&count=5"), &[]);
    assert!(finished.wait().success());
    let mut cut = HostileCamera::handshake(&system);
    cut.introduce("cut");
    drop(cut);
    let mut broken = HostileCamera::handshake(&system);
    broken.introduce("broken");
    send_frame(&mut broken, 1, b"");
    assert!(broken.ends_thrown_out());
    let expected = [
        ("sessions", 3),
        ("sessions_finished", 1),
        ("sessions_cut", 1),
        ("sessions_broken", 1),
    ];
    assert_figures(&system, &expected);
    wait_until("nobody is connected", || {
        system.figures()["cameras_connected"] == 0
    });
}

/// Answers that nobody reads, until there is no room for them; never so many at once that they are a flood.
#[test]
fn a_camera_that_reads_nothing_is_counted() {
    let system = System::with_daemon();
    let connection = connect(&system);
    // What it would take itself.
    rustix::net::sockopt::set_socket_recv_buffer_size(&connection, 4096).unwrap();
    let mut camera = HostileCamera::handshake_over(connection, &[7; 32]);
    camera.introduce("deaf");
    let mut pings = Vec::new();
    (0..1300).for_each(|number| Control::Ping(number).write(&mut pings));
    let begin = Instant::now();
    let mut sent = 0;
    while system.figures()["sessions_deaf"] == 0 {
        let seen = system.figures();
        assert!(begin.elapsed() < 6 * PATIENCE, "{seen}");
        // Not before the last ones were answered.
        if seen["received_bytes"].as_u64().unwrap() >= sent {
            camera.send(&pings);
            sent += pings.len() as u64;
        }
    }
}

/// A camera that is stopped, but whose connection stays.
#[test]
fn a_camera_that_is_silent_for_a_minute_is_counted() {
    let system = System::with_daemon();
    let client = system.start_client("silent", SOURCE, &[]);
    system.wait_for_state("silent", "live");
    client.signal(Signal::STOP);
    let begin = Instant::now();
    while system.figures()["sessions_silent"] == 0 {
        assert!(begin.elapsed() < Duration::from_secs(100));
        std::thread::sleep(Duration::from_millis(500));
    }
    client.signal(Signal::CONT);
}

/// Opens a stream without waiting for the answer.
fn open(session: &mut Session, number: u16, change: impl FnOnce(&mut OpenStream)) {
    let mut open = stream(number);
    change(&mut open);
    session.open_stream(open);
}

#[test]
fn streams_are_counted_by_why_they_were_refused() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "64M"]);
    let mut camera = HostileCamera::handshake(&system);
    camera.introduce("camera");
    open(&mut camera.session, 1, |open| open.frame_kib = 60_000);
    open(&mut camera.session, 2, |open| open.frame_kib = 0);
    camera.transmit();
    let expected = [
        ("without_memory", 1),
        ("streams_too_large", 1),
        ("streams_refused", 2),
    ];
    assert_figures(&system, &expected);

    let seen = system.figures();
    assert_eq!(seen["memory_total_bytes"], 64 << 20, "{seen}");

    let mut many = HostileCamera::handshake(&system);
    many.introduce("many");
    for number in 1..9 {
        let mut message = Vec::new();
        Control::OpenStream(stream(number)).write(&mut message);
        many.send(&message);
    }
    system.wait_for_figure("streams_too_many", 1);
    let mut often = HostileCamera::handshake(&system);
    often.introduce("often");
    for number in 0..20 {
        let mut message = Vec::new();
        let mut changed = stream(0);
        changed.instance.0 = [number + 1; 16];
        Control::OpenStream(changed).write(&mut message);
        often.send(&message);
    }
    system.wait_for_figure("streams_too_often", 1);
    system.wait_for_figure("streams", 3);
    let seen = system.figures();
    let causes = [
        "without_memory",
        "streams_too_large",
        "streams_too_many",
        "streams_too_often",
    ];
    let sum: u64 = causes
        .iter()
        .map(|cause| seen[cause].as_u64().unwrap())
        .sum();
    assert_eq!(seen["streams_refused"], sum, "{seen}");
}

/// Those that were not sent, and those that nobody could send.
#[test]
fn frames_are_counted_by_why_they_are_missing() {
    let system = System::with_daemon();
    let key = [5; 32];
    let mut camera = HostileCamera::handshake_with(&system, &key);
    camera.introduce("camera");
    [1, 2, 5]
        .into_iter()
        .for_each(|number| send_frame(&mut camera, number, b"frame"));
    system.wait_for_figure("frames", 3);
    drop(camera);
    system.wait_for_figure("sessions_cut", 1);
    let mut camera = HostileCamera::handshake_with(&system, &key);
    camera.introduce("camera");
    [10, 12]
        .into_iter()
        .for_each(|number| send_frame(&mut camera, number, b"frame"));
    system.wait_for_figure("frames", 5);
    // One of a stream that is not open. There is none for it, and its session ends.
    let mut early = Vec::new();
    write_frame(&mut early, StreamId(1), 1, b"frame");
    camera.send(&early);
    assert_figures(
        &system,
        &[
            ("frames", 5),
            ("frame_bytes", 25),
            ("missing_at_source", 3),
            ("missing_while_away", 4),
            ("frames_missing", 7),
            ("sessions_broken", 1),
        ],
    );
}

/// By a real camera and a network that is cut: what it captured meanwhile is missing because it was away.
#[test]
fn a_cut_in_the_network_is_no_loss_at_the_source() {
    let system = System::with_daemon();
    let proxy = Proxy::new(system.port());
    let mut faults = [Some((Direction::ToDaemon, Harm::Cut { at: 50_000 }))].into_iter();
    proxy.harm(move || faults.next().flatten());
    let source = "test:?format=BNCH&bytes=1000&fps=50";
    let mut command = system.client_command_to(proxy.port(), "camera", source);
    let client = system.start(&mut command, "camera");
    system.wait_for_figure("missing_while_away", 1);
    system.wait_for_figure("sessions", 2);
    let seen = system.figures();
    let sum = ["missing_at_source", "missing_while_away"].map(|name| seen[name].as_u64().unwrap());
    assert_eq!(seen["frames_missing"], sum[0] + sum[1]);
    drop(client);
}
