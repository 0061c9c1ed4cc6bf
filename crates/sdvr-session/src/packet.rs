//! Handshake packets: their sizes, their common header, and how a byte stream is cut into packets and records.

use crate::codec::{Put, Reader};
use crate::error::Malformed;
use crate::record::{RECORD_HEADER_BYTES, RECORD_TYPE};

/// Length of a HELLO.
pub const HELLO_BYTES: usize = 256;
/// Length of a HELLO_REPLY.
pub const HELLO_REPLY_BYTES: usize = 192;
/// Length of the first Noise packet, HS1.
pub const INITIATION_BYTES: usize = 256;
/// Length of the second Noise packet, HS2.
pub const RESPONSE_BYTES: usize = 96;

pub(crate) const HEADER_BYTES: usize = 4;
pub(crate) const VERSION: u8 = 2;

/// What kind of handshake packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// HELLO: a client asks.
    Hello,
    /// HELLO_REPLY: a server gives its key and a token.
    HelloReply,
    /// HS1: a client proves that it can receive, and names itself.
    Initiation,
    /// HS2: a server proves its key.
    Response,
}

impl PacketType {
    /// What a datagram claims to be; `None` if it is no handshake packet. Nothing of it is checked.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        datagram
            .first()
            .and_then(|&number| Self::from_number(number))
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::HelloReply => 2,
            Self::Initiation => 3,
            Self::Response => 4,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Hello),
            2 => Some(Self::HelloReply),
            3 => Some(Self::Initiation),
            4 => Some(Self::Response),
            _ => None,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Hello => HELLO_BYTES,
            Self::HelloReply => HELLO_REPLY_BYTES,
            Self::Initiation => INITIATION_BYTES,
            Self::Response => RESPONSE_BYTES,
        }
    }

    /// Writes the header of a packet of this type.
    pub(crate) fn put_header(self, out: &mut Vec<u8>) {
        out.put_u8(self.number());
        out.put_u8(VERSION);
        out.put_u16(u16::try_from(self.bytes()).unwrap_or(0));
    }

    /// Checks that `packet` is one of this type, and gives what follows its header.
    ///
    /// The version byte is not checked: HELLO and HELLO_REPLY carry the versions that count, and whoever does not
    /// speak ours must be able to learn so.
    pub(crate) fn body(self, packet: &[u8]) -> Result<Reader<'_>, Malformed> {
        let mut reader = Reader::new(packet);
        let number = reader.u8()?;
        if number != self.number() {
            return Err(Malformed::UnexpectedType(number));
        }
        reader.u8()?;
        let length = usize::from(reader.u16()?);
        if length != packet.len() || length != self.bytes() {
            return Err(Malformed::Length(length as u64));
        }
        Ok(reader)
    }
}

/// The first packet or record of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Not all of it has arrived; at least this many bytes are needed in all.
    NeedsMore(usize),
    /// It is complete and has this many bytes.
    Complete(usize),
}

/// Finds the end of the handshake packet that `stream` begins with.
///
/// # Errors
///
/// As soon as the first bytes show that this is none.
pub fn next_handshake_packet(stream: &[u8]) -> Result<Packet, Malformed> {
    let Some(&[number, _, low, high]) = stream.first_chunk::<HEADER_BYTES>() else {
        // A port scanner or a web browser is recognised by its first byte.
        return match stream.first() {
            Some(&number) if PacketType::from_number(number).is_none() => {
                Err(Malformed::UnexpectedType(number))
            }
            _ => Ok(Packet::NeedsMore(HEADER_BYTES)),
        };
    };
    let packet_type = PacketType::from_number(number).ok_or(Malformed::UnexpectedType(number))?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length != packet_type.bytes() {
        return Err(Malformed::Length(length as u64));
    }
    Ok(if stream.len() < length {
        Packet::NeedsMore(length)
    } else {
        Packet::Complete(length)
    })
}

/// Finds the end of the record that `stream` begins with, which has at most `longest` bytes after its header.
///
/// # Errors
///
/// As soon as the first bytes show that this is none, or one that is too long.
pub fn next_record(stream: &[u8], longest: usize) -> Result<Packet, Malformed> {
    let Some(&[a, b, c, d, number]) = stream.first_chunk() else {
        return Ok(Packet::NeedsMore(RECORD_HEADER_BYTES));
    };
    let length = u32::from_le_bytes([a, b, c, d]);
    if number != RECORD_TYPE {
        return Err(Malformed::UnexpectedType(number));
    }
    let content = usize::try_from(length)
        .ok()
        .filter(|&length| length <= longest)
        .ok_or_else(|| Malformed::Length(length.into()))?;
    let length = content.saturating_add(RECORD_HEADER_BYTES);
    Ok(if stream.len() < length {
        Packet::NeedsMore(length)
    } else {
        Packet::Complete(length)
    })
}
