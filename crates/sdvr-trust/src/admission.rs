//! The decision on cameras: who is let in, who waits, who is refused.
//!
//! Held in memory, so that a camera that comes back costs no reading; on disk before a new one is let in. Other processes may
//! change the files (`sdvr keys`): every change is made under the lock, to what is on disk then.

mod files;
mod refusal;

use std::collections::HashSet;
use std::net::Ipv6Addr;

use sdvr_frame::{Allowance, HostAddress, Label, PublicKey, Timestamp};

use self::files::Complaint;
pub(crate) use self::files::Contents;
pub use self::files::{Changes, Removal, Removed};
pub use self::refusal::Refusal;
use crate::announced::Announcing;
use crate::error::TrustError;
use crate::known::{Decision, Known};
use crate::known_cameras::{KnownCamera, Standing, format_known_cameras, with_lines};
use crate::lines::WallTime;
use crate::pending::{self, PENDING_MOST, PendingCamera, format_pending};
use crate::store::{DirectoryLock, KeyDirectory, Seen};

/// Cameras remembered at most.
const CAMERAS_MOST: usize = 65_536;
/// New cameras at once, and how fast more may come: a site may switch a thousand on together, a flood of keys must not fill
/// the disk.
const NEW_BURST: f64 = 1024.0;
const NEW_PER_SECOND: f64 = 200.0;
/// The same for those that are noted to wait: for them nobody gives up an allowance of one that may come in.
const NOTED_BURST: f64 = 256.0;
const NOTED_PER_SECOND: f64 = 10.0;

/// What becomes of cameras whose keys are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceptance {
    /// They are let in and remembered.
    #[default]
    Tofu,
    /// They wait until somebody approves them.
    Ask,
    /// They are refused.
    Closed,
}

/// A camera that has proved its key and asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its key.
    pub key: PublicKey,
    /// The label it asks for.
    pub label: Label,
    /// Where it comes from.
    pub from: HostAddress,
}

/// From nowhere in particular.
impl From<(PublicKey, Label)> for Newcomer {
    fn from((key, label): (PublicKey, Label)) -> Self {
        Self {
            key,
            label,
            from: std::net::IpAddr::from(Ipv6Addr::UNSPECIFIED).into(),
        }
    }
}

/// The decision on a camera.
#[derive(Debug)]
pub enum Admission {
    /// It was known.
    Known {
        /// Its label here, whatever it asked for.
        label: Label,
    },
    /// It was not, and is from now on: its pin is on disk.
    New {
        /// As it asked for.
        label: Label,
    },
    /// It may not stream, or not yet.
    Refused(Refusal),
}

/// The cameras a server knows, held in memory and kept on disk.
///
/// ```
/// use sdvr_frame::Timestamp;
/// use sdvr_trust::{Admission, KeyDirectory, KnownCameras, SecretKey};
///
/// # let home = tempfile::tempdir()?;
/// # let keys = KeyDirectory::open(&home.path().join(".sdvr"))?;
/// let now = Timestamp::now();
/// let mut known = KnownCameras::load(keys, now)?;
/// let door = (SecretKey::generate()?.public_key(), "door".parse()?);
/// let thief = (SecretKey::generate()?.public_key(), "door".parse()?);
///
/// // Cameras that arrive together share one write.
/// let admissions = known.admit_all(now, &[door.clone(), thief]);
/// assert!(matches!(admissions[..], [Admission::New { .. }, Admission::Refused(_)]));
/// assert!(matches!(known.admit_all(now, &[door])[..], [Admission::Known { .. }]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KnownCameras {
    pub(crate) directory: KeyDirectory,
    acceptance: Acceptance,
    pub(crate) known: Known,
    pub(crate) announcing: Announcing,
    /// The files as they were read, in the order of `admission/files.rs`.
    seen: [Seen; 3],
    allowance: Allowance,
    noting: Allowance,
    /// What `refresh` has not told yet: the files are also read again when a camera is added.
    removed: Vec<Removed>,
    /// Until when the lock is not asked for, which another process has held.
    busy_until: Option<Timestamp>,
    /// What `refresh` has complained of, until the files can be read.
    complaint: Option<Complaint>,
}

/// What became of those that were not known.
#[derive(Debug, Default)]
struct Stored {
    /// The keys that are on disk from now on: known, or noted.
    new: HashSet<PublicKey>,
    /// Why others were not added to the known cameras. Nothing when there were too many.
    failure: Option<String>,
    /// The same for those that wait.
    not_noted: Option<String>,
}

impl Stored {
    fn nothing(error: &TrustError) -> Self {
        Self {
            new: HashSet::new(),
            failure: Some(error.to_string()),
            not_noted: Some(error.to_string()),
        }
    }
}

impl KnownCameras {
    /// Reads what `directory` knows. Cameras that are not known are let in and remembered, unless
    /// [`KnownCameras::accepting`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: a server that does not know whom it knows must not start.
    pub fn load(directory: KeyDirectory, now: Timestamp) -> Result<Self, TrustError> {
        let mut known = Self {
            directory,
            acceptance: Acceptance::default(),
            known: Known::default(),
            seen: Default::default(),
            announcing: Announcing::new(now),
            allowance: Allowance::new(now, NEW_BURST, NEW_PER_SECOND),
            noting: Allowance::new(now, NOTED_BURST, NOTED_PER_SECOND),
            removed: Vec::new(),
            busy_until: None,
            complaint: None,
        };
        known.reload()?;
        Ok(known)
    }

    /// The same, with another way of treating cameras that are not known.
    #[must_use]
    pub const fn accepting(mut self, acceptance: Acceptance) -> Self {
        self.acceptance = acceptance;
        self
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[KnownCamera] {
        &self.known.cameras
    }

    /// Why a key was revoked, if it was.
    #[must_use]
    pub fn revocation(&self, key: &PublicKey) -> Option<&str> {
        self.known.revoked.get(key).map(String::as_str)
    }

    /// The keys of the camera that has this one, this one among them: each of them is that camera. None when it is not known.
    #[must_use]
    pub fn keys_of(&self, key: &PublicKey) -> Vec<PublicKey> {
        let camera = self.known.of_key(key);
        camera.map_or_else(Vec::new, |camera| camera.keys().collect())
    }

    /// Whether a camera that names this key, and has not proved it, need not go on: it would be refused without a reason that
    /// it should hear.
    #[must_use]
    pub fn refuses_unheard(&self, key: &PublicKey) -> bool {
        self.acceptance == Acceptance::Closed
            && !self.known.revoked.contains_key(key)
            && self.known.of_key(key).is_none()
    }

    /// Whether the decision on this camera changes a file: whoever is known as it comes need not wait for that.
    #[must_use]
    pub fn needs_write(&self, newcomer: &Newcomer) -> bool {
        !matches!(self.decide(newcomer), Decision::Settled(_))
    }

    /// Decides on cameras that introduced themselves, with the labels they want. All that are new share one write, which is
    /// on disk when this returns.
    ///
    /// A decision on a camera that is not new is made from memory, which is as old as the last [`KnownCameras::refresh`].
    /// When the write fails, nobody is forgotten and those that are known still come in. Another process that changes the files is
    /// waited for at most 50 ms, once a second.
    pub fn admit_all<N>(&mut self, now: Timestamp, wanted: &[N]) -> Vec<Admission>
    where
        N: Clone + Into<Newcomer>,
    {
        let wanted: Vec<Newcomer> = wanted.iter().cloned().map(Into::into).collect();
        let (may_add, may_note) = (self.allowance.has_any(now), self.noting.has_any(now));
        let has_open = wanted.iter().any(|newcomer| match self.decide(newcomer) {
            Decision::Settled(_) => false,
            Decision::Promote(_) => true,
            Decision::Add => may_add,
            Decision::Note(_) => may_note,
        });
        // An empty allowance costs no system call: a flood of new keys is refused from memory.
        let Stored {
            new,
            failure,
            not_noted,
        } = if has_open {
            self.remember(now, &wanted)
        } else {
            Stored::default()
        };
        let decide = |newcomer: &Newcomer| match self.decide(newcomer) {
            Decision::Settled(Admission::Known { label }) if new.contains(&newcomer.key) => {
                Admission::New { label }
            }
            Decision::Settled(Admission::Refused(Refusal::Pending { asker, .. })) => {
                let is_new = new.contains(&newcomer.key);
                Admission::Refused(Refusal::Pending { asker, is_new })
            }
            Decision::Settled(admission) => admission,
            // It has proved a key that is on disk; that it stands there as the next one yet does no harm.
            Decision::Promote(label) => Admission::Known { label },
            // It is told what it would be told anyway, whether or not it could be noted.
            Decision::Note(refusal @ Refusal::LabelTaken { .. }) => Admission::Refused(refusal),
            Decision::Note(_) => {
                let asker = newcomer.key.fingerprint();
                Admission::Refused(match not_noted.clone() {
                    Some(problem) => Refusal::NotNoted { asker, problem },
                    None => Refusal::NotedTooFast { asker },
                })
            }
            Decision::Add => Admission::Refused(match failure.clone() {
                Some(problem) => Refusal::StoreFailed { problem },
                None => Refusal::TooManyNewKeys,
            }),
        };
        wanted.iter().map(decide).collect()
    }

    fn decide(&self, newcomer: &Newcomer) -> Decision {
        self.known.decide(self.acceptance, newcomer)
    }

    /// Adds those that may be added, on disk first; gives their keys.
    fn remember(&mut self, now: Timestamp, wanted: &[Newcomer]) -> Stored {
        let read = self.lock(now).and_then(|lock| {
            let contents = self.read_for_change()?;
            Ok((lock, contents))
        });
        let (lock, contents) = match read {
            Ok(read) => read,
            Err(error) => return Stored::nothing(&error),
        };
        let (new, noted) = self.choose_new(now, wanted);
        let keys: HashSet<PublicKey> = new.iter().map(|camera| camera.key).collect();
        let waited = new.iter().any(|new| self.known.pending.contains(&new.key));
        if let Err(error) = self.add_cameras(&lock, contents.cameras, new, wanted) {
            self.allowance.give_back(keys.len());
            self.noting.give_back(noted.len());
            return Stored::nothing(&error);
        }
        // A camera that was forgotten and let in again has a new session, which must not end.
        self.removed.retain(|removed| !keys.contains(&removed.key));
        let mut stored = Stored {
            new: keys,
            ..Stored::default()
        };
        if !waited && noted.is_empty() {
            return stored;
        }
        let mut pending =
            pending::without(&contents.pending, |key| self.known.of_key(key).is_some());
        pending.extend_from_slice(format_pending(&noted).as_bytes());
        match self.directory.replace(&lock, pending::FILE, &pending) {
            Ok(seen) => {
                let [_, of_pending, _] = &mut self.seen;
                *of_pending = seen;
                let noted = noted.into_iter().map(|pending| pending.key);
                self.known.pending.extend(noted.clone());
                stored.new.extend(noted);
            }
            // Those that are known now stay known; that they stand in both files does no harm.
            Err(error) => {
                self.noting.give_back(noted.len());
                stored.not_noted = Some(error.to_string());
            }
        }
        stored
    }

    /// Writes the cameras that are new and those that have proved another key, and knows them from then on.
    fn add_cameras(
        &mut self,
        lock: &DirectoryLock,
        mut content: Vec<u8>,
        new: Vec<KnownCamera>,
        wanted: &[Newcomer],
    ) -> Result<(), TrustError> {
        let promoted = self.promotions(wanted);
        if new.is_empty() && promoted.is_empty() {
            return Ok(());
        }
        if !promoted.is_empty() {
            content = with_lines(&content, &promoted);
        }
        content.extend_from_slice(format_known_cameras(&new).as_bytes());
        self.replace_cameras(lock, &content)?;
        promoted.into_iter().for_each(|it| self.known.change(it));
        new.into_iter().for_each(|camera| self.known.add(camera));
        Ok(())
    }

    /// The cameras that have proved the keys that they had announced.
    fn promotions(&self, wanted: &[Newcomer]) -> Vec<KnownCamera> {
        let mut labels = HashSet::new();
        let proved = wanted.iter().filter_map(|Newcomer { key, .. }| {
            let camera = self.known.of_key(key)?;
            let is_next = camera.standing(key) == Some(Standing::Next)
                && !self.known.revoked.contains_key(key);
            (is_next && labels.insert(&camera.label)).then(|| camera.promoted(*key))
        });
        proved.collect()
    }

    fn choose_new(
        &mut self,
        now: Timestamp,
        wanted: &[Newcomer],
    ) -> (Vec<KnownCamera>, Vec<PendingCamera>) {
        let (mut new, mut noted) = (Vec::new(), Vec::new());
        let (mut keys, mut labels) = (HashSet::new(), HashSet::new());
        for newcomer in wanted {
            let Newcomer { key, label, from } = newcomer;
            if keys.contains(key) {
                continue;
            }
            match self.decide(newcomer) {
                Decision::Add
                    if !labels.contains(label)
                        && self.known.cameras.len() + new.len() < CAMERAS_MOST
                        && self.allowance.take(now) =>
                {
                    labels.insert(label);
                    new.push(KnownCamera::new(label.clone(), *key, "tofu"));
                }
                Decision::Note(_)
                    if self.known.pending.len() + noted.len() < PENDING_MOST
                        && self.noting.take(now) =>
                {
                    noted.push(PendingCamera {
                        key: *key,
                        from: *from,
                        wants: label.clone(),
                        first: WallTime::now(),
                    });
                }
                Decision::Settled(_) | Decision::Promote(_) | Decision::Add | Decision::Note(_) => {
                    continue;
                }
            }
            keys.insert(key);
        }
        (new, noted)
    }
}
