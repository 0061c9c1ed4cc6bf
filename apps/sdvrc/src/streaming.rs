//! A session with a server: frames out, decisions and reports in.

use std::io;
use std::time::Duration;

use sdvr_frame::{FourCc, FrameFlags, InstanceId, Label, StreamId, StreamKind, Timestamp};
use sdvr_session::{
    Close, CloseCode, Event, OpenStream, OutgoingFrame, Packet, Session, SessionError, Setup,
    SetupCode, SetupReply, StreamCode, next_record,
};
use sdvr_source::{CapturedFrame, SourceDescription};
use sdvr_transport::{Received, TcpLink};
use tracing::{error, info, warn};

use crate::backlog::Backlog;

const STREAM: StreamId = StreamId(0);
const READ_BYTES: usize = 64 * 1024;
/// Silence of the server after which the link is given up, and the longest that a slow link excuses.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_MOST: Duration = Duration::from_secs(10);
/// How long a stream that was refused waits to be asked for again.
const REFUSED_WAIT: Duration = Duration::from_secs(5);
/// A compressed frame may be this many times as long as the first one before the stream is opened anew.
const FRAME_GROWTH: usize = 8;
const FRAME_LEAST_KIB: u32 = 64;
/// How long a key frame is waited for after a drop. Encoders that refresh in stripes never send one, and a decoder mends their pictures by itself.
const KEY_WAIT: Duration = Duration::from_secs(5);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    #[error("the connection was cut")]
    Cut,
    #[error("the server was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the server said: {}", .0.text)]
    Said(Close),
    #[error("{0}")]
    Broken(#[from] SessionError),
    #[error("{}", refusal_text(.0))]
    Refused(Box<SetupReply>),
}

impl From<io::Error> for Ending {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}

/// How far the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamState {
    /// Waiting for the server's decision.
    Asked,
    /// Frames flow.
    Open,
    /// Refused; to be asked for again.
    Refused { again_at: Timestamp },
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    Dropped,
}

/// A session in use.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) link: TcpLink,
    session: Session,
    backlog: Backlog,
    received: Vec<u8>,
    open: OpenStream,
    state: StreamState,
    /// Until when frames are of no use that are no key frames.
    needs_key_until: Option<Timestamp>,
    is_closing: bool,
}

impl Streaming {
    /// Introduces the camera.
    pub(crate) fn start(
        now: Timestamp,
        link: TcpLink,
        mut session: Session,
        label: &Label,
        instance: InstanceId,
        description: &SourceDescription,
    ) -> Result<Self, Ending> {
        let open = open_stream(instance, description);
        let program = concat!("sdvrc ", env!("CARGO_PKG_VERSION")).to_owned();
        session.introduce(
            Setup {
                label: label.clone(),
                program,
            },
            std::slice::from_ref(&open),
        );
        let mut streaming = Self {
            link,
            session,
            backlog: Backlog::default(),
            received: Vec::new(),
            open,
            state: StreamState::Asked,
            needs_key_until: Some(now + KEY_WAIT),
            is_closing: false,
        };
        streaming.transmit(now)?;
        Ok(streaming)
    }

    /// Whether a frame could go out now.
    pub(crate) fn takes_frames(&self) -> bool {
        self.state == StreamState::Open && !self.is_closing
    }

    /// Whether everything was written.
    pub(crate) const fn is_drained(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Whether the session should be replaced by a new one.
    pub(crate) const fn needs_new_keys(&self) -> bool {
        self.session.needs_new_keys()
    }

    /// When to call [`Self::handle_time`].
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let silence = self.session.last_heard() + SILENCE;
        let again = match self.state {
            StreamState::Refused { again_at } => again_at,
            StreamState::Asked | StreamState::Open => Timestamp::NEVER,
        };
        self.session.poll_timeout().min(silence).min(again)
    }

    /// Sends a frame, or drops it: a live one if the network is too slow, any one that cannot be decoded without frames
    /// that were dropped.
    pub(crate) fn send_frame(
        &mut self,
        now: Timestamp,
        frame: &CapturedFrame<'_>,
        is_live: bool,
    ) -> Result<Sent, Ending> {
        let is_key = frame.flags.contains(FrameFlags::KEY);
        let needs_key = self.needs_key_until.is_some_and(|until| now < until);
        if is_live && (self.backlog.is_late(now) || needs_key && !is_key) {
            if is_key || !needs_key {
                self.frame_was_dropped(now);
            }
            return Ok(Sent::Dropped);
        }
        self.grow_stream(frame.payload.len());
        self.transmit(now)?;
        let mut outgoing = OutgoingFrame::new(STREAM, frame.number, frame.captured, frame.flags);
        let mut is_blocked = !self.backlog.is_empty();
        while !self
            .session
            .seal_frame(now, &mut outgoing, frame.payload, self.backlog.buffer())?
        {
            if !is_blocked && self.backlog.is_worth_writing() {
                self.backlog.write(now, &self.link)?;
                is_blocked = !self.backlog.is_empty();
            }
        }
        self.backlog.write(now, &self.link)?;
        self.needs_key_until = None;
        Ok(Sent::Yes)
    }

    /// A frame was captured and not sent: what depends on it is of no use.
    pub(crate) fn frame_was_dropped(&mut self, now: Timestamp) {
        if self.open.format.fourcc.is_inter_coded() {
            self.needs_key_until = Some(now + KEY_WAIT);
        }
    }

    /// Opens the stream anew if a frame is longer than it announced.
    fn grow_stream(&mut self, frame_bytes: usize) {
        let needed_kib = u32::try_from(frame_bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        if needed_kib > self.open.frame_kib {
            let frame_kib = needed_kib.saturating_mul(2);
            info!(
                from_kib = self.open.frame_kib,
                to_kib = frame_kib,
                "frames have become larger; opening the stream anew"
            );
            self.open.frame_kib = frame_kib;
            self.session.open_stream(self.open.clone());
        }
    }

    /// Reads what the server sent.
    pub(crate) fn handle_readable(&mut self, now: Timestamp) -> Result<(), Ending> {
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
        while let Some(event) = self.session.poll_event() {
            self.handle_event(now, event)?;
        }
        self.transmit(now)
    }

    fn handle_event(&mut self, now: Timestamp, event: Event) -> Result<(), Ending> {
        match event {
            Event::SetupReply(reply) if reply.code == SetupCode::Accepted => {
                info!(label = %reply.label, server = %self.session.peer().fingerprint(), cipher = %self.session.suite(), "connected");
            }
            Event::SetupReply(reply) => return Err(Ending::Refused(Box::new(reply))),
            Event::StreamReply {
                code: StreamCode::Open,
                ..
            } => self.state = StreamState::Open,
            Event::StreamReply { code, .. } => {
                error!(
                    "{}; trying again in {} s",
                    stream_refusal_text(code),
                    REFUSED_WAIT.as_secs()
                );
                self.state = StreamState::Refused {
                    again_at: now + REFUSED_WAIT,
                };
                self.frame_was_dropped(now);
            }
            Event::Closed(close) => return Err(Ending::Said(close)),
            // The server's, which the session does not let through at a client, and figures that nobody here needs over TCP.
            Event::Report(_) | Event::Setup(_) | Event::OpenStream(_) | Event::CloseStream(_) => {}
        }
        Ok(())
    }

    /// Acts on time that has passed.
    pub(crate) fn handle_time(&mut self, now: Timestamp) -> Result<(), Ending> {
        let silent = now.saturating_since(self.session.last_heard());
        let is_excused = silent < SILENCE_MOST && self.backlog.moved_within(now, SILENCE);
        if silent > SILENCE && !is_excused {
            return Err(Ending::Silent);
        }
        if let StreamState::Refused { again_at } = self.state
            && now >= again_at
        {
            self.state = StreamState::Asked;
            self.session.open_stream(self.open.clone());
        }
        self.session.handle_timeout(now);
        self.transmit(now)
    }

    /// Writes what waits.
    pub(crate) fn handle_writable(&mut self, now: Timestamp) -> Result<(), Ending> {
        Ok(self.backlog.write(now, &self.link)?)
    }

    /// Says that nothing more comes; what was sent before still goes out.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        code: CloseCode,
        text: &str,
    ) -> Result<(), Ending> {
        self.is_closing = true;
        self.session.close(code, text);
        self.transmit(now)
    }

    fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.session.poll_transmit(now, self.backlog.buffer())?;
        Ok(self.backlog.write(now, &self.link)?)
    }
}

fn open_stream(instance: InstanceId, description: &SourceDescription) -> OpenStream {
    let most = description
        .frame_bytes
        .unwrap_or_else(|| description.first_frame_bytes.saturating_mul(FRAME_GROWTH));
    let frame_kib = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
    let is_fixed = description.frame_bytes.is_some();
    OpenStream {
        stream: STREAM,
        kind: StreamKind::Video,
        instance,
        format: description.format,
        frame_kib: if is_fixed {
            frame_kib
        } else {
            frame_kib.max(FRAME_LEAST_KIB)
        },
        parent: STREAM,
        latency_ms: 0,
        label: None,
        extradata: description.extradata.clone(),
    }
}

fn stream_refusal_text(code: StreamCode) -> &'static str {
    match code {
        StreamCode::NoMemory => "the server has no shared memory left for this stream",
        StreamCode::TooManyStreams => "the server takes no more streams of one camera",
        StreamCode::FramesTooLarge => "the server does not take frames as large as these",
        StreamCode::Open | StreamCode::Internal | StreamCode::Other(_) => {
            "the server could not open the stream; its log says why"
        }
    }
}

fn refusal_text(reply: &SetupReply) -> String {
    let label = &reply.label;
    match reply.code {
        SetupCode::LabelTaken => {
            let holder = fingerprint_text(&reply.in_the_way);
            format!(
                "the server refused this camera: the label {label} belongs to another one there ({holder}).\n  \
                 If this camera replaces it, on the server:  sdvr keys forget {label}\n  \
                 Else give this one another label:           -n LABEL"
            )
        }
        SetupCode::Revoked => {
            "the server refused this camera: its key was revoked there".to_owned()
        }
        SetupCode::StoreFailed => {
            "the server could not record this camera (its disk may be full); its log says why"
                .to_owned()
        }
        SetupCode::TooManyNew => "the server meets too many new cameras at once".to_owned(),
        SetupCode::Accepted | SetupCode::Other(_) => {
            "the server refused this camera; its log says why".to_owned()
        }
    }
}

fn fingerprint_text(hash: &[u8; 32]) -> String {
    sdvr_frame::Fingerprint::from_bytes(*hash).to_string()
}

/// Says once what is wrong with a source's end.
pub(crate) fn warn_of_cut_off(bytes: usize, fourcc: Option<FourCc>) {
    if bytes > 0 {
        let format = fourcc.map_or_else(|| "frame".to_owned(), |fourcc| format!("{fourcc} frame"));
        warn!(
            bytes,
            "the source ends in the middle of a {format}, which was not sent"
        );
    }
}
