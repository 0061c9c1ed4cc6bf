//! A camera over UDP that streams beside what a test does, on a thread of its own, and a whole scene of live cameras that must lose nothing.

use std::collections::HashSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{DatagramCamera, socket_from};
use crate::consumer::Consumer;
use crate::hostile_camera::stream;
use crate::{PATIENCE, Running, System, wait_until};

/// A fragment short of thirty, and in every frame the last one is shorter than the others.
const FRAME_BYTES: usize = 30_000;
/// Slow enough that a busy machine sends them all.
const INTERVAL: Duration = Duration::from_millis(40);
/// What a machine that is busy with other tests may delay a datagram by, which would otherwise cost frames that the daemon has not lost.
const LATENCY_MS: u16 = 10_000;
/// What strangers may make the daemon grow by.
const GROWTH_MOST_BYTES: u64 = 16 << 20;

/// Streams until it is told to stop.
#[derive(Debug)]
pub struct LiveCamera {
    /// By which its datagrams leave at first.
    pub socket: UdpSocket,
    captured: Arc<Mutex<Vec<Vec<u8>>>>,
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    mover: Sender<UdpSocket>,
    thread: Option<JoinHandle<()>>,
}

impl LiveCamera {
    /// Introduces itself, and streams measuring frames from then on, the first when `begin` says so.
    #[must_use]
    pub fn start(system: &System, label: &str, begin: impl FnOnce()) -> Self {
        let mut camera = DatagramCamera::handshake(system);
        let mut open = stream(0);
        open.latency_ms = LATENCY_MS;
        camera.introduce_stream(label, open);
        begin();
        let socket = camera.socket.try_clone().unwrap();
        let captured = Arc::new(Mutex::new(camera.take_sent()));
        let (sent, is_over) = (Arc::default(), Arc::default());
        let (mover, moves) = channel();
        let thread = {
            let (captured, sent, is_over) = (
                Arc::clone(&captured),
                Arc::clone(&sent),
                Arc::clone(&is_over),
            );
            std::thread::spawn(move || stream_frames(camera, &captured, &sent, &is_over, &moves))
        };
        Self {
            socket,
            captured,
            sent,
            is_over,
            mover,
            thread: Some(thread),
        }
    }

    /// Frames that it has sent so far.
    #[must_use]
    pub fn sent_frames(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until it has sent so many more.
    pub fn wait_for_frames(&self, count: u64) {
        let until = self.sent_frames() + count;
        wait_until("the camera has sent frames", || self.sent_frames() >= until);
    }

    /// All that it has said so far, the handshake too.
    #[must_use]
    pub fn captured(&self) -> Vec<Vec<u8>> {
        self.captured.lock().unwrap().clone()
    }

    /// The index of its session, which anybody on the way can read.
    #[must_use]
    pub fn index(&self) -> [u8; 4] {
        let captured = self.captured.lock().unwrap();
        let data = captured.iter().find(|datagram| datagram[0] == 0x10);
        data.unwrap()[4..8].try_into().unwrap()
    }

    /// From now on it is at this address of the host, as if it had got another lease.
    pub fn move_to(&self, system: &System, address: Ipv4Addr) {
        self.mover.send(socket_from(system, address)).unwrap();
    }

    /// Stops; what was asked for again is sent before.
    pub fn stop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let has_panicked = thread.join().is_err();
            assert!(!has_panicked || std::thread::panicking());
        }
    }
}

impl Drop for LiveCamera {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stream_frames(
    mut camera: DatagramCamera,
    captured: &Mutex<Vec<Vec<u8>>>,
    sent: &AtomicU64,
    is_over: &AtomicBool,
    moves: &Receiver<UdpSocket>,
) {
    let mut due = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        if let Some(socket) = moves.try_iter().last() {
            camera.socket = socket;
        }
        if Instant::now() >= due {
            due = Instant::now() + INTERVAL;
            camera.send_measuring_frame(FRAME_BYTES);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        camera.turn();
        captured.lock().unwrap().append(&mut camera.take_sent());
    }
    camera.go_on(Duration::from_millis(300));
}

/// A daemon, a camera over UDP and one over TCP, and who reads both.
#[derive(Debug)]
pub struct Scene {
    /// Everything lives in it.
    pub system: System,
    /// The camera over UDP.
    pub camera: LiveCamera,
    by_tcp: Option<Running>,
    readers: [Consumer; 2],
    sessions: u64,
}

impl Scene {
    /// Cameras that stream, of a daemon started with these arguments.
    #[must_use]
    pub fn new(arguments: &[&str]) -> Self {
        let mut system = System::new();
        system.start_daemon(arguments);
        let source = "test:?format=BNCH&bytes=60000&fps=10";
        let by_tcp = system.start_client("by-tcp", source, &[]);
        // It holds the lock of the home that both have when it meets the server, and who is new meanwhile is not let in.
        system.wait_for_state("by-tcp", "live");
        let mut reader = None;
        let camera = LiveCamera::start(&system, "by-udp", || {
            reader = Some(Consumer::start(&system.shm(), "by-udp"));
        });
        let readers = [reader.unwrap(), Consumer::start(&system.shm(), "by-tcp")];
        for reader in &readers {
            reader.wait_for_frames(5, PATIENCE);
        }
        Self {
            sessions: system.figures()["sessions"].as_u64().unwrap(),
            system,
            camera,
            by_tcp: Some(by_tcp),
            readers,
        }
    }

    /// What the daemon's memory has in it now.
    #[must_use]
    pub fn memory_bytes(&mut self) -> u64 {
        let status = format!("/proc/{}/status", self.system.daemon().id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let mut words = line.unwrap().split_whitespace();
        words.nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Runs `attack`, which sends what strangers can: the daemon does not grow, answers with less than it is sent, and the cameras that are
    /// live lose nothing.
    #[track_caller]
    pub fn loses_nothing_by(mut self, attack: impl FnOnce(&Self, &mut Stranger)) {
        let before = self.memory_bytes();
        let mut stranger = Stranger::default();
        attack(&self, &mut stranger);
        let after = self.memory_bytes();
        eprintln!("the daemon has grown from {before} to {after} bytes");
        assert!(
            after < before + GROWTH_MOST_BYTES,
            "the daemon has grown from {before} to {after} bytes"
        );
        stranger.hear_rest();
        assert!(
            stranger.heard_bytes < stranger.sent_bytes,
            "{} bytes were answered with {}",
            stranger.sent_bytes,
            stranger.heard_bytes
        );
        let sessions = self.system.figures()["sessions"].as_u64().unwrap();
        assert_eq!(sessions, self.sessions, "a stranger has got a session");
        self.lost_nothing();
    }

    /// Ends the cameras, which have lost nothing.
    #[track_caller]
    pub fn lost_nothing(&mut self) {
        self.camera.wait_for_frames(10);
        self.camera.stop();
        let sent = self.camera.sent_frames();
        wait_until("all frames of the camera over UDP are there", || {
            self.row("by-udp")["frames"] == sent
        });
        assert_eq!(self.row("by-udp")["lost"], 0);
        self.end_connection(Running::assert_nothing_lost);
    }

    /// What `sdvr ls` says of a camera.
    #[track_caller]
    #[must_use]
    pub fn row(&self, label: &str) -> serde_json::Value {
        let list = self.system.list();
        let row = list.iter().find(|camera| camera["label"] == label);
        row.unwrap_or_else(|| panic!("{label} is gone")).clone()
    }

    /// Ends the camera over TCP. It has not had to leave much out, and lost nothing that it sent. Of the one over UDP, whole frames have come, in
    /// order.
    #[track_caller]
    pub fn connection_had_its_turns(&mut self) {
        self.end_connection(Running::assert_sent_arrived);
    }

    #[track_caller]
    fn end_connection(&mut self, check: fn(Running, &serde_json::Value)) {
        let by_tcp = self.row("by-tcp");
        let client = self.by_tcp.take().unwrap();
        check(
            client,
            &serde_json::json!({ "torn": 0, "missing": by_tcp["lost"].as_u64().unwrap() }),
        );
        for reader in &self.readers {
            let seen = reader.seen();
            assert_eq!(seen.wrong, [""; 0]);
            assert!(seen.frames > 10, "{} frames were read", seen.frames);
        }
        let log = self.system.daemon().log();
        assert!(self.system.daemon().runs(), "the daemon has ended: {log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Somebody without a key that counts for anything.
#[derive(Debug, Default)]
pub struct Stranger {
    sockets: Vec<UdpSocket>,
    sent: usize,
    /// What it has said.
    pub sent_bytes: usize,
    /// What it was answered.
    pub heard_bytes: usize,
    /// The lengths of what it was answered.
    pub heard_lengths: HashSet<usize>,
}

impl Stranger {
    /// Says something by a socket. Its pace is one that the kernel's buffers take on a busy machine: what they lose, the daemon has not lost.
    pub fn say(&mut self, socket: &UdpSocket, datagram: &[u8]) {
        if socket.send(datagram).is_ok() {
            self.sent_bytes += datagram.len();
        }
        self.sent += 1;
        if self.sent.is_multiple_of(20) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Keeps a socket that is the stranger's alone, to count what comes by it.
    pub fn listen_to(&mut self, socket: &UdpSocket) {
        self.sockets.push(socket.try_clone().unwrap());
    }

    /// Takes in what has come.
    pub fn hear(&mut self) {
        for socket in &self.sockets {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 65_536];
            while let Ok(bytes) = socket.recv(&mut buffer) {
                self.heard_bytes += bytes;
                self.heard_lengths.insert(bytes);
            }
            socket.set_nonblocking(false).unwrap();
        }
    }

    /// Takes in what has come by its sockets, and has none any more.
    pub fn forget(&mut self) {
        self.hear();
        self.sockets.clear();
    }

    fn hear_rest(&mut self) {
        std::thread::sleep(Duration::from_millis(300));
        self.hear();
    }
}
