//! A bad network between two network namespaces, for what needs real sockets and a real kernel: loss, delay, reordering and the rest, by a seed.
//!
//! Each side is a network namespace with one Ethernet interface, [`INTERFACE`], whose other end is in this process. Two threads carry whole
//! frames between them, so that UDP, TCP and frames of any ethertype meet the same fate. Both sides know each other's addresses from the
//! start. What kernels ask each other on their own is neither impaired nor given a number, so that chances are of the programs' frames only.
//!
//! What decides is without I/O ([`Fate`], [`Channel`]); [`Link`] is that between two kernels. It needs root.
//!
//! A program that sends faster than the link carries loses frames before the link, as at any interface; [`Link::overruns`] counts them.
//! Datagrams that a program sends in one piece (`UDP_SEGMENT`) are cut by its kernel before they are in the link, and come out one by one.
//!
//! ```no_run
//! use std::time::Duration;
//! use sdvr_test_link::{Impairment, Link, Loss, Settings, Side};
//!
//! let Some(link) = Link::for_test(&Settings { seed: 7, ..Settings::default() }) else {
//!     return; // It has said why.
//! };
//! link.impair_both(Impairment {
//!     loss: Loss::Random { share: 0.05 },
//!     delay: Duration::from_millis(10),
//!     ..Impairment::default()
//! });
//! let server = link.command(Side::B, "sdvrd").spawn();
//! let socket = link.enter(Side::A, || std::net::UdpSocket::bind((link.ipv4(Side::A), 0)));
//! println!("{:?}", link.counters(Side::A));
//! ```
#![allow(
    clippy::missing_panics_doc,
    reason = "what a test cannot go on without panics, with the reason"
)]

mod channel;
mod fate;
pub mod flow;
mod frame;
mod impairment;
mod kernel;
mod link;
mod namespace;
mod random;
mod raw_socket;
mod relay;

pub use channel::{Channel, Counters};
pub use fate::{Arrival, Fate, Verdict};
pub use impairment::{Impairment, Jitter, Loss, Rate, Reordering};
pub use link::{INTERFACE, Link, LinkError, Settings, Side};
pub use raw_socket::RawSocket;
