//! Packets over a link, ignorant of their content.
//!
//! TCP: how to listen, how to connect, and what the sockets of cameras are set to. UDP and raw Ethernet: many datagrams in one system call,
//! each for the thread that has its session ([`DatagramSocket`]). [`Poller`] is the one way the programs wait for many descriptors. Names of
//! hosts become addresses here and nowhere else.

mod datagram_socket;
mod ethernet;
mod hearing;
mod packet_ring;
mod packet_socket;
mod poller;
mod receive_buffer;
mod socket_options;
mod steering;
mod tcp;
mod udp;

pub use datagram_socket::{
    BoundTo, DatagramBuffer, DatagramSocket, Sent, bind_ethernet, bind_udp, ethernet_for_server,
    udp_for_server,
};
pub use ethernet::EthernetError;
pub use poller::{Interest, Poller, Ready, Waker};
pub use tcp::{ConnectError, Listener, Received, TcpLink, connect, listen, resolve};
