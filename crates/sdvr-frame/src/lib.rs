//! Plain data that every stage of SDVR speaks of.
//!
//! Labels, addresses, formats, times, keys, frame metadata, and percentiles: no I/O, no threads, nothing that can fail but
//! the parsing of a text. A crate that only needs to *name* a thing of SDVR needs only this one.

mod address;
mod allowance;
pub mod annex_b;
pub mod bench_frame;
pub mod bits;
mod ethertype;
mod format;
mod frame;
pub mod h264;
pub mod h265;
mod host_address;
mod identity;
mod label;
mod link_address;
mod mac;
mod percentile;
pub mod picture_order;
mod stream;
mod stream_label;
mod time;

pub use address::{DEFAULT_PORT, ParseAddressError, ServerAddress};
pub use allowance::Allowance;
pub use ethertype::{Ethertype, ParseEthertypeError};
pub use format::{FourCc, FrameRate, ParseFormatError, StreamFormat};
pub use frame::{FrameFlags, FrameNumber};
pub use host_address::HostAddress;
pub use identity::{Fingerprint, ParseFingerprintError, PublicKey};
pub use label::{InvalidLabel, Label};
pub use link_address::{Interface, LinkAddress, ReplyFrom};
pub use mac::{MacAddress, ParseMacError};
pub use percentile::percentile;
pub use stream::{InstanceId, Link, StreamId, StreamKind, StreamState};
pub use stream_label::StreamLabel;
pub use time::Timestamp;
