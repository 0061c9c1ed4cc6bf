//! How a session's keys are renewed: epochs that the other end confirms, and handshakes inside the session.
//!
//! ```text
//! client                                         server
//!   | ask_for_rekey_if_due: Event::Rekey           |
//!   | rekey ────────────── REKEY1 ───────────────► | Event::Rekey
//!   | ◄─────────────────── REKEY2 ──────────────── | rekey
//!   | ═══ the next epoch, under new keys ════════► | ◄═ as soon as its epoch is confirmed
//! ```

use std::sync::Arc;
use std::time::Duration;

use rand_core::CryptoRng;
use sdvr_frame::Timestamp;
use zeroize::Zeroizing;

use super::{Event, Role, Session, State};
use crate::error::SessionError;
use crate::key_limits::{HANDSHAKES_APART, HANDSHAKES_APART_AT_CLIENT, KeyLimits};
use crate::keys::{Direction, Suite, TrafficSecret, wipe_stack};
use crate::message::{Control, REKEY1_BYTES, REKEY2_BYTES};
use crate::noise::{Finished, InitiatorStart, InitiatorWaiting, ResponderStart};

/// No epoch is shorter by its time: each is answered, and an answer that began one would be answered without end.
const EPOCH_LEAST: Duration = Duration::from_millis(100);
const REKEY_PROLOGUE: &[u8] = b"sdvr2 rekey";

/// What a session needs to renew its keys.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) limits: KeyLimits,
    own: PrivateKey,
    /// Of the last handshake: the next one is bound to it.
    handshake_hash: [u8; 32],
    /// When that was.
    since: Timestamp,
    handshake: Handshake,
    /// Whether SEEN waits to be sealed: the other end cannot go on before it is.
    owes_seen: bool,
}

/// How far a handshake inside the session is.
#[derive(Debug)]
enum Handshake {
    /// There is none. New keys of the last one may still wait for their epoch.
    None,
    /// Client: it is due, and the driver was asked for randomness.
    Due,
    /// Client: REKEY1 was said.
    Waiting(InitiatorWaiting),
    /// Server: REKEY1 was heard, and the driver was asked for randomness.
    Heard([u8; REKEY1_BYTES]),
    /// Server: REKEY2 is not sealed. What follows it may be under the keys of this secret.
    Answering(TrafficSecret),
}

struct PrivateKey(Arc<Zeroizing<[u8; 32]>>);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PrivateKey")
    }
}

impl Renewal {
    pub(super) fn new(
        now: Timestamp,
        own: Arc<Zeroizing<[u8; 32]>>,
        handshake_hash: [u8; 32],
    ) -> Self {
        Self {
            limits: KeyLimits::default(),
            own: PrivateKey(own),
            handshake_hash,
            since: now,
            handshake: Handshake::None,
            owes_seen: false,
        }
    }

    fn prologue(&self) -> Vec<u8> {
        [REKEY_PROLOGUE, self.handshake_hash.as_slice()].concat()
    }

    fn finished(&mut self, now: Timestamp, finished: &Finished) {
        self.handshake_hash = finished.handshake_hash;
        self.since = now;
    }
}

/// The secrets of a handshake: of what this end sends, and of what it receives.
pub(super) fn secrets(
    role: Role,
    suite: Suite,
    finished: &Finished,
) -> (TrafficSecret, TrafficSecret) {
    let secret =
        |key, direction| TrafficSecret::new(key, suite, direction, &finished.handshake_hash);
    let from_client = secret(&finished.from_initiator, Direction::FromClient);
    let from_server = secret(&finished.from_responder, Direction::FromServer);
    match role {
        Role::Client => (from_client, from_server),
        Role::Server => (from_server, from_client),
    }
}

impl Session {
    /// Renews keys by `limits` from now on. For tests and measurements: the defaults are right.
    pub fn set_key_limits(&mut self, limits: KeyLimits) {
        let most = KeyLimits::default();
        self.renewal.limits = KeyLimits {
            epoch_bytes: limits.epoch_bytes.min(most.epoch_bytes),
            epoch_records: limits.epoch_records.clamp(2, most.epoch_records),
            epoch_time: limits.epoch_time.clamp(EPOCH_LEAST, most.epoch_time),
            rekey_bytes: limits.rekey_bytes.min(most.rekey_bytes),
            rekey_time: limits.rekey_time.min(most.rekey_time),
            session_time: limits.session_time.min(most.session_time),
        };
    }

    /// Gives the randomness that [`Event::Rekey`] asked for. Computes four or five Diffie-Hellman steps, a few hundred
    /// microseconds.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol: the session is of no more use.
    pub fn rekey(
        &mut self,
        now: Timestamp,
        random: &mut dyn CryptoRng,
    ) -> Result<(), SessionError> {
        if !matches!(self.state, State::Accepted(_)) {
            return Ok(());
        }
        match std::mem::replace(&mut self.renewal.handshake, Handshake::None) {
            Handshake::Due => self.begin_rekey(random)?,
            Handshake::Heard(noise) => self.answer_rekey(now, &noise, random)?,
            other => self.renewal.handshake = other,
        }
        wipe_stack();
        Ok(())
    }

    fn begin_rekey(&mut self, random: &mut dyn CryptoRng) -> Result<(), SessionError> {
        let start = InitiatorStart {
            prologue: &self.renewal.prologue(),
            own: &self.renewal.own.0,
            responder: self.peer,
        };
        let mut noise = Vec::with_capacity(REKEY1_BYTES);
        let waiting = start.write(random, &[], &mut noise)?;
        let noise = noise.try_into().map_err(|_| SessionError::NotAuthentic)?;
        self.renewal.handshake = Handshake::Waiting(waiting);
        // So that the server knows which keys the next epoch has: REKEY2's.
        self.sealer.keys.chain().await_fresh();
        self.queue(&Control::Rekey1(noise));
        Ok(())
    }

    fn answer_rekey(
        &mut self,
        now: Timestamp,
        noise: &[u8; REKEY1_BYTES],
        random: &mut dyn CryptoRng,
    ) -> Result<(), SessionError> {
        let start = ResponderStart {
            prologue: &self.renewal.prologue(),
            own: &self.renewal.own.0,
        };
        let named = start.read(noise)?;
        if named.initiator() != self.peer {
            return Err(SessionError::NotAuthentic);
        }
        let (ready, []) = named.verify()?;
        let mut answer = Vec::with_capacity(REKEY2_BYTES);
        let finished = ready.write(random, &[], &mut answer)?;
        let answer = answer.try_into().map_err(|_| SessionError::NotAuthentic)?;
        let (sending, receiving) = secrets(self.role, self.suite, &finished);
        self.opener.chain.set_fresh(receiving);
        self.renewal.finished(now, &finished);
        self.renewal.handshake = Handshake::Answering(sending);
        self.queue(&Control::Rekey2(answer));
        Ok(())
    }

    pub(super) fn handle_rekey1(
        &mut self,
        now: Timestamp,
        noise: [u8; REKEY1_BYTES],
    ) -> Result<(), SessionError> {
        let is_in_turn = matches!(self.state, State::Accepted(_))
            && matches!(self.renewal.handshake, Handshake::None)
            && self.keys_are_settled()
            && now.saturating_since(self.renewal.since) >= HANDSHAKES_APART;
        if !is_in_turn {
            return Err(SessionError::Unexpected("REKEY1"));
        }
        self.renewal.handshake = Handshake::Heard(noise);
        // What follows REKEY2 is under the new keys, so nothing more may begin under the old.
        self.opener.chain.await_fresh();
        self.sealer.keys.chain().await_fresh();
        self.push(Event::Rekey)
    }

    pub(super) fn handle_rekey2(
        &mut self,
        now: Timestamp,
        noise: &[u8; REKEY2_BYTES],
    ) -> Result<(), SessionError> {
        let Handshake::Waiting(waiting) =
            std::mem::replace(&mut self.renewal.handshake, Handshake::None)
        else {
            return Err(SessionError::Unexpected("REKEY2"));
        };
        let (finished, []) = waiting.read(noise)?;
        let (sending, receiving) = secrets(self.role, self.suite, &finished);
        self.opener.chain.set_fresh(receiving);
        self.sealer.keys.chain().set_fresh(sending);
        // It answers a record of the present epoch, which could not end meanwhile.
        self.sealer.keys.confirm(self.sealer.counter());
        self.renewal.finished(now, &finished);
        drop(finished);
        wipe_stack();
        Ok(())
    }

    fn keys_are_settled(&self) -> bool {
        self.sealer.keys.is_settled() && self.opener.chain.is_settled()
    }

    /// Client: when a handshake is due, if none is under way.
    pub(super) fn rekey_due(&self) -> Timestamp {
        let renewal = &self.renewal;
        if !matches!(renewal.handshake, Handshake::None) || !self.keys_are_settled() {
            return Timestamp::NEVER;
        }
        let after = if self.sealer.keys.bytes_since_handshake() >= renewal.limits.rekey_bytes {
            HANDSHAKES_APART_AT_CLIENT
        } else {
            let [low, high, ..] = renewal.handshake_hash;
            renewal.limits.rekey_after(u16::from_le_bytes([low, high]))
        };
        renewal.since + after
    }

    pub(super) fn ask_for_rekey_if_due(&mut self, now: Timestamp) {
        if now >= self.rekey_due() && self.push(Event::Rekey).is_ok() {
            self.renewal.handshake = Handshake::Due;
        }
    }

    /// Refuses a session that has had no handshake for too long.
    pub(super) fn check_age(&self, now: Timestamp) -> Result<(), SessionError> {
        let renewal = &self.renewal;
        if now.saturating_since(renewal.since) >= renewal.limits.session_time {
            return Err(SessionError::KeysUsedUp);
        }
        Ok(())
    }

    /// The other end has gone on to its next epoch: it may if the one before was confirmed, and this confirms the new one.
    pub(super) fn handle_new_epoch(&mut self) -> Result<(), SessionError> {
        match self.state {
            State::BeforeSetup | State::Deciding => {
                Err(SessionError::Epoch(self.opener.chain.epoch()))
            }
            State::Accepted(_) if self.renewal.owes_seen => {
                Err(SessionError::Epoch(self.opener.chain.epoch()))
            }
            State::Accepted(_) => {
                self.renewal.owes_seen = true;
                self.answer(&Control::Seen(self.opener.counter()))
            }
            State::Closing | State::Closed => Ok(()),
        }
    }

    pub(super) fn handle_seen(&mut self, records: u64) -> Result<(), SessionError> {
        if self.sealer.keys.confirm(records) {
            Ok(())
        } else {
            Err(SessionError::Unexpected("SEEN"))
        }
    }

    /// All that was said is sealed, REKEY2 under the keys that it replaces.
    pub(super) fn outbox_was_sealed(&mut self) {
        self.renewal.owes_seen = false;
        if matches!(self.renewal.handshake, Handshake::Answering(_))
            && let Handshake::Answering(secret) =
                std::mem::replace(&mut self.renewal.handshake, Handshake::None)
        {
            self.sealer.keys.chain().set_fresh(secret);
        }
    }
}
