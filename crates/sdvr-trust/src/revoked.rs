//! Keys that are refused whatever else is known of them, on either side.
//!
//! ```text
//! x25519 <base64> <time> <reason, to the end of the line>
//! ```

use std::path::Path;

use sdvr_frame::PublicKey;

use crate::error::TrustError;
use crate::lines::{WallTime, Words, parse_lines};

pub(crate) const FILE: &str = "revoked";

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
