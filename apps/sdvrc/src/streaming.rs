//! A session with a server: what state it is in, and frames on their way out.

mod ending;
mod hearing;
mod settling;
mod thinning;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, Label, PublicKey, Timestamp};
use sdvr_session::{NewIdCode, Session, Setup, StreamCode};
use sdvr_source::CapturedFrame;

pub(crate) use self::ending::Ending;
use self::settling::Settling;
use self::thinning::Thinning;
use crate::announcement::{Announcement, Fit, refusal_text};
use crate::carrier::Carrier;
use crate::greeting::Greeted;

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
    /// Nothing more comes. What was sent is waited for before that is said, as datagrams overtake each other.
    Settling(Settling),
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
    carrier: Carrier,
    session: Session,
    /// How long the user lets frames wait for what was lost.
    latency: Option<Duration>,
    state: StreamState,
    thinning: Thinning,
    /// Whether the source gives no more than the network takes.
    source_waits: bool,
    /// Until when frames are of no use that are no key frames.
    needs_key_until: Option<Timestamp>,
    /// Whether the server has asked for a key frame.
    wants_key: bool,
    is_accepted: bool,
    frames_sent: u64,
    /// How many of them the server has reported.
    frames_arrived: u64,
    /// How many have not arrived and will not.
    frames_lost: u64,
    /// … of which nobody was told.
    frames_found_lost: u64,
    /// And how many of those have arrived in the end, of which nobody was told.
    frames_found_again: u64,
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
        greeted: Greeted,
        label: &Label,
        latency: Option<Duration>,
        announcement: &mut Announcement,
    ) -> Result<Self, Ending> {
        let Greeted {
            mut carrier,
            mut session,
        } = greeted;
        announcement.limit(session.granted().frame_kib);
        announcement.set_latency(carrier.choose_latency(latency));
        let program = concat!("sdvrc ", env!("CARGO_PKG_VERSION")).to_owned();
        session.introduce(
            Setup {
                label: label.clone(),
                program,
            },
            std::slice::from_ref(announcement.open()),
        );
        let mut streaming = Self {
            carrier,
            session,
            latency,
            state: StreamState::asked(now, None),
            thinning: Thinning::new(),
            source_waits: false,
            needs_key_until: Some(now + KEY_WAIT),
            wants_key: false,
            is_accepted: false,
            frames_sent: 0,
            frames_arrived: 0,
            frames_lost: 0,
            frames_found_lost: 0,
            frames_found_again: 0,
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
            StreamState::Asked { .. }
            | StreamState::Open
            | StreamState::Settling(_)
            | StreamState::Closing => None,
        }
    }

    /// Whether a frame waits for the stream to be opened anew.
    pub(crate) const fn holds_frame(&self) -> bool {
        matches!(self.state, StreamState::Asked { held: Some(_), .. })
    }

    /// Whether everything was written.
    pub(crate) fn is_drained(&self) -> bool {
        self.carrier.is_drained(&self.session) && !matches!(self.state, StreamState::Settling(_))
    }

    /// Whether a source that can wait may give another frame.
    pub(crate) fn has_room(&self) -> bool {
        self.carrier.has_room(&self.session)
    }

    /// Whether the socket has to have room before anything else can be sent.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.carrier.is_blocked()
    }

    /// Whether what was sent may not arrive though the server has confirmed the end.
    pub(crate) const fn loses(&self) -> bool {
        self.carrier.loses()
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
        self.takes_frames() && !self.carrier.is_late(now)
    }

    /// Whether the server has asked for a key frame since this was asked last.
    pub(crate) const fn take_key_request(&mut self) -> bool {
        std::mem::replace(&mut self.wants_key, false)
    }

    /// Until when frames are better left where they are: the server is about to say that they may come.
    pub(crate) const fn leaves_frames_until(&self) -> Option<Timestamp> {
        match self.state {
            StreamState::Asked { leave_until, .. } => Some(leave_until),
            StreamState::Open
            | StreamState::Refused { .. }
            | StreamState::Settling(_)
            | StreamState::Closing => None,
        }
    }

    /// How many frames were taken from the source of which the server has not said that they have arrived, and which are not known to be lost.
    pub(crate) fn frames_unconfirmed(&self) -> u64 {
        let settled = self.frames_arrived.saturating_add(self.frames_lost);
        self.frames_sent.saturating_sub(settled) + u64::from(self.holds_frame())
    }

    /// How many frames were found to be lost on the way since this was asked last.
    pub(crate) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.frames_found_lost, 0)
    }

    /// How many of those have arrived in the end, since this was asked last.
    pub(crate) const fn take_found_again(&mut self) -> u64 {
        std::mem::replace(&mut self.frames_found_again, 0)
    }

    /// How many frames that seemed to be sent were not, since this was asked last.
    pub(crate) const fn take_given_up(&mut self) -> u64 {
        std::mem::replace(&mut self.frames_given_up, 0)
    }

    /// When to call [`Self::handle_time`].
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let own = match self.state {
            StreamState::Refused { again_at, .. } => again_at,
            StreamState::Settling(settling) => settling.poll_timeout(),
            StreamState::Open if self.source_waits && self.carrier.is_drained(&self.session) => {
                self.carrier.ask_at()
            }
            StreamState::Asked { .. } | StreamState::Open | StreamState::Closing => {
                Timestamp::NEVER
            }
        };
        // What the session has to say has to wait for the socket.
        let session = if self.carrier.loses() && self.is_blocked() {
            Timestamp::NEVER
        } else {
            self.session.poll_timeout()
        };
        session.min(self.silence_ends()).min(own)
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
            .carrier
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
        self.source_waits = !is_live;
        let is_key = frame.flags.contains(FrameFlags::KEY);
        let needs_key = self.needs_key(now);
        if is_live && (self.carrier.is_late(now) || needs_key && !is_key) {
            if is_key || !needs_key {
                self.frame_was_dropped(now, announcement);
            }
            return Ok(Sent::Dropped);
        }
        if is_live && self.is_too_much(is_key, announcement) {
            self.frame_was_dropped(now, announcement);
            return Ok(Sent::Dropped);
        }
        let most_kib = self.session.granted().frame_kib;
        match announcement.fit(now, frame.payload.len(), most_kib) {
            Fit::Fits => self.pass_on(now, frame)?,
            Fit::AfterOpening => {
                let held = Some(HeldFrame {
                    number: frame.number,
                    captured: frame.captured,
                    flags: frame.flags,
                    payload: frame.payload.to_vec(),
                });
                self.ask(now, held, announcement);
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
        if matches!(self.state, StreamState::Settling(_) | StreamState::Closing) {
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
        self.ask(now, None, announcement);
        self.transmit(now)
    }

    /// Asks for the stream, or for another in its place.
    fn ask(&mut self, now: Timestamp, held: Option<HeldFrame>, announcement: &mut Announcement) {
        announcement.set_latency(self.carrier.choose_latency(self.latency));
        // What waits is of the stream before.
        let given_up = self.carrier.give_up_waiting();
        self.frames_sent = self.frames_sent.saturating_sub(given_up);
        self.frames_given_up += given_up;
        // So is what is under way, which later frames may need.
        self.wants_key |= self.carrier.frames_under_way(now) > 0;
        self.state = StreamState::asked(now, held);
        self.session.open_stream(announcement.open().clone());
    }

    fn pass_on(&mut self, now: Timestamp, frame: &CapturedFrame<'_>) -> Result<(), Ending> {
        self.frames_sent += 1;
        self.carrier.send_frame(now, &mut self.session, frame)
    }

    /// Whether a frame is left out since the link does not carry all. Of frames that need each other, half are of no use: only key frames are sent.
    fn is_too_much(&mut self, is_key: bool, announcement: &Announcement) -> bool {
        if announcement.open().format.fourcc.is_inter_coded() {
            self.thinning.one_in() > 1 && !is_key
        } else {
            !self.thinning.takes_next()
        }
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
            self.ask(now, None, announcement);
        }
        self.session.handle_timeout(now);
        self.handle_events(now, announcement)?;
        self.transmit(now)
    }

    /// Writes what waits.
    pub(crate) fn handle_writable(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.transmit(now)
    }

    fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.carrier.transmit(now, &mut self.session)?;
        if self.source_waits && matches!(self.state, StreamState::Open) {
            self.carrier.ask_if_full(now, &mut self.session);
            self.carrier.transmit(now, &mut self.session)?;
        }
        if matches!(self.state, StreamState::Settling(_)) {
            self.settle(now);
            self.carrier.transmit(now, &mut self.session)?;
        }
        Ok(())
    }
}

impl AsFd for Streaming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.carrier.as_fd()
    }
}
