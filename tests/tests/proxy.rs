//! Somebody between camera and daemon changes, cuts, repeats and reads what passes: consumers see whole frames of the camera or none.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::server::Door;
use sdvr_session::{Limits, Suites};
use sdvr_tests::consumer::Consumer;
use sdvr_tests::proxy::{Direction, Fault, Harm, Proxy};
use sdvr_tests::random::Random;
use sdvr_tests::{Running, System, wait_until};

/// Two records a frame, so that there are half frames; and so many bytes a second that a record whose length was made a megabyte is soon
/// complete, and found out.
const SOURCE: &str = "test:?format=BNCH&bytes=90000&fps=20";
/// How long harm is done in each test.
const HARM_TIME: Duration = Duration::from_secs(8);
/// How soon frames are back after it. Three seconds are promised; a handshake that was left hanging takes five, and this machine may be busy.
const RECOVERY: Duration = Duration::from_secs(10);

fn start_client(system: &System, proxy: &Proxy, label: &str) -> Running {
    system.start(
        &mut system.client_command_to(proxy.port(), label, SOURCE),
        label,
    )
}

/// Who is trusted, on both ends, without the times.
fn pins(system: &System) -> Vec<String> {
    let mut pins = Vec::new();
    for name in ["known_servers", "known_cameras"] {
        let text = fs::read_to_string(system.home().join(".sdvr").join(name)).unwrap();
        let who = text.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').take(3).collect();
            format!("{name}: {}", words.join(" "))
        });
        pins.extend(who);
    }
    pins.sort();
    pins
}

#[track_caller]
fn is_sound(system: &mut System, consumer: &Consumer) {
    let seen = consumer.seen();
    assert!(seen.wrong.is_empty(), "a consumer saw {:?}", seen.wrong);
    let runs = system.daemon().runs();
    let log = system.daemon().log();
    assert!(runs && !log.contains("panicked"), "{log}");
}

/// Three cameras stream while each of their connections has a fault of `make`; then the faults stop.
#[track_caller]
fn survives(what: &str, mut make: impl FnMut(&mut Random) -> (Direction, Harm) + Send + 'static) {
    let mut random = Random::new(what);
    let mut system = System::with_daemon();
    let proxy = Proxy::new(system.port());
    let labels = ["one", "two", "three"];
    let mut clients = labels.map(|label| start_client(&system, &proxy, label));
    let consumers = labels.map(|label| Consumer::start(&system.shm(), label));
    for consumer in &consumers {
        consumer.wait_for_frames(10, sdvr_tests::PATIENCE);
    }
    let before = pins(&system);
    assert_eq!(before.len(), 1 + labels.len(), "{before:?}");
    proxy.harm(move || Some(make(&mut random)));
    // The connections that are there came without a fault; a new daemon has them all come again.
    system.kill_daemon();
    system.start_daemon(&[]);
    std::thread::sleep(HARM_TIME);
    let harmed = proxy.harmed();
    proxy.heal();
    for (consumer, label) in consumers.iter().zip(labels) {
        let took = consumer.wait_for_frames(10, RECOVERY);
        eprintln!("{label}: {harmed} connections harmed, then frames again after {took:?}");
        is_sound(&mut system, consumer);
    }
    assert!(harmed >= labels.len(), "only {harmed} were harmed");
    assert!(clients.iter_mut().all(Running::runs));
    assert_eq!(pins(&system), before, "what is trusted has changed");
}

#[test]
fn a_server_key_altered_on_the_way_keeps_the_camera_off_only_while_it_is() {
    // The key in HELLO_REPLY, which nothing protects yet when it is compared with the pin.
    survives("key", |random| {
        let (at, bit) = (32 + random.below(32), 3);
        (Direction::ToClient, Harm::Flip { at, bit })
    });
}

/// A place in a connection: half of them in the handshake or just after it.
const fn place(random: &mut Random) -> (Direction, u64) {
    match random.below(4) {
        0 => (Direction::ToDaemon, random.below(1000)),
        1 => (Direction::ToClient, random.below(288)),
        2 => (Direction::ToDaemon, random.below(400_000)),
        // The daemon says little once frames flow.
        _ => (Direction::ToClient, 288 + random.below(150)),
    }
}

#[test]
fn a_flipped_bit_reaches_no_consumer() {
    survives("flip", |random| {
        let (direction, at) = place(random);
        let bit = u8::try_from(random.below(8)).unwrap();
        (direction, Harm::Flip { at, bit })
    });
}

#[test]
fn a_cut_connection_gives_no_half_frame() {
    survives("cut", |random| {
        let (direction, at) = place(random);
        (direction, Harm::Cut { at })
    });
}

#[test]
fn bytes_that_are_lost_doubled_or_swapped_reach_no_consumer() {
    survives("chunk", |random| {
        // A handshake that lacks bytes takes five seconds to give up, so most harm is done to frames.
        let (direction, at) = match random.below(3) {
            0 => place(random),
            _ => (Direction::ToDaemon, 1000 + random.below(400_000)),
        };
        let most = match direction {
            Direction::ToDaemon => 4000,
            Direction::ToClient => 64,
        };
        let length = 1 + random.below(most);
        let harm = match random.below(3) {
            0 => Harm::Drop { at, length },
            1 => Harm::Duplicate { at, length },
            _ => Harm::Swap { at, length },
        };
        (direction, harm)
    });
}

/// Runs a client with a few frames to its end, through a proxy that harms its connection; gives its exit code.
fn run_once(system: &System, proxy: &Proxy, label: &str, fault: Fault) -> Option<i32> {
    proxy.harm(move || fault);
    let source = "test:?format=BNCH&bytes=200&fps=0&count=3";
    let mut command = system.client_command_to(proxy.port(), label, source);
    let output = command.arg("--once").output().unwrap();
    output.status.code()
}

#[test]
fn a_connection_cut_at_each_byte_of_its_beginning_does_no_harm() {
    let mut system = System::with_daemon();
    let to_daemon = (0..700).map(|at| (Direction::ToDaemon, Harm::Cut { at }));
    let to_client = (0..400).map(|at| (Direction::ToClient, Harm::Cut { at }));
    let faults: Vec<_> = to_daemon.chain(to_client).collect();
    // As many clients at a time as there is work for two processors.
    let labels = ["one", "two", "three"];
    let cut = std::thread::scope(|scope| {
        let workers: Vec<_> = labels
            .iter()
            .enumerate()
            .map(|(worker, label)| {
                let (system, faults) = (&system, &faults);
                scope.spawn(move || {
                    let proxy = Proxy::new(system.port());
                    assert_eq!(run_once(system, &proxy, label, None), Some(0));
                    let consumer = Consumer::start(&system.shm(), label);
                    for fault in faults.iter().skip(worker).step_by(labels.len()) {
                        let code = run_once(system, &proxy, label, Some(*fault));
                        // A cut in its last words may go unnoticed.
                        assert!(matches!(code, Some(0 | 1)), "{fault:?}: {code:?}");
                    }
                    let wrong = consumer.seen().wrong;
                    assert!(wrong.is_empty(), "a consumer saw {wrong:?}");
                    proxy.harmed()
                })
            })
            .collect();
        let cut = workers.into_iter().map(|worker| worker.join().unwrap());
        cut.sum::<usize>()
    });
    assert!(cut > faults.len() * 3 / 4, "only {cut} were cut");
    let proxy = Proxy::new(system.port());
    let consumer = Consumer::start(&system.shm(), "one");
    let _client = start_client(&system, &proxy, "one");
    consumer.wait_for_frames(10, RECOVERY);
    is_sound(&mut system, &consumer);
    let pins = pins(&system);
    let cameras = pins
        .iter()
        .filter(|line| line.starts_with("known_cameras"))
        .count();
    assert_eq!(cameras, labels.len(), "{pins:?}");
}

#[test]
fn single_bytes_with_pauses_make_the_same_frames() {
    let mut system = System::with_daemon();
    let proxy = Proxy::new(system.port());
    // Either way; each of the first two connections.
    let mut directions = [Direction::ToDaemon, Direction::ToClient].into_iter();
    proxy.harm(move || Some((directions.next()?, Harm::Trickle)));
    for label in ["slow-there", "slow-back"] {
        let consumer = Consumer::start(&system.shm(), label);
        // A frame a time that the slow way has time for. A busy machine may keep the source from making one.
        let source = "test:?format=BNCH&bytes=3000&fps=5&count=10";
        let mut client = system.start(
            &mut system.client_command_to(proxy.port(), label, source),
            label,
        );
        assert!(client.wait().success(), "{}", client.log());
        let sent = client.figure("sent");
        assert!(sent > 5, "{}", client.log());
        wait_until("all frames are there", || consumer.seen().frames == sent);
        is_sound(&mut system, &consumer);
    }
    assert_eq!(proxy.harmed(), 2);
}

/// What the rings and the daemon say of a camera.
fn published(system: &System, label: &str) -> Vec<(String, u64)> {
    let mut rows: Vec<_> = system
        .list()
        .iter()
        .filter(|camera| camera["label"] == label)
        .map(|camera| {
            (
                camera["state"].to_string(),
                camera["frames"].as_u64().unwrap(),
            )
        })
        .collect();
    rows.sort();
    rows
}

/// Sends `parts`, each after the daemon has answered the one before; gives all that it answered.
fn replay(port: u16, parts: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut answers = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let _ = stream.write_all(part);
        if index + 1 < parts.len() {
            let mut answer = vec![0; 4096];
            let bytes = stream.read(&mut answer).unwrap_or(0);
            answers.extend_from_slice(&answer[..bytes]);
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let begin = Instant::now();
    let _ = stream.read_to_end(&mut answers);
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "the daemon kept a replay"
    );
    answers
}

#[test]
fn a_replayed_connection_publishes_nothing() {
    let mut system = System::with_daemon();
    let proxy = Proxy::new(system.port());
    // Once recorded while it was live, to its end; and once with a newer session live.
    let source = "test:?format=BNCH&bytes=1000&fps=50&count=20";
    let mut first = system.start(
        &mut system.client_command_to(proxy.port(), "camera", source),
        "camera",
    );
    assert!(first.wait().success());
    let recorded = proxy.sent().remove(0);
    assert!(recorded.len() > 20 * 1000);
    let consumer = Consumer::start(&system.shm(), "camera");
    let (hello, rest) = recorded.split_at(256);
    let (initiation, records) = rest.split_at(256);
    let replays: [&[&[u8]]; 4] = [
        &[&recorded],
        &[hello, rest],
        &[hello, initiation, records],
        &[records],
    ];
    let rings = system.rings();
    let before = pins(&system);
    for parts in replays {
        let answers = replay(system.port(), parts);
        // HELLO is answered, and that shows only who the server is.
        assert!(answers.len() <= 192, "{} bytes", answers.len());
    }
    assert!(system.rings().iter().all(|ring| rings.contains(ring)));
    assert_eq!(consumer.seen().frames, 0);
    drop(consumer);

    let _second = start_client(&system, &proxy, "camera");
    system.wait_for_state("camera", "live");
    let consumer = Consumer::start(&system.shm(), "camera");
    consumer.wait_for_frames(10, RECOVERY);
    let live_until_now = proxy.sent().remove(1);
    for parts in replays
        .into_iter()
        .chain([&[live_until_now.as_slice()][..]])
    {
        assert!(replay(system.port(), parts).len() <= 192);
    }
    consumer.wait_for_frames(10, RECOVERY);
    is_sound(&mut system, &consumer);
    // The session that was there is the one that is there: the replays have not taken its place.
    assert_eq!(proxy.sent().len(), 2, "the camera had to connect again");
    assert_eq!(consumer.seen().last.len(), 1, "another run was published");
    assert_eq!(published(&system, "camera").len(), 1);
    assert_eq!(pins(&system), before);
}

/// Whether `needle` is anywhere in `bytes`.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn who_only_listens_learns_neither_key_nor_label_nor_picture() {
    let system = System::with_daemon();
    let proxy = Proxy::new(system.port());
    let source = "test:?format=BNCH&bytes=1000&fps=0&count=2";
    let label = "a-label-to-look-for";
    let mut client = system.client_command_to(proxy.port(), label, source);
    assert!(client.output().unwrap().status.success());
    let sent = proxy.sent().remove(0);
    let keys = sdvr_trust::KeyDirectory::open(&system.home().join(".sdvr")).unwrap();
    let label_value = label.parse().unwrap();
    let key = keys.camera_identity(&label_value, true).unwrap().key;
    assert!(!contains(&sent, &key.public_key().0), "the camera's key");
    assert!(!contains(&sent, label.as_bytes()), "the label");
    for number in 1..=2 {
        let mut frame = [0; 1000];
        let header = sdvr_frame::bench_frame::BenchHeader {
            sequence: sdvr_frame::FrameNumber(number),
            captured: Timestamp::now(),
        };
        sdvr_frame::bench_frame::fill(&mut frame, header);
        // The pattern after the header, any 8 bytes of it.
        let shown = frame[24..]
            .chunks_exact(8)
            .any(|word| contains(&sent, word));
        assert!(!shown, "frame {number}");
    }
}

/// A man in the middle: he passes HELLO on to the daemon, and answers with his own key in the daemon's place, or with what the daemon
/// said. Gives what the client sent after HELLO.
fn man_in_the_middle(daemon: u16, has_own_key: bool) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        // First as a proxy, so that the client pins the daemon's key at this address.
        let (first, _) = listener.accept().unwrap();
        relay(&first, daemon);
        let (mut client, peer) = listener.accept().unwrap();
        let mut hello = [0; 256];
        client.read_exact(&mut hello).unwrap();
        let mut reply = [0; 192];
        if has_own_key {
            let mut random = UnwrapErr(SysRng);
            let (now, limits) = (Timestamp::now(), Limits::default());
            let mut door = Door::new(now, &[66; 32], Suites::all(false), limits, &mut random);
            reply = door
                .handle_hello(now, &peer.into(), &hello, None, &mut random)
                .unwrap();
        } else {
            let mut daemon = TcpStream::connect(("127.0.0.1", daemon)).unwrap();
            daemon.write_all(&hello).unwrap();
            daemon.read_exact(&mut reply).unwrap();
        }
        client.write_all(&reply).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut rest = vec![0; 4096];
        let mut length = 0;
        while let Ok(bytes @ 1..) = client.read(&mut rest[length..]) {
            length += bytes;
        }
        rest.truncate(length);
        // Whatever he answers, he does not own the daemon's key.
        let _ = client.write_all(&[4; 96]);
        rest
    });
    (port, thread)
}

/// Passes a whole connection on, both ways.
fn relay(client: &TcpStream, daemon: u16) {
    let daemon = TcpStream::connect(("127.0.0.1", daemon)).unwrap();
    std::thread::scope(|scope| {
        for (mut from, mut to) in [(client, &daemon), (&daemon, client)] {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
}

/// A camera knows the server, and then meets the man in the middle, who has a key of his own or only the server's words; it ends
/// with `code`. Gives what he heard, and the pins before he came.
fn meet_in_the_middle(system: &System, has_own_key: bool, code: i32) -> (Vec<u8>, Vec<String>) {
    let (port, thread) = man_in_the_middle(system.port(), has_own_key);
    let source = "test:?format=BNCH&bytes=1000&fps=0&count=2";
    let mut client = system.client_command_to(port, "camera", source);
    client.arg("--once");
    assert!(client.output().unwrap().status.success());
    let before = pins(system);
    let output = client.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    (thread.join().unwrap(), before)
}

#[test]
fn a_man_in_the_middle_with_his_own_key_gets_nothing_after_hello() {
    let system = System::with_daemon();
    let (heard, before) = meet_in_the_middle(&system, true, 3);
    assert!(heard.is_empty(), "the client said {heard:?}");
    assert_eq!(pins(&system), before);
}

#[test]
fn a_man_in_the_middle_with_the_server_s_words_gets_no_session_and_no_name() {
    let system = System::with_daemon();
    let (heard, before) = meet_in_the_middle(&system, false, 1);
    assert_eq!(heard.len(), 256, "more than HS1 was sent");
    let keys = sdvr_trust::KeyDirectory::open(&system.home().join(".sdvr")).unwrap();
    let label = "camera".parse().unwrap();
    let key = keys.camera_identity(&label, true).unwrap().key;
    assert!(!contains(&heard, &key.public_key().0), "the camera's key");
    assert_eq!(pins(&system), before);
}
