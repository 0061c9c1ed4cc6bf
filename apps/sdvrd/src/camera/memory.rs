//! The memory of a camera's rings: how it is had, and given to others.

use std::time::Duration;

use sdvr_frame::{StreamId, Timestamp};
use sdvr_session::{OpenStream, StreamCode};
use tracing::{error, info, warn};

use super::rings::{Making, Reason, RingPlace, Stage};
use super::{CLOSED_KEPT, Camera, release};
use crate::budget::{Effort, Plea, Reserved, Ticket, Wish};
use crate::depth::Reach;
use crate::sizing::{least_ring_size, ring_size};

/// How long others have to make room for a ring. It takes them a second or two, more if several must.
const ROOM_WAIT: Duration = Duration::from_secs(5);

impl Camera {
    /// Has a ring made, as soon as there is room for it. False when there is none and nobody to make it.
    pub(super) fn begin_ring(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        reason: Reason,
        place: &RingPlace,
    ) -> bool {
        let until = now + ROOM_WAIT;
        self.go_on_with_ring(now, open, reason, (None, until), place)
    }

    /// Asks again for memory that others are to make free. Gives the answers to streams for which there is none.
    pub(super) fn retry_waiting(
        &mut self,
        now: Timestamp,
        place: &RingPlace,
    ) -> Vec<(OpenStream, StreamCode)> {
        let mut refused = Vec::new();
        for making in std::mem::take(&mut self.making) {
            let Making {
                open,
                reason,
                stage: Stage::Waiting { ticket, until },
            } = making
            else {
                self.making.push(making);
                continue;
            };
            if self.go_on_with_ring(now, &open, reason, (Some(ticket), until), place) {
                continue;
            }
            self.say_no_memory(now, &open, reason, place);
            if reason == Reason::Asked {
                self.pause(open.stream);
                place.counters.count_answer(StreamCode::NoMemory);
                refused.push((open, StreamCode::NoMemory));
            }
        }
        refused
    }

    fn go_on_with_ring(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        reason: Reason,
        (ticket, until): (Option<Ticket>, Timestamp),
        place: &RingPlace,
    ) -> bool {
        let effort = if now < until {
            Effort::MakeRoom
        } else {
            Effort::TakeAny
        };
        let reach = self.known_reach(now, open);
        match self.reserve(open, reach, ticket, effort, place) {
            Reserved::Now(size, share) => self.make_ring(open, reason, size, share, place),
            Reserved::Soon(_) | Reserved::Never
                if reason == Reason::Asked && self.end_former_run(now, open, place) =>
            {
                return self.go_on_with_ring(now, open, reason, (None, until), place);
            }
            Reserved::Soon(ticket) => {
                self.making.retain(|made| made.open.stream != open.stream);
                self.making.push(Making {
                    open: open.clone(),
                    reason,
                    stage: Stage::Waiting { ticket, until },
                });
            }
            Reserved::Never => return false,
        }
        true
    }

    /// Takes memory for a ring.
    pub(super) fn reserve(
        &self,
        open: &OpenStream,
        reach: Reach,
        ticket: Option<Ticket>,
        effort: Effort,
        place: &RingPlace,
    ) -> Reserved {
        let frame_bytes = u64::from(open.frame_kib) * 1024;
        let Some(least) = least_ring_size(&open.format, frame_bytes) else {
            return Reserved::Never;
        };
        let mut streams = self.streams.iter();
        let replaced = streams.find(|stream| stream.open.stream == open.stream);
        let wish = Wish {
            account: &self.account,
            instead_of: replaced.map(|stream| stream.share()),
            least,
            choose: |room| ring_size(&open.format, frame_bytes, place.ring_time, reach, room),
        };
        place.budget.reserve(&wish, ticket, effort)
    }

    /// Ends the ring of an earlier run, into which nothing comes any more, if its memory is in the way of its successor. True when there
    /// was one.
    fn end_former_run(&mut self, now: Timestamp, open: &OpenStream, place: &RingPlace) -> bool {
        let id = open.stream;
        let is_former = self
            .streams
            .iter()
            .any(|stream| stream.open.stream == id && stream.open.instance != open.instance);
        if is_former {
            self.give_up(now, id, place);
        }
        is_former
    }

    fn give_up(&mut self, now: Timestamp, id: StreamId, place: &RingPlace) {
        self.making.retain(|made| made.open.stream != id);
        let streams = self
            .streams
            .extract_if(.., |stream| stream.open.stream == id);
        for mut stream in streams {
            release(stream.settle(now), place);
            place.keeper.release(stream.replaced(now + CLOSED_KEPT));
        }
    }

    /// Gives others memory that they ask for.
    pub(super) fn grant_pleas(&mut self, now: Timestamp, place: &RingPlace) {
        if !place.budget.has_pleas() {
            return;
        }
        let asked: Vec<(StreamId, Plea)> = self
            .streams
            .iter()
            .filter_map(|stream| Some((stream.open.stream, stream.share().plea()?)))
            .collect();
        for (id, plea) in asked {
            match plea {
                Plea::Halve => self.halve(now, id, place),
                Plea::GiveUp => {
                    info!(camera = %self.label, stream = id.0, "the lost camera's memory is given to others");
                    self.give_up(now, id, place);
                }
            }
        }
    }

    /// Has a ring made anew at half its depth, as soon as there is room beside it.
    fn halve(&mut self, now: Timestamp, id: StreamId, place: &RingPlace) {
        if self.is_making(id) {
            return;
        }
        let mut streams = self.streams.iter_mut();
        let Some(stream) = streams.find(|stream| stream.open.stream == id && !stream.has_next())
        else {
            return;
        };
        let size = stream.ring_size().halved();
        let exchanged = place.budget.exchange(size, &self.account, stream.share());
        let Some(share) = exchanged else {
            return;
        };
        stream.is_halved(now);
        let open = stream.open.clone();
        if self.chatter.may_say(now) {
            info!(camera = %self.label, stream = id.0, data_kib = size.data_bytes >> 10, "others need shared memory: making a ring of half the depth");
        }
        self.make_ring(&open, Reason::Halved, size, share, place);
    }

    /// There is no memory for a ring.
    pub(super) fn say_no_memory(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        reason: Reason,
        place: &RingPlace,
    ) {
        if !self.may_say_refusal(now, open.stream, StreamCode::NoMemory) {
            return;
        }
        if reason != Reason::Asked {
            warn!(camera = %self.label, stream = open.stream.0,
                "the ring's file is gone, and there is no memory for another; readers that have it open read on, others find it when there is. Raise --memory");
            return;
        }
        let room = place.budget.room(&self.account);
        let least = least_ring_size(&open.format, u64::from(open.frame_kib) * 1024);
        let needed_kib = least.map_or(u64::MAX, |least| least.total_bytes()) >> 10;
        let may_kib = (room.total_bytes / 2).min(room.free_bytes) >> 10;
        error!(camera = %self.label, frame_kib = open.frame_kib, needed_kib, camera_may_kib = may_kib, camera_has_kib = room.camera_bytes >> 10, free_kib = room.free_bytes >> 10, memory_kib = room.total_bytes >> 10,
            "stream refused: not enough shared memory for it (a camera may have half of --memory at most). Raise --memory, and make /dev/shm larger if that is too small for it (mount -o remount,size=…)");
    }
}
