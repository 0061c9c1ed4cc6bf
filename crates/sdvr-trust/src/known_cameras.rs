//! What a server remembers of cameras, by their keys.
//!
//! ```text
//! <label> x25519 <base64> added=<time> via=tofu|ask|manual
//! ```
//!
//! Held in memory, so that a camera that comes back costs no reading; on disk before a new one is let in. Other processes may
//! change the file (`sdvr keys forget`): every change is made under the lock, to what is on disk then.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use sdvr_frame::{Allowance, Fingerprint, Label, PublicKey, Timestamp};

use crate::error::{TrustError, listed};
use crate::lines::{WallTime, Words, format_key, parse_lines, rewrite_lines};
use crate::revoked;
use crate::store::{KeyDirectory, Seen, Snapshot, Version};

const FILE: &str = "known_cameras";
/// Cameras remembered at most.
const CAMERAS_MOST: usize = 65_536;
/// New cameras at once, and how fast more may come: a site may switch a thousand on together, a flood of keys must not fill
/// the disk.
const NEW_BURST: f64 = 1024.0;
const NEW_PER_SECOND: f64 = 200.0;

/// A remembered camera.
#[derive(Clone, Debug)]
pub struct KnownCamera {
    /// Its label here.
    pub label: Label,
    /// Its key.
    pub key: PublicKey,
    added: WallTime,
    via: String,
}

impl KnownCamera {
    /// When it was first let in, as in the file.
    #[must_use]
    pub fn added(&self) -> String {
        self.added.to_string()
    }

    /// How it was let in: `tofu`, `ask` or `manual`.
    #[must_use]
    pub fn via(&self) -> &str {
        &self.via
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
    /// It may not stream.
    Refused(Refusal),
}

/// Why a camera may not stream.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Another camera has the label.
    #[error(
        "the label {label} belongs to the camera {holder}, and {asker} asks for it. If the camera was replaced: sdvr keys forget {label}; else give this one another label with -n"
    )]
    LabelTaken {
        /// The label.
        label: Label,
        /// Whose it is.
        holder: Fingerprint,
        /// Who wants it.
        asker: Fingerprint,
    },
    /// Its key was revoked.
    #[error("the key {asker} was revoked: {reason}")]
    Revoked {
        /// The key.
        asker: Fingerprint,
        /// Why.
        reason: String,
    },
    /// It could not be remembered.
    #[error("the camera could not be remembered, so it was not let in: {problem}")]
    StoreFailed {
        /// What went wrong.
        problem: String,
    },
    /// Too many came, or are known.
    #[error(
        "too many new cameras, so it was not let in: at most {CAMERAS_MOST} in all, and {NEW_PER_SECOND} a second after the first {NEW_BURST}. It may try again; sdvr keys forget makes room"
    )]
    TooManyNewKeys,
}

/// What somebody else changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Cameras, with the labels they had, that are not known, not welcome or known under another label now: their sessions
    /// must end.
    pub removed: Vec<(PublicKey, Label)>,
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
    directory: KeyDirectory,
    known: Known,
    seen: [Seen; 2],
    allowance: Allowance,
    /// What `refresh` has not told yet: the files are also read again when a camera is added.
    removed: Vec<(PublicKey, Label)>,
    /// The state of the files about which `refresh` has complained.
    complained_of: Option<[Option<Version>; 2]>,
}

/// What the files say.
#[derive(Debug, Default)]
struct Known {
    cameras: Vec<KnownCamera>,
    by_key: HashMap<PublicKey, usize>,
    by_label: HashMap<Label, usize>,
    revoked: HashMap<PublicKey, String>,
}

impl Known {
    fn of_key(&self, key: &PublicKey) -> Option<&KnownCamera> {
        let index = self.by_key.get(key)?;
        self.cameras.get(*index)
    }

    fn of_label(&self, label: &Label) -> Option<&KnownCamera> {
        let index = self.by_label.get(label)?;
        self.cameras.get(*index)
    }

    fn add(&mut self, camera: KnownCamera) {
        let index = self.cameras.len();
        self.by_key.insert(camera.key, index);
        self.by_label.insert(camera.label.clone(), index);
        self.cameras.push(camera);
    }

    /// The decision on a camera; `None` for one that is new and may be added.
    fn decide(&self, key: &PublicKey, label: &Label) -> Option<Admission> {
        if let Some(reason) = self.revoked.get(key) {
            return Some(Admission::Refused(Refusal::Revoked {
                asker: key.fingerprint(),
                reason: reason.clone(),
            }));
        }
        if let Some(camera) = self.of_key(key) {
            let label = camera.label.clone();
            return Some(Admission::Known { label });
        }
        let holder = self.of_label(label)?;
        Some(Admission::Refused(Refusal::LabelTaken {
            label: label.clone(),
            holder: holder.key.fingerprint(),
            asker: key.fingerprint(),
        }))
    }

    /// Whether a session of this camera, admitted under this label, may go on.
    fn is_welcome(&self, camera: &KnownCamera) -> bool {
        !self.revoked.contains_key(&camera.key)
            && self
                .of_key(&camera.key)
                .is_some_and(|now| now.label == camera.label)
    }
}

impl KnownCameras {
    /// Reads what `directory` knows.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: a server that does not know whom it knows must not start.
    pub fn load(directory: KeyDirectory, now: Timestamp) -> Result<Self, TrustError> {
        let mut known = Self {
            directory,
            known: Known::default(),
            seen: Default::default(),
            allowance: Allowance::new(now, NEW_BURST, NEW_PER_SECOND),
            removed: Vec::new(),
            complained_of: None,
        };
        known.reload()?;
        Ok(known)
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[KnownCamera] {
        &self.known.cameras
    }

    /// Decides on cameras that introduced themselves, with the labels they want. All that are new share one write, which is
    /// on disk when this returns.
    ///
    /// A decision on a camera that is not new is made from memory, which is as old as the last [`KnownCameras::refresh`].
    /// When the write fails, nobody is forgotten and those that are known still come in.
    pub fn admit_all(&mut self, now: Timestamp, wanted: &[(PublicKey, Label)]) -> Vec<Admission> {
        let is_new = |(key, label): &(PublicKey, Label)| self.known.decide(key, label).is_none();
        let has_new = wanted.iter().any(is_new) && self.allowance.has_any(now);
        // An empty allowance costs no system call: a flood of new keys is refused from memory.
        let stored = if has_new {
            self.remember(now, wanted)
        } else {
            Ok(HashSet::new())
        };
        let (new, refusal) = match stored {
            Ok(new) => (new, Refusal::TooManyNewKeys),
            Err(error) => {
                let problem = error.to_string();
                (HashSet::new(), Refusal::StoreFailed { problem })
            }
        };
        let decide = |(key, label): &(PublicKey, Label)| match self.known.decide(key, label) {
            Some(Admission::Known { label }) if new.contains(key) => Admission::New { label },
            Some(admission) => admission,
            None => Admission::Refused(refusal.clone()),
        };
        wanted.iter().map(decide).collect()
    }

    /// Adds those that may be added, on disk first; gives their keys.
    fn remember(
        &mut self,
        now: Timestamp,
        wanted: &[(PublicKey, Label)],
    ) -> Result<HashSet<PublicKey>, TrustError> {
        let lock = self.directory.lock()?;
        let mut content = self.read_for_change()?;
        let new = self.choose_new(now, wanted);
        if new.is_empty() {
            return Ok(HashSet::new());
        }
        content.extend_from_slice(format_known_cameras(&new).as_bytes());
        match self.directory.replace(&lock, FILE, &content) {
            Ok(seen) => {
                let [cameras, _] = &mut self.seen;
                *cameras = seen;
            }
            Err(error) => {
                self.allowance.give_back(new.len());
                return Err(error);
            }
        }
        let keys: HashSet<PublicKey> = new.iter().map(|camera| camera.key).collect();
        // A camera that was forgotten and let in again has a new session, which must not end.
        self.removed.retain(|(key, _)| !keys.contains(key));
        new.into_iter().for_each(|camera| self.known.add(camera));
        Ok(keys)
    }

    /// What is in the file now, which is in memory too afterwards.
    fn read_for_change(&mut self) -> Result<Vec<u8>, TrustError> {
        if self.is_current() {
            let file = self.directory.read(FILE)?;
            let [cameras, _] = &self.seen;
            if file.seen.version == cameras.version {
                return Ok(file.content.unwrap_or_default());
            }
        }
        self.reload()
    }

    fn choose_new(&mut self, now: Timestamp, wanted: &[(PublicKey, Label)]) -> Vec<KnownCamera> {
        let mut new = Vec::new();
        let (mut keys, mut labels) = (HashSet::new(), HashSet::new());
        for (key, label) in wanted {
            let is_new = self.known.decide(key, label).is_none()
                && !keys.contains(key)
                && !labels.contains(label)
                && self.known.cameras.len() + new.len() < CAMERAS_MOST;
            if is_new && self.allowance.take(now) {
                keys.insert(key);
                labels.insert(label);
                new.push(KnownCamera {
                    label: label.clone(),
                    key: *key,
                    added: WallTime::now(),
                    via: "tofu".to_owned(),
                });
            }
        }
        new
    }

    /// Reads the files again if somebody changed them; costs two system calls if not. To be called at least once a second, so
    /// that `sdvr keys` takes effect.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: what was known stays known, and nobody new is let in. Said once for each state of a damaged file.
    pub fn refresh(&mut self) -> Result<Changes, TrustError> {
        if !self.is_current() {
            let versions = self.versions();
            if self.complained_of != Some(versions) {
                self.reload().inspect_err(|error| {
                    // Any other error may be over the next time.
                    if matches!(error, TrustError::Parse { .. }) {
                        self.complained_of = Some(versions);
                    }
                })?;
            }
        }
        Ok(Changes {
            removed: std::mem::take(&mut self.removed),
        })
    }

    /// Forgets the camera that `wanted` (a label or a fingerprint) names; gives its label. The file is read first.
    ///
    /// # Errors
    ///
    /// [`TrustError::NotFound`], and what the files say.
    pub fn forget(&mut self, wanted: &str) -> Result<Vec<Label>, TrustError> {
        let forgotten = forget_camera(&self.directory, wanted)?;
        self.reload()?;
        Ok(vec![forgotten.label])
    }

    fn versions(&self) -> [Option<Version>; 2] {
        [FILE, revoked::FILE].map(|name| self.directory.version(name))
    }

    fn is_current(&self) -> bool {
        let [cameras, revoked] = &self.seen;
        self.directory.is_still(FILE, cameras) && self.directory.is_still(revoked::FILE, revoked)
    }

    /// Reads the files; gives the content of the first.
    fn reload(&mut self) -> Result<Vec<u8>, TrustError> {
        let (cameras, file) = read_known_cameras(&self.directory)?;
        let revoked = self.directory.read(revoked::FILE)?;
        let mut known = Known::default();
        if let Some(content) = &revoked.content {
            let path = self.directory.file_path(revoked::FILE);
            known.revoked = revoked::parse_revoked(&path, content)?
                .into_iter()
                .collect();
        }
        cameras.into_iter().for_each(|camera| known.add(camera));

        self.seen = [file.seen, revoked.seen];
        self.complained_of = None;
        let before = std::mem::replace(&mut self.known, known);
        let is_gone =
            |camera: &&KnownCamera| before.is_welcome(camera) && !self.known.is_welcome(camera);
        let gone = before.cameras.iter().filter(is_gone);
        self.removed
            .extend(gone.map(|camera| (camera.key, camera.label.clone())));
        Ok(file.content.unwrap_or_default())
    }
}

/// Reads the file of known cameras.
pub(crate) fn read_known_cameras(
    directory: &KeyDirectory,
) -> Result<(Vec<KnownCamera>, Snapshot), TrustError> {
    let file = directory.read(FILE)?;
    let cameras = match &file.content {
        Some(content) => parse_known_cameras(&directory.file_path(FILE), content)?,
        None => Vec::new(),
    };
    Ok((cameras, file))
}

/// Forgets the camera of this label or fingerprint.
pub(crate) fn forget_camera(
    directory: &KeyDirectory,
    wanted: &str,
) -> Result<KnownCamera, TrustError> {
    let lock = directory.lock()?;
    let (mut cameras, file) = read_known_cameras(directory)?;
    let is_named = |camera: &KnownCamera| {
        camera.label.as_str() == wanted || camera.key.fingerprint().to_string() == wanted
    };
    let Some(index) = cameras.iter().position(is_named) else {
        let labels = cameras.iter().map(|camera| camera.label.to_string());
        return Err(TrustError::NotFound {
            wanted: wanted.to_owned(),
            known: listed(labels),
        });
    };
    let forgotten = cameras.swap_remove(index);
    let content = file.content.unwrap_or_default();
    let kept = rewrite_lines(&content, |line| {
        (line.split(' ').next() != Some(forgotten.label.as_str())).then_some(line.into())
    });
    directory.replace(&lock, FILE, &kept)?;
    Ok(forgotten)
}

/// Parses `known_cameras`.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_known_cameras(path: &Path, content: &[u8]) -> Result<Vec<KnownCamera>, TrustError> {
    let (mut labels, mut keys) = (HashSet::new(), HashSet::new());
    parse_lines(path, content, |line, _| {
        let camera = parse_line(line)?;
        if !labels.insert(camera.label.clone()) {
            return Err("this label stands here twice");
        }
        if keys.insert(camera.key) {
            Ok(camera)
        } else {
            Err("this key stands here twice")
        }
    })
}

fn parse_line(line: &str) -> Result<KnownCamera, &'static str> {
    let mut words = Words::new(line);
    let camera = KnownCamera {
        label: words
            .next()?
            .parse()
            .map_err(|_| "it does not begin with a label")?,
        key: words.key()?,
        added: WallTime::parse(words.field("added")?)?,
        via: words.field("via")?.to_owned(),
    };
    if !matches!(camera.via.as_str(), "tofu" | "ask" | "manual") {
        return Err("via is not tofu, ask or manual");
    }
    words.rest(&["added", "via"])?;
    Ok(camera)
}

/// The lines of new cameras; also what `parse_known_cameras` was given, as far as it says something.
#[doc(hidden)]
#[must_use]
pub fn format_known_cameras(cameras: &[KnownCamera]) -> String {
    let lines = cameras.iter().map(|camera| {
        let KnownCamera {
            label,
            key,
            added,
            via,
        } = camera;
        let key = format_key(key);
        format!("{label} x25519 {key} added={added} via={via}\n")
    });
    lines.collect()
}
