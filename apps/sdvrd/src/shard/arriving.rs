//! A camera arrives that the door has let in: whose place it takes.

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::{HostAddress, Label, PublicKey, Timestamp};
use sdvr_session::CloseCode;
use sdvr_transport::Interest;
use tracing::{info, warn};

use super::{Connection, Shard};
use crate::camera::Camera;
use crate::ingest::{Ending, Ingest, Way};
use crate::knock::Arrival;
use crate::peer::Peer;

/// A live session that is replaced so often within so long, each time from another address: two hosts have the same key.
const CLONED_TIMES: usize = 3;
const CLONED_TIME: Duration = Duration::from_secs(60);

/// A camera and how it is reached now.
pub(super) struct Member {
    pub(super) camera: Camera,
    pub(super) connection: Option<u64>,
    pub(super) last_heard: Timestamp,
    /// When live sessions were replaced from another address, lately.
    replacements: VecDeque<Timestamp>,
}

impl Member {
    const fn new(now: Timestamp, camera: Camera) -> Self {
        Self {
            camera,
            connection: None,
            last_heard: now,
            replacements: VecDeque::new(),
        }
    }

    /// A live session is about to be replaced by one from `new`: whether that has happened from other addresses too often.
    fn is_cloned(&mut self, now: Timestamp, old: HostAddress, new: HostAddress) -> bool {
        self.replacements
            .retain(|&at| now.saturating_since(at) < CLONED_TIME);
        if old == new {
            return false;
        }
        if self.replacements.len() >= CLONED_TIMES {
            return true;
        }
        self.replacements.push_back(now);
        false
    }
}

impl Shard {
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let key = arrival.session.peer();
        let (label, peer, suite) = (
            arrival.label.clone(),
            arrival.carrier.peer(),
            arrival.session.suite(),
        );
        let now = Timestamp::now();
        let known_as = self.known_as(key, &arrival.other_keys);
        let other_keys = arrival.other_keys.clone();
        let ingest = Ingest::new(arrival);
        // Before anything changes: who is refused takes nothing from the one who streams.
        if let Some(known_as) = known_as
            && let Some(streaming) = self.clone_of(now, known_as, peer.host())
        {
            self.refuse_clone(now, &label, ingest, streaming, known_as);
            return;
        }
        if let Some(known_as) = known_as {
            self.follow_key(now, known_as, &ingest, &other_keys);
        }
        let member = self
            .cameras
            .entry(key)
            .or_insert_with(|| Member::new(now, Camera::new(now, key, label.clone())));
        let may_say = member.camera.chatter.may_say(now);
        member.last_heard = now;
        // Another one, if it was forgotten under the one it had.
        member.camera.label = label.clone();
        member.camera.set_link(peer.link());
        if let Some(old) = member.connection.take() {
            self.replace(old, peer, may_say.then_some(&label));
        }
        let token = self.connections.insert(Connection {
            ingest,
            key,
            interest: Interest::Read,
        });
        let (Some(connection), Some(member)) =
            (self.connections.get_mut(token), self.cameras.get_mut(&key))
        else {
            return;
        };
        member.connection = Some(token);
        self.place.counters.sessions.count();
        let added = match connection.ingest.way() {
            Way::Connection(link) => self.poller.add(link, token, Interest::Read),
            Way::Datagrams(index) => {
                self.datagrams.has_connection(index, token);
                Ok(())
            }
        };
        if let Err(problem) = added {
            if may_say {
                warn!(camera = %label, %problem, "connection given up");
            }
            self.end(token, &Ending::Cut);
            return;
        }
        if may_say {
            info!(camera = %label, %peer, fingerprint = %key.fingerprint(), cipher = %suite, "camera connected");
        }
        if let Err(ending) = connection
            .ingest
            .handle_arrival(&mut member.camera, &self.place)
        {
            self.end(token, &ending);
        }
    }

    /// The key under which a camera is here that has proved `key` and may have come with `others`: that of a live session, if there is one.
    fn known_as(&self, key: PublicKey, others: &[PublicKey]) -> Option<PublicKey> {
        let is_live = |key: &PublicKey| {
            self.cameras
                .get(key)
                .is_some_and(|member| member.connection.is_some())
        };
        let mut keys = std::iter::once(key)
            .chain(others.iter().copied())
            .filter(|key| self.cameras.contains_key(key));
        keys.clone().find(is_live).or_else(|| keys.next())
    }

    /// Where the camera streams from that `arriving` has the key of, if two hosts must have it.
    fn clone_of(
        &mut self,
        now: Timestamp,
        known_as: PublicKey,
        arriving: HostAddress,
    ) -> Option<Peer> {
        let member = self.cameras.get_mut(&known_as)?;
        let streaming = self.connections.get_mut(member.connection?)?.ingest.peer();
        member
            .is_cloned(now, streaming.host(), arriving)
            .then_some(streaming)
    }

    fn refuse_clone(
        &mut self,
        now: Timestamp,
        camera: &Label,
        ingest: Ingest,
        streaming: Peer,
        known_as: PublicKey,
    ) {
        let refused = ingest.peer();
        self.close(
            ingest,
            CloseCode::Cloned,
            &format!(
                "{} streams with the same key, and this is {}",
                streaming.host(),
                refused.host()
            ),
        );
        self.place.counters.refused_cloned.count();
        if self
            .cameras
            .get_mut(&known_as)
            .is_some_and(|member| member.camera.chatter.may_say(now))
        {
            warn!(%camera, %streaming, %refused,
                "two hosts have this camera's key (a copied storage card?): the newer one is refused. Delete its key file there, and it comes as a camera of its own");
        }
    }

    /// A camera that has proved another key is the one it was: what it streams goes on, in the same rings. What else is here under one of
    /// its keys ends.
    fn follow_key(
        &mut self,
        now: Timestamp,
        known_as: PublicKey,
        arriving: &Ingest,
        others: &[PublicKey],
    ) {
        let key = arriving.session.peer();
        for other in std::iter::once(&key).chain(others) {
            if *other == known_as {
                continue;
            }
            if let Some(mut member) = self.cameras.remove(other) {
                if let Some(old) = member.connection.take() {
                    self.replace(old, arriving.peer(), None);
                }
                member.camera.close_all(now, &self.place);
            }
        }
        if known_as == key {
            return;
        }
        let Some(mut member) = self.cameras.remove(&known_as) else {
            return;
        };
        if let Some(connection) = member
            .connection
            .and_then(|token| self.connections.get_mut(token))
        {
            connection.key = key;
        }
        member.camera.has_key(now, key, &self.place);
        self.cameras.insert(key, member);
    }

    /// Ends a session that a newer one takes the place of.
    fn replace(&mut self, token: u64, newer: Peer, may_say: Option<&Label>) {
        let Some(Connection { ingest, .. }) = self.connections.remove(token) else {
            return;
        };
        let old = ingest.peer();
        self.close(
            ingest,
            CloseCode::Replaced,
            "a newer session of the same key",
        );
        self.place.counters.ended.replaced.count();
        if let Some(camera) = may_say {
            info!(%camera, %old, new = %newer, "session replaced");
        }
    }
}
