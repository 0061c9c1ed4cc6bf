//! A real `sdvrc -u` and a server that is as good or as bad as a test wants it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must stop, with the place"
)]

mod server;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sdvr_session::CloseCode;
use server::{PATIENCE, Server, To, Weather};

const KEY: [u8; 32] = [1; 32];
const ALL_ARRIVES: Weather = |_, _, _| true;
const NOTHING_ARRIVES: Weather = |_, _, _| false;

/// A client, its keys, and what it says.
struct Client {
    child: Child,
    home: tempfile::TempDir,
}

impl Client {
    fn start(server: SocketAddr, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, arguments)
    }

    fn start_in(home: tempfile::TempDir, server: SocketAddr, arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_sdvrc"))
            .args(["-u", "-n", "door", "-d", &server.to_string()])
            .arg("-k")
            .arg(home.path().join("keys"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, home }
    }

    fn interrupt(&self) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
    }

    /// Waits for its end; gives its exit code, what it said, and its keys.
    fn ended(mut self) -> (Option<i32>, String, tempfile::TempDir) {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if began.elapsed() > PATIENCE {
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let Output { status, stderr, .. } = {
            let mut stderr = Vec::new();
            let mut pipe = self.child.stderr.take().unwrap();
            pipe.read_to_end(&mut stderr).unwrap();
            let status = self.child.wait().unwrap();
            Output {
                status,
                stdout: Vec::new(),
                stderr,
            }
        };
        let said = String::from_utf8(stderr).unwrap();
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        (status.code(), said, home)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // One that a failed test leaves behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number after `name=` in the last line that has it.
#[track_caller]
fn figure(said: &str, name: &str) -> u64 {
    let words = said.split_whitespace();
    let value = words
        .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .next_back();
    value
        .unwrap_or_else(|| panic!("no {name} in {said}"))
        .parse()
        .unwrap()
}

/// Numbers rise by one more than what is missing before each, and no more is missing than was not sent or was lost.
#[track_caller]
fn check_frames(frames: &[(u64, usize, u64)], frame_bytes: usize) {
    for pair in frames.windows(2) {
        let ((last, ..), (number, bytes, missed)) = (pair[0], pair[1]);
        assert_eq!(bytes, frame_bytes);
        assert_eq!(number, last + 1 + missed, "{pair:?}");
    }
}

/// Every frame of the source is accounted for. A busy machine may leave some out, which is no matter of the link.
#[track_caller]
fn check_figures(said: &str, frames: u64) {
    let figures = ["sent", "not_sent", "missing_at_source"];
    let all: u64 = figures.iter().map(|name| figure(said, name)).sum();
    assert_eq!(all, frames, "{said}");
}

#[test]
fn frames_arrive_whole_and_in_order_and_the_end_is_confirmed() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let source = "test:?format=BNCH&bytes=100000&fps=30&count=30";
    let arguments = ["--once", "--latency", "10000", "-i", source];
    let (code, said, _) = Client::start(server.address, &arguments).ended();
    assert_eq!(code, Some(0), "{said}");
    let told = server.told();
    check_frames(&told.frames, 100_000);
    // A socket of a server that has no time overflows, and nothing follows the last frame that would tell of it.
    let lost = figure(&said, "lost_on_the_way");
    let arrived = told.frames.len() as u64;
    assert_eq!(arrived + lost, figure(&said, "sent"), "{said}");
    assert!(arrived > 0, "{said}");
    check_figures(&said, 30);
    assert_eq!(told.closes[0].code, CloseCode::EndOfSource);
    assert_eq!(told.opens[0].latency_ms, 10_000);
}

#[test]
fn a_source_that_waits_is_sent_whole_or_is_said_not_to_be() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let source = "test:?format=BNCH&bytes=20000&fps=0&count=300";
    let client = Client::start(
        server.address,
        &["--once", "--latency", "2000", "-i", source],
    );
    let (code, said, _) = client.ended();
    // On a busy machine the kernel may have to drop packets until it is too late for some frames.
    let (arrived, lost) = (
        server.told().frames.len() as u64,
        figure(&said, "lost_on_the_way"),
    );
    assert_eq!(figure(&said, "sent"), 300, "{said}");
    assert_eq!(arrived + lost, 300, "{said}");
    assert_eq!(code, Some(i32::from(lost > 0)), "{said}");
    assert!(arrived > 0, "{said}");
    assert_eq!(server.told().opens[0].latency_ms, 2000);
}

#[test]
fn packets_of_the_handshake_that_are_lost_are_said_again() {
    // Of each kind the first one is lost: HELLO, HELLO_REPLY, HS1, HS2.
    let server = Server::start(KEY, |to, count, _| match to {
        To::Server => !matches!(count, 0 | 2),
        To::Client => !matches!(count, 0 | 2),
    });
    let source = "test:?format=BNCH&bytes=1000&fps=30&count=10";
    let client = Client::start(server.address, &["--once", "-i", source]);
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    let told = server.told();
    assert!(!told.frames.is_empty(), "{said}");
    check_figures(&said, 10);
    let latency_ms = told.opens[0].latency_ms;
    assert!((40..=120).contains(&latency_ms), "{latency_ms}");
    assert!(told.hellos >= 2 && told.initiations >= 2, "{said}");
    assert_eq!(told.sessions, 1, "{said}");
}

#[test]
fn what_no_longer_can_be_sent_again_in_time_is_counted_at_both_ends() {
    // A frame of 100,000 bytes has more than fifty packets: one in seven is lost, also of what is said again.
    let server = Server::start(KEY, |_, count, _| count < 20 || count % 7 != 0);
    let source = "test:?format=BNCH&bytes=100000&fps=30&count=90";
    let client = Client::start(server.address, &["--once", "-i", source]);
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    let told = server.told();
    check_frames(&told.frames, 100_000);
    let arrived = told.frames.len() as u64;
    let (sent, lost) = (figure(&said, "sent"), figure(&said, "lost_on_the_way"));
    assert_eq!(sent, arrived + lost, "{said}");
    check_figures(&said, 90);
    assert!(arrived > 0, "{said}");
}

#[test]
fn with_parity_what_the_link_loses_is_computed_from_what_arrives() {
    // One in ten is lost.
    let server = Server::start(KEY, |to, count, _| match to {
        To::Server => count < 20 || count % 10 != 0,
        To::Client => true,
    });
    let source = "test:?format=BNCH&bytes=50000&fps=30";
    let client = Client::start(server.address, &["--fec", "30", "-i", source]);
    server.wait_until("fragments came back", |told| told.restored >= 30);
    drop(client);
    check_frames(&server.told().frames, 50_000);
}

#[test]
fn a_link_that_was_cut_for_seconds_goes_on_with_the_same_run_of_the_source() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let client = Client::start(
        server.address,
        &["-i", "test:?format=BNCH&bytes=20000&fps=30"],
    );
    server.wait_until("frames flow", |told| told.frames.len() > 10);
    for seconds in [1, 6] {
        server.set_weather(NOTHING_ARRIVES);
        std::thread::sleep(Duration::from_secs(seconds));
        let before = server.told().frames.len();
        server.set_weather(ALL_ARRIVES);
        server.wait_until("frames flow again", |told| told.frames.len() > before + 10);
    }
    client.interrupt();
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    let told = server.told();
    let numbers: Vec<u64> = told.frames.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let instance = told.opens[0].instance;
    assert!(told.opens.iter().all(|open| open.instance == instance));
}

#[test]
fn a_server_that_has_forgotten_everything_is_met_anew() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let client = Client::start(
        server.address,
        &["-i", "test:?format=BNCH&bytes=20000&fps=30"],
    );
    server.wait_until("frames flow", |told| told.frames.len() > 10);
    server.restart();
    server.wait_until("it comes again", |told| told.sessions == 2);
    let before = server.told().frames.len();
    server.wait_until("frames flow again", |told| told.frames.len() > before + 10);
    client.interrupt();
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the server was silent for"), "{said}");
    let told = server.told();
    assert_eq!(told.opens[0].instance, told.opens[1].instance);
}

#[test]
fn the_user_can_end_it_and_the_server_hears_of_it_though_every_other_packet_is_lost() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let client = Client::start(
        server.address,
        &["-i", "test:?format=BNCH&bytes=20000&fps=30"],
    );
    server.wait_until("frames flow", |told| told.frames.len() > 10);
    server.set_weather(|_, count, _| count % 2 == 0);
    client.interrupt();
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    server.wait_until("the end is heard", |told| !told.closes.is_empty());
    assert_eq!(server.told().closes[0].code, CloseCode::ShuttingDown);
    assert!(said.contains("frames in all"), "{said}");
}

#[test]
fn where_nobody_listens_that_is_said() {
    let address = {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.local_addr().unwrap()
    };
    let source = "test:?format=BNCH&bytes=1000&count=1";
    let (code, said, _) = Client::start(address, &["--once", "-i", source]).ended();
    assert_eq!(code, Some(1), "{said}");
    let text = format!("cannot connect to {address}: Connection refused");
    assert!(said.contains(&text), "{said}");
}

#[test]
fn a_server_with_another_key_is_refused_and_hears_nothing_of_the_camera() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let source = "test:?format=BNCH&bytes=1000&fps=30&count=3";
    let client = Client::start(server.address, &["--once", "-i", source]);
    let (code, said, home) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    let address = server.address;
    drop(server);
    let other = Server::start_at(address, [2; 32], ALL_ARRIVES);
    let client = Client::start_in(home, address, &["--once", "-i", source]);
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("SHA256:"), "{said}");
    assert_eq!(other.told().initiations, 0);
}

#[test]
fn a_server_that_takes_no_notice_of_the_camera_is_said_to() {
    let server = Server::start(KEY, |to, count, _| to == To::Server || count == 0);
    let source = "test:?format=BNCH&bytes=1000&count=1";
    let (code, said, _) = Client::start(server.address, &["--once", "-i", source]).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--accept closed"), "{said}");
    assert_eq!(server.told().initiations, 3);
}

#[test]
fn a_client_whose_address_changes_goes_on_in_its_session() {
    let server = Server::start(KEY, ALL_ARRIVES);
    let router = server::Router::start(server.address);
    let client = Client::start(
        router.address,
        &["-i", "test:?format=BNCH&bytes=20000&fps=30"],
    );
    server.wait_until("frames flow", |told| told.frames.len() > 10);
    router.forget();
    server.wait_until("it is found at its new address", |told| told.moves == 1);
    let before = server.told().frames.len();
    server.wait_until("frames flow", |told| told.frames.len() > before + 30);
    client.interrupt();
    let (code, said, _) = client.ended();
    assert_eq!(code, Some(0), "{said}");
    // On a machine that stands still for seconds it has to come again.
    let is_same = server.told().sessions == 1;
    assert!(is_same || said.contains("the server was silent"), "{said}");
}
