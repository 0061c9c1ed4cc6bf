//! Packets over a link, ignorant of their content.
//!
//! TCP for now: how to listen, how to connect, and what the sockets of cameras are set to. [`Poller`] is the one way the
//! programs wait for many descriptors. Names of hosts become addresses here and nowhere else.
#![forbid(unsafe_code)]

mod poller;
mod tcp;

pub use poller::{Interest, Poller, Ready, Waker};
pub use tcp::{ConnectError, Listener, Received, TcpLink, connect, listen};
