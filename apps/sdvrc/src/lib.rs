//! The client as a library: what `main.rs` calls.
//!
//! One thread, one loop: it waits for the socket, the source and the clock, in whatever state the link is. See `uplink.rs`.
#![forbid(unsafe_code)]
// These macros end the program when nobody reads what it says.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod announcement;
mod carrier;
mod config;
mod datagram_link;
mod destination;
mod dial;
mod dropped;
mod failure;
mod finish;
mod fleet;
mod greeting;
mod link;
mod list;
mod own_key;
mod retry;
mod roster;
mod signals;
mod streaming;
mod trigger;
mod twins;
mod uplink;
mod waiting;

pub use config::{Arguments, Config, Question, start_log};
pub use failure::Failure;
pub use fleet::run;
pub use list::answer;
