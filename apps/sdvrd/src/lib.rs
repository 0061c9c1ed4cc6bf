//! The daemon as a library: what `main.rs` calls and the tests drive.
//!
//! ```text
//!  network ──► door (one thread: accept, handshake, trust) ──► shard (one thread a core: records ──► rings) ──► /dev/shm
//! ```
//!
//! The door knows strangers, the shards only cameras that were let in. No lock lies on the way of a frame.
#![forbid(unsafe_code)]
// These macros end the program when nobody reads what it says.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod account;
mod budget;
mod camera;
mod chatter;
mod config;
mod confine;
mod daemon;
mod depth;
mod door;
mod figures;
mod ingest;
mod knock;
mod log;
mod media;
mod notify;
mod peer;
mod ring_keeper;
mod shard;
mod sizing;
mod slots;
mod stream;

pub use config::{Arguments, Config};
pub use daemon::run;
pub use log::{LogFormat, start_log};

#[doc(hidden)]
pub mod for_tests {
    //! What ends in a process that can do nothing more, so that it is tried in one of its own. Not part of the interface.
    pub use crate::confine::{ConfineError, Confinement, confine};
}
