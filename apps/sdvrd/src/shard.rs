//! A shard: one thread with its own cameras, its own sockets and its own rings.

mod arriving;
mod datagrams;
mod handle;
mod hearing;
mod pauses;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use sdvr_frame::{PublicKey, Timestamp};
use sdvr_session::{CloseCode, NewIdCode, ReassemblyBudget};
use sdvr_transport::{DatagramSocket, Interest, Poller, Ready, Waker};
use sdvr_trust::{Announced, Removal};
use tracing::{info, warn};

use self::arriving::Member;
use self::datagrams::DatagramSessions;
pub(crate) use self::datagrams::{Decision, Introduced, Newcomer};
pub(crate) use self::handle::{ShardHandle, ToShard};
use self::pauses::{PAUSE, Pauses, Taken};
use crate::budget::Budget;
use crate::camera::{LOST_AFTER, RingPlace};
use crate::door::{DoorHandle, ToDoor};
use crate::figures::ShardCounters;
use crate::ingest::{BUFFER_BYTES, Ending, Ingest, Way};
use crate::ring_keeper::{EndedRing, RingKeeper, RingMade};
use crate::slots::Slots;

const WAKER: u64 = u64::MAX;
/// The sockets for datagrams have the tokens from here on. No connection has one of these: their generations do not get there.
const FIRST_SOCKET: u64 = u64::MAX - 16;
/// How often time is looked at while there are cameras. No frame waits for it.
const TICK: Duration = Duration::from_millis(100);
/// How often the rings' files are looked at.
const RESTORE_INTERVAL: Duration = Duration::from_secs(1);

/// A shard.
pub(crate) struct Shard {
    receiver: Receiver<ToShard>,
    waker: Waker,
    poller: Poller,
    place: RingPlace,
    door: DoorHandle,
    /// By the key that each has proved last.
    cameras: HashMap<PublicKey, Member>,
    /// Connections by token; each knows whose it is.
    connections: Slots<Connection>,
    datagrams: DatagramSessions,
    buffer: Vec<u8>,
    next_tick: Timestamp,
    next_restore: Timestamp,
}

struct Connection {
    ingest: Ingest,
    key: PublicKey,
    interest: Interest,
}

impl Shard {
    /// Makes a shard and the handle by which it is reached.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(crate) fn new(
        keeper: RingKeeper,
        budget: Budget,
        ring_time: Duration,
        counters: Arc<ShardCounters>,
        door: DoorHandle,
        sockets: Vec<Arc<DatagramSocket>>,
        reassembly: ReassemblyBudget,
    ) -> std::io::Result<(Self, ShardHandle)> {
        let poller = Poller::new()?;
        for (token, socket) in (FIRST_SOCKET..).zip(&sockets) {
            poller.add(socket.as_ref(), token, Interest::Read)?;
        }
        let waker = poller.add_waker(WAKER)?;
        let (handle, receiver) = ShardHandle::new(waker.clone());
        let now = Timestamp::now();
        let place = RingPlace {
            keeper,
            shard: handle.clone(),
            budget,
            ring_time,
            counters,
            orders: AtomicU64::new(0),
        };
        let shard = Self {
            receiver,
            waker,
            poller,
            place,
            door,
            cameras: HashMap::new(),
            connections: Slots::new(),
            datagrams: DatagramSessions::new(sockets, reassembly),
            buffer: vec![0; BUFFER_BYTES],
            next_tick: now,
            next_restore: now,
        };
        Ok((shard, handle))
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    ///
    /// Only when the system takes away what it gave at the start.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        let mut pauses = Pauses::default();
        loop {
            self.place.counters.turn.end();
            if pauses.is_due() {
                std::thread::sleep(PAUSE);
            }
            let tick = if self.cameras.is_empty() {
                Timestamp::NEVER
            } else {
                self.next_tick
            };
            let next = tick.min(self.datagrams.poll_timeout());
            let asleep_since = Timestamp::now();
            let timeout = (next != Timestamp::NEVER).then(|| next.saturating_since(asleep_since));
            self.poller.wait(timeout, &mut ready)?;
            let awake_since = Timestamp::now();
            self.place.counters.turn.begin(awake_since);
            if ready.iter().any(|event| event.token == WAKER) {
                self.waker.clear();
            }
            // First: a newcomer's datagrams may have come while its message was on the way.
            if self.take_messages() {
                self.stop();
                return Ok(());
            }
            let mut taken = Taken::default();
            for event in &ready {
                match event.token {
                    WAKER => {}
                    FIRST_SOCKET.. => taken += self.handle_socket(event.token)?,
                    _ => self.handle_connection(*event),
                }
            }
            pauses.turn(awake_since.saturating_since(asleep_since), taken);
            self.datagrams.hearing.turn(awake_since, taken.is_part);
            self.answer_datagrams();
            self.handle_timers();
            self.handle_time();
        }
    }

    /// Takes what others sent; true when the daemon ends.
    fn take_messages(&mut self) -> bool {
        while let Ok(message) = self.receiver.try_recv() {
            match message {
                ToShard::Arrival(arrival) => self.arrive(arrival),
                ToShard::Newcomer(newcomer) => self.meet(newcomer),
                ToShard::Decided(index, decision) => self.decided(index, decision),
                ToShard::Dismiss(key, why) => self.dismiss(key, &why),
                ToShard::NextKey(key) => self.announce_next_key(key),
                ToShard::NewIdReply { camera, key, code } => {
                    self.reply_new_id(&camera, key, code);
                }
                ToShard::RingMade(made) => self.ring_was_made(*made),
                ToShard::Stop => return true,
            }
        }
        false
    }

    /// The camera may come with the key that it has announced, or not.
    fn reply_new_id(&mut self, camera: &PublicKey, key: PublicKey, code: NewIdCode) {
        let token = self.cameras.get(camera).and_then(|it| it.connection);
        let Some((token, connection)) =
            token.and_then(|token| Some((token, self.connections.get_mut(token)?)))
        else {
            return;
        };
        connection.ingest.session.reply_new_id(key, code);
        match connection.ingest.transmit(Timestamp::now()) {
            Ok(()) => self.update_interest(token),
            Err(ending) => self.end(token, &ending),
        }
    }

    /// A ring is there, or cannot be: its camera hears, if it still waits.
    fn ring_was_made(&mut self, made: RingMade) {
        let now = Timestamp::now();
        let key = self.present_key(made.camera);
        let Some(member) = self.cameras.get_mut(&key) else {
            if let Ok((ring, share)) = made.result {
                self.place.keeper.release(EndedRing {
                    ring,
                    share,
                    release_at: now,
                });
            }
            return;
        };
        let answer = member.camera.ring_was_made(now, made, &self.place);
        let connection = member
            .connection
            .and_then(|token| Some((token, self.connections.get_mut(token)?)));
        let (Some((open, code)), Some((token, connection))) = (answer, connection) else {
            return;
        };
        match connection.ingest.reply_stream(now, &open, code) {
            Ok(()) => self.update_interest(token),
            Err(ending) => self.end(token, &ending),
        }
    }

    /// The key under which a camera is here that a ring was ordered for.
    fn present_key(&self, ordered: PublicKey) -> PublicKey {
        if self.cameras.contains_key(&ordered) {
            return ordered;
        }
        let mut members = self.cameras.values();
        let member = members.find(|member| member.camera.had_key(ordered));
        member.map_or(ordered, |member| member.camera.key)
    }

    /// Who is connected has met the server under the key before.
    fn announce_next_key(&mut self, key: PublicKey) {
        let now = Timestamp::now();
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.get_mut(token) else {
                continue;
            };
            connection.ingest.session.announce_next_key(key);
            match connection.ingest.transmit(now) {
                Ok(()) => self.update_interest(token),
                Err(ending) => self.end(token, &ending),
            }
        }
    }

    fn dismiss(&mut self, key: PublicKey, why: &Removal) {
        let Some(mut member) = self.cameras.remove(&key) else {
            return;
        };
        if let Some(connection) = member
            .connection
            .and_then(|token| self.connections.remove(token))
        {
            let (code, text) = match why {
                Removal::Forgotten => (
                    CloseCode::Refused,
                    "this camera is not known any more".to_owned(),
                ),
                Removal::Revoked { reason } => (CloseCode::Revoked, reason.clone()),
                Removal::KeyReplaced => (
                    CloseCode::Refused,
                    "this camera has another key, and the time of this one is over".to_owned(),
                ),
            };
            self.close(connection.ingest, code, &text);
            self.place.counters.ended.dismissed.count();
        }
        member.camera.close_all(Timestamp::now(), &self.place);
        // Its rings keep their names for the readers' two seconds.
        member.connection = None;
        self.cameras.insert(key, member);
    }

    fn handle_connection(&mut self, event: Ready) {
        let Some(connection) = self.connections.get_mut(event.token) else {
            return;
        };
        let Some(member) = self.cameras.get_mut(&connection.key) else {
            return;
        };
        let mut result = Ok(());
        if event.readable {
            result = connection.ingest.handle_readable(
                &mut member.camera,
                &self.place,
                &mut self.buffer,
            );
        }
        if event.writable && result.is_ok() {
            result = connection.ingest.transmit(Timestamp::now());
        }
        self.tell_announced(event.token);
        match result {
            Ok(()) => self.update_interest(event.token),
            Err(ending) => self.end(event.token, &ending),
        }
    }

    /// The door is to record a key that the camera has announced.
    fn tell_announced(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        if let Some(next) = connection.ingest.take_announced() {
            let proved = connection.ingest.session.peer();
            // Writing to the disk takes its time, which no frame may wait for.
            self.door.send(ToDoor::NewId(Announced { proved, next }));
        }
    }

    /// Says why a session ends, and forgets it but for that.
    fn close(&mut self, ingest: Ingest, code: CloseCode, text: &str) {
        if let Some(leaving) = ingest.close(code, text) {
            self.leave(leaving);
        }
    }

    fn update_interest(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(token) else {
            return;
        };
        let interest = if connection.ingest.has_unsent() {
            Interest::ReadWrite
        } else {
            Interest::Read
        };
        if interest != connection.interest
            && let Way::Connection(link) = connection.ingest.way()
            && self.poller.change(link, token, interest).is_ok()
        {
            connection.interest = interest;
        }
    }

    /// Ends a session. What was published stays; what becomes of the rings depends on why.
    fn end(&mut self, token: u64, ending: &Ending) {
        let Some(Connection { ingest, key, .. }) = self.connections.remove(token) else {
            return;
        };
        let peer = ingest.peer();
        let last_heard = ingest.session.last_heard();
        self.place.counters.ended.of(ending).count();
        match ending {
            Ending::Broken(error) => {
                let (code, text) = Ending::broken_code(error);
                self.close(ingest, code, text);
            }
            // The answer, which tells the camera that all it sent has arrived.
            Ending::Said(close) => self.close(ingest, close.code, ""),
            Ending::Silent => self.close(ingest, CloseCode::Idle, "nothing was heard for 60 s"),
            Ending::Cut | Ending::Deaf => {}
        }
        let Some(member) = self.cameras.get_mut(&key) else {
            return;
        };
        member.connection = None;
        member.last_heard = last_heard;
        let now = Timestamp::now();
        let may_say = member.camera.chatter.may_say(now);
        let label = &member.camera.label;
        match ending {
            _ if !may_say => {}
            Ending::Said(close) => info!(camera = %label, %peer, "camera ended: {}", close.text),
            Ending::Cut | Ending::Silent => {
                info!(camera = %label, %peer, "camera disconnected: {ending}");
            }
            Ending::Broken(_) | Ending::Deaf => {
                warn!(camera = %label, %peer, "session ended: {ending}");
            }
        }
        match ending {
            Ending::Said(close)
                if matches!(close.code, CloseCode::EndOfSource | CloseCode::ShuttingDown) =>
            {
                member.camera.close_all(now, &self.place);
            }
            Ending::Said(_) | Ending::Cut | Ending::Silent | Ending::Broken(_) | Ending::Deaf => {
                member.camera.link_was_cut(now, &self.place);
            }
        }
    }

    fn handle_time(&mut self) {
        let now = Timestamp::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        let moment = self.datagrams.hearing.moment(now);
        let mut endings = Vec::new();
        for member in self.cameras.values_mut() {
            if let Some((token, connection)) = member
                .connection
                .and_then(|token| Some((token, self.connections.get_mut(token)?)))
            {
                member.last_heard = connection.ingest.session.last_heard();
                if moment.heard_until.saturating_since(member.last_heard) >= LOST_AFTER {
                    endings.push((token, Ending::Silent));
                } else if let Err(ending) =
                    connection
                        .ingest
                        .handle_time(moment, &mut member.camera, &self.place)
                {
                    endings.push((token, ending));
                }
            }
            let is_connected = member.connection.is_some();
            let camera = &mut member.camera;
            for (open, code) in
                camera.handle_time(now, member.last_heard, is_connected, &self.place)
            {
                if let Some((token, connection)) = member
                    .connection
                    .and_then(|token| Some((token, self.connections.get_mut(token)?)))
                    && let Err(ending) = connection.ingest.reply_stream(now, &open, code)
                {
                    endings.push((token, ending));
                }
            }
        }
        for (token, ending) in endings {
            self.end(token, &ending);
        }
        for token in self.connections.tokens() {
            self.update_interest(token);
        }
        if now >= self.next_restore {
            self.next_restore = now + RESTORE_INTERVAL;
            self.cameras
                .values_mut()
                .for_each(|member| member.camera.restore_rings(now, &self.place));
        }
        // One that left nothing is remembered for a while, so that coming again gives it no new allowances.
        self.cameras.retain(|_, member| {
            member.connection.is_some()
                || !member.camera.is_empty()
                || now.saturating_since(member.last_heard) < LOST_AFTER
        });
        let members = self.cameras.values();
        let connected = members.clone().filter(|member| member.connection.is_some());
        let counters = &self.place.counters;
        counters.cameras_connected.set(connected.count());
        counters
            .streams
            .set(members.map(|member| member.camera.stream_count()).sum());
    }

    fn stop(&mut self) {
        for token in self.connections.tokens() {
            if let Some(connection) = self.connections.remove(token) {
                connection
                    .ingest
                    .close(CloseCode::ShuttingDown, "the daemon is shutting down");
            }
        }
        let now = Timestamp::now();
        self.cameras
            .values_mut()
            .for_each(|member| member.camera.shut_down(now, &self.place));
    }
}
