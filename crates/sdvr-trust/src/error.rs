//! What can go wrong with the files, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use sdvr_frame::Fingerprint;

/// Why the files of keys could not be used. Every text names the file and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no home directory.
    #[error("HOME is not set, so there is no ~/.sdvr; name a directory with -k")]
    NoHome,
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}: {error}{}", path.display(), remedy(error))]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file or directory is open to others.
    #[error("{} has mode {mode:04o} and would be open to others; nothing was read. Type: chmod {wanted:04o} {}", path.display(), quoted(path))]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// A file or directory belongs to somebody else.
    #[error("{} belongs to user {owner}, not to user {own}; nothing was read. Type: chown {own} {}", path.display(), quoted(path))]
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
    /// Another process is changing the files, for longer than that can take.
    #[error("another process holds {} and does not let go of it; nothing was changed. End it (fuser {} names it) and try again", path.display(), quoted(path))]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// Another process is changing the files, and was hardly waited for: there are others to attend to.
    #[error("another process holds {} now, so nothing was changed; it is tried again in a second. If that goes on, end the process (fuser {} names it)", path.display(), quoted(path))]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// Another process streams with this key.
    #[error("another sdvrc on this host streams as {label:?} (it holds {}); choose another label with -n", path.display())]
    KeyInUse {
        /// Whose label.
        label: String,
        /// The key's file.
        path: PathBuf,
    },
    /// A text is no address, and would make the file unreadable or never be found in it.
    #[error(
        "{address:?} is no address to remember; it must be like [host]:port or eth:aa:bb:cc:dd:ee:ff"
    )]
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
    /// A server's key is listed in `revoked`.
    #[error("the server {address} has the key {key}, which {} says is revoked ({reason}); nothing was sent. Give the server a new key; if the revocation was a mistake: sdvr keys approve {key}", path.display())]
    Revoked {
        /// Which server.
        address: String,
        /// Its key.
        key: Fingerprint,
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// Nothing is known by that name.
    #[error("nothing is known as {wanted:?}; known are: {known}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// A key to be replaced was never made.
    #[error("this host has no key as a server ({} is not there); sdvrd makes it when it first runs", path.display())]
    NoServerKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// The key was replaced before, and the one before that is still good.
    #[error(
        "the server's key was replaced lately: clients that have not connected since know only the one before, which is good until {until}. Nothing was changed; try again then"
    )]
    RotatedLately {
        /// When.
        until: String,
    },
    /// The camera's key was replaced before, and the one before that may be all that a server knows.
    #[error(
        "the key of {label} was replaced lately: servers that it has not met since know only the one before. Nothing was changed; try again after {until}"
    )]
    CameraRotatedLately {
        /// Which camera.
        label: String,
        /// When.
        until: String,
    },
    /// The camera has a new key already that its program has not seen.
    #[error(
        "{label} has a new key already, {next}, which its sdvrc takes when it runs; nothing was changed"
    )]
    CameraRotationWaits {
        /// Which camera.
        label: String,
        /// The key.
        next: Fingerprint,
    },
    /// No camera that waits has that fingerprint.
    #[error(
        "no camera waits with the fingerprint {wanted:?} (at least {} characters of it are needed); waiting are: {pending}",
        crate::candidates::LEAST_OF_NEW
    )]
    NotPending {
        /// What was asked for.
        wanted: String,
        /// Which wait.
        pending: String,
    },
    /// A camera to be approved is known.
    #[error(
        "{key} is known already, as {label}; nothing was changed. To give it another label: sdvr keys forget {label}, and approve it when it comes again"
    )]
    AlreadyKnown {
        /// Its key.
        key: Fingerprint,
        /// Its label.
        label: String,
    },
    /// A camera to be approved was named by its label, and is revoked.
    #[error("the camera {label} was revoked ({reason}, in {}); nothing was changed. If that was a mistake: sdvr keys approve {key}", path.display())]
    LabelRevoked {
        /// Its label.
        label: String,
        /// Its key.
        key: Fingerprint,
        /// Where that stands.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A camera to be approved is revoked, which is taken back first.
    #[error("{key} was revoked ({reason}, in {}), so it was not approved; somebody may have done so just now", path.display())]
    CameraRevoked {
        /// Its key.
        key: Fingerprint,
        /// Where that stands.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The label that a camera is to have is another one's.
    #[error(
        "the label {label} belongs to the camera {holder}, so {asker} was not approved under it. Give it another one: sdvr keys approve {asker} --as OTHER; or, if it replaces that camera: sdvr keys forget {label}"
    )]
    LabelTaken {
        /// The label.
        label: String,
        /// Whose it is.
        holder: Fingerprint,
        /// Who was to get it.
        asker: Fingerprint,
    },
    /// More than one thing is known by that name.
    #[error(
        "{wanted:?} fits more than one, so nothing was changed; name one of them: {candidates}"
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What it may mean, as it can be typed.
        candidates: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no random numbers, so no key was made: {0}")]
    Random(io::Error),
}

/// What people can do about the errors they meet most.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; nothing was changed, free some space"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; nothing was changed, name a directory that can be written with -k"
        }
        io::ErrorKind::FileTooLarge => "; it is none of SDVR's, move it away",
        _ => "",
    }
}

/// A path as it can be typed into a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(character, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '%')
    };
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Names for a text: the first of them, and how many more there are.
pub(crate) fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN_MOST: usize = 20;
    let more = names.len().saturating_sub(SHOWN_MOST);
    let shown: Vec<String> = names.take(SHOWN_MOST).collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_to_type_survive_odd_paths() {
        assert_eq!(quoted(Path::new("/home/a/.sdvr")), "/home/a/.sdvr");
        assert_eq!(quoted(Path::new("/home/a b/$x")), "'/home/a b/$x'");
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| {
            (0..count)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(listed(names(0).into_iter()), "none");
        assert_eq!(listed(names(2).into_iter()), "0, 1");
        assert!(listed(names(65_536).into_iter()).ends_with("19 and 65516 more"));
    }
}
