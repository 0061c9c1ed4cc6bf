//! A session over datagrams. The session gives each when it is due, and what it has given is sent in as few system calls as there are lengths.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, Timestamp};
use sdvr_session::{Session, SessionError};
use sdvr_source::CapturedFrame;

use super::batch::Batch;
use super::window::Window;
use crate::announcement::STREAM;
use crate::datagram_link::DatagramLink;
use crate::streaming::Ending;

/// A live frame is dropped when another one has waited for so long.
const LATE: Duration = Duration::from_millis(150);
/// … or when so much waits.
const MOST_BYTES: usize = 16 << 20;
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
        self.latency = wanted.unwrap_or_else(|| usual.clamp(LATENCY_LEAST, LATENCY_MOST));
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
        self.window
            .handle_heard(session.last_heard(), session.answered_ping());
        Ok(())
    }

    /// Asks the server how far it has come, if what it has not answered is as much as a source that can wait may send.
    pub(super) fn ask_if_full(&mut self, now: Timestamp, session: &mut Session) {
        if self.is_drained(session) && now >= self.ask_at() {
            self.window.note_question(now);
            session.ping(now);
        }
    }

    /// When the server is to be asked.
    pub(super) fn ask_at(&self) -> Timestamp {
        self.window.ask_at(self.round_trip)
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
        self.batch.is_blocked()
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
