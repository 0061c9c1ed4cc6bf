//! What the server says: whether the camera and its stream are welcome, what has arrived, when keys change.

use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use sdvr_frame::Timestamp;
use sdvr_session::{Event, Report, SetupCode, StreamCode};
use sdvr_source::CapturedFrame;
use tracing::{info, warn};

use super::{Ending, StreamState, Streaming};
use crate::announcement::{Announcement, REFUSED_WAIT};

impl Streaming {
    /// Reads what the server sent.
    pub(crate) fn handle_readable(
        &mut self,
        now: Timestamp,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        self.carrier.receive(now, &mut self.session)?;
        let result = self.handle_events(now, announcement);
        if matches!(result, Err(Ending::Said(_))) && self.carrier.loses() {
            // Else the server says it again and again to nobody.
            self.transmit(now)?;
        }
        result?;
        self.transmit(now)
    }

    /// The server has said how many frames have arrived.
    fn handle_report(&mut self, now: Timestamp, report: &Report) {
        self.frames_arrived = report.frames_received;
        // It says 0 until it has measured one.
        if report.round_trip_us > 0 {
            let round_trip = Duration::from_micros(report.round_trip_us.into());
            self.carrier.set_round_trip(round_trip);
        }
        if self.carrier.loses() {
            let under_way = self.carrier.frames_under_way(now);
            let settled = self.frames_arrived.saturating_add(under_way);
            let lost = self.frames_sent.saturating_sub(settled);
            let found = lost.saturating_sub(self.frames_lost);
            self.frames_lost += found;
            self.frames_found_lost += found;
            // A server that had no time to read may have them all the same.
            let most = self.frames_sent.saturating_sub(self.frames_arrived);
            let found_again = self.frames_lost.saturating_sub(most);
            self.frames_lost -= found_again;
            self.frames_found_again += found_again;
            let before = self.thinning.one_in();
            self.thinning
                .handle_report(now, self.frames_arrived, self.frames_lost);
            self.tell_thinning(before);
        }
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
            Event::Report(report) => self.handle_report(now, &report),
            Event::Rekey => self.session.rekey(now, &mut UnwrapErr(SysRng))?,
            Event::Closed(close) => return Err(Ending::Said(close)),
            // The server's, which the session does not let through at a client.
            Event::Setup(_) | Event::OpenStream(_) | Event::CloseStream(_) | Event::NewId(_) => {}
            Event::KeyframeRequested(_) => self.wants_key = true,
            Event::SendLess { keep_one_in } => self.follow_advice(keep_one_in),
            Event::SendAll => self.follow_advice(1),
            Event::SendShorter => {
                info!("datagrams were too long for the link and are shorter from now on");
                let before = self.thinning.one_in();
                self.thinning.begin_anew();
                self.tell_thinning(before);
            }
            // Only of one who has asked where the other end is.
            Event::PathResponse(_) => {}
        }
        Ok(())
    }

    /// The session has seen what the link carries.
    fn follow_advice(&mut self, keep_one_in: u32) {
        let before = self.thinning.one_in();
        self.thinning.set_advised(keep_one_in);
        self.tell_thinning(before);
    }

    /// Says whether fewer frames are sent than before, or more.
    fn tell_thinning(&self, before: u64) {
        let one_in = self.thinning.one_in();
        if one_in > before {
            warn!(
                one_in,
                "the link carries less than the camera gives: one frame of so many is sent from now on, and of video whose frames need each other the key frames only"
            );
        } else if one_in < before && one_in == 1 {
            info!("the link carries more again: all frames are sent");
        } else if one_in < before {
            info!(one_in, "the link carries more again");
        }
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
            self.ask(now, None, announcement);
            return Ok(());
        }
        if code == StreamCode::Open {
            announcement.was_opened();
            self.state = StreamState::Open;
        } else if announcement.was_refused(now, code) {
            self.ask(now, held, announcement);
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
            self.pass_on(now, &frame)
        } else {
            self.frames_given_up += 1;
            self.frame_was_dropped(now, announcement);
            Ok(())
        }
    }
}
