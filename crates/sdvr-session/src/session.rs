//! A session after its handshake: what either end may say, and when.
//!
//! The driver hands in records or datagrams and time (`handle_*`), and takes out what happened ([`Session::poll_event`]), what to send
//! ([`Session::poll_transmit`], [`Session::poll_datagram`]) and when to call again ([`Session::poll_timeout`]).

mod carrier;
mod datagrams;
mod records;
mod renewal;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{PublicKey, StreamId, Timestamp};

use crate::assembly::StreamOrder;
use crate::clock::{ClockSample, PeerClock};
use crate::datagram::{Advice, DatagramLink, DatagramOpener, DatagramSealer};
use crate::error::{HandshakeError, SessionError};
use crate::hello::Limits;
use crate::keys::{Suite, wipe_stack};
use crate::message::{
    Close, CloseCode, Control, NewIdCode, OpenStream, Report, Setup, SetupCode, SetupReply,
    StreamCode,
};
use crate::noise::Finished;
use crate::record::{RecordOpener, RecordSealer};
use carrier::{Carrier, Records};
pub use datagrams::{ArrivedFrame, DatagramFigures, DatagramOutcome, PARITY_MOST_PERCENT};
pub use records::OutgoingFrame;
use renewal::{Renewal, secrets};
use zeroize::Zeroizing;

/// A client says that it is there when it has sent nothing for so long.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// A client that does not hear the server over datagrams asks so often from then on: a question or its answer may have been lost.
const PING_AGAIN: Duration = Duration::from_millis(200);
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
    pub(crate) carriage: Carriage,
}

/// What the session's packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// Records of a byte stream.
    Records,
    /// Datagrams, which name the session that they are for.
    Datagrams {
        /// How the other end knows the session.
        receiver: u32,
        /// What this end's link carries.
        most_bytes: u16,
    },
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
    /// Client: a frame is missing without which those that follow cannot be decoded. A key frame helps, if the source can be asked for one.
    KeyframeRequested(StreamId),
    /// Client, over datagrams: more than the link carries is sent. More than 35 % was lost for 5 s, or what arrives takes ever longer. Send one
    /// frame in so many, in place of what was advised before: evenly chosen where each stands alone; of frames that need each other the key
    /// frames, of which the number is to be about as small. It comes again, with twice the number, until losses stop.
    SendLess {
        /// 2, 4 and so on, up to 64.
        keep_one_in: u32,
    },
    /// Client: the link seems to carry more again. After a [`Event::SendLess`] that comes first with half the number, at the end with this one;
    /// each ten seconds or more after the last, and it is taken back within a second or two if the losses come back.
    SendAll,
    /// Client, over datagrams: nearly all that was sent lately was too long for the link, and datagrams are shorter from now on. Those losses say
    /// nothing of how much it carries: what was advised before does not hold any more, and all is to be sent again.
    SendShorter,
    /// The answer to a challenge has come: compare it with [`crate::PeerPath::handle_answer`].
    PathResponse([u8; 8]),
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
    carrier: Carrier,
    state: State,
    events: VecDeque<Event>,
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
    /// Client: when it has asked last, and which of its questions was answered last.
    pinged: Option<Timestamp>,
    answered: Option<Timestamp>,
    next_report: Timestamp,
    next_clock_request: Timestamp,
    clock_requests: u32,
}

impl Timers {
    /// The server has answered what was asked then.
    fn handle_pong(&mut self, number: u64) {
        let asked = Timestamp::from_nanoseconds(number.cast_signed());
        if self.pinged.is_some_and(|pinged| asked <= pinged) {
            self.answered = self.answered.max(Some(asked));
        }
    }

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
            carriage,
        } = agreement;
        let (sending, receiving) = secrets(role, suite, &finished);
        let carrier = match carriage {
            Carriage::Records => Carrier::Records(Box::new(Records {
                sealer: RecordSealer::new(&sending, suite).ok_or(HandshakeError::Suite)?,
                opener: RecordOpener::new(&receiving, suite).ok_or(HandshakeError::Suite)?,
                outbox: Vec::new(),
            })),
            Carriage::Datagrams {
                receiver,
                most_bytes,
            } => {
                let sealer = DatagramSealer::new(&sending, suite, receiver);
                let opener = DatagramOpener::new(&receiving, suite);
                Carrier::Datagrams(Box::new(DatagramLink::new(
                    sealer.ok_or(HandshakeError::Suite)?,
                    opener.ok_or(HandshakeError::Suite)?,
                    most_bytes,
                )))
            }
        };
        let renewal = Renewal::new(now, own, finished.handshake_hash);
        drop((sending, receiving, finished));
        wipe_stack();
        Ok(Self {
            role,
            suite,
            peer,
            record_bytes,
            granted,
            carrier,
            state: State::BeforeSetup,
            events: VecDeque::new(),
            clock: PeerClock::default(),
            timers: Timers {
                last_heard: now,
                last_sent: now,
                pinged: None,
                answered: None,
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

    /// Client: when it asked, by [`Self::ping`] or by itself, what the server has answered last. What was sent before has arrived or is
    /// lost, unless the link changes the order of packets.
    #[must_use]
    pub const fn answered_ping(&self) -> Option<Timestamp> {
        self.timers.answered
    }

    /// The peer's clock.
    #[must_use]
    pub const fn clock(&self) -> &PeerClock {
        &self.clock
    }

    fn handle_control(&mut self, now: Timestamp, message: Control) -> Result<(), SessionError> {
        if message.is_of_datagrams() && self.carrier.keeps_order() {
            return Err(SessionError::Unexpected("a datagram's"));
        }
        match (self.role, message) {
            (Role::Client, Control::Pong(number)) => self.timers.handle_pong(number),
            (_, Control::Unknown(_) | Control::Pong(_) | Control::Padding(_)) => {}
            (_, Control::Ping(number)) => {
                self.answer(&Control::Pong(number))?;
                let is_accepted = matches!(self.state, State::Accepted(_));
                // A report may be lost, and when no frame follows there is no other.
                if self.role == Role::Server && is_accepted && !self.carrier.keeps_order() {
                    self.report(now);
                }
            }
            (_, Control::Close(close)) => {
                // Whoever said it first learns by the answer that all before it has arrived.
                if matches!(self.state, State::Accepted(_)) {
                    self.queue(&Control::Close(Close {
                        code: close.code,
                        text: String::new(),
                    }));
                }
                self.state = State::Closed;
                self.carrier.session_ends();
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
                    self.carrier.stream_has_ended(stream);
                }
                self.push(Event::CloseStream(stream))?;
            }
            (_, Control::Seen(records)) => self.handle_seen(records)?,
            (Role::Server, Control::Rekey1(noise)) => self.handle_rekey1(now, noise)?,
            (Role::Client, Control::Rekey2(noise)) => self.handle_rekey2(now, &noise)?,
            (Role::Server, Control::ClockReply { t1, t2, t3 }) => {
                self.carrier.sending_mut().confirm_first_epoch();
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
                self.carrier.sending_mut().confirm_first_epoch();
                if reply.code == SetupCode::Accepted {
                    self.state = State::Accepted(Vec::new());
                }
                self.push(Event::SetupReply(reply))?;
            }
            (Role::Client, Control::StreamReply { stream, code }) => {
                self.push(Event::StreamReply { stream, code })?
            }
            (Role::Client, Control::Report(report)) => {
                self.carrier.sending_mut().confirm(report.highest_counter);
                self.carrier.handle_report(&report);
                self.push(Event::Report(report))?;
            }
            (Role::Client, Control::Received(opened)) => {
                match self.carrier.handle_received(now, opened) {
                    Some(Advice::SendShorter) => self.push(Event::SendShorter)?,
                    Some(Advice::KeepOneIn(1)) => self.push(Event::SendAll)?,
                    Some(Advice::KeepOneIn(keep_one_in)) => {
                        self.push(Event::SendLess { keep_one_in })?;
                    }
                    None => {}
                }
            }
            (Role::Client, Control::ProbeAck(bytes)) => {
                self.carrier.handle_probe_answer(now, bytes);
            }
            (Role::Client, Control::RequestKeyframe(stream)) => {
                self.push(Event::KeyframeRequested(stream))?;
            }
            (Role::Server, Control::Probe(bytes)) => self.answer(&Control::ProbeAck(bytes))?,
            (_, Control::PathChallenge(secret)) => self.answer(&Control::PathResponse(secret))?,
            (_, Control::PathResponse(secret)) => self.push(Event::PathResponse(secret))?,
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
            State::Accepted(streams) => {
                streams.retain(|order| order.stream != open.stream);
                self.carrier.stream_has_ended(open.stream);
            }
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
        self.handle_datagram_timeout(now);
        if !matches!(self.state, State::Accepted(_)) {
            return;
        }
        match self.role {
            Role::Client => {
                self.ask_for_rekey_if_due(now);
                if now >= self.ping_due()
                    && (self.carrier.waiting_bytes() == 0 || !self.carrier.keeps_order())
                {
                    self.ping(now);
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
        let conversation = match (self.role, &self.state) {
            (_, State::BeforeSetup | State::Deciding | State::Closing | State::Closed) => {
                Timestamp::NEVER
            }
            (Role::Client, State::Accepted(_)) => self.ping_due().min(self.rekey_due()),
            (Role::Server, State::Accepted(_)) => {
                self.timers.next_clock_request.min(self.timers.next_report)
            }
        };
        conversation.min(self.carrier.poll_timeout())
    }

    /// Client: when it asks whether the server is there.
    fn ping_due(&self) -> Timestamp {
        let timers = &self.timers;
        if self.carrier.keeps_order() {
            return timers.last_sent + KEEPALIVE;
        }
        let due = timers.last_sent.min(timers.last_heard) + KEEPALIVE;
        let again = timers.pinged.map(|pinged| pinged + PING_AGAIN);
        again.map_or(due, |again| again.max(due))
    }

    /// Client: asks the server for an answer ([`Self::answered_ping`]); over datagrams it also says what it has received.
    pub fn ping(&mut self, now: Timestamp) {
        if self.role == Role::Client && matches!(self.state, State::Accepted(_)) {
            self.timers.pinged = Some(now);
            self.queue(&Control::Ping(now.as_nanoseconds().cast_unsigned()));
        }
    }

    /// The next thing that happened; drain it until `None` after every `handle_*` call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Client: introduces this camera and opens its streams.
    pub fn introduce(&mut self, setup: Setup, streams: &[OpenStream]) {
        if self.role == Role::Client && matches!(self.state, State::BeforeSetup) {
            self.queue(&Control::Setup(setup));
            for open in streams {
                self.carrier.stream_is_asked_for(open);
                self.queue(&Control::OpenStream(open.clone()));
            }
            self.state = State::Deciding;
        }
    }

    /// Client: opens one more stream, or replaces an open one.
    pub fn open_stream(&mut self, open: OpenStream) {
        self.carrier.stream_is_asked_for(&open);
        self.queue(&Control::OpenStream(open));
    }

    /// Client: ends a stream.
    pub fn close_stream(&mut self, stream: StreamId) {
        self.carrier.stream_has_ended(stream);
        self.queue(&Control::CloseStream(stream));
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
        self.carrier.session_ends();
    }

    /// Server: answers [`Event::OpenStream`]. Frames of the stream are taken from now on if the answer is
    /// [`StreamCode::Open`].
    pub fn reply_stream(&mut self, open: &OpenStream, code: StreamCode) {
        if let State::Accepted(streams) = &mut self.state {
            streams.retain(|order| order.stream != open.stream);
            if code == StreamCode::Open {
                streams.push(StreamOrder::new(open));
            }
            self.carrier.stream_was_answered(open, code);
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
        self.carrier.session_ends();
        self.state = match self.state {
            State::Accepted(_) => State::Closing,
            State::Closing => State::Closing,
            State::BeforeSetup | State::Deciding | State::Closed => State::Closed,
        };
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
            highest_counter: self.carrier.received_counter(),
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
        if let Some(opened) = self.carrier.opened_datagrams() {
            self.queue(&Control::Received(opened));
        }
    }

    fn queue(&mut self, message: &Control) {
        if !matches!(self.state, State::Closing | State::Closed) {
            self.carrier.queue(message);
        }
    }

    /// Queues what a peer asked for, which may not pile up: a peer that asks and does not read would fill the memory.
    fn answer(&mut self, message: &Control) -> Result<(), SessionError> {
        if self.carrier.waiting_bytes() > ANSWERS_MOST_BYTES {
            return Err(SessionError::Unexpected("flood of"));
        }
        self.queue(message);
        Ok(())
    }

    fn push(&mut self, event: Event) -> Result<(), SessionError> {
        if self.events.len() >= EVENTS_MOST {
            return Err(SessionError::Unexpected("flood of"));
        }
        self.events.push_back(event);
        Ok(())
    }
}
