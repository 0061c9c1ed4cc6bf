//! Sessions over links that lose, repeat and reorder: UDP and raw Ethernet.

mod arrivals;
mod gaps;
mod lane;
mod partial;
#[cfg(test)]
mod recovery_tests;
mod replay;
mod sealed;
mod sent;

pub(crate) use replay::ReplayWindow;
pub use sealed::{DataHeader, DatagramOpener, DatagramSealer, OpenedDatagram, Rejected};
