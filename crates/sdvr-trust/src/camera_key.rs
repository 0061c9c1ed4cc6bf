//! The keys of this host's cameras, and `sdvr keys rotate --camera`.
//!
//! ```text
//! cameras/NAME.key    the current one
//! cameras/NAME.next   made by the command; takes the place of the current one when the camera's sdvrc sees it
//! cameras/NAME.old    the one before, for servers that have not heard of the current one
//! ```
//!
//! `NAME.key` is the lock of the camera. Only who holds it replaces it, and holds its successor's before: no other process can
//! take the name in between. The old one is written first: killed in between, `NAME.next` is there yet, and it begins anew.

use std::fs::File;
use std::time::Duration;

use sdvr_frame::{Label, PublicKey};

use crate::error::{TrustError, listed};
use crate::key_file::{SecretKey, format_key_file};
use crate::known_servers::KnownServers;
use crate::store::{KeyDirectory, Version, try_lock};

const CAMERAS: &str = "cameras";
/// Cameras of one host that would have the same label.
const NAMESAKES_MOST: u32 = 1024;
/// How long the key before is kept at least: servers that the camera has not met since know no other.
const OLD_KEY_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A camera of this host: its label and its keys, which no other process uses while this value lives.
#[derive(Debug)]
pub struct CameraIdentity {
    /// The label it asks for.
    pub label: Label,
    /// Its key.
    pub key: SecretKey,
    /// The one before, if it ever had another.
    pub old: Option<SecretKey>,
    cameras: KeyDirectory,
    /// The open key files, whose locks go with them.
    locked: Vec<File>,
    /// The next key's file that cannot be used.
    unusable: Option<Version>,
}

/// One of the keys that a camera has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichKey {
    /// Its key.
    Current,
    /// The one before.
    Old,
}

/// The public keys of a camera of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraKeys {
    /// Its label.
    pub label: String,
    /// Its key.
    pub current: PublicKey,
    /// The one that takes its place when the camera's sdvrc runs.
    pub next: Option<PublicKey>,
    /// The one before.
    pub old: Option<PublicKey>,
}

/// What the rotation of a camera's key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraRotation {
    /// Whose it is.
    pub label: Label,
    /// The new key.
    pub next: PublicKey,
    /// The one that it replaces.
    pub current: PublicKey,
}

impl CameraIdentity {
    /// Takes the key that `sdvr keys rotate --camera` has made, if there is one: whether the key is another one now. Costs one
    /// system call if not.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: go on with the key that was there. Of a file that cannot be used it is said once.
    pub fn refresh(&mut self) -> Result<bool, TrustError> {
        let version = self.cameras.version(&next_file(&self.label));
        if version.is_none() || version == self.unusable {
            return Ok(false);
        }
        self.take_next().inspect_err(|error| {
            // Any other error may be over the next time.
            if !matches!(error, TrustError::Io { .. } | TrustError::Locked { .. }) {
                self.unusable = version;
            }
        })
    }

    fn take_next(&mut self) -> Result<bool, TrustError> {
        let Self { label, cameras, .. } = &*self;
        let (next, current) = (next_file(label), key_file(label));
        let lock = cameras.lock()?;
        let Some((key, file)) = cameras.load(&next)? else {
            return Ok(false);
        };
        // Nobody else has a reason to lock it.
        if !try_lock(&cameras.file_path(&next), &file)? {
            return Ok(false);
        }
        cameras.replace(&lock, &old_file(label), &format_key_file(&self.key))?;
        cameras.rename(&lock, &next, &current)?;
        self.locked.push(file);
        self.old = Some(std::mem::replace(&mut self.key, key));
        Ok(true)
    }

    /// The key with which to come to the server at this address: the one before as long as that server knows this host and has
    /// not said that it has the current one.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn key_for(
        &self,
        servers: &KnownServers<'_>,
        address: &str,
    ) -> Result<WhichKey, TrustError> {
        if self.old.is_none() {
            return Ok(WhichKey::Current);
        }
        let is_behind = servers.lacks(address, &self.key.public_key())?;
        Ok(if is_behind {
            WhichKey::Old
        } else {
            WhichKey::Current
        })
    }

    /// One of its keys. The current one where there is no other.
    #[must_use]
    pub fn which(&self, which: WhichKey) -> &SecretKey {
        match (which, &self.old) {
            (WhichKey::Old, Some(old)) => old,
            (WhichKey::Current | WhichKey::Old, _) => &self.key,
        }
    }
}

impl KeyDirectory {
    /// The identity for a camera of this host. With `is_chosen` (the user gave the label) exactly that one; without, the
    /// first of `label`, `label-2`, … that no other process uses.
    ///
    /// # Errors
    ///
    /// [`TrustError::KeyInUse`] when the chosen one is used, and what the files say.
    pub fn camera_identity(
        &self,
        label: &Label,
        is_chosen: bool,
    ) -> Result<CameraIdentity, TrustError> {
        let namesakes = if is_chosen { 1 } else { NAMESAKES_MOST };
        for number in 1..=namesakes {
            let cameras = self.subdirectory(CAMERAS)?;
            if let Some(identity) = identity_of(cameras, numbered(label, number))? {
                return Ok(identity);
            }
        }
        Err(TrustError::KeyInUse {
            label: label.to_string(),
            path: self.subdirectory(CAMERAS)?.file_path(&key_file(label)),
        })
    }

    /// The public keys of this host's cameras, by label.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn camera_keys(&self) -> Result<Vec<CameraKeys>, TrustError> {
        let cameras = self.subdirectory(CAMERAS)?;
        let mut keys = Vec::new();
        for label in labels(&cameras)? {
            let public = |name: String| -> Result<Option<PublicKey>, TrustError> {
                Ok(cameras.load(&name)?.map(|(key, _)| key.public_key()))
            };
            if let Some(current) = public(key_file(&label))? {
                let is_other = |key: &PublicKey| *key != current;
                keys.push(CameraKeys {
                    current,
                    next: public(next_file(&label))?.filter(is_other),
                    old: public(old_file(&label))?.filter(is_other),
                    label: label.to_string(),
                });
            }
        }
        Ok(keys)
    }
}

/// The camera of exactly this label, unless another process has it.
fn identity_of(cameras: KeyDirectory, label: Label) -> Result<Option<CameraIdentity>, TrustError> {
    let name = key_file(&label);
    let (key, file) = loop {
        let (key, file) = cameras.load_or_create(&name)?;
        if !try_lock(&cameras.file_path(&name), &file)? {
            return Ok(None);
        }
        // Whoever had the lock may have replaced the file before letting go of it.
        if cameras.has_name(&name, &file) {
            break (key, file);
        }
    };
    let old = cameras.load(&old_file(&label))?.map(|(key, _)| key);
    let old = old.filter(|old| old.expose() != key.expose());
    Ok(Some(CameraIdentity {
        label,
        key,
        old,
        cameras,
        locked: vec![file],
        unusable: None,
    }))
}

/// Makes another key for the camera of this label. Its sdvrc takes it when it runs, within a second, and tells the servers. On
/// disk when this returns.
///
/// # Errors
///
/// [`TrustError::NotFound`] lists the cameras of this host; [`TrustError::CameraRotatedLately`] while the key before may be all
/// that a server knows.
pub fn rotate_camera_key(
    directory: &KeyDirectory,
    wanted: &str,
) -> Result<CameraRotation, TrustError> {
    let cameras = directory.subdirectory(CAMERAS)?;
    let lock = cameras.lock()?;
    let label = wanted.parse::<Label>().ok();
    let current = match &label {
        Some(label) => cameras.load(&key_file(label))?,
        None => None,
    };
    let (Some(label), Some((current, _))) = (label, current) else {
        let known = labels(&cameras)?;
        return Err(TrustError::NotFound {
            wanted: wanted.to_owned(),
            known: listed(known.iter().map(Label::to_string)),
        });
    };
    if let Some((next, _)) = cameras.load(&next_file(&label))? {
        return Err(TrustError::CameraRotationWaits {
            next: next.public_key().fingerprint(),
            label: label.to_string(),
        });
    }
    if let Some((old, replaced, _)) = cameras.load_dated(&old_file(&label))? {
        let until = replaced.after(OLD_KEY_TIME);
        if old.expose() != current.expose() && !until.is_over() {
            return Err(TrustError::CameraRotatedLately {
                label: label.to_string(),
                until: until.to_string(),
            });
        }
    }
    let key = SecretKey::generate()?;
    cameras.create_new(&lock, &next_file(&label), &format_key_file(&key))?;
    Ok(CameraRotation {
        label,
        next: key.public_key(),
        current: current.public_key(),
    })
}

/// The labels of the cameras that have a key here, sorted.
fn labels(cameras: &KeyDirectory) -> Result<Vec<Label>, TrustError> {
    let names = cameras.file_names()?;
    let labels = names
        .iter()
        .filter_map(|name| name.strip_suffix(".key")?.parse().ok());
    Ok(labels.collect())
}

// No label makes one camera's file another's: each kind has its own end.

fn key_file(label: &Label) -> String {
    format!("{label}.key")
}

fn next_file(label: &Label) -> String {
    format!("{label}.next")
}

fn old_file(label: &Label) -> String {
    format!("{label}.old")
}

/// `label`, or `label-2` and so on, cut so that it stays a label.
fn numbered(label: &Label, number: u32) -> Label {
    if number == 1 {
        return label.clone();
    }
    let suffix = format!("-{number}");
    let kept = label
        .as_str()
        .get(..Label::MAX_BYTES - suffix.len())
        .unwrap_or_else(|| label.as_str());
    let numbered = format!("{kept}{suffix}");
    // The start of a label and a number always make one; the other way would too.
    numbered
        .parse()
        .unwrap_or_else(|_| Label::from_lossy(&numbered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(label: &str, number: u32, expected: &str) {
        assert_eq!(numbered(&label.parse().unwrap(), number).as_str(), expected);
    }

    #[test]
    fn namesakes_are_numbered_and_stay_labels() {
        check("door", 1, "door");
        check("door", 2, "door-2");
        check("do--or.", 3, "do--or.-3");
        check(&"x".repeat(63), 2, &format!("{}-2", "x".repeat(61)));
        check(&"x".repeat(62), 1024, &format!("{}-1024", "x".repeat(58)));
    }
}
