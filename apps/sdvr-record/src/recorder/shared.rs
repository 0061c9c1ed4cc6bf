//! What the recorders of all cameras have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::Events;
use super::history::History;
use super::places::Places;
use super::seat::Figures;
use crate::options::RecordOptions;
use crate::status::{CameraStatus, RecorderStatus};

type Tell = dyn Fn(fmt::Arguments<'_>) + Send + Sync;

/// What the recorders of all cameras have in common.
pub(super) struct Shared {
    pub(super) options: RecordOptions,
    pub(super) events: Events,
    tell: Box<Tell>,
    /// All cameras that were recorded, by their names.
    figures: Mutex<BTreeMap<String, Arc<Figures>>>,
    /// One at a time looks for what is to be removed.
    pub(super) removing: Mutex<()>,
    places: Mutex<Places>,
    /// How often room was made on a full disk.
    pub(super) rooms_made: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        options: RecordOptions,
        tell: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static,
    ) -> Self {
        let length = options.events.as_ref().map(|events| events.length);
        Self {
            options,
            events: Events::new(length.unwrap_or_default()),
            tell: Box::new(tell),
            figures: Mutex::default(),
            removing: Mutex::new(()),
            places: Mutex::default(),
            rooms_made: AtomicU64::new(0),
        }
    }

    pub(super) fn say(&self, line: fmt::Arguments<'_>) {
        (self.tell)(line);
    }

    /// Where frames wait for an event; `None` if all are recorded.
    pub(super) fn new_history(&self) -> Option<History> {
        let events = self.options.events.as_ref()?;
        Some(History::new(events.pre_roll, events.memory_bytes))
    }

    /// The figures of a camera, over all its comings.
    pub(super) fn figures_of(&self, label: &str, fingerprint: Option<&str>) -> Arc<Figures> {
        let name = format!("{label} {}", fingerprint.unwrap_or_default());
        let mut all = self.all_figures();
        let new = || Arc::new(Figures::new(label, fingerprint));
        Arc::clone(all.entry(name).or_insert_with(new))
    }

    /// What `sdvr top` shows.
    pub(super) fn status(&self) -> RecorderStatus {
        let cameras: Vec<CameraStatus> = self
            .all_figures()
            .values()
            .map(|figures| figures.status())
            .collect();
        RecorderStatus::new(&self.options.directory, cameras)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_figures(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Figures>>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
