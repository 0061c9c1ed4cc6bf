//! Keys that change while sessions go on: those that cameras announce, the server's own, and those that somebody takes back.

use rand_core::CryptoRng;
use sdvr_frame::Timestamp;
use sdvr_session::NewIdCode;
use sdvr_trust::{Announced, Announcement, DiscardedKey, Removal, Removed, SecretKey};
use tracing::{info, warn};

use super::report::Matter;
use super::{Running, ToDoor};
use crate::shard::ToShard;

impl<R: CryptoRng> Running<R> {
    /// Takes what the shards have sent: all keys that were announced share one write.
    pub(super) fn hear_shards(&mut self, now: Timestamp) {
        let messages: Vec<ToDoor> = self.door.messages.try_iter().collect();
        let mut announced: Vec<Announced> = Vec::new();
        for message in messages {
            match message {
                ToDoor::NewId(key) => announced.push(key),
                ToDoor::Introduced(introduced) => self.hear_introduction(introduced),
            }
        }
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
        let home = self.homes.of(&proved);
        if let Some(shard) = home.and_then(|home| self.door.shards.get(home)) {
            let (camera, key) = (proved, next);
            shard.send(ToShard::NewIdReply { camera, key, code });
        }
    }

    /// Looks whether the server has another key, which all that are connected then hear of.
    pub(super) fn refresh_server_keys(&mut self) {
        let watch = &mut self.door.server_key_watch;
        let before = watch.current();
        match watch.refresh() {
            Ok(None) => {}
            Ok(Some(keys)) => {
                let old = keys.old.as_ref().map(SecretKey::expose);
                self.door.handshake.set_keys(keys.current.expose(), old);
                let current = keys.current.public_key();
                let fingerprint = current.fingerprint();
                if current == before {
                    let is_good = if keys.old.is_some() { "is" } else { "is not" };
                    info!(%fingerprint, "this server's key is the same; the one before {is_good} good");
                } else {
                    info!(%fingerprint, "this server has another key from now on; cameras that are connected hear of it");
                    for shard in &self.door.shards {
                        shard.send(ToShard::NextKey(current));
                    }
                }
            }
            Err(error) => {
                if self.report.gets_line(Matter::Fault) {
                    warn!("the server's key stays as it was: {error}");
                }
            }
        }
        if let Some(discarded) = self.door.server_key_watch.take_discarded()
            && self.report.gets_line(Matter::Fault)
        {
            tell_discarded(&discarded);
        }
    }

    /// Looks whether somebody forgot a camera.
    pub(super) fn refresh(&mut self) {
        match self.door.known.refresh() {
            Ok(changes) => {
                for removed in changes.removed {
                    self.dismiss(removed);
                }
            }
            Err(error) => {
                if self.report.gets_line(Matter::Fault) {
                    warn!("the known cameras stay as they were: {error}");
                }
            }
        }
    }

    /// The camera comes in with this key no more; a session that it has in its shard ends.
    fn dismiss(&mut self, removed: Removed) {
        let Removed { key, label, why } = removed;
        let what = match why {
            Removal::Forgotten => "forgotten",
            Removal::Revoked { .. } => "revoked",
            Removal::KeyReplaced => "its key before is not good any more",
        };
        let fingerprint = key.fingerprint();
        let home = self.homes.remove(&key);
        let Some(shard) = home.and_then(|home| self.door.shards.get(home)) else {
            info!(camera = %label, %fingerprint, "{what}");
            return;
        };
        info!(camera = %label, %fingerprint, "{what}: if it is connected, its session ends");
        shard.send(ToShard::Dismiss(key, why));
    }
}

fn tell_discarded(discarded: &DiscardedKey) {
    let DiscardedKey { key, path, problem } = discarded;
    let fingerprint = key.fingerprint();
    let path = path.display();
    match problem {
        None => warn!(
            %fingerprint,
            "{path} had a key that this server's key did not replace: it is not good, and the file was removed. Clients that know only that key must forget the server"
        ),
        Some(problem) => warn!(
            %fingerprint,
            "{path} has a key that this server's key did not replace: it is not good. Remove the file, which could not be done here: {problem}"
        ),
    }
}
