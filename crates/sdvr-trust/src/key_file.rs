//! Private keys and the files they are in.
//!
//! ```text
//! sdvr-private-key 1
//! x25519 <base64 of 32 bytes>
//! created 2026-03-01T12:00:00Z
//! ```
//!
//! Exactly these three lines, each with its end. The number is the version of the format. The key that a server had before says
//! more, in version 2: `old_server_key.rs`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rand_core::CryptoRng;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sdvr_frame::PublicKey;
use zeroize::Zeroizing;

use crate::error::TrustError;
use crate::lines::{WallTime, format_secret, parse_key};
use crate::store::{KeyDirectory, io_error};

pub(crate) const SERVER_KEY: &str = "server.key";
const FIRST_LINE: &str = "sdvr-private-key 1";
/// A whole key file has 100 bytes, and one of version 2 has 189.
const KEY_FILE_MOST_BYTES: usize = 256;

/// A private X25519 key; wiped when it is dropped, never printed.
///
/// ```
/// use sdvr_trust::SecretKey;
///
/// let key = SecretKey::generate()?;
/// assert_eq!(format!("{key:?}"), "SecretKey");
/// assert!(key.public_key().fingerprint().to_string().starts_with("SHA256:"));
/// # Ok::<(), sdvr_trust::TrustError>(())
/// ```
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A new key from the system's randomness. Waits for it where the system has just started.
    ///
    /// # Errors
    ///
    /// [`TrustError::Random`] when the system has none.
    pub fn generate() -> Result<Self, TrustError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match getrandom(rest, GetRandomFlags::empty()) {
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(TrustError::Random(error.into())),
            }
        }
        Ok(Self(bytes))
    }

    /// A new key from a generator of your own.
    #[must_use]
    pub fn generate_from<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The identity that goes with it.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// The key itself, for the handshake and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretKey")
    }
}

impl KeyDirectory {
    /// This host's key as a server, made when it is asked for first.
    ///
    /// # Errors
    ///
    /// [`TrustError`]. A damaged file is refused and never replaced.
    pub fn server_key(&self) -> Result<SecretKey, TrustError> {
        Ok(self.load_or_create(SERVER_KEY)?.0)
    }

    /// The server's key, if it was made.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn existing_server_key(&self) -> Result<Option<SecretKey>, TrustError> {
        Ok(self.load(SERVER_KEY)?.map(|(key, _)| key))
    }

    pub(crate) fn load(&self, name: &str) -> Result<Option<(SecretKey, File)>, TrustError> {
        Ok(self.load_dated(name)?.map(|(key, _, file)| (key, file)))
    }

    /// A key, when it was made, and its open file.
    pub(crate) fn load_dated(
        &self,
        name: &str,
    ) -> Result<Option<(SecretKey, WallTime, File)>, TrustError> {
        let loaded = self.load_with(name, parse_dated)?;
        Ok(loaded.map(|((key, created), file)| (key, created, file)))
    }

    /// What `parse` makes of a file of a private key, and the open file.
    pub(crate) fn load_with<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&Path, &[u8]) -> Result<T, TrustError>,
    ) -> Result<Option<(T, File)>, TrustError> {
        let Some((mut file, _)) = self.open_file(name)? else {
            return Ok(None);
        };
        let path = self.file_path(name);
        let mut content = Zeroizing::new([0; KEY_FILE_MOST_BYTES]);
        let bytes = read_up_to(&mut file, content.as_mut_slice()).map_err(|error| {
            let (action, path) = ("read", path.clone());
            TrustError::Io {
                action,
                path,
                error,
            }
        })?;
        let parsed = parse(&path, content.get(..bytes).unwrap_or_default())?;
        Ok(Some((parsed, file)))
    }

    pub(crate) fn load_or_create(&self, name: &str) -> Result<(SecretKey, File), TrustError> {
        if let Some(loaded) = self.load(name)? {
            return Ok(loaded);
        }
        let lock = self.lock()?;
        // It is made only if no other process was faster, and used only as it can be read back.
        self.create_new(&lock, name, &format_key_file(&SecretKey::generate()?))?;
        self.load(name)?
            .ok_or_else(|| io_error("open", &self.file_path(name), Errno::NOENT))
    }
}

/// Fills `buffer` as far as the file goes. Unlike `read_to_end`, leaves no copies of a key in memory that was given back.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn format_key_file(key: &SecretKey) -> Zeroizing<Vec<u8>> {
    format_lines(FIRST_LINE, key, "")
}

/// A file of a private key; `rest` are the lines after those that all such files have, each with its end.
pub(crate) fn format_lines(first: &str, key: &SecretKey, rest: &str) -> Zeroizing<Vec<u8>> {
    let created = WallTime::now().to_string();
    let encoded = format_secret(key.expose());
    let parts: [&[u8]; 7] = [
        first.as_bytes(),
        b"\nx25519 ",
        encoded.as_slice(),
        b"\ncreated ",
        created.as_bytes(),
        b"\n",
        rest.as_bytes(),
    ];
    // With room for all of it: one that grew would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_MOST_BYTES));
    parts
        .iter()
        .for_each(|part| content.extend_from_slice(part));
    content
}

/// Parses a key file.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_key_file(path: &Path, content: &[u8]) -> Result<SecretKey, TrustError> {
    parse_dated(path, content).map(|(key, _)| key)
}

pub(crate) fn parse_dated(
    path: &Path,
    content: &[u8],
) -> Result<(SecretKey, WallTime), TrustError> {
    let mut lines = KeyLines::new(path, content)?;
    lines.first(FIRST_LINE)?;
    let key = lines.key()?;
    let created = lines.time("created ")?;
    lines.end()?;
    Ok((key, created))
}

/// The lines of a file of a private key, from the first to the last: what is missing or too much is an error with its number.
pub(crate) struct KeyLines<'a> {
    path: &'a Path,
    lines: std::str::Split<'a, char>,
    /// Of the line that was taken last, from 1.
    number: usize,
}

impl<'a> KeyLines<'a> {
    pub(crate) fn new(path: &'a Path, content: &'a [u8]) -> Result<Self, TrustError> {
        let whole = |text| Self {
            path,
            lines: str::split(text, '\n'),
            number: 1,
        };
        std::str::from_utf8(content)
            .map(whole)
            .map_err(|_| whole("").problem("it is not a private key of SDVR"))
    }

    /// The line that says what the file is.
    pub(crate) fn first(&mut self, wanted: &str) -> Result<(), TrustError> {
        if self.lines.next() == Some(wanted) {
            return Ok(());
        }
        Err(self
            .problem("it is not a private key of SDVR of a version known here, or it was cut off"))
    }

    pub(crate) fn key(&mut self) -> Result<SecretKey, TrustError> {
        let key = self.value("x25519 ", "the key is missing, as if the file was cut off")?;
        let key = parse_key(key).map_err(|what| self.problem(what))?;
        Ok(SecretKey(key))
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<WallTime, TrustError> {
        let time = self.value(name, "a time is missing, as if the file was cut off")?;
        WallTime::parse(time).map_err(|what| self.problem(what))
    }

    pub(crate) fn public_key(&mut self, name: &str) -> Result<PublicKey, TrustError> {
        let key = self.value(name, "a key is missing, as if the file was cut off")?;
        let key = parse_key(key).map_err(|what| self.problem(what))?;
        Ok(PublicKey(*key))
    }

    pub(crate) fn end(mut self) -> Result<(), TrustError> {
        match (self.lines.next(), self.lines.next()) {
            (Some(""), None) => Ok(()),
            (None, _) => Err(self.problem("the last line is cut off")),
            _ => {
                self.number += 1;
                Err(self.problem("there is something after the end"))
            }
        }
    }

    fn value(&mut self, name: &str, missing: &'static str) -> Result<&'a str, TrustError> {
        self.number += 1;
        self.lines
            .next()
            .and_then(|line| line.strip_prefix(name))
            .ok_or_else(|| self.problem(missing))
    }

    fn problem(&self, problem: &'static str) -> TrustError {
        TrustError::Parse {
            path: self.path.to_owned(),
            line: self.number,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_as_documented_and_reads_back() {
        let key = SecretKey(Zeroizing::new([9; 32]));
        let content = format_key_file(&key);
        let text = std::str::from_utf8(&content).unwrap();
        let start =
            "sdvr-private-key 1\nx25519 CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\ncreated 2";
        assert!(text.starts_with(start) && text.ends_with("Z\n"), "{text}");
        let read = parse_key_file(Path::new("x"), &content).unwrap();
        assert_eq!(read.expose(), key.expose());
    }
    /// Gives bytes that can be told.
    struct Counting(u8);

    impl rand_core::TryRng for Counting {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            for byte in bytes {
                self.0 += 1;
                *byte = self.0;
            }
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Counting {}

    #[test]
    fn a_key_is_all_of_what_the_generator_gives() {
        let key = SecretKey::generate_from(&mut Counting(0));
        let expected: Vec<u8> = (1..=32).collect();
        assert_eq!(key.expose().as_slice(), expected);
    }
}
