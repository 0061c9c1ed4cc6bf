//! One camera at the daemon: its streams, which outlive its sessions.

use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{Allowance, Label, Link, PublicKey, StreamId, StreamState, Timestamp};
use sdvr_ring::{CreateError, RingOptions};
use sdvr_session::{MediaFragment, OpenStream, PeerClock, StreamCode};
use tracing::{debug, error, info, warn};

use crate::budget::{Account, Budget, Share};
use crate::chatter::Chatter;
use crate::depth::Reach;
use crate::figures::ShardCounters;
use crate::ring_keeper::{EndedRing, RingKeeper, RingMade, RingOrder};
use crate::shard::ShardHandle;
use crate::sizing::{RingSize, least_ring_bytes, ring_size};
use crate::stream::{Ring, Stream};

/// Silence after which a stream is stale, and lost.
const STALE_AFTER: Duration = Duration::from_secs(3);
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(60);
/// How long a lost stream's ring waits for the same instance.
const KEPT_AFTER: Duration = Duration::from_secs(660);
/// How long a ring that has ended keeps its memory for those who still read.
const CLOSED_KEPT: Duration = Duration::from_secs(2);
/// How often it is said that the same stream is still refused.
const SAY_REFUSAL_AGAIN: Duration = Duration::from_secs(300);
/// Rings that a camera may have made at once, and a second: each one costs the kernel time.
const RINGS_BURST: f64 = 16.0;
const RINGS_PER_SECOND: f64 = 0.5;

/// What rings are made of and by whom, the same for all cameras of a shard.
#[derive(Debug)]
pub(crate) struct RingPlace {
    pub(crate) keeper: RingKeeper,
    /// Who is told when a ring was made.
    pub(crate) shard: ShardHandle,
    pub(crate) budget: Budget,
    pub(crate) ring_time: Duration,
    pub(crate) counters: Arc<ShardCounters>,
}

/// A camera that was let in, connected or not.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) key: PublicKey,
    pub(crate) label: Label,
    pub(crate) chatter: Chatter,
    streams: Vec<Stream>,
    /// Rings that are being made, at most one a stream.
    making: Vec<Making>,
    orders: u64,
    account: Account,
    openings: Allowance,
    /// What was refused last, and when it was said.
    said_refusal: Option<(StreamId, StreamCode, Timestamp)>,
}

/// A ring that is being made.
#[derive(Debug)]
struct Making {
    /// Tells it from one that was ordered before for the same stream, and is not wanted any more.
    order: u64,
    open: OpenStream,
    size: RingSize,
    reason: Reason,
}

/// Why a ring is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The camera has asked for it, and waits for the answer.
    Asked,
    /// Its file was removed. The camera knows nothing of it, and may be in the middle of a frame.
    Removed,
    /// It does not reach back to the last key frame but one. The camera knows nothing of it.
    Shallow,
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
            label,
            chatter: Chatter::new(now),
            streams: Vec::new(),
            making: Vec::new(),
            orders: 0,
            account: Account::default(),
            openings: Allowance::new(now, RINGS_BURST, RINGS_PER_SECOND),
            said_refusal: None,
        }
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
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.open == *open) {
            stream.go_on();
            self.making
                .retain(|made| made.open.stream != open.stream || made.open == *open);
            if self.chatter.may_say(now) {
                info!(camera = %self.label, stream = open.stream.0, "stream goes on");
            }
            return Opening::Now(StreamCode::Open);
        }
        if self.making.iter().any(|made| made.open == *open) {
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

    fn order_ring(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        place: &RingPlace,
        limits: &sdvr_session::Limits,
    ) -> Result<(), StreamCode> {
        if open.frame_kib == 0 || open.frame_kib > limits.frame_kib {
            if self.may_say_refusal(now, open.stream, StreamCode::FramesTooLarge) {
                warn!(camera = %self.label, frame_kib = open.frame_kib, most_kib = limits.frame_kib, "stream refused: its frames are too large");
            }
            return Err(StreamCode::FramesTooLarge);
        }
        let open_streams = self.streams.iter().map(|stream| stream.open.stream);
        let mut ids: Vec<StreamId> = open_streams
            .chain(self.making.iter().map(|made| made.open.stream))
            .filter(|id| *id != open.stream)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() >= limits.streams.into() {
            return Err(StreamCode::TooManyStreams);
        }
        if !self.openings.take(now) {
            if self.may_say_refusal(now, open.stream, StreamCode::TooOften) {
                warn!(camera = %self.label, "stream refused: the camera opens streams too often");
            }
            return Err(StreamCode::TooOften);
        }
        let reach = self.known_reach(now, open);
        let Some((size, share)) = self.reserve(open, reach, place) else {
            place.budget.was_short();
            if self.may_say_refusal(now, open.stream, StreamCode::NoMemory) {
                let room = place.budget.room(&self.account, 0);
                let needed_kib = least_ring_bytes(u64::from(open.frame_kib) * 1024) >> 10;
                let may_kib = (room.total_bytes / 2).min(room.free_bytes) >> 10;
                error!(camera = %self.label, frame_kib = open.frame_kib, needed_kib, camera_may_kib = may_kib, camera_has_kib = room.camera_bytes >> 10, free_kib = room.free_bytes >> 10, memory_kib = room.total_bytes >> 10,
                    "stream refused: not enough shared memory for it (a camera may have half of --memory at most). Raise --memory, and make /dev/shm larger if that is too small for it (mount -o remount,size=…)");
            }
            return Err(StreamCode::NoMemory);
        };
        self.make_ring(open, Reason::Asked, size, share, place);
        Ok(())
    }

    /// Has a ring made, instead of another that may be under way for the same stream.
    fn make_ring(
        &mut self,
        open: &OpenStream,
        reason: Reason,
        size: RingSize,
        share: Share,
        place: &RingPlace,
    ) {
        self.making.retain(|made| made.open.stream != open.stream);
        self.orders += 1;
        self.making.push(Making {
            order: self.orders,
            open: open.clone(),
            size,
            reason,
        });
        let old = self
            .streams
            .iter()
            .find(|old| old.open.stream == open.stream);
        // In one run a camera's rings have one name, whatever keys it gets meanwhile.
        let name = old
            .filter(|old| old.open.instance == open.instance)
            .map_or(self.key, Stream::ring_key);
        place.keeper.make(RingOrder {
            camera: self.key,
            order: self.orders,
            options: self.ring_options(name, open, size),
            share,
            before: old.and_then(|old| old.predecessor(open)),
            shard: place.shard.clone(),
        });
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

    /// What the run of `open` has shown to need, if it is there already.
    fn known_reach(&self, now: Timestamp, open: &OpenStream) -> Reach {
        let is_of_run = |stream: &&Stream| {
            (stream.open.stream, stream.open.instance) == (open.stream, open.instance)
        };
        let stream = self.streams.iter().find(is_of_run);
        stream.map_or_else(Reach::default, |stream| stream.known_reach(now))
    }

    /// Takes memory for a ring.
    fn reserve(
        &self,
        open: &OpenStream,
        reach: Reach,
        place: &RingPlace,
    ) -> Option<(RingSize, Share)> {
        // The ring that is replaced has its memory for two seconds more; it does not count against its successor.
        let replaced_bytes = self
            .streams
            .iter()
            .find(|stream| stream.open.stream == open.stream)
            .map_or(0, Stream::ring_bytes);
        let room = place.budget.room(&self.account, replaced_bytes);
        let frame_bytes = u64::from(open.frame_kib) * 1024;
        let size = ring_size(&open.format, frame_bytes, place.ring_time, reach, room)?;
        let share = place.budget.take(size.total_bytes(), &self.account)?;
        Some((size, share))
    }

    fn ring_options(&self, name: PublicKey, open: &OpenStream, size: RingSize) -> RingOptions {
        RingOptions {
            camera: name,
            label: self.label.clone(),
            stream: open.stream,
            kind: open.kind,
            instance: open.instance,
            format: open.format,
            extradata: open.extradata.clone(),
            link: Link::Tcp,
            slots: size.slots,
            data_bytes: size.data_bytes,
        }
    }

    /// A ring was made, or could not be: gives the answer to the camera, if it still waits for one.
    pub(crate) fn ring_was_made(
        &mut self,
        now: Timestamp,
        made: RingMade,
        place: &RingPlace,
    ) -> Option<(OpenStream, StreamCode)> {
        let RingMade { order, result, .. } = made;
        let waited = self.making.iter().position(|making| making.order == order);
        let Some(making) = waited.map(|index| self.making.swap_remove(index)) else {
            // Not wanted any more: the camera has changed its mind, or was away.
            if let Ok((ring, share)) = result {
                place.keeper.release(EndedRing {
                    ring,
                    share,
                    release_at: now,
                });
            }
            return None;
        };
        let Making {
            open, size, reason, ..
        } = making;
        let code = match result {
            Ok((writer, share)) => {
                let ring = Ring {
                    writer,
                    size,
                    share,
                };
                if reason == Reason::Asked && self.chatter.may_say(now) {
                    info!(camera = %self.label, stream = open.stream.0, format = %open.format.fourcc, width = open.format.width,
                        height = open.format.height, rate = %open.format.rate, "stream opened");
                }
                match reason {
                    Reason::Asked => self.install(now, Stream::new(now, open.clone(), ring), place),
                    Reason::Removed | Reason::Shallow => self.replace_ring(now, &open, ring, place),
                }
                StreamCode::Open
            }
            Err(problem) if reason == Reason::Shallow => {
                self.say_shallow(now, &open, &problem.to_string());
                return None;
            }
            Err(problem) => {
                let code = if matches!(problem, CreateError::NoSpace { .. }) {
                    place.budget.was_short();
                    StreamCode::NoMemory
                } else {
                    StreamCode::Internal
                };
                if self.may_say_refusal(now, open.stream, code) {
                    error!(camera = %self.label, "stream refused: {problem}");
                }
                if reason == Reason::Asked {
                    self.pause(open.stream);
                }
                code
            }
        };
        place.counters.count_answer(code);
        (reason == Reason::Asked).then_some((open, code))
    }

    /// Gives a stream another ring, of which its camera knows nothing.
    fn replace_ring(&mut self, now: Timestamp, open: &OpenStream, ring: Ring, place: &RingPlace) {
        // What is made belongs to a stream that is there: when one ends, what is made for it is not wanted any more.
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.open == *open) {
            stream.set_next(ring);
            release(stream.go_over(now + CLOSED_KEPT), place);
        } else {
            place.keeper.release(ring.ended(now));
        }
    }

    /// Streams go over to the rings that wait for the end of a frame, which cannot come any more.
    fn settle(&mut self, now: Timestamp, place: &RingPlace) {
        for stream in &mut self.streams {
            release(stream.settle(now + CLOSED_KEPT), place);
        }
    }

    /// Puts a stream with a new ring in the place of the one that had its name.
    fn install(&mut self, now: Timestamp, mut stream: Stream, place: &RingPlace) {
        self.settle(now, place);
        if let Some(index) = self
            .streams
            .iter()
            .position(|old| old.open.stream == stream.open.stream)
        {
            let old = self.streams.swap_remove(index);
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
                release(stream.go_over(received + CLOSED_KEPT), place);
            }
        }
    }

    /// A stream ended because the camera says so.
    pub(crate) fn close_stream(&mut self, now: Timestamp, id: StreamId, place: &RingPlace) {
        self.making.retain(|made| made.open.stream != id);
        self.settle(now, place);
        for stream in self
            .streams
            .extract_if(.., |stream| stream.open.stream == id)
        {
            place.keeper.release(stream.closed(now + CLOSED_KEPT));
        }
    }

    /// All streams ended because the camera says so.
    pub(crate) fn close_all(&mut self, now: Timestamp, place: &RingPlace) {
        self.making.clear();
        self.settle(now, place);
        for stream in self.streams.drain(..) {
            place.keeper.release(stream.closed(now + CLOSED_KEPT));
        }
    }

    /// The camera has proved another key, by another link.
    pub(crate) fn has_key(&mut self, now: Timestamp, key: PublicKey, place: &RingPlace) {
        self.link_was_cut(now, place);
        // Rings that are on their way would not find it.
        self.making.clear();
        self.key = key;
    }

    /// The link was cut.
    pub(crate) fn link_was_cut(&mut self, now: Timestamp, place: &RingPlace) {
        // What nobody asked for is wanted all the same.
        self.making.retain(|made| made.reason != Reason::Asked);
        self.settle(now, place);
        self.streams.iter_mut().for_each(Stream::pause);
    }

    /// The daemon ends: readers look for the next one.
    pub(crate) fn shut_down(&mut self) {
        self.streams.iter_mut().for_each(Stream::shut_down);
    }

    /// Acts on time that has passed since the camera was heard last.
    pub(crate) fn handle_time(
        &mut self,
        now: Timestamp,
        last_heard: Timestamp,
        is_connected: bool,
        place: &RingPlace,
    ) {
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
            self.close_all(now, place);
        } else {
            self.deepen_rings(now, place);
        }
    }

    /// Gives up rings that are kept in case the camera comes back: another one needs the memory.
    pub(crate) fn make_room(&mut self, now: Timestamp, last_heard: Timestamp, place: &RingPlace) {
        if now.saturating_since(last_heard) >= LOST_AFTER && !self.streams.is_empty() {
            info!(camera = %self.label, "the lost camera's memory is given to others");
            self.close_all(now, place);
        }
    }

    /// Remakes rings whose file somebody removed.
    pub(crate) fn restore_rings(&mut self, now: Timestamp, place: &RingPlace) {
        let removed: Vec<OpenStream> = self
            .streams
            .iter()
            .filter(|stream| stream.lost_its_name())
            .map(|stream| stream.open.clone())
            .filter(|open| {
                self.making
                    .iter()
                    .all(|made| made.open.stream != open.stream)
            })
            .collect();
        for open in removed {
            // As often as any ring may be made, and said as often.
            if !self.openings.take(now) {
                continue;
            }
            let reach = self.known_reach(now, &open);
            let Some((size, share)) = self.reserve(&open, reach, place) else {
                continue;
            };
            warn!(camera = %self.label, stream = open.stream.0, "somebody removed the ring's file; making it anew");
            self.make_ring(&open, Reason::Removed, size, share, place);
        }
    }

    /// Has deeper rings made for streams whose key frames are further apart than their rings reach back.
    fn deepen_rings(&mut self, now: Timestamp, place: &RingPlace) {
        let shallow: Vec<(OpenStream, RingSize, Reach)> = self
            .streams
            .iter()
            .filter_map(|stream| {
                let reach = stream.wants_deeper(now)?;
                Some((stream.open.clone(), stream.ring_size(), reach))
            })
            .collect();
        for (open, present, reach) in shallow {
            let is_under_way = |made: &Making| made.open.stream == open.stream;
            if self.making.iter().any(is_under_way) || !self.openings.take(now) {
                continue;
            }
            let reserved = self
                .reserve(&open, reach, place)
                .filter(|(size, _)| size.is_deeper_than(present));
            if reserved.as_ref().is_none_or(|(size, _)| !size.holds(reach)) {
                self.say_shallow(
                    now,
                    &open,
                    "there is not more shared memory for this camera",
                );
            }
            if let Some((size, share)) = reserved {
                debug!(camera = %self.label, stream = open.stream.0, data_kib = size.data_bytes >> 10, slots = size.slots, "making a deeper ring");
                self.make_ring(&open, Reason::Shallow, size, share, place);
            }
        }
    }

    /// A ring stays shallower than it should be.
    fn say_shallow(&mut self, now: Timestamp, open: &OpenStream, why: &str) {
        let stream = self.streams.iter_mut().find(|stream| stream.open == *open);
        if let Some(stream) = stream
            && stream.stays_shallow(now)
            && self.chatter.may_say(now)
        {
            warn!(camera = %self.label, stream = open.stream.0, data_mib = stream.ring_size().data_bytes >> 20,
                "the ring does not reach back to the last key frame but one: {why}. Raise --memory, or let the camera send key frames more often");
        }
    }
}

/// Gives a ring's memory back in its time, if there is one.
fn release(ended: Option<EndedRing>, place: &RingPlace) {
    if let Some(ended) = ended {
        place.keeper.release(ended);
    }
}
