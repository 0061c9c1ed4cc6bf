//! Which of its keys a camera comes with, and who has heard of a new one.
//!
//! `sdvr keys rotate --camera` leaves a new key beside the camera's own. It is announced in a session of the one that the server
//! knows, and used when the server has said that it is on its disk. A camera that meets several servers keeps the one before for
//! those that have not said so.

use std::time::Duration;

use sdvr_frame::{Fingerprint, PublicKey, Timestamp};
use sdvr_session::{NewIdCode, SetupCode, SetupReply};
use sdvr_trust::{CameraIdentity, KeyDirectory, KnownServers, SecretKey, TrustError, WhichKey};
use tracing::{info, warn};

/// How often it is looked whether there is a new key.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a server is left alone that has not recorded a key.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(65);

/// A camera's keys, and the one in use.
#[derive(Debug)]
pub(crate) struct OwnKey {
    identity: CameraIdentity,
    /// The one that the link in use was begun with.
    used: WhichKey,
    /// The server does not know the key that it should know: the other one is tried.
    is_other: bool,
    look_at: Timestamp,
    /// When the server is told of the current key, if it must be.
    announce_at: Timestamp,
    /// A fault that was said.
    said: Option<String>,
}

impl OwnKey {
    pub(crate) const fn new(identity: CameraIdentity, now: Timestamp) -> Self {
        Self {
            identity,
            used: WhichKey::Current,
            is_other: false,
            look_at: now,
            announce_at: Timestamp::NEVER,
            said: None,
        }
    }

    pub(crate) const fn identity(&self) -> &CameraIdentity {
        &self.identity
    }

    /// The key that the link in use was begun with.
    pub(crate) fn used(&self) -> &SecretKey {
        self.identity.which(self.used)
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.used().public_key().fingerprint()
    }

    /// When this wants to be looked at.
    pub(crate) const fn poll_timeout(&self) -> Timestamp {
        self.look_at
    }

    /// Chooses the key for a new link.
    pub(crate) fn choose(&mut self, keys: &KeyDirectory, address: &str) -> Result<(), TrustError> {
        self.announce_at = Timestamp::NEVER;
        let expected = self.identity.key_for(&KnownServers::new(keys), address)?;
        self.used = match (expected, self.is_other) {
            (WhichKey::Current, false) | (WhichKey::Old, true) => WhichKey::Current,
            (WhichKey::Old, false) | (WhichKey::Current, true) => WhichKey::Old,
        };
        Ok(())
    }

    /// Looks, now and then, whether there is a new key; the server that is met under the one before is told at once.
    pub(crate) fn look(&mut self, now: Timestamp, is_accepted: bool) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_INTERVAL;
        match self.identity.refresh() {
            Ok(false) => {}
            Ok(true) => {
                info!(label = %self.identity.label, fingerprint = %self.identity.key.public_key().fingerprint(),
                    "this camera has another key from now on; servers hear of it");
                // What was in use is the one before now. What was the one before that is not a choice any more.
                self.used = WhichKey::Old;
                self.is_other = false;
                if is_accepted {
                    self.announce_at = now;
                }
            }
            Err(error) => self.say(&format!("the camera's new key cannot be used: {error}")),
        }
    }

    fn say(&mut self, text: &str) {
        if self.said.as_deref() != Some(text) {
            warn!("{text}");
            self.said = Some(text.to_owned());
        }
    }

    /// The server has let the camera in.
    pub(crate) fn was_accepted(&mut self, now: Timestamp, keys: &KeyDirectory, address: &str) {
        self.is_other = false;
        match (&self.identity.old, self.used) {
            (None, _) => {}
            (Some(_), WhichKey::Old) => self.announce_at = now,
            (Some(_), WhichKey::Current) => self.remember_told(keys, address),
        }
    }

    /// The key to announce, if it is time.
    pub(crate) fn take_announcement(&mut self, now: Timestamp) -> Option<PublicKey> {
        if now < self.announce_at {
            return None;
        }
        // Until there is an answer; a server that knows no such message gives none.
        self.announce_at = now + ANNOUNCE_AGAIN;
        Some(self.identity.key.public_key())
    }

    /// The server's answer.
    pub(crate) fn handle_answer(
        &mut self,
        now: Timestamp,
        (key, code): (PublicKey, NewIdCode),
        keys: &KeyDirectory,
        address: &str,
    ) {
        if key != self.identity.key.public_key() {
            return;
        }
        let again = now + ANNOUNCE_AGAIN;
        match code {
            NewIdCode::Recorded => {
                info!(server = %address, fingerprint = %key.fingerprint(), "the server knows this camera's new key, which takes over with the next connection");
                self.announce_at = Timestamp::NEVER;
                self.remember_told(keys, address);
            }
            NewIdCode::TooOften => {
                self.announce_at = again;
                self.say("the server records no more new keys now; it hears of this camera's in a minute");
            }
            NewIdCode::StoreFailed => {
                self.announce_at = again;
                self.say("the server could not record this camera's new key (its disk may be full); the one before is used until it can");
            }
            NewIdCode::Refused | NewIdCode::Other(_) => {
                self.announce_at = Timestamp::NEVER;
                self.say("the server refused this camera's new key; its log says why. The one before is used");
            }
        }
    }

    fn remember_told(&mut self, keys: &KeyDirectory, address: &str) {
        let old = self.identity.old.as_ref().map(SecretKey::public_key);
        let current = self.identity.key.public_key();
        let noted = KnownServers::new(keys).note_told(address, &current, old.as_ref());
        if let Err(error) = noted {
            // It is asked again when the camera comes with the one before.
            self.say(&format!(
                "that the server knows this camera's new key was not remembered: {error}"
            ));
        }
    }

    /// The camera was refused: whether that may be because the server knows its other key, which is tried next then.
    pub(crate) fn was_refused(&mut self, reply: &SetupReply) -> bool {
        let other = match self.used {
            WhichKey::Current => self.identity.old.as_ref(),
            WhichKey::Old => Some(&self.identity.key),
        };
        let Some(other) = other.map(|key| key.public_key().fingerprint()) else {
            return false;
        };
        let is_known = *other.as_bytes() == reply.in_the_way
            || matches!(reply.code, SetupCode::Closed | SetupCode::KeyReplaced);
        self.is_other ^= is_known;
        is_known
    }

    /// The server has hung up when it had read the key.
    pub(crate) const fn was_unheard(&mut self) {
        if self.identity.old.is_some() {
            self.is_other = !self.is_other;
        }
    }
}
