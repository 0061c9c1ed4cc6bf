//! The name people give a camera.

use std::fmt;
use std::str::FromStr;

/// A camera's or a stream's name: 1 to 63 of `[A-Za-z0-9._-]`, the first a letter or a digit.
///
/// A label is for people. What identifies a camera is its key ([`crate::Fingerprint`]). The
/// alphabet has no `/` and no leading dot, yet a label still never becomes a path on the server.
///
/// ```
/// use sdvr_frame::Label;
///
/// let label: Label = "front-door".parse().unwrap();
/// assert_eq!(label.as_str(), "front-door");
/// assert!("../etc".parse::<Label>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

impl Label {
    /// The most bytes a label can have.
    pub const MAX_BYTES: usize = 63;

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a label of a text that is none, replacing what does not belong and cutting the rest.
    ///
    /// Meant for names of this host's own devices and files. An empty result becomes `camera`.
    ///
    /// ```
    /// use sdvr_frame::Label;
    ///
    /// assert_eq!(Label::from_lossy("HD Webcam (C270)").as_str(), "HD-Webcam-C270");
    /// assert_eq!(Label::from_lossy("../..").as_str(), "camera");
    /// ```
    #[must_use]
    pub fn from_lossy(text: &str) -> Self {
        let mut label = String::new();
        for character in text.chars() {
            if label.len() == Self::MAX_BYTES {
                break;
            }
            if character.is_ascii_alphanumeric() {
                label.push(character);
            } else if !label.is_empty() && !label.ends_with(['-', '.', '_']) {
                label.push(if is_label_byte(character) {
                    character
                } else {
                    '-'
                });
            }
        }
        let label = label.trim_end_matches(['-', '.', '_']);
        Self(if label.is_empty() {
            "camera".to_owned()
        } else {
            label.to_owned()
        })
    }
}

fn is_label_byte(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let Some(first) = text.chars().next() else {
            return Err(InvalidLabel::Empty);
        };
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidLabel::TooLong { bytes: text.len() });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(InvalidLabel::FirstCharacter(first));
        }
        if let Some(character) = text.chars().find(|&character| !is_label_byte(character)) {
            return Err(InvalidLabel::Character(character));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// Why a text is not a [`Label`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// It has no characters.
    #[error("a label cannot be empty")]
    Empty,
    /// It has more than [`Label::MAX_BYTES`] bytes.
    #[error("a label has at most 63 characters, this one has {bytes}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// It does not begin with a letter or a digit.
    #[error("a label begins with a letter or a digit, not with {0:?}")]
    FirstCharacter(char),
    /// It has a character other than letters, digits, dot, underscore and hyphen.
    #[error("a label is made of letters, digits, '.', '_' and '-', not of {0:?}")]
    Character(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), InvalidLabel>) {
        assert_eq!(text.parse::<Label>().map(|_| ()), expected);
    }

    #[test]
    fn accepts_names_people_use() {
        check("a", Ok(()));
        check("Front_Door-2.left", Ok(()));
        check(&"x".repeat(63), Ok(()));
    }

    #[test]
    fn refuses_what_could_be_a_path_or_is_no_text() {
        check("", Err(InvalidLabel::Empty));
        check(&"x".repeat(64), Err(InvalidLabel::TooLong { bytes: 64 }));
        check("..", Err(InvalidLabel::FirstCharacter('.')));
        check("a/b", Err(InvalidLabel::Character('/')));
        check("a\0", Err(InvalidLabel::Character('\0')));
        check("caf\u{e9}", Err(InvalidLabel::Character('\u{e9}')));
        check("-rf", Err(InvalidLabel::FirstCharacter('-')));
    }

    proptest::proptest! {
        #[test]
        fn lossy_labels_are_labels(text in ".*") {
            let label = Label::from_lossy(&text);
            proptest::prop_assert_eq!(label.as_str().parse::<Label>(), Ok(label.clone()));
        }
    }
}
