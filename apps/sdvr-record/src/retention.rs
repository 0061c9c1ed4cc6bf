//! How long recordings are kept, and which go first.
//!
//! What goes is told by the order of recording and by no name and no date: clocks are set. Age alone is told by dates, and the host's clock is not
//! believed at once when it is suddenly ahead: were it set to 2040 by mistake, all recordings would be gone. It is believed when another camera's
//! recordings say the same, or when what was recorded since amounts to a day, or when the program ran for a day under it. Until then time goes on
//! from where it was.

use std::time::Duration;

use sdvr_frame::Timestamp;

use crate::UtcTime;
use crate::index::{Index, IndexError, Segment, SegmentId};

/// A step forward from one recording to the next, or to now, that is longer may be a clock that was set.
const DOUBTED_STEP: Duration = Duration::from_hours(24);

/// How much must have been recorded under a clock, or how long the program must have run, until it is believed whatever it says.
const BELIEVED_AFTER: Duration = Duration::from_hours(24);

/// No recording counts for more in that: its own times may be those of a clock that was set meanwhile.
const COUNTED_MOST: Duration = Duration::from_hours(1);

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
    /// `cameras` are all that share the limits. A camera of which something cannot be removed is left alone then, and the others are seen to.
    pub fn apply(&self, cameras: &mut [&mut Index], clock: &HostClock) -> Removed {
        let mut removed = Removed::default();
        let mut stuck = vec![false; cameras.len()];
        if let Some(keep) = self.keep {
            let (now, is_doubted) = believed_now(cameras, clock);
            removed.doubted_clock = is_doubted.then_some(now);
            for (camera, stuck) in cameras.iter_mut().zip(&mut stuck) {
                *stuck = !removed
                    .note(|removed| remove_older(camera, before(now, keep), clock.wall, removed));
            }
        }
        if let Some(most) = self.most_bytes_each {
            for (camera, stuck) in cameras.iter_mut().zip(&mut stuck) {
                *stuck = *stuck || !removed.note(|removed| remove_beyond(camera, most, removed));
            }
        }
        if let Some(most) = self.most_bytes_all {
            remove_of_all(cameras, &mut stuck, &mut removed, |cameras, _| {
                cameras
                    .iter()
                    .map(|camera| camera.total_bytes())
                    .fold(0, u64::saturating_add)
                    > most
            });
        }
        removed
    }

    /// Removes the oldest recordings of all cameras until `bytes` are freed or nothing but what is being written is left: for a disk that is full.
    /// To be called only where the user allowed that something is removed, see [`Self::has_limits`].
    pub fn free(cameras: &mut [&mut Index], bytes: u64) -> Removed {
        let mut removed = Removed::default();
        let mut stuck = vec![false; cameras.len()];
        remove_of_all(cameras, &mut stuck, &mut removed, |_, removed| {
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

    /// Whether all went well.
    fn note(&mut self, what: impl FnOnce(&mut Self) -> Result<(), IndexError>) -> bool {
        match what(self) {
            Ok(()) => true,
            Err(error) => {
                self.failures.push(error);
                false
            }
        }
    }
}

/// Which time it is, as far as recordings of any camera or the running program bear the clock out; and whether the clock says something later.
fn believed_now(cameras: &[&mut Index], clock: &HostClock) -> (UtcTime, bool) {
    if clock.is_undisturbed() {
        return (clock.wall, false);
    }
    let believed = cameras
        .iter()
        .filter_map(|camera| borne_out(camera, clock.wall).ok()?)
        .max();
    // Without recordings nothing can be too old.
    believed.map_or((clock.wall, false), |now| (now, now < clock.wall))
}

/// Which time the recordings of a camera bear out, at most `wall`; `None` without recordings.
///
/// Goes back through them until a day was recorded. Where times made a leap forward meanwhile, time goes on from before it.
fn borne_out(camera: &Index, wall: UtcTime) -> Result<Option<UtcTime>, IndexError> {
    let (mut later, mut recorded) = (wall, Duration::ZERO);
    let mut believed = None;
    camera.newest_times(|begins, ends| {
        believed.get_or_insert(wall);
        if since(later, ends) > DOUBTED_STEP {
            believed = Some(after(ends, recorded));
        }
        recorded = recorded.saturating_add(since(ends, begins).min(COUNTED_MOST));
        later = begins;
        recorded < BELIEVED_AFTER
    })?;
    Ok(believed.map(|believed| believed.min(wall)))
}

/// Removes from the oldest on what ended before `limit`, up to the first that did not.
fn remove_older(
    camera: &mut Index,
    limit: UtcTime,
    wall: UtcTime,
    removed: &mut Removed,
) -> Result<(), IndexError> {
    while let Some(segment) = camera.oldest_finished(SegmentId(i64::MIN))? {
        let mut ends = segment.ends;
        if ends > wall {
            // The clock was ahead when it was recorded. It is no younger than what was recorded after it.
            ends = camera.next_not_in_future(segment.id, wall)?.unwrap_or(ends);
        }
        if ends >= limit {
            break;
        }
        camera.remove_segment(&segment)?;
        removed.count(&segment);
    }
    Ok(())
}

/// Removes from the oldest on until `most` bytes are left.
fn remove_beyond(camera: &mut Index, most: u64, removed: &mut Removed) -> Result<(), IndexError> {
    while camera.total_bytes() > most
        && let Some(segment) = camera.oldest_finished(SegmentId(i64::MIN))?
    {
        camera.remove_segment(&segment)?;
        removed.count(&segment);
    }
    Ok(())
}

/// Removes the oldest of all cameras as long as `is_too_much`. Between cameras the dates of their oldest decide: there is no other order.
fn remove_of_all(
    cameras: &mut [&mut Index],
    stuck: &mut [bool],
    removed: &mut Removed,
    is_too_much: impl Fn(&[&mut Index], &Removed) -> bool,
) {
    let mut oldest: Vec<Option<Segment>> = vec![None; cameras.len()];
    let mut is_asked = vec![false; cameras.len()];
    while is_too_much(cameras, removed) {
        for (at, camera) in cameras.iter().enumerate() {
            let (Some(slot), Some(is_asked), Some(stuck)) =
                (oldest.get_mut(at), is_asked.get_mut(at), stuck.get_mut(at))
            else {
                continue;
            };
            if !*stuck && !std::mem::replace(is_asked, true) {
                *stuck = !removed.note(|_| {
                    *slot = camera.oldest_finished(SegmentId(i64::MIN))?;
                    Ok(())
                });
            }
        }
        let first = oldest
            .iter()
            .enumerate()
            .filter_map(|(at, segment)| Some((segment.as_ref()?.ends, at)))
            .min();
        let Some((_, at)) = first else {
            break;
        };
        let segment = oldest.get_mut(at).and_then(Option::take);
        let (Some(segment), Some(camera)) = (segment, cameras.get_mut(at)) else {
            break;
        };
        let is_removed = removed.note(|removed| {
            camera.remove_segment(&segment)?;
            removed.count(&segment);
            Ok(())
        });
        if let (Some(stuck), Some(is_asked)) = (stuck.get_mut(at), is_asked.get_mut(at)) {
            *stuck = !is_removed;
            *is_asked = !is_removed;
        }
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
