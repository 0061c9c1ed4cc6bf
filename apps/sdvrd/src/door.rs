//! The door: one thread that accepts connections, does handshakes and decides who may stream.
//!
//! It runs beside the frame path: neither a port scan nor a thousand cameras that come back at once delay a frame. What a
//! stranger can take is bounded before it is spent: SECURITY.md has the list.

mod descriptors;
mod report;
mod strangers;

use std::collections::HashMap;
use std::fs::File;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rand_core::CryptoRng;
use rustix::io::Errno;
use sdvr_frame::{Label, PublicKey, Timestamp};
use sdvr_session::server::Door as Handshake;
use sdvr_session::{KeyLimits, NewIdCode, Session, Setup, SetupCode, SetupReply, Site};
use sdvr_transport::{Interest, Listener, Poller, Ready, Waker};
use sdvr_trust::{
    Admission, Announced, Announcement, KnownCameras, Newcomer, Refusal, Removal, Removed,
    SecretKey, ServerKeyWatch,
};
use tracing::{info, warn};

pub(crate) use self::descriptors::Descriptors;
use self::descriptors::STRANGERS_MOST;
use self::report::{Matter, Report};
use self::strangers::Strangers;
use crate::figures::DoorCounters;
use crate::knock::{Arrival, Knock, Progress, TurnedAway};
use crate::shard::{ShardHandle, ToShard};

/// How long accepting rests when there is no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the file of known cameras is looked at: `sdvr keys forget` works within this.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;

/// What the door is told.
#[derive(Debug)]
pub(crate) enum ToDoor {
    /// A camera has announced the key that it will come with.
    NewId(Announced),
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
    strangers: Strangers,
    /// Which shard a camera lives in, from its first admission on: a reconnect finds its rings there.
    homes: HashMap<PublicKey, usize>,
    cameras_per_shard: Vec<usize>,
    waiting: Vec<Introduction>,
    /// Given up to accept and close one connection when there is no other descriptor.
    reserve: Option<File>,
    accept_again: Option<Timestamp>,
    next_refresh: Timestamp,
    report: Report,
}

/// A camera that waits for the decision.
struct Introduction {
    token: u64,
    session: Box<Session>,
    setup: Setup,
}

impl<R: CryptoRng> Door<R> {
    /// Makes the poller and its waker, so that the daemon can stop the door, and shards can reach it.
    pub(crate) fn poller(listener: &Listener) -> std::io::Result<(Poller, Waker)> {
        let poller = Poller::new()?;
        poller.add(listener, LISTENER, Interest::Read)?;
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
        let report = Report::new(Timestamp::now(), Arc::clone(&self.counters));
        let mut running = Running {
            door: self,
            poller,
            strangers: Strangers::new(),
            homes: HashMap::new(),
            cameras_per_shard: vec![0; shards],
            waiting: Vec::new(),
            reserve: File::open("/dev/null").ok(),
            accept_again: None,
            next_refresh: Timestamp::now(),
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
        let busy = self.strangers.len() > 0 || self.accept_again.is_some();
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
        match knock.handle_readable(now, handshake, refuses, random) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Introduced(session, setup)) => {
                self.door.counters.handshakes.count();
                self.waiting.push(Introduction {
                    token,
                    session,
                    setup,
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

    /// Decides on all that introduced themselves in this turn: their pins share one write.
    fn decide(&mut self, now: Timestamp) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        // Who is refused must not be refused for what somebody has just taken back.
        self.refresh();
        let wanted: Vec<Newcomer> = waiting
            .iter()
            .map(|introduction| Newcomer {
                key: introduction.session.peer(),
                label: introduction.setup.label.clone(),
                from: self.strangers.get_mut(introduction.token).map_or_else(
                    || Ipv6Addr::UNSPECIFIED.into(),
                    |knock| knock.peer.ip().to_canonical(),
                ),
            })
            .collect();
        let admissions = self.door.known.admit_all(now, &wanted);
        for (introduction, admission) in waiting.into_iter().zip(admissions) {
            match admission {
                Admission::Known { label } => self.admit(now, introduction, label),
                Admission::New { label } => {
                    self.tell_new(&introduction, &label);
                    self.admit(now, introduction, label);
                }
                Admission::Refused(refusal) => self.refuse(now, introduction, &refusal),
            }
        }
    }

    fn tell_new(&mut self, introduction: &Introduction, label: &Label) {
        if let Some(knock) = self.strangers.get_mut(introduction.token)
            && self.report.gets_line(Matter::New)
        {
            info!(camera = %label, fingerprint = %introduction.session.peer().fingerprint(), peer = %knock.peer,
                "new camera: its key is remembered from now on");
        }
    }

    fn admit(&mut self, now: Timestamp, introduction: Introduction, label: Label) {
        let Introduction {
            token,
            mut session,
            setup,
        } = introduction;
        let Some(knock) = self.remove(token) else {
            return;
        };
        self.door.descriptors.admitted();
        if setup.label != label && self.report.gets_line(Matter::OtherLabel) {
            info!(camera = %label, wanted = %setup.label, "the camera is known under another label, which it keeps");
        }
        session.set_key_limits(self.door.key_limits);
        session.accept(now, label.clone());
        let key = session.peer();
        let mut other_keys = self.door.known.keys_of(&key);
        other_keys.retain(|other| *other != key);
        let home = self.home(key, &other_keys);
        let peer = knock.peer;
        let (link, received) = knock.into_link();
        if let Some(shard) = self.door.shards.get(home) {
            shard.send(ToShard::Arrival(Arrival {
                link,
                peer,
                session,
                label,
                other_keys,
                received,
            }));
        }
    }

    /// The shard of a camera: the one it had, also under another key, or the one with the fewest.
    fn home(&mut self, key: PublicKey, others: &[PublicKey]) -> usize {
        let of_others = others.iter().find_map(|other| self.homes.get(other));
        if let Some(&home) = of_others {
            self.homes.entry(key).or_insert(home);
        }
        *self.homes.entry(key).or_insert_with(|| {
            let fewest = self
                .cameras_per_shard
                .iter()
                .enumerate()
                .min_by_key(|(_, count)| **count)
                .map_or(0, |(index, _)| index);
            if let Some(count) = self.cameras_per_shard.get_mut(fewest) {
                *count += 1;
            }
            fewest
        })
    }

    fn refuse(&mut self, now: Timestamp, introduction: Introduction, refusal: &Refusal) {
        let Introduction {
            token,
            mut session,
            setup,
        } = introduction;
        let Some(knock) = self.remove(token) else {
            return;
        };
        self.door.descriptors.closed();
        self.door.counters.count_refused(refusal);
        self.tell_refused(&knock, &setup.label, session.peer(), refusal);
        session.refuse(refusal_reply(refusal, setup.label));
        let mut out = Vec::new();
        if session.poll_transmit(now, &mut out).is_ok() {
            // It fits any socket buffer; a camera that cannot be told finds out by the end of the connection.
            let _ = knock.link.write(&out);
        }
        knock.link.finish_writing();
    }

    /// A camera that waits comes every second: it is said once.
    fn tell_refused(&mut self, knock: &Knock, wanted: &Label, key: PublicKey, refusal: &Refusal) {
        let (peer, fingerprint) = (&knock.peer, key.fingerprint());
        match refusal {
            Refusal::Pending { is_new: false, .. } => {}
            Refusal::Pending { is_new: true, .. } => {
                if self.report.gets_line(Matter::New) {
                    info!(camera = %wanted, %fingerprint, %peer, "new camera: {refusal}");
                }
            }
            _ => {
                if self.report.gets_line(Matter::Refused) {
                    warn!(%peer, %wanted, %fingerprint, "camera refused: {refusal}");
                }
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
        if now >= self.next_refresh {
            self.next_refresh = now + REFRESH_INTERVAL;
            self.refresh();
            self.refresh_server_keys();
        }
        self.report.handle_time(now);
    }

    /// Takes what the shards have sent: all keys that were announced share one write.
    fn hear_shards(&mut self, now: Timestamp) {
        let announced: Vec<Announced> = self
            .door
            .messages
            .try_iter()
            .map(|ToDoor::NewId(announced)| announced)
            .collect();
        if announced.is_empty() {
            return;
        }
        // Nobody is given another key who was forgotten or revoked a moment ago.
        self.refresh();
        let answers = self.door.known.announce_all(now, &announced);
        for (announced, answer) in announced.into_iter().zip(answers) {
            self.answer_new_id(announced, &answer);
        }
    }

    fn answer_new_id(&mut self, announced: Announced, answer: &Announcement) {
        let Announced { proved, next } = announced;
        let code = match answer {
            Announcement::Recorded { label, is_new } => {
                if *is_new && self.report.gets_line(Matter::NewKey) {
                    info!(camera = %label, fingerprint = %proved.fingerprint(), next = %next.fingerprint(),
                        "the camera has announced another key, which takes over when it comes with it");
                }
                NewIdCode::Recorded
            }
            Announcement::Refused(why) => {
                if self.report.gets_line(Matter::Refused) {
                    warn!(fingerprint = %proved.fingerprint(), "{why}");
                }
                NewIdCode::Refused
            }
            Announcement::TooOften => NewIdCode::TooOften,
            Announcement::StoreFailed { problem } => {
                if self.report.gets_line(Matter::Fault) {
                    warn!(
                        "the key that a camera has announced could not be recorded; the camera goes on with the one it has: {problem}"
                    );
                }
                NewIdCode::StoreFailed
            }
        };
        if let Some(shard) = self
            .homes
            .get(&proved)
            .and_then(|&home| self.door.shards.get(home))
        {
            let (camera, key) = (proved, next);
            shard.send(ToShard::NewIdReply { camera, key, code });
        }
    }

    /// Looks whether the server has another key, which all that are connected then hear of.
    fn refresh_server_keys(&mut self) {
        match self.door.server_key_watch.refresh() {
            Ok(None) => {}
            Ok(Some(keys)) => {
                let old = keys.old.as_ref().map(SecretKey::expose);
                self.door.handshake.set_keys(keys.current.expose(), old);
                let current = keys.current.public_key();
                info!(fingerprint = %current.fingerprint(), "this server has another key from now on; cameras that are connected hear of it");
                for shard in &self.door.shards {
                    shard.send(ToShard::NextKey(current));
                }
            }
            Err(error) => {
                if self.report.gets_line(Matter::Fault) {
                    warn!("the server's key stays as it was: {error}");
                }
            }
        }
    }

    /// Looks whether somebody forgot a camera.
    fn refresh(&mut self) {
        match self.door.known.refresh() {
            Ok(changes) => {
                for Removed { key, label, why } in changes.removed {
                    let what = match why {
                        Removal::Forgotten => "forgotten",
                        Removal::Revoked { .. } => "revoked",
                        Removal::KeyReplaced => "its key before is not good any more",
                    };
                    info!(camera = %label, fingerprint = %key.fingerprint(), "{what}: its session ends");
                    if let Some(shard) = self
                        .homes
                        .get(&key)
                        .and_then(|&home| self.door.shards.get(home))
                    {
                        shard.send(ToShard::Dismiss(key, why));
                    }
                }
            }
            Err(error) => {
                if self.report.gets_line(Matter::Fault) {
                    warn!("the known cameras stay as they were: {error}");
                }
            }
        }
    }
}

fn refusal_reply(refusal: &Refusal, label: Label) -> SetupReply {
    let (code, retry_after_s, in_the_way) = match refusal {
        Refusal::LabelTaken { holder, .. } => (SetupCode::LabelTaken, 10, *holder.as_bytes()),
        Refusal::Revoked { .. } => (SetupCode::Revoked, 60, [0; 32]),
        Refusal::KeyReplaced { .. } => (SetupCode::KeyReplaced, 60, [0; 32]),
        Refusal::Pending { .. } => (SetupCode::Pending, 1, [0; 32]),
        Refusal::Closed { .. } => (SetupCode::Closed, 60, [0; 32]),
        Refusal::TooManyPending { .. } => (SetupCode::TooManyNew, 60, [0; 32]),
        Refusal::TooManyNewKeys | Refusal::NotedTooFast { .. } => {
            (SetupCode::TooManyNew, 5, [0; 32])
        }
        Refusal::StoreFailed { .. } | Refusal::NotNoted { .. } => {
            (SetupCode::StoreFailed, 5, [0; 32])
        }
    };
    SetupReply {
        code,
        retry_after_s,
        in_the_way,
        label,
    }
}
