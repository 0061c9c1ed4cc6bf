//! The door: one thread that accepts connections, does handshakes and decides who may stream.
//!
//! It runs beside the frame path: neither a port scan nor a thousand cameras that come back at once delay a frame. What a
//! stranger can take is bounded in number, bytes and time before it is spent.

use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand_core::CryptoRng;
use sdvr_frame::{Label, PublicKey, Timestamp};
use sdvr_session::server::Door as Handshake;
use sdvr_session::{Session, Setup, SetupCode, SetupReply};
use sdvr_transport::{Interest, Listener, Poller, Ready, Waker};
use sdvr_trust::{Admission, KnownCameras, Refusal};
use tracing::{info, warn};

use crate::knock::{Arrival, Knock, Progress, STRANGER_TIME, TurnedAway};
use crate::shard::{ShardHandle, ToShard};
use crate::slots::Slots;

/// Strangers at a time, in all and from one address. The oldest goes when another comes.
const STRANGERS_MOST: usize = 4096;
const STRANGERS_PER_ADDRESS_MOST: usize = 1024;
/// How long accepting rests when there is no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How often the file of known cameras is looked at: `sdvr keys forget` works within this.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);
/// How often the log says how many strangers were turned away: an attacker must not fill the disk.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);
/// Refusals that are logged one by one in each such interval.
const REFUSALS_LOGGED_MOST: u32 = 20;

const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;

/// Everything the door has.
pub(crate) struct Door<R> {
    pub(crate) listener: Listener,
    pub(crate) handshake: Handshake,
    pub(crate) known: KnownCameras,
    pub(crate) shards: Vec<ShardHandle>,
    pub(crate) random: R,
    pub(crate) stop: Arc<AtomicBool>,
}

/// The door while it runs.
struct Running<R> {
    door: Door<R>,
    poller: Poller,
    knocks: Slots<Knock>,
    per_address: HashMap<IpAddr, usize>,
    /// Which shard a camera lives in, from its first admission on: a reconnect finds its rings there.
    homes: HashMap<PublicKey, usize>,
    cameras_per_shard: Vec<usize>,
    waiting: Vec<Introduction>,
    /// Given up to accept and close one connection when there is no other descriptor.
    reserve: Option<File>,
    accept_again: Option<Timestamp>,
    next_refresh: Timestamp,
    turned_away: TurnedAwayCount,
}

/// A camera that waits for the decision.
struct Introduction {
    token: u64,
    session: Box<Session>,
    setup: Setup,
}

#[derive(Default)]
struct TurnedAwayCount {
    strangers: u64,
    no_descriptor: u64,
    refusals_logged: u32,
    refusals: u64,
    next_summary: Option<Timestamp>,
}

impl<R: CryptoRng> Door<R> {
    /// Makes the poller and its waker, so that the daemon can stop the door.
    pub(crate) fn poller(&self) -> std::io::Result<(Poller, Waker)> {
        let poller = Poller::new()?;
        poller.add(&self.listener, LISTENER, Interest::Read)?;
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
        let mut running = Running {
            door: self,
            poller,
            knocks: Slots::new(),
            per_address: HashMap::new(),
            homes: HashMap::new(),
            cameras_per_shard: vec![0; shards],
            waiting: Vec::new(),
            reserve: File::open("/dev/null").ok(),
            accept_again: None,
            next_refresh: Timestamp::now(),
            turned_away: TurnedAwayCount::default(),
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
        let busy = self.knocks.len() > 0 || self.accept_again.is_some();
        let timeout = if busy { ACCEPT_REST } else { REFRESH_INTERVAL };
        self.poller.wait(Some(timeout), ready)?;
        let now = Timestamp::now();
        for event in ready.iter() {
            match event.token {
                LISTENER => self.accept(now),
                WAKER => {}
                token => self.handle_knock(now, token),
            }
        }
        self.decide(now);
        self.handle_time(now);
        Ok(())
    }

    fn accept(&mut self, now: Timestamp) {
        // A burst is taken in turns, so that handshakes under way go on.
        for _ in 0..64 {
            match self.door.listener.accept() {
                Ok(Some((link, peer))) => {
                    self.make_room(peer.ip());
                    let knock = Knock::new(link, peer, now);
                    let token = self.knocks.insert(knock);
                    *self.per_address.entry(peer.ip()).or_default() += 1;
                    let added = self
                        .knocks
                        .get_mut(token)
                        .map(|knock| self.poller.add(&knock.link, token, Interest::Read));
                    if !matches!(added, Some(Ok(()))) {
                        self.turn_away(token, &TurnedAway::Gone);
                    }
                }
                Ok(None) => return,
                Err(error) => return self.rest(now, &error),
            }
        }
    }

    /// No descriptor is left: turns one stranger away, who would otherwise wait for nothing, and rests.
    fn rest(&mut self, now: Timestamp, error: &std::io::Error) {
        if self.turned_away.no_descriptor == 0 {
            warn!(%error, "cannot accept connections; raise the limit of open files (ulimit -n). Cameras that are connected go on");
        }
        self.turned_away.no_descriptor += 1;
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

    fn make_room(&mut self, address: IpAddr) {
        let is_crowded = self
            .per_address
            .get(&address)
            .is_some_and(|&count| count >= STRANGERS_PER_ADDRESS_MOST);
        if !is_crowded && self.knocks.len() < STRANGERS_MOST {
            return;
        }
        let candidates = self
            .knocks
            .iter()
            .filter(|(_, knock)| !is_crowded || knock.peer.ip() == address);
        if let Some((oldest, _)) = candidates.min_by_key(|(_, knock)| knock.since) {
            self.turn_away(oldest, &TurnedAway::Crowded);
        }
    }

    fn handle_knock(&mut self, now: Timestamp, token: u64) {
        let Some(knock) = self.knocks.get_mut(token) else {
            return;
        };
        match knock.handle_readable(now, &mut self.door.handshake, &mut self.door.random) {
            Ok(Progress::Waiting) => {}
            Ok(Progress::Introduced(session, setup)) => self.waiting.push(Introduction {
                token,
                session,
                setup,
            }),
            Err(reason) => self.turn_away(token, &reason),
        }
    }

    fn remove(&mut self, token: u64) -> Option<Knock> {
        let knock = self.knocks.remove(token)?;
        // Fails only for a connection that was never added.
        let _ = self.poller.remove(&knock.link);
        if let Some(count) = self.per_address.get_mut(&knock.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&knock.peer.ip());
            }
        }
        Some(knock)
    }

    fn turn_away(&mut self, token: u64, reason: &TurnedAway) {
        let Some(knock) = self.remove(token) else {
            return;
        };
        self.turned_away.strangers += 1;
        match knock.key() {
            // Somebody who owns a key is worth a line; a scanner is counted.
            Some(key) => {
                warn!(peer = %knock.peer, camera = %key.fingerprint(), %reason, "handshake not finished")
            }
            None => tracing::debug!(peer = %knock.peer, %reason, "turned away"),
        }
    }

    /// Decides on all that introduced themselves in this turn: their pins share one write.
    fn decide(&mut self, now: Timestamp) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let wanted: Vec<(PublicKey, Label)> = waiting
            .iter()
            .map(|introduction| {
                (
                    introduction.session.peer(),
                    introduction.setup.label.clone(),
                )
            })
            .collect();
        let admissions = self.door.known.admit_all(now, &wanted);
        for (introduction, admission) in waiting.into_iter().zip(admissions) {
            match admission {
                Admission::Known { label } => self.admit(now, introduction, label),
                Admission::New { label } => {
                    let peer = self
                        .knocks
                        .get_mut(introduction.token)
                        .map(|knock| knock.peer);
                    info!(camera = %label, fingerprint = %introduction.session.peer().fingerprint(), peer = ?peer,
                        "new camera: its key is remembered from now on");
                    self.admit(now, introduction, label);
                }
                Admission::Refused(refusal) => self.refuse(now, introduction, &refusal),
            }
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
        if setup.label != label {
            info!(camera = %label, wanted = %setup.label, "the camera is known under another label, which it keeps");
        }
        session.accept(now, label.clone());
        let home = self.home(session.peer());
        let peer = knock.peer;
        let (link, received) = knock.into_link();
        if let Some(shard) = self.door.shards.get(home) {
            shard.send(ToShard::Arrival(Arrival {
                link,
                peer,
                session,
                label,
                received,
            }));
        }
    }

    /// The shard of a camera: the one it had, or the one with the fewest.
    fn home(&mut self, key: PublicKey) -> usize {
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
        self.turned_away.refusals += 1;
        if self.turned_away.refusals_logged < REFUSALS_LOGGED_MOST {
            self.turned_away.refusals_logged += 1;
            warn!(peer = %knock.peer, wanted = %setup.label, fingerprint = %session.peer().fingerprint(), "camera refused: {refusal}");
        }
        session.refuse(refusal_reply(refusal, setup.label));
        let mut out = Vec::new();
        if session.poll_transmit(now, &mut out).is_ok() {
            // It fits any socket buffer; a camera that cannot be told finds out by the end of the connection.
            let _ = knock.link.write(&out);
        }
        knock.link.finish_writing();
    }

    fn handle_time(&mut self, now: Timestamp) {
        if self.accept_again.is_some_and(|again| now >= again) {
            self.accept_again = None;
            // Fails for a bug only; the next turn would show it.
            let _ = self
                .poller
                .change(&self.door.listener, LISTENER, Interest::Read);
        }
        let slow: Vec<u64> = self
            .knocks
            .iter()
            .filter(|(_, knock)| now.saturating_since(knock.since) > STRANGER_TIME)
            .map(|(token, _)| token)
            .collect();
        slow.into_iter()
            .for_each(|token| self.turn_away(token, &TurnedAway::Slow));
        if now >= self.next_refresh {
            self.next_refresh = now + REFRESH_INTERVAL;
            self.refresh();
        }
        self.turned_away.summarise(now);
    }

    /// Looks whether somebody forgot a camera.
    fn refresh(&mut self) {
        match self.door.known.refresh() {
            Ok(changes) => {
                for (key, label) in changes.removed {
                    info!(camera = %label, fingerprint = %key.fingerprint(), "forgotten: its session ends");
                    if let Some(shard) = self
                        .homes
                        .get(&key)
                        .and_then(|&home| self.door.shards.get(home))
                    {
                        shard.send(ToShard::Forget(key));
                    }
                }
            }
            Err(error) => {
                if self.turned_away.refusals_logged < REFUSALS_LOGGED_MOST {
                    self.turned_away.refusals_logged += 1;
                    warn!("the known cameras stay as they were: {error}");
                }
            }
        }
    }
}

impl TurnedAwayCount {
    fn summarise(&mut self, now: Timestamp) {
        let next = *self.next_summary.get_or_insert(now + SUMMARY_INTERVAL);
        if now < next {
            return;
        }
        if self.strangers > 0 || self.refusals > 0 || self.no_descriptor > 0 {
            info!(
                strangers = self.strangers,
                refused = self.refusals,
                without_descriptor = self.no_descriptor,
                "turned away in the last minute"
            );
        }
        *self = Self {
            next_summary: Some(now + SUMMARY_INTERVAL),
            ..Self::default()
        };
    }
}

fn refusal_reply(refusal: &Refusal, label: Label) -> SetupReply {
    let (code, retry_after_s, in_the_way) = match refusal {
        Refusal::LabelTaken { holder, .. } => (SetupCode::LabelTaken, 60, *holder.as_bytes()),
        Refusal::Revoked { .. } => (SetupCode::Revoked, 60, [0; 32]),
        Refusal::TooManyNewKeys => (SetupCode::TooManyNew, 5, [0; 32]),
        Refusal::StoreFailed { .. } => (SetupCode::StoreFailed, 5, [0; 32]),
    };
    SetupReply {
        code,
        retry_after_s,
        in_the_way,
        label,
    }
}
