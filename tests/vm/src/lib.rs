//! The guest that `cargo xtask vm-test` has booted, as tests see it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]
#![allow(
    clippy::missing_panics_doc,
    reason = "every function here panics when the guest does not do what it should"
)]

pub mod clip;
mod guest;
mod relay;
pub mod stage;
mod watch;

pub use guest::{Guest, Output, Process, Turn, Webcam};
pub use relay::Relay;
pub use stage::Stage;
pub use watch::{Seen, Watch};
