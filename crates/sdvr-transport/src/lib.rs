//! Packets over a link, ignorant of their content.
//!
//! TCP: how to listen, how to connect, and what the sockets of cameras are set to. UDP: many datagrams in one system call, each for the thread
//! that has its session. [`Poller`] is the one way the
//! programs wait for many descriptors. Names of hosts become addresses here and nowhere else.

mod poller;
mod socket_options;
mod tcp;
mod udp;

pub use poller::{Interest, Poller, Ready, Waker};
pub use tcp::{ConnectError, Listener, Received, TcpLink, connect, listen};
pub use udp::{Sent, UdpSocket, bind_udp};
