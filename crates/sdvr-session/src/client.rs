//! The client's way to a session: one type for each thing it waits for.

use std::sync::Arc;

use rand_core::CryptoRng;
use sdvr_frame::{PublicKey, Timestamp};
use zeroize::Zeroizing;

use crate::codec::{Put, padded};
use crate::error::{HandshakeError, Malformed};
use crate::hello::{HelloCore, HelloReply, Limits, agreed_record_bytes};
use crate::keys::{Suite, Suites, wipe_stack};
use crate::noise::{InitiatorStart, InitiatorWaiting};
use crate::packet::{HELLO_BYTES, INITIATION_BYTES, PacketType};
use crate::server::parse_granted;
use crate::session::{Agreement, Carriage, Role, Session};

/// A client that has sent HELLO.
#[derive(Clone, Debug)]
pub struct ExpectHelloReply {
    core: HelloCore,
    limits: Limits,
}

impl ExpectHelloReply {
    /// Makes the HELLO to send. `pin` is the key this client expects, if it knows the server.
    pub fn start(
        suites: Suites,
        limits: Limits,
        pin: Option<&PublicKey>,
        random: &mut dyn CryptoRng,
    ) -> (Self, [u8; HELLO_BYTES]) {
        let core = HelloCore::new(suites, &limits, pin, random);
        let hello = core.hello();
        (Self { core, limits }, hello)
    }

    /// Whether `packet` answers this HELLO: where packets are datagrams anybody may send others, which are to be left alone.
    #[must_use]
    pub fn is_answered_by(&self, packet: &[u8]) -> bool {
        HelloReply::parse(packet).is_ok_and(|reply| reply.nonce == self.core.nonce)
    }

    /// Takes the server's HELLO_REPLY.
    ///
    /// # Errors
    ///
    /// When it is none, does not answer this HELLO, the server is busy, or chose what was not offered.
    pub fn handle_reply(self, packet: &[u8]) -> Result<ServerOffer, HandshakeError> {
        let reply = HelloReply::parse(packet)?;
        if reply.nonce != self.core.nonce {
            return Err(HandshakeError::WrongNonce);
        }
        let (lowest, highest) = reply.versions;
        if reply.version != self.core.common_version()?
            || !(lowest..=highest).contains(&reply.version)
        {
            return Err(HandshakeError::Version { lowest, highest });
        }
        if let Some(retry_after_ms) = reply.busy_ms {
            return Err(HandshakeError::Busy { retry_after_ms });
        }
        let suite = reply.chosen_suite()?;
        if self.core.suites.choose(reply.suites)? != suite {
            return Err(HandshakeError::Suite);
        }
        Ok(ServerOffer {
            core: self.core,
            limits: self.limits,
            reply,
            suite,
        })
    }
}

/// A client that knows who the server claims to be. Nothing has been sealed to that key yet.
#[derive(Debug)]
pub struct ServerOffer {
    core: HelloCore,
    limits: Limits,
    reply: HelloReply,
    suite: Suite,
}

impl ServerOffer {
    /// The key to compare with the pin before going on.
    #[must_use]
    pub const fn server_key(&self) -> PublicKey {
        self.reply.server_key
    }

    /// The protocol version the session will have.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.reply.version
    }

    /// Goes on: makes the HS1 to send.
    ///
    /// # Errors
    ///
    /// When the server's key is no key.
    pub fn initiate(
        self,
        own: &[u8; 32],
        random: &mut dyn CryptoRng,
    ) -> Result<(ExpectResponse, [u8; INITIATION_BYTES]), HandshakeError> {
        let mut index = [0; 4];
        random.fill_bytes(&mut index);
        let mut packet = Vec::with_capacity(INITIATION_BYTES);
        PacketType::Initiation.put_header(&mut packet);
        packet.put(&index);
        packet.put(&[0; 8]);
        packet.put(self.core.bytes());
        packet.put(&self.reply.token);
        let prologue = self.reply.prologue(&self.core);
        let start = InitiatorStart {
            prologue: &prologue,
            own,
            responder: self.reply.server_key,
        };
        let mut payload = [0; INITIATION_PAYLOAD_BYTES];
        payload[0] = INITIATION_PAYLOAD_VERSION;
        let noise = start.write(random, &payload, &mut packet)?;
        let waiting = ExpectResponse {
            noise,
            own: Arc::new(Zeroizing::new(*own)),
            index,
            limits: self.limits,
            suite: self.suite,
            server_key: self.reply.server_key,
        };
        Ok((waiting, padded(packet)))
    }
}

pub(crate) const INITIATION_PAYLOAD_BYTES: usize = 24;
pub(crate) const INITIATION_PAYLOAD_VERSION: u8 = 1;

/// A client that has sent HS1.
pub struct ExpectResponse {
    noise: InitiatorWaiting,
    own: Arc<Zeroizing<[u8; 32]>>,
    index: [u8; 4],
    limits: Limits,
    suite: Suite,
    server_key: PublicKey,
}

impl std::fmt::Debug for ExpectResponse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ExpectResponse")
            .field("server_key", &self.server_key)
            .finish_non_exhaustive()
    }
}

impl ExpectResponse {
    /// Takes HS2. The server has then proved that it owns its key: a new one may be pinned now.
    ///
    /// # Errors
    ///
    /// When it is none, or the server does not own the key it named.
    pub fn handle_response(self, now: Timestamp, packet: &[u8]) -> Result<Session, HandshakeError> {
        self.into_session(now, packet, |_| Carriage::Records)
    }

    /// The same where packets are datagrams, of which this end's link carries at most `most_bytes`. Those of the session name it by
    /// [`Self::index`].
    ///
    /// # Errors
    ///
    /// As [`Self::handle_response`]. Others may have sent what is no answer: ask [`Self::is_answered_by`] before.
    pub fn handle_datagram_response(
        self,
        now: Timestamp,
        packet: &[u8],
        most_bytes: u16,
    ) -> Result<Session, HandshakeError> {
        self.into_session(now, packet, |receiver| Carriage::Datagrams {
            receiver,
            most_bytes,
        })
    }

    /// Whether `packet` names this HS1. Where packets are datagrams others are to be left alone.
    #[must_use]
    pub fn is_answered_by(&self, packet: &[u8]) -> bool {
        let named = PacketType::Response.body(packet).and_then(|mut reader| {
            reader.u32()?;
            reader.array()
        });
        named == Ok(self.index)
    }

    /// How datagrams for this client name the session.
    #[must_use]
    pub const fn index(&self) -> u32 {
        u32::from_le_bytes(self.index)
    }

    fn into_session(
        self,
        now: Timestamp,
        packet: &[u8],
        carriage: impl FnOnce(u32) -> Carriage,
    ) -> Result<Session, HandshakeError> {
        let mut reader = PacketType::Response.body(packet)?;
        let server_index = reader.u32()?;
        if reader.array()? != self.index {
            return Err(HandshakeError::WrongNonce);
        }
        reader.zeros(4)?;
        let (finished, payload) = self.noise.read(reader.rest())?;
        wipe_stack();
        let granted = parse_granted(&payload)?;
        if granted.streams == 0 || granted.frame_kib == 0 {
            return Err(Malformed::Number(0).into());
        }
        let record_bytes = agreed_record_bytes(self.limits.record_kib, granted.record_kib)?;
        Session::new(
            now,
            Agreement {
                role: Role::Client,
                own: self.own,
                suite: self.suite,
                peer: self.server_key,
                record_bytes,
                granted,
                finished,
                carriage: carriage(server_index),
            },
        )
    }
}
