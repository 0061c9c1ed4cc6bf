//! A frame as it is sent to pages: packed once, whoever gets it.

use std::sync::Arc;

use bytes::Bytes;
use sdvr::FrameMeta;

use crate::catalog::CameraNumber;
use crate::messages::Kind;
use crate::socket::wire::Opcode;

/// The version of the frame header.
const VERSION: u8 = 1;
/// A flag: decoding can begin here.
const KEY: u8 = 1;
/// The frame header's length.
const HEADER_BYTES: usize = 32;

/// What the frames of an epoch have together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// The codec string of WebCodecs, or a media type.
    pub(crate) codec: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// How many of its frames are under way to a page at most.
    pub(crate) window: usize,
}

/// A frame.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) is_key: bool,
    pub(crate) number: u64,
    /// The WebSocket's message: its own header, the frame's header and the payload.
    pub(crate) message: Bytes,
    header_bytes: usize,
}

impl Packed {
    /// Packs a frame whose payload is these parts, one behind the other.
    ///
    /// ```text
    /// byte 0         1       2          4         8        12        16                24               32
    ///      +---------+-------+----------+---------+--------+---------+-----------------+----------------+---------
    ///      | version | flags | reserved | camera  | epoch  | missed  | number          | captured, in us| payload
    ///      | 1       | 1 key |    0     | u32     | u32    | u32     | u64             | i64            |
    ///      +---------+-------+----------+---------+--------+---------+-----------------+----------------+---------
    /// ```
    pub(crate) fn new(
        camera: CameraNumber,
        epoch: &Arc<Epoch>,
        is_key: bool,
        meta: &FrameMeta,
        payload: &[&[u8]],
    ) -> Self {
        let payload_bytes: usize = payload.iter().map(|part| part.len()).sum();
        let frame_bytes = HEADER_BYTES.saturating_add(payload_bytes);
        let mut message = Opcode::Binary.header(frame_bytes);
        message.reserve_exact(frame_bytes);
        let header_bytes = message.len().saturating_add(HEADER_BYTES);
        let captured_us = meta.captured.as_nanoseconds().div_euclid(1000);
        message.extend([VERSION, if is_key { KEY } else { 0 }, 0, 0]);
        message.extend(camera.to_le_bytes());
        message.extend(epoch.number.to_le_bytes());
        message.extend(u32::try_from(meta.missed).unwrap_or(u32::MAX).to_le_bytes());
        message.extend(meta.number.0.to_le_bytes());
        message.extend(captured_us.to_le_bytes());
        for part in payload {
            message.extend_from_slice(part);
        }
        Self {
            epoch: Arc::clone(epoch),
            is_key,
            number: meta.number.0,
            message: message.into(),
            header_bytes,
        }
    }

    /// The payload, of whatever is [`Self::message`]'s memory.
    pub(crate) fn payload(&self) -> Bytes {
        self.message
            .slice(self.header_bytes.min(self.message.len())..)
    }
}
