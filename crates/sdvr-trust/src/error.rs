//! What can go wrong with the files, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the files of keys could not be used. Every text names the file and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no home directory.
    #[error("HOME is not set, so there is no ~/.sdvr; name a directory with -k")]
    NoHome,
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file or directory is open to others.
    #[error("{} has mode {mode:04o} and would be open to others; nothing was read. Type: chmod {wanted:04o} {}", path.display(), path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// A file or directory belongs to somebody else.
    #[error("{} belongs to user {owner}, not to user {own}; nothing was read. Type: chown {own} {}", path.display(), path.display())]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        own: u32,
    },
    /// It is a link or a device.
    #[error("{} is not a plain file or directory; links are not followed", path.display())]
    NotPlain {
        /// Which.
        path: PathBuf,
    },
    /// A file is damaged.
    #[error("{}:{line}: {problem}; nothing in this file is used until it is mended or moved away", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// What is to be remembered is no address, and would make the file unreadable.
    #[error("{address:?} is no address to remember; it must be like [host]:port")]
    Address {
        /// As given.
        address: String,
    },
    /// Another key was remembered for the same server between the decision and now.
    #[error("another key was remembered for {address} meanwhile, in {}:{line}; it was not replaced. Connect again", path.display())]
    OtherKey {
        /// Of which server.
        address: String,
        /// Where the other key stands.
        path: PathBuf,
        /// In which line, from 1.
        line: usize,
    },
    /// Another process streams with this key.
    #[error("another sdvrc on this host streams as {label:?} (it holds {}); choose another label with -n", path.display())]
    KeyInUse {
        /// Whose label.
        label: String,
        /// The key's file.
        path: PathBuf,
    },
    /// Nothing is known by that name.
    #[error("nothing is known as {wanted:?}; known are: {known}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(io::Error),
}
