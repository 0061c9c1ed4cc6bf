//! The grammar that all files share: lines of words between single spaces, `name=value` words at the end.
//!
//! Strict, since who may talk hangs on it: what a line of the file does not say exactly is an error with its number, never a
//! guess. Empty lines and lines that begin with `#` are the user's, and stay when the file is rewritten.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use sdvr_frame::PublicKey;
use zeroize::Zeroizing;

use crate::error::TrustError;

/// A time as it stands in the files: whole seconds, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WallTime(SystemTime);

impl WallTime {
    pub(crate) fn now() -> Self {
        Self::from_system(SystemTime::now())
    }

    /// A board without a battery may be in 1970 or anywhere: what cannot be written is moved to where it can.
    fn from_system(time: SystemTime) -> Self {
        let last_of_year_9999 = Duration::from_secs(253_402_300_799);
        Self(time.clamp(
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH + last_of_year_9999,
        ))
    }

    /// Reads the one form that [`WallTime`] is written in.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        humantime::parse_rfc3339(text)
            .map(Self)
            .ok()
            .filter(|time| time.to_string() == text)
            .ok_or("a time is not like 2026-03-01T12:00:00Z")
    }

    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self::from_system(self.0 + time)
    }

    /// Whether it is over.
    pub(crate) fn is_over(self) -> bool {
        self.0 <= SystemTime::now()
    }

    /// Whether `other` is at least a day from this one, in either direction: clocks jump.
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

/// Parses every line of a file that is neither empty nor a comment, telling each its number.
pub(crate) fn parse_lines<T>(
    path: &Path,
    content: &[u8],
    mut parse: impl FnMut(&str, usize) -> Result<T, &'static str>,
) -> Result<Vec<T>, TrustError> {
    let problem = |line, problem| TrustError::Parse {
        path: path.to_owned(),
        line,
        problem,
    };
    let text = std::str::from_utf8(content).map_err(|error| {
        let good = content.get(..error.valid_up_to()).unwrap_or_default();
        problem(good.split(|&byte| byte == b'\n').count(), "it is not text")
    })?;
    // Nothing known is no file, or one of remarks. One of no bytes is what a power cut leaves on some file systems.
    if text.is_empty() {
        return Err(problem(
            1,
            "the file is empty, as if it was cut off (remove it if nothing should be in it)",
        ));
    }
    // Every line is written with its end; one without was cut off.
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(problem(
            text.split('\n').count(),
            "the last line is cut off",
        ));
    };
    let mut values = Vec::new();
    for (number, line) in (1..).zip(lines.split('\n')) {
        if line.chars().any(char::is_control) {
            return Err(problem(
                number,
                "there is a control character, such as a tab or the CR of a CR LF",
            ));
        }
        if !is_remark(line) {
            values.push(parse(line, number).map_err(|what| problem(number, what))?);
        }
    }
    Ok(values)
}

fn is_remark(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// The file with every entry as `rewrite` gives it, or without those for which it gives nothing. The rest stays to the byte.
///
/// `content` must have been parsed before, so it is text.
pub(crate) fn rewrite_lines(
    content: &[u8],
    mut rewrite: impl FnMut(&str) -> Option<Cow<'_, str>>,
) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let mut rewritten = String::with_capacity(text.len());
    for line in text.split_terminator('\n') {
        let line = if is_remark(line) {
            Some(Cow::Borrowed(line))
        } else {
            rewrite(line)
        };
        if let Some(line) = line {
            rewritten.push_str(&line);
            rewritten.push('\n');
        }
    }
    rewritten.into_bytes()
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
        parse_key(self.next()?).map(|key| PublicKey(*key))
    }

    /// `name=value`, for the name that is wanted.
    pub(crate) fn field(&mut self, name: &str) -> Result<&'a str, &'static str> {
        let word = self.next()?;
        word.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or("a field is missing or misplaced")
    }

    /// The fields that are left: those of later versions are kept as they are. `before` are the names that have their place.
    pub(crate) fn rest(self, before: &[&str]) -> Result<Vec<(&'a str, &'a str)>, &'static str> {
        self.0
            .map(|word| match word.split_once('=') {
                Some((name, _)) if before.contains(&name) => Err("a field stands there twice"),
                Some((name, value)) if is_field_name(name) => Ok((name, value)),
                _ => Err("there is something after the end"),
            })
            .collect()
    }

    /// All that is left, as text.
    pub(crate) fn text(self) -> String {
        self.0.collect::<Vec<&str>>().join(" ")
    }
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// A number as it is written: digits, no sign, no zeros before it.
pub(crate) fn parse_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

const KEY_BYTES: usize = 32;
/// Of the base64 of a key, with its one padding character.
const KEY_TEXT_BYTES: usize = 44;

/// The key may be a private one: no copy of it is left behind.
pub(crate) fn parse_key(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, &'static str> {
    if text.len() != KEY_TEXT_BYTES {
        return Err("a key has not 44 characters of base64");
    }
    // Three bytes for every four characters, padding included.
    let mut bytes = Zeroizing::new([0; KEY_TEXT_BYTES / 4 * 3]);
    match BASE64.decode_mut(text.as_bytes(), bytes.as_mut_slice()) {
        Ok(KEY_BYTES) => {}
        Ok(_) => return Err("a key has not 32 bytes"),
        Err(_) => return Err("a key is not base64"),
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.iter_mut()
        .zip(bytes.iter())
        .for_each(|(to, from)| *to = *from);
    Ok(key)
}

/// The base64 of a key, wiped when it is dropped.
pub(crate) fn format_secret(key: &[u8; KEY_BYTES]) -> Zeroizing<[u8; KEY_TEXT_BYTES]> {
    let mut text = Zeroizing::new([0; KEY_TEXT_BYTES]);
    BASE64.encode_mut(key, text.as_mut_slice());
    text
}

pub(crate) fn format_key(key: &PublicKey) -> String {
    BASE64.encode(&key.0)
}

/// Adds a word to the end of a line that has some.
pub(crate) fn push_word(line: &mut String, word: &str) {
    line.push(' ');
    line.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_or_after_9999_is_still_written() {
        let century = Duration::from_secs(100 * 366 * 86_400);
        let times = [
            (SystemTime::UNIX_EPOCH - century, "1970-01-01T00:00:00Z"),
            (
                SystemTime::UNIX_EPOCH + century * 100,
                "9999-12-31T23:59:59Z",
            ),
        ];
        for (time, text) in times {
            assert_eq!(WallTime::from_system(time).to_string(), text);
            assert!(WallTime::parse(text).is_ok());
        }
    }

    #[test]
    fn times_have_one_form() {
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:00.5Z",
            "2026-03-01T12:00:00+00:00",
            "2026-03-01T12:00:60Z",
            "2026-02-30T12:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(WallTime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_is_noticed_when_the_clock_was_set_back_too() {
        let time = |text| WallTime::parse(text).unwrap();
        let today = time("2026-03-02T12:00:00Z");
        assert!(!today.is_another_day(time("2026-03-02T00:00:00Z")));
        assert!(today.is_another_day(time("2026-03-01T12:00:00Z")));
        assert!(today.is_another_day(time("2026-03-03T12:00:00Z")));
    }

    #[test]
    fn keys_have_one_form() {
        let good = BASE64.encode(&[7; 32]);
        assert_eq!(*parse_key(&good).unwrap(), [7; 32]);
        for text in [
            "".to_owned(),
            BASE64.encode(&[7; 31]),
            BASE64.encode(&[7; 33]),
            good.replace('=', ""),
            good.replace('=', "A"),
            good.replace("c=", "d="),
            good.replace("BwcH", "Bw H"),
            good.replace("BwcH", "Bw\u{e9}"),
        ] {
            assert!(parse_key(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(parse_number::<u16>("1337"), Some(1337));
        for text in ["", "0", "01337", "+1", "-1", "65536", "1 ", "\u{661}"] {
            assert_eq!(parse_number::<u16>(text), None, "{text}");
        }
    }

    #[test]
    fn rewriting_leaves_remarks_and_other_lines_as_they_are() {
        let content = b"# mine\n\none\ntwo\n# end\n";
        let without_one = rewrite_lines(content, |line| (line != "one").then_some(line.into()));
        assert_eq!(without_one, b"# mine\n\ntwo\n# end\n");
        let changed = rewrite_lines(content, |line| {
            Some(if line == "two" {
                "2".into()
            } else {
                line.into()
            })
        });
        assert_eq!(changed, b"# mine\n\none\n2\n# end\n");
        assert_eq!(rewrite_lines(b"one\n", |_| None), b"");
    }
}
