//! The client as a library: what `main.rs` calls.
//!
//! One thread, one loop: it waits for the socket, the source and the clock, in whatever state the link is. See `uplink.rs`.
#![forbid(unsafe_code)]

mod announcement;
mod backlog;
mod config;
mod dial;
mod dropped;
mod greeting;
mod link;
mod list;
mod retry;
mod streaming;
mod uplink;
mod waiting;

pub use config::{Arguments, Config, Question, start_log};
pub use list::answer;
pub use uplink::{Failure, run};
