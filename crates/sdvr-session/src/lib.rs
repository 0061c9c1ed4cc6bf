#![doc = include_str!("../WIRE.md")]
//!
//! # This crate
//!
//! Bytes and time in, bytes and frames out. It performs no I/O, starts no thread, reads no clock and has no `unsafe`; randomness
//! comes only from the generator it is given. A program that joins it with a transport looks like `apps/sdvrc/src/uplink.rs`.
//!
//! A client goes through [`client::ExpectHelloReply`], [`client::ServerOffer`] (compare the key now) and
//! [`client::ExpectResponse`] to a [`Session`]; a server through [`server::Door`] and [`server::Initiation`].
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

// The tests' two ends are written for those who use this crate.
#[cfg(test)]
extern crate self as sdvr_session;

mod assembly;
pub mod client;
mod clock;
mod codec;
mod datagram;
mod epochs;
mod error;
mod hello;
mod key_limits;
mod keys;
mod media;
#[cfg(test)]
mod memory_tests;
mod message;
mod noise;
mod packet;
mod record;
pub mod server;
mod session;
mod site;
mod token;

pub use clock::{CaptureTime, ClockSample, PeerClock};
pub use datagram::{DataHeader, FragmentRequest, PeerPath, ReassemblyBudget, Rejected};
pub use error::{HandshakeError, Malformed, SessionError};
pub use hello::{Limits, RECORD_LIMIT_DEFAULT_BYTES};
pub use key_limits::{KeyLimits, ParseKeyLimitsError};
pub use keys::{Suite, Suites};
pub use media::MediaFragment;
pub use message::{
    Close, CloseCode, NewIdCode, OpenStream, Report, Setup, SetupCode, SetupReply, StreamCode,
};
pub use packet::{
    HELLO_BYTES, HELLO_REPLY_BYTES, INITIATION_BYTES, Packet, PacketType, RESPONSE_BYTES,
    next_handshake_packet, next_record,
};
pub use record::RECORD_OVERHEAD_BYTES;
pub use session::{
    ArrivedFrame, DatagramFigures, DatagramOutcome, Event, OutgoingFrame, PARITY_MOST_PERCENT,
    Session,
};
pub use site::Site;
pub use token::SourceAddress;

#[doc(hidden)]
pub mod for_tests {
    //! The parsers, for fuzzing and golden vectors. Not part of the interface.
    pub use crate::hello::{HelloCore, HelloReply};
    pub use crate::keys::{TrafficSecret, hkdf};
    pub use crate::media::MediaHeader;
    pub use crate::message::Control;
    pub use crate::noise::{Finished, InitiatorStart, ResponderStart};
    pub use crate::record::{Opened, RecordOpener, RecordSealer};

    /// The messages in which a frame goes over datagrams, of which `header` says what all have in common, with so many per cent of parity.
    #[must_use]
    pub fn fragments_of(header: &MediaHeader, frame: &[u8], parity_percent: u8) -> Vec<Vec<u8>> {
        crate::datagram::fragments_of(header, frame, parity_percent)
    }

    /// Seals any content into a datagram: for a peer that owns its key and breaks the protocol. Whether the session has datagrams.
    pub fn seal_datagram(session: &mut crate::Session, content: &[u8], out: &mut Vec<u8>) -> bool {
        session.seal_datagram(content, out)
    }

    /// What seals and what opens a session's records: for a peer that owns its key and breaks the protocol.
    pub fn keys_of(session: &mut crate::Session) -> Option<(&mut RecordSealer, &mut RecordOpener)> {
        session.keys()
    }
}
