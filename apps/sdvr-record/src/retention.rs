//! How long recordings are kept, and which go first.
//!
//! What goes is told by the order of recording and by no name and no date: clocks are set. Age alone is told by dates, and the host's clock is not
//! believed at once when it is suddenly ahead: were it set to 2040 by mistake, all recordings would be gone. It is believed when another camera's
//! recordings say the same, or when what was recorded since amounts to a day, or when the program ran for a day under it. Until then time goes on
//! from where it was.

use std::time::Duration;

use sdvr_frame::Timestamp;

use crate::UtcTime;
use crate::index::{Index, IndexError, NewestTimes, Segment, SegmentId};

/// A step forward from one recording to the next, or to now, that is longer may be a clock that was set.
const DOUBTED_STEP: Duration = Duration::from_hours(24);

/// How much must have been recorded under a clock, or how long the program must have run, until it is believed whatever it says.
const BELIEVED_AFTER: Duration = Duration::from_hours(24);

/// No recording counts for more in that: its own times may be those of a clock that was set meanwhile.
const COUNTED_MOST: Duration = Duration::from_hours(1);

/// Of no camera more segments are removed at a time: whoever removes them holds the indexes, and cameras that begin or end a file wait for those.
const REMOVED_MOST: u64 = 16;

/// So many segments whose files cannot be removed are passed over. Where there are more, nothing can be removed at all.
const PASSED_OVER_MOST: u32 = 1024;

/// What is kept of recordings. Without limits all is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What is older goes.
    pub keep: Option<Duration>,
    /// Bytes that each camera's recordings may have.
    pub most_bytes_each: Option<u64>,
    /// Bytes that all cameras' recordings may have together.
    pub most_bytes_all: Option<u64>,
}

/// The host's clock, and since when it has gone on as the one that nobody sets.
#[derive(Clone, Copy, Debug)]
pub struct HostClock {
    wall: UtcTime,
    running: Timestamp,
    /// When it was last set, or the program began.
    undisturbed_since: Timestamp,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Removed {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// A clock that is ahead of the recordings and not believed: where time goes on from instead. Something may be kept for longer meanwhile.
    pub doubted_clock: Option<UtcTime>,
    /// Whether more is to be removed now, which the next call does.
    pub is_more: bool,
    /// What could not be removed, and is tried again the next time. Of each camera the first.
    pub failures: Vec<IndexError>,
}

impl Retention {
    /// Whether anything is ever removed.
    #[must_use]
    pub const fn has_limits(&self) -> bool {
        self.keep.is_some() || self.most_bytes_each.is_some() || self.most_bytes_all.is_some()
    }

    /// Removes what is beyond the limits, oldest first, and never what is being written. Cut off anywhere, the next call goes on.
    ///
    /// `cameras` are all that share the limits. A segment that cannot be removed is passed over, and a camera whose index fails is left alone then.
    /// Of each camera a few segments are removed at a time, see [`Removed::is_more`].
    pub fn apply(&self, cameras: &mut [&mut Index], clock: &HostClock) -> Removed {
        let mut removed = Removed::default();
        let believed = self.keep.map(|keep| (keep, believed_now(cameras, clock)));
        let mut cameras = Camera::all(cameras);
        if let Some((keep, (now, is_doubted))) = believed {
            removed.doubted_clock = is_doubted.then_some(now);
            for camera in &mut cameras {
                camera.remove_older(before(now, keep), clock.wall, &mut removed);
            }
        }
        if let Some(most) = self.most_bytes_each {
            for camera in &mut cameras {
                camera.remove_beyond(most, &mut removed);
            }
        }
        if let Some(most) = self.most_bytes_all {
            remove_of_all(&mut cameras, &mut removed, |cameras, _| {
                cameras
                    .iter()
                    .map(|camera| camera.index.total_bytes())
                    .fold(0, u64::saturating_add)
                    > most
            });
        }
        removed
    }

    /// Removes the oldest recordings of all cameras until `bytes` are freed or nothing but what is being written is left: for a disk that is full.
    /// To be called only where the user allowed that something is removed, see [`Self::has_limits`]. Of each camera a few segments are removed at a time,
    /// see [`Removed::is_more`].
    pub fn free(cameras: &mut [&mut Index], bytes: u64) -> Removed {
        let mut removed = Removed::default();
        let mut cameras = Camera::all(cameras);
        remove_of_all(&mut cameras, &mut removed, |_, removed| {
            removed.bytes < bytes
        });
        removed
    }
}

impl HostClock {
    /// The clock at the beginning of a program: `wall` by the host's clock, `running` by the one that nobody sets.
    #[must_use]
    pub const fn new(wall: UtcTime, running: Timestamp) -> Self {
        Self {
            wall,
            running,
            undisturbed_since: running,
        }
    }

    /// Looks at both clocks again.
    pub fn advance(&mut self, wall: UtcTime, running: Timestamp) {
        let by_running = running.saturating_since(self.running);
        let by_wall = since(wall, self.wall);
        // Only what could make recordings too old matters.
        if by_wall > by_running.saturating_add(COUNTED_MOST) {
            self.undisturbed_since = running;
        }
        (self.wall, self.running) = (wall, running);
    }

    fn is_undisturbed(&self) -> bool {
        self.running.saturating_since(self.undisturbed_since) >= BELIEVED_AFTER
    }
}

impl Removed {
    fn count(&mut self, segment: &Segment) {
        self.segments = self.segments.saturating_add(1);
        self.bytes = self.bytes.saturating_add(segment.bytes);
    }
}

/// Which time it is, as far as recordings of any camera or the running program bear the clock out; and whether the clock says something later.
fn believed_now(cameras: &mut [&mut Index], clock: &HostClock) -> (UtcTime, bool) {
    if clock.is_undisturbed() {
        return (clock.wall, false);
    }
    let believed = cameras
        .iter_mut()
        .filter_map(|camera| borne_out(camera, clock.wall).ok()?)
        .max();
    // Without recordings nothing can be too old.
    believed.map_or((clock.wall, false), |now| (now, now < clock.wall))
}

/// Which time the recordings of a camera bear out, at most `wall`; `None` without recordings.
///
/// Goes back through them until a day was recorded. Where times made a leap forward meanwhile, time goes on from before it.
fn borne_out(camera: &mut Index, wall: UtcTime) -> Result<Option<UtcTime>, IndexError> {
    let Some(NewestTimes { ends, leap_from }) = camera.newest_times(newest_times)? else {
        return Ok(None);
    };
    let is_wall_ahead = since(wall, ends) > DOUBTED_STEP;
    let believed = leap_from.unwrap_or(if is_wall_ahead { ends } else { wall });
    Ok(Some(believed.min(wall)))
}

/// Looks at the times of segments, the newest first.
fn newest_times(
    times: &mut (dyn Iterator<Item = rusqlite::Result<(UtcTime, UtcTime)>> + '_),
) -> rusqlite::Result<Option<NewestTimes>> {
    let Some((mut later, newest)) = times.next().transpose()? else {
        return Ok(None);
    };
    let mut recorded = since(newest, later).min(COUNTED_MOST);
    let mut leap_from = None;
    while recorded < BELIEVED_AFTER {
        let Some((begins, ends)) = times.next().transpose()? else {
            break;
        };
        if since(later, ends) > DOUBTED_STEP {
            leap_from = Some(after(ends, recorded));
        }
        recorded = recorded.saturating_add(since(ends, begins).min(COUNTED_MOST));
        later = begins;
    }
    Ok(Some(NewestTimes {
        ends: newest,
        leap_from,
    }))
}

/// A camera while something of it is removed.
struct Camera<'a> {
    index: &'a mut Index,
    /// What cannot be removed is before it or is this one.
    passed: SegmentId,
    passed_count: u32,
    removed: u64,
    /// Nothing more can be done about it now.
    is_stuck: bool,
    has_failed: bool,
}

/// What became of a segment that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    /// It is removed, or passed over.
    Next,
    /// No more of this camera are to be removed in this call.
    Enough,
}

impl<'a> Camera<'a> {
    fn all(indexes: &'a mut [&mut Index]) -> Vec<Self> {
        let camera = |index: &'a mut &mut Index| Self {
            index,
            passed: SegmentId(i64::MIN),
            passed_count: 0,
            removed: 0,
            is_stuck: false,
            has_failed: false,
        };
        indexes.iter_mut().map(camera).collect()
    }

    /// The oldest that can be removed as far as is known.
    fn oldest(&mut self, removed: &mut Removed) -> Option<Segment> {
        if self.is_stuck {
            return None;
        }
        match self.index.oldest_finished(self.passed) {
            Ok(oldest) => oldest,
            Err(error) => {
                // If it can be made anew, the next call finds all of it.
                match self.index.mend(error) {
                    Ok(()) => removed.is_more = true,
                    Err(error) => self.fail(error, removed),
                }
                self.is_stuck = true;
                None
            }
        }
    }

    fn remove(&mut self, segment: &Segment, removed: &mut Removed) -> Removal {
        if self.removed >= REMOVED_MOST {
            removed.is_more = true;
            return Removal::Enough;
        }
        match self.index.remove_segment(segment) {
            Ok(()) => {
                self.removed = self.removed.saturating_add(1);
                removed.count(segment);
                Removal::Next
            }
            // One file is no reason to keep all that were recorded after it.
            Err(error @ IndexError::Io { .. }) if self.passed_count < PASSED_OVER_MOST => {
                self.passed = segment.id;
                self.passed_count = self.passed_count.saturating_add(1);
                self.fail(error, removed);
                Removal::Next
            }
            Err(error) => {
                self.is_stuck = true;
                self.fail(error, removed);
                Removal::Enough
            }
        }
    }

    fn fail(&mut self, error: IndexError, removed: &mut Removed) {
        if !std::mem::replace(&mut self.has_failed, true) {
            removed.failures.push(error);
        }
    }

    /// Removes from the oldest on what ended before `limit`, up to the first that did not.
    fn remove_older(&mut self, limit: UtcTime, wall: UtcTime, removed: &mut Removed) {
        while let Some(segment) = self.oldest(removed) {
            let mut ends = segment.ends;
            if ends > wall {
                // The clock was ahead when it was recorded. It is no younger than what was recorded after it.
                match self.index.next_not_in_future(segment.id, wall) {
                    Ok(next) => ends = next.unwrap_or(ends),
                    Err(error) => {
                        self.is_stuck = true;
                        self.fail(error, removed);
                        break;
                    }
                }
            }
            if ends >= limit || self.remove(&segment, removed) == Removal::Enough {
                break;
            }
        }
    }

    /// Removes from the oldest on until `most` bytes are left.
    fn remove_beyond(&mut self, most: u64, removed: &mut Removed) {
        while self.index.total_bytes() > most
            && let Some(segment) = self.oldest(removed)
        {
            if self.remove(&segment, removed) == Removal::Enough {
                break;
            }
        }
    }
}

/// Removes the oldest of all cameras as long as `is_too_much`. Between cameras the dates of their oldest decide: there is no other order.
fn remove_of_all(
    cameras: &mut [Camera<'_>],
    removed: &mut Removed,
    is_too_much: impl Fn(&[Camera<'_>], &Removed) -> bool,
) {
    let mut oldest: Vec<Option<Segment>> = cameras
        .iter_mut()
        .map(|camera| camera.oldest(removed))
        .collect();
    while is_too_much(cameras, removed) {
        let first = oldest
            .iter()
            .enumerate()
            .filter_map(|(at, segment)| Some((segment.as_ref()?.ends, at)))
            .min();
        let Some((_, at)) = first else {
            break;
        };
        let (Some(slot), Some(camera)) = (oldest.get_mut(at), cameras.get_mut(at)) else {
            break;
        };
        let Some(segment) = slot.take() else {
            break;
        };
        // What is younger of other cameras is not removed before it.
        if camera.remove(&segment, removed) == Removal::Enough && !camera.is_stuck {
            break;
        }
        *slot = camera.oldest(removed);
    }
}

/// From `earlier` to `later`; zero when it is the other way round.
fn since(later: UtcTime, earlier: UtcTime) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

fn before(time: UtcTime, duration: Duration) -> UtcTime {
    UtcTime(time.0.saturating_sub(nanoseconds(duration)))
}

fn after(time: UtcTime, duration: Duration) -> UtcTime {
    UtcTime(time.0.saturating_add(nanoseconds(duration)))
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
