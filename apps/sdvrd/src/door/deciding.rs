//! The decision on cameras that have proved their keys: which shard takes one in, or what one hears that may not stream.

use std::net::Ipv6Addr;

use rand_core::CryptoRng;
use sdvr_frame::{Label, PublicKey, Timestamp};
use sdvr_session::{Session, Setup, SetupCode, SetupReply};
use sdvr_trust::{Admission, Newcomer, Refusal};
use tracing::{info, warn};

use super::Running;
use super::report::Matter;
use crate::knock::{Arrival, Knock};
use crate::shard::ToShard;

/// A camera that waits for the decision.
pub(super) struct Introduction {
    pub(super) token: u64,
    pub(super) session: Box<Session>,
    pub(super) setup: Setup,
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
        let waiting = waiting.into_iter().map(|introduction| {
            let newcomer = self.newcomer(&introduction);
            (introduction, newcomer)
        });
        let waiting: Vec<(Introduction, Newcomer)> = waiting.collect();
        let (to_be_written, settled): (Vec<_>, Vec<_>) = waiting
            .into_iter()
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

    fn newcomer(&mut self, introduction: &Introduction) -> Newcomer {
        let knock = self.strangers.get_mut(introduction.token);
        Newcomer {
            key: introduction.session.peer(),
            label: introduction.setup.label.clone(),
            from: knock.map_or_else(
                || Ipv6Addr::UNSPECIFIED.into(),
                |knock| knock.peer.ip().to_canonical(),
            ),
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
        let home = self.homes.take_in(key, &other_keys);
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
