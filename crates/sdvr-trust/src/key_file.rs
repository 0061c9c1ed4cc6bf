//! Private keys and the files they are in.
//!
//! ```text
//! sdvr-private-key 1
//! x25519 <base64 of 32 bytes>
//! created 2026-03-01T12:00:00Z
//! ```
//!
//! Exactly these three lines, each with its end. The number is the version of the format.

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
/// A whole key file has 100 bytes.
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
        let (key, created) = parse_dated(&path, content.get(..bytes).unwrap_or_default())?;
        Ok(Some((key, created, file)))
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
    let created = WallTime::now().to_string();
    let encoded = format_secret(key.expose());
    let parts: [&[u8]; 6] = [
        FIRST_LINE.as_bytes(),
        b"\nx25519 ",
        encoded.as_slice(),
        b"\ncreated ",
        created.as_bytes(),
        b"\n",
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

fn parse_dated(path: &Path, content: &[u8]) -> Result<(SecretKey, WallTime), TrustError> {
    let problem = |line, problem| TrustError::Parse {
        path: path.to_owned(),
        line,
        problem,
    };
    let text =
        std::str::from_utf8(content).map_err(|_| problem(1, "it is not a private key of SDVR"))?;
    let mut lines = text.split('\n');
    if lines.next() != Some(FIRST_LINE) {
        return Err(problem(
            1,
            "it is not a private key of SDVR (version 1), or it was cut off",
        ));
    }
    let key = lines
        .next()
        .and_then(|line| line.strip_prefix("x25519 "))
        .ok_or_else(|| problem(2, "the key is missing, as if the file was cut off"))?;
    let key = parse_key(key).map_err(|what| problem(2, what))?;
    let created = lines
        .next()
        .and_then(|line| line.strip_prefix("created "))
        .ok_or_else(|| problem(3, "the time is missing, as if the file was cut off"))?;
    let created = WallTime::parse(created).map_err(|what| problem(3, what))?;
    match (lines.next(), lines.next()) {
        (Some(""), None) => Ok((SecretKey(key), created)),
        (None, _) => Err(problem(3, "the last line is cut off")),
        _ => Err(problem(4, "there is something after the end")),
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
