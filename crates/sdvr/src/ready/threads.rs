//! The threads that wait for cameras in their owners' places, shared by all of a process.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use sdvr_frame::Timestamp;
use sdvr_ring::{Awaited, Doorbell, WAIT_MANY_MOST, wait_many};

use super::readiness::Shared;
use super::seeker::Seeker;
use crate::place::Sought;

/// What a thread is asked to do for the camera of a place.
#[derive(Debug)]
pub(super) enum Message {
    /// Wait for a frame.
    Await(Arc<Shared>, Awaited),
    /// Look for a ring.
    Seek(Arc<Shared>, Sought),
}

/// The threads of this process.
static THREADS: Mutex<Threads> = Mutex::new(Threads {
    process: 0,
    next_place: 0,
    waiters: Vec::new(),
    seeker: None,
});

struct Threads {
    /// The process that has them: after a fork the child has none.
    process: u32,
    next_place: u64,
    waiters: Vec<Crew>,
    /// There while a waiter is.
    seeker: Option<Arc<Seeker>>,
}

/// A thread that waits, and for how many it may be asked to.
struct Crew {
    waiter: Arc<Waiter>,
    places: usize,
}

/// One camera's place at a thread. The threads end with the last place.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    waiter: Arc<Waiter>,
    seeker: Arc<Seeker>,
}

impl Place {
    /// A place, for which a thread is started if the others are full.
    pub(super) fn take() -> io::Result<Self> {
        let mut threads = locked(&THREADS);
        let process = std::process::id();
        if threads.process != process {
            threads.process = process;
            threads.waiters.clear();
            threads.seeker = None;
        }
        let seeker = match &threads.seeker {
            Some(seeker) => Arc::clone(seeker),
            None => Seeker::start()?,
        };
        let free = threads.waiters.iter_mut();
        let free = free.into_iter().find(|crew| crew.places < WAIT_MANY_MOST);
        let waiter = if let Some(crew) = free {
            crew.places += 1;
            Arc::clone(&crew.waiter)
        } else {
            let waiter = Waiter::start().inspect_err(|_| {
                if threads.seeker.is_none() {
                    seeker.end();
                }
            })?;
            threads.waiters.push(Crew {
                waiter: Arc::clone(&waiter),
                places: 1,
            });
            waiter
        };
        threads.seeker = Some(Arc::clone(&seeker));
        threads.next_place += 1;
        Ok(Self {
            number: threads.next_place,
            waiter,
            seeker,
        })
    }

    /// Asks the threads for something, instead of what they were asked for before.
    pub(super) fn send(&self, message: Message) {
        match message {
            Message::Await(shared, awaited) => {
                self.seeker.forget(self.number);
                self.waiter.send(Order::Await(self.number, shared, awaited));
            }
            Message::Seek(shared, sought) => {
                self.waiter.send(Order::Forget(self.number));
                self.seeker.seek(self.number, shared, sought);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seeker.forget(self.number);
        self.waiter.send(Order::Forget(self.number));
        let mut threads = locked(&THREADS);
        for crew in &mut threads.waiters {
            if Arc::ptr_eq(&crew.waiter, &self.waiter) {
                crew.places -= 1;
            }
        }
        let unused = threads.waiters.extract_if(.., |crew| crew.places == 0);
        unused.for_each(|crew| crew.waiter.send(Order::End));
        if threads.waiters.is_empty()
            && let Some(seeker) = threads.seeker.take()
        {
            seeker.end();
        }
    }
}

/// A thread that waits for frames.
#[derive(Debug, Default)]
struct Waiter {
    bell: Doorbell,
    orders: Mutex<Vec<Order>>,
}

#[derive(Debug)]
enum Order {
    Await(u64, Arc<Shared>, Awaited),
    Forget(u64),
    End,
}

impl Waiter {
    fn start() -> io::Result<Arc<Self>> {
        let waiter = Arc::new(Self::default());
        let own = Arc::clone(&waiter);
        thread::Builder::new()
            .name("sdvr-waiter".to_owned())
            .spawn(move || own.run())?;
        Ok(waiter)
    }

    fn send(&self, order: Order) {
        locked(&self.orders).push(order);
        self.bell.ring();
    }

    fn run(&self) {
        let mut waits: BTreeMap<u64, (Arc<Shared>, Awaited)> = BTreeMap::new();
        loop {
            // Before the orders are taken, so that a later one ends the wait.
            let heard = self.bell.rings();
            let orders = std::mem::take(&mut *locked(&self.orders));
            for order in orders {
                match order {
                    Order::Await(place, shared, awaited) => {
                        waits.insert(place, (shared, awaited));
                    }
                    Order::Forget(place) => {
                        waits.remove(&place);
                    }
                    Order::End => return,
                }
            }
            let mut awaited: Vec<&mut Awaited> =
                waits.values_mut().map(|(_, awaited)| awaited).collect();
            wait_many(&mut awaited, &self.bell, heard, Timestamp::NEVER);
            let with_news = waits.extract_if(.., |_, (_, awaited)| awaited.has_news());
            for (_, (shared, awaited)) in with_news {
                shared.has_news(awaited);
            }
        }
    }
}

/// Nothing that is behind these locks is left half done by a panic.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
