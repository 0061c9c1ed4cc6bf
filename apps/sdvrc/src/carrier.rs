//! What carries a session's messages to the server and back: a connection, or datagrams. The session knows how either is written; here is how
//! it comes to the socket, and when that has no room.

mod backlog;
mod batch;
mod connection;
mod datagrams;
mod window;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::Session;
use sdvr_source::CapturedFrame;
use sdvr_transport::TcpLink;

use self::connection::Connection;
use self::datagrams::Datagrams;
use crate::datagram_link::DatagramLink;
use crate::streaming::Ending;

/// What carries a session.
#[derive(Debug)]
pub(crate) enum Carrier {
    Connection(Box<Connection>),
    Datagrams(Box<Datagrams>),
}

impl Carrier {
    pub(crate) fn of_connection(link: TcpLink) -> Self {
        Self::Connection(Box::new(Connection::new(link)))
    }

    /// `round_trip` is what the handshake has measured.
    pub(crate) fn of_datagrams(link: DatagramLink, round_trip: Option<Duration>) -> Self {
        Self::Datagrams(Box::new(Datagrams::new(link, round_trip)))
    }

    /// Chooses how long frames may wait at the server for what was lost, as `wanted` if it is; `None` where nothing is lost.
    pub(crate) fn choose_latency(&mut self, wanted: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Connection(_) => None,
            Self::Datagrams(datagrams) => Some(datagrams.choose_latency(wanted)),
        }
    }

    /// Whether what was sent may not arrive while the session goes on.
    pub(crate) const fn loses(&self) -> bool {
        matches!(self, Self::Datagrams(_))
    }

    /// The server has reported how long a packet takes there and back.
    pub(crate) const fn set_round_trip(&mut self, round_trip: Duration) {
        match self {
            Self::Connection(_) => {}
            Self::Datagrams(datagrams) => datagrams.set_round_trip(round_trip),
        }
    }

    /// Reads what the server sent.
    pub(crate) fn receive(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        match self {
            Self::Connection(connection) => connection.receive(now, session),
            Self::Datagrams(datagrams) => datagrams.receive(now, session),
        }
    }

    /// Says what the session has to say, as far as there is room.
    pub(crate) fn transmit(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        match self {
            Self::Connection(connection) => connection.transmit(now, session),
            Self::Datagrams(datagrams) => datagrams.transmit(now, session),
        }
    }

    /// Sends a frame, after those that wait.
    pub(crate) fn send_frame(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        frame: &CapturedFrame<'_>,
    ) -> Result<(), Ending> {
        match self {
            Self::Connection(connection) => connection.send_frame(now, session, frame),
            Self::Datagrams(datagrams) => datagrams.send_frame(now, session, frame),
        }
    }

    /// Whether a live frame would come too late behind what waits.
    pub(crate) fn is_late(&self, now: Timestamp) -> bool {
        match self {
            Self::Connection(connection) => connection.is_late(now),
            Self::Datagrams(datagrams) => datagrams.is_late(now),
        }
    }

    /// Forgets frames that have not begun to leave; gives how many those were.
    pub(crate) fn give_up_waiting(&mut self) -> u64 {
        match self {
            Self::Connection(_) => 0,
            Self::Datagrams(datagrams) => datagrams.give_up_waiting(),
        }
    }

    /// Whether all frames have gone.
    pub(crate) fn is_drained(&self, session: &Session) -> bool {
        match self {
            Self::Connection(connection) => connection.is_drained(),
            Self::Datagrams(datagrams) => datagrams.is_drained(session),
        }
    }

    /// Whether a source that can wait may give another frame.
    pub(crate) fn has_room(&self, session: &Session) -> bool {
        match self {
            Self::Connection(connection) => connection.is_drained(),
            Self::Datagrams(datagrams) => datagrams.has_room(session),
        }
    }

    /// Where a source can wait: asks the server whether it may go on.
    pub(crate) fn ask_if_full(&mut self, now: Timestamp, session: &mut Session) {
        match self {
            Self::Connection(_) => {}
            Self::Datagrams(datagrams) => datagrams.ask_if_full(now, session),
        }
    }

    /// When to do that.
    pub(crate) fn ask_at(&self) -> Timestamp {
        match self {
            Self::Connection(_) => Timestamp::NEVER,
            Self::Datagrams(datagrams) => datagrams.ask_at(),
        }
    }

    /// Whether the socket has to have room first.
    pub(crate) const fn is_blocked(&self) -> bool {
        match self {
            Self::Connection(connection) => !connection.is_drained(),
            Self::Datagrams(datagrams) => datagrams.is_blocked(),
        }
    }

    /// When the network last took bytes, if some wait: it is slow then, not dead.
    pub(crate) fn last_progress(&self) -> Option<Timestamp> {
        match self {
            Self::Connection(connection) => connection.last_progress(),
            Self::Datagrams(_) => None,
        }
    }

    /// How many of the frames that were sent so lately that nobody can know whether they have arrived.
    pub(crate) fn frames_under_way(&self, now: Timestamp) -> u64 {
        match self {
            Self::Connection(_) => 0,
            Self::Datagrams(datagrams) => datagrams.frames_under_way(now),
        }
    }
}

impl AsFd for Carrier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Connection(connection) => connection.as_fd(),
            Self::Datagrams(datagrams) => datagrams.as_fd(),
        }
    }
}
