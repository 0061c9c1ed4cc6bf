//! Wrong keys, wrong files, wrong servers: nothing is sent, nothing already trusted is lost, and the text says what to do.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Output;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::server::Door;
use sdvr_session::{CloseCode, Event, Limits, SetupCode, StreamCode, Suites};
use sdvr_tests::hostile_camera::{HostileCamera, connect_from, stream};
use sdvr_tests::{System, wait_until};
use sdvr_trust::SecretKey;

const SOURCE: &str = "test:?format=BNCH&bytes=1000&fps=20";

fn once(system: &System, label: &str, arguments: &[&str]) -> Output {
    system
        .client_command(label, "test:?format=BNCH&bytes=1000&fps=20&count=5")
        .arg("--once")
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server with a key of its own where the real one was; gives how many bytes a client sent it after HELLO.
fn impostor(port: u16) -> std::thread::JoinHandle<usize> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        let mut random = UnwrapErr(SysRng);
        let mut door = Door::new(
            Timestamp::now(),
            &[66; 32],
            Suites::all(false),
            Limits::default(),
            &mut random,
        );
        let mut hello = [0; 256];
        stream.read_exact(&mut hello).unwrap();
        let reply = door
            .handle_hello(Timestamp::now(), &peer.into(), &hello, None, &mut random)
            .unwrap();
        stream.write_all(&reply).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest.len()
    })
}

#[test]
fn a_server_with_another_key_gets_nothing() {
    let mut system = System::with_daemon();
    assert!(once(&system, "camera", &[]).status.success());
    system.kill_daemon();
    let before = fs::read(system.home().join(".sdvr/known_servers")).unwrap();
    let impostor = impostor(system.port());
    let output = once(&system, "camera", &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(
        impostor.join().unwrap(),
        0,
        "something was sent to the impostor"
    );
    let text = stderr(&output);
    let port = system.port();
    for line in [
        format!("@@@ SDVR: THE SERVER AT [127.0.0.1]:{port} HAS A DIFFERENT KEY @@@"),
        "~/.sdvr/known_servers:1)".to_owned(),
        "Offered  SHA256:".to_owned(),
        "Someone may be intercepting this camera, or the server was reinstalled.".to_owned(),
        "Nothing was sent. No video will flow until you act:".to_owned(),
        "  on the server:  sdvr keys fingerprint        (compare with \"Offered\")".to_owned(),
        format!("  if it matches:  sdvr keys forget [127.0.0.1]:{port}"),
    ] {
        assert!(text.contains(&line), "{line:?} is not in:\n{text}");
    }
    assert_eq!(
        fs::read(system.home().join(".sdvr/known_servers")).unwrap(),
        before,
        "the pin has changed"
    );
    // As the text says.
    assert!(
        system
            .sdvr(&["keys", "forget", &format!("[127.0.0.1]:{port}")])
            .status
            .success()
    );
    fs::remove_file(system.home().join(".sdvr/server.key")).unwrap();
    system.start_daemon(&[]);
    assert!(once(&system, "camera", &[]).status.success());
}

#[test]
fn a_server_key_given_by_hand_is_the_only_one() {
    let system = System::with_daemon();
    let wrong = sdvr_frame::PublicKey([1; 32]).fingerprint().to_string();
    let output = once(&system, "camera", &["--server-key", &wrong]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        stderr(&output).contains("given with --server-key"),
        "{}",
        stderr(&output)
    );
    let keys = system.sdvr(&["keys", "fingerprint"]);
    let text = String::from_utf8(keys.stdout).unwrap();
    let right = text
        .lines()
        .find(|line| line.ends_with("server"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let output = once(&system, "camera", &["--server-key", right]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_label_that_another_camera_has_is_refused_on_both_ends() {
    let mut system = System::with_daemon();
    let first = system.start_client("door", SOURCE, &[]);
    system.wait_for_state("door", "live");
    // Another host: another key directory.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("keys");
    let output = once(&system, "door", &["-k", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = stderr(&output);
    let list = system.list();
    let holder = list[0]["fingerprint"].as_str().unwrap();
    assert!(
        text.contains(holder) && text.contains("sdvr keys forget door"),
        "{text}"
    );
    assert!(
        text.matches("SHA256:").count() >= 2,
        "both keys are named: {text}"
    );
    wait_until("the daemon says so", || {
        system.daemon().log().contains("camera refused")
    });
    let log = system.daemon().log();
    let line = log
        .lines()
        .find(|line| line.contains("camera refused"))
        .unwrap();
    assert!(
        line.contains(holder) && line.matches("SHA256:").count() >= 2,
        "{line}"
    );
    let findings = system.verify("door", 1.0);
    first.assert_nothing_lost(&findings);
    // The way out that the text names.
    assert!(system.sdvr(&["keys", "forget", "door"]).status.success());
    wait_until("the other one gets in", || {
        once(&system, "door", &["-k", other.to_str().unwrap()])
            .status
            .success()
    });
}

#[test]
fn key_files_that_others_can_read_are_refused_with_the_remedy() {
    let mut system = System::with_daemon();
    assert!(once(&system, "camera", &[]).status.success());
    let key = system.home().join(".sdvr/cameras/camera.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let output = once(&system, "camera", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("chmod 0600 {}", key.display())),
        "{}",
        stderr(&output)
    );

    system.kill_daemon();
    let key = system.home().join(".sdvr/server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let output = system.command("sdvrd").args(["-p", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("chmod 0600 {}", key.display())),
        "{}",
        stderr(&output)
    );

    fs::set_permissions(
        system.home().join(".sdvr"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let output = system.command("sdvrd").args(["-p", "0"]).output().unwrap();
    assert!(
        stderr(&output).contains("chmod 0700"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_torn_key_is_refused_and_never_replaced() {
    let system = System::with_daemon();
    assert!(once(&system, "camera", &[]).status.success());
    let key = system.home().join(".sdvr/cameras/camera.key");
    let whole = fs::read(&key).unwrap();
    for length in [0, 1, 18, 19, 30, whole.len() - 1] {
        fs::write(&key, &whole[..length]).unwrap();
        let output = once(&system, "camera", &[]);
        assert_eq!(output.status.code(), Some(1), "{length}: {output:?}");
        assert!(
            stderr(&output).contains("camera.key:"),
            "{}",
            stderr(&output)
        );
        assert_eq!(fs::read(&key).unwrap(), &whole[..length]);
    }
}

#[test]
fn a_daemon_that_cannot_read_whom_it_knows_does_not_start() {
    let mut system = System::with_daemon();
    assert!(once(&system, "camera", &[]).status.success());
    system.kill_daemon();
    let known = system.home().join(".sdvr/known_cameras");
    let whole = fs::read(&known).unwrap();
    fs::write(&known, &whole[..whole.len() - 5]).unwrap();
    let output = system.command("sdvrd").args(["-p", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stderr(&output).contains("known_cameras:1:"),
        "{}",
        stderr(&output)
    );
    fs::remove_file(&known).unwrap();
    symlink("/etc/passwd", &known).unwrap();
    let output = system.command("sdvrd").args(["-p", "0"]).output().unwrap();
    assert!(
        stderr(&output).contains("links are not followed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_camera_is_on_disk_before_its_first_frame() {
    let system = System::with_daemon();
    let _client = system.start_client("camera", SOURCE, &[]);
    // The ring is there before the first frame, so whoever sees the ring must find the pin.
    wait_until("the ring appears", || {
        let names = fs::read_dir(system.shm())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let has_ring = names
            .filter(|name| sdvr_ring::RingName::parse(name).is_some())
            .count()
            > 0;
        if has_ring {
            let known = fs::read_to_string(system.home().join(".sdvr/known_cameras")).unwrap();
            assert!(known.starts_with("camera x25519 "), "{known}");
        }
        has_ring
    });
}

#[test]
fn a_forgotten_camera_loses_its_session() {
    let system = System::with_daemon();
    let client = system.start_client("camera", SOURCE, &[]);
    system.wait_for_state("camera", "live");
    assert!(system.sdvr(&["keys", "forget", "camera"]).status.success());
    wait_until("the client is told", || {
        client.log().contains("not known any more")
    });
    // And it comes back as a new one.
    wait_until("it is new", || {
        fs::read_to_string(system.home().join(".sdvr/known_cameras"))
            .unwrap()
            .contains("camera x25519")
    });
    system.wait_for_state("camera", "live");
}

#[test]
fn a_client_outlives_servers_that_talk_nonsense() {
    let mut system = System::new();
    let listener = TcpListener::bind(("127.0.0.1", system.port())).unwrap();
    let mut client = system.start_client("camera", SOURCE, &[]);
    for round in 0..6 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 256];
        stream.read_exact(&mut hello).unwrap();
        let mut nonsense = vec![0; 192 * (round + 1)];
        getrandom::fill(&mut nonsense).unwrap();
        if round % 2 == 0 {
            nonsense[..8].copy_from_slice(&[2, 2, 192, 0, b'S', b'D', b'V', b'R']);
        }
        let _ = stream.write_all(&nonsense);
        let _ = TcpStream::shutdown(&stream, std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(client.runs(), "{}", client.log());
    }
    drop(listener);
    system.start_daemon(&[]);
    system.wait_for_state("camera", "live");
}

/// Two hosts with a copy of one storage card would throw each other out for ever.
#[test]
fn two_hosts_with_one_key_do_not_throw_each_other_out_for_ever() {
    let mut system = System::with_daemon();
    let key = [7; 32];
    let come_from = |last: u8| {
        let stream = connect_from(&system, Ipv4Addr::new(127, 0, 0, last));
        let mut camera = HostileCamera::handshake_over(stream, &key);
        camera.ask("cloned");
        camera
    };
    // A camera that goes to another network comes from another address, too.
    let mut kept = Vec::new();
    for last in [2, 3, 2, 3] {
        let mut camera = come_from(last);
        assert!(camera.is_let_in(), "{last}");
        kept.push(camera);
    }
    let mut one_more = come_from(2);
    let said = loop {
        match one_more.event() {
            Some(Event::Closed(close)) => break close,
            Some(Event::StreamReply { .. }) | None => panic!("it was let in, or not told why"),
            Some(_) => {}
        }
    };
    assert_eq!(said.code, CloseCode::Cloned);
    assert!(
        said.text.contains("127.0.0.3") && said.text.contains("127.0.0.2"),
        "{said:?}"
    );
    // From the same address it is a reconnect.
    let mut same = come_from(3);
    assert!(same.is_let_in());
    let log = system.daemon().log();
    assert!(
        log.contains("two hosts have this camera's key")
            && log.contains("streaming=127.0.0.3:")
            && log.contains("refused=127.0.0.2:"),
        "{log}"
    );
}

/// A copy that was made before the camera got another key is refused as any other, and takes nothing from the session that goes on.
#[test]
fn a_copy_with_the_key_before_does_not_end_the_session_of_the_key_now() {
    let mut system = System::with_daemon();
    let next = SecretKey::generate().unwrap();
    let (before, now) = ([7; 32], *next.expose());
    let come_from = |last: u8, key: &[u8; 32]| {
        let stream = connect_from(&system, Ipv4Addr::new(127, 0, 0, last));
        let mut camera = HostileCamera::handshake_over(stream, key);
        camera.ask("cloned");
        camera
    };
    let mut first = come_from(2, &before);
    assert!(first.is_let_in());
    first.session.announce_new_id(next.public_key());
    first.transmit();
    while !matches!(first.event().unwrap(), Event::NewIdReply { .. }) {}

    let mut kept = vec![first];
    for (last, key) in [(3, &now), (2, &before), (3, &now)] {
        let mut camera = come_from(last, key);
        assert!(camera.is_let_in(), "{last}");
        kept.push(camera);
    }
    let rings = system.rings();
    let mut copy = come_from(2, &before);
    assert!(!copy.is_let_in());
    let mut streaming = kept.pop().unwrap();
    assert_eq!(system.list()[0]["state"], "live");
    assert_eq!(system.rings(), rings);
    streaming.session.open_stream(stream(1));
    streaming.transmit();
    let answer = loop {
        match streaming.event().expect("the session goes on") {
            Event::StreamReply { stream, code } if stream.0 == 1 => break code,
            Event::Closed(close) => panic!("{close:?}"),
            _ => {}
        }
    };
    assert_eq!(answer, StreamCode::Open);
    system.wait_for_figure("refused_cloned", 1);
    assert!(
        !system.daemon().log().contains("stale"),
        "{}",
        system.daemon().log()
    );
}

#[test]
fn a_camera_that_was_forgotten_has_the_label_under_which_it_comes_back() {
    let system = System::with_daemon();
    let key = [21; 32];
    HostileCamera::handshake_with(&system, &key).introduce("old");
    assert!(system.sdvr(&["keys", "forget", "old"]).status.success());
    wait_until("its session has ended", || system.list().is_empty());
    HostileCamera::handshake_with(&system, &key).introduce("new");
    wait_until("it is there under its new label", || {
        system.list().iter().any(|camera| camera["label"] == "new")
    });
}

/// A `sdvr keys` that was stopped in the middle of its work, say.
#[test]
fn a_process_that_holds_the_key_directory_keeps_no_known_camera_out() {
    let system = System::with_daemon();
    HostileCamera::handshake_with(&system, &[31; 32]).introduce("door");
    let lock = fs::File::open(system.home().join(".sdvr/.lock")).unwrap();
    lock.lock().unwrap();
    let begin = Instant::now();
    for number in 0..5 {
        let mut stranger = HostileCamera::handshake_with(&system, &[40 + number; 32]);
        stranger.ask(&format!("yard{number}"));
        let code = loop {
            match stranger.event() {
                Some(Event::SetupReply(reply)) => break reply.code,
                Some(Event::Closed(_)) | None => panic!("it was not told why"),
                Some(_) => {}
            }
        };
        assert_eq!(code, SetupCode::StoreFailed);
        let mut known = HostileCamera::handshake_with(&system, &[31; 32]);
        known.ask("door");
        assert!(known.is_let_in());
    }
    // A command waits ten seconds for the lock; five decisions that did would take fifty.
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    lock.unlock().unwrap();
    wait_until("a new camera gets in", || {
        let mut camera = HostileCamera::handshake_with(&system, &[50; 32]);
        camera.ask("yard");
        camera.is_let_in()
    });
}
