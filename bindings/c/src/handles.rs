//! Handles: what C holds instead of objects.
//!
//! A handle looks like a pointer and is a ticket: a place in a table, with how often the place was given out. It is compared before anything is
//! touched, so that a handle that was given back, twice or on the way to another call, is refused and not undefined. That costs a look in a
//! table, some 20 ns, beside calls that copy frames.

use std::collections::VecDeque;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};

use crate::status::{Failure, sdvr_status};

/// The lowest bit is set, so that no handle is null or looks like the address of an object.
const MARK: usize = 1;
const KIND_BITS: u32 = 3;
const INDEX_BITS: u32 = 20;
const INDEX_SHIFT: u32 = 1 + KIND_BITS;
const GENERATION_SHIFT: u32 = INDEX_SHIFT + INDEX_BITS;
/// No program reads a million cameras or holds a million frames; one that forgets to give them back does.
const PLACES_MOST: usize = 1 << INDEX_BITS;

/// All objects of a kind, each in a lock. `H` is what C takes a pointer to its handle for.
pub(crate) struct Handles<L, H> {
    kind: usize,
    places: RwLock<Places<L>>,
    handle: std::marker::PhantomData<fn() -> H>,
}

struct Places<L> {
    all: Vec<Place<L>>,
    /// The longest free is used next, so that it takes long until a handle is another's again.
    free: VecDeque<usize>,
}

struct Place<L> {
    /// How often it was given out, as far as a handle has room for it.
    generation: usize,
    object: Option<Arc<L>>,
}

impl<L, H> Handles<L, H> {
    /// A table without objects. `kind` is less than 8, and no other table's.
    pub(crate) const fn new(kind: usize) -> Self {
        Self {
            kind,
            places: RwLock::new(Places {
                all: Vec::new(),
                free: VecDeque::new(),
            }),
            handle: std::marker::PhantomData,
        }
    }

    /// Keeps an object; gives its handle.
    pub(crate) fn keep(&self, object: L) -> Result<*mut H, Failure> {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let index = match places.free.pop_front() {
            Some(index) => index,
            None if places.all.len() < PLACES_MOST => {
                places.all.push(Place {
                    generation: 0,
                    object: None,
                });
                places.all.len() - 1
            }
            None => {
                return Err(Failure::new(
                    sdvr_status::SDVR_TOO_MANY,
                    "a million of these handles were not given back",
                ));
            }
        };
        let place = places.all.get_mut(index).ok_or_else(refused)?;
        place.object = Some(Arc::new(object));
        let ticket =
            place.generation << GENERATION_SHIFT | index << INDEX_SHIFT | self.kind << 1 | MARK;
        Ok(std::ptr::without_provenance_mut(ticket))
    }

    /// The object of a handle.
    pub(crate) fn find(&self, handle: *const H) -> Result<Arc<L>, Failure> {
        let index = self.index(handle)?;
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places
            .all
            .get(index)
            .filter(|place| place.is(handle))
            .and_then(|place| place.object.clone())
            .ok_or_else(refused)
    }

    /// Takes a handle back and drops its object. Null is taken back, too, and nothing happens.
    pub(crate) fn give_back(&self, handle: *const H) -> Result<(), Failure> {
        self.take_back(handle).map(drop)
    }

    /// Takes a handle back; gives its object. `None` for null.
    pub(crate) fn take_back(&self, handle: *const H) -> Result<Option<L>, Failure> {
        if handle.is_null() {
            return Ok(None);
        }
        let index = self.index(handle)?;
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        let place = places
            .all
            .get_mut(index)
            .filter(|place| place.is(handle))
            .ok_or_else(refused)?;
        // Whoever uses it has another one, which is made with the table locked.
        if place
            .object
            .as_ref()
            .is_some_and(|it| Arc::strong_count(it) > 1)
        {
            return Err(busy());
        }
        let object = place.object.take().ok_or_else(refused)?;
        place.generation = (place.generation + 1) & (usize::MAX >> GENERATION_SHIFT);
        places.free.push_back(index);
        // It is dropped when the table is free again: giving memory back to the kernel may take a moment.
        Ok(Arc::into_inner(object))
    }

    fn index(&self, handle: *const H) -> Result<usize, Failure> {
        if handle.is_null() {
            return Err(Failure::new(
                sdvr_status::SDVR_NULL_ARGUMENT,
                "the handle is null",
            ));
        }
        let ticket = handle.addr();
        let kind = ticket >> 1 & ((1 << KIND_BITS) - 1);
        if ticket & MARK != MARK || kind != self.kind {
            return Err(refused());
        }
        Ok(ticket >> INDEX_SHIFT & (PLACES_MOST - 1))
    }
}

impl<L> Place<L> {
    fn is<H>(&self, handle: *const H) -> bool {
        handle.addr() >> GENERATION_SHIFT == self.generation
    }
}

fn refused() -> Failure {
    Failure::new(
        sdvr_status::SDVR_INVALID_HANDLE,
        "this is no handle of this kind, or it was given back",
    )
}

fn busy() -> Failure {
    Failure::new(
        sdvr_status::SDVR_BUSY,
        "another thread is using this handle; a handle is for one thread at a time",
    )
}

/// A lock's answer that did not come at once.
fn declined<G>(error: &TryLockError<G>) -> Failure {
    match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Poisoned(_) => Failure::new(
            sdvr_status::SDVR_PANICKED,
            "SDVR had an error in a call with this handle before; give it back",
        ),
    }
}

/// The object, for this call alone.
pub(crate) fn alone<T>(lock: &Mutex<T>) -> Result<MutexGuard<'_, T>, Failure> {
    lock.try_lock().map_err(|error| declined(&error))
}

/// The object, to be looked at.
pub(crate) fn shared<T>(lock: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>, Failure> {
    lock.try_read().map_err(|error| declined(&error))
}

/// The object, to be changed.
pub(crate) fn changed<T>(lock: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>, Failure> {
    lock.try_write().map_err(|error| declined(&error))
}

#[cfg(test)]
mod tests;
