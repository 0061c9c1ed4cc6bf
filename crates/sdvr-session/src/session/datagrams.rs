//! A session over datagrams: what is lost is said again, asked for again, or given up in time.

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};

use super::carrier::Carrier;
use super::{Role, Session, State};
use crate::datagram::{
    DatagramLink, FrameFacts, Piece, ReassemblyBudget, Rejected, RoundTrip, WholeFrame,
};
use crate::error::{Malformed, SessionError};
use crate::media::{MEDIA_TYPE, MediaFragment, MediaHeader};
use crate::message::Control;

const NO_DATAGRAMS: SessionError =
    SessionError::Unexpected("a datagram in a session over a byte stream and no");

/// The most parity that a frame may have, in per cent of its fragments.
pub const PARITY_MOST_PERCENT: u8 = 50;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramOutcome {
    /// It was opened.
    Opened {
        /// Whether none of a higher number was before: only such a one may tell that the other end has moved.
        is_newest: bool,
    },
    /// It was not. Anybody can send such, so the session goes on as if it had not come.
    Rejected(Rejected),
}

/// What has become of a session's datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramFigures {
    /// Opened.
    pub opened: u64,
    /// Not the other end's, altered, or received before.
    pub rejected: u64,
    /// Fragments that came twice, or after their frame was handed out or given up.
    pub late: u64,
    /// Frames that were not whole in time.
    pub given_up: u64,
    /// Fragments that did not arrive and were computed from parity.
    pub restored: u64,
}

/// A frame that has arrived as a whole, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedFrame {
    header: MediaHeader,
    bytes: Vec<u8>,
    missed: u64,
    lost: u64,
    retransmitted: u64,
}

impl ArrivedFrame {
    /// The frame, as a byte stream would have brought it in one piece.
    #[must_use]
    pub fn as_fragment(&self) -> MediaFragment<'_> {
        MediaFragment {
            header: self.header,
            bytes: &self.bytes,
            missed: self.missed,
            lost: self.lost,
            retransmitted: Some(self.retransmitted),
        }
    }
}

impl Session {
    const fn datagram_link(&mut self) -> Option<&mut DatagramLink> {
        match &mut self.carrier {
            Carrier::Records(_) => None,
            Carrier::Datagrams(link) => Some(link),
        }
    }

    /// Takes in one datagram, which is opened in place. Frames that it completes are given by [`Self::poll_frame`]; what else it carries
    /// becomes events.
    ///
    /// # Errors
    ///
    /// The other end broke the protocol: the session is of no more use. A datagram that is not the other end's is no error.
    pub fn handle_datagram(
        &mut self,
        now: Timestamp,
        datagram: &mut [u8],
    ) -> Result<DatagramOutcome, SessionError> {
        self.check_age(now)?;
        let datagram_bytes = datagram.len() as u64;
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        let round_trip = link.round_trip.time;
        let opened = match link.opener.open(now, round_trip, datagram) {
            Ok(opened) => opened,
            Err(rejected) => {
                link.rejected = link.rejected.saturating_add(1);
                return Ok(DatagramOutcome::Rejected(rejected));
            }
        };
        link.opened = link.opened.saturating_add(1);
        let (messages, counter, is_newest) = (opened.messages, opened.counter, opened.is_newest);
        if opened.begins_epoch {
            self.handle_new_epoch()?;
        }
        self.timers.last_heard = now;
        self.counters.bytes_since_report = self
            .counters
            .bytes_since_report
            .saturating_add(datagram_bytes);
        self.handle_messages(now, counter, messages)?;
        self.handle_lane(now)?;
        Ok(DatagramOutcome::Opened { is_newest })
    }

    fn handle_messages(
        &mut self,
        now: Timestamp,
        counter: u64,
        mut messages: &[u8],
    ) -> Result<(), SessionError> {
        while let Some(&message_type) = messages.first() {
            if message_type == MEDIA_TYPE {
                return self.handle_fragment(now, counter, messages);
            }
            let (message, rest) = Control::parse(messages)?;
            self.handle_outside_lane(now, message)?;
            messages = rest;
        }
        Ok(())
    }

    /// What is only true for a moment, and the lane itself.
    fn handle_outside_lane(
        &mut self,
        now: Timestamp,
        message: Control,
    ) -> Result<(), SessionError> {
        let role = self.role;
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        match message {
            Control::Lane { number, message } => link.heard.take(number, &message),
            Control::LaneAck(next) => {
                if !link.lane.acknowledge(next) {
                    return Err(SessionError::Unexpected("LANE_ACK"));
                }
                if link.lane.is_idle() {
                    self.all_was_said();
                }
                Ok(())
            }
            Control::Nack { stream, requests } if role == Role::Client => {
                link.handle_requests(now, stream, &requests);
                Ok(())
            }
            message if matches!(self.state, State::Closing | State::Closed) => {
                // What was on its way when the session ended is nobody's mistake.
                drop(message);
                Ok(())
            }
            message if message.is_passing() => self.handle_control(now, message),
            Control::Unknown(_) => Ok(()),
            _ => Err(SessionError::Unexpected(
                "a message outside the lane, and no",
            )),
        }
    }

    /// The messages of the lane, in order.
    fn handle_lane(&mut self, now: Timestamp) -> Result<(), SessionError> {
        while let Some(bytes) = self.datagram_link().and_then(|link| link.heard.poll()) {
            let (message, rest) = Control::parse(&bytes)?;
            if !rest.is_empty() {
                return Err(Malformed::Trailing.into());
            }
            if message.is_passing() || matches!(message, Control::Lane { .. }) {
                return Err(SessionError::Unexpected("a message in the lane, and no"));
            }
            match self.state {
                State::Closed => {}
                State::Closing if !matches!(message, Control::Close(_) | Control::Rekey2(_)) => {}
                _ => self.handle_control(now, message)?,
            }
        }
        Ok(())
    }

    fn handle_fragment(
        &mut self,
        now: Timestamp,
        counter: u64,
        message: &[u8],
    ) -> Result<(), SessionError> {
        if matches!(self.state, State::Closing | State::Closed) {
            return Ok(());
        }
        let (Role::Server, State::Accepted(_)) = (self.role, &self.state) else {
            return Err(SessionError::Unexpected("MEDIA"));
        };
        let (header, bytes) = MediaHeader::parse(message)?;
        let facts = FrameFacts::of(&header);
        self.timers.schedule_report(now, self.counters.last_report);
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        // Fragments may overtake the message that closes their stream, or be overtaken by it.
        let Some(arrivals) = link.arrivals(header.stream) else {
            return Ok(());
        };
        let piece = Piece::of(&header, bytes);
        arrivals.take(now, counter, facts, header.since, piece)?;
        if !arrivals.lacks_nothing() {
            link.ask(now);
        }
        Ok(())
    }

    /// Server: the next frame that is whole, in order. Drain it after every `handle_*` call.
    ///
    /// All that came until `heard_until` has been handed in: what is not whole and was to be by then is given up. That is earlier than now where
    /// a program has not come to take what it was sent.
    pub fn poll_frame(&mut self, heard_until: Timestamp) -> Option<ArrivedFrame> {
        if !matches!(self.state, State::Accepted(_)) {
            return None;
        }
        let link = self.datagram_link()?;
        let whole = link
            .all_arrivals()
            .find_map(|arrivals| arrivals.poll(heard_until))?;
        let WholeFrame {
            facts,
            bytes,
            missed,
            lost,
            retransmitted,
        } = whole;
        let counters = &mut self.counters;
        counters.frames_received = counters.frames_received.saturating_add(1);
        counters.frames_lost = counters.frames_lost.saturating_add(missed);
        Some(ArrivedFrame {
            header: MediaHeader::whole(
                facts.stream,
                (facts.number, facts.captured, facts.flags),
                facts.frame_bytes,
            ),
            bytes,
            missed,
            lost,
            retransmitted,
        })
    }

    /// Client: whether a frame of the stream is still leaving: the next one is to wait, or to be left out.
    #[must_use]
    pub fn is_sending(&self, stream: StreamId) -> bool {
        match &self.carrier {
            Carrier::Records(_) => false,
            Carrier::Datagrams(link) => link.is_sending(stream),
        }
    }

    /// Client: sends a frame. It leaves by [`Self::poll_datagram`], and is kept as long as it may be asked for again.
    ///
    /// # Errors
    ///
    /// The frame is empty or longer than 4 GiB, or the one before has not left yet.
    pub fn send_frame(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        (number, captured, flags): (FrameNumber, Timestamp, FrameFlags),
        bytes: Vec<u8>,
    ) -> Result<(), SessionError> {
        if bytes.is_empty() {
            return Err(SessionError::Frame("it is empty"));
        }
        let too_long = |_| SessionError::Frame("it is longer than 4 GiB");
        let frame_bytes = u32::try_from(bytes.len()).map_err(too_long)?;
        self.check_age(now)?;
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        if link.is_sending(stream) {
            return Err(SessionError::Frame("the one before has not left"));
        }
        let facts = FrameFacts {
            stream,
            number,
            frame_bytes,
            fragment_bytes: link.fragment_bytes(),
            captured,
            flags,
        };
        link.send_frame(now, facts, bytes);
        Ok(())
    }

    /// Server: what frames of streams that are opened from now on take counts in this budget. Nothing in a session over a byte stream.
    pub fn set_reassembly_budget(&mut self, budget: ReassemblyBudget) {
        if let Some(link) = self.datagram_link() {
            link.budget = budget;
        }
    }

    /// Client: sends parity with each frame from now on, so many per cent of its fragments, rounded up; at most [`PARITY_MOST_PERCENT`], 0 for
    /// none. As many lost fragments come back at once, without a round trip, which helps where the stream's latency leaves no time for one; it
    /// costs as much of the link all the time. Nothing in a session over a byte stream.
    pub fn set_parity(&mut self, percent: u8) {
        if let Some(link) = self.datagram_link() {
            link.parity_percent = percent.min(PARITY_MOST_PERCENT);
        }
    }

    /// Appends one datagram to `out`, if there is something to say now; whether there was. Call it until there is not, after every
    /// `handle_*` call and [`Self::send_frame`].
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`].
    pub fn poll_datagram(
        &mut self,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<bool, SessionError> {
        let limits = self.renewal.limits;
        let may_probe = self.role == Role::Client && matches!(self.state, State::Accepted(_));
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        let has_said = link.poll_datagram(now, &limits, may_probe, out)?;
        if has_said {
            self.timers.last_sent = now;
        }
        Ok(has_said)
    }

    /// Appends a datagram to `out` that asks whoever is at the address to which it is sent to say `secret`:
    /// [`Event::PathResponse`](crate::Event::PathResponse).
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`].
    pub fn challenge(&mut self, secret: [u8; 8], out: &mut Vec<u8>) -> Result<(), SessionError> {
        let link = self.datagram_link().ok_or(NO_DATAGRAMS)?;
        link.sealer
            .seal(out, |out| Control::PathChallenge(secret).write(out))?;
        Ok(())
    }

    /// Seals any content, for tests.
    pub(crate) fn seal_datagram(&mut self, content: &[u8], out: &mut Vec<u8>) -> bool {
        self.datagram_link().is_some_and(|link| {
            let sealed = link.sealer.seal(out, |out| out.extend_from_slice(content));
            sealed.is_ok()
        })
    }

    /// What has become of the datagrams, of streams that are open. Nothing in a session over a byte stream.
    #[must_use]
    pub fn datagram_figures(&self) -> DatagramFigures {
        match &self.carrier {
            Carrier::Records(_) => DatagramFigures::default(),
            Carrier::Datagrams(link) => link.figures(),
        }
    }

    /// What datagrams need when time has passed.
    pub(super) fn handle_datagram_timeout(&mut self, now: Timestamp) {
        let round_trip = self.clock.round_trip();
        let is_server = self.role == Role::Server;
        let Some(link) = self.datagram_link() else {
            return;
        };
        link.opener.forget_previous(now);
        if is_server {
            if let Some(time) = round_trip {
                link.round_trip = RoundTrip {
                    time,
                    ..link.round_trip
                };
            }
            link.ask(now);
        }
    }
}
