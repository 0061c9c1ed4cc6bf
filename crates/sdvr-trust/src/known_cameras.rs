//! What a server remembers of cameras, by their keys.
//!
//! ```text
//! <label> x25519 <base64> added=<time> via=tofu
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use sdvr_frame::{Fingerprint, Label, PublicKey, Timestamp};

use crate::error::TrustError;
use crate::lines::{WallTime, Words, format_key, parse_lines};
use crate::store::{KeyDirectory, Version};

const FILE: &str = "known_cameras";
const REVOKED_FILE: &str = "revoked";
/// Cameras remembered at most.
const CAMERAS_MOST: usize = 65_536;
/// New cameras at once, and how fast that many more may come: a site may switch a thousand on together.
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
    rest: Vec<String>,
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
        "too many new cameras: at most {CAMERAS_MOST} in all, and {NEW_PER_SECOND} a second after the first {NEW_BURST}"
    )]
    TooManyNewKeys,
}

/// What somebody else changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Cameras that are not known, or not welcome, any more.
    pub removed: Vec<(PublicKey, Label)>,
}

/// The cameras a server knows, held in memory and kept on disk.
#[derive(Debug)]
pub struct KnownCameras {
    directory: KeyDirectory,
    cameras: Vec<KnownCamera>,
    by_key: HashMap<PublicKey, usize>,
    by_label: HashMap<Label, usize>,
    revoked: HashMap<PublicKey, String>,
    versions: [Version; 2],
    allowance: Allowance,
    /// What others took away since the last [`Self::refresh`]; also found when a camera was admitted meanwhile.
    removed: Vec<(PublicKey, Label)>,
}

/// A token bucket for new cameras.
#[derive(Debug)]
struct Allowance {
    tokens: f64,
    since: Timestamp,
}

impl Allowance {
    fn take(&mut self, now: Timestamp) -> bool {
        let refill = now
            .saturating_since(self.since)
            .min(Duration::from_secs(60))
            .as_secs_f64()
            * NEW_PER_SECOND;
        self.since = now;
        self.tokens = (self.tokens + refill).min(NEW_BURST);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
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
            cameras: Vec::new(),
            by_key: HashMap::new(),
            by_label: HashMap::new(),
            revoked: HashMap::new(),
            versions: Default::default(),
            allowance: Allowance {
                tokens: NEW_BURST,
                since: now,
            },
            removed: Vec::new(),
        };
        known.reload()?;
        Ok(known)
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[KnownCamera] {
        &self.cameras
    }

    /// Decides on cameras that introduced themselves, with the labels they want. All that are new share one write, which is
    /// on disk when this returns.
    pub fn admit_all(&mut self, now: Timestamp, wanted: &[(PublicKey, Label)]) -> Vec<Admission> {
        let needs_write = wanted
            .iter()
            .any(|(key, _)| !self.by_key.contains_key(key) && !self.revoked.contains_key(key));
        let stored = if needs_write {
            self.remember(now, wanted)
        } else {
            Ok(Vec::new())
        };
        match stored {
            Ok(new) => wanted
                .iter()
                .map(|(key, label)| self.decide(key, label, &new))
                .collect(),
            Err(error) => {
                let problem = error.to_string();
                let failed = |key| {
                    if self.by_key.contains_key(key) || self.revoked.contains_key(key) {
                        None
                    } else {
                        Some(Refusal::StoreFailed {
                            problem: problem.clone(),
                        })
                    }
                };
                wanted
                    .iter()
                    .map(|(key, label)| {
                        failed(key).map_or_else(|| self.decide(key, label, &[]), Admission::Refused)
                    })
                    .collect()
            }
        }
    }

    fn decide(&self, key: &PublicKey, label: &Label, new: &[PublicKey]) -> Admission {
        let asker = key.fingerprint();
        if let Some(reason) = self.revoked.get(key) {
            return Admission::Refused(Refusal::Revoked {
                asker,
                reason: reason.clone(),
            });
        }
        if let Some(camera) = self
            .by_key
            .get(key)
            .and_then(|&index| self.cameras.get(index))
        {
            let label = camera.label.clone();
            return if new.contains(key) {
                Admission::New { label }
            } else {
                Admission::Known { label }
            };
        }
        match self
            .by_label
            .get(label)
            .and_then(|&index| self.cameras.get(index))
        {
            Some(holder) => Admission::Refused(Refusal::LabelTaken {
                label: label.clone(),
                holder: holder.key.fingerprint(),
                asker,
            }),
            None => Admission::Refused(Refusal::TooManyNewKeys),
        }
    }

    /// Adds those that may be added, on disk first; gives their keys.
    fn remember(
        &mut self,
        now: Timestamp,
        wanted: &[(PublicKey, Label)],
    ) -> Result<Vec<PublicKey>, TrustError> {
        let lock = self.directory.lock()?;
        // Another process may have changed the file since.
        self.reload()?;
        let mut new: Vec<KnownCamera> = Vec::new();
        for (key, label) in wanted {
            let is_free = !self.by_key.contains_key(key)
                && !self.by_label.contains_key(label)
                && !self.revoked.contains_key(key)
                && !new
                    .iter()
                    .any(|camera| camera.key == *key || camera.label == *label);
            let has_room = self.cameras.len() + new.len() < CAMERAS_MOST;
            if is_free && has_room && self.allowance.take(now) {
                new.push(KnownCamera {
                    label: label.clone(),
                    key: *key,
                    added: WallTime::now(),
                    via: "tofu".to_owned(),
                    rest: Vec::new(),
                });
            }
        }
        let new_keys = new.iter().map(|camera| camera.key).collect();
        // Copied only now: a stranger whom nobody lets in must not cost a copy of all cameras.
        if !new.is_empty() {
            let cameras = [self.cameras.as_slice(), &new].concat();
            self.directory
                .replace(&lock, FILE, format_known_cameras(&cameras).as_bytes())?;
            self.versions[0] = self.directory.version(FILE);
            self.set(cameras);
        }
        Ok(new_keys)
    }

    /// Reads the files again if somebody changed them.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: what was known stays known.
    pub fn refresh(&mut self) -> Result<Changes, TrustError> {
        self.reload()?;
        // One that was forgotten and let in again since is welcome.
        let removed = std::mem::take(&mut self.removed)
            .into_iter()
            .filter(|(key, _)| !self.is_welcome(key))
            .collect();
        Ok(Changes { removed })
    }

    fn is_welcome(&self, key: &PublicKey) -> bool {
        self.by_key.contains_key(key) && !self.revoked.contains_key(key)
    }

    /// Forgets cameras that `wanted` (a label or a fingerprint) names; gives their labels. The file is read first.
    ///
    /// # Errors
    ///
    /// [`TrustError::NotFound`], and what the files say.
    pub fn forget(&mut self, wanted: &str) -> Result<Vec<Label>, TrustError> {
        let lock = self.directory.lock()?;
        self.reload()?;
        let is_named = |camera: &KnownCamera| {
            camera.label.as_str() == wanted || camera.key.fingerprint().to_string() == wanted
        };
        let (gone, kept): (Vec<_>, Vec<_>) = self.cameras.iter().cloned().partition(is_named);
        if gone.is_empty() {
            let known: Vec<&str> = self
                .cameras
                .iter()
                .map(|camera| camera.label.as_str())
                .collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(TrustError::NotFound {
                wanted: wanted.to_owned(),
                known,
            });
        }
        self.directory
            .replace(&lock, FILE, format_known_cameras(&kept).as_bytes())?;
        self.versions[0] = self.directory.version(FILE);
        self.set(kept);
        Ok(gone.into_iter().map(|camera| camera.label).collect())
    }

    fn current_versions(&self) -> [Version; 2] {
        [FILE, REVOKED_FILE].map(|name| self.directory.version(name))
    }

    fn reload(&mut self) -> Result<(), TrustError> {
        let versions = self.current_versions();
        if versions == self.versions && versions != <[Version; 2]>::default() {
            return Ok(());
        }
        let content = |name| {
            Ok::<_, TrustError>((
                self.directory.file_path(name),
                self.directory.read(name)?.unwrap_or_default(),
            ))
        };
        let (path, text) = content(FILE)?;
        let cameras = parse_known_cameras(&path, &text)?;
        let (path, text) = content(REVOKED_FILE)?;
        let revoked = parse_revoked(&path, &text)?;
        self.versions = versions;
        let welcome_before: Vec<(PublicKey, Label)> = self
            .cameras
            .iter()
            .filter(|camera| self.is_welcome(&camera.key))
            .map(|camera| (camera.key, camera.label.clone()))
            .collect();
        self.revoked = revoked.into_iter().collect();
        self.set(cameras);
        let gone = welcome_before
            .into_iter()
            .filter(|(key, _)| !self.is_welcome(key));
        self.removed.extend(gone.collect::<Vec<_>>());
        Ok(())
    }

    fn set(&mut self, cameras: Vec<KnownCamera>) {
        self.by_key = cameras
            .iter()
            .enumerate()
            .map(|(index, camera)| (camera.key, index))
            .collect();
        self.by_label = cameras
            .iter()
            .enumerate()
            .map(|(index, camera)| (camera.label.clone(), index))
            .collect();
        self.cameras = cameras;
    }
}

/// Parses `known_cameras`.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_known_cameras(path: &Path, content: &[u8]) -> Result<Vec<KnownCamera>, TrustError> {
    let mut labels = std::collections::HashSet::new();
    let mut keys = std::collections::HashSet::new();
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
    Ok(KnownCamera {
        label: words
            .next()?
            .parse()
            .map_err(|_| "it does not begin with a label")?,
        key: words.key()?,
        added: WallTime::parse(words.field("added")?)?,
        via: words.field("via")?.to_owned(),
        rest: words.rest()?.into_iter().map(str::to_owned).collect(),
    })
}

fn format_known_cameras(cameras: &[KnownCamera]) -> String {
    cameras.iter().fold(String::new(), |mut text, camera| {
        let KnownCamera {
            label,
            key,
            added,
            via,
            rest,
        } = camera;
        text.push_str(&format!(
            "{label} x25519 {} added={added} via={via}",
            format_key(&key.0)
        ));
        rest.iter().for_each(|field| {
            text.push(' ');
            text.push_str(field);
        });
        text.push('\n');
        text
    })
}

/// Parses `revoked`: keys that are never let in, and why.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_revoked(path: &Path, content: &[u8]) -> Result<Vec<(PublicKey, String)>, TrustError> {
    parse_lines(path, content, |line, _| {
        let mut words = Words::new(line);
        let key = words.key()?;
        WallTime::parse(words.next()?)?;
        Ok((key, words.text()))
    })
}
