//! The door: one thread that accepts connections, does handshakes and decides who may stream.
//!
//! It runs beside the frame path: neither a port scan nor a thousand cameras that come back at once delay a frame. What a
//! stranger can take is bounded before it is spent: SECURITY.md has the list.

mod datagrams;
mod deciding;
mod descriptors;
mod hellos;
mod homes;
mod key_changes;
mod report;
mod strangers;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rand_core::CryptoRng;
use rustix::io::Errno;
use sdvr_frame::{PublicKey, Timestamp};
use sdvr_session::server::Door as Handshake;
use sdvr_session::{KeyLimits, Site};
use sdvr_transport::{DatagramSocket, Interest, Listener, Poller, Ready, Waker};
use sdvr_trust::{Announced, KnownCameras, ServerKeyWatch};
use tracing::warn;

use self::datagrams::DatagramDoor;
use self::deciding::{Introduction, Place};
pub(crate) use self::descriptors::Descriptors;
use self::descriptors::STRANGERS_MOST;
use self::hellos::Hellos;
use self::homes::Homes;
use self::report::{Matter, Report};
pub(crate) use self::strangers::Stranger;
use self::strangers::Strangers;
use crate::figures::DoorCounters;
use crate::knock::{Knock, Progress, TurnedAway};
use crate::peer::Peer;
use crate::shard::{Introduced, ShardHandle};

/// How long accepting rests when there is no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the file of known cameras is looked at: `sdvr keys forget` works within this.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;
/// The sockets for datagrams have the tokens from here on, which no connection's comes near.
const FIRST_SOCKET: u64 = u64::MAX - 16;

/// What the door is told.
#[derive(Debug)]
pub(crate) enum ToDoor {
    /// A camera has announced the key that it will come with.
    NewId(Announced),
    /// A newcomer over datagrams has introduced itself to its shard.
    Introduced(Introduced),
}

/// How others reach the door.
#[derive(Clone, Debug)]
pub(crate) struct DoorHandle {
    sender: Sender<ToDoor>,
    waker: Waker,
}

impl DoorHandle {
    /// A handle, and what comes of it.
    pub(crate) fn new(waker: Waker) -> (Self, Receiver<ToDoor>) {
        let (sender, receiver) = channel();
        (Self { sender, waker }, receiver)
    }

    pub(crate) fn send(&self, message: ToDoor) {
        // A door that is gone has ended with the daemon.
        if self.sender.send(message).is_ok() {
            self.waker.wake();
        }
    }
}

/// Everything the door has.
pub(crate) struct Door<R> {
    pub(crate) listener: Listener,
    /// By which datagrams come that begin sessions, one for each medium.
    pub(crate) sockets: Vec<Arc<DatagramSocket>>,
    pub(crate) handshake: Handshake,
    pub(crate) known: KnownCameras,
    pub(crate) server_key_watch: ServerKeyWatch,
    /// When the keys of sessions are renewed.
    pub(crate) key_limits: KeyLimits,
    pub(crate) shards: Vec<ShardHandle>,
    /// What the shards have to say, and what says that they have.
    pub(crate) messages: Receiver<ToDoor>,
    pub(crate) waker: Waker,
    pub(crate) random: R,
    pub(crate) descriptors: Descriptors,
    pub(crate) counters: Arc<DoorCounters>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// The door while it runs.
struct Running<R> {
    door: Door<R>,
    poller: Poller,
    strangers: Strangers<Knock>,
    datagrams: DatagramDoor,
    hellos: Hellos,
    homes: Homes,
    waiting: Vec<Introduction>,
    /// Given up to accept and close one connection when there is no other descriptor.
    reserve: Option<File>,
    accept_again: Option<Timestamp>,
    next_refresh: Timestamp,
    report: Report,
}

impl<R: CryptoRng> Door<R> {
    /// Makes the poller and its waker, so that the daemon can stop the door, and shards can reach it.
    pub(crate) fn poller(
        listener: &Listener,
        sockets: &[Arc<DatagramSocket>],
    ) -> std::io::Result<(Poller, Waker)> {
        let poller = Poller::new()?;
        poller.add(listener, LISTENER, Interest::Read)?;
        for (token, socket) in (FIRST_SOCKET..).zip(sockets) {
            poller.add(socket.as_ref(), token, Interest::Read)?;
        }
        let waker = poller.add_waker(WAKER)?;
        Ok((poller, waker))
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    ///
    /// Only when the system takes away what it gave at the start.
    pub(crate) fn run(self, poller: Poller) -> anyhow::Result<()> {
        let shards = self.shards.len();
        let now = Timestamp::now();
        let report = Report::new(now, Arc::clone(&self.counters));
        let hellos = Hellos::new(now, self.sockets.len());
        let datagrams = DatagramDoor::new(self.sockets.clone());
        let mut running = Running {
            door: self,
            poller,
            strangers: Strangers::new(),
            datagrams,
            hellos,
            homes: Homes::new(shards),
            waiting: Vec::new(),
            reserve: File::open("/dev/null").ok(),
            accept_again: None,
            next_refresh: now,
            report,
        };
        let mut ready = Vec::new();
        // Relaxed: the waker's system calls order it.
        while !running.door.stop.load(Ordering::Relaxed) {
            running.turn(&mut ready)?;
        }
        Ok(())
    }
}

impl<R: CryptoRng> Running<R> {
    /// Waits for something to do and does it.
    fn turn(&mut self, ready: &mut Vec<Ready>) -> anyhow::Result<()> {
        let busy =
            self.strangers.len() > 0 || self.datagrams.has_guests() || self.accept_again.is_some();
        let timeout = if busy { ACCEPT_REST } else { REFRESH_INTERVAL };
        self.door.counters.turn.end();
        self.poller.wait(Some(timeout), ready)?;
        let now = Timestamp::now();
        self.door.counters.turn.begin(now);
        for event in ready.iter() {
            match event.token {
                LISTENER => {}
                WAKER => {
                    self.door.waker.clear();
                    self.hear_shards(now);
                }
                FIRST_SOCKET.. => self.handle_socket(now, event.token)?,
                token => self.handle_knock(now, token),
            }
        }
        // Before others are accepted, for whom somebody may have to go.
        self.decide(now);
        if ready.iter().any(|event| event.token == LISTENER) {
            self.accept(now);
        }
        self.handle_time(now);
        Ok(())
    }

    fn accept(&mut self, now: Timestamp) {
        self.door.descriptors.count(now);
        // A burst is taken in turns, so that handshakes under way go on.
        for _ in 0..64 {
            match self.door.listener.accept() {
                Ok(Some((link, peer))) => self.meet(Knock::new(link, peer, now)),
                Ok(None) => return,
                Err(error) => return self.rest(now, &error),
            }
        }
    }

    /// Takes a stranger in, if there is room or somebody who must make it.
    fn meet(&mut self, knock: Knock) {
        self.door.descriptors.opened();
        if !self.make_room(knock.site()) {
            self.door.descriptors.closed();
            self.door.counters.count_turned_away(&TurnedAway::Crowded);
            self.report.gets_line(Matter::Stranger);
            return;
        }
        let token = self.strangers.insert(knock);
        let added = self
            .strangers
            .get_mut(token)
            .map(|knock| self.poller.add(&knock.link, token, Interest::Read));
        if !matches!(added, Some(Ok(()))) {
            self.turn_away(token, &TurnedAway::Gone);
        }
    }

    /// Makes room for one stranger more, who has its descriptor; false when there is none.
    fn make_room(&mut self, site: Site) -> bool {
        let most = self
            .door
            .descriptors
            .strangers_most(self.strangers.len() + 1);
        let mut is_crowded = most == 0;
        while let Some(token) = self.strangers.one_too_many(site, most) {
            is_crowded = true;
            self.turn_away(token, &TurnedAway::Crowded);
        }
        if is_crowded && most < STRANGERS_MOST {
            self.miss_descriptor();
        }
        most > 0
    }

    /// Somebody had to go who would not have had to with more descriptors.
    fn miss_descriptor(&mut self) {
        if self.report.gets_line(Matter::NoDescriptor) {
            let descriptors = &self.door.descriptors;
            warn!(
                limit = descriptors.limit(),
                open = descriptors.open(),
                "too many connections for the limit of open files. Raise it: `ulimit -n 65536` where sdvrd is started, or \
                 LimitNOFILE=65536 in its systemd unit. Cameras that are connected go on"
            );
        }
    }

    /// Somebody's HELLO was one too many.
    fn leave_unanswered(&mut self) {
        if self.report.gets_line(Matter::Unanswered) {
            warn!(
                "more HELLOs come than are answered in a second, as in an attack by forged senders. Cameras that are connected go on; others \
                 ask again until they are answered"
            );
        }
    }

    /// Nothing can be accepted: turns one stranger away, who would otherwise wait for nothing, and rests.
    fn rest(&mut self, now: Timestamp, error: &std::io::Error) {
        if Errno::from_io_error(error) == Some(Errno::MFILE) {
            self.miss_descriptor();
        } else if self.report.gets_line(Matter::Fault) {
            warn!(%error, "cannot accept connections. Cameras that are connected go on");
        }
        if self.reserve.take().is_some() {
            drop(self.door.listener.accept());
            self.reserve = File::open("/dev/null").ok();
        }
        if self
            .poller
            .change(&self.door.listener, LISTENER, Interest::Nothing)
            .is_ok()
        {
            self.accept_again = Some(now + ACCEPT_REST);
        }
    }

    fn handle_knock(&mut self, now: Timestamp, token: u64) {
        let Some(knock) = self.strangers.get_mut(token) else {
            return;
        };
        let Door {
            handshake,
            known,
            random,
            ..
        } = &mut self.door;
        let refuses = |key: &PublicKey| known.refuses_unheard(key);
        let hellos = self.hellos.connections();
        match knock.handle_readable(now, handshake, hellos, refuses, random) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Introduced(session, setup)) => {
                self.door.counters.handshakes.count();
                self.waiting.push(Introduction {
                    key: session.peer(),
                    peer: Peer::Connection(knock.peer),
                    setup,
                    place: Place::Door { token, session },
                });
            }
            Err(reason) => self.turn_away(token, &reason),
        }
    }

    /// Takes a stranger out; its connection stays open as long as it is held.
    fn remove(&mut self, token: u64) -> Option<Knock> {
        let knock = self.strangers.remove(token)?;
        // Fails only for a connection that was never added.
        let _ = self.poller.remove(&knock.link);
        Some(knock)
    }

    fn turn_away(&mut self, token: u64, reason: &TurnedAway) {
        let Some(knock) = self.remove(token) else {
            return;
        };
        self.door.descriptors.closed();
        self.door.counters.count_turned_away(reason);
        match knock.key() {
            _ if matches!(reason, TurnedAway::Unanswered) => self.leave_unanswered(),
            _ if matches!(reason, TurnedAway::Unknown(_)) => {
                if self.report.gets_line(Matter::Refused) {
                    warn!(peer = %knock.peer, "camera refused: {reason}");
                }
            }
            Some(key) => {
                if self.report.gets_line(Matter::Unfinished) {
                    warn!(peer = %knock.peer, camera = %key.fingerprint(), %reason, "handshake not finished");
                }
            }
            None => {
                self.report.gets_line(Matter::Stranger);
                tracing::debug!(peer = %knock.peer, %reason, "turned away");
            }
        }
    }

    fn handle_time(&mut self, now: Timestamp) {
        if self.accept_again.is_some_and(|again| now >= again) {
            self.accept_again = None;
            // Fails for a bug only; the next turn would show it.
            let _ = self
                .poller
                .change(&self.door.listener, LISTENER, Interest::Read);
        }
        for token in self.strangers.slow(now) {
            self.turn_away(token, &TurnedAway::Slow);
        }
        self.forget_slow_guests(now);
        if now >= self.next_refresh {
            self.next_refresh = now + REFRESH_INTERVAL;
            self.refresh();
            self.refresh_server_keys();
        }
        self.report.handle_time(now);
    }
}
