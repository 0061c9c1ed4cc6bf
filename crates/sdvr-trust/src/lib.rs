//! Who may talk: keys, and what is remembered of others, in files that are never torn.
//!
//! The model is OpenSSH's. Both sides own a persistent key; the first contact is remembered; a change is refused. A server is
//! remembered by the address the user typed, a camera by its key; a label is only a label.
//!
//! ```text
//! ~/.sdvr            0700; files 0600; a wrong owner or mode is refused with the command to type
//!   server.key       this host's key as a server
//!   server-old.key   the one before, good for 30 days after sdvr keys rotate, beside the one that replaced it
//!   cameras/NAME.key the keys of this host's cameras; NAME.next and NAME.old while one gets another key
//!   known_servers    [host]:port x25519 KEY first=TIME last=TIME ver=2
//!   known_cameras    LABEL x25519 KEY added=TIME via=tofu
//!   pending          x25519 KEY first=TIME from=ADDRESS wants=LABEL
//!   revoked          x25519 KEY TIME REASON
//! ```
//!
//! A file is read whole or refused: only a clean "no such file" means that nothing is known. It is written under a lock,
//! beside itself, synchronised and renamed.
#![forbid(unsafe_code)]

mod address;
mod admission;
mod announced;
mod approve;
mod camera_key;
mod candidates;
mod error;
mod forget;
mod key_file;
mod known;
mod known_cameras;
mod known_servers;
mod lines;
mod mismatch;
mod old_server_key;
mod pending;
mod protect;
mod reinstate;
mod revoked;
mod server_key;
mod store;

pub use address::normalise_address;
pub use admission::{
    Acceptance, Admission, Changes, KnownCameras, Newcomer, Refusal, Removal, Removed,
};
pub use announced::{Announced, Announcement, NotItsKey};
pub use approve::{approve, pending_cameras};
pub use camera_key::{CameraIdentity, CameraKeys, CameraRotation, WhichKey, rotate_camera_key};
pub use error::TrustError;
pub use forget::{Forgotten, forget};
pub use key_file::SecretKey;
pub use known_cameras::KnownCamera;
pub use known_servers::{KnownServer, KnownServers, ServerDecision};
pub use mismatch::Mismatch;
pub use pending::PendingCamera;
pub use protect::protect_memory;
pub use reinstate::{Reinstatement, reinstate};
pub use revoked::{Revocation, Revokee, revoke};
pub use server_key::{DiscardedKey, ServerKeyWatch, ServerKeys, ServerRotation, rotate_server_key};
pub use store::{KeyDirectory, default_path};

#[doc(hidden)]
pub mod for_tests {
    //! The parsers, for fuzzing, and what turns back what they give. Not part of the interface.
    pub use crate::key_file::parse_key_file;
    pub use crate::known_cameras::{format_known_cameras, parse_known_cameras};
    pub use crate::known_servers::{format_known_servers, parse_known_servers};
    pub use crate::old_server_key::{OldServerKey, parse_old_server_key};
    pub use crate::pending::{format_pending, parse_pending};
    pub use crate::revoked::parse_revoked;
}
