//! The handshake with a server, up to a session: who it is, whether it is the right one.

use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::client::{ExpectHelloReply, ExpectResponse};
use sdvr_session::{HandshakeError, Limits, Packet, Session, Suites, next_handshake_packet};
use sdvr_transport::{Received, TcpLink};
use sdvr_trust::{KeyDirectory, KnownServers, Mismatch, SecretKey, ServerDecision, TrustError};
use tracing::info;

use crate::config::Config;

/// How long the server may take.
pub(crate) const GREETING_TIME: Duration = Duration::from_secs(5);
/// More than both of the server's packets have.
const GREETING_BYTES: usize = 1024;

/// Why there was no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetingError {
    #[error("the server has closed the connection")]
    Closed,
    #[error(
        "the server has closed the connection when this camera had named its key: it is overloaded, or takes only cameras that it knows (--accept closed); its log says which"
    )]
    Unheard,
    #[error("the server does not answer")]
    Silent,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    #[error(
        "the server speaks an older protocol ({offered}) than it did before ({known}); someone may be in between. Nothing was sent"
    )]
    OlderVersion { offered: u8, known: u8 },
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A handshake under way.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) link: TcpLink,
    pub(crate) since: Timestamp,
    state: State,
    received: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Hello(ExpectHelloReply),
    Proving {
        expect: ExpectResponse,
        version: u8,
        is_first_contact: bool,
    },
    /// Only while a packet is handled, or after one that failed.
    Over,
}

impl Greeting {
    /// Sends HELLO.
    pub(crate) fn start(
        link: TcpLink,
        now: Timestamp,
        config: &Config,
        keys: &KeyDirectory,
    ) -> Result<Self, GreetingError> {
        let pin = KnownServers::new(keys).expected_key(&config.server.to_string())?;
        let mut random = UnwrapErr(SysRng);
        let (expect, hello) = ExpectHelloReply::start(
            Suites::of_this_machine(),
            Limits::default(),
            pin.as_ref(),
            &mut random,
        );
        send(&link, &hello)?;
        Ok(Self {
            link,
            since: now,
            state: State::Hello(expect),
            received: Vec::new(),
        })
    }

    /// Reads what the server sent; gives the session when there is one.
    pub(crate) fn handle_readable(
        &mut self,
        now: Timestamp,
        config: &Config,
        keys: &KeyDirectory,
        own: &SecretKey,
    ) -> Result<Option<Session>, GreetingError> {
        let mut buffer = [0; GREETING_BYTES];
        match self.link.read(&mut buffer) {
            Ok(Received::Bytes(bytes)) => self
                .received
                .extend_from_slice(buffer.get(..bytes).unwrap_or_default()),
            Ok(Received::Nothing) => return Ok(None),
            Ok(Received::End) | Err(_) => {
                return Err(match self.state {
                    State::Proving { .. } => GreetingError::Unheard,
                    State::Hello(_) | State::Over => GreetingError::Closed,
                });
            }
        }
        while let Packet::Complete(bytes) =
            next_handshake_packet(&self.received).map_err(HandshakeError::Malformed)?
        {
            let packet: Vec<u8> = self.received.drain(..bytes).collect();
            match std::mem::replace(&mut self.state, State::Over) {
                State::Hello(expect) => self.handle_reply(expect, &packet, config, keys, own)?,
                State::Proving {
                    expect,
                    version,
                    is_first_contact,
                } => {
                    let session = expect.handle_response(now, &packet)?;
                    remember(&session, version, is_first_contact, config, keys)?;
                    return Ok(Some(session));
                }
                State::Over => return Err(GreetingError::Closed),
            }
        }
        Ok(None)
    }

    /// Compares the server's key before anything is sealed to it.
    fn handle_reply(
        &mut self,
        expect: ExpectHelloReply,
        packet: &[u8],
        config: &Config,
        keys: &KeyDirectory,
        own: &SecretKey,
    ) -> Result<(), GreetingError> {
        let offer = expect.handle_reply(packet)?;
        let version = offer.version();
        let is_first_contact = match KnownServers::new(keys).decide(
            &config.server.to_string(),
            &offer.server_key(),
            version,
            config.server_key,
        )? {
            ServerDecision::Known => false,
            ServerDecision::FirstContact => true,
            ServerDecision::Mismatch(mismatch) => {
                return Err(GreetingError::Mismatch(Box::new(mismatch)));
            }
            ServerDecision::OlderVersion { known } => {
                return Err(GreetingError::OlderVersion {
                    offered: version,
                    known,
                });
            }
        };
        let (expect, initiation) = offer.initiate(own.expose(), &mut UnwrapErr(SysRng))?;
        send(&self.link, &initiation)?;
        self.state = State::Proving {
            expect,
            version,
            is_first_contact,
        };
        Ok(())
    }
}

/// Pins the key that the server has just proved.
fn remember(
    session: &Session,
    version: u8,
    is_first_contact: bool,
    config: &Config,
    keys: &KeyDirectory,
) -> Result<(), GreetingError> {
    let address = config.server.to_string();
    KnownServers::new(keys).remember(&address, &session.peer(), version)?;
    if is_first_contact {
        info!(server = %address, fingerprint = %session.peer().fingerprint(), "first contact: the server's key is remembered from now on");
    }
    Ok(())
}

fn send(link: &TcpLink, packet: &[u8]) -> Result<(), GreetingError> {
    match link.write(packet) {
        Ok(written) if written == packet.len() => Ok(()),
        Ok(_) | Err(_) => Err(GreetingError::Closed),
    }
}
