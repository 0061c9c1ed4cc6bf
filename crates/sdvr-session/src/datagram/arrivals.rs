//! The frames of one stream on their way: put together from fragments, handed out whole, in order and in time.
//!
//! A frame is handed out as soon as it is whole and the frame before it was handed out or given up; one that is not whole at its deadline is
//! given up. The latency budget bounds this waiting and is not added to it.
//!
//! ```text
//! captured ──── transit ────► first fragment            deadline = captured + least transit lately + latency budget
//!      ├────────────────────────┼───── fragments, requests, answers ─────┤ given up
//! ```

mod transit;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use sdvr_frame::{FrameFlags, FrameNumber, Timestamp};

use super::FragmentRequest;
use super::gaps::{Gaps, RoundTrip};
use super::held::{Held, ReassemblyBudget};
use super::parity::{Cover, Groups};
use super::partial::{Clearing, FrameFacts, PartialFrame, Piece, Taken};
use crate::error::SessionError;
use transit::Transit;

/// Frames of a stream that may be on their way at once, at most.
const OPEN_MOST: usize = 64;
/// Runs of missing fragments that a stream may have at once, at most: each packet looks through them.
const GAPS_MOST: usize = 1024;
/// Fragments of a stream that are not asked for because parity may give them back, at most: each packet looks through them.
const COVERED_MOST: u32 = 1024;
/// All fragments, however many a frame has of which none has arrived.
pub(crate) const ALL_FRAGMENTS: Range<u32> = 0..u32::MAX;

/// A frame that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WholeFrame {
    pub(crate) facts: FrameFacts,
    pub(crate) bytes: Vec<u8>,
    /// Frames between the one handed out before and this one.
    pub(crate) missed: u64,
    /// Those of them that were sent and given up here.
    pub(crate) lost: u64,
    /// Fragments of the stream that came after they had been asked for, since the frame handed out before.
    pub(crate) retransmitted: u64,
}

/// Bounds on what a stream may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArrivalLimits {
    /// Of one frame.
    pub(crate) frame_most_bytes: u64,
    /// Of all frames that are on their way.
    pub(crate) held_most_bytes: usize,
    /// How long a frame may take beyond the quickest ones.
    pub(crate) latency: Duration,
}

/// A stream's frames that were not handed out yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    limits: ArrivalLimits,
    held: Held,
    coming: BTreeMap<u64, Coming>,
    clearing: Clearing,
    transit: Transit,
    /// The highest number that was handed out or given up.
    settled: Option<Settled>,
    /// The highest number that was handed out.
    handed_out: Option<u64>,
    given_up: u64,
    /// As many when a frame was handed out last.
    given_up_before: u64,
    /// Whether one of them may be needed to decode what follows.
    needed_is_missing: bool,
    late: u64,
    restored: u64,
    /// Of fragments, those that had been asked for, since a frame was handed out last.
    retransmitted: u64,
    /// How much parity the last frame had that had some, in which groups: the next one is expected to have as much.
    parity_lately: Option<(Groups, u8)>,
}

#[derive(Clone, Copy, Debug)]
struct Settled {
    number: u64,
    captured: Timestamp,
}

/// A frame on its way.
#[derive(Debug)]
enum Coming {
    /// Some of it has arrived.
    Heard {
        frame: PartialFrame,
        gaps: Gaps,
        deadline: Timestamp,
        /// When its last fragment so far arrived, and as which packet.
        last: (Timestamp, u64),
        /// Whether no more of it is on its way, unless it is asked for: something sent later has come, or nothing for a while.
        is_over: bool,
        /// Whether it was asked for as a whole before any of it had arrived.
        was_asked_for: bool,
    },
    /// None of it has, but the one after it says that it was sent.
    Unheard { gaps: Gaps, deadline: Timestamp },
}

impl Coming {
    const fn deadline(&self) -> Timestamp {
        let (Self::Heard { deadline, .. } | Self::Unheard { deadline, .. }) = self;
        *deadline
    }

    /// No more of it is on its way: what is missing is noticed by packet `packet`.
    fn end(&mut self, now: Timestamp, packet: u64, parity_lately: &mut Option<(Groups, u8)>) {
        if let Self::Heard {
            frame,
            gaps,
            is_over,
            ..
        } = self
            && !*is_over
        {
            *is_over = true;
            gaps.notice(now, packet, frame.heard()..frame.facts().fragments());
            if !frame.is_whole() && frame.parity().is_none() {
                *parity_lately = None;
            }
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::Heard { frame, .. } => frame.held_bytes(),
            Self::Unheard { .. } => 0,
        }
    }

    fn gap_count(&self) -> usize {
        let (Self::Heard { gaps, .. } | Self::Unheard { gaps, .. }) = self;
        gaps.len()
    }

    const fn is_whole(&self) -> bool {
        match self {
            Self::Heard { frame, .. } => frame.is_whole(),
            Self::Unheard { .. } => false,
        }
    }
}

impl Arrivals {
    pub(crate) fn new(limits: ArrivalLimits, budget: &ReassemblyBudget) -> Self {
        Self {
            limits,
            held: Held::of(budget),
            coming: BTreeMap::new(),
            clearing: Clearing::new(limits.frame_most_bytes),
            transit: Transit::default(),
            settled: None,
            handed_out: None,
            given_up: 0,
            given_up_before: 0,
            needed_is_missing: false,
            late: 0,
            restored: 0,
            retransmitted: 0,
            parity_lately: None,
        }
    }

    /// Frames that were not whole in time.
    pub(crate) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Whether a frame was given up since the last key frame without which those that follow may not be decoded.
    pub(crate) const fn needed_is_missing(&self) -> bool {
        self.needed_is_missing
    }

    /// Fragments that came after their frame was handed out or given up, or twice.
    pub(crate) const fn late(&self) -> u64 {
        self.late
    }

    /// Fragments that were computed from parity.
    pub(crate) const fn restored(&self) -> u64 {
        self.restored
    }

    /// Takes a fragment or parity that came in packet `packet`. `since` is by how much the frame's number is above that of the frame sent before it;
    /// 0 if there was none, or too long ago.
    ///
    /// # Errors
    ///
    /// It contradicts what came before: an honest sender never sends such.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        packet: u64,
        facts: FrameFacts,
        since: u16,
        piece: Piece<'_>,
    ) -> Result<(), SessionError> {
        let number = facts.number.0;
        let is_fragment = match piece {
            Piece::Fragment { .. } => true,
            Piece::Parity { place, .. } => {
                self.parity_lately = Some((Groups::of(&facts), place.rows));
                false
            }
        };
        if self.settled.is_some_and(|settled| number <= settled.number) {
            // Parity of frames that were whole without it is no sign of anything.
            self.late = self.late.saturating_add(is_fragment.into());
            return Ok(());
        }
        let is_heard = matches!(self.coming.get(&number), Some(Coming::Heard { .. }));
        if !is_heard {
            // Checked before anything is held for it.
            let frame = PartialFrame::new(facts, self.limits.frame_most_bytes)?;
            self.begin(now, packet, frame, since);
        }
        let Some(Coming::Heard {
            frame,
            gaps,
            last,
            was_asked_for,
            ..
        }) = self.coming.get_mut(&number)
        else {
            return Ok(());
        };
        let heard = frame.heard();
        let taken = frame.take(&facts, piece, &mut self.clearing)?;
        if taken == Taken::Needless {
            self.late = self.late.saturating_add(is_fragment.into());
        } else {
            *last = (now, packet);
        }
        // What was sent before it should have come; parity is sent after all fragments.
        match piece {
            Piece::Fragment { offset, .. } => {
                let fragment_bytes = facts.fragment_bytes.into();
                let fragment = offset.checked_div(fragment_bytes).unwrap_or_default();
                if frame.has(fragment) {
                    let was_asked_for = gaps.fill(fragment) || *was_asked_for;
                    let is_new = taken != Taken::Needless;
                    self.retransmitted = self
                        .retransmitted
                        .saturating_add((is_new && was_asked_for).into());
                    gaps.notice(now, packet, heard..fragment);
                }
            }
            Piece::Parity { .. } => gaps.notice(now, packet, heard..facts.fragments()),
        }
        if let Taken::Restoring(fragments) = taken {
            self.restored = self.restored.saturating_add(fragments.len() as u64);
            for fragment in fragments {
                gaps.fill(fragment);
            }
        }
        self.notice_tails(now, packet, number);
        self.bound();
        Ok(())
    }

    /// The first fragment of a frame has arrived.
    fn begin(&mut self, now: Timestamp, packet: u64, frame: PartialFrame, since: u16) {
        let facts = *frame.facts();
        let number = facts.number.0;
        let before = (since > 0).then(|| number.saturating_sub(since.into()));
        let transit = self.transit.add(now, facts.captured);
        let deadline = facts.captured.offset_by(transit) + self.limits.latency;
        if let Some(before) = before {
            self.expect(now, packet, before, &facts, deadline);
        }
        let was_asked_for = match self.coming.get(&number) {
            Some(Coming::Unheard { gaps, .. }) => gaps.were_asked_for(),
            Some(Coming::Heard { .. }) | None => false,
        };
        // What was asked for of a frame not heard of is forgotten: its fragments are known now.
        self.coming.insert(
            number,
            Coming::Heard {
                frame,
                gaps: Gaps::default(),
                deadline,
                last: (now, packet),
                is_over: false,
                was_asked_for,
            },
        );
    }

    /// A frame of this number was sent, as `next` was sent after it.
    fn expect(
        &mut self,
        now: Timestamp,
        packet: u64,
        number: u64,
        next: &FrameFacts,
        next_deadline: Timestamp,
    ) {
        let is_settled = self.settled.is_some_and(|settled| number <= settled.number);
        if is_settled || self.coming.contains_key(&number) {
            return;
        }
        // As long before the next frame's deadline as it was captured before it, as far as can be told.
        let earlier = self.settled.map_or(0, |settled| {
            let captured_apart = next.captured.nanoseconds_since(settled.captured).max(0);
            let numbers_apart = next.number.0.saturating_sub(settled.number).max(1);
            let share = next.number.0.saturating_sub(number);
            let part = i128::from(captured_apart)
                .saturating_mul(share.into())
                .checked_div(numbers_apart.into())
                .unwrap_or_default();
            i64::try_from(part).unwrap_or(captured_apart)
        });
        let mut gaps = Gaps::default();
        gaps.notice(now, packet, 0..1);
        let deadline = next_deadline.offset_by(earlier.saturating_neg());
        self.coming
            .insert(number, Coming::Unheard { gaps, deadline });
    }

    /// A fragment of frame `number` has arrived: the ends of the frames before it should have.
    fn notice_tails(&mut self, now: Timestamp, packet: u64, number: u64) {
        for coming in self.coming.range_mut(..number).map(|(_, coming)| coming) {
            coming.end(now, packet, &mut self.parity_lately);
        }
    }

    /// The end of the newest frame has not arrived, and nothing has come for a while.
    fn notice_silence(&mut self, now: Timestamp, round_trip: RoundTrip) {
        if let Some(coming) = self.coming.values_mut().next_back()
            && let Coming::Heard { last, .. } = *coming
            && now >= last.0 + silence(round_trip)
        {
            coming.end(now, last.1, &mut self.parity_lately);
        }
    }

    /// Holds no more than it may: what is oldest is given up.
    fn bound(&mut self) {
        self.count_held();
        let gaps = |coming: &BTreeMap<u64, Coming>| -> usize {
            coming.values().map(Coming::gap_count).sum()
        };
        while self.coming.len() > OPEN_MOST
            || gaps(&self.coming) > GAPS_MOST
            || self.coming.len() > 1 && self.held.bytes() > self.limits.held_most_bytes
            || self.held.must_yield()
        {
            self.give_up_first();
        }
    }

    /// What all frames hold counts in the budget from now on.
    fn count_held(&mut self) {
        self.held
            .set(self.coming.values().map(Coming::held_bytes).sum());
    }

    fn give_up_first(&mut self) {
        let Some((number, coming)) = self.coming.pop_first() else {
            return;
        };
        self.count_held();
        self.given_up = self.given_up.saturating_add(1);
        let is_discardable = match &coming {
            Coming::Heard { frame, .. } => frame.facts().flags.contains(FrameFlags::DISCARDABLE),
            Coming::Unheard { .. } => false,
        };
        self.needed_is_missing |= !is_discardable;
        let captured = match coming {
            Coming::Heard { frame, .. } => frame.facts().captured,
            Coming::Unheard { .. } => self
                .settled
                .map_or(Timestamp::NEVER, |settled| settled.captured),
        };
        self.settle(number, captured);
    }

    fn settle(&mut self, number: u64, captured: Timestamp) {
        self.settled = Some(Settled { number, captured });
    }

    /// The next frame that is to be handed out, if there is one; gives up what was not in time when all was taken that had come. Drain it after
    /// every [`Self::take`] and at [`Self::poll_timeout`].
    pub(crate) fn poll(&mut self, heard_until: Timestamp) -> Option<WholeFrame> {
        loop {
            let first = self.coming.first_entry()?;
            if !first.get().is_whole() {
                if heard_until < first.get().deadline() {
                    return None;
                }
                self.give_up_first();
                continue;
            }
            let Coming::Heard { frame, .. } = first.remove() else {
                return None;
            };
            self.count_held();
            let facts = *frame.facts();
            let number = facts.number.0;
            if facts.flags.contains(FrameFlags::KEY) {
                self.needed_is_missing = false;
            }
            let missed = self
                .handed_out
                .map_or(0, |last| number.saturating_sub(last).saturating_sub(1));
            self.settle(number, facts.captured);
            self.handed_out = Some(number);
            let lost = self.given_up.saturating_sub(self.given_up_before);
            self.given_up_before = self.given_up;
            return frame.into_bytes().map(|bytes| WholeFrame {
                facts,
                bytes,
                missed,
                lost: lost.min(missed),
                retransmitted: std::mem::take(&mut self.retransmitted),
            });
        }
    }

    /// Whether nothing is known to be missing, as mostly is so: packets that come in order need no more looking.
    pub(crate) fn lacks_nothing(&self) -> bool {
        !self.needed_is_missing
            && self.coming.values().all(|coming| match coming {
                Coming::Heard { gaps, .. } => gaps.len() == 0,
                Coming::Unheard { .. } => false,
            })
    }

    /// What to ask for now, when packets up to `newest` have arrived.
    pub(crate) fn poll_requests(
        &mut self,
        now: Timestamp,
        newest: u64,
        round_trip: RoundTrip,
    ) -> Vec<FragmentRequest> {
        self.notice_silence(now, round_trip);
        let mut requests = Vec::new();
        let mut covered_most = COVERED_MOST;
        for (&number, coming) in &mut self.coming {
            // An answer would come too late.
            if now + round_trip.time > coming.deadline() {
                let (Coming::Heard { gaps, .. } | Coming::Unheard { gaps, .. }) = coming;
                gaps.give_up();
                continue;
            }
            let is_unheard = matches!(coming, Coming::Unheard { .. });
            let runs = match coming {
                Coming::Unheard { gaps, .. } => gaps.poll(now, newest, round_trip, Cover::None),
                Coming::Heard {
                    frame,
                    gaps,
                    is_over,
                    ..
                } => {
                    let cover = Cover::of(frame, *is_over, self.parity_lately, &mut covered_most);
                    gaps.poll(now, newest, round_trip, cover)
                }
            };
            requests.extend(runs.into_iter().map(|run| FragmentRequest {
                number: FrameNumber(number),
                fragments: if is_unheard { ALL_FRAGMENTS } else { run },
            }));
        }
        requests
    }

    /// When to call [`Self::poll`] and [`Self::poll_requests`], if nothing arrives before.
    pub(crate) fn poll_timeout(&self, newest: u64, round_trip: RoundTrip) -> Timestamp {
        // Frames are handed out in order: only the first is waited for.
        let first = self.coming.values().next();
        let mut due = first.map_or(Timestamp::NEVER, Coming::deadline);
        let mut covered_most = COVERED_MOST;
        for coming in self.coming.values() {
            let asks = match coming {
                Coming::Unheard { gaps, .. } => gaps.poll_timeout(newest, round_trip, Cover::None),
                Coming::Heard {
                    frame,
                    gaps,
                    is_over,
                    ..
                } => {
                    let cover = Cover::of(frame, *is_over, self.parity_lately, &mut covered_most);
                    gaps.poll_timeout(newest, round_trip, cover)
                }
            };
            if asks + round_trip.time <= coming.deadline() {
                due = due.min(asks);
            }
        }
        if let Some(Coming::Heard {
            frame,
            last,
            is_over: false,
            ..
        }) = self.coming.values().next_back()
            && !frame.is_whole()
        {
            due = due.min(last.0 + silence(round_trip));
        }
        due
    }
}

/// How long nothing comes before the end of a frame counts as lost: senders spread a frame over a part of its interval.
fn silence(round_trip: RoundTrip) -> Duration {
    const LEAST: Duration = Duration::from_millis(3);
    round_trip
        .time
        .checked_div(8)
        .unwrap_or_default()
        .max(LEAST)
}

#[cfg(test)]
mod tests;
