//! One camera that others wait for, and whom they tell.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sdvr_ring::Awaited;

use super::threads::{Message, Place};
use crate::camera::Awaits;
use crate::error::Error;
use crate::group::{Member, News};
use crate::place::Found;

/// Who is told when a camera has something to say.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Whoever polls this eventfd.
    Descriptor(OwnedFd),
    /// The group that this is a member of.
    Group(Arc<News>, Member),
}

/// A camera that threads wait for in its owner's place. Armed by the owner when it has nothing to say; tells once, then is armed again.
#[derive(Debug)]
pub(crate) struct Readiness {
    shared: Arc<Shared>,
    place: Place,
}

/// What the owner and the threads have in common.
#[derive(Debug)]
pub(super) struct Shared {
    listener: Listener,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    /// Whether the listener was told since it looked last.
    is_told: bool,
    /// What waited for the last frame: it knows whether wakes were lost.
    spent: Option<Awaited>,
    /// The ring that was looked for.
    found: Option<Result<Found, Error>>,
}

impl Readiness {
    /// Not armed, and told.
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        Ok(Self {
            place: Place::take()?,
            shared: Arc::new(Shared {
                listener,
                told: Mutex::new(Told {
                    is_told: true,
                    spent: None,
                    found: None,
                }),
            }),
        })
    }

    /// Waits for what the camera waits for; from now on that is news, and nothing before.
    pub(crate) fn arm(&self, awaits: Awaits<'_>) {
        match awaits {
            Awaits::Nothing => self.shared.tell(),
            Awaits::Frame(reader, n) => {
                let spent = self.shared.clear();
                let awaited = spent
                    .and_then(|spent| spent.again(reader, n))
                    .unwrap_or_else(|| reader.await_frame(n));
                self.place
                    .send(Message::Await(Arc::clone(&self.shared), awaited));
            }
            Awaits::Ring(sought) => {
                self.shared.clear();
                self.place
                    .send(Message::Seek(Arc::clone(&self.shared), sought));
            }
        }
    }

    /// The ring that was looked for, if it was found.
    pub(crate) fn take_found(&self) -> Option<Result<Found, Error>> {
        self.shared.lock().found.take()
    }

    /// The descriptor that is told.
    ///
    /// # Panics
    ///
    /// If a group is told instead.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.shared.listener {
            Listener::Descriptor(descriptor) => descriptor.as_fd(),
            Listener::Group(..) => {
                unreachable!("only `Ready` asks, whose listener is a descriptor")
            }
        }
    }
}

impl Shared {
    /// The frame has come, or something else has happened at the ring.
    pub(super) fn has_news(&self, spent: Awaited) {
        self.lock().spent = Some(spent);
        self.tell();
    }

    /// The ring has come, or it cannot be said which.
    pub(super) fn was_found(&self, found: Result<Found, Error>) {
        self.lock().found = Some(found);
        self.tell();
    }

    fn tell(&self) {
        let mut told = self.lock();
        if std::mem::replace(&mut told.is_told, true) {
            return;
        }
        match &self.listener {
            // Under the lock, so that it is never readable without being told of. It fails only when it is readable already.
            Listener::Descriptor(descriptor) => {
                let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
            }
            Listener::Group(news, member) => news.tell(*member),
        }
    }

    fn clear(&self) -> Option<Awaited> {
        let mut told = self.lock();
        if std::mem::replace(&mut told.is_told, false)
            && let Listener::Descriptor(descriptor) = &self.listener
        {
            // Fails only when it is not readable.
            let _ = rustix::io::read(descriptor, &mut [0; 8]);
        }
        // What was found for an earlier question is no answer to the next.
        told.found = None;
        told.spent.take()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // Each change is one assignment, so what is behind it is whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
