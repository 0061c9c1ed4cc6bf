//! The decision on cameras that have proved their keys: which shard takes one in, or what one hears that may not stream.

use rand_core::CryptoRng;
use sdvr_frame::{Label, PublicKey, Timestamp};
use sdvr_session::{Session, Setup, SetupCode, SetupReply};
use sdvr_trust::{Admission, Newcomer, Refusal};
use tracing::{info, warn};

use super::Running;
use super::datagrams::shard_of;
use super::report::Matter;
use crate::ingest::Carrier;
use crate::knock::Arrival;
use crate::peer::Peer;
use crate::shard::{Decision, ToShard};

/// A camera that waits for the decision.
pub(super) struct Introduction {
    pub(super) key: PublicKey,
    pub(super) peer: Peer,
    pub(super) setup: Setup,
    pub(super) place: Place,
}

/// Where its session is.
pub(super) enum Place {
    /// Here, with its connection.
    Door { token: u64, session: Box<Session> },
    /// At its shard, where its datagrams come: by the session's index.
    Shard(u32),
}

impl Introduction {
    /// What is decided on.
    fn newcomer(&self) -> Newcomer {
        Newcomer {
            key: self.key,
            label: self.setup.label.clone(),
            from: self.peer.host(),
        }
    }
}

impl<R: CryptoRng> Running<R> {
    /// Decides on all that introduced themselves in this turn: their pins share one write, for which nobody waits who is known.
    pub(super) fn decide(&mut self, now: Timestamp) {
        if self.waiting.is_empty() {
            return;
        }
        // Who is refused must not be refused for what somebody has just taken back.
        self.refresh();
        let waiting = std::mem::take(&mut self.waiting);
        let (to_be_written, settled): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .map(|introduction| {
                let newcomer = introduction.newcomer();
                (introduction, newcomer)
            })
            .partition(|(_, newcomer)| self.door.known.needs_write(newcomer));
        self.decide_on(now, settled);
        self.decide_on(now, to_be_written);
    }

    fn decide_on(&mut self, now: Timestamp, waiting: Vec<(Introduction, Newcomer)>) {
        let (introductions, newcomers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let admissions = self.door.known.admit_all(now, &newcomers);
        for (introduction, admission) in introductions.into_iter().zip(admissions) {
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
        if self.report.gets_line(Matter::New) {
            info!(camera = %label, fingerprint = %introduction.key.fingerprint(), peer = %introduction.peer,
                "new camera: its key is remembered from now on");
        }
    }

    fn admit(&mut self, now: Timestamp, introduction: Introduction, label: Label) {
        let Introduction {
            key,
            peer,
            setup,
            place,
        } = introduction;
        self.hellos.remember(peer.site());
        if setup.label != label && self.report.gets_line(Matter::OtherLabel) {
            info!(camera = %label, wanted = %setup.label, "the camera is known under another label, which it keeps");
        }
        let other_keys = self.other_keys(&key);
        let key_limits = self.door.key_limits;
        match place {
            Place::Door { token, mut session } => {
                let Some(knock) = self.remove(token) else {
                    return;
                };
                self.door.descriptors.admitted();
                let emptiest = self.emptiest_shard();
                let home = self.homes.take_in(key, &other_keys, emptiest);
                session.set_key_limits(key_limits);
                session.accept(now, label.clone());
                let arrival = Arrival {
                    session,
                    carrier: Carrier::Records(knock.into_carrier()),
                    label,
                    other_keys,
                };
                if let Some(shard) = self.door.shards.get(home) {
                    shard.send(ToShard::Arrival(arrival));
                }
            }
            Place::Shard(index) => {
                let shard = shard_of(index);
                let home = self.homes.of_any(&key, &other_keys);
                let decision = if home.is_none_or(|home| home == shard) {
                    self.homes.take_in(key, &other_keys, shard);
                    Decision::Admitted {
                        label,
                        other_keys,
                        key_limits,
                    }
                } else {
                    // It has shaken hands twice at once, and the other one was first: it comes again.
                    Decision::Forgotten
                };
                self.tell_shard(index, ToShard::Decided(index, decision));
            }
        }
    }

    fn other_keys(&self, key: &PublicKey) -> Vec<PublicKey> {
        let mut keys = self.door.known.keys_of(key);
        keys.retain(|other| other != key);
        keys
    }

    /// The shard to which the datagrams of a camera go that has shaken hands: where it was, if it was here. Nothing is kept of it yet.
    pub(super) fn shard_for(&self, key: &PublicKey) -> usize {
        self.homes
            .of_any(key, &self.other_keys(key))
            .unwrap_or_else(|| self.emptiest_shard())
    }

    /// Guests count: many cameras that are switched on at once shake hands before the first of them is let in.
    fn emptiest_shard(&self) -> usize {
        self.homes
            .emptiest_shard(|shard| self.datagrams.guests_of(shard))
    }

    fn refuse(&mut self, now: Timestamp, introduction: Introduction, refusal: &Refusal) {
        self.door.counters.count_refused(refusal);
        self.tell_refused(&introduction, refusal);
        let Introduction { setup, place, .. } = introduction;
        let reply = refusal_reply(refusal, setup.label);
        match place {
            Place::Door { token, mut session } => {
                let Some(knock) = self.remove(token) else {
                    return;
                };
                self.door.descriptors.closed();
                session.refuse(reply);
                let mut out = Vec::new();
                if session.poll_transmit(now, &mut out).is_ok() {
                    // It fits any socket buffer; a camera that cannot be told finds out by the end of the connection.
                    let _ = knock.link.write(&out);
                }
                knock.link.finish_writing();
            }
            Place::Shard(index) => {
                self.tell_shard(index, ToShard::Decided(index, Decision::Refused(reply)));
            }
        }
    }

    /// A camera that waits comes every second: it is said once.
    fn tell_refused(&mut self, introduction: &Introduction, refusal: &Refusal) {
        let (peer, wanted) = (introduction.peer, &introduction.setup.label);
        let fingerprint = introduction.key.fingerprint();
        match refusal {
            Refusal::Pending { is_new: false, .. } => {}
            Refusal::Pending { is_new: true, .. } => {
                if self.report.gets_line(Matter::Waiting) {
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
