//! The rings of a camera: which are ordered of the ring keeper, and what becomes of one that was made.

use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{PublicKey, StreamId, Timestamp};
use sdvr_ring::{CreateError, RingOptions};
use sdvr_session::{OpenStream, StreamCode};
use tracing::{debug, error, info, warn};

use super::{CLOSED_KEPT, Camera, release};
use crate::budget::{Budget, Share};
use crate::depth::Reach;
use crate::figures::ShardCounters;
use crate::ring_keeper::{EndedRing, RingKeeper, RingMade, RingOrder};
use crate::shard::ShardHandle;
use crate::sizing::{RingSize, least_ring_bytes, ring_size};
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
}

/// A ring that is being made.
#[derive(Debug)]
pub(super) struct Making {
    /// Tells it from one that was ordered before for the same stream, and is not wanted any more.
    order: u64,
    pub(super) open: OpenStream,
    size: RingSize,
    pub(super) reason: Reason,
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
                place.budget.was_short();
                if self.may_say_refusal(now, open.stream, StreamCode::NoMemory) {
                    warn!(camera = %self.label, stream = open.stream.0,
                        "somebody removed the ring's file, and there is no memory for another; readers that have it open read on, others find it when there is. Raise --memory");
                }
                continue;
            };
            warn!(camera = %self.label, stream = open.stream.0, "somebody removed the ring's file; making it anew");
            self.make_ring(&open, Reason::Removed, size, share, place);
        }
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
