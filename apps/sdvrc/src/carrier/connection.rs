//! A session over a connection: records, one after the other.

use std::os::fd::{AsFd, BorrowedFd};

use sdvr_frame::Timestamp;
use sdvr_session::{OutgoingFrame, Packet, Session, SessionError, next_record};
use sdvr_source::CapturedFrame;
use sdvr_transport::{Received, TcpLink};

use super::backlog::Backlog;
use crate::announcement::STREAM;
use crate::streaming::Ending;

const READ_BYTES: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    link: TcpLink,
    backlog: Backlog,
    received: Vec<u8>,
}

impl Connection {
    pub(super) fn new(link: TcpLink) -> Self {
        Self {
            link,
            backlog: Backlog::default(),
            received: Vec::new(),
        }
    }

    pub(super) fn receive(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        let filled = self.received.len();
        self.received.resize(filled + READ_BYTES, 0);
        let read = self
            .link
            .read(self.received.get_mut(filled..).unwrap_or_default());
        let bytes = match read {
            Ok(Received::Bytes(bytes)) => bytes,
            Ok(Received::Nothing) => 0,
            Ok(Received::End) | Err(_) => return Err(Ending::Cut),
        };
        self.received.truncate(filled + bytes);
        let mut handled = 0;
        loop {
            let rest = self.received.get_mut(handled..).unwrap_or_default();
            let Packet::Complete(length) = next_record(rest, session.longest_record_bytes())
                .map_err(SessionError::Malformed)?
            else {
                break;
            };
            session.handle_record(now, rest.get_mut(..length).unwrap_or_default())?;
            handled += length;
        }
        self.received.drain(..handled);
        Ok(())
    }

    pub(super) fn transmit(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        session.poll_transmit(now, self.backlog.buffer())?;
        Ok(self.backlog.write(now, &self.link)?)
    }

    pub(super) fn send_frame(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        frame: &CapturedFrame<'_>,
    ) -> Result<(), Ending> {
        self.transmit(now, session)?;
        let mut outgoing = OutgoingFrame::new(STREAM, frame.number, frame.captured, frame.flags);
        let mut is_blocked = !self.backlog.is_empty();
        while !session.seal_frame(now, &mut outgoing, frame.payload, self.backlog.buffer())? {
            if !is_blocked && self.backlog.is_worth_writing() {
                self.backlog.write(now, &self.link)?;
                is_blocked = !self.backlog.is_empty();
            }
        }
        Ok(self.backlog.write(now, &self.link)?)
    }

    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.backlog.is_late(now)
    }

    pub(super) const fn is_drained(&self) -> bool {
        self.backlog.is_empty()
    }

    pub(super) fn last_progress(&self) -> Option<Timestamp> {
        self.backlog.last_progress()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
