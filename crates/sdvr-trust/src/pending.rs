//! Cameras that wait for somebody to approve them, at most 256.
//!
//! ```text
//! x25519 <base64> first=<time> from=<address> wants=<label>
//! ```
//!
//! A key that is known meanwhile may still stand here, when a process was killed between two files: it is known then.

use std::collections::HashSet;
use std::path::Path;

use sdvr_frame::{HostAddress, Label, PublicKey};

use crate::error::TrustError;
use crate::lines::{WallTime, Words, format_key, parse_lines, rewrite_lines};
use crate::store::{KeyDirectory, Snapshot};

pub(crate) const FILE: &str = "pending";
/// Cameras that wait at most: strangers must not fill the disk, and nobody looks through more.
pub(crate) const PENDING_MOST: usize = 256;

/// A camera that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCamera {
    /// Its key, which it has proved.
    pub key: PublicKey,
    /// The address that it came from first.
    pub from: HostAddress,
    /// The label it asks for, which may be another camera's.
    pub wants: Label,
    pub(crate) first: WallTime,
}

impl PendingCamera {
    /// When it came first, as in the file.
    #[must_use]
    pub fn first(&self) -> String {
        self.first.to_string()
    }
}

/// Reads the file of cameras that wait.
pub(crate) fn read_pending(
    directory: &KeyDirectory,
) -> Result<(Vec<PendingCamera>, Snapshot), TrustError> {
    let file = directory.read(FILE)?;
    let pending = match &file.content {
        Some(content) => parse_pending(&directory.file_path(FILE), content)?,
        None => Vec::new(),
    };
    Ok((pending, file))
}

/// The file without the lines of these keys.
pub(crate) fn without(content: &[u8], is_out: impl Fn(&PublicKey) -> bool) -> Vec<u8> {
    rewrite_lines(content, |line| {
        let is_kept = parse_line(line).is_ok_and(|pending| !is_out(&pending.key));
        is_kept.then_some(line.into())
    })
}

/// Parses `pending`.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_pending(path: &Path, content: &[u8]) -> Result<Vec<PendingCamera>, TrustError> {
    let mut keys = HashSet::new();
    parse_lines(path, content, |line, _| {
        let pending = parse_line(line)?;
        if !keys.insert(pending.key) {
            Err("this key stands here twice")
        } else if keys.len() > PENDING_MOST {
            Err("more cameras wait here than 256")
        } else {
            Ok(pending)
        }
    })
}

fn parse_line(line: &str) -> Result<PendingCamera, &'static str> {
    let mut words = Words::new(line);
    let key = words.key()?;
    let first = WallTime::parse(words.field("first")?)?;
    let from = words.field("from")?;
    let pending = PendingCamera {
        key,
        first,
        from: from
            .parse()
            .ok()
            .filter(|address: &HostAddress| address.to_string() == from)
            .ok_or("from is not an IP address in its shortest form")?,
        wants: words
            .field("wants")?
            .parse()
            .map_err(|_| "wants is not a label")?,
    };
    words.rest(&["first", "from", "wants"])?;
    Ok(pending)
}

/// The lines of cameras that wait.
#[doc(hidden)]
#[must_use]
pub fn format_pending(pending: &[PendingCamera]) -> String {
    let lines = pending.iter().map(|camera| {
        let PendingCamera {
            key,
            from,
            wants,
            first,
        } = camera;
        let key = format_key(key);
        format!("x25519 {key} first={first} from={from} wants={wants}\n")
    });
    lines.collect()
}
