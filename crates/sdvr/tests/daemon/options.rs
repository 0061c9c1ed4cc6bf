//! The rings that the tests of several crates make.

use sdvr_frame::{
    FourCc, FrameRate, InstanceId, Link, PublicKey, StreamFormat, StreamId, StreamKind,
};
use sdvr_ring::RingOptions;

/// A small ring of measuring frames, of the key `[key; 32]` and the run `[instance; 16]`.
#[must_use]
#[allow(
    unreachable_pub,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a part of several test programs, which must stop when they cannot go on"
)]
pub fn options(label: &str, key: u8, instance: u8) -> RingOptions {
    RingOptions {
        camera: PublicKey([key; 32]),
        label: label.parse().unwrap(),
        stream: StreamId(0),
        kind: StreamKind::Video,
        instance: InstanceId([instance; 16]),
        format: StreamFormat {
            fourcc: FourCc::BNCH,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(25),
        },
        extradata: Vec::new(),
        link: Link::Tcp,
        slots: 4,
        data_bytes: 4096,
    }
}
