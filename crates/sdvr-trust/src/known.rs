//! What the files say of cameras, in memory: looked up by key and by label, and the decision that follows of it.

use std::collections::{HashMap, HashSet};

use sdvr_frame::{Label, PublicKey};

use crate::admission::{Acceptance, Admission, Newcomer, Refusal, Removal, Removed};
use crate::known_cameras::{KnownCamera, Standing};
use crate::lines::WallTime;
use crate::pending::PENDING_MOST;

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) cameras: Vec<KnownCamera>,
    /// By each of their keys.
    by_key: HashMap<PublicKey, usize>,
    by_label: HashMap<Label, usize>,
    pub(crate) pending: HashSet<PublicKey>,
    pub(crate) revoked: HashMap<PublicKey, String>,
    /// When the next of the keys before is not good any more.
    next_over: Option<WallTime>,
}

/// What is to be done about a newcomer.
pub(crate) enum Decision {
    Settled(Admission),
    /// It is known, and has proved the key that it had announced, which is to become its key.
    Promote(Label),
    /// It is to be added to the known cameras.
    Add,
    /// It is to be added to those that wait; until then, and afterwards, it is refused.
    Note(Refusal),
}

impl Known {
    pub(crate) fn of_key(&self, key: &PublicKey) -> Option<&KnownCamera> {
        let index = self.by_key.get(key)?;
        self.cameras.get(*index)
    }

    fn of_label(&self, label: &Label) -> Option<&KnownCamera> {
        let index = self.by_label.get(label)?;
        self.cameras.get(*index)
    }

    pub(crate) fn add(&mut self, camera: KnownCamera) {
        let index = self.cameras.len();
        self.by_key.extend(camera.keys().map(|key| (key, index)));
        self.by_label.insert(camera.label.clone(), index);
        self.note_old(&camera);
        self.pending.remove(&camera.key);
        self.cameras.push(camera);
    }

    /// Takes over what has changed of a camera: its keys.
    pub(crate) fn change(&mut self, camera: KnownCamera) {
        let Some(&index) = self.by_label.get(&camera.label) else {
            return;
        };
        let Some(before) = self.cameras.get_mut(index) else {
            return;
        };
        for key in before.keys() {
            self.by_key.remove(&key);
        }
        self.by_key.extend(camera.keys().map(|key| (key, index)));
        *before = camera.clone();
        self.note_old(&camera);
    }

    fn note_old(&mut self, camera: &KnownCamera) {
        if let Some((_, until)) = camera.old.filter(|(_, until)| !until.is_over()) {
            self.next_over = Some(self.next_over.map_or(until, |next| next.min(until)));
        }
    }

    /// The keys before whose time is over since this was asked last.
    pub(crate) fn take_over(&mut self) -> Vec<Removed> {
        let Some(since) = self.next_over.filter(|next| next.is_over()) else {
            return Vec::new();
        };
        self.next_over = None;
        let mut over = Vec::new();
        for camera in &self.cameras {
            match camera.old {
                Some((key, until)) if until.is_over() && until >= since => over.push(Removed {
                    key,
                    label: camera.label.clone(),
                    why: Removal::KeyReplaced,
                }),
                Some((_, until)) if !until.is_over() => {
                    self.next_over = Some(self.next_over.map_or(until, |next| next.min(until)));
                }
                _ => {}
            }
        }
        over
    }

    pub(crate) fn decide(&self, acceptance: Acceptance, newcomer: &Newcomer) -> Decision {
        let Newcomer { key, label, .. } = newcomer;
        if let Some(reason) = self.revoked.get(key) {
            return Decision::Settled(Admission::Refused(Refusal::Revoked {
                asker: key.fingerprint(),
                reason: reason.clone(),
            }));
        }
        if let Some(camera) = self.of_key(key) {
            return decide_known(camera, key);
        }
        let asker = key.fingerprint();
        let refusal = match (acceptance, self.of_label(label)) {
            (Acceptance::Closed, _) => {
                return Decision::Settled(Admission::Refused(Refusal::Closed { asker }));
            }
            (Acceptance::Tofu, None) => return Decision::Add,
            (Acceptance::Ask, None) if self.has_room_for(key) => Refusal::Pending {
                asker,
                is_new: !self.pending.contains(key),
            },
            (Acceptance::Ask, None) => Refusal::TooManyPending { asker },
            (Acceptance::Tofu | Acceptance::Ask, Some(holder)) => Refusal::LabelTaken {
                label: label.clone(),
                holder: holder.key.fingerprint(),
                asker,
            },
        };
        // Noted also when the label is another camera's, so that it can be approved under another one.
        if self.pending.contains(key) || !self.has_room_for(key) {
            Decision::Settled(Admission::Refused(refusal))
        } else {
            Decision::Note(refusal)
        }
    }

    fn has_room_for(&self, key: &PublicKey) -> bool {
        self.pending.len() < PENDING_MOST || self.pending.contains(key)
    }

    /// Why a session of this key, admitted under this label, must end.
    pub(crate) fn removal(&self, key: &PublicKey, label: &Label) -> Option<Removal> {
        if let Some(reason) = self.revoked.get(key) {
            let reason = reason.clone();
            return Some(Removal::Revoked { reason });
        }
        match self.of_key(key).filter(|now| now.label == *label) {
            None => Some(Removal::Forgotten),
            Some(now) => {
                matches!(now.standing(key), Some(Standing::Over(_))).then_some(Removal::KeyReplaced)
            }
        }
    }
}

/// Decides on a camera in whose line the key stands.
fn decide_known(camera: &KnownCamera, key: &PublicKey) -> Decision {
    let label = camera.label.clone();
    match camera.standing(key) {
        Some(Standing::Next) => Decision::Promote(label),
        Some(Standing::Over(until)) => {
            Decision::Settled(Admission::Refused(Refusal::KeyReplaced {
                asker: key.fingerprint(),
                label,
                until: until.to_string(),
            }))
        }
        Some(Standing::Current | Standing::Old) | None => {
            Decision::Settled(Admission::Known { label })
        }
    }
}
