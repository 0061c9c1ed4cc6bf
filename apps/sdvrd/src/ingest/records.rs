//! Records over a connection.

use sdvr_frame::Timestamp;
use sdvr_session::{Packet, Session, next_record};
use sdvr_transport::{Received, TcpLink};

use super::{Carrier, Ending, Ingest, READ_BYTES};
use crate::camera::{Camera, RingPlace};
use crate::peer::Peer;

/// A camera that does not take its replies is broken.
const UNSENT_MOST_BYTES: usize = 256 * 1024;

/// A camera's connection.
#[derive(Debug)]
pub(crate) struct RecordCarrier {
    pub(super) link: TcpLink,
    pub(super) peer: Peer,
    /// The beginning of a record whose end has not come.
    leftover: Vec<u8>,
    /// Replies that the kernel did not take yet.
    unsent: Vec<u8>,
    scratch: Vec<u8>,
}

impl RecordCarrier {
    /// A connection of which `received` was read already.
    pub(crate) const fn new(link: TcpLink, peer: Peer, received: Vec<u8>) -> Self {
        Self {
            link,
            peer,
            leftover: received,
            unsent: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) const fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn take_leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.leftover)
    }

    pub(super) fn transmit(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        self.scratch.clear();
        session.poll_transmit(now, &mut self.scratch)?;
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

impl Ingest {
    /// Reads once and handles all whole records. Does nothing for who has no connection.
    pub(crate) fn handle_readable(
        &mut self,
        camera: &mut Camera,
        place: &RingPlace,
        buffer: &mut [u8],
    ) -> Result<(), Ending> {
        let Carrier::Records(carrier) = &mut self.carrier else {
            return Ok(());
        };
        let kept = carrier.leftover.len();
        let room = buffer.get_mut(kept..kept + READ_BYTES).unwrap_or_default();
        let received = match carrier.link.read(room) {
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
            front.copy_from_slice(&carrier.leftover);
        }
        let filled = buffer.get_mut(..kept + received).unwrap_or_default();
        let handled = self.handle_records(now, camera, place, filled)?;
        let rest = filled.get(handled..).unwrap_or_default();
        self.keep_leftover(rest);
        if !rest.is_empty() {
            self.session.handle_part_of_record(now);
        }
        self.transmit(now)
    }

    /// Keeps the beginning of a record.
    pub(super) fn keep_leftover(&mut self, rest: &[u8]) {
        if let Carrier::Records(carrier) = &mut self.carrier {
            carrier.leftover.clear();
            carrier.leftover.extend_from_slice(rest);
        }
    }

    /// Handles the whole records that `bytes` begins with; gives how many bytes they have.
    pub(super) fn handle_records(
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
            while let Some(event) = self.session.poll_event() {
                self.handle_event(now, event, camera, place)?;
            }
        }
    }
}
