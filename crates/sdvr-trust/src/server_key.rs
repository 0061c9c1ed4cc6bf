//! The server's keys: the current one and the one before, and `sdvr keys rotate`.
//!
//! ```text
//! server.key       the current one; its time is that of the rotation
//! server-old.key   the one before, as good as the current one for 30 days from then
//! ```
//!
//! The old one is written first: killed in between, both files have the same key, and nothing has happened.

use std::time::Duration;

use sdvr_frame::PublicKey;

use crate::error::TrustError;
use crate::key_file::{SERVER_KEY, SecretKey, format_key_file};
use crate::lines::WallTime;
use crate::store::{KeyDirectory, Version};

const OLD_SERVER_KEY: &str = "server-old.key";
/// How long the key before is good: whoever has not connected since knows no other.
const OLD_KEY_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The keys that a server has.
#[derive(Debug)]
pub struct ServerKeys {
    /// The one that it announces.
    pub current: SecretKey,
    /// The one before, while it is good.
    pub old: Option<SecretKey>,
    old_until: WallTime,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRotation {
    /// The key from now on.
    pub current: PublicKey,
    /// The one before.
    pub old: PublicKey,
    /// Until when that is good.
    pub old_until: String,
}

impl KeyDirectory {
    /// The keys of this host as a server; one is made when they are asked for first.
    ///
    /// # Errors
    ///
    /// [`TrustError`]. A damaged file is refused and never replaced.
    pub fn server_keys(&self) -> Result<ServerKeys, TrustError> {
        let made = self.server_key()?;
        let (current, created) = match self.load_dated(SERVER_KEY)? {
            Some((key, created, _)) => (key, created),
            None => (made, WallTime::now()),
        };
        let old_until = created.after(OLD_KEY_TIME);
        let old = self.load(OLD_SERVER_KEY)?.map(|(key, _)| key);
        let old = old.filter(|old| !old_until.is_over() && old.expose() != current.expose());
        Ok(ServerKeys {
            current,
            old,
            old_until,
        })
    }
}

/// Gives the server a new key; a running daemon takes it within a second and announces it. On disk when this returns.
///
/// # Errors
///
/// [`TrustError::NoServerKey`], and [`TrustError::RotatedLately`] while the key before is still good: clients that know only
/// that one would be lost.
pub fn rotate_server_key(directory: &KeyDirectory) -> Result<ServerRotation, TrustError> {
    if directory.existing_server_key()?.is_none() {
        return Err(TrustError::NoServerKey {
            path: directory.file_path(SERVER_KEY),
        });
    }
    let lock = directory.lock()?;
    let ServerKeys {
        current: before,
        old,
        old_until,
    } = directory.server_keys_locked()?;
    if old.is_some() {
        return Err(TrustError::RotatedLately {
            until: old_until.to_string(),
        });
    }
    let key = SecretKey::generate()?;
    let of_before = format_key_file(&before);
    directory.replace(&lock, OLD_SERVER_KEY, &of_before)?;
    directory.replace(&lock, SERVER_KEY, &format_key_file(&key))?;
    Ok(ServerRotation {
        current: key.public_key(),
        old: before.public_key(),
        old_until: WallTime::now().after(OLD_KEY_TIME).to_string(),
    })
}

impl KeyDirectory {
    /// The same for who has the lock, which making a key would wait for.
    fn server_keys_locked(&self) -> Result<ServerKeys, TrustError> {
        if self.existing_server_key()?.is_none() {
            return Err(TrustError::NoServerKey {
                path: self.file_path(SERVER_KEY),
            });
        }
        self.server_keys()
    }
}

/// Looks whether somebody has given the server other keys.
#[derive(Debug)]
pub struct ServerKeyWatch {
    directory: KeyDirectory,
    seen: Option<Version>,
    /// When the old one is not good any more.
    old_until: Option<WallTime>,
}

impl ServerKeyWatch {
    /// Begins to watch, and gives the keys that there are.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn begin(directory: KeyDirectory) -> Result<(Self, ServerKeys), TrustError> {
        let keys = directory.server_keys()?;
        let mut watch = Self {
            directory,
            seen: None,
            old_until: None,
        };
        watch.note(&keys);
        Ok((watch, keys))
    }

    /// The keys, if they are others than when this was asked last. Costs one system call if not.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: go on with those that were there. Said once for each state of the file.
    pub fn refresh(&mut self) -> Result<Option<ServerKeys>, TrustError> {
        let version = self.directory.version(SERVER_KEY);
        let is_current = version == self.seen && !self.old_until.is_some_and(WallTime::is_over);
        if is_current {
            return Ok(None);
        }
        self.seen = version;
        self.old_until = None;
        // A file that was removed is no reason to take another key.
        if version.is_none() {
            return Ok(None);
        }
        let keys = self.directory.server_keys()?;
        self.note(&keys);
        Ok(Some(keys))
    }

    fn note(&mut self, keys: &ServerKeys) {
        self.seen = self.directory.version(SERVER_KEY);
        self.old_until = keys.old.is_some().then_some(keys.old_until);
    }
}
