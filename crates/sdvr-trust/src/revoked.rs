//! Keys that are refused whatever else is known of them, on either side; and `sdvr keys revoke`.
//!
//! ```text
//! x25519 <base64> <time> <reason, to the end of the line>
//! ```

use std::path::Path;

use sdvr_frame::{Label, PublicKey};

use crate::candidates::{LEAST_OF_KNOWN, ambiguous, begins, cameras_named, described};
use crate::error::{TrustError, listed};
use crate::known_cameras::read_known_cameras;
use crate::known_servers::KnownServers;
use crate::lines::{WallTime, Words, format_key, parse_lines, rewrite_lines};
use crate::pending::{self, read_pending};
use crate::store::{KeyDirectory, Snapshot};

pub(crate) const FILE: &str = "revoked";
/// What is kept of a reason.
const REASON_MOST_BYTES: usize = 200;
const NO_REASON: &str = "no reason given";

/// What was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose keys they are.
    pub whose: Revokee,
    /// The keys: all that the camera may come with.
    pub keys: Vec<PublicKey>,
    /// Whether they were revoked before; nothing was changed then.
    pub was_already: bool,
}

/// Whose key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revokee {
    /// A camera that is known here: its session ends, and its label stays its own until it is forgotten.
    Camera(Label),
    /// A camera that waited, and asked for this label.
    Pending(Label),
    /// A server, by its address.
    Server(String),
}

/// Revokes the key of what `wanted` names: a camera by its label, or any key that stands in a file here by its fingerprint or
/// the beginning of it. On disk when this returns; a running daemon ends the session.
///
/// # Errors
///
/// [`TrustError::NotFound`] and [`TrustError::Ambiguous`] list what can be named; nothing was changed then.
pub fn revoke(
    directory: &KeyDirectory,
    wanted: &str,
    reason: Option<&str>,
) -> Result<Revocation, TrustError> {
    let lock = directory.lock()?;
    let (whose, keys) = find(directory, wanted)?;
    let (revoked, file) = read_revoked(directory)?;
    let is_revoked = |key: &PublicKey| revoked.iter().any(|(revoked, _)| revoked == key);
    let was_already = keys.iter().all(is_revoked);
    if !was_already {
        let (now, reason) = (WallTime::now(), one_line(reason.unwrap_or(NO_REASON)));
        let mut content = file.content.unwrap_or_default();
        for key in keys.iter().filter(|key| !is_revoked(key)) {
            let line = format!("x25519 {} {now} {reason}\n", format_key(key));
            content.extend_from_slice(line.as_bytes());
        }
        directory.replace(&lock, FILE, &content)?;
    }
    // It waits for nothing any more.
    if matches!(whose, Revokee::Pending(_)) {
        let (_, file) = read_pending(directory)?;
        let rest = pending::without(&file.content.unwrap_or_default(), |key| keys.contains(key));
        // Where that cannot be written it is revoked all the same, and not listed among those that wait.
        let _ = directory.replace(&lock, pending::FILE, &rest);
    }
    Ok(Revocation {
        whose,
        keys,
        was_already,
    })
}

fn find(directory: &KeyDirectory, wanted: &str) -> Result<(Revokee, Vec<PublicKey>), TrustError> {
    let (cameras, _) = read_known_cameras(directory)?;
    let (pending, _) = read_pending(directory)?;
    let servers = KnownServers::new(directory).list()?;
    let is_named = |key: &PublicKey| begins(wanted, key.fingerprint(), LEAST_OF_KNOWN);
    let mut found: Vec<(Revokee, Vec<PublicKey>)> = cameras_named(&cameras, wanted)
        .into_iter()
        .map(|camera| {
            (
                Revokee::Camera(camera.label.clone()),
                camera.keys().collect(),
            )
        })
        .collect();
    let is_label = cameras.iter().any(|camera| camera.label.as_str() == wanted);
    if !is_label {
        let is_known = |key: &PublicKey| {
            cameras
                .iter()
                .any(|it| it.keys().any(|known| known == *key))
        };
        let waiting = pending
            .iter()
            .filter(|camera| is_named(&camera.key) && !is_known(&camera.key));
        found.extend(
            waiting.map(|camera| (Revokee::Pending(camera.wants.clone()), vec![camera.key])),
        );
        // One server may be known under several addresses.
        for server in servers.iter().filter(|server| is_named(&server.key)) {
            if found.iter().all(|(_, keys)| !keys.contains(&server.key)) {
                found.push((Revokee::Server(server.address.clone()), vec![server.key]));
            }
        }
    }
    let texts = |found: &[(Revokee, Vec<PublicKey>)]| -> Vec<String> {
        found
            .iter()
            .filter_map(|(whose, keys)| Some(described(keys.first()?, whose)))
            .collect()
    };
    match found.len() {
        1 => found.pop().ok_or_else(|| ambiguous(wanted, &[])),
        0 => {
            let labels = cameras.iter().map(|camera| camera.label.to_string());
            let pending = pending.iter().map(|it| described(&it.key, &it.wants));
            let servers = servers.iter().map(|it| described(&it.key, &it.address));
            let known: Vec<String> = labels.chain(pending).chain(servers).collect();
            Err(TrustError::NotFound {
                wanted: wanted.to_owned(),
                known: listed(known.into_iter()),
            })
        }
        _ => Err(ambiguous(wanted, &texts(&found))),
    }
}

impl std::fmt::Display for Revokee {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Camera(label) | Self::Pending(label) => label.fmt(formatter),
            Self::Server(address) => address.fmt(formatter),
        }
    }
}

/// A reason as it can stand in a line: no control characters, not too long, never nothing.
fn one_line(reason: &str) -> String {
    let words = reason.split(|character: char| character.is_whitespace() || character.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if line.len() + word.len() >= REASON_MOST_BYTES {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.is_empty() {
        NO_REASON.to_owned()
    } else {
        line
    }
}

/// Keys, and why each was revoked.
pub(crate) type Reasons = Vec<(PublicKey, String)>;

/// Reads the file of revoked keys.
pub(crate) fn read_revoked(directory: &KeyDirectory) -> Result<(Reasons, Snapshot), TrustError> {
    let file = directory.read(FILE)?;
    let revoked = match &file.content {
        Some(content) => parse_revoked(&directory.file_path(FILE), content)?,
        None => Vec::new(),
    };
    Ok((revoked, file))
}

/// The file without the lines of these keys.
pub(crate) fn without(content: &[u8], is_out: impl Fn(&PublicKey) -> bool) -> Vec<u8> {
    rewrite_lines(content, |line| {
        let key = Words::new(line).key();
        let is_kept = key.is_ok_and(|key| !is_out(&key));
        is_kept.then_some(line.into())
    })
}

/// Parses `revoked`: the keys, and why.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_whatever_is_typed() {
        for (typed, kept) in [
            ("stolen", "stolen"),
            (" stolen\tat\r\nnight ", "stolen at night"),
            ("", NO_REASON),
            ("\u{7}\u{1b}[2J", "[2J"),
            (&"x".repeat(500), NO_REASON),
        ] {
            assert_eq!(one_line(typed), kept);
        }
        let long = one_line(&"word ".repeat(100));
        assert!(long.len() <= REASON_MOST_BYTES && long.ends_with("word"));
    }
}
