//! What a camera does while its ring is not there.

use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{RingReader, RingWatch};

use super::open_ring::{Begin, OpenRing, Target};
use super::{Camera, Policy, Ring};
use crate::error::Error;
use crate::place::{self, Found, Sought};

/// How often a ring that is not there is looked for, besides being told.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How many times as long as opening all rings took, no search does that again: searching costs a twentieth of a core at most.
const SEARCH_PAUSE: u32 = 20;
/// A busy machine makes a search seem long; a ring that has ended is there for two seconds, in which it must be found.
const SEARCH_PAUSE_MOST: Duration = Duration::from_millis(500);

/// What a camera waits for.
pub(crate) enum Awaits<'a> {
    /// It has something to say.
    Nothing,
    /// Frame `n` of the ring that it reads.
    Frame(&'a RingReader, u64),
    /// A ring.
    Ring(Sought),
}

impl Camera {
    /// The ring has no writer, or lost its name: look for the one that comes after it.
    pub(super) fn ring_is_gone(&mut self) {
        if let Ring::Open(ring) = &self.ring {
            self.account.end_ring(&ring.progress, &ring.reader);
            let is_closed = ring.reader.state() == StreamState::Closed;
            self.watch = None;
            self.ring = Ring::Gone {
                known: Some((ring.directory.clone(), ring.name.clone())),
                state: if is_closed {
                    StreamState::Closed
                } else {
                    StreamState::Lost
                },
                ended: is_closed.then(|| ring.reader.info().instance),
            };
        }
    }

    /// Looks for the ring; false when the deadline has passed without one.
    pub(super) fn look_for_ring(&mut self, deadline: Timestamp) -> Result<bool, Error> {
        let Some(sought) = self.sought() else {
            return Ok(true);
        };
        let now = Timestamp::now();
        let readiness = self.readiness.upgrade();
        let told = readiness.and_then(|readiness| readiness.take_found());
        let mut found = match told.transpose()? {
            Some(found) if sought.is_new(&found) => Some(found),
            _ => sought.reopen(),
        };
        if found.is_none() && now >= self.next_search && !self.is_sought_elsewhere {
            found = place::find_acceptable(&sought.searched(), |found| sought.is_new(found))?;
            let end = Timestamp::now();
            let pause = end.saturating_since(now) * SEARCH_PAUSE;
            self.next_search = end + pause.min(SEARCH_PAUSE_MOST);
        }
        if let Some(found) = found {
            self.came(found);
            return Ok(true);
        }
        Ok(self.wait_for_change(deadline))
    }

    /// What is looked for while the ring is not there.
    fn sought(&self) -> Option<Sought> {
        let Ring::Gone { known, ended, .. } = &self.ring else {
            return None;
        };
        Some(Sought {
            wanted: self.wanted.clone(),
            known: known.clone(),
            ended: *ended,
        })
    }

    /// The ring that was looked for is there, if it still was.
    pub(crate) fn came(&mut self, found: Found) {
        if let Ring::Gone { .. } = self.ring {
            // It came while it was waited for, so all of it is wanted.
            self.ring = Ring::Open(OpenRing::new(found, Begin::First, &mut self.account));
            self.watch = None;
        }
    }

    /// What has to happen before there is something to say, for who waits for many cameras at once.
    pub(crate) fn awaits(&mut self, policy: Policy) -> Awaits<'_> {
        if let Ring::Open(ring) = &self.ring {
            let state = ring.reader.state();
            // The state came after the last frame.
            let has_frame = matches!(ring.target(policy), Target::Read(_));
            let has_end = state == StreamState::Closed && !ring.end_was_told;
            if state.is_final() && !has_frame && !has_end {
                self.ring_is_gone();
            }
        }
        match (&self.ring, self.sought()) {
            (_, Some(sought)) => Awaits::Ring(sought),
            (Ring::Open(ring), None) if !ring.reader.state().is_final() => {
                match ring.target(policy) {
                    Target::WaitFor(n) => Awaits::Frame(&ring.reader, n),
                    Target::Read(_) => Awaits::Nothing,
                }
            }
            _ => Awaits::Nothing,
        }
    }

    /// Waits until it is worth looking for the ring again; false when the deadline has passed.
    fn wait_for_change(&mut self, deadline: Timestamp) -> bool {
        let now = Timestamp::now();
        let rest = deadline.saturating_since(now);
        if rest.is_zero() {
            return false;
        }
        let until_search = self.next_search.saturating_since(now);
        let look_interval = if until_search.is_zero() {
            LOOK_INTERVAL
        } else {
            until_search.min(LOOK_INTERVAL)
        };
        if let Some(watch) = &mut self.watch {
            watch.wait(rest.min(look_interval));
        } else {
            // Only who waits needs it: then it looks once more before it does, so that nothing comes unseen in between.
            let directory = match &self.ring {
                Ring::Gone {
                    known: Some((directory, _)),
                    ..
                } => directory.clone(),
                _ => self.wanted.likely_directory(),
            };
            self.watch = Some(RingWatch::new(&directory));
        }
        true
    }
}
