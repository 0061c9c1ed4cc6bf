//! What the server says: whether the camera and its stream are welcome, what has arrived, when keys change.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::{Event, Packet, SessionError, SetupCode, StreamCode, next_record};
use sdvr_source::CapturedFrame;
use sdvr_transport::Received;
use tracing::info;

use super::{Ending, StreamState, Streaming};
use crate::announcement::{Announcement, REFUSED_WAIT};

const READ_BYTES: usize = 64 * 1024;

impl Streaming {
    /// Reads what the server sent.
    pub(crate) fn handle_readable(
        &mut self,
        now: Timestamp,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
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
            let Packet::Complete(length) = next_record(rest, self.session.longest_record_bytes())
                .map_err(SessionError::Malformed)?
            else {
                break;
            };
            self.session
                .handle_record(now, rest.get_mut(..length).unwrap_or_default())?;
            handled += length;
        }
        self.received.drain(..handled);
        self.handle_events(now, announcement)?;
        self.transmit(now)
    }

    pub(super) fn handle_events(
        &mut self,
        now: Timestamp,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        while let Some(event) = self.session.poll_event() {
            self.handle_event(now, event, announcement)?;
        }
        Ok(())
    }

    fn handle_event(
        &mut self,
        now: Timestamp,
        event: Event,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        match event {
            Event::SetupReply(reply) if reply.code == SetupCode::Accepted => {
                self.is_accepted = true;
                self.was_accepted = true;
                info!(label = %reply.label, server = %self.session.peer().fingerprint(), cipher = %self.session.suite(), "connected");
            }
            Event::SetupReply(reply) => return Err(Ending::Refused(Box::new(reply))),
            Event::StreamReply { code, .. } => {
                self.handle_stream_reply(now, code, announcement)?;
            }
            Event::NextKey(key) => self.next_key = Some(key),
            Event::NewIdReply { key, code } => self.new_id = Some((key, code)),
            Event::Report(report) => self.frames_arrived = report.frames_received,
            Event::Rekey => self.session.rekey(now, &mut UnwrapErr(SysRng))?,
            Event::Closed(close) => return Err(Ending::Said(close)),
            // The server's, which the session does not let through at a client.
            Event::Setup(_) | Event::OpenStream(_) | Event::CloseStream(_) | Event::NewId(_) => {}
            // Only of sessions over datagrams.
            Event::KeyframeRequested(_)
            | Event::SendLess { .. }
            | Event::SendAll
            | Event::PathResponse(_) => {}
        }
        Ok(())
    }

    fn handle_stream_reply(
        &mut self,
        now: Timestamp,
        code: StreamCode,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        // Only what was asked for is answered.
        let StreamState::Asked {
            held, has_changed, ..
        } = &mut self.state
        else {
            return Ok(());
        };
        let held = held.take();
        if *has_changed {
            self.state = StreamState::asked(now, None);
            self.session.open_stream(announcement.open().clone());
            return Ok(());
        }
        if code == StreamCode::Open {
            announcement.was_opened();
            self.state = StreamState::Open;
        } else if announcement.was_refused(now, code) {
            self.session.open_stream(announcement.open().clone());
            self.state = StreamState::asked(now, held);
            return Ok(());
        } else {
            self.state = StreamState::Refused {
                again_at: now + REFUSED_WAIT,
                code,
            };
        }
        let Some(held) = held else {
            return Ok(());
        };
        let frame = CapturedFrame {
            number: held.number,
            captured: held.captured,
            flags: held.flags,
            payload: &held.payload,
        };
        let fits = held.payload.len().div_ceil(1024) <= announcement.open().frame_kib as usize;
        if self.takes_frames() && fits {
            self.seal_and_write(now, &frame)
        } else {
            self.frames_given_up += 1;
            self.frame_was_dropped(now, announcement);
            Ok(())
        }
    }
}
