//! Private keys and the files they are in.
//!
//! ```text
//! sdvr-private-key 1
//! x25519 <base64 of 32 bytes>
//! created 2026-03-01T12:00:00Z
//! ```

use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sdvr_frame::{Label, PublicKey};
use zeroize::Zeroizing;

use crate::error::TrustError;
use crate::lines::{WallTime, format_key, parse_key};
use crate::store::{KeyDirectory, io_error};

const SERVER_KEY: &str = "server.key";
const CAMERAS: &str = "cameras";

/// A private X25519 key; wiped when it is dropped, never printed.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    ///
    /// When the system has none.
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

/// A camera of this host: its label and its key, which no other process uses while this value lives.
#[derive(Debug)]
pub struct CameraIdentity {
    /// The label it asks for.
    pub label: Label,
    /// Its key.
    pub key: SecretKey,
    _lock: std::fs::File,
}

impl KeyDirectory {
    /// This host's key as a server, made when it is asked for first.
    ///
    /// # Errors
    ///
    /// [`TrustError`]. A damaged file is refused and never replaced.
    pub fn server_key(&self) -> Result<SecretKey, TrustError> {
        self.load_or_create(SERVER_KEY)
    }

    /// The server's key, if it was made.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn existing_server_key(&self) -> Result<Option<SecretKey>, TrustError> {
        self.load(SERVER_KEY)
    }

    /// The identity for a camera of this host. With `is_chosen` (the user gave the label) exactly that one; without, the
    /// first of `label`, `label-2`, … that no other process uses.
    ///
    /// # Errors
    ///
    /// [`TrustError::KeyInUse`] when the chosen one is used, and what the files say.
    pub fn camera_identity(
        &self,
        label: &Label,
        is_chosen: bool,
    ) -> Result<CameraIdentity, TrustError> {
        let cameras = self.subdirectory(CAMERAS)?;
        for number in 1_u32.. {
            let candidate = numbered(label, number);
            let name = format!("{candidate}.key");
            let key = cameras.load_or_create(&name)?;
            let path = cameras.file_path(&name);
            let file = cameras
                .open_file(&name)?
                .ok_or_else(|| io_error("open", &path, Errno::NOENT))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    return Ok(CameraIdentity {
                        label: candidate,
                        key,
                        _lock: file,
                    });
                }
                Err(Errno::WOULDBLOCK) if is_chosen => {
                    return Err(TrustError::KeyInUse {
                        label: candidate.to_string(),
                        path,
                    });
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(io_error("lock", &path, error)),
            }
        }
        Err(TrustError::KeyInUse {
            label: label.to_string(),
            path: cameras.path().to_owned(),
        })
    }

    /// The public keys of this host's cameras, by label.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn camera_keys(&self) -> Result<Vec<(String, PublicKey)>, TrustError> {
        let cameras = self.subdirectory(CAMERAS)?;
        let mut keys = Vec::new();
        for name in cameras.file_names()? {
            // Other files are not ours to judge.
            let Some(label) = name.strip_suffix(".key") else {
                continue;
            };
            if let Some(key) = cameras.load(&name)? {
                keys.push((label.to_owned(), key.public_key()));
            }
        }
        Ok(keys)
    }

    fn load(&self, name: &str) -> Result<Option<SecretKey>, TrustError> {
        match self.read(name)? {
            Some(content) => {
                parse_key_file(&self.file_path(name), &Zeroizing::new(content)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn load_or_create(&self, name: &str) -> Result<SecretKey, TrustError> {
        if let Some(key) = self.load(name)? {
            return Ok(key);
        }
        let lock = self.lock()?;
        let key = SecretKey::generate()?;
        let content = Zeroizing::new(format!(
            "sdvr-private-key 1\nx25519 {}\ncreated {}\n",
            format_key(key.expose()),
            WallTime::now()
        ));
        if self.create_new(&lock, name, content.as_bytes())? {
            return Ok(key);
        }
        // Another process was faster.
        self.load(name)?
            .ok_or_else(|| io_error("open", &self.file_path(name), Errno::NOENT))
    }
}

/// `label`, or `label-2` and so on, cut so that it stays a label.
fn numbered(label: &Label, number: u32) -> Label {
    if number == 1 {
        return label.clone();
    }
    let suffix = format!("-{number}");
    let kept = label
        .as_str()
        .get(..Label::MAX_BYTES - suffix.len())
        .unwrap_or_else(|| label.as_str());
    let text = format!("{kept}{suffix}");
    text.parse().unwrap_or_else(|_| Label::from_lossy(&text))
}

/// Parses a key file.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_key_file(path: &Path, content: &[u8]) -> Result<SecretKey, TrustError> {
    let problem = |line, problem| TrustError::Parse {
        path: path.to_owned(),
        line,
        problem,
    };
    let text =
        std::str::from_utf8(content).map_err(|_| problem(1, "it is not a private key of SDVR"))?;
    let mut lines = text.split('\n');
    if lines.next() != Some("sdvr-private-key 1") {
        return Err(problem(
            1,
            "it is not a private key of SDVR (version 1), or it was cut off",
        ));
    }
    let key = lines
        .next()
        .and_then(|line| line.strip_prefix("x25519 "))
        .ok_or_else(|| problem(2, "the key is missing, as if the file was cut off"))?;
    let key = Zeroizing::new(parse_key(key).map_err(|what| problem(2, what))?);
    let created = lines
        .next()
        .and_then(|line| line.strip_prefix("created "))
        .ok_or_else(|| problem(3, "the time is missing, as if the file was cut off"))?;
    WallTime::parse(created).map_err(|what| problem(3, what))?;
    match (lines.next(), lines.next()) {
        (Some(""), None) => Ok(SecretKey(key)),
        (None, _) => Err(problem(3, "the last line is cut off")),
        _ => Err(problem(4, "there is something after the end")),
    }
}
