//! The server's way to a session: stateless until a client has shown that it can receive.

use std::sync::Arc;

use rand_core::CryptoRng;
use sdvr_frame::{PublicKey, Timestamp};
use zeroize::Zeroizing;

use crate::client::{INITIATION_PAYLOAD_BYTES, INITIATION_PAYLOAD_VERSION};
use crate::codec::{Put, Reader, padded};
use crate::error::{HandshakeError, Malformed};
use crate::hello::{HelloCore, HelloReply, Limits, agreed_record_bytes};
use crate::keys::{Suite, Suites, wipe_stack};
use crate::noise::{ResponderNamed, ResponderStart};
use crate::packet::{HELLO_REPLY_BYTES, PacketType, RESPONSE_BYTES, VERSION};
use crate::session::{Agreement, Carriage, Role, Session};
use crate::token::{SourceAddress, TokenSubject, Tokens};

const RESPONSE_PAYLOAD_BYTES: usize = 32;
/// Noise message 1: the ephemeral key, the sealed static key, the sealed payload.
const NOISE_MESSAGE_BYTES: usize = 32 + (32 + 16) + (INITIATION_PAYLOAD_BYTES + 16);

/// Where clients knock. Holds the server's key, the keys of its tokens, and for seconds which were used
/// and how many by which site.
pub struct Door {
    current: OwnKey,
    /// The one before, for clients that have not heard of the current one.
    old: Option<OwnKey>,
    suites: Suites,
    limits: Limits,
    tokens: Tokens,
}

/// A key of the server's.
struct OwnKey {
    /// Sessions that were begun with it renew their keys with it.
    secret: Arc<Zeroizing<[u8; 32]>>,
    public: PublicKey,
}

impl OwnKey {
    fn new(secret: &[u8; 32]) -> Self {
        let own = x25519_dalek::StaticSecret::from(*secret);
        Self {
            secret: Arc::new(Zeroizing::new(*secret)),
            public: PublicKey(x25519_dalek::PublicKey::from(&own).to_bytes()),
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Door")
            .field("public", &self.current.public)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// A door for the server that owns the key `own`.
    pub fn new(
        now: Timestamp,
        own: &[u8; 32],
        suites: Suites,
        limits: Limits,
        random: &mut dyn CryptoRng,
    ) -> Self {
        Self {
            current: OwnKey::new(own),
            old: None,
            suites,
            limits,
            tokens: Tokens::new(now, random),
        }
    }

    /// From now on the server has the key `current`, and is still met as the owner of `old` by clients that know only that
    /// one: they hear of the current one when they are accepted.
    pub fn set_keys(&mut self, current: &[u8; 32], old: Option<&[u8; 32]>) {
        self.current = OwnKey::new(current);
        self.old = old.map(OwnKey::new);
    }

    /// The key that the client expects, if it is one of the server's, else the current one.
    fn key_for(&self, core: &HelloCore) -> &OwnKey {
        let is_expected = |key: &&OwnKey| {
            let fingerprint = key.public.fingerprint();
            fingerprint.as_bytes().first_chunk() == Some(&core.pin_hint)
        };
        self.old
            .as_ref()
            .filter(is_expected)
            .unwrap_or(&self.current)
    }

    /// Answers a HELLO. Costs one keyed hash and keeps nothing.
    ///
    /// `busy_ms` asks the client to come back later instead, as it is asked anyway when its site has begun as many handshakes
    /// as one may: 1,000 at once, 500 a second.
    ///
    /// # Errors
    ///
    /// When it is none, or no cipher is common. A client of another version gets an answer that tells it so.
    pub fn handle_hello(
        &mut self,
        now: Timestamp,
        source: &SourceAddress,
        packet: &[u8],
        busy_ms: Option<u32>,
        random: &mut dyn CryptoRng,
    ) -> Result<[u8; HELLO_REPLY_BYTES], HandshakeError> {
        let core = HelloCore::parse_hello(packet)?;
        let suite = self.suites.choose(core.suites)?;
        let mut reply = self.reply(&core, suite);
        let subject = TokenSubject {
            source,
            core: &core,
            version: reply.version,
            suite: reply.suite,
            server_key: &reply.server_key,
        };
        reply.token = self.tokens.issue(now, &subject, random);
        reply.busy_ms = busy_ms.or_else(|| self.tokens.busy_ms(now, source));
        Ok(reply.to_bytes())
    }

    /// Whether a client that said this HELLO, and was answered, can go on.
    ///
    /// # Errors
    ///
    /// When it is none, or there is no version in common: the client learns it from the reply, and goes without a word.
    pub fn check_version(hello: &[u8]) -> Result<(), HandshakeError> {
        HelloCore::parse_hello(hello)?.common_version().map(drop)
    }

    /// The reply to `core`, without a token.
    fn reply(&self, core: &HelloCore, suite: Suite) -> HelloReply {
        HelloReply {
            versions: (VERSION, VERSION),
            suites: self.suites,
            nonce: core.nonce,
            server_key: self.key_for(core).public,
            version: VERSION,
            suite: suite.number(),
            busy_ms: None,
            token: [0; 32],
        }
    }

    /// Takes an HS1 as far as the client's name: one Diffie-Hellman step of five.
    ///
    /// # Errors
    ///
    /// When it is none, its token is not valid or its site has begun too many handshakes (nothing expensive was done then), or
    /// it was altered.
    pub fn handle_initiation(
        &mut self,
        now: Timestamp,
        source: &SourceAddress,
        packet: &[u8],
    ) -> Result<Initiation, HandshakeError> {
        let mut reader = PacketType::Initiation.body(packet)?;
        let index = reader.array()?;
        reader.zeros(8)?;
        let core = HelloCore::parse(reader.array()?)?;
        let token = reader.array()?;
        let noise_message = reader.take(NOISE_MESSAGE_BYTES)?;
        let padding = reader.rest();
        Reader::new(padding).zeros(padding.len())?;

        core.common_version()?;
        let record_bytes = agreed_record_bytes(self.limits.record_kib, core.record_kib)?;
        let suite = self.suites.choose(core.suites)?;
        let own = self.key_for(&core);
        let (secret, server_key) = (Arc::clone(&own.secret), own.public);
        let newer = (server_key != self.current.public).then_some(self.current.public);
        let subject = TokenSubject {
            source,
            core: &core,
            version: VERSION,
            suite: suite.number(),
            server_key: &server_key,
        };
        self.tokens.accept(now, &token, &subject)?;

        let reply = HelloReply {
            token,
            ..self.reply(&core, suite)
        };
        let prologue = reply.prologue(&core);
        let noise = ResponderStart {
            prologue: &prologue,
            own: &secret,
        }
        .read(noise_message)?;
        Ok(Initiation {
            noise,
            own: secret,
            index,
            suite,
            record_bytes,
            granted: self.limits,
            newer,
        })
    }
}

/// An HS1 whose sender is named and not yet proved.
pub struct Initiation {
    noise: ResponderNamed,
    own: Arc<Zeroizing<[u8; 32]>>,
    index: [u8; 4],
    suite: Suite,
    record_bytes: usize,
    granted: Limits,
    /// What the client is to hear when it is accepted.
    newer: Option<PublicKey>,
}

impl std::fmt::Debug for Initiation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Initiation")
            .field("client", &self.client_key())
            .finish_non_exhaustive()
    }
}

impl Initiation {
    /// Who the client claims to be: refuse a revoked key here, before the rest is computed.
    #[must_use]
    pub const fn client_key(&self) -> PublicKey {
        self.noise.initiator()
    }

    /// Goes on: makes the HS2 to send. `server_index` names the session in datagrams.
    ///
    /// # Errors
    ///
    /// When the client does not own the key it named.
    pub fn accept(
        self,
        now: Timestamp,
        server_index: u32,
        random: &mut dyn CryptoRng,
    ) -> Result<(Session, [u8; RESPONSE_BYTES]), HandshakeError> {
        self.into_session(now, server_index, Carriage::Records, random)
    }

    /// The same where packets are datagrams.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_datagrams(
        self,
        now: Timestamp,
        server_index: u32,
        random: &mut dyn CryptoRng,
    ) -> Result<(Session, [u8; RESPONSE_BYTES]), HandshakeError> {
        let carriage = Carriage::Datagrams {
            receiver: u32::from_le_bytes(self.index),
            // A server says little, and tries no longer ones.
            most_bytes: 0,
        };
        self.into_session(now, server_index, carriage, random)
    }

    fn into_session(
        self,
        now: Timestamp,
        server_index: u32,
        carriage: Carriage,
        random: &mut dyn CryptoRng,
    ) -> Result<(Session, [u8; RESPONSE_BYTES]), HandshakeError> {
        let peer = self.noise.initiator();
        let (noise, payload) = self.noise.verify::<INITIATION_PAYLOAD_BYTES>()?;
        let mut reader = Reader::new(&payload);
        let payload_version = reader.u8()?;
        if payload_version != INITIATION_PAYLOAD_VERSION {
            return Err(Malformed::Number(payload_version.into()).into());
        }
        reader.zeros(INITIATION_PAYLOAD_BYTES.saturating_sub(1))?;

        let mut packet = Vec::with_capacity(RESPONSE_BYTES);
        PacketType::Response.put_header(&mut packet);
        packet.put_u32(server_index);
        packet.put(&self.index);
        packet.put_u32(0);
        let finished = noise.write(random, &granted_payload(&self.granted), &mut packet)?;
        wipe_stack();
        let agreement = Agreement {
            role: Role::Server,
            own: self.own,
            suite: self.suite,
            peer,
            record_bytes: self.record_bytes,
            granted: self.granted,
            finished,
            carriage,
        };
        let session = Session::new(now, agreement)?.with_newer_key(self.newer);
        Ok((session, padded(packet)))
    }
}

fn granted_payload(limits: &Limits) -> [u8; RESPONSE_PAYLOAD_BYTES] {
    let mut out = Vec::with_capacity(RESPONSE_PAYLOAD_BYTES);
    out.put_u16(limits.record_kib);
    out.put_u16(limits.datagram_bytes);
    out.put_u32(limits.keepalive_ms);
    out.put_u32(limits.frame_kib);
    out.put_u8(limits.streams);
    padded(out)
}

pub(crate) fn parse_granted(payload: &[u8; RESPONSE_PAYLOAD_BYTES]) -> Result<Limits, Malformed> {
    let mut reader = Reader::new(payload);
    let limits = Limits {
        record_kib: reader.u16()?,
        datagram_bytes: reader.u16()?,
        keepalive_ms: reader.u32()?,
        frame_kib: reader.u32()?,
        streams: reader.u8()?,
    };
    reader.zeros(19)?;
    reader.end()?;
    Ok(limits)
}
