//! What a client remembers of servers, by the address the user typed.
//!
//! ```text
//! [host]:port x25519 <base64> first=<time> last=<time> ver=2 [next=<base64>] [told=<base64>,...]
//! ```
//!
//! `ver` is the highest protocol version that the server spoke. `next` is a key that it has announced in a session; it takes
//! the place of the key when a handshake has proved it. `told` are the keys of this host's cameras of which the server has said
//! that it has them: keys that took the place of others.

use std::path::Path;

use sdvr_frame::{Fingerprint, PublicKey};

use crate::address::check_address;
use crate::error::TrustError;
use crate::lines::{
    WallTime, Words, format_key, parse_key, parse_lines, parse_number, push_word, rewrite_lines,
};
use crate::mismatch::{Expected, Mismatch};
use crate::revoked;
use crate::store::KeyDirectory;

const FILE: &str = "known_servers";

/// A remembered server.
#[derive(Clone, Debug)]
pub struct KnownServer {
    /// `[host]:port` as typed, in lower case, or `eth:mac`.
    pub address: String,
    /// Its key.
    pub key: PublicKey,
    first: WallTime,
    last: WallTime,
    version: u8,
    next: Option<PublicKey>,
    told: Vec<PublicKey>,
    /// Fields that decide nothing here, `name=value`.
    rest: Vec<String>,
    line: usize,
}

impl KnownServer {
    /// When it was seen first, as in the file.
    #[must_use]
    pub fn first_seen(&self) -> String {
        self.first.to_string()
    }

    /// About when it was seen last: at most a day off.
    #[must_use]
    pub fn last_seen(&self) -> String {
        self.last.to_string()
    }

    /// The highest protocol version that it spoke.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Where it stands in the file, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }
}

/// What to do about the key a server offers.
#[derive(Debug)]
pub enum ServerDecision {
    /// It is the one that is remembered.
    Known,
    /// Nothing is remembered for this address: go on, and pin the key when the handshake has proved it.
    FirstContact,
    /// Another one is expected: send nothing.
    Mismatch(Mismatch),
    /// The server speaks an older protocol than it did before: send nothing.
    OlderVersion {
        /// What it spoke before.
        known: u8,
    },
}

/// The servers a client remembers. Read anew for each decision: a user may have changed the file.
///
/// ```
/// use sdvr_trust::{KeyDirectory, KnownServers, SecretKey, ServerDecision};
///
/// # let home = tempfile::tempdir()?;
/// # let keys = KeyDirectory::open(&home.path().join(".sdvr"))?;
/// let servers = KnownServers::new(&keys);
/// let offered = SecretKey::generate()?.public_key();
/// let decision = servers.decide("[nvr.lan]:1337", &offered, 2, None)?;
/// assert!(matches!(decision, ServerDecision::FirstContact));
///
/// // The handshake has proved the key: now it is pinned, and no other is ever accepted.
/// servers.remember("[nvr.lan]:1337", &offered, 2)?;
/// let other = SecretKey::generate()?.public_key();
/// let decision = servers.decide("[nvr.lan]:1337", &other, 2, None)?;
/// assert!(matches!(decision, ServerDecision::Mismatch(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KnownServers<'a> {
    directory: &'a KeyDirectory,
}

impl<'a> KnownServers<'a> {
    /// The servers remembered in `directory`.
    #[must_use]
    pub const fn new(directory: &'a KeyDirectory) -> Self {
        Self { directory }
    }

    /// All of them, in the order of the file.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: then nothing is known, not even that nothing is.
    pub fn list(&self) -> Result<Vec<KnownServer>, TrustError> {
        Ok(self.read()?.1)
    }

    /// The key remembered for an address.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn pin(&self, address: &str) -> Result<Option<PublicKey>, TrustError> {
        checked(address)?;
        Ok(self.find(address)?.map(|server| server.key))
    }

    /// The key to ask the server at an address for: the one that it has announced, else the one that is remembered.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn expected_key(&self, address: &str) -> Result<Option<PublicKey>, TrustError> {
        checked(address)?;
        let known = self.find(address)?;
        Ok(known.map(|server| server.next.unwrap_or(server.key)))
    }

    /// Remembers that the server at `address`, in a session in which it has proved `key`, has announced `next`. On disk when
    /// this returns; false when nothing had to be changed, also when another key is remembered meanwhile.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn announce(
        &self,
        address: &str,
        key: &PublicKey,
        next: &PublicKey,
    ) -> Result<bool, TrustError> {
        checked(address)?;
        let lock = self.directory.lock()?;
        let (content, servers) = self.read()?;
        let known = servers.into_iter().find(|it| it.address == address);
        let Some(mut known) = known.filter(|known| {
            known.key == *key && known.key != *next && known.next.as_ref() != Some(next)
        }) else {
            return Ok(false);
        };
        known.next = Some(*next);
        let changed = with_line(&content.unwrap_or_default(), &known);
        self.directory.replace(&lock, FILE, &changed)?;
        Ok(true)
    }

    /// Whether the server at `address` is known and has not said that it has this key of a camera.
    pub(crate) fn lacks(&self, address: &str, camera: &PublicKey) -> Result<bool, TrustError> {
        let known = self.find(address)?;
        Ok(known.is_some_and(|known| !known.told.contains(camera)))
    }

    /// Remembers that the server at `address` has the key of a camera, in the place of the one that it had before. On disk when
    /// this returns; false when there was nothing to change.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn note_told(
        &self,
        address: &str,
        camera: &PublicKey,
        old: Option<&PublicKey>,
    ) -> Result<bool, TrustError> {
        if !self.lacks(address, camera)? {
            return Ok(false);
        }
        let lock = self.directory.lock()?;
        let (content, servers) = self.read()?;
        let known = servers.into_iter().find(|it| it.address == address);
        let Some(mut known) = known.filter(|known| !known.told.contains(camera)) else {
            return Ok(false);
        };
        known.told.retain(|told| Some(told) != old);
        known.told.push(*camera);
        let changed = with_line(&content.unwrap_or_default(), &known);
        self.directory.replace(&lock, FILE, &changed)?;
        Ok(true)
    }

    /// Decides on the key that the server at `address` offers, before anything is sealed to it. `given` is what the user gave
    /// with `--server-key`: the key must be that one *and* the remembered one.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: connect to nobody. [`TrustError::Revoked`] when the key is revoked here.
    pub fn decide(
        &self,
        address: &str,
        offered: &PublicKey,
        version: u8,
        given: Option<Fingerprint>,
    ) -> Result<ServerDecision, TrustError> {
        checked(address)?;
        self.check_revoked(address, offered)?;
        let mismatch = |expected| {
            ServerDecision::Mismatch(Mismatch::new(address, expected, offered.fingerprint()))
        };
        if let Some(given) = given.filter(|given| *given != offered.fingerprint()) {
            return Ok(mismatch(Expected::Given(given)));
        }
        let Some(known) = self.find(address)? else {
            return Ok(ServerDecision::FirstContact);
        };
        if known.key != *offered && known.next.as_ref() != Some(offered) {
            return Ok(mismatch(Expected::Pinned {
                key: known.key.fingerprint(),
                first_seen: known.first_seen(),
                path: self.directory.file_path(FILE),
                line: known.line,
            }));
        }
        Ok(if version < known.version {
            ServerDecision::OlderVersion {
                known: known.version,
            }
        } else {
            ServerDecision::Known
        })
    }

    /// Remembers a key that the handshake has proved; on disk when this returns. For one that is known already, notes at
    /// most once a day that it was seen.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: go no further with this server. Also when another key was remembered meanwhile, which is never
    /// replaced.
    pub fn remember(&self, address: &str, key: &PublicKey, version: u8) -> Result<(), TrustError> {
        checked(address)?;
        let now = WallTime::now();
        let is_noted = self.find(address)?.is_some_and(|known| {
            known.key == *key && known.version >= version && !now.is_another_day(known.last)
        });
        if is_noted {
            return Ok(());
        }
        let lock = self.directory.lock()?;
        let (content, servers) = self.read()?;
        let content = content.unwrap_or_default();
        let changed = match servers.into_iter().find(|server| server.address == address) {
            Some(known) => with_line(&content, &self.seen_again(known, key, version, now)?),
            None => {
                let mut content = content;
                let server = KnownServer {
                    address: address.to_owned(),
                    key: *key,
                    first: now,
                    last: now,
                    version,
                    next: None,
                    told: Vec::new(),
                    rest: Vec::new(),
                    line: 0,
                };
                content.extend_from_slice(format_line(&server).as_bytes());
                content.push(b'\n');
                content
            }
        };
        self.directory.replace(&lock, FILE, &changed)?;
        Ok(())
    }

    fn seen_again(
        &self,
        mut known: KnownServer,
        key: &PublicKey,
        version: u8,
        now: WallTime,
    ) -> Result<KnownServer, TrustError> {
        if known.next.as_ref() == Some(key) {
            known.key = *key;
            known.next = None;
        }
        if known.key != *key {
            return Err(TrustError::OtherKey {
                address: known.address,
                path: self.directory.file_path(FILE),
                line: known.line,
            });
        }
        known.last = now;
        // Never lowered: `decide` refuses what is lower.
        known.version = known.version.max(version);
        Ok(known)
    }

    /// Forgets the server of exactly this address; false when there is none.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn forget(&self, address: &str) -> Result<bool, TrustError> {
        let lock = self.directory.lock()?;
        let (content, servers) = self.read()?;
        if !servers.iter().any(|server| server.address == address) {
            return Ok(false);
        }
        let kept = rewrite_lines(&content.unwrap_or_default(), |line| {
            (line.split(' ').next() != Some(address)).then_some(line.into())
        });
        self.directory.replace(&lock, FILE, &kept)?;
        Ok(true)
    }

    fn find(&self, address: &str) -> Result<Option<KnownServer>, TrustError> {
        let mut servers = self.list()?.into_iter();
        Ok(servers.find(|server| server.address == address))
    }

    fn read(&self) -> Result<(Option<Vec<u8>>, Vec<KnownServer>), TrustError> {
        let content = self.directory.read(FILE)?.content;
        let servers = match &content {
            Some(content) => parse_known_servers(&self.directory.file_path(FILE), content)?,
            None => Vec::new(),
        };
        Ok((content, servers))
    }

    fn check_revoked(&self, address: &str, offered: &PublicKey) -> Result<(), TrustError> {
        let path = self.directory.file_path(revoked::FILE);
        let Some(content) = self.directory.read(revoked::FILE)?.content else {
            return Ok(());
        };
        let mut revoked = revoked::parse_revoked(&path, &content)?.into_iter();
        match revoked.find(|(key, _)| key == offered) {
            Some((key, reason)) => Err(TrustError::Revoked {
                address: address.to_owned(),
                key: key.fingerprint(),
                path,
                reason,
            }),
            None => Ok(()),
        }
    }
}

/// What is not in the one form would not be found again, or would write more than one word to the file.
fn checked(address: &str) -> Result<(), TrustError> {
    check_address(address).map_err(|_| TrustError::Address {
        address: address.to_owned(),
    })
}

/// Parses `known_servers`.
///
/// # Errors
///
/// [`TrustError::Parse`] says what is wrong and where.
pub fn parse_known_servers(path: &Path, content: &[u8]) -> Result<Vec<KnownServer>, TrustError> {
    let mut seen = std::collections::HashSet::new();
    parse_lines(path, content, |line, number| {
        let server = parse_line(line, number)?;
        if seen.insert(server.address.clone()) {
            Ok(server)
        } else {
            Err("this server stands here twice")
        }
    })
}

fn parse_line(line: &str, number: usize) -> Result<KnownServer, &'static str> {
    let mut words = Words::new(line);
    let address = words.next()?;
    check_address(address)?;
    let key = words.key()?;
    let first = WallTime::parse(words.field("first")?)?;
    let last = WallTime::parse(words.field("last")?)?;
    let version = parse_number(words.field("ver")?).ok_or("the version is no number")?;
    let (mut next, mut told, mut rest) = (None, None, Vec::new());
    for (name, value) in words.rest(&["first", "last", "ver"])? {
        let is_first = match name {
            "next" => next.replace(PublicKey(*parse_key(value)?)).is_none(),
            "told" => told.replace(parse_keys(value)?).is_none(),
            _ => {
                rest.push(format!("{name}={value}"));
                true
            }
        };
        if !is_first {
            return Err("a field stands there twice");
        }
    }
    Ok(KnownServer {
        address: address.to_owned(),
        key,
        first,
        last,
        version,
        next,
        told: told.unwrap_or_default(),
        rest,
        line: number,
    })
}

fn parse_keys(text: &str) -> Result<Vec<PublicKey>, &'static str> {
    let keys = text.split(',').map(|key| Ok(PublicKey(*parse_key(key)?)));
    keys.collect()
}

/// The file with this line for the server.
fn with_line(content: &[u8], server: &KnownServer) -> Vec<u8> {
    let line = format_line(server);
    rewrite_lines(content, |old| {
        let is_it = old.split(' ').next() == Some(server.address.as_str());
        Some(if is_it {
            line.clone().into()
        } else {
            old.into()
        })
    })
}

fn format_line(server: &KnownServer) -> String {
    let KnownServer {
        address,
        key,
        first,
        last,
        version,
        next,
        told,
        rest,
        line: _,
    } = server;
    let key = format_key(key);
    let mut line = format!("{address} x25519 {key} first={first} last={last} ver={version}");
    if let Some(next) = next {
        push_word(&mut line, &format!("next={}", format_key(next)));
    }
    if !told.is_empty() {
        let told: Vec<String> = told.iter().map(format_key).collect();
        push_word(&mut line, &format!("told={}", told.join(",")));
    }
    rest.iter().for_each(|word| push_word(&mut line, word));
    line
}

/// What `parse_known_servers` was given, as far as it says something; for tests.
#[doc(hidden)]
#[must_use]
pub fn format_known_servers(servers: &[KnownServer]) -> String {
    let lines = servers.iter().map(|server| format_line(server) + "\n");
    lines.collect()
}
