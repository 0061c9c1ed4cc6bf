//! Sessions over datagrams: who a datagram is for, and who has something to do when.
//!
//! ```text
//! HS1 at the door ──► newcomer ──► SETUP ──► the door decides ──► a camera's connection
//!                        │                        │                        │
//!                        ▼ 5 s                    ▼ refused                ▼ ended
//!                     forgotten                leaving, for as long as it takes to be told
//! ```

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{Label, LinkAddress, PublicKey, Timestamp};
use sdvr_session::{DataHeader, Event, KeyLimits, ReassemblyBudget, Session, Setup, SetupReply};
use sdvr_transport::{DatagramBuffer, DatagramSocket};

use super::hearing::Hearing;
use super::pauses::Taken;
use super::{FIRST_SOCKET, Shard};
use crate::door::ToDoor;
use crate::ingest::{Carrier, DatagramCarrier, DatagramSession, READ_BYTES};
use crate::knock::{Arrival, STRANGER_TIME};

/// Batches taken of one socket in one turn, so that others get theirs.
const BATCHES_MOST: u32 = 4;
/// Nothing more is taken of it in the turn after so much: twice what one connection gets. A call may give megabytes.
const TURN_BYTES: usize = 2 * READ_BYTES;
/// No session has two turns in less, unless something comes for it.
const TIMER_LEAST: Duration = Duration::from_micros(500);
/// So many datagrams of one call may be all that it can give.
const FULL_BATCH: usize = 32;
/// How long a camera is told again that its session has ended. After that it finds out by silence.
const LEAVING_TIME: Duration = Duration::from_secs(1);

/// Somebody with whom the door has shaken hands.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// What names the session in datagrams.
    pub(crate) index: u32,
    pub(crate) session: Box<Session>,
    /// Where it is, as the handshake has shown.
    pub(crate) address: LinkAddress,
    /// By which of the sockets it has come.
    pub(crate) medium: usize,
}

/// A newcomer that has introduced itself, for the door to decide on.
#[derive(Debug)]
pub(crate) struct Introduced {
    pub(crate) index: u32,
    pub(crate) key: PublicKey,
    /// Where it is, as far as that was shown.
    pub(crate) address: LinkAddress,
    pub(crate) setup: Setup,
}

/// What the door says to it.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It may stream.
    Admitted {
        label: Label,
        other_keys: Vec<PublicKey>,
        key_limits: KeyLimits,
    },
    /// It may not.
    Refused(SetupReply),
    /// It went, or had to.
    Forgotten,
}

/// Who has a session of an index.
#[derive(Debug)]
enum Holder {
    /// Nobody knows yet who it is, or the door decides.
    Newcomer {
        guest: DatagramSession,
        /// Then what comes is kept until the door has decided.
        is_introduced: bool,
    },
    /// A camera, by the token of its connection.
    Camera(u64),
    /// Nobody any more, but the other end may not have heard so.
    Leaving(DatagramSession),
}

#[derive(Debug)]
struct Entry {
    holder: Holder,
    /// Newcomers and who leaves are forgotten then.
    until: Timestamp,
    /// When it is looked at next because of time.
    due: Timestamp,
    /// It has been handed something in this turn.
    is_touched: bool,
}

/// All sessions over datagrams of one shard.
#[derive(Debug)]
pub(super) struct DatagramSessions {
    /// One for each medium.
    sockets: Vec<Arc<DatagramSocket>>,
    buffer: DatagramBuffer,
    entries: HashMap<u32, Entry>,
    /// By time. An entry whose time has changed is here more than once; only the one that it knows of counts.
    timers: BinaryHeap<Reverse<(Timestamp, u32)>>,
    /// Those that have been handed something in this turn.
    touched: Vec<u32>,
    /// What frames on their way may take.
    reassembly: ReassemblyBudget,
    pub(super) hearing: Hearing,
}

impl DatagramSessions {
    pub(super) fn new(sockets: Vec<Arc<DatagramSocket>>, reassembly: ReassemblyBudget) -> Self {
        Self {
            sockets,
            buffer: DatagramBuffer::default(),
            entries: HashMap::new(),
            timers: BinaryHeap::new(),
            touched: Vec::new(),
            reassembly,
            hearing: Hearing::new(Timestamp::now()),
        }
    }

    /// When somebody has something to do.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.timers
            .peek()
            .map_or(Timestamp::NEVER, |Reverse((due, _))| *due)
    }

    /// A camera's session is over datagrams.
    pub(super) fn has_connection(&mut self, index: u32, token: u64) {
        self.insert(index, Holder::Camera(token), Timestamp::NEVER);
    }

    fn insert(&mut self, index: u32, holder: Holder, until: Timestamp) {
        let entry = Entry {
            holder,
            until,
            due: Timestamp::NEVER,
            is_touched: true,
        };
        self.entries.insert(index, entry);
        self.touched.push(index);
    }

    /// It is looked at when its session wants it, or its time is over.
    fn schedule(&mut self, index: u32, wanted: Timestamp) {
        let Some(entry) = self.entries.get_mut(&index) else {
            return;
        };
        let wanted = wanted.min(entry.until);
        // One that wants to be looked at later finds nothing to do, and is put there then.
        if wanted < entry.due {
            entry.due = wanted;
            self.timers.push(Reverse((wanted, index)));
        }
    }

    /// The next whose time has come.
    fn pop_due(&mut self, now: Timestamp) -> Option<u32> {
        while let Some(&Reverse((due, index))) = self.timers.peek() {
            if due > now {
                return None;
            }
            self.timers.pop();
            if let Some(entry) = self.entries.get_mut(&index)
                && entry.due == due
            {
                entry.due = Timestamp::NEVER;
                return Some(index);
            }
        }
        None
    }
}

impl Shard {
    /// Takes in somebody with whom the door has shaken hands.
    pub(super) fn meet(&mut self, newcomer: Newcomer) {
        let Newcomer {
            index,
            session,
            address,
            medium,
        } = newcomer;
        let datagrams = &mut self.datagrams;
        let Some(socket) = datagrams.sockets.get(medium) else {
            return;
        };
        // One in thousands has an index that is in use: its client finds no answer, and shakes hands again.
        if datagrams.entries.contains_key(&index) {
            return;
        }
        let carrier = DatagramCarrier::new(index, Arc::clone(socket), address);
        let until = Timestamp::now() + STRANGER_TIME;
        let newcomer = Holder::Newcomer {
            guest: DatagramSession { session, carrier },
            is_introduced: false,
        };
        datagrams.insert(index, newcomer, until);
    }

    /// The door has decided on a newcomer.
    pub(super) fn decided(&mut self, index: u32, decision: Decision) {
        let entries = &mut self.datagrams.entries;
        let is_newcomer = |entry: &Entry| matches!(entry.holder, Holder::Newcomer { .. });
        if !entries.get(&index).is_some_and(is_newcomer) {
            return;
        }
        let Some(Entry {
            holder: Holder::Newcomer { guest, .. },
            ..
        }) = entries.remove(&index)
        else {
            return;
        };
        let DatagramSession {
            mut session,
            carrier,
        } = guest;
        match decision {
            Decision::Admitted {
                label,
                other_keys,
                key_limits,
            } => {
                session.set_key_limits(key_limits);
                session.set_reassembly_budget(self.datagrams.reassembly.clone());
                session.accept(Timestamp::now(), label.clone());
                self.arrive(Arrival {
                    session,
                    carrier: Carrier::Datagrams(carrier),
                    label,
                    other_keys,
                });
            }
            Decision::Refused(reply) => {
                session.refuse(reply);
                self.leave(DatagramSession { session, carrier });
            }
            Decision::Forgotten => {}
        }
    }

    /// Somebody leaves, who may not have heard so.
    pub(super) fn leave(&mut self, mut leaving: DatagramSession) {
        let now = Timestamp::now();
        let index = leaving.carrier.index;
        // A session that has nothing more to say is forgotten in its time all the same.
        let _ = leaving.transmit(now);
        self.datagrams
            .insert(index, Holder::Leaving(leaving), now + LEAVING_TIME);
    }

    /// Takes what has come by a socket.
    pub(super) fn handle_socket(&mut self, token: u64) -> std::io::Result<Taken> {
        let medium = usize::try_from(token - FIRST_SOCKET).unwrap_or(usize::MAX);
        let Some(socket) = self.datagrams.sockets.get(medium).map(Arc::clone) else {
            return Ok(Taken::default());
        };
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let taken = self.take_batches(&socket, &mut buffer);
        self.datagrams.buffer = buffer;
        taken
    }

    fn take_batches(
        &mut self,
        socket: &DatagramSocket,
        buffer: &mut DatagramBuffer,
    ) -> std::io::Result<Taken> {
        let (mut taken, mut bytes) = (Taken::default(), 0);
        for _ in 0..BATCHES_MOST {
            let mut now = None;
            let received = socket.receive(buffer, |from, datagram| {
                let now = *now.get_or_insert_with(Timestamp::now);
                bytes += datagram.len();
                self.handle_datagram(now, from, datagram);
            });
            self.answer_datagrams();
            let datagrams = received?;
            taken.datagrams += datagrams;
            // Where a call did not give all that it can, the next one would mostly give nothing: the poller says when there is more.
            if datagrams < FULL_BATCH {
                return Ok(taken);
            }
            if bytes >= TURN_BYTES {
                break;
            }
        }
        taken.is_part = true;
        Ok(taken)
    }

    fn handle_datagram(&mut self, now: Timestamp, from: LinkAddress, datagram: &mut [u8]) {
        let Ok(index) = DataHeader::parse(datagram).map(|header| header.receiver) else {
            return;
        };
        let datagrams = &mut self.datagrams;
        let Some(entry) = datagrams.entries.get_mut(&index) else {
            return;
        };
        if !std::mem::replace(&mut entry.is_touched, true) {
            datagrams.touched.push(index);
        }
        match &mut entry.holder {
            Holder::Camera(token) => {
                let token = *token;
                let Some(connection) = self.connections.get_mut(token) else {
                    return;
                };
                let Some(member) = self.cameras.get_mut(&connection.key) else {
                    return;
                };
                let result = connection.ingest.handle_datagram(
                    datagrams.hearing.moment(now),
                    from,
                    datagram,
                    &mut member.camera,
                    &self.place,
                );
                self.tell_announced(token);
                if let Err(ending) = result {
                    self.end(token, &ending);
                }
            }
            Holder::Newcomer {
                guest,
                is_introduced: true,
            } => guest.carrier.keep(from, datagram),
            Holder::Newcomer {
                guest: DatagramSession { session, carrier },
                is_introduced,
            } => {
                let result = carrier.handle_datagram(now, session, from, datagram);
                if result.is_err() {
                    datagrams.entries.remove(&index);
                } else if let Some(Event::Setup(setup)) = session.poll_event() {
                    *is_introduced = true;
                    self.door.send(ToDoor::Introduced(Introduced {
                        index,
                        key: session.peer(),
                        address: carrier.address(),
                        setup,
                    }));
                }
            }
            Holder::Leaving(leaving) => {
                let DatagramSession { session, carrier } = leaving;
                let result = carrier.handle_datagram(now, session, from, datagram);
                let is_over = std::iter::from_fn(|| session.poll_event())
                    .any(|event| matches!(event, Event::Closed(_)));
                if result.is_err() || is_over {
                    datagrams.entries.remove(&index);
                }
            }
        }
    }

    /// Those that have been handed something may have something to say.
    pub(super) fn answer_datagrams(&mut self) {
        let now = Timestamp::now();
        while let Some(index) = self.datagrams.touched.pop() {
            self.answer(now, index);
        }
    }

    /// Those whose time has come.
    pub(super) fn handle_timers(&mut self) {
        let now = Timestamp::now();
        while let Some(index) = self.datagrams.pop_due(now) {
            self.answer(now, index);
        }
    }

    fn answer(&mut self, now: Timestamp, index: u32) {
        let moment = self.datagrams.hearing.moment(now);
        let Some(entry) = self.datagrams.entries.get_mut(&index) else {
            return;
        };
        entry.is_touched = false;
        let until = entry.until;
        let result = match &mut entry.holder {
            Holder::Camera(token) => {
                let token = *token;
                let Some(connection) = self.connections.get_mut(token) else {
                    self.datagrams.entries.remove(&index);
                    return;
                };
                let Some(member) = self.cameras.get_mut(&connection.key) else {
                    return;
                };
                let ingest = &mut connection.ingest;
                let result = ingest
                    .handle_time(moment, &mut member.camera, &self.place)
                    .and_then(|()| ingest.transmit(now));
                match result {
                    Ok(()) => Ok(ingest.session.poll_timeout()),
                    Err(ending) => {
                        self.end(token, &ending);
                        return;
                    }
                }
            }
            Holder::Newcomer { guest: other, .. } | Holder::Leaving(other) => {
                if now >= other.session.poll_timeout() {
                    other.session.handle_timeout(now);
                }
                let result = other.transmit(now);
                result.map(|()| other.session.poll_timeout())
            }
        };
        match result {
            // Whoever still has something to do has its turn after others, however much that is.
            Ok(wanted) if now < until => {
                self.datagrams
                    .schedule(index, wanted.max(now + TIMER_LEAST));
            }
            Ok(_) | Err(_) => {
                self.datagrams.entries.remove(&index);
            }
        }
    }
}
