//! A connection of somebody who was not let in yet: the handshake, packet by packet.

use std::net::SocketAddr;
use std::time::Duration;

use rand_core::CryptoRng;
use sdvr_frame::{Allowance, Fingerprint, Label, PublicKey, Timestamp};
use sdvr_session::server::Door as Handshake;
use sdvr_session::{
    Event, HandshakeError, Packet, Session, SessionError, Setup, Site, SourceAddress,
    next_handshake_packet, next_record,
};
use sdvr_transport::{Received, TcpLink};

use crate::door::Stranger;
use crate::ingest::{Carrier, RecordCarrier};
use crate::peer::Peer;

/// All that a stranger may send before it is let in or out.
const STRANGER_BYTES: usize = 8 * 1024;
/// How long a stranger may take, however it spreads its bytes.
pub(crate) const STRANGER_TIME: Duration = Duration::from_secs(5);

/// Why a stranger was turned away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error("it went away")]
    Gone,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("it was silent for {} s", STRANGER_TIME.as_secs())]
    Slow,
    #[error("others came that wait for less long")]
    Crowded,
    #[error("more greet at once than are answered")]
    Unanswered,
    #[error("it sent more than a greeting")]
    TooMuch,
    #[error("the key {0} is not known, and --accept closed takes no new ones")]
    Unknown(Fingerprint),
}

/// How far the handshake is.
#[derive(Debug)]
enum State {
    /// Nothing is known.
    Greeting,
    /// The stranger got a token. If it will find that it cannot go on, this is why.
    Proving(Result<(), HandshakeError>),
    /// The stranger proved its key; only its first record shows that the handshake is no replay.
    Introducing(Box<Session>),
}

/// What one read of a stranger led to.
pub(crate) enum Progress {
    /// Wait for more.
    Waiting,
    /// It introduced itself: decide. The knock has given away its session.
    Introduced(Box<Session>, Setup),
}

/// A stranger's connection.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) link: TcpLink,
    pub(crate) peer: SocketAddr,
    since: Timestamp,
    source: SourceAddress,
    state: State,
    received: Vec<u8>,
    received_total: usize,
}

impl Stranger for Knock {
    fn site(&self) -> Site {
        self.source.site()
    }

    fn since(&self) -> Timestamp {
        self.since
    }
}

impl Knock {
    pub(crate) fn new(link: TcpLink, peer: SocketAddr, now: Timestamp) -> Self {
        Self {
            link,
            peer,
            since: now,
            source: peer.into(),
            state: State::Greeting,
            received: Vec::new(),
            received_total: 0,
        }
    }

    /// Whose key it is, once proved.
    pub(crate) fn key(&self) -> Option<PublicKey> {
        match &self.state {
            State::Introducing(session) => Some(session.peer()),
            State::Greeting | State::Proving(_) => None,
        }
    }

    /// It hung up.
    fn why_gone(&self) -> TurnedAway {
        match &self.state {
            State::Proving(Err(error)) => (*error).into(),
            _ => TurnedAway::Gone,
        }
    }

    /// Reads what the stranger sent and answers it. `hellos` says how many may still be answered that begin, and
    /// nothing more is computed for who names a key that `refuses`.
    pub(crate) fn handle_readable(
        &mut self,
        now: Timestamp,
        handshake: &mut Handshake,
        hellos: &mut Allowance,
        refuses: impl Fn(&PublicKey) -> bool,
        random: &mut dyn CryptoRng,
    ) -> Result<Progress, TurnedAway> {
        let mut buffer = [0; STRANGER_BYTES];
        match self.link.read(&mut buffer) {
            Ok(Received::Bytes(bytes)) => {
                self.received_total += bytes;
                if self.received_total > STRANGER_BYTES {
                    return Err(TurnedAway::TooMuch);
                }
                self.received
                    .extend_from_slice(buffer.get(..bytes).unwrap_or_default());
            }
            Ok(Received::Nothing) => return Ok(Progress::Waiting),
            Ok(Received::End) | Err(_) => return Err(self.why_gone()),
        }
        while let Some(mut packet) = self.next_packet()? {
            if let Some(introduced) =
                self.handle_packet(now, &mut packet, handshake, hellos, &refuses, random)?
            {
                return Ok(introduced);
            }
        }
        Ok(Progress::Waiting)
    }

    /// The connection of who is let in, and the bytes that came after the packet which let it in.
    pub(crate) fn into_carrier(self) -> RecordCarrier {
        RecordCarrier::new(self.link, Peer::Connection(self.peer), self.received)
    }

    fn next_packet(&mut self) -> Result<Option<Vec<u8>>, TurnedAway> {
        let next = match &self.state {
            State::Introducing(session) => {
                next_record(&self.received, session.longest_record_bytes())
            }
            State::Greeting | State::Proving(_) => next_handshake_packet(&self.received),
        };
        match next.map_err(HandshakeError::Malformed)? {
            Packet::NeedsMore(_) => Ok(None),
            Packet::Complete(bytes) => Ok(Some(self.received.drain(..bytes).collect())),
        }
    }

    fn handle_packet(
        &mut self,
        now: Timestamp,
        packet: &mut [u8],
        handshake: &mut Handshake,
        hellos: &mut Allowance,
        refuses: impl Fn(&PublicKey) -> bool,
        random: &mut dyn CryptoRng,
    ) -> Result<Option<Progress>, TurnedAway> {
        let source = self.source;
        match std::mem::replace(&mut self.state, State::Greeting) {
            State::Greeting => {
                if !hellos.take(now) {
                    return Err(TurnedAway::Unanswered);
                }
                let reply = handshake.handle_hello(now, &source, packet, None, random)?;
                self.send(&reply)?;
                self.state = State::Proving(Handshake::check_version(packet));
            }
            State::Proving(_) => {
                let initiation = handshake.handle_initiation(now, &source, packet)?;
                let key = initiation.client_key();
                if refuses(&key) {
                    return Err(TurnedAway::Unknown(key.fingerprint()));
                }
                let (session, response) = initiation.accept(now, 0, random)?;
                self.send(&response)?;
                self.state = State::Introducing(Box::new(session));
            }
            State::Introducing(mut session) => {
                session.handle_record(now, packet)?;
                if let Some(Event::Setup(setup)) = session.poll_event() {
                    return Ok(Some(Progress::Introduced(session, setup)));
                }
                self.state = State::Introducing(session);
            }
        }
        Ok(None)
    }

    /// Sends a reply that fits any socket buffer: a stranger that does not read is none we wait for.
    fn send(&self, reply: &[u8]) -> Result<(), TurnedAway> {
        match self.link.write(reply) {
            Ok(written) if written == reply.len() => Ok(()),
            Ok(_) | Err(_) => Err(TurnedAway::Gone),
        }
    }
}

/// A camera that may stream, on its way from the door to its shard.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) session: Box<Session>,
    pub(crate) carrier: Carrier,
    pub(crate) label: Label,
    /// The keys under which it may have come before.
    pub(crate) other_keys: Vec<PublicKey>,
}
