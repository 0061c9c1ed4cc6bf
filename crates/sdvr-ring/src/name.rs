//! The names of rings' files.

use sdvr_frame::{PublicKey, StreamId, StreamLabel};

use crate::layout::Origin;

/// How the names of cameras' rings begin that are not finished.
pub(crate) const UNFINISHED_PREFIX: &str = ".new-";
/// The same of derived rings, which a starting daemon does not remove while their programs live.
pub(crate) const UNFINISHED_DERIVED_PREFIX: &str = ".derived-";
/// How the names of derived rings begin.
const DERIVED_PREFIX: &str = "derived-";

/// The name of a ring's file: which camera, which stream; or which derived stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RingName {
    text: String,
}

impl RingName {
    /// The name for a stream of a camera. Made of the key, never of anything a camera says.
    #[must_use]
    pub fn new(camera: &PublicKey, stream: StreamId) -> Self {
        Self {
            text: format!("{}.{stream}", camera.fingerprint().file_name()),
        }
    }

    /// The name for a derived stream. Made of a hash of its label; no camera's ring has such a name.
    #[must_use]
    pub fn derived(label: &StreamLabel) -> Self {
        Self {
            text: format!("{DERIVED_PREFIX}{}.0", label.file_name()),
        }
    }

    /// The name for one stream of that origin.
    #[must_use]
    pub fn of(origin: &Origin, label: &StreamLabel, stream: StreamId) -> Self {
        match origin {
            Origin::Camera(key) => Self::new(key, stream),
            Origin::Derived { .. } => Self::derived(label),
        }
    }

    /// The name, if `file_name` is that of a ring.
    #[must_use]
    pub fn parse(file_name: &str) -> Option<Self> {
        let (hash, stream) = file_name.split_once('.')?;
        let hash = hash.strip_prefix(DERIVED_PREFIX).unwrap_or(hash);
        let is_hash = hash.len() == 32
            && hash
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number: u16 = stream.parse().ok()?;
        (is_hash && number.to_string() == stream).then(|| Self {
            text: file_name.to_owned(),
        })
    }

    /// Whether it is a derived stream's.
    #[must_use]
    pub fn is_derived(&self) -> bool {
        self.text.starts_with(DERIVED_PREFIX)
    }

    /// The name as a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
