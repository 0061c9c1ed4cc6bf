//! HELLO and HELLO_REPLY: what both ends can do, in clear, and bound into the handshake afterwards.

use rand_core::CryptoRng;
use sdvr_frame::PublicKey;

use crate::codec::{Put, Reader, padded};
use crate::error::{HandshakeError, Malformed};
use crate::keys::{Suite, Suites};
use crate::packet::{HELLO_BYTES, HELLO_REPLY_BYTES, PacketType, VERSION};
use crate::token::TOKEN_BYTES;

/// Bytes of HELLO that are repeated in HS1 and bound into the handshake.
pub(crate) const CORE_BYTES: usize = 64;
const MAGIC: [u8; 4] = *b"SDVR";

/// The most bytes of a record that an end takes when it does not say otherwise: on a 100 Mbit/s link 64 KiB are 5 ms.
pub const RECORD_LIMIT_DEFAULT_BYTES: usize = 64 * 1024;

/// What an end can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most messages in a record, in KiB; 16 to 1024.
    pub record_kib: u16,
    /// The most bytes of a datagram. Unused over TCP.
    pub datagram_bytes: u16,
    /// How often the other end should say that it is there.
    pub keepalive_ms: u32,
    /// The most a frame may have, in KiB.
    pub frame_kib: u32,
    /// The most streams of a session.
    pub streams: u8,
}

impl Default for Limits {
    /// 64 KiB a record, 256 MiB a frame, 8 streams, a sign of life each second.
    fn default() -> Self {
        Self {
            record_kib: 64,
            datagram_bytes: 1200,
            keepalive_ms: 1000,
            frame_kib: 256 * 1024,
            streams: 8,
        }
    }
}

/// The record limit of a session, in bytes, from what both ends named.
pub(crate) fn agreed_record_bytes(own_kib: u16, other_kib: u16) -> Result<usize, Malformed> {
    let agreed = own_kib.min(other_kib);
    if (16..=1024).contains(&agreed) {
        Ok(usize::from(agreed).saturating_mul(1024))
    } else {
        Err(Malformed::Length(agreed.into()))
    }
}

/// The first 64 bytes of HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloCore {
    /// Lowest and highest protocol version.
    pub versions: (u8, u8),
    /// The ciphers offered.
    pub suites: Suites,
    /// Makes the reply belong to the request.
    pub nonce: [u8; 16],
    /// The server key that the client expects, shortened, or zero.
    pub pin_hint: [u8; 16],
    /// The most KiB in a record.
    pub record_kib: u16,
    /// The most bytes in a datagram.
    pub datagram_bytes: u16,
    /// As received, for the prologue.
    bytes: [u8; CORE_BYTES],
}

impl HelloCore {
    pub(crate) fn new(
        suites: Suites,
        limits: &Limits,
        pin: Option<&PublicKey>,
        random: &mut dyn CryptoRng,
    ) -> Self {
        let mut nonce = [0; 16];
        random.fill_bytes(&mut nonce);
        let pin_hint = pin
            .and_then(|key| key.fingerprint().as_bytes().first_chunk().copied())
            .unwrap_or([0; 16]);
        let mut out = Vec::with_capacity(CORE_BYTES);
        PacketType::Hello.put_header(&mut out);
        out.put(&MAGIC);
        out.put(&[VERSION, VERSION]);
        out.put_u16(suites.0);
        out.put_u32(0);
        out.put(&nonce);
        out.put(&pin_hint);
        out.put_u16(limits.record_kib);
        out.put_u16(limits.datagram_bytes);
        Self {
            versions: (VERSION, VERSION),
            suites,
            nonce,
            pin_hint,
            record_kib: limits.record_kib,
            datagram_bytes: limits.datagram_bytes,
            bytes: padded(out),
        }
    }

    /// Parses a hello core, which is `packet`'s first 64 bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what is wrong.
    pub fn parse(bytes: [u8; CORE_BYTES]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&bytes);
        let packet_type = reader.u8()?;
        let _version = reader.u8()?;
        let length = reader.u16()?;
        if packet_type != PacketType::Hello.number() {
            return Err(Malformed::UnexpectedType(packet_type));
        }
        if usize::from(length) != HELLO_BYTES {
            return Err(Malformed::Length(length.into()));
        }
        if reader.array()? != MAGIC {
            return Err(Malformed::NotSdvr);
        }
        let versions = (reader.u8()?, reader.u8()?);
        let suites = Suites(reader.u16()?);
        let _features = reader.u32()?;
        let nonce = reader.array()?;
        let pin_hint = reader.array()?;
        let record_kib = reader.u16()?;
        let datagram_bytes = reader.u16()?;
        reader.zeros(12)?;
        reader.end()?;
        Ok(Self {
            versions,
            suites,
            nonce,
            pin_hint,
            record_kib,
            datagram_bytes,
            bytes,
        })
    }

    pub(crate) const fn bytes(&self) -> &[u8; CORE_BYTES] {
        &self.bytes
    }

    pub(crate) fn hello(&self) -> [u8; HELLO_BYTES] {
        padded(self.bytes.to_vec())
    }

    /// Parses a whole HELLO.
    pub(crate) fn parse_hello(packet: &[u8]) -> Result<Self, Malformed> {
        PacketType::Hello.body(packet)?;
        let (core, padding) = packet.split_first_chunk().ok_or(Malformed::Short)?;
        Reader::new(padding).zeros(padding.len())?;
        Self::parse(*core)
    }

    pub(crate) const fn common_version(&self) -> Result<u8, HandshakeError> {
        let (lowest, highest) = self.versions;
        if lowest <= VERSION && VERSION <= highest {
            Ok(VERSION)
        } else {
            Err(HandshakeError::Version { lowest, highest })
        }
    }
}

/// What a server answers to HELLO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// Lowest and highest protocol version.
    pub versions: (u8, u8),
    /// The ciphers the server has.
    pub suites: Suites,
    /// The client's nonce.
    pub nonce: [u8; 16],
    /// Who the server claims to be; proved by the handshake.
    pub server_key: PublicKey,
    /// The version chosen.
    pub version: u8,
    /// The number of the cipher chosen.
    pub suite: u8,
    /// When the server is busy: how long to wait, in milliseconds.
    pub busy_ms: Option<u32>,
    /// Proves that the client can receive at its address.
    pub token: [u8; TOKEN_BYTES],
}

const FLAG_BUSY: u16 = 1;

impl HelloReply {
    /// The reply as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HELLO_REPLY_BYTES] {
        let mut out = Vec::with_capacity(HELLO_REPLY_BYTES);
        PacketType::HelloReply.put_header(&mut out);
        out.put(&MAGIC);
        out.put(&[self.versions.0, self.versions.1]);
        out.put_u16(self.suites.0);
        out.put_u32(0);
        out.put(&self.nonce);
        out.put(&self.server_key.0);
        out.put(&[self.version, self.suite]);
        out.put_u16(if self.busy_ms.is_some() { FLAG_BUSY } else { 0 });
        out.put_u32(self.busy_ms.unwrap_or(0));
        out.put(&self.token);
        padded(out)
    }

    /// Parses a HELLO_REPLY.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what is wrong.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let mut reader = PacketType::HelloReply.body(packet)?;
        if reader.array()? != MAGIC {
            return Err(Malformed::NotSdvr);
        }
        let versions = (reader.u8()?, reader.u8()?);
        let suites = Suites(reader.u16()?);
        let features = reader.u32()?;
        if features != 0 {
            return Err(Malformed::Number(features.into()));
        }
        let nonce = reader.array()?;
        let server_key = PublicKey(reader.array()?);
        let (version, suite) = (reader.u8()?, reader.u8()?);
        let flags = reader.u16()?;
        let retry_after_ms = reader.u32()?;
        let token = reader.array()?;
        reader.zeros(88)?;
        reader.end()?;
        let busy_ms = (flags & FLAG_BUSY != 0).then_some(retry_after_ms);
        Ok(Self {
            versions,
            suites,
            nonce,
            server_key,
            version,
            suite,
            busy_ms,
            token,
        })
    }

    /// The prologue that both ends mix into the handshake.
    pub(crate) fn prologue(&self, core: &HelloCore) -> Vec<u8> {
        // The advisory bytes, busy and retry-after, are zero there: they may differ from reply to reply.
        let bound = Self {
            busy_ms: None,
            ..self.clone()
        };
        [b"sdvr2".as_slice(), core.bytes(), &bound.to_bytes()].concat()
    }

    pub(crate) fn chosen_suite(&self) -> Result<Suite, Malformed> {
        Suite::from_number(self.suite).ok_or_else(|| Malformed::Number(self.suite.into()))
    }
}
