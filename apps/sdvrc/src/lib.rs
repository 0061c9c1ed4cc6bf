//! The client as a library: what `main.rs` calls.
//!
//! One thread, one loop: it waits for the socket, the source and the clock, in whatever state the link is. See `uplink.rs`.
#![forbid(unsafe_code)]

mod backlog;
mod config;
mod dial;
mod greeting;
mod streaming;
mod uplink;

pub use config::{Arguments, Config, start_log};
pub use uplink::{Failure, run};
