//! The handshake with a server, up to a session: who it is, whether it is the right one.

mod handshake;
mod knocking;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::{HandshakeError, Packet, Session, next_handshake_packet};
use sdvr_transport::{ConnectError, Received, TcpLink};
use sdvr_trust::{KeyDirectory, Mismatch, SecretKey, TrustError};

use self::handshake::{Handshake, Step};
use self::knocking::Knocking;
use crate::carrier::Carrier;
use crate::config::Config;
use crate::datagram_link::SocketError;
use crate::dial::Found;

/// How long the server may take.
const GREETING_TIME: Duration = Duration::from_secs(5);
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
    #[error(
        "the server does not answer any more since this camera has named its key: it is overloaded, or takes only cameras that it knows (--accept closed); its log says which"
    )]
    Ignored,
    #[error("the server does not answer")]
    Silent,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Socket(#[from] SocketError),
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

/// Who greets: what this camera is, and whom it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeter<'a> {
    pub(crate) config: &'a Config,
    pub(crate) keys: &'a KeyDirectory,
    pub(crate) own: &'a SecretKey,
}

/// A handshake under way.
#[derive(Debug)]
pub(crate) struct Greeting {
    since: Timestamp,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Connection {
        link: TcpLink,
        received: Vec<u8>,
        handshake: Handshake,
    },
    Datagrams(Box<Knocking>),
}

/// A session, and what carries it.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) carrier: Carrier,
    pub(crate) session: Session,
}

impl Greeting {
    /// Sends HELLO.
    pub(crate) fn start(
        found: Found,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<Self, GreetingError> {
        let way = match found {
            Found::Connection(link) => {
                let (handshake, hello) = Handshake::begin(greeter)?;
                send(&link, &hello)?;
                Way::Connection {
                    link,
                    received: Vec::new(),
                    handshake,
                }
            }
            Found::Peers(peers) => Way::Datagrams(Box::new(Knocking::start(peers, now, greeter)?)),
        };
        Ok(Self { since: now, way })
    }

    /// When [`Self::handle_time`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let again = match &self.way {
            Way::Connection { .. } => Timestamp::NEVER,
            Way::Datagrams(knocking) => knocking.poll_timeout(),
        };
        again.min(self.since + GREETING_TIME)
    }

    /// What is waited for: the server's answers, and that its host says that nobody is there.
    pub(crate) fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        match &self.way {
            Way::Connection { link, .. } => [Some(link.as_fd()), None],
            Way::Datagrams(knocking) => knocking.descriptors(),
        }
    }

    /// Acts on time that has passed.
    pub(crate) fn handle_time(
        &mut self,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<(), GreetingError> {
        if now.saturating_since(self.since) >= GREETING_TIME {
            return Err(GreetingError::Silent);
        }
        match &mut self.way {
            Way::Connection { .. } => Ok(()),
            Way::Datagrams(knocking) => knocking.handle_time(now, greeter),
        }
    }

    /// Reads what the server sent; gives the session when there is one. Nothing is to be read afterwards.
    pub(crate) fn handle_readable(
        &mut self,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<Option<Session>, GreetingError> {
        match &mut self.way {
            Way::Connection {
                link,
                received,
                handshake,
            } => read(now, link, received, handshake, greeter),
            Way::Datagrams(knocking) => knocking.handle_readable(now, greeter),
        }
    }

    /// The session, with what has carried its handshake.
    pub(crate) fn greeted(self, session: Session) -> Greeted {
        let carrier = match self.way {
            Way::Connection { link, .. } => Carrier::of_connection(link),
            Way::Datagrams(knocking) => {
                let (link, round_trip) = knocking.into_link();
                Carrier::of_datagrams(link, round_trip)
            }
        };
        Greeted { carrier, session }
    }
}

fn read(
    now: Timestamp,
    link: &TcpLink,
    received: &mut Vec<u8>,
    handshake: &mut Handshake,
    greeter: Greeter<'_>,
) -> Result<Option<Session>, GreetingError> {
    let mut buffer = [0; GREETING_BYTES];
    match link.read(&mut buffer) {
        Ok(Received::Bytes(bytes)) => {
            received.extend_from_slice(buffer.get(..bytes).unwrap_or_default());
        }
        Ok(Received::Nothing) => return Ok(None),
        Ok(Received::End) | Err(_) if handshake.has_named_camera() => {
            return Err(GreetingError::Unheard);
        }
        Ok(Received::End) | Err(_) => return Err(GreetingError::Closed),
    }
    while let Packet::Complete(bytes) =
        next_handshake_packet(received).map_err(HandshakeError::Malformed)?
    {
        let packet: Vec<u8> = received.drain(..bytes).collect();
        match handshake.handle_packet(now, &packet, None, greeter)? {
            Step::Say(initiation) => send(link, initiation.as_slice())?,
            Step::Done(session) => return Ok(Some(*session)),
        }
    }
    Ok(None)
}

fn send(link: &TcpLink, packet: &[u8]) -> Result<(), GreetingError> {
    match link.write(packet) {
        Ok(written) if written == packet.len() => Ok(()),
        Ok(_) | Err(_) => Err(GreetingError::Closed),
    }
}
