//! What a camera program does when the server, its memory or the network is not what it should be.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sdvr_tests::{System, wait_until};

/// A picture of `bytes` bytes: a real one, made longer by comments.
fn picture(bytes: usize) -> Vec<u8> {
    // The smallest JPEG there is: one grey pixel.
    const HEAD: &[u8] = b"\xff\xd8";
    const REST: &[u8] = b"\xff\xdb\x00\x43\x00\
        \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\
        \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\
        \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\
        \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\
        \xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00\
        \xff\xc4\x00\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x7f\xff\xd9";
    let mut picture = HEAD.to_vec();
    let mut missing = bytes.saturating_sub(HEAD.len() + REST.len());
    while missing > 4 {
        let content = (missing - 4).min(65_533);
        picture.extend_from_slice(&[0xff, 0xfe]);
        picture.extend_from_slice(&u16::try_from(content + 2).unwrap().to_be_bytes());
        picture.resize(picture.len() + content, b'.');
        missing -= content + 4;
    }
    picture.extend_from_slice(REST);
    picture
}

/// A file of pictures with these lengths.
fn clip(system: &System, lengths: &[usize]) -> (PathBuf, Vec<u8>) {
    let path = system.home().join("clip.mjpg");
    let content: Vec<u8> = lengths.iter().flat_map(|&bytes| picture(bytes)).collect();
    std::fs::write(&path, &content).unwrap();
    (path, content)
}

/// Sends the file, and gives what a reader got and what the client said.
fn through_the_system(
    system: &System,
    clip: &Path,
    pace: &[&str],
) -> (std::process::Output, Vec<u8>) {
    read_while(system, || {
        system
            .client_command("clip", clip.to_str().unwrap())
            .args(pace)
            .output()
            .unwrap()
    })
}

/// What `send` gives, and what a reader of the camera `clip` got meanwhile.
fn read_while<T>(system: &System, send: impl FnOnce() -> T) -> (T, Vec<u8>) {
    let output = system.home().join("out");
    let file = std::fs::File::create(&output).unwrap();
    let mut pipe = system.command("sdvr");
    let mut pipe = system.start(pipe.args(["pipe", "clip", "--wait"]).stdout(file), "pipe");
    wait_until("the reader waits", || pipe.runs());
    std::thread::sleep(Duration::from_millis(300));
    let sent = send();
    pipe.wait();
    (sent, std::fs::read(&output).unwrap())
}

#[test]
fn a_server_that_stops_before_the_end_is_not_taken_for_one_that_has_everything() {
    let mut system = System::with_daemon();
    let mut client = system.start_client(
        "cut-off",
        "test:?format=BNCH&bytes=10000&fps=20&count=60",
        &[],
    );
    wait_until("frames flow", || {
        let list = system.list();
        list.first()
            .is_some_and(|camera| camera["frames"].as_u64() > Some(3))
    });
    system.daemon().signal(Signal::STOP);
    let begin = Instant::now();
    let status = client.wait();
    assert_eq!(status.code(), Some(1), "{}", client.log());
    assert!(begin.elapsed() < Duration::from_secs(60));
    system.daemon().signal(Signal::CONT);
}

#[test]
fn the_end_of_a_source_is_confirmed() {
    let system = System::with_daemon();
    let source = "test:?format=BNCH&bytes=200000&fps=0&count=50";
    let output = system.client_command("whole", source).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (clip, content) = clip(&system, &[5000; 30]);
    let (sent, got) = through_the_system(&system, &clip, &["-r", "50"]);
    assert!(sent.status.success(), "{sent:?}");
    assert!(got == content, "{} of {} bytes", got.len(), content.len());
}

#[test]
fn a_file_that_may_have_lost_frames_on_the_way_does_not_end_well() {
    let mut system = System::with_daemon();
    let way = SlowWay::new(system.port(), 3_000_000);
    let (path, _) = clip(&system, &[100_000; 100]);
    let mut client = system.client_command_to(way.port, "cut", path.to_str().unwrap());
    let mut client = system.start(&mut client, "cut");
    wait_until("frames flow", || {
        let list = system.list();
        list.first()
            .is_some_and(|camera| camera["frames"].as_u64() > Some(3))
    });
    // What was under way then has gone with it.
    system.kill_daemon();
    system.start_daemon(&[]);
    let status = client.wait();
    let said = client.log();
    assert!(said.contains("the source has come to its end"), "{said}");
    assert!(
        said.contains("of the source may not have arrived"),
        "{said}"
    );
    assert_eq!(status.code(), Some(1), "{said}");
}

#[test]
fn a_server_that_needs_seconds_to_confirm_the_end_has_them() {
    let mut system = System::with_daemon();
    let mut client = system.client_command("pipe", "-");
    let mut client = system.start(client.stdin(Stdio::piped()), "pipe");
    let mut pipe = client.child().stdin.take().unwrap();
    for _ in 0..3 {
        pipe.write_all(&picture(5000)).unwrap();
    }
    wait_until("frames are there", || {
        let list = system.list();
        list.first()
            .is_some_and(|camera| camera["frames"].as_u64() > Some(1))
    });
    system.daemon().signal(Signal::STOP);
    drop(pipe);
    std::thread::sleep(Duration::from_secs(4));
    system.daemon().signal(Signal::CONT);
    assert!(client.wait().success(), "{}", client.log());
}

#[test]
fn large_pictures_get_through_a_server_with_little_memory() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "32M"]);
    // Eight times that is more than there may be for one camera.
    let (clip, content) = clip(&system, &[2_000_000; 12]);
    let (sent, got) = through_the_system(&system, &clip, &["-r", "50"]);
    assert!(sent.status.success(), "{sent:?}");
    assert!(got == content, "{} of {} bytes", got.len(), content.len());
}

#[test]
fn pictures_that_grow_all_arrive_and_the_next_session_has_room_for_them_at_once() {
    let mut system = System::with_daemon();
    let lengths: Vec<usize> = [vec![3000; 20], vec![150_000; 20], vec![900_000; 20]].concat();
    let (path, content) = clip(&system, &lengths);
    let (sent, got) = through_the_system(&system, &path, &["-r", "50"]);
    assert!(sent.status.success(), "{sent:?}");
    assert!(got == content, "{} of {} bytes", got.len(), content.len());

    let looped = ["-r", "50", "--loop"];
    let client = system.start_client("grown", path.to_str().unwrap(), &looped);
    wait_until("it has grown twice", || {
        client.log().matches("opening the stream anew").count() == 2
    });
    system.kill_daemon();
    system.start_daemon(&[]);
    system.wait_for_state("grown", "live");
    wait_until("all lengths have come by", || {
        let list = system.list();
        list.iter()
            .any(|camera| camera["label"] == "grown" && camera["frames"].as_u64().unwrap() > 70)
    });
    assert_eq!(
        client.log().matches("opening the stream anew").count(),
        2,
        "{}",
        client.log()
    );
}

#[test]
fn a_stream_that_jumps_to_8_mb_and_back_loses_no_frame_and_gives_its_memory_back() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "640M"]);
    // It shrinks after a minute of small ones.
    let small = [20_000; 25 * 66];
    let lengths = [&[20_000; 20][..], &[8_000_000; 10], &small].concat();
    let memory_bytes = || {
        let output = system.sdvr(&["ls", "--daemon", "--json"]);
        let daemons: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        daemons[0]["memory_used_bytes"].as_u64().unwrap()
    };
    let (mut most, mut last) = (0, 0);
    let mut content = Vec::new();
    // A pipe, of which nothing is dropped, that has its frames when a camera would.
    let (client, got) = read_while(&system, || {
        let mut client = system.client_command("clip", "-");
        let mut client = system.start(client.stdin(Stdio::piped()), "clip");
        let mut pipe = client.child().stdin.take().unwrap();
        for (number, bytes) in lengths.into_iter().enumerate() {
            pipe.write_all(&picture(bytes)).unwrap();
            content.extend(picture(bytes));
            std::thread::sleep(Duration::from_millis(40));
            if number % 5 == 0 {
                last = memory_bytes();
                most = most.max(last);
            }
        }
        drop(pipe);
        assert!(client.wait().success(), "{}", client.log());
        client
    });
    assert!(got == content, "{} of {} bytes", got.len(), content.len());
    let log = client.log();
    assert!(log.contains("frames have become smaller"), "{log}");
    assert!((64 << 20..=640 << 20).contains(&most), "{most}");
    eprintln!(
        "{} frames, all read; {most} bytes of the budget at most, {last} at the end",
        small.len() + 30
    );
    // A stream without a rate has more than its frames need, however small they are.
    assert!(last * 3 < most, "{last} of {most}");
}

#[test]
fn where_there_is_no_room_to_grow_what_fits_goes_on_and_the_rest_is_said() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "4M"]);
    let lengths = [vec![3000; 10], vec![3_000_000; 3], vec![4000; 10]].concat();
    let (path, _) = clip(&system, &lengths);
    let small: usize = lengths.iter().filter(|&&bytes| bytes < 10_000).sum();
    for (pace, code, says) in [
        // A camera that loses frames goes on being one; a file is sent whole or it is an error.
        (&["-r", "50"][..], 0, "captured and not sent"),
        (&[], 1, "3 frames of the source were not sent"),
    ] {
        let (sent, got) = through_the_system(&system, &path, pace);
        assert_eq!(got.len(), small);
        assert_eq!(sent.status.code(), Some(code), "{sent:?}");
        let said = sdvr_tests::text(&sent.stderr);
        assert!(said.contains(says), "{said}");
        wait_until("the next one is another", || system.list().is_empty());
    }
}

/// A way to the daemon that carries so many bytes a second, and counts who comes.
struct SlowWay {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl SlowWay {
    fn new(to_port: u16, bytes_per_second: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                counted.fetch_add(1, Ordering::Relaxed);
                let Ok(server) = TcpStream::connect(("127.0.0.1", to_port)) else {
                    continue;
                };
                let up = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || carry(up.0, up.1, bytes_per_second));
                std::thread::spawn(move || carry(server, client, 10_000_000));
            }
        });
        Self { port, connections }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, bytes_per_second: usize) {
    let mut buffer = vec![0; (bytes_per_second / 20).min(65_536)];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_secs_f64(
            bytes as f64 / bytes_per_second as f64,
        ));
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Seconds of processor time that a process has taken.
fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = |index: usize| -> f64 {
        let word = rest.split_whitespace().nth(index).unwrap();
        word.parse::<f64>().unwrap()
    };
    (ticks(11) + ticks(12)) / 100.0
}

#[test]
fn a_link_on_which_a_record_takes_seconds_carries_one_session() {
    let system = System::with_daemon();
    let way = SlowWay::new(system.port(), 20_000);
    let mut client = system.command("sdvrc");
    client.args(["-d", "127.0.0.1", "-p", &way.port.to_string(), "-n", "slow"]);
    client.args(["-i", "test:?format=BNCH&bytes=90000&fps=5"]);
    let client = system.start(&mut client, "slow");
    system.wait_for_state("slow", "live");
    std::thread::sleep(Duration::from_secs(14));
    assert_eq!(
        way.connections.load(Ordering::Relaxed),
        1,
        "{}",
        client.log()
    );
    let seconds = processor_seconds(client.id());
    assert!(seconds < 5.0, "{seconds} s of processor time in 14 s");
    let list = system.list();
    assert!(list[0]["frames"].as_u64().unwrap() >= 2, "{list:?}");
    assert!(
        client.log().contains("captured and not sent"),
        "{}",
        client.log()
    );
}

#[test]
fn options_that_show_to_be_wrong_with_the_first_frame_are_wrong_usage() {
    let system = System::with_daemon();
    let (path, _) = clip(&system, &[3000; 3]);
    let output = system
        .client_command("usage", path.to_str().unwrap())
        .args(["-s", "64x48"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// A user whom nobody else is, who may have two threads.
const POOR_USER: u32 = 64_317;

fn as_poor_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={POOR_USER}"))
        .args(["--clear-groups", "prlimit", "--nproc=2"])
        .arg(program);
    command
}

#[test]
fn a_client_for_which_there_is_no_thread_waits_for_one() {
    // Only root can become somebody else, whom the limit concerns.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let system = System::with_daemon();
    let home = system.home().join("poor");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(POOR_USER), None).unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(system.home(), everybody.clone()).unwrap();
    let program = system.home().join("sdvrc");
    std::fs::copy(sdvr_tests::binary("sdvrc"), &program).unwrap();
    std::fs::set_permissions(&program, everybody).unwrap();

    let mut other = as_poor_user(Path::new("sleep"));
    let mut other = system.start(other.arg("60"), "other");
    wait_until("the other one sleeps", || {
        let path = format!("/proc/{}/comm", other.id());
        std::fs::read_to_string(path).unwrap() == "sleep\n"
    });
    let mut client = as_poor_user(&program);
    client
        .args(["-d", "127.0.0.1", "-p", &system.port().to_string()])
        .args(["-n", "poor", "-i", "test:?format=BNCH&bytes=1000&fps=20"])
        .env("HOME", &home)
        .env_remove("RUST_LOG");
    let client = system.start(&mut client, "poor");
    wait_until("there is no thread", || {
        client.log().contains("cannot begin to connect")
    });
    other.kill();
    system.wait_for_state("poor", "live");
}
