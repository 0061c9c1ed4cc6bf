//! The packets of a handshake, whatever carries them.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::client::{ExpectHelloReply, ExpectResponse};
use sdvr_session::{HELLO_BYTES, INITIATION_BYTES, Limits, Session, Suites};
use sdvr_trust::{KnownServers, ServerDecision};
use tracing::info;

use super::{Greeter, GreetingError};

/// What was said last, and what its answer is.
#[derive(Debug)]
pub(super) struct Handshake {
    state: State,
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

/// What follows from a packet.
#[derive(Debug)]
pub(super) enum Step {
    /// This is said next.
    Say(Box<[u8; INITIATION_BYTES]>),
    /// The server has proved who it is.
    Done(Box<Session>),
}

impl Handshake {
    /// Gives the HELLO to be said.
    pub(super) fn begin(greeter: Greeter<'_>) -> Result<(Self, [u8; HELLO_BYTES]), GreetingError> {
        let known = KnownServers::new(greeter.keys);
        let pin = known.expected_key(&greeter.config.server.to_string())?;
        let mut random = UnwrapErr(SysRng);
        let (expect, hello) = ExpectHelloReply::start(
            Suites::of_this_machine(),
            Limits::default(),
            pin.as_ref(),
            &mut random,
        );
        let state = State::Hello(expect);
        Ok((Self { state }, hello))
    }

    /// Whether the server knows which camera this is.
    pub(super) const fn has_named_camera(&self) -> bool {
        matches!(self.state, State::Proving { .. })
    }

    /// Whether a datagram is the answer to what was said last. Anybody may have sent it.
    pub(super) fn is_answered_by(&self, packet: &[u8]) -> bool {
        match &self.state {
            State::Hello(expect) => expect.is_answered_by(packet),
            State::Proving { expect, .. } => expect.is_answered_by(packet),
            State::Over => false,
        }
    }

    /// Takes the server's answer. `most_datagram_bytes` is what the link carries, if packets are datagrams.
    pub(super) fn handle_packet(
        &mut self,
        now: Timestamp,
        packet: &[u8],
        most_datagram_bytes: Option<u16>,
        greeter: Greeter<'_>,
    ) -> Result<Step, GreetingError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Hello(expect) => self.handle_reply(expect, packet, greeter),
            State::Proving {
                expect,
                version,
                is_first_contact,
            } => {
                let session = match most_datagram_bytes {
                    None => expect.handle_response(now, packet),
                    Some(most) => expect.handle_datagram_response(now, packet, most),
                }?;
                remember(&session, version, is_first_contact, greeter)?;
                Ok(Step::Done(Box::new(session)))
            }
            State::Over => Err(GreetingError::Closed),
        }
    }

    /// Compares the server's key before anything is sealed to it.
    fn handle_reply(
        &mut self,
        expect: ExpectHelloReply,
        packet: &[u8],
        greeter: Greeter<'_>,
    ) -> Result<Step, GreetingError> {
        let offer = expect.handle_reply(packet)?;
        let version = offer.version();
        let decision = KnownServers::new(greeter.keys).decide(
            &greeter.config.server.to_string(),
            &offer.server_key(),
            version,
            greeter.config.server_key,
        )?;
        let is_first_contact = match decision {
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
        let own = greeter.own.expose();
        let (expect, initiation) = offer.initiate(own, &mut UnwrapErr(SysRng))?;
        self.state = State::Proving {
            expect,
            version,
            is_first_contact,
        };
        Ok(Step::Say(Box::new(initiation)))
    }
}

/// Pins the key that the server has just proved.
fn remember(
    session: &Session,
    version: u8,
    is_first_contact: bool,
    greeter: Greeter<'_>,
) -> Result<(), GreetingError> {
    let address = greeter.config.server.to_string();
    KnownServers::new(greeter.keys).remember(&address, &session.peer(), version)?;
    if is_first_contact {
        info!(server = %address, fingerprint = %session.peer().fingerprint(), "first contact: the server's key is remembered from now on");
    }
    Ok(())
}
