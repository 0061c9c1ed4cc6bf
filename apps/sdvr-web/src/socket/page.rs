//! What a page's own task and those who have frames for it share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::watched::{Step, Watched};
use super::wire::{Opcode, Wire};
use crate::catalog::CameraNumber;
use crate::counters::Counters;
use crate::messages::ToPage;

/// A page that is open.
pub(crate) struct Page {
    /// Wakes its task: its wire has become stuck.
    task: Notify,
    counters: Arc<Counters>,
    desk: Mutex<Desk>,
}

/// Held for as long as it takes to hand out frames, never while somebody waits.
pub(super) struct Desk {
    pub(super) wire: Wire,
    pub(super) watched: BTreeMap<CameraNumber, Watched>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Page {
    pub(super) fn new(wire: Wire, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            task: Notify::new(),
            counters,
            desk: Mutex::new(Desk {
                wire,
                watched: BTreeMap::new(),
            }),
        })
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until somebody else has made its wire stuck: its task waits for the network then.
    pub(super) async fn is_made_stuck(&self) {
        self.task.notified().await;
    }

    pub(super) fn say(&self, message: &ToPage<'_>) {
        self.desk().wire.say(message);
    }

    /// Sends what a camera has and there is room for. Does not wait; for those who have the camera's frames.
    pub(crate) fn hand_out(&self, camera: CameraNumber) {
        let mut desk = self.desk();
        // Whoever is stuck has what it can take, and more would be old when it takes it.
        if desk.wire.is_stuck() {
            return;
        }
        let Desk { wire, watched } = &mut *desk;
        if let Some(watched) = watched.get_mut(&camera) {
            while self.send_next(wire, camera, watched) {}
        }
        let is_made_stuck = wire.is_stuck();
        drop(desk);
        if is_made_stuck {
            self.task.notify_one();
        }
    }

    /// Sends what there is room for: one frame of each camera after the other, so that none waits for another's. Does not wait; for the page's task, which
    /// looks at the wire thereafter.
    pub(super) fn hand_out_all(&self) {
        let mut desk = self.desk();
        let Desk { wire, watched } = &mut *desk;
        let mut is_busy = true;
        while std::mem::take(&mut is_busy) {
            for (camera, watched) in &mut *watched {
                is_busy |= self.send_next(wire, *camera, watched);
            }
        }
    }

    /// Sends the next frame of a camera if there is one and room for it. False when there is not.
    fn send_next(&self, wire: &mut Wire, camera: CameraNumber, watched: &mut Watched) -> bool {
        if wire.is_stuck() {
            return false;
        }
        match watched.next(&self.counters) {
            Step::Nothing => false,
            Step::Trouble(message) => {
                wire.say(&ToPage::Trouble {
                    camera,
                    message: &message,
                });
                true
            }
            Step::Frame {
                frame,
                is_new_epoch,
            } => {
                if is_new_epoch {
                    wire.say(&ToPage::stream(camera, &frame.epoch));
                }
                wire.send(&frame.message);
                self.counters.frames_sent.add(1);
                self.counters.bytes_sent.add(frame.message.len() as u64);
                true
            }
        }
    }
}

impl Wire {
    pub(super) fn say(&mut self, message: &ToPage<'_>) {
        self.send(&Opcode::Text.message(message.to_string().as_bytes()));
    }
}
