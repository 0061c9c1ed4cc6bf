//! One stream of a camera, and its ring.

use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{FrameMeta, RingWriter};
use sdvr_session::{MediaFragment, OpenStream, PeerClock};

use crate::budget::Share;
use crate::figures::ShardCounters;
use crate::ring_keeper::EndedRing;

/// How often the measured rate is worked out.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// One stream with its ring.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) open: OpenStream,
    ring: RingWriter,
    share: Share,
    last_number: Option<u64>,
    /// Whether frames may come: not after a cut, and not when something else was asked for in its place and refused.
    is_open: bool,
    state: StreamState,
    rate: MeasuredRate,
    gap: Gap,
}

/// What it means if frames are missing before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// The camera was there and has not sent them.
    AtSource,
    /// They were captured while it was away, or its stream was refused.
    WhileAway,
}

#[derive(Debug)]
struct MeasuredRate {
    since: Timestamp,
    published: u64,
}

impl Stream {
    pub(crate) const fn new(
        now: Timestamp,
        open: OpenStream,
        ring: RingWriter,
        share: Share,
    ) -> Self {
        Self {
            open,
            ring,
            share,
            last_number: None,
            is_open: true,
            state: StreamState::Live,
            rate: MeasuredRate {
                since: now,
                published: 0,
            },
            gap: Gap::AtSource,
        }
    }

    /// What the ring takes of the budget.
    pub(crate) const fn ring_bytes(&self) -> u64 {
        self.share.bytes()
    }

    /// Takes up the count of the stream that it replaces.
    pub(crate) fn follow(&mut self, old: &Self) {
        if old.open.instance == self.open.instance {
            self.last_number = old.last_number;
            self.gap = old.gap;
        }
    }

    /// The same instance has come back.
    pub(crate) fn go_on(&mut self) {
        self.is_open = true;
        self.gap = Gap::WhileAway;
        self.set_state(StreamState::Live);
    }

    /// No frames come until it goes on.
    pub(crate) fn pause(&mut self) {
        self.is_open = false;
        self.gap = Gap::WhileAway;
        self.set_state(StreamState::Stale);
    }

    /// Says how the stream is doing; gives the state if it is a new one.
    pub(crate) fn set_state(&mut self, state: StreamState) -> Option<StreamState> {
        let state = if state == StreamState::Live && !self.is_open {
            StreamState::Stale
        } else {
            state
        };
        if state == self.state {
            return None;
        }
        self.state = state;
        self.ring.set_state(state);
        Some(state)
    }

    /// Takes a piece of a frame into the ring; publishes the frame with its last piece.
    pub(crate) fn take(
        &mut self,
        received: Timestamp,
        fragment: &MediaFragment<'_>,
        clock: &PeerClock,
        counters: &ShardCounters,
    ) {
        let header = &fragment.header;
        if header.is_first && !self.ring.begin(header.frame_bytes.into()) {
            // The session has checked the length against the stream, and the ring was made for the stream.
            debug_assert!(false, "a frame that was announced does not fit");
        }
        if !self.ring.write(fragment.bytes) || !header.is_last {
            return;
        }
        let captured = clock.to_local(header.captured, received);
        // Counted over sessions: what went missing while the link was down is missing here, too.
        let missed = self.last_number.map_or(0, |last| {
            header.number.0.saturating_sub(last).saturating_sub(1)
        });
        self.last_number = Some(header.number.0);
        counters.frames.count();
        counters.frame_bytes.add(header.frame_bytes.into());
        match std::mem::replace(&mut self.gap, Gap::AtSource) {
            Gap::AtSource => counters.missing_at_source.add(missed),
            Gap::WhileAway => counters.missing_while_away.add(missed),
        }
        self.ring.publish(&FrameMeta {
            number: header.number,
            flags: header.flags,
            missed,
            captured_at_source: header.captured,
            captured: captured.at,
            clock_error_ns: captured.error_ns,
            received,
            published: Timestamp::now(),
        });
    }

    /// Works out the measured rate, now and then.
    pub(crate) fn measure(&mut self, now: Timestamp) {
        let elapsed = now.saturating_since(self.rate.since);
        if elapsed < RATE_INTERVAL {
            return;
        }
        let published = self.ring.published();
        let frames = published.saturating_sub(self.rate.published);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.ring
            .set_measured_rate(frames.saturating_mul(1_000_000) / milliseconds.max(1));
        self.rate = MeasuredRate {
            since: now,
            published,
        };
    }

    /// Whether somebody removed the ring's file.
    pub(crate) fn lost_its_name(&self) -> bool {
        self.ring.is_replaced()
    }

    /// A newer ring has its name.
    pub(crate) fn replaced(mut self, release_at: Timestamp) -> EndedRing {
        self.ring.was_replaced();
        self.ended(release_at)
    }

    /// The camera says that the stream has ended, or is given up.
    pub(crate) fn closed(mut self, release_at: Timestamp) -> EndedRing {
        self.ring.set_state(StreamState::Closed);
        self.ended(release_at)
    }

    /// Keeps the ring for those who still read.
    fn ended(self, release_at: Timestamp) -> EndedRing {
        EndedRing {
            ring: self.ring,
            share: self.share,
            release_at,
        }
    }

    /// The daemon ends: readers look for the next one.
    pub(crate) fn shut_down(&mut self) {
        self.ring.set_state(StreamState::Stale);
        self.ring.unlink();
    }
}
