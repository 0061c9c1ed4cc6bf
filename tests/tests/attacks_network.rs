//! What strangers, and cameras that turned hostile, do to the daemon's port. Each once ended an earlier daemon, or would have.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::{Label, StreamId, Timestamp};
use sdvr_session::for_tests::{Control, MediaHeader};
use sdvr_session::{Event, SetupCode};
use sdvr_tests::hostile_camera::{HostileCamera, connect, hello, random, stream};
use sdvr_tests::{System, wait_until};

/// Runs `attack` while a camera streams, which must lose nothing, and a new camera can still come afterwards.
#[track_caller]
fn bystander_loses_nothing(attack: impl FnOnce(&System)) {
    let mut system = System::with_daemon();
    // Slow enough that only the daemon can lose a frame, and not a busy machine the moment to make it.
    let bystander = system.start_client("bystander", "test:?format=BNCH&bytes=60000&fps=10", &[]);
    system.wait_for_state("bystander", "live");
    // A new camera connects within the first second, and its first frames are not what is measured.
    let verify = system
        .command("sdvr")
        .args(["verify", "bystander", "--seconds", "4", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    attack(&system);
    let output = verify.wait_with_output().unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(findings["frames"].as_u64().unwrap() > 10, "{findings}");
    bystander.assert_nothing_lost(&findings);
    assert!(
        system.daemon().runs(),
        "the daemon has ended: {}",
        system.daemon().log()
    );
    let _late = system.start_client("latecomer", "test:?format=BNCH&bytes=20000&fps=30", &[]);
    system.wait_for_state("latecomer", "live");
    assert!(
        !system.daemon().log().contains("panicked"),
        "{}",
        system.daemon().log()
    );
}

/// Sends `bytes` to a connection of its own; whatever happens to that is right.
fn throw(system: &System, bytes: &[u8]) {
    let mut stream = connect(system);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

#[test]
fn a_port_scan_does_no_harm() {
    bystander_loses_nothing(|system| (0..500).for_each(|_| drop(connect(system))));
}

#[test]
fn random_bytes_do_no_harm() {
    bystander_loses_nothing(|system| {
        for length in [1, 2, 3, 4, 5, 127, 128, 255, 256, 257, 4096, 100_000] {
            throw(system, &random(length));
            // The first byte right, so that more of it is looked at.
            throw(system, &[&[1, 2, 0, 1], random(length).as_slice()].concat());
            throw(system, &[&[3, 2, 0, 1], random(length).as_slice()].concat());
        }
        throw(system, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        throw(system, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    });
}

#[test]
fn a_handshake_cut_anywhere_does_no_harm() {
    bystander_loses_nothing(|system| {
        for length in 0..256 {
            throw(system, &hello().1[..length]);
        }
        for bit in (0..256 * 8).step_by(7) {
            let (_, mut bytes) = hello();
            bytes[bit / 8] ^= 1 << (bit % 8);
            throw(system, &bytes);
        }
    });
}

#[test]
fn a_first_noise_message_of_garbage_is_refused() {
    bystander_loses_nothing(|system| {
        for _ in 0..50 {
            let mut stream = connect(system);
            let (client, bytes) = hello();
            stream.write_all(&bytes).unwrap();
            let mut reply = [0; 192];
            stream.read_exact(&mut reply).unwrap();
            let (_, mut initiation) = client
                .handle_reply(&reply)
                .unwrap()
                .initiate(&[9; 32], &mut UnwrapErr(SysRng))
                .unwrap();
            let at = 112 + usize::from(random(1)[0]) % 120;
            initiation[at] ^= 1;
            stream.write_all(&initiation).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.is_empty(), "the server answered a forged handshake");
        }
    });
}

#[test]
fn a_replayed_handshake_is_refused() {
    bystander_loses_nothing(|system| {
        let mut stream = connect(system);
        let (client, bytes) = hello();
        stream.write_all(&bytes).unwrap();
        let mut reply = [0; 192];
        stream.read_exact(&mut reply).unwrap();
        let (_, initiation) = client
            .handle_reply(&reply)
            .unwrap()
            .initiate(&[9; 32], &mut UnwrapErr(SysRng))
            .unwrap();
        stream.write_all(&initiation).unwrap();
        let mut response = [0; 96];
        stream.read_exact(&mut response).unwrap();
        // The token belongs to the address, so another connection cannot use it; and no connection can without a HELLO.
        let mut again = connect(system);
        let (_, bytes) = hello();
        again.write_all(&bytes).unwrap();
        again.read_exact(&mut reply).unwrap();
        again.write_all(&initiation).unwrap();
        let mut rest = Vec::new();
        let _ = again.read_to_end(&mut rest);
        assert!(rest.is_empty(), "the server answered a replay");
    });
}

#[test]
fn handshakes_held_open_keep_nobody_out_and_end() {
    bystander_loses_nothing(|system| {
        // More than one address may have; the oldest make room.
        let mut held: Vec<TcpStream> = (0..1100).map(|_| connect(system)).collect();
        for stream in &mut held {
            // Half a HELLO, and no more.
            let _ = stream.write_all(&hello().1[..100]);
        }
        let _camera = system.start_client("among-them", "test:?format=BNCH&bytes=1000&fps=10", &[]);
        system.wait_for_state("among-them", "live");
        let begin = Instant::now();
        let last = held.last_mut().unwrap();
        let mut byte = [0];
        assert!(
            matches!(last.read(&mut byte), Ok(0) | Err(_)),
            "the server answered half a HELLO"
        );
        assert!(
            begin.elapsed() < Duration::from_secs(9),
            "a silent stranger was kept for {:?}",
            begin.elapsed()
        );
    });
}

#[test]
fn a_byte_a_second_does_not_keep_a_connection() {
    bystander_loses_nothing(|system| {
        let mut stream = connect(system);
        let begin = Instant::now();
        let bytes = hello().1;
        let ended = bytes.iter().any(|byte| {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(&[*byte]).is_err()
        });
        assert!(
            ended && begin.elapsed() < Duration::from_secs(15),
            "a slow stranger was kept for {:?}",
            begin.elapsed()
        );
    });
}

/// Keys cost nothing: what strangers do that have one must not fill the disk, and is counted.
#[test]
fn strangers_with_keys_get_few_lines_in_the_log() {
    let mut system = System::with_daemon();
    let _camera = system.start_client("holder", "test:?format=BNCH&bytes=1000&fps=10", &[]);
    system.wait_for_state("holder", "live");
    for _ in 0..60 {
        drop(HostileCamera::handshake(&system));
    }
    for _ in 0..60 {
        let mut thief = HostileCamera::handshake(&system);
        thief.ask("holder");
        while thief.event().is_some() {}
    }
    let told = |log: &str| {
        log.lines()
            .filter(|line| {
                line.contains("handshake not finished") || line.contains("camera refused")
            })
            .count()
    };
    wait_until("some were told", || told(&system.daemon().log()) >= 20);
    // One that is let in is told all the same, and where it comes from.
    let mut new = HostileCamera::handshake(&system);
    new.introduce("newcomer");
    let address = new.stream.local_addr().unwrap();
    let log = system.daemon().log();
    assert_eq!(told(&log), 20, "{log}");
    let line = log
        .lines()
        .find(|line| line.contains("new camera") && line.contains("newcomer"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&format!("peer={address}")), "{line}");
}

/// The rest of what a site may is counted in the session's tests, where the time is theirs.
#[test]
fn a_site_that_switches_on_a_thousand_cameras_is_no_flood() {
    let system = System::with_daemon();
    let come_in = |number: usize| {
        let mut camera = HostileCamera::handshake(&system);
        camera.ask(&format!("camera-{number}"));
        match camera.event() {
            Some(Event::SetupReply(reply)) => assert_eq!(reply.code, SetupCode::Accepted),
            other => panic!("camera {number}: {other:?}"),
        }
    };
    std::thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || (first..1000).step_by(4).for_each(come_in));
        }
    });
    let remembered = std::fs::read_to_string(system.home().join(".sdvr/known_cameras")).unwrap();
    assert_eq!(remembered.lines().count(), 1000);
}

fn media(
    number: u64,
    frame_bytes: u32,
    offset: u32,
    is_first: bool,
    is_last: bool,
    bytes: &[u8],
) -> Vec<u8> {
    let mut message = Vec::new();
    let facts = (
        sdvr_frame::FrameNumber(number),
        Timestamp::now(),
        sdvr_frame::FrameFlags::KEY,
    );
    let header = MediaHeader {
        is_first,
        is_last,
        offset,
        ..MediaHeader::whole(StreamId(0), facts, frame_bytes)
    };
    header.write(&mut message);
    message.extend_from_slice(bytes);
    message
}

/// SETUP with any bytes as its label.
fn setup_with_label(label: &[u8]) -> Vec<u8> {
    let mut body = vec![u8::try_from(label.len()).unwrap()];
    body.extend_from_slice(label);
    body.extend_from_slice(&[1, b'x']);
    let mut message = vec![10, 0];
    message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_le_bytes());
    message.extend_from_slice(&body);
    message
}

#[test]
fn labels_that_could_be_paths_are_refused() {
    bystander_loses_nothing(|system| {
        let long = [b'x'; 64];
        let labels: [&[u8]; 9] = [
            b"",
            b"/",
            b"a/b",
            b"..",
            b"../../etc/passwd",
            b".lock",
            b"a\0b",
            b"\xff\xfe",
            &long,
        ];
        for label in labels {
            let mut camera = HostileCamera::handshake(system);
            camera.send(&setup_with_label(label));
            assert!(camera.ends_thrown_out(), "the label {label:?} was let in");
        }
        let names: Vec<_> = std::fs::read_dir(system.shm())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let is_ours = |name: &String| {
            name == "statistics"
                || sdvr_ring::RingName::parse(name).is_some()
                || name.starts_with('.')
        };
        assert!(names.iter().all(is_ours), "{names:?}");
    });
}

#[test]
fn a_label_like_one_of_our_files_is_only_a_label() {
    bystander_loses_nothing(|system| {
        for label in [
            "server.key",
            "known_cameras",
            "00000000000000000000000000000000.0",
            "lock",
            "statistics",
        ] {
            let mut camera = HostileCamera::handshake(system);
            camera.introduce(label);
            camera.send(&media(1, 4, 0, true, true, b"good"));
            system.wait_for_state(label, "live");
        }
    });
}

#[test]
fn frames_that_cannot_be_end_only_their_session() {
    bystander_loses_nothing(|system| {
        let attacks: Vec<(&str, Vec<Vec<u8>>)> = vec![
            ("no bytes", vec![media(1, 0, 0, true, true, b"")]),
            (
                "larger than announced",
                vec![media(1, 64 * 1024 + 1, 0, true, false, b"x")],
            ),
            ("4 GiB", vec![media(1, u32::MAX, 0, true, false, b"x")]),
            ("past its end", vec![media(1, 4, 0, true, true, b"12345")]),
            (
                "at the end of the numbers",
                vec![media(1, 4, u32::MAX, true, true, b"1234")],
            ),
            (
                "the same number twice",
                vec![
                    media(1, 4, 0, true, true, b"1234"),
                    media(1, 4, 0, true, true, b"1234"),
                ],
            ),
            (
                "a number going back",
                vec![
                    media(9, 4, 0, true, true, b"1234"),
                    media(3, 4, 0, true, true, b"1234"),
                ],
            ),
            (
                "a hole",
                vec![
                    media(1, 8, 0, true, false, b"12"),
                    media(1, 8, 4, false, false, b"56"),
                ],
            ),
            (
                "another frame inside",
                vec![
                    media(1, 8, 0, true, false, b"12"),
                    media(2, 4, 0, true, true, b"1234"),
                ],
            ),
            (
                "another length",
                vec![
                    media(1, 8, 0, true, false, b"12"),
                    media(1, 9, 2, false, false, b"56"),
                ],
            ),
            ("cut short", vec![media(1, 8, 0, true, true, b"12")]),
            ("half a header", vec![vec![20, 1, 0]]),
            (
                "an unknown flag",
                vec![[&[20, 0x80][..], &[0; 30], b"x"].concat()],
            ),
        ];
        for (what, messages) in attacks {
            let mut camera = HostileCamera::handshake(system);
            let label = Label::from_lossy(what);
            camera.introduce(label.as_str());
            messages.iter().for_each(|message| camera.send(message));
            assert!(camera.ends_thrown_out(), "{what}: it was not thrown out");
        }
    });
}

#[test]
fn frames_before_the_decision_end_the_session() {
    bystander_loses_nothing(|system| {
        let mut camera = HostileCamera::handshake(system);
        camera.send(&media(1, 4, 0, true, true, b"1234"));
        assert!(camera.ends_thrown_out());
    });
}

#[test]
fn a_record_of_absurd_length_ends_the_session() {
    bystander_loses_nothing(|system| {
        for length in [0_u32, 1, 15, 1 << 20, u32::MAX - 1, u32::MAX] {
            let mut camera = HostileCamera::handshake(system);
            camera.introduce(&format!("absurd-{length}"));
            let _ = camera.stream.write_all(
                &[
                    &length.to_le_bytes()[..],
                    &[0x20, 0, 0, 0],
                    &random(100_000),
                ]
                .concat(),
            );
            assert!(
                camera.ends_thrown_out(),
                "a record of {length} bytes was taken"
            );
        }
    });
}

#[test]
fn a_thousand_streams_are_not_opened() {
    bystander_loses_nothing(|system| {
        let mut camera = HostileCamera::handshake(system);
        camera.introduce("many-streams");
        for number in 1..1000 {
            let mut message = Vec::new();
            Control::OpenStream(stream(number)).write(&mut message);
            camera.send(&message);
        }
        wait_until("some streams are there", || !system.list().is_empty());
        std::thread::sleep(Duration::from_secs(1));
        let streams = system
            .list()
            .iter()
            .filter(|camera| camera["label"] == "many-streams")
            .count();
        assert!(streams <= 8, "{streams} streams");
    });
}

#[test]
fn a_camera_that_reads_nothing_ends_thrown_out() {
    bystander_loses_nothing(|system| {
        let mut camera = HostileCamera::handshake(system);
        camera.introduce("deaf");
        let mut pings = Vec::new();
        (0..200).for_each(|number| Control::Ping(number).write(&mut pings));
        // Every answer stays in the socket's buffers, until there is no room.
        let begin = Instant::now();
        camera
            .stream
            .set_write_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut sealed = Vec::new();
        while begin.elapsed() < Duration::from_secs(20) {
            sealed.clear();
            let (sealer, _) = sdvr_session::for_tests::keys_of(&mut camera.session).unwrap();
            sealer
                .seal(&mut sealed, pings.len(), |out| {
                    out.extend_from_slice(&pings)
                })
                .unwrap();
            if camera.stream.write_all(&sealed).is_err() {
                return;
            }
        }
        panic!("it was never thrown out");
    });
}

#[test]
fn a_camera_flat_out_starves_nobody() {
    bystander_loses_nothing(|system| {
        let _fast = system.start_client("flat-out", "test:?format=BNCH&fps=0&bytes=1000000", &[]);
        system.wait_for_state("flat-out", "live");
        std::thread::sleep(Duration::from_secs(3));
    });
}
