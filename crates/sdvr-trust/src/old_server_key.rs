//! The key that a server had before, bound to the one that replaced it.
//!
//! ```text
//! sdvr-private-key 2
//! x25519 <base64 of 32 bytes>
//! created 2026-03-01T12:00:00Z
//! until 2026-03-31T12:00:00Z
//! successor <base64 of 32 bytes>
//! ```
//!
//! It is good until that time, and only beside its successor: whoever removes `server.key` has given both up. One of version 1,
//! which has no successor, is not good.

use std::path::Path;
use std::time::Duration;

use sdvr_frame::PublicKey;
use zeroize::Zeroizing;

use crate::error::TrustError;
use crate::key_file::{KeyLines, SecretKey, format_lines, parse_dated};
use crate::lines::{WallTime, format_key};
use crate::store::{DirectoryLock, KeyDirectory};

pub(crate) const OLD_SERVER_KEY: &str = "server-old.key";
const FIRST_LINE: &str = "sdvr-private-key 2";
/// How long the key before is good: whoever has not connected since knows no other.
pub(crate) const OLD_KEY_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A key that the server had before.
#[derive(Debug)]
pub struct OldServerKey {
    pub(crate) key: SecretKey,
    /// Nothing in a file of version 1.
    pub(crate) succession: Option<Succession>,
}

/// What makes a key before good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Succession {
    pub(crate) until: WallTime,
    pub(crate) successor: PublicKey,
}

/// What the key before is beside the current one.
#[derive(Debug)]
pub(crate) enum OldKeyStanding {
    None,
    Good(SecretKey, WallTime),
    /// Its time is over. It stays where it is: a clock that was wrong for a moment must not take it from those who know only it.
    Over,
    /// It is not bound to the current key, and never will be good.
    Foreign(SecretKey),
}

impl KeyDirectory {
    /// What there is of a key before, for a server that has this one.
    pub(crate) fn old_server_key(&self, current: &SecretKey) -> Result<OldKeyStanding, TrustError> {
        let Some((old, _)) = self.load_with(OLD_SERVER_KEY, parse_old_server_key)? else {
            return Ok(OldKeyStanding::None);
        };
        let current = current.public_key();
        let is_bound = |succession: &Succession| succession.successor == current;
        Ok(match old.succession.filter(is_bound) {
            None => OldKeyStanding::Foreign(old.key),
            Some(succession) if succession.until.is_over() => OldKeyStanding::Over,
            Some(succession) => OldKeyStanding::Good(old.key, succession.until),
        })
    }

    pub(crate) fn replace_old_server_key(
        &self,
        lock: &DirectoryLock,
        old: &SecretKey,
        succession: &Succession,
    ) -> Result<(), TrustError> {
        let content = format_old_server_key(old, succession);
        self.replace(lock, OLD_SERVER_KEY, &content).map(drop)
    }

    /// Removes the key before if it is none of the current one's, as it stands there now: `sdvr keys rotate`, which holds the
    /// lock, writes the one before first. Hardly waits for who has the lock.
    pub(crate) fn remove_foreign_server_key(&self) -> Result<(), TrustError> {
        let lock = self.lock_briefly()?;
        let Some(current) = self.existing_server_key()? else {
            return Ok(());
        };
        match self.old_server_key(&current)? {
            OldKeyStanding::Foreign(_) => self.remove(&lock, OLD_SERVER_KEY),
            OldKeyStanding::None | OldKeyStanding::Good(..) | OldKeyStanding::Over => Ok(()),
        }
    }
}

fn format_old_server_key(key: &SecretKey, succession: &Succession) -> Zeroizing<Vec<u8>> {
    let Succession { until, successor } = succession;
    let successor = format_key(successor);
    let rest = format!("until {until}\nsuccessor {successor}\n");
    format_lines(FIRST_LINE, key, &rest)
}

/// Parses the file of a key that the server had before.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_old_server_key(path: &Path, content: &[u8]) -> Result<OldServerKey, TrustError> {
    if let Ok((key, _)) = parse_dated(path, content) {
        return Ok(OldServerKey {
            key,
            succession: None,
        });
    }
    let mut lines = KeyLines::new(path, content)?;
    lines.first(FIRST_LINE)?;
    let key = lines.key()?;
    lines.time("created ")?;
    let succession = Succession {
        until: lines.time("until ")?,
        successor: lines.public_key("successor ")?,
    };
    lines.end()?;
    Ok(OldServerKey {
        key,
        succession: Some(succession),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_as_documented_and_reads_back() {
        let key = SecretKey::generate().unwrap();
        let succession = Succession {
            until: WallTime::parse("2026-03-31T12:00:00Z").unwrap(),
            successor: PublicKey([9; 32]),
        };
        let content = format_old_server_key(&key, &succession);
        let text = std::str::from_utf8(&content).unwrap();
        let end = "\nuntil 2026-03-31T12:00:00Z\nsuccessor CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n";
        assert!(text.starts_with("sdvr-private-key 2\nx25519 ") && text.ends_with(end));
        let path = Path::new("x");
        let read = parse_old_server_key(path, &content).unwrap();
        assert_eq!(read.key.expose(), key.expose());
        assert_eq!(read.succession, Some(succession));
        for end in 0..content.len() {
            assert!(parse_old_server_key(path, content.get(..end).unwrap()).is_err());
        }
        assert!(parse_old_server_key(path, &[content.as_slice(), b"\n"].concat()).is_err());
        assert!(crate::key_file::parse_key_file(path, &content).is_err());
    }
}
