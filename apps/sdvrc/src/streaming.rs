//! A session with a server: what state it is in, and frames on their way out.

mod ending;
mod hearing;

use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, Label, PublicKey, Timestamp};
use sdvr_session::{CloseCode, NewIdCode, OutgoingFrame, Session, Setup, StreamCode};
use sdvr_source::CapturedFrame;
use sdvr_transport::TcpLink;

pub(crate) use self::ending::Ending;
use crate::announcement::{Announcement, Fit, STREAM, refusal_text};
use crate::backlog::Backlog;

/// Silence of the server after which the link is given up, and the longest that a slow link excuses.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_MOST: Duration = Duration::from_secs(10);
/// How long a key frame is waited for after a drop. Encoders that refresh in stripes may never mark one, and a decoder mends their pictures by itself.
const KEY_WAIT: Duration = Duration::from_secs(5);

/// How long a camera's own buffers hold what comes meanwhile: four, at 30 frames a second.
const LEAVE: Duration = Duration::from_millis(120);

/// How far the stream is.
#[derive(Debug)]
enum StreamState {
    /// Waiting for the server's decision. There is one question at a time, so that an answer has no other.
    Asked {
        /// The frame that made the stream be opened anew.
        held: Option<HeldFrame>,
        /// Whether the question has become another one meanwhile.
        has_changed: bool,
        /// Frames can wait for the answer until then where they are captured.
        leave_until: Timestamp,
    },
    /// Frames flow.
    Open,
    /// Refused; to be asked for again.
    Refused {
        again_at: Timestamp,
        code: StreamCode,
    },
    /// This end has said that nothing more comes.
    Closing,
}

impl StreamState {
    fn asked(now: Timestamp, held: Option<HeldFrame>) -> Self {
        Self::Asked {
            held,
            has_changed: false,
            leave_until: now + LEAVE,
        }
    }
}

/// A frame that waits for its stream.
#[derive(Debug)]
struct HeldFrame {
    number: FrameNumber,
    captured: Timestamp,
    flags: FrameFlags,
    payload: Vec<u8>,
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
    state: StreamState,
    /// Until when frames are of no use that are no key frames.
    needs_key_until: Option<Timestamp>,
    is_accepted: bool,
    frames_sent: u64,
    /// How many of them the server has reported.
    frames_arrived: u64,
    /// Frames that were held and could not be sent.
    frames_given_up: u64,
    /// What the server has announced.
    next_key: Option<PublicKey>,
    /// The server's answer on the key that this camera has announced.
    new_id: Option<(PublicKey, NewIdCode)>,
    /// Whether the server has just let this camera in.
    was_accepted: bool,
}

impl Streaming {
    /// Introduces the camera.
    pub(crate) fn start(
        now: Timestamp,
        link: TcpLink,
        mut session: Session,
        label: &Label,
        announcement: &mut Announcement,
    ) -> Result<Self, Ending> {
        announcement.limit(session.granted().frame_kib);
        let program = concat!("sdvrc ", env!("CARGO_PKG_VERSION")).to_owned();
        session.introduce(
            Setup {
                label: label.clone(),
                program,
            },
            std::slice::from_ref(announcement.open()),
        );
        let mut streaming = Self {
            link,
            session,
            backlog: Backlog::default(),
            received: Vec::new(),
            state: StreamState::asked(now, None),
            needs_key_until: Some(now + KEY_WAIT),
            is_accepted: false,
            frames_sent: 0,
            frames_arrived: 0,
            frames_given_up: 0,
            next_key: None,
            new_id: None,
            was_accepted: false,
        };
        streaming.transmit(now)?;
        Ok(streaming)
    }

    /// Whether a frame could go out now.
    pub(crate) const fn takes_frames(&self) -> bool {
        matches!(self.state, StreamState::Open)
    }

    /// Why the server has refused the stream, if it has.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self.state {
            StreamState::Refused { code, .. } => Some(refusal_text(code)),
            StreamState::Asked { .. } | StreamState::Open | StreamState::Closing => None,
        }
    }

    /// Whether a frame waits for the stream to be opened anew.
    pub(crate) const fn holds_frame(&self) -> bool {
        matches!(self.state, StreamState::Asked { held: Some(_), .. })
    }

    /// Whether everything was written.
    pub(crate) const fn is_drained(&self) -> bool {
        self.backlog.is_empty()
    }

    /// The key that the server has proved, and the one that it has announced since this was asked last.
    pub(crate) const fn take_next_key(&mut self) -> Option<(PublicKey, PublicKey)> {
        match self.next_key.take() {
            Some(next) => Some((self.session.peer(), next)),
            None => None,
        }
    }

    /// Tells the server which key this camera will come with.
    pub(crate) fn announce(&mut self, now: Timestamp, key: PublicKey) -> Result<(), Ending> {
        self.session.announce_new_id(key);
        self.transmit(now)
    }

    /// The server's answer to that, once.
    pub(crate) const fn take_new_id(&mut self) -> Option<(PublicKey, NewIdCode)> {
        self.new_id.take()
    }

    /// Whether the server has let this camera in since this was asked last.
    pub(crate) const fn take_accepted(&mut self) -> bool {
        std::mem::replace(&mut self.was_accepted, false)
    }

    /// Whether the server has let this camera in.
    pub(crate) const fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    /// Whether the server has said that frames of this session have arrived.
    pub(crate) const fn is_proved(&self) -> bool {
        self.frames_arrived > 0
    }

    /// Whether frames are of no use now that are no key frames.
    pub(crate) fn needs_key(&self, now: Timestamp) -> bool {
        self.needs_key_until.is_some_and(|until| now < until)
    }

    /// Whether a key frame would go out now.
    pub(crate) fn could_send_key(&self, now: Timestamp) -> bool {
        self.takes_frames() && !self.backlog.is_late(now)
    }

    /// Until when frames are better left where they are: the server is about to say that they may come.
    pub(crate) const fn leaves_frames_until(&self) -> Option<Timestamp> {
        match self.state {
            StreamState::Asked { leave_until, .. } => Some(leave_until),
            StreamState::Open | StreamState::Refused { .. } | StreamState::Closing => None,
        }
    }

    /// How many frames were taken from the source of which the server has not said that they have arrived.
    pub(crate) fn frames_unconfirmed(&self) -> u64 {
        self.frames_sent.saturating_sub(self.frames_arrived) + u64::from(self.holds_frame())
    }

    /// How many frames that seemed to be sent were not, since this was asked last.
    pub(crate) const fn take_given_up(&mut self) -> u64 {
        std::mem::replace(&mut self.frames_given_up, 0)
    }

    /// When to call [`Self::handle_time`].
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let again = match self.state {
            StreamState::Refused { again_at, .. } => again_at,
            StreamState::Asked { .. } | StreamState::Open | StreamState::Closing => {
                Timestamp::NEVER
            }
        };
        self.session
            .poll_timeout()
            .min(self.silence_ends())
            .min(again)
    }

    /// Until when the server may be silent: one that decides on a thousand new cameras takes its time, whether the end is
    /// confirmed is worth waiting for, and a link that still takes bytes is slow, not dead.
    fn silence_ends(&self) -> Timestamp {
        let last_heard = self.session.last_heard();
        let has_said_all = matches!(self.state, StreamState::Closing) && self.is_drained();
        if !self.is_accepted || has_said_all {
            return last_heard + SILENCE_MOST;
        }
        let excused = self
            .backlog
            .last_progress()
            .map_or(last_heard, |last| last + SILENCE);
        (last_heard + SILENCE).max(excused.min(last_heard + SILENCE_MOST))
    }

    /// Sends a frame, or drops it: a live one if the network is too slow, any one that cannot be decoded without frames
    /// that were dropped or that is longer than the server has room for. A frame for which the stream must be opened anew
    /// is kept until it is.
    pub(crate) fn send_frame(
        &mut self,
        now: Timestamp,
        frame: &CapturedFrame<'_>,
        is_live: bool,
        announcement: &mut Announcement,
    ) -> Result<Sent, Ending> {
        let is_key = frame.flags.contains(FrameFlags::KEY);
        let needs_key = self.needs_key(now);
        if is_live && (self.backlog.is_late(now) || needs_key && !is_key) {
            if is_key || !needs_key {
                self.frame_was_dropped(now, announcement);
            }
            return Ok(Sent::Dropped);
        }
        let most_kib = self.session.granted().frame_kib;
        match announcement.fit(now, frame.payload.len(), most_kib) {
            Fit::Fits => {
                self.transmit(now)?;
                self.seal_and_write(now, frame)?;
            }
            Fit::AfterOpening => {
                let held = Some(HeldFrame {
                    number: frame.number,
                    captured: frame.captured,
                    flags: frame.flags,
                    payload: frame.payload.to_vec(),
                });
                self.state = StreamState::asked(now, held);
                self.session.open_stream(announcement.open().clone());
                self.transmit(now)?;
            }
            Fit::TooLong => {
                self.frame_was_dropped(now, announcement);
                return Ok(Sent::Dropped);
            }
        }
        self.needs_key_until = None;
        Ok(Sent::Yes)
    }

    /// Opens the stream anew, for frames of another format.
    pub(crate) fn reopen(
        &mut self,
        now: Timestamp,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        if matches!(self.state, StreamState::Closing) {
            return Ok(());
        }
        announcement.limit(self.session.granted().frame_kib);
        self.needs_key_until = Some(now + KEY_WAIT);
        if let StreamState::Asked {
            held, has_changed, ..
        } = &mut self.state
        {
            self.frames_given_up += u64::from(held.take().is_some());
            *has_changed = true;
            return Ok(());
        }
        self.state = StreamState::asked(now, None);
        self.session.open_stream(announcement.open().clone());
        self.transmit(now)
    }

    fn seal_and_write(&mut self, now: Timestamp, frame: &CapturedFrame<'_>) -> Result<(), Ending> {
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
        self.frames_sent += 1;
        Ok(self.backlog.write(now, &self.link)?)
    }

    /// A frame was captured and not sent: what depends on it is of no use.
    pub(crate) fn frame_was_dropped(&mut self, now: Timestamp, announcement: &Announcement) {
        if announcement.open().format.fourcc.is_inter_coded() {
            self.needs_key_until = Some(now + KEY_WAIT);
        }
    }

    /// Acts on time that has passed.
    pub(crate) fn handle_time(
        &mut self,
        now: Timestamp,
        announcement: &mut Announcement,
    ) -> Result<(), Ending> {
        if now >= self.silence_ends() {
            let silent = now.saturating_since(self.session.last_heard());
            return Err(Ending::Silent(silent));
        }
        if let StreamState::Refused { again_at, .. } = self.state
            && now >= again_at
        {
            self.state = StreamState::asked(now, None);
            self.session.open_stream(announcement.open().clone());
        }
        self.session.handle_timeout(now);
        self.handle_events(now, announcement)?;
        self.transmit(now)
    }

    /// Writes what waits.
    pub(crate) fn handle_writable(&mut self, now: Timestamp) -> Result<(), Ending> {
        Ok(self.backlog.write(now, &self.link)?)
    }

    /// Says that nothing more comes; what was sent before still goes out. The server's answer is [`Ending::Said`] with the
    /// same code.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        code: CloseCode,
        text: &str,
    ) -> Result<(), Ending> {
        self.state = StreamState::Closing;
        self.session.close(code, text);
        self.transmit(now)
    }

    fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.session.poll_transmit(now, self.backlog.buffer())?;
        Ok(self.backlog.write(now, &self.link)?)
    }
}
