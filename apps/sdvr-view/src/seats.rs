//! The cameras that are seen, and which of those that come are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sdvr::{CameraInfo, Fingerprint, StreamId, StreamLabel, StreamState};

use crate::tile::Tile;

/// So long the last picture of a camera is seen that said that it ended; one that is followed by name stays for ever.
const STAYS_ENDED: Duration = Duration::from_secs(5);
/// The same of one that was lost, or whose daemon is gone: it may come back.
const STAYS_LOST: Duration = Duration::from_secs(60);

/// A camera's number in this program.
pub(crate) type SeatId = u64;

/// What a camera is known by over all its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    label: StreamLabel,
    fingerprint: Option<Fingerprint>,
    stream: StreamId,
    directory: PathBuf,
}

impl Identity {
    pub(crate) fn of(camera: &CameraInfo) -> Self {
        Self {
            label: camera.label.clone(),
            fingerprint: camera.fingerprint(),
            stream: camera.stream,
            directory: camera.directory.clone(),
        }
    }
}

/// Why a camera is seen.
#[derive(Debug)]
pub(crate) enum Followed {
    /// The user has named it.
    ByName,
    /// It came.
    There(Identity),
    /// It came, and will not be seen any more from then on, if it does not come back.
    Gone { identity: Identity, until: Instant },
}

/// A camera that is seen.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: SeatId,
    pub(crate) followed: Followed,
    pub(crate) tile: Tile,
}

/// The cameras that are seen, in the order of their labels; named ones as they were named.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: Vec<Seat>,
    last_id: SeatId,
    /// Their windows were closed: they are not seen any more, whenever they come back.
    closed: Vec<Identity>,
}

impl Seats {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Seat> {
        self.seats.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn find(&self, id: SeatId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == id)
    }

    pub(crate) fn find_mut(&mut self, id: SeatId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.id == id)
    }

    /// A number for the next camera.
    pub(crate) const fn new_id(&mut self) -> SeatId {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn add(&mut self, seat: Seat) {
        let label = |seat: &Seat| match &seat.followed {
            Followed::ByName => None,
            Followed::There(identity) | Followed::Gone { identity, .. } => {
                Some(identity.label.clone())
            }
        };
        let own = label(&seat);
        let at = self.seats.partition_point(|other| label(other) <= own);
        self.seats.insert(at, seat);
    }

    /// Whether a camera that came is a new one to be seen; one that has come back is so again by this.
    pub(crate) fn is_new(&mut self, identity: &Identity) -> bool {
        for seat in &mut self.seats {
            if let Followed::There(known)
            | Followed::Gone {
                identity: known, ..
            } = &seat.followed
                && known == identity
            {
                seat.followed = Followed::There(identity.clone());
                return false;
            }
        }
        !self.closed.contains(identity)
    }

    /// A camera went, in this state.
    pub(crate) fn handle_went(&mut self, identity: &Identity, state: StreamState, now: Instant) {
        let stays = if state == StreamState::Closed {
            STAYS_ENDED
        } else {
            STAYS_LOST
        };
        for seat in &mut self.seats {
            if matches!(&seat.followed, Followed::There(known) if known == identity) {
                seat.followed = Followed::Gone {
                    identity: identity.clone(),
                    until: now + stays,
                };
            }
        }
    }

    /// Removes those whose time is over; whether there were any.
    pub(crate) fn handle_time(&mut self, now: Instant) -> bool {
        let before = self.seats.len();
        self.seats.retain(
            |seat| !matches!(&seat.followed, Followed::Gone { until, .. } if *until <= now),
        );
        self.seats.len() != before
    }

    /// Its window was closed.
    pub(crate) fn close(&mut self, id: SeatId) {
        let Some(at) = self.seats.iter().position(|seat| seat.id == id) else {
            return;
        };
        match self.seats.remove(at).followed {
            Followed::ByName => {}
            Followed::There(identity) | Followed::Gone { identity, .. } => {
                self.closed.push(identity)
            }
        }
    }
}
