//! Where session, transport and ring are joined: the daemon's row of a frame's way.
//!
//! ```text
//! TcpLink::read ──► next_record ──► Session::handle_record ──► Camera::take ──► ring
//! ```

use std::net::SocketAddr;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::{PublicKey, Timestamp};
use sdvr_session::{
    Close, CloseCode, Event, Malformed, OpenStream, Packet, Session, SessionError, StreamCode,
    next_record,
};
use sdvr_transport::{Received, TcpLink};

use crate::camera::{Camera, Opening, RingPlace};
use crate::knock::Arrival;

/// What is read of one camera in one turn: fairness between cameras, and the cost of a system call spread over it.
pub(crate) const READ_BYTES: usize = 128 * 1024;
/// A buffer for one turn: what was left of the turn before is shorter than a record, of which the largest has 1 MiB.
pub(crate) const BUFFER_BYTES: usize = READ_BYTES + (1 << 20) + 64;
/// A camera that does not take its replies is broken.
const UNSENT_MOST_BYTES: usize = 256 * 1024;

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

/// A camera's connection.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) link: TcpLink,
    pub(crate) peer: SocketAddr,
    pub(crate) session: Box<Session>,
    /// The beginning of a record whose end has not come.
    leftover: Vec<u8>,
    /// Replies that the kernel did not take yet.
    unsent: Vec<u8>,
    scratch: Vec<u8>,
    /// The key that the camera has announced since this was asked last.
    announced: Option<PublicKey>,
}

impl Ingest {
    /// Goes on with a camera that the door let in. Bytes that came with its introduction are handled by the next [`Self::handle_arrival`].
    pub(crate) fn new(arrival: Arrival) -> Self {
        let Arrival {
            link,
            peer,
            session,
            label: _,
            other_keys: _,
            received,
        } = arrival;
        Self {
            link,
            peer,
            session,
            leftover: received,
            unsent: Vec::new(),
            scratch: Vec::new(),
            announced: None,
        }
    }

    /// Whether replies wait for the kernel.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The key that the camera has announced since this was asked last.
    pub(crate) const fn take_announced(&mut self) -> Option<PublicKey> {
        self.announced.take()
    }

    /// Reads once and handles all whole records.
    pub(crate) fn handle_readable(
        &mut self,
        camera: &mut Camera,
        place: &RingPlace,
        buffer: &mut [u8],
    ) -> Result<(), Ending> {
        let kept = self.leftover.len();
        let room = buffer.get_mut(kept..kept + READ_BYTES).unwrap_or_default();
        let received = match self.link.read(room) {
            Ok(Received::Bytes(bytes)) => bytes,
            Ok(Received::Nothing) => return Ok(()),
            Ok(Received::End) | Err(_) => return Err(Ending::Cut),
        };
        place
            .counters
            .received_bytes
            .add(u64::try_from(received).unwrap_or(u64::MAX));
        let now = Timestamp::now();
        if let Some(front) = buffer.get_mut(..kept) {
            front.copy_from_slice(&self.leftover);
        }
        let filled = buffer.get_mut(..kept + received).unwrap_or_default();
        let handled = self.handle_records(now, camera, place, filled)?;
        self.leftover.clear();
        self.leftover
            .extend_from_slice(filled.get(handled..).unwrap_or_default());
        if !self.leftover.is_empty() {
            self.session.handle_part_of_record(now);
        }
        self.transmit(now)
    }

    /// Handles what came with the introduction: events of the same record, and bytes after it.
    pub(crate) fn handle_arrival(
        &mut self,
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        let now = Timestamp::now();
        self.handle_events(now, camera, place)?;
        let mut received = std::mem::take(&mut self.leftover);
        let handled = self.handle_records(now, camera, place, &mut received)?;
        received.drain(..handled);
        self.leftover = received;
        self.transmit(now)
    }

    /// Handles the whole records that `bytes` begins with; gives how many bytes they have.
    fn handle_records(
        &mut self,
        now: Timestamp,
        camera: &mut Camera,
        place: &RingPlace,
        bytes: &mut [u8],
    ) -> Result<usize, Ending> {
        let mut handled = 0;
        loop {
            let rest = bytes.get_mut(handled..).unwrap_or_default();
            let Packet::Complete(length) = next_record(rest, self.session.longest_record_bytes())?
            else {
                return Ok(handled);
            };
            let record = rest.get_mut(..length).unwrap_or_default();
            if let Some(fragment) = self.session.handle_record(now, record)? {
                camera.take(now, &fragment, self.session.clock(), place);
            }
            handled += length;
            self.handle_events(now, camera, place)?;
        }
    }

    fn handle_events(
        &mut self,
        now: Timestamp,
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        while let Some(event) = self.session.poll_event() {
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
                // The client's, which the session does not let through at a server, and SETUP, which the door has handled.
                Event::Setup(_)
                | Event::SetupReply(_)
                | Event::StreamReply { .. }
                | Event::Report(_)
                | Event::NextKey(_)
                | Event::NewIdReply { .. } => {}
                // Only of sessions over datagrams.
                Event::KeyframeRequested(_) | Event::PathResponse(_) => {}
            }
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
    pub(crate) fn handle_time(&mut self, now: Timestamp) -> Result<(), Ending> {
        if now >= self.session.poll_timeout() {
            self.session.handle_timeout(now);
            self.transmit(now)?;
        }
        Ok(())
    }

    /// Says why the session ends, as far as the kernel takes it.
    pub(crate) fn close(&mut self, code: CloseCode, text: &str) {
        self.session.close(code, text);
        // It ends whether or not the camera can be told.
        let _ = self.transmit(Timestamp::now());
        self.link.finish_writing();
    }

    /// Sends what the session has to say.
    pub(crate) fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.scratch.clear();
        self.session.poll_transmit(now, &mut self.scratch)?;
        if !self.unsent.is_empty() {
            self.unsent.append(&mut self.scratch);
            std::mem::swap(&mut self.unsent, &mut self.scratch);
            self.unsent.clear();
        }
        if self.scratch.is_empty() {
            return Ok(());
        }
        let written = self.link.write(&self.scratch).map_err(|_| Ending::Cut)?;
        self.unsent
            .extend_from_slice(self.scratch.get(written..).unwrap_or_default());
        if self.unsent.len() > UNSENT_MOST_BYTES {
            Err(Ending::Deaf)
        } else {
            Ok(())
        }
    }
}
