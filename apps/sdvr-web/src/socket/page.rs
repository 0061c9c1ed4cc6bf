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
    /// Wakes its task: something is stuck.
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

    /// Until its task has something to do for it.
    pub(super) async fn needs_its_task(&self) {
        self.task.notified().await;
    }

    pub(super) fn say(&self, message: &ToPage<'_>) {
        self.desk().say(message);
    }

    /// Sends what there is room for: one frame of each camera after the other, so that none waits for another's. Does not wait.
    pub(crate) fn hand_out(&self) {
        let mut desk = self.desk();
        let Desk { wire, watched } = &mut *desk;
        // Whoever is stuck has what it can take, and more would be old when it takes it.
        while !wire.is_stuck() {
            let mut is_busy = false;
            for (camera, watched) in &mut *watched {
                match watched.next(&self.counters) {
                    Step::Nothing => {}
                    Step::Trouble(message) => {
                        let message = ToPage::Trouble {
                            camera: *camera,
                            message: &message,
                        };
                        wire.say(&message);
                    }
                    Step::Frame {
                        frame,
                        is_new_epoch,
                    } => {
                        if is_new_epoch {
                            wire.say(&ToPage::stream(*camera, &frame.epoch));
                        }
                        wire.send(&frame.message);
                        self.counters.frames_sent.add(1);
                        self.counters.bytes_sent.add(frame.message.len() as u64);
                        is_busy = true;
                    }
                }
            }
            if !is_busy {
                return;
            }
        }
        drop(desk);
        self.task.notify_one();
    }
}

impl Desk {
    pub(super) fn say(&mut self, message: &ToPage<'_>) {
        self.wire.say(message);
    }
}

impl Wire {
    fn say(&mut self, message: &ToPage<'_>) {
        self.send(&Opcode::Text.message(message.to_string().as_bytes()));
    }
}
