//! The refusal of a server whose key is not the expected one, as people see it.

use std::fmt;
use std::path::{Path, PathBuf};

use sdvr_frame::Fingerprint;

/// A server's key is not the one expected. Its text is for the user, and says what to do.
#[derive(Clone, Debug)]
pub struct Mismatch {
    address: String,
    expected: Expected,
    offered: Fingerprint,
}

/// Where the expectation comes from.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// It is remembered.
    Pinned {
        key: Fingerprint,
        first_seen: String,
        path: PathBuf,
        line: usize,
    },
    /// The user gave it with `--server-key`.
    Given(Fingerprint),
}

impl Mismatch {
    pub(crate) fn new(address: &str, expected: Expected, offered: Fingerprint) -> Self {
        Self {
            address: address.to_owned(),
            expected,
            offered,
        }
    }

    /// The key that was expected.
    #[must_use]
    pub const fn expected(&self) -> Fingerprint {
        match &self.expected {
            Expected::Pinned { key, .. } | Expected::Given(key) => *key,
        }
    }

    /// The key that was offered.
    #[must_use]
    pub const fn offered(&self) -> Fingerprint {
        self.offered
    }

    fn write(&self, to: &mut fmt::Formatter<'_>, home: Option<&Path>) -> fmt::Result {
        let Self {
            address,
            expected,
            offered,
        } = self;
        writeln!(
            to,
            "@@@ SDVR: THE SERVER AT {address} HAS A DIFFERENT KEY @@@"
        )?;
        match expected {
            Expected::Pinned {
                key,
                first_seen,
                path,
                line,
            } => {
                let day = first_seen.split('T').next().unwrap_or(first_seen);
                let path = short_path(path, home);
                writeln!(to, "Expected {key}  (first seen {day}, {path}:{line})")?;
            }
            Expected::Given(key) => writeln!(to, "Expected {key}  (given with --server-key)")?,
        }
        writeln!(to, "Offered  {offered}")?;
        writeln!(
            to,
            "Someone may be intercepting this camera, or the server was reinstalled."
        )?;
        writeln!(to, "Nothing was sent. No video will flow until you act:")?;
        writeln!(
            to,
            "  on the server:  sdvr keys fingerprint        (compare with \"Offered\")"
        )?;
        match expected {
            Expected::Pinned { .. } => write!(to, "  if it matches:  sdvr keys forget {address}"),
            Expected::Given(_) => write!(
                to,
                "  if it matches:  give that fingerprint with --server-key"
            ),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        self.write(formatter, home.as_deref())
    }
}

/// A path with the home directory as `~`, as people write it.
fn short_path(path: &Path, home: Option<&Path>) -> String {
    let home = home.filter(|home| home.as_os_str().len() > 1);
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use sdvr_frame::PublicKey;

    use super::*;

    struct AtHome<'a>(&'a Mismatch);

    impl fmt::Display for AtHome<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(formatter, Some(Path::new("/home/me")))
        }
    }

    #[track_caller]
    fn check(expected: Expected, text: &str) {
        let offered = PublicKey([1; 32]).fingerprint();
        let mismatch = Mismatch::new("[nvr.lan]:1337", expected, offered);
        assert_eq!(AtHome(&mismatch).to_string(), text);
    }

    #[test]
    fn the_refusal_is_the_frozen_one() {
        check(
            Expected::Pinned {
                key: PublicKey([0; 32]).fingerprint(),
                first_seen: "2026-03-01T12:00:00Z".to_owned(),
                path: PathBuf::from("/home/me/.sdvr/known_servers"),
                line: 4,
            },
            r#"@@@ SDVR: THE SERVER AT [nvr.lan]:1337 HAS A DIFFERENT KEY @@@
Expected SHA256:88ZSxTmIUPXVa8DxMzuhwJMMwAU9jWJn/4gbx2mJ8Dk  (first seen 2026-03-01, ~/.sdvr/known_servers:4)
Offered  SHA256:CSZQPbOkOuwuXUxtpNC5cNO8TJVKhQYta261l6ZH0Dk
Someone may be intercepting this camera, or the server was reinstalled.
Nothing was sent. No video will flow until you act:
  on the server:  sdvr keys fingerprint        (compare with "Offered")
  if it matches:  sdvr keys forget [nvr.lan]:1337"#,
        );
    }

    #[test]
    fn the_refusal_of_a_given_key_is_the_frozen_one() {
        check(
            Expected::Given(PublicKey([0; 32]).fingerprint()),
            r#"@@@ SDVR: THE SERVER AT [nvr.lan]:1337 HAS A DIFFERENT KEY @@@
Expected SHA256:88ZSxTmIUPXVa8DxMzuhwJMMwAU9jWJn/4gbx2mJ8Dk  (given with --server-key)
Offered  SHA256:CSZQPbOkOuwuXUxtpNC5cNO8TJVKhQYta261l6ZH0Dk
Someone may be intercepting this camera, or the server was reinstalled.
Nothing was sent. No video will flow until you act:
  on the server:  sdvr keys fingerprint        (compare with "Offered")
  if it matches:  give that fingerprint with --server-key"#,
        );
    }

    #[test]
    fn only_a_path_below_home_is_shortened() {
        let short = |path, home: Option<&str>| short_path(Path::new(path), home.map(Path::new));
        assert_eq!(short("/home/me/.sdvr/x", Some("/home/me/")), "~/.sdvr/x");
        assert_eq!(
            short("/home/meg/.sdvr/x", Some("/home/me")),
            "/home/meg/.sdvr/x"
        );
        assert_eq!(short("/etc/x", Some("/")), "/etc/x");
        assert_eq!(short("/etc/x", Some("")), "/etc/x");
        assert_eq!(short("/etc/x", None), "/etc/x");
    }
}
