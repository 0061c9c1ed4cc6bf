//! Where session, transport and ring are joined: the daemon's row of a frame's way.
//!
//! ```text
//! TcpLink::read ──► next_record ──► Session::handle_record ──► Camera::take ──► ring       records.rs
//! DatagramSocket::receive ──► Session::handle_datagram ──► poll_frame ──► Camera::take ──► ring       datagrams.rs
//! ```

mod datagrams;
mod records;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::{PublicKey, Timestamp};
use sdvr_session::{
    Close, CloseCode, Event, Malformed, OpenStream, Session, SessionError, StreamCode,
};
use sdvr_transport::TcpLink;

pub(crate) use self::datagrams::{DatagramCarrier, DatagramSession};
pub(crate) use self::records::RecordCarrier;
use crate::camera::{Camera, Opening, RingPlace};
use crate::knock::Arrival;
use crate::peer::Peer;

/// What is read of one camera in one turn: fairness between cameras, and the cost of a system call spread over it.
pub(crate) const READ_BYTES: usize = 128 * 1024;
/// A buffer for one turn: what was left of the turn before is shorter than a record, of which the largest has 1 MiB.
pub(crate) const BUFFER_BYTES: usize = READ_BYTES + (1 << 20) + 64;

/// A moment in which a session is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    /// All that had come until then was handed in: earlier than now where this thread did not get to run. What was late then is given up.
    pub(crate) heard_until: Timestamp,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    #[error("the connection was cut")]
    Cut,
    #[error("nothing was heard for a minute")]
    Silent,
    #[error("the camera said: {}", .0.text)]
    Said(Close),
    #[error("the camera broke the protocol: {0}")]
    Broken(#[from] SessionError),
    #[error("the camera does not read what it is sent")]
    Deaf,
}

impl Ending {
    /// The code of the CLOSE for a camera that broke the protocol. Which check failed is the log's business.
    pub(crate) const fn broken_code(error: &SessionError) -> (CloseCode, &'static str) {
        match error {
            SessionError::KeysUsedUp => (CloseCode::KeysUsedUp, "fresh keys are overdue"),
            _ => (CloseCode::Protocol, "protocol error"),
        }
    }
}

impl From<Malformed> for Ending {
    fn from(error: Malformed) -> Self {
        Self::Broken(error.into())
    }
}

/// A camera's session, and how its packets come and go.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) session: Box<Session>,
    carrier: Carrier,
    /// The key that the camera has announced since this was asked last.
    announced: Option<PublicKey>,
}

/// What brings a session's packets.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// A connection of its own.
    Records(RecordCarrier),
    /// The socket that all have together.
    Datagrams(DatagramCarrier),
}

/// What there is to wait for.
#[derive(Debug)]
pub(crate) enum Way<'a> {
    /// A connection of its own.
    Connection(&'a TcpLink),
    /// Datagrams that have this index.
    Datagrams(u32),
}

impl Carrier {
    /// Where the camera is.
    pub(crate) const fn peer(&self) -> Peer {
        match self {
            Self::Records(carrier) => carrier.peer,
            Self::Datagrams(carrier) => carrier.peer(),
        }
    }
}

impl Ingest {
    /// Goes on with a camera that the door let in. What came after its introduction is handled by the next [`Self::handle_arrival`].
    pub(crate) fn new(arrival: Arrival) -> Self {
        Self {
            session: arrival.session,
            carrier: arrival.carrier,
            announced: None,
        }
    }

    /// Where the camera is.
    pub(crate) const fn peer(&self) -> Peer {
        self.carrier.peer()
    }

    /// How its packets come.
    pub(crate) const fn way(&self) -> Way<'_> {
        match &self.carrier {
            Carrier::Records(carrier) => Way::Connection(&carrier.link),
            Carrier::Datagrams(carrier) => Way::Datagrams(carrier.index),
        }
    }

    /// Whether replies wait for the kernel.
    pub(crate) const fn has_unsent(&self) -> bool {
        match &self.carrier {
            Carrier::Records(carrier) => carrier.has_unsent(),
            Carrier::Datagrams(_) => false,
        }
    }

    /// The key that the camera has announced since this was asked last.
    pub(crate) const fn take_announced(&mut self) -> Option<PublicKey> {
        self.announced.take()
    }

    /// Handles what came with the introduction and after it.
    pub(crate) fn handle_arrival(
        &mut self,
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        let now = Timestamp::now();
        while let Some(event) = self.session.poll_event() {
            self.handle_event(now, event, camera, place)?;
        }
        match &mut self.carrier {
            Carrier::Records(carrier) => {
                let mut received = carrier.take_leftover();
                let handled = self.handle_records(now, camera, place, &mut received)?;
                self.keep_leftover(received.get(handled..).unwrap_or_default());
            }
            Carrier::Datagrams(carrier) => {
                // More may have come meanwhile.
                let heard_until = self.session.last_heard();
                let moment = Moment { now, heard_until };
                for (from, mut datagram) in carrier.take_early() {
                    self.handle_datagram(moment, from, &mut datagram, camera, place)?;
                }
            }
        }
        self.transmit(now)
    }

    fn handle_event(
        &mut self,
        now: Timestamp,
        event: Event,
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        match event {
            Event::OpenStream(open) => {
                if let Opening::Now(code) =
                    camera.open_stream(now, &open, place, &self.session.granted())
                {
                    place.counters.count_answer(code);
                    self.session.reply_stream(&open, code);
                }
            }
            Event::CloseStream(stream) => camera.close_stream(now, stream, place),
            Event::Rekey => self.session.rekey(now, &mut UnwrapErr(SysRng))?,
            Event::NewId(key) => self.announced = Some(key),
            Event::Closed(close) => return Err(Ending::Said(close)),
            // Of a path, of which a connection has one only: the carrier has taken it.
            Event::PathResponse(_) => {}
            // The client's, which the session does not let through at a server, and SETUP, which the door has handled.
            Event::Setup(_)
            | Event::SetupReply(_)
            | Event::StreamReply { .. }
            | Event::Report(_)
            | Event::NextKey(_)
            | Event::NewIdReply { .. }
            | Event::KeyframeRequested(_)
            | Event::SendLess { .. }
            | Event::SendAll
            | Event::SendShorter => {}
        }
        Ok(())
    }

    /// Answers on a stream whose ring took its time.
    pub(crate) fn reply_stream(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        code: StreamCode,
    ) -> Result<(), Ending> {
        self.session.reply_stream(open, code);
        self.transmit(now)
    }

    /// Acts on time that has passed.
    pub(crate) fn handle_time(
        &mut self,
        moment: Moment,
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        if moment.now >= self.session.poll_timeout() {
            self.session.handle_timeout(moment.now);
            self.take_frames(moment, camera, place);
            self.transmit(moment.now)?;
        }
        Ok(())
    }

    /// Says why the session ends, as far as the kernel takes it. What is said in datagrams may have to be said again: gives who does.
    pub(crate) fn close(mut self, code: CloseCode, text: &str) -> Option<DatagramSession> {
        self.session.close(code, text);
        // It ends whether or not the camera can be told.
        let _ = self.transmit(Timestamp::now());
        match self.carrier {
            Carrier::Records(carrier) => {
                carrier.link.finish_writing();
                None
            }
            Carrier::Datagrams(carrier) => Some(DatagramSession {
                session: self.session,
                carrier,
            }),
        }
    }

    /// Sends what the session has to say.
    pub(crate) fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        match &mut self.carrier {
            Carrier::Records(carrier) => carrier.transmit(now, &mut self.session),
            Carrier::Datagrams(carrier) => carrier.transmit(now, &mut self.session),
        }
    }
}
