//! The name people give a stream, be it a camera's or one that a program made of cameras.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::label::{InvalidLabel, Label};

/// What a stream is called: a camera's [`Label`], or for a stream that a program makes one label or several with `/` between, such as
/// `front-door/people`. At most 63 characters.
///
/// A camera's label has no `/`, so that a stream whose label has one never takes a camera's name. The `/` is for people only: a label never becomes
/// a path.
///
/// ```
/// use sdvr_frame::StreamLabel;
///
/// let label: StreamLabel = "front-door/people".parse().unwrap();
/// assert_eq!(label.as_str(), "front-door/people");
/// assert!("front-door/../people".parse::<StreamLabel>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamLabel(String);

impl StreamLabel {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a camera can have it.
    #[must_use]
    pub fn may_be_a_camera_s(&self) -> bool {
        !self.0.contains('/')
    }

    /// 32 hexadecimal digits of its hash, for use where a file name is needed.
    #[must_use]
    pub fn file_name(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"sdvr-derived");
        hash.update(self.0.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let (name, _) = hash.split_at(16);
        HEXLOWER.encode(name)
    }
}

impl From<Label> for StreamLabel {
    fn from(label: Label) -> Self {
        Self(label.as_str().to_owned())
    }
}

impl FromStr for StreamLabel {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        if text.len() > Label::MAX_BYTES {
            return Err(InvalidLabel::TooLong { bytes: text.len() });
        }
        for part in text.split('/') {
            part.parse::<Label>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for StreamLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for StreamLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), InvalidLabel>) {
        assert_eq!(text.parse::<StreamLabel>().map(|_| ()), expected);
    }

    #[test]
    fn is_made_of_labels() {
        for text in ["door", "door/people", "door/people/tracks.2"] {
            check(text, Ok(()));
        }
        for text in ["", "/", "door/", "/people", "door//people"] {
            check(text, Err(InvalidLabel::Empty));
        }
        check("door/../x", Err(InvalidLabel::FirstCharacter('.')));
        check("door/a b", Err(InvalidLabel::Character(' ')));
        let long = format!("{}/{}", "x".repeat(31), "y".repeat(32));
        check(&long, Err(InvalidLabel::TooLong { bytes: 64 }));
        check(&long[1..], Ok(()));
    }

    #[test]
    fn only_a_label_without_a_slash_may_be_a_camera_s() {
        let label = |text: &str| text.parse::<StreamLabel>().unwrap();
        assert!(label("door").may_be_a_camera_s());
        assert!(!label("door/people").may_be_a_camera_s());
        assert_eq!(
            label("door"),
            StreamLabel::from("door".parse::<Label>().unwrap())
        );
    }

    #[test]
    fn files_of_different_labels_differ() {
        let name = |text: &str| text.parse::<StreamLabel>().unwrap().file_name();
        assert_eq!(name("door/people").len(), 32);
        assert_ne!(name("door/people"), name("door/peoplf"));
        // Programs of other versions look for the same file.
        assert_eq!(name("door/people"), "d9a035d6ca2dec88b790ea79c19e4dee");
    }
}
