//! The rings of a camera: which are ordered of the ring keeper, and what becomes of one that was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sdvr_frame::{PublicKey, StreamId, Timestamp};
use sdvr_ring::{CreateError, RingOptions};
use sdvr_session::{OpenStream, StreamCode};
use tracing::{debug, error, info, warn};

use super::{CLOSED_KEPT, Camera, HALVED_KEPT, release};
use crate::budget::{Budget, Effort, Reserved, Share, Ticket};
use crate::depth::Reach;
use crate::figures::ShardCounters;
use crate::ring_keeper::{EndedRing, RingKeeper, RingMade, RingOrder};
use crate::shard::ShardHandle;
use crate::sizing::RingSize;
use crate::stream::{Ring, Stream};

/// What rings are made of and by whom, the same for all cameras of a shard.
#[derive(Debug)]
pub(crate) struct RingPlace {
    pub(crate) keeper: RingKeeper,
    /// Who is told when a ring was made.
    pub(crate) shard: ShardHandle,
    pub(crate) budget: Budget,
    pub(crate) ring_time: Duration,
    pub(crate) counters: Arc<ShardCounters>,
    /// How many rings were ordered.
    pub(crate) orders: AtomicU64,
}

/// A ring that is being made.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) open: OpenStream,
    pub(super) reason: Reason,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Others make room for it.
    Waiting { ticket: Ticket, until: Timestamp },
    /// The ring keeper makes it.
    Ordered {
        /// Tells it from one that was ordered before for the same stream, and is not wanted any more.
        order: u64,
        size: RingSize,
    },
}

impl Making {
    /// Whether the keeper makes it by this order.
    const fn is_of(&self, order: u64) -> bool {
        matches!(self.stage, Stage::Ordered { order: own, .. } if own == order)
    }
}

/// Why a ring is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The camera has asked for it, and waits for the answer.
    Asked,
    /// Its file was removed. The camera knows nothing of it, and may be in the middle of a frame.
    Removed,
    /// It does not reach back to the last key frame but one. The camera knows nothing of it.
    Shallow,
    /// Others need the memory. The camera knows nothing of it.
    Halved,
}

impl Reason {
    /// How long the ring that is replaced keeps its memory.
    const fn other_kept(self) -> Duration {
        match self {
            Self::Asked | Self::Removed | Self::Shallow => CLOSED_KEPT,
            Self::Halved => HALVED_KEPT,
        }
    }
}

impl Camera {
    pub(super) fn order_ring(
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
        if self.begin_ring(now, open, Reason::Asked, place) {
            return Ok(());
        }
        self.say_no_memory(now, open, Reason::Asked, place);
        Err(StreamCode::NoMemory)
    }

    /// Has a ring made, instead of another that may be under way for the same stream.
    pub(super) fn make_ring(
        &mut self,
        open: &OpenStream,
        reason: Reason,
        size: RingSize,
        share: Share,
        place: &RingPlace,
    ) {
        self.making.retain(|made| made.open.stream != open.stream);
        // Relaxed: only the numbers have to differ.
        let order = place.orders.fetch_add(1, Ordering::Relaxed);
        self.making.push(Making {
            open: open.clone(),
            reason,
            stage: Stage::Ordered { order, size },
        });
        let old = self
            .streams
            .iter()
            .find(|old| old.open.stream == open.stream);
        // In one run a camera's rings have one name, whatever keys it gets meanwhile.
        let name = old
            .filter(|old| old.open.instance == open.instance)
            .and_then(Stream::ring_key)
            .unwrap_or(self.key);
        place.keeper.make(RingOrder {
            camera: self.key,
            order,
            options: self.ring_options(name, open, size),
            share,
            before: old.and_then(|old| old.predecessor(open)),
            shard: place.shard.clone(),
        });
    }

    /// What the run of `open` has shown to need, if it is there already.
    pub(super) fn known_reach(&self, now: Timestamp, open: &OpenStream) -> Reach {
        let is_of_run = |stream: &&Stream| {
            (stream.open.stream, stream.open.instance) == (open.stream, open.instance)
        };
        let stream = self.streams.iter().find(is_of_run);
        stream.map_or_else(Reach::default, |stream| stream.known_reach(now))
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
            link: self.link,
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
        let waited = self.making.iter().position(|making| making.is_of(order));
        let Some(Making {
            open,
            reason,
            stage: Stage::Ordered { size, .. },
        }) = waited.map(|index| self.making.swap_remove(index))
        else {
            // Not wanted any more: the camera has changed its mind, or was away.
            if let Ok((ring, share)) = result {
                place.keeper.release(EndedRing {
                    ring,
                    share,
                    release_at: now,
                });
                self.renew_names(now, place);
            }
            return None;
        };
        let code = match result {
            Ok((mut writer, share)) => {
                // It may have come by another one since the ring was asked for.
                writer.set_link(self.link);
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
                    Reason::Removed | Reason::Shallow | Reason::Halved => {
                        self.replace_ring(now, &open, reason, ring, place);
                    }
                }
                StreamCode::Open
            }
            Err(problem) => {
                if let CreateError::NoSpace { bytes, free_bytes } = problem {
                    place.budget.was_short(bytes.saturating_sub(free_bytes));
                }
                self.could_not_be_made(now, &open, reason, &problem)
            }
        };
        if reason != Reason::Asked {
            return None;
        }
        place.counters.count_answer(code);
        Some((open, code))
    }

    /// The ring keeper could not make a ring: gives the answer, should the camera wait for one.
    fn could_not_be_made(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        reason: Reason,
        problem: &CreateError,
    ) -> StreamCode {
        let code = if matches!(problem, CreateError::NoSpace { .. }) {
            StreamCode::NoMemory
        } else {
            StreamCode::Internal
        };
        let may_say = matches!(reason, Reason::Asked | Reason::Removed)
            && self.may_say_refusal(now, open.stream, code);
        let stream = self.streams.iter().find(|stream| stream.open == *open);
        match reason {
            Reason::Asked => {
                if may_say {
                    error!(camera = %self.label, "stream refused: {problem}");
                }
                self.pause(open.stream);
            }
            Reason::Removed if may_say => {
                error!(camera = %self.label, stream = open.stream.0, "the ring's file is gone, and it cannot be made anew: {problem}");
            }
            Reason::Removed => {}
            Reason::Shallow => self.say_shallow(now, open, &problem.to_string()),
            Reason::Halved => {
                debug!(camera = %self.label, stream = open.stream.0, "the ring cannot be made smaller: {problem}");
                if let Some(stream) = stream {
                    stream.share().decline();
                }
            }
        }
        code
    }

    /// Gives a stream another ring, of which its camera knows nothing.
    fn replace_ring(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        reason: Reason,
        ring: Ring,
        place: &RingPlace,
    ) {
        // What is made belongs to a stream that is there: when one ends, what is made for it is not wanted any more.
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.open == *open) {
            stream.set_next(ring, reason.other_kept());
            release(stream.go_over(now), place);
        } else {
            place.keeper.release(ring.ended(now));
        }
    }

    /// Remakes rings whose file somebody removed.
    pub(crate) fn restore_rings(&mut self, now: Timestamp, place: &RingPlace) {
        for open in self.nameless() {
            // As often as any ring may be made, and said as often.
            if !self.openings.take(now) {
                continue;
            }
            if !self.begin_ring(now, &open, Reason::Removed, place) {
                self.say_no_memory(now, &open, Reason::Removed, place);
            } else if self.chatter.may_say(now) {
                warn!(camera = %self.label, stream = open.stream.0, "somebody removed the ring's file; making it anew");
            }
        }
    }

    /// Remakes rings that lost their name to others that were ordered and are not wanted any more. Those have paid for these.
    fn renew_names(&mut self, now: Timestamp, place: &RingPlace) {
        for open in self.nameless() {
            if !self.begin_ring(now, &open, Reason::Removed, place) {
                self.say_no_memory(now, &open, Reason::Removed, place);
            }
        }
    }

    /// Streams whose rings have lost their name, and for which no others are being made.
    fn nameless(&self) -> Vec<OpenStream> {
        let nameless = self.streams.iter().filter(|stream| stream.lost_its_name());
        nameless
            .map(|stream| stream.open.clone())
            .filter(|open| !self.is_making(open.stream))
            .collect()
    }

    pub(super) fn is_making(&self, id: StreamId) -> bool {
        self.making.iter().any(|made| made.open.stream == id)
    }

    /// Has deeper rings made for streams whose key frames are further apart than their rings reach back.
    pub(super) fn deepen_rings(&mut self, now: Timestamp, place: &RingPlace) {
        let shallow: Vec<(OpenStream, RingSize, Reach)> = self
            .streams
            .iter()
            .filter_map(|stream| {
                let reach = stream.wants_deeper(now)?;
                Some((stream.open.clone(), stream.ring_size(), reach))
            })
            .collect();
        for (open, present, reach) in shallow {
            if self.is_making(open.stream) || !self.openings.take(now) {
                continue;
            }
            let reserved = match self.reserve(&open, reach, None, Effort::TakeSpare, place) {
                Reserved::Now(size, share) => Some((size, share)),
                Reserved::Soon(_) | Reserved::Never => None,
            }
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
