//! Why a camera may not stream, in words for whoever reads the server's log.

use sdvr_frame::{Fingerprint, Label};

use super::{CAMERAS_MOST, NEW_BURST, NEW_PER_SECOND, NOTED_BURST, NOTED_PER_SECOND};
use crate::pending::PENDING_MOST;

/// Why a camera may not stream.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// Another camera has the label.
    #[error(
        "the label {label} belongs to the camera {holder}, and {asker} asks for it. If the camera was replaced: sdvr keys forget {label}; if both should stream: sdvr keys approve {asker} --as OTHER, or give this one another label with -n"
    )]
    LabelTaken {
        /// The label.
        label: Label,
        /// Whose it is.
        holder: Fingerprint,
        /// Who wants it.
        asker: Fingerprint,
    },
    /// Its key was revoked.
    #[error(
        "the key {asker} was revoked: {reason}. If that was a mistake: sdvr keys approve {asker}"
    )]
    Revoked {
        /// The key.
        asker: Fingerprint,
        /// Why.
        reason: String,
    },
    /// The camera has had another key for longer than this one was good.
    #[error(
        "the key {asker} was the camera {label}'s until it got another one, and was good until {until}. If the camera lost its new key: sdvr keys forget {label}, and it comes as a new one; else this is a copy of its old key"
    )]
    KeyReplaced {
        /// The key.
        asker: Fingerprint,
        /// The camera.
        label: Label,
        /// Until when it was good.
        until: String,
    },
    /// It waits for somebody who approves it.
    #[error("it waits for approval: sdvr keys approve {asker}")]
    Pending {
        /// Who waits.
        asker: Fingerprint,
        /// Whether it has come for the first time.
        is_new: bool,
    },
    /// Its key is not known, and no new ones are taken.
    #[error(
        "the key {asker} is not known and --accept closed takes no new ones; start sdvrd with --accept ask to approve it"
    )]
    Closed {
        /// Who asks.
        asker: Fingerprint,
    },
    /// It could not be remembered.
    #[error("the camera could not be remembered, so it was not let in: {problem}")]
    StoreFailed {
        /// What went wrong.
        problem: String,
    },
    /// It should wait for approval, and could not be noted.
    #[error(
        "{asker} would wait for approval, but could not be noted among those that wait, so sdvr keys pending does not show it: {problem}. It asks again"
    )]
    NotNoted {
        /// Who asks.
        asker: Fingerprint,
        /// What went wrong.
        problem: String,
    },
    /// It should wait for approval, and too many came at once for all of them to be noted.
    #[error(
        "{asker} would wait for approval, but was not noted: at most {NOTED_BURST} are at once, and {NOTED_PER_SECOND} a second after that. It asks again"
    )]
    NotedTooFast {
        /// Who asks.
        asker: Fingerprint,
    },
    /// Too many came, or are known.
    #[error(
        "too many new cameras, so it was not let in: at most {CAMERAS_MOST} in all, and {NEW_PER_SECOND} a second after the first {NEW_BURST}. It may try again; sdvr keys forget makes room"
    )]
    TooManyNewKeys,
    /// Too many wait.
    #[error(
        "{PENDING_MOST} cameras wait for approval already, so {asker} was not noted. sdvr keys pending lists them; sdvr keys approve and sdvr keys forget make room"
    )]
    TooManyPending {
        /// Who asks.
        asker: Fingerprint,
    },
}
