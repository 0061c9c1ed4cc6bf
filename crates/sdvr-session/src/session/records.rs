//! A session over a byte stream: records, whose order the stream keeps.

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use super::carrier::{Carrier, Records};
use super::{Role, Session, State};
use crate::error::SessionError;
use crate::media::{MEDIA_HEADER_BYTES, MEDIA_TYPE, MediaFragment, MediaHeader};
use crate::message::Control;
use crate::record::{
    Opened, RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES, RecordOpener, RecordSealer,
};

/// The most a record may have before the camera was accepted.
const UNACCEPTED_RECORD_BYTES: usize = 4096;
/// The most control messages in a record: with the tag, what may be sent before the camera was accepted.
const CONTROL_RECORD_BYTES: usize = UNACCEPTED_RECORD_BYTES - 16;
const NO_RECORDS: SessionError =
    SessionError::Unexpected("a record in a session over datagrams and no");

impl Session {
    /// The most bytes a record from the peer may have after its header, in the session's present state.
    #[must_use]
    pub const fn longest_record_bytes(&self) -> usize {
        match (self.role, &self.state) {
            (Role::Server, State::BeforeSetup | State::Deciding) => UNACCEPTED_RECORD_BYTES,
            _ => self.record_bytes,
        }
    }

    /// Takes in one whole record, which is opened in place.
    ///
    /// Gives the piece of a frame it carries, if any; what else it carries becomes events. At a server the pieces of a
    /// frame come in order (see [`MediaFragment`]).
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or the record is not authentic: the session is of no more use.
    pub fn handle_record<'a>(
        &mut self,
        now: Timestamp,
        record: &'a mut [u8],
    ) -> Result<Option<MediaFragment<'a>>, SessionError> {
        let record_bytes = record.len();
        if record_bytes.saturating_sub(RECORD_HEADER_BYTES) > self.longest_record_bytes() {
            let length = u32::try_from(record_bytes).unwrap_or(u32::MAX);
            return Err(SessionError::RecordTooLong(length));
        }
        self.check_age(now)?;
        let Carrier::Records(records) = &mut self.carrier else {
            return Err(NO_RECORDS);
        };
        let Opened {
            mut messages,
            begins_epoch,
        } = records.opener.open(record)?;
        if begins_epoch {
            self.handle_new_epoch()?;
        }
        self.timers.last_heard = now;
        self.counters.bytes_since_report = self
            .counters
            .bytes_since_report
            .saturating_add(record_bytes as u64);
        while let Some(&message_type) = messages.first() {
            // What was on its way when the session ended is nobody's mistake.
            let is_closing = matches!(self.state, State::Closing);
            if matches!(self.state, State::Closed) || is_closing && message_type == MEDIA_TYPE {
                return Ok(None);
            }
            if message_type == MEDIA_TYPE {
                return self.handle_media(now, messages);
            }
            let (message, rest) = Control::parse(messages)?;
            // The answer to what began before is in new keys if this was heard.
            if !is_closing || matches!(message, Control::Close(_) | Control::Rekey2(_)) {
                self.handle_control(now, message)?;
            }
            messages = rest;
        }
        Ok(None)
    }

    fn handle_media<'a>(
        &mut self,
        now: Timestamp,
        message: &'a [u8],
    ) -> Result<Option<MediaFragment<'a>>, SessionError> {
        let (Role::Server, State::Accepted(streams)) = (self.role, &mut self.state) else {
            return Err(SessionError::Unexpected("MEDIA"));
        };
        let (header, bytes) = MediaHeader::parse(message)?;
        self.timers.schedule_report(now, self.counters.last_report);
        let order = streams
            .iter_mut()
            .find(|order| order.stream == header.stream);
        let order = order.ok_or(SessionError::Frame("its stream is not open"))?;
        let missed = order.accept(&header, bytes.len())?;
        self.counters.frames_received = self
            .counters
            .frames_received
            .saturating_add(header.is_last.into());
        self.counters.frames_lost = self.counters.frames_lost.saturating_add(missed);
        Ok(Some(MediaFragment {
            header,
            bytes,
            missed,
            lost: 0,
            retransmitted: None,
        }))
    }

    /// Appends what is to be said to `out`, if there is anything, as one or more records.
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`].
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut Vec<u8>) -> Result<(), SessionError> {
        let Carrier::Records(records) = &mut self.carrier else {
            return Err(NO_RECORDS);
        };
        let Records { sealer, outbox, .. } = records.as_mut();
        if outbox.is_empty() {
            return Ok(());
        }
        let outbox = std::mem::take(outbox);
        self.timers.last_sent = now;
        sealer.keys.renew_if_due(now, &self.renewal.limits)?;
        let mut rest = outbox.as_slice();
        while !rest.is_empty() {
            let messages;
            (messages, rest) = split_messages(rest, CONTROL_RECORD_BYTES);
            sealer.seal(out, messages.len(), |out| out.extend_from_slice(messages))?;
        }
        self.all_was_said();
        Ok(())
    }

    /// Client: appends the next record of `frame`, whose bytes are `payload`, to `out`. Copies once.
    ///
    /// Returns whether that was the frame's last.
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`], or the frame is empty or longer than 4 GiB.
    pub fn seal_frame(
        &mut self,
        now: Timestamp,
        frame: &mut OutgoingFrame,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, SessionError> {
        let rest = payload
            .get(frame.sent_bytes..)
            .filter(|rest| !rest.is_empty())
            .ok_or(SessionError::Frame("it is empty"))?;
        self.check_age(now)?;
        let Carrier::Records(records) = &mut self.carrier else {
            return Err(NO_RECORDS);
        };
        let sealer = &mut records.sealer;
        sealer.keys.renew_if_due(now, &self.renewal.limits)?;
        let piece_most_bytes = self
            .record_bytes
            .saturating_sub(MEDIA_HEADER_BYTES + RECORD_OVERHEAD_BYTES);
        let piece = rest.get(..piece_most_bytes).unwrap_or(rest);
        let too_long = |_| SessionError::Frame("it is longer than 4 GiB");
        let whole = MediaHeader::whole(
            frame.stream,
            (frame.number, frame.captured, frame.flags),
            u32::try_from(payload.len()).map_err(too_long)?,
        );
        let header = MediaHeader {
            is_first: frame.sent_bytes == 0,
            is_last: piece.len() == rest.len(),
            offset: u32::try_from(frame.sent_bytes).map_err(too_long)?,
            ..whole
        };
        sealer.seal(out, piece.len().saturating_add(MEDIA_HEADER_BYTES), |out| {
            header.write(out);
            out.extend_from_slice(piece);
        })?;
        self.timers.last_sent = now;
        frame.sent_bytes = frame.sent_bytes.saturating_add(piece.len());
        Ok(header.is_last)
    }

    /// Server: a part of a record has arrived. Reports go on, so that a client whose link takes seconds for a record hears
    /// that somebody is there.
    pub fn handle_part_of_record(&mut self, now: Timestamp) {
        if self.role == Role::Server && matches!(self.state, State::Accepted(_)) {
            self.timers.schedule_report(now, self.counters.last_report);
        }
    }

    /// What seals and opens records.
    pub(crate) fn keys(&mut self) -> Option<(&mut RecordSealer, &mut RecordOpener)> {
        match &mut self.carrier {
            Carrier::Records(records) => Some((&mut records.sealer, &mut records.opener)),
            Carrier::Datagrams(_) => None,
        }
    }
}

/// Splits off as many whole control messages as fit into `most_bytes`, but at least one.
fn split_messages(messages: &[u8], most_bytes: usize) -> (&[u8], &[u8]) {
    let mut end: usize = 0;
    while let Some(&[_, _, low, high]) = messages.get(end..).and_then(<[u8]>::first_chunk) {
        let message_bytes = usize::from(u16::from_le_bytes([low, high])).saturating_add(4);
        let next = end.saturating_add(message_bytes);
        if end > 0 && next > most_bytes {
            break;
        }
        end = next;
    }
    messages
        .split_at_checked(end)
        .filter(|(first, _)| !first.is_empty())
        .unwrap_or((messages, &[]))
}

/// A frame on its way out, and how far it is.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingFrame {
    stream: StreamId,
    number: FrameNumber,
    captured: Timestamp,
    flags: FrameFlags,
    sent_bytes: usize,
}

impl OutgoingFrame {
    /// A frame of which nothing was sent.
    #[must_use]
    pub const fn new(
        stream: StreamId,
        number: FrameNumber,
        captured: Timestamp,
        flags: FrameFlags,
    ) -> Self {
        Self {
            stream,
            number,
            captured,
            flags,
            sent_bytes: 0,
        }
    }
}
