//! MEDIA: a piece of a frame.
//!
//! ```text
//! byte 0    1       2         4              8              16             24       28         30      32
//!      +----+-------+---------+--------------+--------------+--------------+--------+----------+-------+--------
//!      | 20 | flags | stream  | frame length | frame number | capture time | offset | fragment | since | bytes
//!      +----+-------+---------+--------------+--------------+--------------+--------+----------+-------+--------
//! ```

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use crate::codec::{Put, Reader};
use crate::error::Malformed;

pub(crate) const MEDIA_TYPE: u8 = 20;
pub(crate) const MEDIA_HEADER_BYTES: usize = 32;

const KEY: u8 = 1;
const FIRST: u8 = 1 << 1;
const LAST: u8 = 1 << 2;
const DISCARDABLE: u8 = 1 << 4;
const PARITY: u8 = 1 << 5;
const TRAILER: u8 = 1 << 6;

/// The header of a MEDIA message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaHeader {
    /// Whose frame.
    pub stream: StreamId,
    /// Length of the whole frame.
    pub frame_bytes: u32,
    /// Which frame.
    pub number: FrameNumber,
    /// When it was captured, on the client's clock.
    pub captured: Timestamp,
    /// Facts about the frame.
    pub flags: FrameFlags,
    /// Whether this is the frame's first piece.
    pub is_first: bool,
    /// Whether this is the frame's last piece.
    pub is_last: bool,
    /// Datagrams: whether this is no piece of the frame but parity from which such are computed.
    pub is_parity: bool,
    /// Where in the frame this piece begins; which parity it is.
    pub offset: u32,
    /// Datagrams: the length of all pieces of the frame but the last. 0 in records, whose pieces are of any length.
    pub fragment_bytes: u16,
    /// Datagrams: by how much the frame's number is above that of the frame sent before it, so that who receives this one knows whether
    /// another one is to come before it. 0 if there was none, or too long ago, and in records.
    pub since: u16,
}

impl MediaHeader {
    /// Of a frame that comes in one piece.
    #[must_use]
    pub const fn whole(
        stream: StreamId,
        (number, captured, flags): (FrameNumber, Timestamp, FrameFlags),
        frame_bytes: u32,
    ) -> Self {
        Self {
            stream,
            frame_bytes,
            number,
            captured,
            flags,
            is_first: true,
            is_last: true,
            is_parity: false,
            offset: 0,
            fragment_bytes: 0,
            since: 0,
        }
    }

    /// Appends the header to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let flags = [
            (self.flags.contains(FrameFlags::KEY), KEY),
            (self.is_first, FIRST),
            (self.is_last, LAST),
            (self.flags.contains(FrameFlags::DISCARDABLE), DISCARDABLE),
            (self.is_parity, PARITY),
            (self.flags.contains(FrameFlags::TRAILER), TRAILER),
        ];
        out.put_u8(MEDIA_TYPE);
        out.put_u8(
            flags
                .iter()
                .filter(|(is_set, _)| *is_set)
                .fold(0, |bits, (_, bit)| bits | bit),
        );
        out.put_u16(self.stream.0);
        out.put_u32(self.frame_bytes);
        out.put_u64(self.number.0);
        out.put_i64(self.captured.as_nanoseconds());
        out.put_u32(self.offset);
        out.put_u16(self.fragment_bytes);
        out.put_u16(self.since);
    }

    /// Parses a MEDIA message and gives its piece of the frame.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what is wrong; the session ends.
    pub fn parse(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(message);
        let message_type = reader.u8()?;
        if message_type != MEDIA_TYPE {
            return Err(Malformed::UnexpectedType(message_type));
        }
        let bits = reader.u8()?;
        if bits & !(KEY | FIRST | LAST | DISCARDABLE | PARITY | TRAILER) != 0 {
            return Err(Malformed::Number(bits.into()));
        }
        let stream = StreamId(reader.u16()?);
        let frame_bytes = reader.u32()?;
        let number = FrameNumber(reader.u64()?);
        let captured = Timestamp::from_nanoseconds(reader.i64()?);
        let offset = reader.u32()?;
        let (fragment_bytes, since) = (reader.u16()?, reader.u16()?);
        let flag = |bit, flag| {
            if bits & bit != 0 {
                flag
            } else {
                FrameFlags::NONE
            }
        };
        let flags = flag(KEY, FrameFlags::KEY)
            | flag(DISCARDABLE, FrameFlags::DISCARDABLE)
            | flag(TRAILER, FrameFlags::TRAILER);
        let header = Self {
            stream,
            frame_bytes,
            number,
            captured,
            flags,
            is_first: bits & FIRST != 0,
            is_last: bits & LAST != 0,
            is_parity: bits & PARITY != 0,
            offset,
            fragment_bytes,
            since,
        };
        Ok((header, reader.rest()))
    }
}

/// A piece of a frame that fits what came before: in order, inside its frame, within the stream's limit.
#[derive(Clone, Copy, Debug)]
pub struct MediaFragment<'a> {
    /// What is said of it.
    pub header: MediaHeader,
    /// The bytes of the frame from `header.offset` on.
    pub bytes: &'a [u8],
    /// Frames between the one before and this one: captured, not sent. Counted on the first piece only.
    pub missed: u64,
    /// Those of them that were sent and did not arrive as a whole in time. None over a byte stream.
    pub lost: u64,
    /// Datagrams of the stream that had to be asked for again and arrived, since the frame before; one that was only overtaken by others for so long counts, too. `None` over a byte stream, where
    /// the system does that unseen.
    pub retransmitted: Option<u64>,
}
