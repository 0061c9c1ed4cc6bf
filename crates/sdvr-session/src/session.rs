//! A session after its handshake: what either end may say, and when.
//!
//! The driver hands in records and time (`handle_*`), and takes out what happened ([`Session::poll_event`]), what to send
//! ([`Session::poll_transmit`]) and when to call again ([`Session::poll_timeout`]).

mod renewal;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, PublicKey, StreamId, Timestamp};

use crate::assembly::StreamOrder;
use crate::clock::{ClockSample, PeerClock};
use crate::error::{HandshakeError, SessionError};
use crate::hello::Limits;
use crate::keys::{Suite, wipe_stack};
use crate::media::{MEDIA_HEADER_BYTES, MEDIA_TYPE, MediaFragment, MediaHeader};
use crate::message::{
    Close, CloseCode, Control, NewIdCode, OpenStream, Report, Setup, SetupCode, SetupReply,
    StreamCode,
};
use crate::noise::Finished;
use crate::record::{
    Opened, RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES, RecordOpener, RecordSealer,
};
use renewal::{Renewal, secrets};
use zeroize::Zeroizing;

/// The most a record may have before the camera was accepted.
const UNACCEPTED_RECORD_BYTES: usize = 4096;
/// The most control messages in a record: with the tag, what may be sent before the camera was accepted.
const CONTROL_RECORD_BYTES: usize = UNACCEPTED_RECORD_BYTES - 16;
/// A client says that it is there when it has sent nothing for so long.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// A server says what it received, while it receives.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
const CLOCK_INTERVAL_AT_FIRST: Duration = Duration::from_secs(1);
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);
const CLOCK_REQUESTS_AT_FIRST: u32 = 10;
/// Events a peer may cause before the driver takes them. More in one record is an attack.
const EVENTS_MOST: usize = 64;
/// What may wait to be sent when a peer causes one more answer. An honest peer asks once a second.
const ANSWERS_MOST_BYTES: usize = 16 * 1024;
/// How far apart the keys are at least that a client announces: each makes the server write to its disk.
const NEW_ID_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What both ends agreed on in the handshake.
pub(crate) struct Agreement {
    pub(crate) role: Role,
    /// This end's private key, for the handshakes inside the session.
    pub(crate) own: Arc<Zeroizing<[u8; 32]>>,
    pub(crate) suite: Suite,
    pub(crate) peer: PublicKey,
    pub(crate) record_bytes: usize,
    pub(crate) granted: Limits,
    pub(crate) finished: Finished,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Server: the camera introduced itself. Decide with [`Session::accept`] or [`Session::refuse`].
    Setup(Setup),
    /// Client: the server decided.
    SetupReply(SetupReply),
    /// Server: a stream opens or is replaced. Answer with [`Session::reply_stream`].
    OpenStream(OpenStream),
    /// Server: a stream ended.
    CloseStream(StreamId),
    /// Client: the server's answer on a stream.
    StreamReply {
        /// Which.
        stream: StreamId,
        /// The answer.
        code: StreamCode,
    },
    /// Client: what the server has received.
    Report(Report),
    /// A handshake for fresh keys is due or under way and needs randomness: answer with [`Session::rekey`].
    Rekey,
    /// Client: the server announces another key, which it has from now on beside the one that it has proved.
    NextKey(PublicKey),
    /// Server: the camera announces the key that it will come with. Answer with [`Session::reply_new_id`].
    NewId(PublicKey),
    /// Client: the server's answer to [`Session::announce_new_id`].
    NewIdReply {
        /// The key that was announced.
        key: PublicKey,
        /// The answer.
        code: NewIdCode,
    },
    /// The other end ended the session.
    Closed(Close),
}

/// How far a session is.
#[derive(Debug)]
enum State {
    /// Client: SETUP is sent when the driver asks for it. Server: waiting for SETUP.
    BeforeSetup,
    /// Client: waiting for the decision. Server: the decision is up to the driver.
    Deciding,
    /// Frames flow. Server: in these streams.
    Accepted(Vec<StreamOrder>),
    /// This end has said CLOSE, and waits for the other's.
    Closing,
    /// Nothing more is accepted or sent.
    Closed,
}

/// An authenticated, encrypted session with one peer.
#[derive(Debug)]
pub struct Session {
    role: Role,
    suite: Suite,
    peer: PublicKey,
    record_bytes: usize,
    granted: Limits,
    sealer: RecordSealer,
    opener: RecordOpener,
    state: State,
    events: VecDeque<Event>,
    /// Control messages, not yet sealed.
    outbox: Vec<u8>,
    clock: PeerClock,
    timers: Timers,
    counters: Counters,
    renewal: Renewal,
    /// Server: what an accepted client is to hear, which still knows the key before.
    newer_key: Option<PublicKey>,
    /// Server: when the client has announced a key last.
    new_id_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Timers {
    last_heard: Timestamp,
    last_sent: Timestamp,
    next_report: Timestamp,
    next_clock_request: Timestamp,
    clock_requests: u32,
}

impl Timers {
    /// While bytes come the reports keep their rhythm, whatever the frames' is.
    fn schedule_report(&mut self, now: Timestamp, last: Option<Timestamp>) {
        if self.next_report == Timestamp::NEVER {
            let in_rhythm = last.map(|last| last + REPORT_INTERVAL);
            let next = in_rhythm.filter(|&next| next > now);
            self.next_report = next.unwrap_or(now + REPORT_INTERVAL);
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    frames_received: u64,
    frames_lost: u64,
    bytes_since_report: u64,
    last_report: Option<Timestamp>,
}

impl Session {
    pub(crate) fn new(now: Timestamp, agreement: Agreement) -> Result<Self, HandshakeError> {
        let Agreement {
            role,
            own,
            suite,
            peer,
            record_bytes,
            granted,
            finished,
        } = agreement;
        let (sending, receiving) = secrets(role, suite, &finished);
        let sealer = RecordSealer::new(&sending, suite).ok_or(HandshakeError::Suite)?;
        let opener = RecordOpener::new(&receiving, suite).ok_or(HandshakeError::Suite)?;
        let renewal = Renewal::new(now, own, finished.handshake_hash);
        drop((sending, receiving, finished));
        wipe_stack();
        Ok(Self {
            role,
            suite,
            peer,
            record_bytes,
            granted,
            sealer,
            opener,
            state: State::BeforeSetup,
            events: VecDeque::new(),
            outbox: Vec::new(),
            clock: PeerClock::default(),
            timers: Timers {
                last_heard: now,
                last_sent: now,
                next_report: Timestamp::NEVER,
                next_clock_request: Timestamp::NEVER,
                clock_requests: 0,
            },
            counters: Counters::default(),
            renewal,
            newer_key: None,
            new_id_at: None,
        })
    }

    /// Server: the handshake was made with an old key; a client that is accepted hears of this one.
    pub(crate) const fn with_newer_key(mut self, key: Option<PublicKey>) -> Self {
        self.newer_key = key;
        self
    }

    /// The other end's key, proved by the handshake.
    #[must_use]
    pub const fn peer(&self) -> PublicKey {
        self.peer
    }

    /// The cipher in use.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// What the server takes.
    #[must_use]
    pub const fn granted(&self) -> Limits {
        self.granted
    }

    /// When the other end was heard last.
    #[must_use]
    pub const fn last_heard(&self) -> Timestamp {
        self.timers.last_heard
    }

    /// The peer's clock.
    #[must_use]
    pub const fn clock(&self) -> &PeerClock {
        &self.clock
    }

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
        let Opened {
            mut messages,
            begins_epoch,
        } = self.opener.open(record)?;
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
        }))
    }

    fn handle_control(&mut self, now: Timestamp, message: Control) -> Result<(), SessionError> {
        match (self.role, message) {
            (_, Control::Unknown(_) | Control::Pong(_)) => {}
            (_, Control::Ping(number)) => self.answer(&Control::Pong(number))?,
            (_, Control::Close(close)) => {
                // Whoever said it first learns by the answer that all before it has arrived.
                if matches!(self.state, State::Accepted(_)) {
                    self.queue(&Control::Close(Close {
                        code: close.code,
                        text: String::new(),
                    }));
                }
                self.state = State::Closed;
                self.push(Event::Closed(close))?;
            }
            (Role::Server, Control::Setup(setup)) => {
                if !matches!(self.state, State::BeforeSetup) {
                    return Err(SessionError::Unexpected("SETUP"));
                }
                self.state = State::Deciding;
                self.push(Event::Setup(setup))?;
            }
            (Role::Server, Control::OpenStream(open)) => self.handle_open_stream(open)?,
            // SETUP is the client's first message.
            (Role::Server, Control::CloseStream(_) | Control::ClockReply { .. })
                if matches!(self.state, State::BeforeSetup) =>
            {
                return Err(SessionError::Unexpected("premature"));
            }
            (Role::Server, Control::CloseStream(stream)) => {
                if let State::Accepted(streams) = &mut self.state {
                    streams.retain(|order| order.stream != stream);
                }
                self.push(Event::CloseStream(stream))?;
            }
            (_, Control::Seen(records)) => self.handle_seen(records)?,
            (Role::Server, Control::Rekey1(noise)) => self.handle_rekey1(now, noise)?,
            (Role::Client, Control::Rekey2(noise)) => self.handle_rekey2(now, &noise)?,
            (Role::Server, Control::ClockReply { t1, t2, t3 }) => {
                self.sealer.keys.confirm_first_epoch();
                if let Some(sample) = ClockSample::new(t1, t2, t3, now.as_nanoseconds()) {
                    self.clock.add(sample);
                }
            }
            (Role::Client, Control::ClockRequest { t1 }) => {
                let t2 = now.as_nanoseconds();
                self.answer(&Control::ClockReply { t1, t2, t3: t2 })?;
            }
            (Role::Client, Control::SetupReply(reply)) => {
                if !matches!(self.state, State::Deciding) {
                    return Err(SessionError::Unexpected("SETUP_REPLY"));
                }
                self.sealer.keys.confirm_first_epoch();
                if reply.code == SetupCode::Accepted {
                    self.state = State::Accepted(Vec::new());
                }
                self.push(Event::SetupReply(reply))?;
            }
            (Role::Client, Control::StreamReply { stream, code }) => {
                self.push(Event::StreamReply { stream, code })?
            }
            (Role::Client, Control::Report(report)) => {
                self.sealer.keys.confirm(report.highest_counter);
                self.push(Event::Report(report))?;
            }
            (Role::Client, Control::NextKey(key)) if matches!(self.state, State::Accepted(_)) => {
                self.push(Event::NextKey(key))?;
            }
            (Role::Server, Control::NewId(key)) => self.handle_new_id(now, key)?,
            (Role::Client, Control::NewIdReply { key, code })
                if matches!(self.state, State::Accepted(_)) =>
            {
                self.push(Event::NewIdReply { key, code })?;
            }
            (Role::Server, _) => return Err(SessionError::Unexpected("server's")),
            (Role::Client, _) => return Err(SessionError::Unexpected("client's")),
        }
        Ok(())
    }

    fn handle_open_stream(&mut self, open: OpenStream) -> Result<(), SessionError> {
        match &mut self.state {
            State::BeforeSetup | State::Closing | State::Closed => {
                return Err(SessionError::Unexpected("OPEN_STREAM"));
            }
            // The stream is admitted when the driver answers it, after the camera was accepted.
            State::Deciding => {}
            State::Accepted(streams) => streams.retain(|order| order.stream != open.stream),
        }
        self.push(Event::OpenStream(open))
    }

    fn handle_new_id(&mut self, now: Timestamp, key: PublicKey) -> Result<(), SessionError> {
        let is_too_soon = self
            .new_id_at
            .is_some_and(|last| now.saturating_since(last) < NEW_ID_INTERVAL);
        if !matches!(self.state, State::Accepted(_)) || is_too_soon {
            return Err(SessionError::Unexpected("NEW_ID"));
        }
        self.new_id_at = Some(now);
        self.push(Event::NewId(key))
    }

    /// Acts on time that has passed. Calling it too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if !matches!(self.state, State::Accepted(_)) {
            return;
        }
        match self.role {
            Role::Client => {
                self.ask_for_rekey_if_due(now);
                if now >= self.timers.last_sent + KEEPALIVE && self.outbox.is_empty() {
                    self.queue(&Control::Ping(now.as_nanoseconds().cast_unsigned()));
                }
            }
            Role::Server => {
                if now >= self.timers.next_clock_request {
                    self.request_clock(now);
                }
                if now >= self.timers.next_report {
                    self.report(now);
                }
            }
        }
    }

    /// When to call [`Self::handle_timeout`] if nothing else happens first.
    #[must_use]
    pub fn poll_timeout(&self) -> Timestamp {
        match (self.role, &self.state) {
            (_, State::BeforeSetup | State::Deciding | State::Closing | State::Closed) => {
                Timestamp::NEVER
            }
            (Role::Client, State::Accepted(_)) => {
                (self.timers.last_sent + KEEPALIVE).min(self.rekey_due())
            }
            (Role::Server, State::Accepted(_)) => {
                self.timers.next_clock_request.min(self.timers.next_report)
            }
        }
    }

    /// The next thing that happened; drain it until `None` after every `handle_*` call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends what is to be said to `out`, if there is anything, as one or more records.
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`].
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut Vec<u8>) -> Result<(), SessionError> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let outbox = std::mem::take(&mut self.outbox);
        self.timers.last_sent = now;
        self.sealer.keys.renew_if_due(now, &self.renewal.limits)?;
        let mut rest = outbox.as_slice();
        while !rest.is_empty() {
            let messages;
            (messages, rest) = split_messages(rest, CONTROL_RECORD_BYTES);
            self.sealer
                .seal(out, messages.len(), |out| out.extend_from_slice(messages))?;
        }
        self.outbox_was_sealed();
        Ok(())
    }

    /// Client: introduces this camera and opens its streams.
    pub fn introduce(&mut self, setup: Setup, streams: &[OpenStream]) {
        if self.role == Role::Client && matches!(self.state, State::BeforeSetup) {
            self.queue(&Control::Setup(setup));
            streams
                .iter()
                .for_each(|open| self.queue(&Control::OpenStream(open.clone())));
            self.state = State::Deciding;
        }
    }

    /// Client: opens one more stream, or replaces an open one.
    pub fn open_stream(&mut self, open: OpenStream) {
        self.queue(&Control::OpenStream(open));
    }

    /// Client: ends a stream.
    pub fn close_stream(&mut self, stream: StreamId) {
        self.queue(&Control::CloseStream(stream));
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
        self.sealer.keys.renew_if_due(now, &self.renewal.limits)?;
        let piece_most_bytes = self
            .record_bytes
            .saturating_sub(MEDIA_HEADER_BYTES + RECORD_OVERHEAD_BYTES);
        let piece = rest.get(..piece_most_bytes).unwrap_or(rest);
        let too_long = |_| SessionError::Frame("it is longer than 4 GiB");
        let header = MediaHeader {
            stream: frame.stream,
            frame_bytes: u32::try_from(payload.len()).map_err(too_long)?,
            number: frame.number,
            captured: frame.captured,
            flags: frame.flags,
            is_first: frame.sent_bytes == 0,
            is_last: piece.len() == rest.len(),
            offset: u32::try_from(frame.sent_bytes).map_err(too_long)?,
        };
        self.sealer
            .seal(out, piece.len().saturating_add(MEDIA_HEADER_BYTES), |out| {
                header.write(out);
                out.extend_from_slice(piece);
            })?;
        self.timers.last_sent = now;
        frame.sent_bytes = frame.sent_bytes.saturating_add(piece.len());
        Ok(header.is_last)
    }

    /// Server: lets the camera in under `label`. Asks for its clock at once, so that its first frame has a time.
    pub fn accept(&mut self, now: Timestamp, label: sdvr_frame::Label) {
        if self.role == Role::Server && matches!(self.state, State::Deciding) {
            self.state = State::Accepted(Vec::new());
            self.queue(&Control::SetupReply(SetupReply {
                code: SetupCode::Accepted,
                retry_after_s: 0,
                in_the_way: [0; 32],
                label,
            }));
            self.request_clock(now);
            if let Some(key) = self.newer_key {
                self.announce_next_key(key);
            }
        }
    }

    /// Server: tells an accepted client that it has another key from now on. The client remembers it beside the one it knows,
    /// and the next handshake may prove it.
    pub fn announce_next_key(&mut self, key: PublicKey) {
        if self.role == Role::Server && matches!(self.state, State::Accepted(_)) {
            self.queue(&Control::NextKey(key));
        }
    }

    /// Client: tells a server that has accepted it which key it will come with. That is to be used only when the answer has
    /// said that it is on the server's disk. At most once a second: more often ends the session.
    pub fn announce_new_id(&mut self, key: PublicKey) {
        if self.role == Role::Client && matches!(self.state, State::Accepted(_)) {
            self.queue(&Control::NewId(key));
        }
    }

    /// Server: answers [`Event::NewId`].
    pub fn reply_new_id(&mut self, key: PublicKey, code: NewIdCode) {
        if self.role == Role::Server && matches!(self.state, State::Accepted(_)) {
            self.queue(&Control::NewIdReply { key, code });
        }
    }

    /// Server: does not let the camera in.
    pub fn refuse(&mut self, reply: SetupReply) {
        self.queue(&Control::SetupReply(reply));
        self.state = State::Closed;
    }

    /// Server: answers [`Event::OpenStream`]. Frames of the stream are taken from now on if the answer is
    /// [`StreamCode::Open`].
    pub fn reply_stream(&mut self, open: &OpenStream, code: StreamCode) {
        if let State::Accepted(streams) = &mut self.state {
            streams.retain(|order| order.stream != open.stream);
            if code == StreamCode::Open {
                streams.push(StreamOrder::new(open));
            }
        }
        self.queue(&Control::StreamReply {
            stream: open.stream,
            code,
        });
    }

    /// Ends the session. What was said before is still to be transmitted, and the CLOSE after it. The other end's answer,
    /// [`Event::Closed`] with the same code, says that all of it has arrived.
    pub fn close(&mut self, code: CloseCode, text: &str) {
        self.queue(&Control::Close(Close {
            code,
            text: text.to_owned(),
        }));
        self.state = match self.state {
            State::Accepted(_) => State::Closing,
            State::Closing => State::Closing,
            State::BeforeSetup | State::Deciding | State::Closed => State::Closed,
        };
    }

    /// Server: a part of a record has arrived. Reports go on, so that a client whose link takes seconds for a record hears
    /// that somebody is there.
    pub fn handle_part_of_record(&mut self, now: Timestamp) {
        if self.role == Role::Server && matches!(self.state, State::Accepted(_)) {
            self.timers.schedule_report(now, self.counters.last_report);
        }
    }

    fn request_clock(&mut self, now: Timestamp) {
        self.timers.clock_requests = self.timers.clock_requests.saturating_add(1);
        let interval = if self.timers.clock_requests <= CLOCK_REQUESTS_AT_FIRST {
            CLOCK_INTERVAL_AT_FIRST
        } else {
            CLOCK_INTERVAL
        };
        self.timers.next_clock_request = now + interval;
        self.queue(&Control::ClockRequest {
            t1: now.as_nanoseconds(),
        });
    }

    fn report(&mut self, now: Timestamp) {
        let counters = &mut self.counters;
        let since = counters
            .last_report
            .map_or(REPORT_INTERVAL, |last| now.saturating_since(last));
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let kbps = counters
            .bytes_since_report
            .saturating_mul(8)
            .checked_div(milliseconds)
            .unwrap_or(0);
        let round_trip = self.clock.round_trip().unwrap_or_default().as_micros();
        let report = Report {
            highest_counter: self.opener.counter(),
            frames_received: counters.frames_received,
            frames_lost: counters.frames_lost,
            jitter_us: 0,
            received_kbps: u32::try_from(kbps).unwrap_or(u32::MAX),
            round_trip_us: u32::try_from(round_trip).unwrap_or(u32::MAX),
            congestion_marks: 0,
        };
        counters.bytes_since_report = 0;
        counters.last_report = Some(now);
        // The next piece of a frame starts the timer again: an idle session says nothing.
        self.timers.next_report = Timestamp::NEVER;
        self.queue(&Control::Report(report));
    }

    fn queue(&mut self, message: &Control) {
        if !matches!(self.state, State::Closing | State::Closed) {
            message.write(&mut self.outbox);
        }
    }

    /// Queues what a peer asked for, which may not pile up: a peer that asks and does not read would fill the memory.
    fn answer(&mut self, message: &Control) -> Result<(), SessionError> {
        if self.outbox.len() > ANSWERS_MOST_BYTES {
            return Err(SessionError::Unexpected("flood of"));
        }
        self.queue(message);
        Ok(())
    }

    pub(crate) const fn keys(&mut self) -> (&mut RecordSealer, &mut RecordOpener) {
        (&mut self.sealer, &mut self.opener)
    }

    fn push(&mut self, event: Event) -> Result<(), SessionError> {
        if self.events.len() >= EVENTS_MOST {
            return Err(SessionError::Unexpected("flood of"));
        }
        self.events.push_back(event);
        Ok(())
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
