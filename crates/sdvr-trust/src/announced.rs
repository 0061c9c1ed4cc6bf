//! Cameras that get another key, as a server sees it: which key a camera may announce, and that it is on disk before the camera
//! hears so.
//!
//! What was announced decides nothing until a handshake has proved it: `admission.rs` makes it the camera's key then.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sdvr_frame::{Allowance, Fingerprint, Label, PublicKey, Timestamp};

use crate::admission::{Contents, KnownCameras};
use crate::error::TrustError;
use crate::known::Known;
use crate::known_cameras::{KnownCamera, with_lines};

/// Keys announced at once, and how fast more may be: whoever has a thousand cameras may give all of them new keys together.
const ANNOUNCED_BURST: f64 = 1024.0;
const ANNOUNCED_PER_SECOND: f64 = 20.0;
/// How far apart the keys are at least that one camera announces.
const CAMERA_INTERVAL: Duration = Duration::from_secs(60);

/// A camera that says in a session which key it will come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The key that it has proved in the session.
    pub proved: PublicKey,
    /// The key that it will come with.
    pub next: PublicKey,
}

/// The answer to a camera that has announced a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The key is on disk.
    Recorded {
        /// Whose it is.
        label: Label,
        /// Whether it was not before.
        is_new: bool,
    },
    /// It may not have that key.
    Refused(NotItsKey),
    /// Too many keys are announced, by it or by all.
    TooOften,
    /// The key could not be recorded.
    StoreFailed {
        /// What went wrong.
        problem: String,
    },
}

/// Why a camera may not have the key that it announces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotItsKey {
    /// It is another camera's.
    #[error(
        "the camera {label} announces the key {announced}, which belongs to the camera {holder}: it was not recorded. Whoever has the key of {label} says what is not true; sdvr keys revoke {label} ends that"
    )]
    OtherCameras {
        /// Who announces it.
        label: Label,
        /// Whose it is.
        holder: Label,
        /// The key.
        announced: Fingerprint,
    },
    /// A camera waits with it.
    #[error(
        "the camera {label} announces the key {announced}, with which another one waits for approval: it was not recorded"
    )]
    Waits {
        /// Who announces it.
        label: Label,
        /// The key.
        announced: Fingerprint,
    },
    /// It was revoked, or the key that the camera came with was.
    #[error(
        "the camera {label} announces the key {announced}, which was revoked: it was not recorded"
    )]
    Revoked {
        /// Who announces it.
        label: Label,
        /// The key.
        announced: Fingerprint,
    },
    /// The camera came with the key that it had before, or announces that.
    #[error(
        "somebody who came with the old key of the camera {label} announces the key {announced}: it was not recorded. If the key was not given back by hand, the old one was copied; sdvr keys revoke {label} ends that"
    )]
    NotCurrent {
        /// Which camera.
        label: Label,
        /// The key.
        announced: Fingerprint,
    },
    /// The camera was forgotten meanwhile.
    #[error("the camera is not known any more")]
    Forgotten,
}

/// How many keys may be announced yet.
#[derive(Debug)]
pub(crate) struct Announcing {
    allowance: Allowance,
    /// When each camera has announced one, lately.
    last: HashMap<Label, Timestamp>,
}

impl Announcing {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            allowance: Allowance::new(now, ANNOUNCED_BURST, ANNOUNCED_PER_SECOND),
            last: HashMap::new(),
        }
    }

    fn take(&mut self, now: Timestamp, label: &Label) -> bool {
        self.last
            .retain(|_, at| now.saturating_since(*at) < CAMERA_INTERVAL);
        if self.last.contains_key(label) || !self.allowance.take(now) {
            return false;
        }
        self.last.insert(label.clone(), now);
        true
    }

    /// They were not recorded: the cameras may ask again at once.
    fn give_back(&mut self, cameras: &[KnownCamera]) {
        self.allowance.give_back(cameras.len());
        for camera in cameras {
            self.last.remove(&camera.label);
        }
    }
}

enum Verdict {
    Settled(Announcement),
    /// To be written: the camera with the key that it announces.
    Record(KnownCamera),
}

impl Known {
    fn decide_announced(&self, announced: &Announced) -> Verdict {
        let Announced { proved, next } = announced;
        let Some(camera) = self.of_key(proved) else {
            return Verdict::Settled(Announcement::Refused(NotItsKey::Forgotten));
        };
        let label = camera.label.clone();
        let announced = next.fingerprint();
        let refused = |why| Verdict::Settled(Announcement::Refused(why));
        if self.revoked.contains_key(proved) || self.revoked.contains_key(next) {
            return refused(NotItsKey::Revoked { label, announced });
        }
        if camera.key == *next || camera.next == Some(*next) {
            let is_new = false;
            return Verdict::Settled(Announcement::Recorded { label, is_new });
        }
        match self.of_key(next) {
            Some(holder) if holder.label != label => {
                let holder = holder.label.clone();
                refused(NotItsKey::OtherCameras {
                    label,
                    holder,
                    announced,
                })
            }
            // Whoever has an old key, which may be why there is a new one, must not undo that.
            Some(_) => refused(NotItsKey::NotCurrent { label, announced }),
            None if camera.key != *proved => refused(NotItsKey::NotCurrent { label, announced }),
            None if self.pending.contains(next) => refused(NotItsKey::Waits { label, announced }),
            None => Verdict::Record(KnownCamera {
                next: Some(*next),
                ..camera.clone()
            }),
        }
    }
}

impl KnownCameras {
    /// Decides on keys that cameras have announced in their sessions. All that are to be recorded share one write, which is on
    /// disk when this returns.
    pub fn announce_all(&mut self, now: Timestamp, announced: &[Announced]) -> Vec<Announcement> {
        let is_open =
            |it: &Announced| matches!(self.known.decide_announced(it), Verdict::Record(_));
        let recorded = if announced.iter().any(is_open) {
            self.record(now, announced)
        } else {
            Ok(HashSet::new())
        };
        let (new, failure) = match recorded {
            Ok(new) => (new, Announcement::TooOften),
            Err(error) => {
                let problem = error.to_string();
                (HashSet::new(), Announcement::StoreFailed { problem })
            }
        };
        let answer = |it: &Announced| match self.known.decide_announced(it) {
            Verdict::Settled(Announcement::Recorded { label, .. }) => Announcement::Recorded {
                label,
                is_new: new.contains(&it.next),
            },
            Verdict::Settled(announcement) => announcement,
            Verdict::Record(_) => failure.clone(),
        };
        announced.iter().map(answer).collect()
    }

    /// Records what may be recorded; gives those keys.
    fn record(
        &mut self,
        now: Timestamp,
        announced: &[Announced],
    ) -> Result<HashSet<PublicKey>, TrustError> {
        let lock = self.lock(now)?;
        let Contents { cameras, .. } = self.read_for_change()?;
        let (mut changed, mut keys): (Vec<KnownCamera>, _) = (Vec::new(), HashSet::new());
        for it in announced {
            if let Verdict::Record(camera) = self.known.decide_announced(it)
                && !keys.contains(&it.next)
                && self.announcing.take(now, &camera.label)
            {
                keys.insert(it.next);
                changed.push(camera);
            }
        }
        if changed.is_empty() {
            return Ok(keys);
        }
        if let Err(error) = self.replace_cameras(&lock, &with_lines(&cameras, &changed)) {
            self.announcing.give_back(&changed);
            return Err(error);
        }
        changed.into_iter().for_each(|it| self.known.change(it));
        Ok(keys)
    }
}
