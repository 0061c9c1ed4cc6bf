//! Frames of many cameras that were captured at the same time.

use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};

use super::seat::{Seat, Waiting};
use super::{Group, GroupError, Member};
use crate::camera::Policy;
use crate::frame::Frame;

/// How many frames of a member are in hand at most; the others wait in shared memory. Two, to choose the closer one.
const PENDING_MOST: usize = 2;
/// No frame comes before it was captured; what is said to be later by more than the clocks' errors belongs to no moment.
const CLOCK_DOUBT_MOST: Duration = Duration::from_secs(1);
/// How often it is looked whether a member that others wait for is still live.
const STATE_INTERVAL: Duration = Duration::from_millis(50);

/// Frames that were captured at the same time, at most one of each member. Made by [`Group::sync`].
#[derive(Clone, Debug)]
pub struct FrameSet {
    /// One for each member of the group, in the order in which they were added.
    pub parts: Vec<SetPart>,
}

/// What a member gives to a [`FrameSet`].
#[derive(Clone, Debug)]
pub struct SetPart {
    /// Which.
    pub member: Member,
    /// Its frame; `None` when it is not live and has none.
    pub frame: Option<Frame>,
    /// How many frames of it found no partner since the last set: they were read and are in no set. Frames that were not even read are in [`Frame::missed`].
    pub alone: u64,
}

impl FrameSet {
    /// The frame of a member, if it has one here.
    #[must_use]
    pub fn frame(&self, member: Member) -> Option<&Frame> {
        self.parts
            .iter()
            .find(|part| part.member == member)?
            .frame
            .as_ref()
    }

    /// Those that are there.
    pub fn frames(&self) -> impl Iterator<Item = (Member, &Frame)> {
        let parts = self.parts.iter();
        parts.filter_map(|part| Some((part.member, part.frame.as_ref()?)))
    }

    /// Whether every member has a frame here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parts.iter().all(|part| part.frame.is_some())
    }

    /// When the newest of its frames was captured. Later than that of every set before.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let times = self.frames().map(|(_, frame)| frame.captured());
        times.max().unwrap_or(Timestamp::from_nanoseconds(0))
    }

    /// How far apart the first and the last of its frames were captured, as far as is known: at most the tolerance.
    #[must_use]
    pub fn spread(&self) -> Duration {
        let times = self.frames().map(|(_, frame)| frame.captured());
        times.min().map_or(Duration::ZERO, |oldest| {
            self.time().saturating_since(oldest)
        })
    }

    /// By how much more any two of its frames may really be apart: the two greatest [`Frame::clock_error`] together. `None` when one is not known.
    #[must_use]
    pub fn clock_error(&self) -> Option<Duration> {
        let errors = self.frames().map(|(_, frame)| frame.clock_error());
        let mut errors = errors.collect::<Option<Vec<Duration>>>()?;
        errors.sort_unstable();
        Some(errors.iter().rev().take(2).sum())
    }
}

/// What came of an attempt to make a set.
enum Attempt {
    Made(FrameSet),
    /// Frames found no partner; others may.
    Dropped,
    /// A member has to give a frame first.
    Waits,
}

impl Group {
    /// The next set of frames whose capture times ([`Frame::captured`], on this host's clock) lie within `tolerance` of each other; waits at most
    /// `timeout` for it. `None` when there was none.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use sdvr::Group;
    ///
    /// let mut group = Group::open(&["left", "right"])?;
    /// while let Some(set) = group.sync(Duration::from_millis(10), Duration::from_secs(5))? {
    ///     let numbers: Vec<_> = set.frames().map(|(_, frame)| frame.number()).collect();
    ///     println!("{numbers:?}, {:?} apart", set.spread());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What is in a set
    ///
    /// One frame of every member that is [`StreamState::Live`]. A member that is not, since it was silent for 3 s, is gone, has ended or has not come yet, has `None` in its place and
    /// delays nobody. So one that falls silent stops all sets until its daemon says that it is stale, and no longer. Of a member that is not live, frames
    /// that can still be read are used up. When only one is live, its frames are sets of one: see [`FrameSet::is_whole`].
    ///
    /// Each frame is in at most one set, sets are in order of [`FrameSet::time`], and the tolerance is never exceeded. A set is given as soon as there is
    /// one. A frame is dropped when a member's next frame is already more than the tolerance later; of several frames of a member that are in hand and fit, the one closest to the newest of the
    /// set is taken. [`SetPart::alone`] counts the others. With a tolerance of less than half the interval of the fastest camera there is never more than one.
    ///
    /// All frames are wanted, as with [`Policy::Every`]. At most two of each member are copied before their set is; the others wait in shared memory, where they are overwritten
    /// after a while (about 2 s) if sets are not asked for fast enough, or if another member's frames arrive that much later: [`Frame::missed`] counts them.
    ///
    /// # Clocks
    ///
    /// Capture times are estimates, each with a bound for its error ([`Frame::clock_error`], a fraction of a millisecond on a local network). The tolerance is held by the estimates; two frames of a
    /// set are really at most [`FrameSet::spread`] and [`FrameSet::clock_error`] apart. A tolerance below the errors pairs by chance. A frame whose
    /// camera's clock is not known yet is taken by its estimate, too, and `clock_error` is `None`. One that says to have been captured more than a second
    /// after it was received is in no set.
    ///
    /// [`Self::next`] gives frames that are in hand here first; what it gave is in no set.
    ///
    /// # Errors
    ///
    /// As [`Self::next`]. No frame is lost by it.
    pub fn sync(
        &mut self,
        tolerance: Duration,
        timeout: Duration,
    ) -> Result<Option<FrameSet>, GroupError> {
        let deadline = Timestamp::now() + timeout;
        self.begin(Policy::Every);
        self.has_pending = true;
        loop {
            self.collect(Timestamp::now());
            self.fill()?;
            match self.attempt(tolerance) {
                Attempt::Made(set) => return Ok(Some(set)),
                Attempt::Dropped => continue,
                Attempt::Waits => {}
            }
            let now = Timestamp::now();
            if now >= deadline && self.queue.is_empty() {
                return Ok(None);
            }
            self.collect(deadline.min(now + STATE_INTERVAL));
        }
    }

    /// Takes frames in hand, as many as are there and wanted.
    fn fill(&mut self) -> Result<(), GroupError> {
        for (member, seat) in &mut self.seats {
            if seat.waiting == Waiting::Full && seat.pending.len() < PENDING_MOST {
                seat.waiting = Waiting::Queued;
                self.queue.push_back(*member);
            }
        }
        while let Some(member) = self.queue.pop_front() {
            let Some(seat) = self.seats.get_mut(&member) else {
                continue;
            };
            match seat.fill() {
                Ok(Filled::Full) => seat.waiting = Waiting::Full,
                Ok(Filled::Waits) => self.wait_for(member)?,
                Err(error) => {
                    self.queue.push_back(member);
                    return Err(self.error(member, error));
                }
            }
        }
        Ok(())
    }

    fn attempt(&mut self, tolerance: Duration) -> Attempt {
        let newest = self.seats.values().filter_map(Seat::first).max();
        let Some(newest) = newest else {
            return Attempt::Waits;
        };
        let mut was_dropped = false;
        for seat in self.seats.values_mut() {
            // That member's frames only become later, so these find no partner any more.
            while seat
                .first()
                .is_some_and(|first| newest.saturating_since(first) > tolerance)
            {
                seat.drop_first();
                was_dropped = true;
            }
        }
        if was_dropped {
            return Attempt::Dropped;
        }
        if self.seats.values().any(Seat::is_waited_for) {
            return Attempt::Waits;
        }
        if self.last_set.is_some_and(|last| newest <= last) {
            // Of a member that was not live when that set was made, and has come back with frames of before.
            self.seats.values_mut().for_each(Seat::drop_first);
            return Attempt::Dropped;
        }
        self.last_set = Some(newest);
        let parts = self.seats.iter_mut();
        let parts = parts.map(|(member, seat)| {
            while seat.second().is_some_and(|second| second <= newest) {
                seat.drop_first();
            }
            SetPart {
                member: *member,
                frame: seat.pending.pop_front(),
                alone: std::mem::take(&mut seat.alone),
            }
        });
        Attempt::Made(FrameSet {
            parts: parts.collect(),
        })
    }
}

enum Filled {
    /// There are enough in hand.
    Full,
    /// It has no more now.
    Waits,
}

impl Seat {
    fn fill(&mut self) -> Result<Filled, crate::Error> {
        while self.pending.len() < PENDING_MOST {
            let Some(frame) = self.take(Policy::Every)? else {
                return Ok(Filled::Waits);
            };
            let captured = frame.captured();
            let is_to_come = captured > frame.received() + CLOCK_DOUBT_MOST;
            if is_to_come || self.newest.is_some_and(|newest| captured <= newest) {
                // A clock that is wrong, and would have the others wait for ever, or one that was corrected; sets must stay in order.
                self.alone = self.alone.saturating_add(1);
            } else {
                self.newest = Some(captured);
                self.pending.push_back(frame);
            }
        }
        Ok(Filled::Full)
    }

    /// When the first frame in hand was captured.
    fn first(&self) -> Option<Timestamp> {
        self.pending.front().map(Frame::captured)
    }

    fn second(&self) -> Option<Timestamp> {
        self.pending.get(1).map(Frame::captured)
    }

    fn drop_first(&mut self) {
        if self.pending.pop_front().is_some() {
            self.alone = self.alone.saturating_add(1);
        }
    }

    /// Whether there is no set without a frame of it, and none is in hand.
    fn is_waited_for(&self) -> bool {
        self.pending.is_empty() && self.camera.state() == StreamState::Live
    }
}
