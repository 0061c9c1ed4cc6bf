//! One camera at the daemon: its streams, which outlive its sessions.

mod memory;
mod rings;

use std::time::Duration;

use sdvr_frame::{Allowance, Label, Link, PublicKey, StreamId, StreamState, Timestamp};
use sdvr_session::{MediaFragment, OpenStream, PeerClock, StreamCode};
use tracing::info;

pub(crate) use self::rings::RingPlace;
use self::rings::{Making, Reason};
use crate::budget::Account;
use crate::chatter::Chatter;
use crate::ring_keeper::EndedRing;
use crate::stream::Stream;

/// Silence after which a stream is stale, and lost.
const STALE_AFTER: Duration = Duration::from_secs(3);
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(60);
/// How long a lost stream's ring waits for the same instance.
const KEPT_AFTER: Duration = Duration::from_secs(660);
/// How long a ring that has ended keeps its memory for those who still read.
pub(crate) const CLOSED_KEPT: Duration = Duration::from_secs(2);
/// … and one whose place a smaller one has taken, because others wait for the memory.
const HALVED_KEPT: Duration = Duration::from_secs(1);
/// How often it is said that the same stream is still refused.
const SAY_REFUSAL_AGAIN: Duration = Duration::from_secs(300);
/// Rings that a camera may have made at once, and a second: each one costs the kernel time.
const RINGS_BURST: f64 = 16.0;
const RINGS_PER_SECOND: f64 = 0.5;

/// A camera that was let in, connected or not.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) key: PublicKey,
    /// The one it had before, under which rings may have been ordered.
    former_key: Option<PublicKey>,
    pub(crate) label: Label,
    /// By which its streams come, or came last.
    link: Link,
    pub(crate) chatter: Chatter,
    streams: Vec<Stream>,
    /// Rings that are being made, at most one a stream.
    making: Vec<Making>,
    account: Account,
    openings: Allowance,
    /// What was refused last, and when it was said.
    said_refusal: Option<(StreamId, StreamCode, Timestamp)>,
}

/// The answer to a camera that opens a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Now(StreamCode),
    /// A ring is being made: [`Camera::ring_was_made`] has the answer.
    Later,
}

impl Camera {
    pub(crate) fn new(now: Timestamp, key: PublicKey, label: Label) -> Self {
        Self {
            key,
            former_key: None,
            label,
            link: Link::Tcp,
            chatter: Chatter::new(now),
            streams: Vec::new(),
            making: Vec::new(),
            account: Account::default(),
            openings: Allowance::new(now, RINGS_BURST, RINGS_PER_SECOND),
            said_refusal: None,
        }
    }

    /// It is connected by this.
    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = link;
        self.streams
            .iter_mut()
            .for_each(|stream| stream.set_link(link));
    }

    /// How many streams it has.
    pub(crate) const fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Whether nothing is left of it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.making.is_empty()
    }

    /// Opens a stream, or goes on with the ring of the same instance.
    pub(crate) fn open_stream(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        place: &RingPlace,
        limits: &sdvr_session::Limits,
    ) -> Opening {
        if let Some(stream) = self
            .streams
            .iter_mut()
            .find(|stream| is_same(&stream.open, open))
        {
            stream.go_on();
            self.making
                .retain(|made| made.open.stream != open.stream || is_same(&made.open, open));
            if self.chatter.may_say(now) {
                info!(camera = %self.label, stream = open.stream.0, "stream goes on");
            }
            return Opening::Now(StreamCode::Open);
        }
        let making = self.making.iter_mut();
        if let Some(made) = making.into_iter().find(|made| is_same(&made.open, open)) {
            // The answer is to what was asked last.
            made.open = open.clone();
            return Opening::Later;
        }
        match self.order_ring(now, open, place, limits) {
            Ok(()) => Opening::Later,
            Err(code) => {
                self.pause(open.stream);
                Opening::Now(code)
            }
        }
    }

    /// A stream was refused: whoever reads the ring that it had must not wait for frames that cannot come.
    fn pause(&mut self, id: StreamId) {
        self.streams
            .iter_mut()
            .filter(|stream| stream.open.stream == id)
            .for_each(Stream::pause);
    }

    /// Whether to say that a stream was refused: a client asks again every few seconds, for hours if it must.
    fn may_say_refusal(&mut self, now: Timestamp, stream: StreamId, code: StreamCode) -> bool {
        let is_known = self
            .said_refusal
            .is_some_and(|(said_stream, said_code, at)| {
                (said_stream, said_code) == (stream, code)
                    && now.saturating_since(at) < SAY_REFUSAL_AGAIN
            });
        if is_known || !self.chatter.may_say(now) {
            return false;
        }
        self.said_refusal = Some((stream, code, now));
        true
    }

    /// Puts a stream with a new ring in the place of the one that had its name.
    fn install(&mut self, now: Timestamp, mut stream: Stream, place: &RingPlace) {
        if let Some(index) = self
            .streams
            .iter()
            .position(|old| old.open.stream == stream.open.stream)
        {
            let mut old = self.streams.swap_remove(index);
            // The end of its frame cannot come any more. That of a frame of another stream can.
            release(old.settle(now), place);
            stream.follow(&old);
            place.keeper.release(old.replaced(now + CLOSED_KEPT));
        }
        self.streams.push(stream);
    }

    /// Takes a piece of a frame into its ring; publishes the frame with its last piece.
    pub(crate) fn take(
        &mut self,
        received: Timestamp,
        fragment: &MediaFragment<'_>,
        clock: &PeerClock,
        place: &RingPlace,
    ) {
        if let Some(stream) = self
            .streams
            .iter_mut()
            .find(|stream| stream.open.stream == fragment.header.stream)
        {
            stream.take(received, fragment, clock, &place.counters);
            if fragment.header.is_last {
                release(stream.go_over(received), place);
            }
        }
    }

    /// A stream ended because the camera says so.
    pub(crate) fn close_stream(&mut self, now: Timestamp, id: StreamId, place: &RingPlace) {
        self.making.retain(|made| made.open.stream != id);
        let is_named = |stream: &mut Stream| stream.open.stream == id;
        for mut stream in self.streams.extract_if(.., is_named) {
            release(stream.settle(now), place);
            place.keeper.release(stream.closed(now + CLOSED_KEPT));
        }
    }

    /// All streams ended because the camera says so.
    pub(crate) fn close_all(&mut self, now: Timestamp, place: &RingPlace) {
        self.making.clear();
        for mut stream in self.streams.drain(..) {
            release(stream.settle(now), place);
            place.keeper.release(stream.closed(now + CLOSED_KEPT));
        }
    }

    /// The camera has not come back: its readers look under its name, should it do so after all.
    fn give_up_all(&mut self, now: Timestamp, place: &RingPlace) {
        self.making.clear();
        for mut stream in self.streams.drain(..) {
            release(stream.settle(now), place);
            place.keeper.release(stream.replaced(now + CLOSED_KEPT));
        }
    }

    /// The camera has proved another key, by another link.
    pub(crate) fn has_key(&mut self, now: Timestamp, key: PublicKey, place: &RingPlace) {
        self.link_was_cut(now, place);
        self.former_key = Some(std::mem::replace(&mut self.key, key));
    }

    /// Whether this was its key when it proved another one.
    pub(crate) fn had_key(&self, key: PublicKey) -> bool {
        self.former_key == Some(key)
    }

    /// The link was cut.
    pub(crate) fn link_was_cut(&mut self, now: Timestamp, place: &RingPlace) {
        // What nobody asked for is wanted all the same.
        self.making.retain(|made| made.reason != Reason::Asked);
        for stream in &mut self.streams {
            release(stream.settle(now), place);
            stream.pause();
        }
    }

    /// The daemon ends: readers look for the next one.
    pub(crate) fn shut_down(&mut self, now: Timestamp, place: &RingPlace) {
        self.give_up_all(now, place);
    }

    /// Acts on time that has passed since the camera was heard last. Gives the answers for which it has waited.
    #[must_use]
    pub(crate) fn handle_time(
        &mut self,
        now: Timestamp,
        last_heard: Timestamp,
        is_connected: bool,
        place: &RingPlace,
    ) -> Vec<(OpenStream, StreamCode)> {
        let silent = now.saturating_since(last_heard);
        let state = match is_connected {
            _ if silent >= LOST_AFTER => StreamState::Lost,
            true if silent < STALE_AFTER => StreamState::Live,
            _ => StreamState::Stale,
        };
        for stream in &mut self.streams {
            if let Some(state) = stream.set_state(state)
                && self.chatter.may_say(now)
            {
                info!(camera = %self.label, stream = stream.open.stream.0, %state, "stream state");
            }
            stream.measure(now);
        }
        if silent >= KEPT_AFTER {
            self.give_up_all(now, place);
            return Vec::new();
        }
        self.grant_pleas(now, place);
        self.deepen_rings(now, place);
        self.retry_waiting(now, place)
    }
}

/// Whether both ask for the same stream. How long its frames may take on their way is the session's concern, and changes with the network.
fn is_same(one: &OpenStream, other: &OpenStream) -> bool {
    let latency_ms = one.latency_ms;
    *one == OpenStream {
        latency_ms,
        ..other.clone()
    }
}

/// Gives a ring's memory back in its time, if there is one.
fn release(ended: Option<EndedRing>, place: &RingPlace) {
    if let Some(ended) = ended {
        place.keeper.release(ended);
    }
}

#[cfg(test)]
mod tests;
