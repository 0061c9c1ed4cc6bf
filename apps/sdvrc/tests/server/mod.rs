//! A server for datagrams in a thread, out of the session's own server end, over a real socket; and a link to it that does as it is told.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::{Rng, UnwrapErr};
use sdvr_frame::{LinkAddress, Timestamp};
use sdvr_session::server::Door;
use sdvr_session::{
    Close, DatagramOutcome, Event, Limits, OpenStream, PacketType, PeerPath, Session,
    SourceAddress, StreamCode, Suites,
};

/// How long anything may take that is promised within three seconds: these machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What is shared with the thread.
#[derive(Default)]
pub(crate) struct Told {
    /// What is done to each datagram, by its direction.
    weather: Option<Weather>,
    /// Another one begins: nothing of what was is known any more.
    is_restarted: bool,
    is_ended: bool,
    /// Handshake packets that have arrived.
    pub(crate) hellos: u32,
    pub(crate) initiations: u32,
    pub(crate) sessions: u32,
    pub(crate) opens: Vec<OpenStream>,
    /// Number, length, and how many are missing before it.
    pub(crate) frames: Vec<(u64, usize, u64)>,
    pub(crate) closes: Vec<Close>,
    /// Fragments that came back from parity.
    pub(crate) restored: u64,
    /// How often a client was found at another address.
    pub(crate) moves: u32,
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Server,
    Client,
}

/// Whether a datagram arrives; its count in its direction begins with 0.
pub(crate) type Weather = fn(To, u64, &[u8]) -> bool;

/// A server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Told>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// With this private key, behind this weather.
    pub(crate) fn start(key: [u8; 32], weather: Weather) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), key, weather)
    }

    /// In another one's place.
    pub(crate) fn start_at(address: SocketAddr, key: [u8; 32], weather: Weather) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Told {
            weather: Some(weather),
            ..Told::default()
        }));
        let thread = {
            let told = Arc::clone(&told);
            std::thread::spawn(move || Running::new(socket, key, told).run())
        };
        Self {
            address,
            told,
            thread: Some(thread),
        }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.told().weather = Some(weather);
    }

    /// Forgets all sessions.
    pub(crate) fn restart(&self) {
        self.told().is_restarted = true;
    }

    /// Waits until it was told so.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Told) -> bool) {
        let began = Instant::now();
        while !is_so(&self.told()) {
            assert!(
                began.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails has left the lock in whatever state.
        self.told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .is_ended = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Running {
    socket: UdpSocket,
    key: [u8; 32],
    door: Door,
    sessions: HashMap<u32, Camera>,
    /// HS2 of each HS1: an HS1 that comes again has the same answer.
    answered: HashMap<Vec<u8>, Vec<u8>>,
    counts: [u64; 2],
    told: Arc<Mutex<Told>>,
}

struct Camera {
    session: Session,
    path: PeerPath<LinkAddress>,
}

fn new_door(key: &[u8; 32]) -> Door {
    Door::new(
        Timestamp::now(),
        key,
        Suites::all(false),
        Limits::default(),
        &mut UnwrapErr(SysRng),
    )
}

impl Running {
    fn new(socket: UdpSocket, key: [u8; 32], told: Arc<Mutex<Told>>) -> Self {
        socket
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        Self {
            door: new_door(&key),
            socket,
            key,
            sessions: HashMap::new(),
            answered: HashMap::new(),
            counts: [0; 2],
            told,
        }
    }

    fn run(mut self) {
        let mut buffer = [0; 65_536];
        while !self.told.lock().unwrap().is_ended {
            if std::mem::take(&mut self.told.lock().unwrap().is_restarted) {
                self.sessions.clear();
                self.answered.clear();
                self.door = new_door(&self.key);
            }
            // An interrupted wait, and what a client that is gone leaves behind, are nothing.
            if let Ok((bytes, from)) = self.socket.recv_from(&mut buffer) {
                let datagram = &mut buffer[..bytes];
                if self.arrives(To::Server, datagram) {
                    self.handle(from, datagram);
                }
            }
            let now = Timestamp::now();
            let mut sessions = std::mem::take(&mut self.sessions);
            for camera in sessions.values_mut() {
                camera.session.handle_timeout(now);
                self.look_after(now, camera, None);
            }
            self.sessions = sessions;
        }
    }

    fn arrives(&mut self, to: To, datagram: &[u8]) -> bool {
        let count = &mut self.counts[usize::from(to == To::Client)];
        *count += 1;
        let weather = self.told.lock().unwrap().weather.unwrap();
        weather(to, *count - 1, datagram)
    }

    fn send(&mut self, to: LinkAddress, datagram: &[u8]) {
        let LinkAddress::Udp { address, .. } = to else {
            return;
        };
        if self.arrives(To::Client, datagram) {
            let _ = self.socket.send_to(datagram, address);
        }
    }

    fn handle(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let (now, from) = (Timestamp::now(), LinkAddress::from(from));
        let source = SourceAddress::from(from);
        let random = &mut UnwrapErr(SysRng);
        match PacketType::of(datagram) {
            Some(PacketType::Hello) => {
                self.told.lock().unwrap().hellos += 1;
                let reply = self
                    .door
                    .handle_hello(now, &source, datagram, None, random)
                    .unwrap();
                self.send(from, &reply);
            }
            Some(PacketType::Initiation) => {
                self.told.lock().unwrap().initiations += 1;
                let response = if let Some(response) = self.answered.get(datagram) {
                    response.clone()
                } else {
                    // A token of the server before it was restarted.
                    let Ok(initiation) = self.door.handle_initiation(now, &source, datagram) else {
                        return;
                    };
                    let index = random.next_u32();
                    let (session, response) =
                        initiation.accept_datagrams(now, index, random).unwrap();
                    let path = PeerPath::new(from);
                    self.sessions.insert(index, Camera { session, path });
                    self.told.lock().unwrap().sessions += 1;
                    self.answered.insert(datagram.to_vec(), response.to_vec());
                    response.to_vec()
                };
                self.send(from, &response);
            }
            _ => self.handle_data(now, from, datagram),
        }
    }

    fn handle_data(&mut self, now: Timestamp, from: LinkAddress, datagram: &mut [u8]) {
        let Some(index) = datagram.get(4..8) else {
            return;
        };
        let index = u32::from_le_bytes(index.try_into().unwrap());
        let Some(mut camera) = self.sessions.remove(&index) else {
            return;
        };
        let outcome = camera.session.handle_datagram(now, datagram).unwrap();
        if outcome == (DatagramOutcome::Opened { is_newest: true })
            && let Some(secret) = camera.path.handle_newest(now, from, || [7; 8])
        {
            let mut challenge = Vec::new();
            camera.session.challenge(secret, &mut challenge).unwrap();
            self.send(from, &challenge);
        }
        self.look_after(now, &mut camera, Some(from));
        self.sessions.insert(index, camera);
    }

    fn look_after(&mut self, now: Timestamp, camera: &mut Camera, from: Option<LinkAddress>) {
        let Camera { session, path } = camera;
        while let Some(event) = session.poll_event() {
            let mut told = self.told.lock().unwrap();
            match event {
                Event::Setup(setup) => session.accept(now, setup.label),
                Event::OpenStream(open) => {
                    session.reply_stream(&open, StreamCode::Open);
                    told.opens.push(open);
                }
                Event::Rekey => session.rekey(now, &mut UnwrapErr(SysRng)).unwrap(),
                Event::Closed(close) => told.closes.push(close),
                Event::PathResponse(secret) => {
                    if let Some(from) = from {
                        told.moves += u32::from(path.handle_answer(now, from, secret));
                    }
                }
                _ => {}
            }
        }
        while let Some(frame) = session.poll_frame(now) {
            let fragment = frame.as_fragment();
            let facts = (
                fragment.header.number.0,
                fragment.bytes.len(),
                fragment.missed,
            );
            let mut told = self.told.lock().unwrap();
            told.frames.push(facts);
            told.restored = told.restored.max(session.datagram_figures().restored);
        }
        loop {
            let mut datagram = Vec::new();
            if !session.poll_datagram(now, &mut datagram).unwrap() {
                break;
            }
            self.send(path.address(), &datagram);
        }
    }
}

/// A router between a client and a server, which translates addresses.
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<RouterTold>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct RouterTold {
    has_forgotten: bool,
    is_ended: bool,
}

impl Router {
    /// To this server.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = inside.local_addr().unwrap();
        let told = Arc::new(Mutex::new(RouterTold::default()));
        let thread = {
            let told = Arc::clone(&told);
            std::thread::spawn(move || route(&inside, server, &told))
        };
        Self {
            address,
            told,
            thread: Some(thread),
        }
    }

    /// Forgets which of its ports is the client's: what the client sends comes from another one.
    pub(crate) fn forget(&self) {
        self.told.lock().unwrap().has_forgotten = true;
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .is_ended = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn route(inside: &UdpSocket, server: SocketAddr, told: &Mutex<RouterTold>) {
    let bind = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    inside.set_nonblocking(true).unwrap();
    let (mut outside, mut client) = (bind(), None);
    let mut buffer = [0; 65_536];
    while !told.lock().unwrap().is_ended {
        if std::mem::take(&mut told.lock().unwrap().has_forgotten) {
            outside = bind();
        }
        while let Ok((bytes, from)) = inside.recv_from(&mut buffer) {
            client = Some(from);
            let _ = outside.send_to(&buffer[..bytes], server);
        }
        while let Ok((bytes, _)) = outside.recv_from(&mut buffer) {
            if let Some(client) = client {
                let _ = inside.send_to(&buffer[..bytes], client);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
