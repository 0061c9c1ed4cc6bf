//! Sessions over links that lose, repeat and reorder: UDP and raw Ethernet.
//!
//! A frame travels from `sent.rs`, at its `pace.rs` and with its `parity.rs`, through `sealed.rs` to `arrivals.rs`, where `partial.rs` puts it
//! together and `gaps.rs` tells what to ask for again; control messages travel in `lane.rs`. `breaker.rs` tells when less should be
//! sent. `link.rs` holds one session's share of it all.

mod arrivals;
mod breaker;
mod gaps;
mod held;
mod lane;
mod link;
mod mtu;
mod pace;
mod parity;
mod partial;
mod path;
#[cfg(test)]
mod recovery_tests;
mod replay;
mod request;
mod sealed;
mod sent;

pub(crate) use arrivals::{ArrivalLimits, WholeFrame};
pub(crate) use breaker::Advice;
pub(crate) use gaps::RoundTrip;
pub use held::ReassemblyBudget;
pub(crate) use link::{DatagramLink, LATENCY, fragments_of};
pub(crate) use partial::{FrameFacts, Piece};
pub use path::PeerPath;
pub(crate) use replay::ReplayWindow;
pub use request::FragmentRequest;
pub use sealed::{DataHeader, Rejected};
pub(crate) use sealed::{DatagramOpener, DatagramSealer};
