//! A handshake by datagrams, which may be lost: what was said is said again, at one address of the server after the other.
//!
//! ```text
//! HELLO ──► 250 ms ──► HELLO ──► 500 ms ──► the next address, from the beginning
//!   └──► HELLO_REPLY ──► HS1 ──► 250 ms ──► HS1 ──► 500 ms ──► HS1 ──► 1 s ──► the server takes no notice of this camera
//!                         └──► HS2: a session
//! ```

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::{HandshakeError, Session};
use sdvr_transport::ConnectError;

use super::handshake::{Handshake, Step};
use super::{Greeter, GreetingError};
use crate::datagram_link::{DatagramLink, Peer, Refusal, SocketError};
use crate::retry::at_random_up_to;

/// How long an answer is waited for at first; twice as long each time.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
/// … and at most: when a link is back, frames flow within three seconds.
const AGAIN_MOST: Duration = Duration::from_secs(1);
/// How often HELLO is said at one of several addresses.
const HELLOS: u32 = 2;
/// How often HS1 is said. A server that has begun to answer does so in a moment.
const INITIATIONS: u32 = 3;
/// System calls for one readiness, so that a flood does not keep the source waiting.
const RECEIVES_MOST: u32 = 8;

/// A handshake by datagrams.
#[derive(Debug)]
pub(super) struct Knocking {
    peers: Vec<Peer>,
    place: usize,
    /// How many of them have said in a row that nobody listens there.
    refusals: usize,
    link: DatagramLink,
    refusal: Option<Refusal>,
    handshake: Handshake,
    said: Said,
    /// The least time that an answer took.
    round_trip: Option<Duration>,
}

/// What was said last.
#[derive(Debug)]
struct Said {
    packet: Vec<u8>,
    first_at: Timestamp,
    times: u32,
    wait: Duration,
    again_at: Timestamp,
}

impl Said {
    const fn nothing(now: Timestamp, packet: Vec<u8>) -> Self {
        Self {
            packet,
            first_at: now,
            times: 0,
            wait: AGAIN_FIRST,
            again_at: now,
        }
    }

    fn say(&mut self, now: Timestamp, link: &DatagramLink) {
        // Whatever becomes of it, it is said again.
        let _ = link.send(&self.packet, self.packet.len());
        self.times = self.times.saturating_add(1);
        self.again_at = now + at_random_up_to(self.wait);
        self.wait = (self.wait * 2).min(AGAIN_MOST);
    }
}

impl Knocking {
    /// Says HELLO at the first address to which there is a way.
    pub(super) fn start(
        peers: Vec<Peer>,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<Self, GreetingError> {
        let mut refused = GreetingError::Silent;
        for (place, peer) in peers.iter().enumerate() {
            let (link, refusal) = match open(peer) {
                Ok(opened) => opened,
                Err(error) => {
                    refused = error;
                    continue;
                }
            };
            let (handshake, hello) = Handshake::begin(greeter)?;
            let mut said = Said::nothing(now, hello.to_vec());
            said.say(now, &link);
            return Ok(Self {
                peers,
                place,
                refusals: 0,
                link,
                refusal,
                handshake,
                said,
                round_trip: None,
            });
        }
        Err(refused)
    }

    pub(super) const fn poll_timeout(&self) -> Timestamp {
        self.said.again_at
    }

    pub(super) fn descriptors(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let refusal = self.refusal.as_ref().map(AsFd::as_fd);
        [Some(self.link.as_fd()), refusal]
    }

    /// Says again what was not answered.
    pub(super) fn handle_time(
        &mut self,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<(), GreetingError> {
        if now < self.said.again_at {
            return Ok(());
        }
        if self.handshake.has_named_camera() {
            if self.said.times >= INITIATIONS {
                return Err(GreetingError::Ignored);
            }
        } else if self.said.times >= HELLOS && self.peers.len() > 1 {
            return self.go_on(now, greeter);
        }
        self.said.say(now, &self.link);
        Ok(())
    }

    /// Reads what has arrived; gives the session when there is one.
    pub(super) fn handle_readable(
        &mut self,
        now: Timestamp,
        greeter: Greeter<'_>,
    ) -> Result<Option<Session>, GreetingError> {
        if let Some(error) = self.refusal.as_ref().and_then(Refusal::take) {
            self.refusal = None;
            return self.was_refused(now, error, greeter).map(|()| None);
        }
        for _ in 0..RECEIVES_MOST {
            let (handshake, mut answer) = (&self.handshake, None);
            let received = self.link.receive(|datagram| {
                if answer.is_none() && handshake.is_answered_by(datagram) {
                    answer = Some(datagram.to_vec());
                }
            });
            if received.map_err(SocketError::from)? == 0 {
                break;
            }
            let Some(answer) = answer else {
                continue;
            };
            if let Some(session) = self.handle_answer(now, &answer, greeter)? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    fn handle_answer(
        &mut self,
        now: Timestamp,
        answer: &[u8],
        greeter: Greeter<'_>,
    ) -> Result<Option<Session>, GreetingError> {
        let most_bytes = self.link.most_bytes();
        let had_named_camera = self.handshake.has_named_camera();
        let step = self
            .handshake
            .handle_packet(now, answer, Some(most_bytes), greeter);
        // What was said twice may have been answered twice.
        if self.said.times == 1 {
            let took = now.saturating_since(self.said.first_at);
            self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
        }
        match step {
            Ok(Step::Say(initiation)) => {
                // It is there, whatever else is said of it.
                self.refusal = None;
                self.said = Said::nothing(now, initiation.to_vec());
                self.said.say(now, &self.link);
                Ok(None)
            }
            Ok(Step::Done(session)) => Ok(Some(*session)),
            // Somebody who has seen HS1 can answer it, but not as the server.
            Err(GreetingError::Handshake(HandshakeError::NotAuthentic)) if had_named_camera => {
                let again_at = self.said.again_at;
                self.begin_anew(now, greeter)?;
                self.said.again_at = again_at;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn begin_anew(&mut self, now: Timestamp, greeter: Greeter<'_>) -> Result<(), GreetingError> {
        let (handshake, hello) = Handshake::begin(greeter)?;
        self.handshake = handshake;
        self.said = Said::nothing(now, hello.to_vec());
        Ok(())
    }

    /// This address has said that nobody listens there: the next one may be better.
    fn was_refused(
        &mut self,
        now: Timestamp,
        error: std::io::Error,
        greeter: Greeter<'_>,
    ) -> Result<(), GreetingError> {
        self.refusals = self.refusals.saturating_add(1);
        match self.peers.get(self.place) {
            Some(Peer::Udp(address)) if self.refusals >= self.peers.len() => {
                Err(not_there(*address, error))
            }
            _ => self.go_on(now, greeter),
        }
    }

    /// Goes on with the next address to which there is a way.
    fn go_on(&mut self, now: Timestamp, greeter: Greeter<'_>) -> Result<(), GreetingError> {
        loop {
            self.place = self.place.saturating_add(1) % self.peers.len().max(1);
            let Some(peer) = self.peers.get(self.place) else {
                return Err(GreetingError::Silent);
            };
            match open(peer) {
                Ok((link, refusal)) => {
                    self.link = link;
                    self.refusal = refusal;
                    break;
                }
                Err(error) => {
                    self.refusals = self.refusals.saturating_add(1);
                    if self.refusals >= self.peers.len() {
                        return Err(error);
                    }
                }
            }
        }
        self.begin_anew(now, greeter)?;
        self.said.say(now, &self.link);
        Ok(())
    }

    /// The socket for the session, and how long an answer took at least, if that was measured.
    pub(super) fn into_link(self) -> (DatagramLink, Option<Duration>) {
        (self.link, self.round_trip)
    }
}

/// A socket for one of the server's addresses, and what tells that nobody is there, where there is such.
fn open(peer: &Peer) -> Result<(DatagramLink, Option<Refusal>), GreetingError> {
    let refusal = match peer {
        Peer::Udp(address) => {
            let refusal = Refusal::ask(*address).map_err(|error| not_there(*address, error))?;
            Some(refusal)
        }
        Peer::Ethernet(_) => None,
    };
    Ok((DatagramLink::open(peer)?, refusal))
}

fn not_there(address: SocketAddr, error: std::io::Error) -> GreetingError {
    GreetingError::Connect(ConnectError::Connect { address, error })
}
