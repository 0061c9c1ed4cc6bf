//! The server's keys: the current one and the one before, and `sdvr keys rotate`.
//!
//! ```text
//! server.key       the current one
//! server-old.key   the one before, as good as the current one for 30 days; says until when, and beside which key
//! ```
//!
//! The old one is written first: killed in between, it is bound to a key that is nowhere, and nothing has happened.

use std::path::PathBuf;

use sdvr_frame::PublicKey;

use crate::error::TrustError;
use crate::key_file::{SERVER_KEY, SecretKey, format_key_file};
use crate::lines::WallTime;
use crate::old_server_key::{OLD_KEY_TIME, OLD_SERVER_KEY, OldKeyStanding, Succession};
use crate::store::{KeyDirectory, Version};

/// The keys that a server has.
#[derive(Debug)]
pub struct ServerKeys {
    /// The one that it announces.
    pub current: SecretKey,
    /// The one before, while it is good.
    pub old: Option<SecretKey>,
    /// One that stood in the place of the one before, and is not.
    pub discarded: Option<DiscardedKey>,
    old_until: Option<WallTime>,
}

/// A key that was in the place of the server's old one and was not replaced by the current one, as when `server.key` was removed
/// after a theft: it is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscardedKey {
    /// Which.
    pub key: PublicKey,
    /// Where it stood.
    pub path: PathBuf,
    /// Why the file is still there, if it is.
    pub problem: Option<String>,
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
    /// The keys of this host as a server; one is made when they are asked for first. Removes a key before that the current one
    /// has not replaced.
    ///
    /// # Errors
    ///
    /// [`TrustError`]. A damaged file is refused and never replaced.
    pub fn server_keys(&self) -> Result<ServerKeys, TrustError> {
        let current = self.server_key()?;
        self.server_keys_beside(current)
    }

    fn server_keys_beside(&self, current: SecretKey) -> Result<ServerKeys, TrustError> {
        let (mut old, mut discarded) = (None, None);
        match self.old_server_key(&current)? {
            OldKeyStanding::None | OldKeyStanding::Over => {}
            OldKeyStanding::Good(key, until) => old = Some((key, until)),
            OldKeyStanding::Foreign(key) => {
                let removed = self.remove_foreign_server_key();
                // What a rotation that was killed has left is the current one, of which there is nothing to say.
                let is_other = key.expose() != current.expose();
                discarded = is_other.then(|| DiscardedKey {
                    key: key.public_key(),
                    path: self.file_path(OLD_SERVER_KEY),
                    problem: removed.err().map(|error| error.to_string()),
                });
            }
        }
        let (old, old_until) = old.unzip();
        Ok(ServerKeys {
            current,
            old,
            discarded,
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
    let no_key = || TrustError::NoServerKey {
        path: directory.file_path(SERVER_KEY),
    };
    if directory.existing_server_key()?.is_none() {
        return Err(no_key());
    }
    let lock = directory.lock()?;
    let before = directory.existing_server_key()?.ok_or_else(no_key)?;
    if let OldKeyStanding::Good(_, until) = directory.old_server_key(&before)? {
        return Err(TrustError::RotatedLately {
            until: until.to_string(),
        });
    }
    let key = SecretKey::generate()?;
    let succession = Succession {
        until: WallTime::now().after(OLD_KEY_TIME),
        successor: key.public_key(),
    };
    directory.replace_old_server_key(&lock, &before, &succession)?;
    directory.replace(&lock, SERVER_KEY, &format_key_file(&key))?;
    Ok(ServerRotation {
        current: key.public_key(),
        old: before.public_key(),
        old_until: succession.until.to_string(),
    })
}

/// Looks whether somebody has given the server other keys.
#[derive(Debug)]
pub struct ServerKeyWatch {
    directory: KeyDirectory,
    /// The current key's file and the one before's, as they were read.
    seen: [Option<Version>; 2],
    current: PublicKey,
    old: Option<PublicKey>,
    /// When the old one is not good any more.
    old_until: Option<WallTime>,
    discarded: Option<DiscardedKey>,
    /// What was complained of last.
    complaint: Option<String>,
}

impl ServerKeyWatch {
    /// Begins to watch, and gives the keys that there are.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn begin(directory: KeyDirectory) -> Result<(Self, ServerKeys), TrustError> {
        // Before the files are read: what is replaced meanwhile is read again.
        let seen = versions(&directory);
        let keys = directory.server_keys()?;
        let watch = Self {
            directory,
            seen,
            current: keys.current.public_key(),
            old: keys.old.as_ref().map(SecretKey::public_key),
            old_until: keys.old_until,
            discarded: keys.discarded.clone(),
            complaint: None,
        };
        Ok((watch, keys))
    }

    /// The current key, as it was read last.
    #[must_use]
    pub const fn current(&self) -> PublicKey {
        self.current
    }

    /// A key that was found in the place of the one before and is not good. Once.
    pub const fn take_discarded(&mut self) -> Option<DiscardedKey> {
        self.discarded.take()
    }

    /// The keys, if they are others than when this was asked last. Costs two system calls if not.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: go on with those that were there. Said once until it is another one; what cannot be read is tried again each
    /// time.
    pub fn refresh(&mut self) -> Result<Option<ServerKeys>, TrustError> {
        let seen = versions(&self.directory);
        let is_current = seen == self.seen && !self.old_until.is_some_and(WallTime::is_over);
        if is_current {
            return Ok(None);
        }
        match self.read() {
            Ok(keys) => {
                self.seen = seen;
                self.complaint = None;
                Ok(keys.filter(|keys| self.note(keys)))
            }
            Err(error) => {
                let complaint = error.to_string();
                if self.complaint.as_ref() == Some(&complaint) {
                    return Ok(None);
                }
                self.complaint = Some(complaint);
                Err(error)
            }
        }
    }

    /// Nothing when the file was removed: that is no reason to take another key.
    fn read(&self) -> Result<Option<ServerKeys>, TrustError> {
        let current = self.directory.existing_server_key()?;
        current
            .map(|current| self.directory.server_keys_beside(current))
            .transpose()
    }

    /// Whether they are others than those before.
    fn note(&mut self, keys: &ServerKeys) -> bool {
        let current = keys.current.public_key();
        let old = keys.old.as_ref().map(SecretKey::public_key);
        let is_other = (current, old) != (self.current, self.old);
        (self.current, self.old, self.old_until) = (current, old, keys.old_until);
        if keys.discarded.is_some() {
            self.discarded.clone_from(&keys.discarded);
        }
        is_other
    }
}

fn versions(directory: &KeyDirectory) -> [Option<Version>; 2] {
    [SERVER_KEY, OLD_SERVER_KEY].map(|name| directory.version(name))
}
