//! One stream of a camera, and its ring.

use std::time::Duration;

use sdvr_frame::{Link, PublicKey, StreamState, Timestamp};
use sdvr_ring::{FrameMeta, Predecessor, RingWriter, TakenOver};
use sdvr_session::{MediaFragment, OpenStream, PeerClock};

use crate::budget::Share;
use crate::depth::{Depth, Reach};
use crate::figures::ShardCounters;
use crate::ring_keeper::EndedRing;
use crate::sizing::RingSize;

/// How often the measured rate is worked out.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// One stream with its ring.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) open: OpenStream,
    ring: Ring,
    /// The ring that comes after it, as soon as the frame is whole that is being written.
    next: Option<Next>,
    is_in_frame: bool,
    depth: Depth,
    last_number: Option<u64>,
    /// Whether frames may come: not after a cut, and not when something else was asked for in its place and refused.
    is_open: bool,
    state: StreamState,
    rate: MeasuredRate,
    gap: Gap,
    /// Datagrams that had to be asked for again and arrived, over all sessions.
    retransmitted: u64,
}

/// What it means if frames are missing before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// The camera was there and has not sent them.
    AtSource,
    /// They were captured while it was away, or its stream was refused.
    WhileAway,
}

/// A ring, and what it takes of the budget.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) writer: RingWriter,
    pub(crate) size: RingSize,
    pub(crate) share: Share,
}

/// A ring that takes another's place.
#[derive(Debug)]
struct Next {
    ring: Ring,
    /// How long the other one keeps its memory for those who still read.
    other_kept: Duration,
}

#[derive(Debug)]
struct MeasuredRate {
    since: Timestamp,
    published: u64,
    /// As it is in the ring.
    frames_per_1000_s: u64,
}

impl Stream {
    pub(crate) fn new(now: Timestamp, open: OpenStream, ring: Ring) -> Self {
        // It may have come after the ring of a camera that was lost.
        ring.share.set_lost(false);
        Self {
            open,
            next: None,
            is_in_frame: false,
            depth: Depth::default(),
            last_number: None,
            is_open: true,
            state: StreamState::Live,
            rate: MeasuredRate {
                since: now,
                published: ring.writer.published(),
                frames_per_1000_s: 0,
            },
            gap: Gap::AtSource,
            retransmitted: 0,
            ring,
        }
    }

    /// What the ring has of the budget.
    pub(crate) const fn share(&self) -> &Share {
        &self.ring.share
    }

    /// In whose name the ring is.
    pub(crate) const fn ring_key(&self) -> Option<PublicKey> {
        self.ring.writer.camera()
    }

    pub(crate) const fn ring_size(&self) -> RingSize {
        self.ring.size
    }

    /// What a ring for `open` takes over from this one's, if it is of the same run.
    pub(crate) fn predecessor(&self, open: &OpenStream) -> Option<Predecessor> {
        let before = &self.open;
        let taken_over = if (before.format, &before.extradata) != (open.format, &open.extradata) {
            TakenOver::Nothing
        } else if self.ring.writer.is_replaced() {
            TakenOver::Everything
        } else {
            TakenOver::LastIntervals
        };
        (before.instance == open.instance).then(|| self.ring.writer.predecessor(taken_over))
    }

    /// Takes up the count and the frames of the stream that it replaces.
    pub(crate) fn follow(&mut self, old: &Self) {
        if let Some(before) = old.predecessor(&self.open) {
            self.last_number = old.last_number;
            self.gap = old.gap;
            self.retransmitted = old.retransmitted;
            self.depth = old.depth.clone();
            self.ring.writer.follow(&before);
            self.rate.published = self.ring.writer.published();
        }
    }

    /// What any ring for it should hold.
    pub(crate) fn known_reach(&self, now: Timestamp) -> Reach {
        self.depth.foreseen(now).unwrap_or_default()
    }

    /// What a deeper ring should hold, if the stream needs one and none is there already.
    pub(crate) fn wants_deeper(&self, now: Timestamp) -> Option<Reach> {
        if self.next.is_some() || !self.is_open {
            return None;
        }
        self.depth.wants_more(now, self.ring.size)
    }

    /// There is no memory for a deeper ring; true when that was not known.
    pub(crate) fn stays_shallow(&mut self, now: Timestamp) -> bool {
        self.depth.was_refused(now)
    }

    /// The ring is made smaller for others: no deeper one is asked for at once.
    pub(crate) fn is_halved(&mut self, now: Timestamp) {
        self.depth.wait(now);
    }

    /// Whether another ring waits for the end of a frame.
    pub(crate) const fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Whether its ring waits for a camera that is lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == StreamState::Lost
    }

    /// Another ring of the same run is there for it, which was made from this one's. It is taken between two frames; this one's is
    /// then kept for so long.
    pub(crate) fn set_next(&mut self, mut ring: Ring, other_kept: Duration) {
        ring.set_state(self.state);
        self.next = Some(Next { ring, other_kept });
    }

    /// Goes over to the next ring, if there is one and it may be done: gives the old one.
    ///
    /// The keeper has copied what there was until the ring had its name. What came since then is copied here: less work than
    /// receiving it was, which was done by the same thread in the same time.
    pub(crate) fn go_over(&mut self, now: Timestamp) -> Option<EndedRing> {
        if self.is_in_frame {
            return None;
        }
        let Next {
            ring: mut next,
            other_kept,
        } = self.next.take()?;
        next.writer
            .follow(&self.ring.writer.predecessor(TakenOver::LastIntervals));
        next.writer.set_measured_rate(self.rate.frames_per_1000_s);
        let mut old = std::mem::replace(&mut self.ring, next);
        old.writer.was_replaced();
        Some(old.ended(now + other_kept))
    }

    /// As [`Self::go_over`], and gives up the frame that is being written.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Option<EndedRing> {
        self.is_in_frame = false;
        self.go_over(now)
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
        // One that is lost already is not less so.
        if !self.is_lost() {
            self.set_state(StreamState::Stale);
        }
    }

    /// Says what the stream arrives over.
    pub(crate) fn set_link(&mut self, link: Link) {
        self.ring.writer.set_link(link);
        if let Some(next) = &mut self.next {
            next.ring.writer.set_link(link);
        }
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
        // Who has found it already waits there.
        if let Some(next) = &mut self.next {
            next.ring.set_state(state);
        }
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
        if header.is_first && !self.ring.writer.begin(header.frame_bytes.into()) {
            // The session has checked the length against the stream, and the ring was made for the stream.
            debug_assert!(false, "a frame that was announced does not fit");
        }
        self.is_in_frame = !header.is_last;
        if !self.ring.writer.write(fragment.bytes) || !header.is_last {
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
        let lost = fragment.lost.min(missed);
        counters.missing_on_link.add(lost);
        let not_sent = missed.saturating_sub(lost);
        match std::mem::replace(&mut self.gap, Gap::AtSource) {
            Gap::AtSource => counters.missing_at_source.add(not_sent),
            Gap::WhileAway => counters.missing_while_away.add(not_sent),
        }
        if let Some(more) = fragment.retransmitted {
            self.retransmitted = self.retransmitted.saturating_add(more);
            counters.packets_retransmitted.add(more);
        }
        let told = fragment.retransmitted.map(|_| self.retransmitted);
        self.ring.writer.set_retransmitted(told);
        if self.open.format.fourcc.is_inter_coded() {
            self.depth
                .count(received, header.flags, header.frame_bytes.into());
        }
        self.ring.writer.publish(&FrameMeta {
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
        let published = self.ring.writer.published();
        let frames = published.saturating_sub(self.rate.published);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.rate = MeasuredRate {
            since: now,
            published,
            frames_per_1000_s: frames.saturating_mul(1_000_000) / milliseconds.max(1),
        };
        self.ring
            .writer
            .set_measured_rate(self.rate.frames_per_1000_s);
    }

    /// Whether somebody removed the ring's file.
    pub(crate) fn lost_its_name(&self) -> bool {
        let next = self.next.as_ref().map(|next| &next.ring);
        next.unwrap_or(&self.ring).writer.is_replaced()
    }

    /// A newer ring has its name, or will have: the memory is needed, or the camera did not come back. Readers look under the name again.
    pub(crate) fn replaced(mut self, release_at: Timestamp) -> EndedRing {
        self.ring.writer.was_replaced();
        self.ring.ended(release_at)
    }

    /// The camera says that the stream has ended.
    pub(crate) fn closed(mut self, release_at: Timestamp) -> EndedRing {
        self.ring.writer.set_state(StreamState::Closed);
        self.ring.ended(release_at)
    }
}

impl Ring {
    fn set_state(&mut self, state: StreamState) {
        let is_lost = |state| state == StreamState::Lost;
        if is_lost(state) != is_lost(self.writer.state()) {
            self.share.set_lost(is_lost(state));
        }
        self.writer.set_state(state);
    }

    /// Keeps it for those who still read.
    pub(crate) fn ended(self, release_at: Timestamp) -> EndedRing {
        self.share.leave();
        EndedRing {
            ring: self.writer,
            share: self.share,
            release_at,
        }
    }
}
