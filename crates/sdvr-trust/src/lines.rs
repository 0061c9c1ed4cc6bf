//! The grammar that all files share: words between single spaces, `name=value` words at the end.

use std::path::Path;
use std::time::SystemTime;

use data_encoding::BASE64;
use sdvr_frame::PublicKey;

use crate::error::TrustError;

/// A file that is longer is none of ours: 65,536 cameras have 11 MiB.
pub(crate) const FILE_MOST_BYTES: u64 = 64 << 20;

/// A time as it stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallTime(SystemTime);

impl WallTime {
    pub(crate) fn now() -> Self {
        Self(SystemTime::now())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        humantime::parse_rfc3339(text)
            .map(Self)
            .map_err(|_| "a time is not like 2026-03-01T12:00:00Z")
    }

    /// Whether `other` is at least a day from this one.
    pub(crate) fn is_another_day(self, other: Self) -> bool {
        let apart = self
            .0
            .duration_since(other.0)
            .unwrap_or_else(|error| error.duration());
        apart.as_secs() >= 24 * 60 * 60
    }
}

impl std::fmt::Display for WallTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        humantime::format_rfc3339_seconds(self.0).fmt(formatter)
    }
}

/// Parses every line of `text` that is neither empty nor a comment, telling each its number.
pub(crate) fn parse_lines<T>(
    path: &Path,
    text: &[u8],
    mut parse: impl FnMut(&str, usize) -> Result<T, &'static str>,
) -> Result<Vec<T>, TrustError> {
    let problem = |line, problem| TrustError::Parse {
        path: path.to_owned(),
        line,
        problem,
    };
    let text = std::str::from_utf8(text).map_err(|error| {
        let good = text.get(..error.valid_up_to()).unwrap_or_default();
        problem(good.split(|&byte| byte == b'\n').count(), "it is not text")
    })?;
    // Every line is written with its end; one without was cut off.
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(problem(text.lines().count(), "the last line is cut off"));
    }
    let mut values = Vec::new();
    // Not `lines`, which would swallow the CR of a file that went through another system.
    for (index, line) in text.split('\n').enumerate() {
        if line.contains(|character: char| character.is_control()) {
            return Err(problem(
                index + 1,
                "there is a control character, such as a tab or the CR of a CR LF",
            ));
        }
        if !line.is_empty() && !line.starts_with('#') {
            values.push(parse(line, index + 1).map_err(|what| problem(index + 1, what))?);
        }
    }
    Ok(values)
}

/// The words of a line.
pub(crate) struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    pub(crate) fn new(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    pub(crate) fn next(&mut self) -> Result<&'a str, &'static str> {
        self.0
            .next()
            .filter(|word| !word.is_empty())
            .ok_or("a word is missing")
    }

    /// `x25519 KEY`.
    pub(crate) fn key(&mut self) -> Result<PublicKey, &'static str> {
        if self.next()? != "x25519" {
            return Err("the kind of the key is not x25519");
        }
        parse_key(self.next()?).map(PublicKey)
    }

    /// `name=value`, for the name that is wanted.
    pub(crate) fn field(&mut self, name: &str) -> Result<&'a str, &'static str> {
        let word = self.next()?;
        word.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or("a field is missing or misplaced")
    }

    /// The fields that are left, of later versions: kept as they are. They must look like fields.
    pub(crate) fn rest(self) -> Result<Vec<&'a str>, &'static str> {
        let rest: Vec<&str> = self.0.collect();
        let is_field = |word: &&str| {
            word.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        };
        if rest.iter().all(is_field) {
            Ok(rest)
        } else {
            Err("there is something after the end")
        }
    }

    /// All that is left, as text.
    pub(crate) fn text(self) -> String {
        self.0.collect::<Vec<&str>>().join(" ")
    }
}

pub(crate) fn parse_key(text: &str) -> Result<[u8; 32], &'static str> {
    let bytes = BASE64
        .decode(text.as_bytes())
        .map_err(|_| "a key is not base64")?;
    bytes.try_into().map_err(|_| "a key has not 32 bytes")
}

pub(crate) fn format_key(key: &[u8; 32]) -> String {
    BASE64.encode(key)
}
