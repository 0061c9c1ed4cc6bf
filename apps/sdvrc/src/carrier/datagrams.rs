//! A session over datagrams. The session gives each when it is due, and what it has given is sent in as few system calls as there are lengths.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, Timestamp};
use sdvr_session::{Session, SessionError};
use sdvr_source::CapturedFrame;
use sdvr_transport::Sent;

use crate::announcement::STREAM;
use crate::datagram_link::DatagramLink;
use crate::streaming::Ending;

/// A live frame is dropped when another one has waited for so long.
const LATE: Duration = Duration::from_millis(150);
/// … or when so much waits.
const MOST_BYTES: usize = 16 << 20;
/// What a source that can wait may send before the server has answered: what the kernel of a host that was not prepared holds for a socket …
const WINDOW_LEAST_BYTES: u128 = 64 << 10;
/// … or so much in each second of a round trip.
const WINDOW_BYTES_PER_SECOND: u128 = 8 << 20;
/// What was sent so long before the server was heard is not on its way.
const WINDOW_FORGOTTEN_NS: i64 = 2_000_000_000;
/// A question is asked again when it was not answered in four round trips, and so long.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// A server that is heard has decided on a frame that was sent two round trips, what it may wait for and so long ago.
const DECIDED: Duration = Duration::from_millis(100);
/// Before a round trip was measured.
const ROUND_TRIP_AT_FIRST: Duration = Duration::from_millis(100);
/// How long frames may wait at the server for what was lost: four round trips, within these bounds.
const LATENCY_ROUND_TRIPS: u32 = 4;
const LATENCY_LEAST: Duration = Duration::from_millis(40);
const LATENCY_MOST: Duration = Duration::from_millis(120);
/// System calls for one readiness, so that a flood does not keep the source waiting.
const RECEIVES_MOST: u32 = 8;

/// Datagrams.
#[derive(Debug)]
pub(crate) struct Datagrams {
    link: DatagramLink,
    batch: Batch,
    /// Frames that were taken while the one before was leaving.
    waiting: VecDeque<WaitingFrame>,
    waiting_bytes: usize,
    /// When frames were sent lately.
    under_way: VecDeque<Timestamp>,
    window: Window,
    round_trip: Duration,
    /// What frames may wait for at the server.
    latency: Duration,
}

#[derive(Debug)]
struct WaitingFrame {
    since: Timestamp,
    number: FrameNumber,
    captured: Timestamp,
    flags: FrameFlags,
    payload: Vec<u8>,
}

/// Frames that were sent and of which the server has not said that what came of them was read.
#[derive(Debug, Default)]
struct Window {
    frames: VecDeque<(Timestamp, usize)>,
    bytes: usize,
    /// When the server was asked last.
    asked: Option<Timestamp>,
}

impl Window {
    fn push(&mut self, now: Timestamp, bytes: usize) {
        self.frames.push_back((now, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The server has answered what was asked then.
    fn forget_before(&mut self, asked: Timestamp) {
        while let Some(&(sent, bytes)) = self.frames.front()
            && sent < asked
        {
            self.frames.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    fn is_full(&self, round_trip: Duration) -> bool {
        let on_the_way = round_trip
            .as_micros()
            .saturating_mul(WINDOW_BYTES_PER_SECOND)
            / 1_000_000;
        self.bytes as u128 >= on_the_way.max(WINDOW_LEAST_BYTES)
    }
}

/// Datagrams of one length, the last of which may be shorter.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    each_bytes: usize,
    count: usize,
    /// A longer one that came after them.
    next: Vec<u8>,
    /// The socket has not taken them.
    is_blocked: bool,
}

impl Batch {
    const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what the session has to say now, as far as it can be sent at once.
    fn fill(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        link: &DatagramLink,
    ) -> Result<(), SessionError> {
        std::mem::swap(&mut self.bytes, &mut self.next);
        self.next.clear();
        self.each_bytes = self.bytes.len();
        self.count = usize::from(!self.bytes.is_empty());
        while self.count == 0 || self.count < link.most_at_once(self.each_bytes) {
            let begin = self.bytes.len();
            if !session.poll_datagram(now, &mut self.bytes)? {
                break;
            }
            let bytes = self.bytes.len().saturating_sub(begin);
            if self.count == 0 {
                self.each_bytes = bytes;
            } else if bytes > self.each_bytes {
                self.next.extend(self.bytes.drain(begin..));
                break;
            }
            self.count = self.count.saturating_add(1);
            if bytes < self.each_bytes {
                break;
            }
        }
        Ok(())
    }

    /// Whether the socket has taken them all, or they are lost.
    fn send(&mut self, link: &DatagramLink) -> bool {
        self.is_blocked = false;
        match link.send(&self.bytes, self.each_bytes) {
            Sent::Taken | Sent::Lost => self.bytes.clear(),
            Sent::Full { taken } => {
                let taken_bytes = taken.saturating_mul(self.each_bytes);
                self.bytes.drain(..taken_bytes.min(self.bytes.len()));
                self.is_blocked = !self.bytes.is_empty();
            }
        }
        !self.is_blocked
    }
}

impl Datagrams {
    pub(super) fn new(link: DatagramLink, round_trip: Option<Duration>) -> Self {
        Self {
            link,
            batch: Batch::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            under_way: VecDeque::new(),
            window: Window::default(),
            round_trip: round_trip.unwrap_or(ROUND_TRIP_AT_FIRST),
            latency: LATENCY_MOST,
        }
    }

    pub(super) fn choose_latency(&mut self, wanted: Option<Duration>) -> Duration {
        let usual = self.round_trip * LATENCY_ROUND_TRIPS;
        self.latency = wanted.unwrap_or(usual.clamp(LATENCY_LEAST, LATENCY_MOST));
        self.latency
    }

    pub(super) const fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    pub(super) fn receive(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        for _ in 0..RECEIVES_MOST {
            let mut result = Ok(());
            let received = self.link.receive(|datagram| {
                if result.is_ok() {
                    result = session.handle_datagram(now, datagram).map(drop);
                }
            });
            result?;
            if received? == 0 {
                break;
            }
        }
        self.forget_decided(session);
        if let Some(asked) = session.answered_ping() {
            self.window.forget_before(asked);
        }
        Ok(())
    }

    /// Asks the server how far it has come, if what it has not answered is as much as a source that can wait may send.
    pub(super) fn ask_if_full(&mut self, now: Timestamp, session: &mut Session) {
        if self.is_drained(session) && now >= self.ask_at() {
            self.window.asked = Some(now);
            session.ping(now);
        }
    }

    /// When the server is to be asked.
    pub(super) fn ask_at(&self) -> Timestamp {
        if !self.window.is_full(self.round_trip) {
            return Timestamp::NEVER;
        }
        let newest = self.window.frames.back().map(|(sent, _)| *sent);
        match self.window.asked {
            // The answer is not about frames that were sent afterwards.
            Some(asked) if newest <= Some(asked) => asked + self.round_trip * 4 + ASK_AGAIN,
            _ => Timestamp::from_nanoseconds(0),
        }
    }

    pub(super) fn transmit(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        loop {
            if self.batch.is_empty() {
                self.send_waiting(now, session)?;
                self.batch.fill(now, session, &self.link)?;
                if self.batch.is_empty() {
                    return Ok(());
                }
            }
            if !self.batch.send(&self.link) {
                return Ok(());
            }
        }
    }

    pub(super) fn send_frame(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        frame: &CapturedFrame<'_>,
    ) -> Result<(), Ending> {
        self.waiting_bytes = self.waiting_bytes.saturating_add(frame.payload.len());
        self.waiting.push_back(WaitingFrame {
            since: now,
            number: frame.number,
            captured: frame.captured,
            flags: frame.flags,
            payload: frame.payload.to_vec(),
        });
        self.transmit(now, session)
    }

    /// Gives the session the frame that waits longest, if none is leaving.
    fn send_waiting(&mut self, now: Timestamp, session: &mut Session) -> Result<(), SessionError> {
        if session.is_sending(STREAM) {
            return Ok(());
        }
        let Some(frame) = self.waiting.pop_front() else {
            return Ok(());
        };
        let bytes = frame.payload.len();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.under_way.push_back(now);
        self.window.push(now, bytes);
        let facts = (frame.number, frame.captured, frame.flags);
        session.send_frame(now, STREAM, facts, frame.payload)
    }

    pub(super) fn give_up_waiting(&mut self) -> u64 {
        let given_up = self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
        given_up
    }

    fn decided_after(&self) -> Duration {
        self.latency + self.round_trip * 2 + DECIDED
    }

    /// What was sent well before the server was heard has arrived or is lost.
    fn forget_decided(&mut self, session: &Session) {
        let (heard, decided_after) = (session.last_heard(), self.decided_after());
        while self
            .under_way
            .front()
            .is_some_and(|&sent| sent + decided_after <= heard)
        {
            self.under_way.pop_front();
        }
        // Of a live source nobody asks.
        self.window
            .forget_before(heard.offset_by(-WINDOW_FORGOTTEN_NS));
    }

    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|frame| now.saturating_since(frame.since) > LATE)
            || self.waiting_bytes > MOST_BYTES
    }

    pub(super) fn is_drained(&self, session: &Session) -> bool {
        self.waiting.is_empty() && self.batch.is_empty() && !session.is_sending(STREAM)
    }

    pub(super) fn has_room(&self, session: &Session) -> bool {
        self.is_drained(session) && !self.window.is_full(self.round_trip)
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.batch.is_blocked
    }

    pub(super) fn frames_under_way(&self, now: Timestamp) -> u64 {
        let decided_after = self.decided_after();
        let lately = self.under_way.iter().rev();
        let undecided = lately.take_while(|&&sent| now < sent + decided_after);
        undecided.count().saturating_add(self.waiting.len()) as u64
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
