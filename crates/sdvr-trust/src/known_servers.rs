//! What a client remembers of servers, by the address the user typed.
//!
//! ```text
//! [host]:port x25519 <base64> first=<time> last=<time> ver=2
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use sdvr_frame::{Fingerprint, PublicKey};

use crate::error::TrustError;
use crate::lines::{WallTime, Words, format_key, parse_lines};
use crate::store::KeyDirectory;

const FILE: &str = "known_servers";

/// A remembered server.
#[derive(Clone, Debug)]
pub struct KnownServer {
    /// `[host]:port` as typed, in lower case.
    pub address: String,
    /// Its key.
    pub key: PublicKey,
    first: WallTime,
    last: WallTime,
    version: u8,
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

/// A server's key is not the one expected. Its text is for the user.
#[derive(Clone, Debug)]
pub struct Mismatch {
    address: String,
    expected: Expected,
    offered: Fingerprint,
}

#[derive(Clone, Debug)]
enum Expected {
    Pinned {
        key: Fingerprint,
        first_seen: String,
        path: PathBuf,
        line: usize,
    },
    Given(Fingerprint),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address,
            expected,
            offered,
        } = self;
        writeln!(
            formatter,
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
                writeln!(
                    formatter,
                    "Expected {key}  (first seen {day}, {}:{line})",
                    short_path(path)
                )?;
            }
            Expected::Given(key) => {
                writeln!(formatter, "Expected {key}  (given with --server-key)")?
            }
        }
        writeln!(formatter, "Offered  {offered}")?;
        writeln!(
            formatter,
            "Someone may be intercepting this camera, or the server was reinstalled."
        )?;
        writeln!(
            formatter,
            "Nothing was sent. No video will flow until you act:"
        )?;
        writeln!(
            formatter,
            "  on the server:  sdvr keys fingerprint        (compare with \"Offered\")"
        )?;
        match expected {
            Expected::Pinned { .. } => {
                write!(formatter, "  if it matches:  sdvr keys forget {address}")
            }
            Expected::Given(_) => write!(
                formatter,
                "  if it matches:  give that fingerprint with --server-key"
            ),
        }
    }
}

/// A path with the home directory as `~`, as people write it.
fn short_path(path: &Path) -> String {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.as_os_str().len() > 1);
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// The servers a client remembers. Read anew for each decision: a user may have changed the file.
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
        match self.directory.read(FILE)? {
            Some(content) => parse_known_servers(&self.directory.file_path(FILE), &content),
            None => Ok(Vec::new()),
        }
    }

    /// The key remembered for an address.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn pin(&self, address: &str) -> Result<Option<PublicKey>, TrustError> {
        Ok(self
            .list()?
            .into_iter()
            .find(|server| server.address == address)
            .map(|server| server.key))
    }

    /// Decides on the key that the server at `address` offers. `given` is what the user gave with `--server-key`.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: connect to nobody.
    pub fn decide(
        &self,
        address: &str,
        offered: &PublicKey,
        version: u8,
        given: Option<Fingerprint>,
    ) -> Result<ServerDecision, TrustError> {
        let mismatch = |expected| {
            ServerDecision::Mismatch(Mismatch {
                address: address.to_owned(),
                expected,
                offered: offered.fingerprint(),
            })
        };
        if let Some(given) = given.filter(|given| *given != offered.fingerprint()) {
            return Ok(mismatch(Expected::Given(given)));
        }
        let Some(known) = self
            .list()?
            .into_iter()
            .find(|server| server.address == address)
        else {
            return Ok(ServerDecision::FirstContact);
        };
        if known.key != *offered {
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
    /// [`TrustError`]. Also when another key was remembered meanwhile, which is never replaced.
    pub fn remember(&self, address: &str, key: &PublicKey, version: u8) -> Result<(), TrustError> {
        if !is_address(address) {
            return Err(TrustError::Address {
                address: address.to_owned(),
            });
        }
        let now = WallTime::now();
        let known = self
            .list()?
            .into_iter()
            .find(|server| server.address == address);
        if known.is_some_and(|known| {
            known.key == *key && known.version >= version && !now.is_another_day(known.last)
        }) {
            return Ok(());
        }
        let lock = self.directory.lock()?;
        let mut servers = self.list()?;
        match servers.iter_mut().find(|server| server.address == address) {
            Some(known) if known.key == *key => {
                known.last = now;
                known.version = known.version.max(version);
            }
            Some(known) => {
                return Err(TrustError::OtherKey {
                    address: address.to_owned(),
                    path: self.directory.file_path(FILE),
                    line: known.line,
                });
            }
            None => servers.push(KnownServer {
                address: address.to_owned(),
                key: *key,
                first: now,
                last: now,
                version,
                rest: Vec::new(),
                line: 0,
            }),
        }
        self.directory
            .replace(&lock, FILE, format_known_servers(&servers).as_bytes())
    }

    /// Forgets a server; false when there is none of that address.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn forget(&self, address: &str) -> Result<bool, TrustError> {
        let lock = self.directory.lock()?;
        let mut servers = self.list()?;
        let before = servers.len();
        servers.retain(|server| server.address != address);
        if servers.len() == before {
            return Ok(false);
        }
        self.directory
            .replace(&lock, FILE, format_known_servers(&servers).as_bytes())?;
        Ok(true)
    }
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

/// `[host]:port`, and one word.
fn is_address(text: &str) -> bool {
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !text.contains(|character: char| character.is_whitespace() || character.is_control())
        && text.strip_prefix('[').is_some_and(|rest| {
            rest.split_once("]:")
                .is_some_and(|(host, port)| !host.is_empty() && is_port(port))
        })
}

fn parse_line(line: &str, number: usize) -> Result<KnownServer, &'static str> {
    let mut words = Words::new(line);
    let address = words.next()?;
    if !is_address(address) {
        return Err("it does not begin with [host]:port");
    }
    Ok(KnownServer {
        address: address.to_owned(),
        key: words.key()?,
        first: WallTime::parse(words.field("first")?)?,
        last: WallTime::parse(words.field("last")?)?,
        version: words
            .field("ver")?
            .parse()
            .map_err(|_| "the version is no number")?,
        rest: words.rest()?.into_iter().map(str::to_owned).collect(),
        line: number,
    })
}

fn format_known_servers(servers: &[KnownServer]) -> String {
    servers.iter().fold(String::new(), |mut text, server| {
        let KnownServer {
            address,
            key,
            first,
            last,
            version,
            rest,
            line: _,
        } = server;
        text.push_str(&format!(
            "{address} x25519 {} first={first} last={last} ver={version}",
            format_key(&key.0)
        ));
        rest.iter().for_each(|field| {
            text.push(' ');
            text.push_str(field);
        });
        text.push('\n');
        text
    })
}
