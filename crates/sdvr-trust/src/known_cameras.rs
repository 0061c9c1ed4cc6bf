//! The file of the cameras that a server knows, by their keys.
//!
//! ```text
//! <label> x25519 <base64> added=<time> via=tofu|ask|manual [next=<base64>] [old=<base64> until=<time>]
//! ```
//!
//! `next` and `old` are for cameras that get another key. `next` was announced in a session of the key; when a handshake has
//! proved it, it becomes the key, and the one before is `old`: good until the time.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use sdvr_frame::{Label, PublicKey};

use crate::error::TrustError;
use crate::lines::{WallTime, Words, format_key, parse_key, parse_lines, push_word, rewrite_lines};
use crate::store::{KeyDirectory, Snapshot};

pub(crate) const FILE: &str = "known_cameras";
/// How long the key before is good.
const OLD_KEY_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A remembered camera.
#[derive(Clone, Debug)]
pub struct KnownCamera {
    /// Its label here.
    pub label: Label,
    /// Its key.
    pub key: PublicKey,
    pub(crate) added: WallTime,
    pub(crate) via: String,
    /// A key that was announced for it.
    pub(crate) next: Option<PublicKey>,
    /// The key it had before, and until when that is good.
    pub(crate) old: Option<(PublicKey, WallTime)>,
    /// Fields that decide nothing here, `name=value`.
    pub(crate) rest: Vec<String>,
}

/// What a key is to the camera in whose line it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    /// It was announced, and no handshake had proved it.
    Next,
    /// The one before, which is good yet.
    Old,
    /// The one before, which is not good since then.
    Over(WallTime),
}

impl KnownCamera {
    pub(crate) fn new(label: Label, key: PublicKey, via: &str) -> Self {
        Self {
            label,
            key,
            added: WallTime::now(),
            via: via.to_owned(),
            next: None,
            old: None,
            rest: Vec::new(),
        }
    }

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

    /// A key that it has announced, which becomes its key when it comes with it.
    #[must_use]
    pub const fn next(&self) -> Option<PublicKey> {
        self.next
    }

    /// The key that it had before, and until when that is good, as in the file.
    #[must_use]
    pub fn old(&self) -> Option<(PublicKey, String)> {
        self.old.map(|(key, until)| (key, until.to_string()))
    }

    pub(crate) fn standing(&self, key: &PublicKey) -> Option<Standing> {
        match self.old {
            _ if self.key == *key => Some(Standing::Current),
            _ if self.next == Some(*key) => Some(Standing::Next),
            Some((old, until)) if old == *key && until.is_over() => Some(Standing::Over(until)),
            Some((old, _)) if old == *key => Some(Standing::Old),
            _ => None,
        }
    }

    /// The camera when a handshake has proved the key that it had announced.
    pub(crate) fn promoted(&self, proved: PublicKey) -> Self {
        Self {
            key: proved,
            next: None,
            old: Some((self.key, WallTime::now().after(OLD_KEY_TIME))),
            ..self.clone()
        }
    }

    /// All keys that stand in its line.
    pub(crate) fn keys(&self) -> impl Iterator<Item = PublicKey> {
        let old = self.old.map(|(key, _)| key);
        [Some(self.key), self.next, old].into_iter().flatten()
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

/// The file with another line, or none, for the camera of this label.
pub(crate) fn with_line(content: &[u8], label: &Label, camera: Option<&KnownCamera>) -> Vec<u8> {
    rewrite_lines(content, |line| {
        if line.split(' ').next() == Some(label.as_str()) {
            camera.map(|camera| format_line(camera).into())
        } else {
            Some(line.into())
        }
    })
}

/// The file with these lines for the cameras of their labels.
pub(crate) fn with_lines(content: &[u8], cameras: &[KnownCamera]) -> Vec<u8> {
    let by_label: HashMap<&str, &KnownCamera> = cameras
        .iter()
        .map(|camera| (camera.label.as_str(), camera))
        .collect();
    rewrite_lines(content, |line| {
        let label = line.split(' ').next().unwrap_or(line);
        Some(
            by_label
                .get(label)
                .map_or_else(|| line.into(), |camera| format_line(camera).into()),
        )
    })
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
        if camera.keys().all(|key| keys.insert(key)) {
            Ok(camera)
        } else {
            Err("this key stands here twice")
        }
    })
}

fn parse_line(line: &str) -> Result<KnownCamera, &'static str> {
    let mut words = Words::new(line);
    let mut camera = KnownCamera {
        label: words
            .next()?
            .parse()
            .map_err(|_| "it does not begin with a label")?,
        key: words.key()?,
        added: WallTime::parse(words.field("added")?)?,
        via: words.field("via")?.to_owned(),
        next: None,
        old: None,
        rest: Vec::new(),
    };
    if !matches!(camera.via.as_str(), "tofu" | "ask" | "manual") {
        return Err("via is not tofu, ask or manual");
    }
    let (mut old, mut until) = (None, None);
    for (name, value) in words.rest(&["added", "via"])? {
        let is_first = match name {
            "next" => camera.next.replace(public_key(value)?).is_none(),
            "old" => old.replace(public_key(value)?).is_none(),
            "until" => until.replace(WallTime::parse(value)?).is_none(),
            _ => {
                camera.rest.push(format!("{name}={value}"));
                true
            }
        };
        if !is_first {
            return Err("a field stands there twice");
        }
    }
    camera.old = match (old, until) {
        (Some(key), Some(until)) => Some((key, until)),
        (None, None) => None,
        _ => return Err("old and until belong together"),
    };
    Ok(camera)
}

fn public_key(value: &str) -> Result<PublicKey, &'static str> {
    parse_key(value).map(|key| PublicKey(*key))
}

fn format_line(camera: &KnownCamera) -> String {
    let KnownCamera {
        label,
        key,
        added,
        via,
        next,
        old,
        rest,
    } = camera;
    let key = format_key(key);
    let mut line = format!("{label} x25519 {key} added={added} via={via}");
    if let Some(next) = next {
        push_word(&mut line, &format!("next={}", format_key(next)));
    }
    if let Some((key, until)) = old {
        push_word(&mut line, &format!("old={} until={until}", format_key(key)));
    }
    rest.iter().for_each(|word| push_word(&mut line, word));
    line
}

/// The lines of cameras; also what `parse_known_cameras` was given, as far as it says something.
#[doc(hidden)]
#[must_use]
pub fn format_known_cameras(cameras: &[KnownCamera]) -> String {
    cameras
        .iter()
        .map(|camera| format_line(camera) + "\n")
        .collect()
}
