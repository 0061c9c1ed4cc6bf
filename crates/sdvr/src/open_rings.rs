//! All rings of all directories, kept open, so that looking at them all costs little.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{RingName, RingReader, RingWatch, list_rings, open_directory};

use crate::place;

/// How often the state of every ring is looked at: nobody tells that a daemon was killed.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often directories are listed without being told: a ring that could not be opened may be opened later.
const LIST_INTERVAL: Duration = Duration::from_secs(1);
/// How often a ring may be replaced by another while it is looked at, one after the other.
const REPLACEMENTS_MOST: usize = 100;

/// The rings, and whether their cameras are there.
#[derive(Debug, Default)]
pub(crate) struct OpenRings {
    /// The one directory to search; `None`: those where rings usually are.
    only: Option<PathBuf>,
    rings: BTreeMap<(PathBuf, RingName), OpenRing>,
    watches: BTreeMap<PathBuf, RingWatch>,
    /// Whether a watch has told something.
    has_changed: bool,
    /// `None` before the first time.
    listed: Option<Timestamp>,
    /// Rings that the last look has let go, for what they say of their end.
    gone: Vec<(PathBuf, RingReader)>,
}

#[derive(Debug)]
struct OpenRing {
    reader: RingReader,
    /// As seen by the last look.
    is_there: bool,
}

impl OpenRings {
    pub(crate) fn only_in(directory: &Path) -> Self {
        Self {
            only: Some(directory.to_owned()),
            ..Self::default()
        }
    }

    /// Those whose cameras were there at the last look.
    pub(crate) fn there(&self) -> impl Iterator<Item = (&Path, &RingReader)> {
        self.rings
            .iter()
            .filter(|(_, ring)| ring.is_there)
            .map(|((directory, _), ring)| (&**directory, &ring.reader))
    }

    /// All that are open, whatever has become of their cameras.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&Path, &RingReader)> {
        let open = self.rings.iter();
        open.map(|((directory, _), ring)| (&**directory, &ring.reader))
    }

    /// All that were open at the last look, or that it has let go.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Path, &RingReader)> {
        let gone = self.gone.iter();
        self.open()
            .chain(gone.map(|(directory, reader)| (&**directory, reader)))
    }

    /// Looks at all of them; true when cameras may have come or gone.
    pub(crate) fn look(&mut self) -> bool {
        self.gone.clear();
        let paths = place::paths(self.only.as_deref());
        let watches_before = self.watches.len();
        self.watches.retain(|path, _| paths.contains(path));
        let mut is_due = self.watches.len() != watches_before;
        for path in &paths {
            // Before the directory is listed, so that nothing comes unseen in between.
            self.watches.entry(path.clone()).or_insert_with(|| {
                is_due = true;
                RingWatch::new(path)
            });
        }
        self.wait(Duration::ZERO);
        is_due |= std::mem::take(&mut self.has_changed);
        let now = Timestamp::now();
        is_due |= self
            .listed
            .is_none_or(|listed| now.saturating_since(listed) >= LIST_INTERVAL);
        let mut has_changed = false;
        if is_due {
            self.listed = Some(now);
            has_changed = self.list(&paths);
        }
        self.look_at_states() || has_changed
    }

    /// Waits until it is worth looking again, at most `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        let timeout = timeout.min(LOOK_INTERVAL);
        self.has_changed |= RingWatch::wait_any(self.watches.values_mut(), timeout);
    }

    /// Opens what is new and lets go what has lost its name; true when there was something.
    fn list(&mut self, paths: &[PathBuf]) -> bool {
        let mut names = BTreeSet::new();
        let mut has_changed = false;
        for path in paths {
            let Some(directory) = open_directory(path) else {
                continue;
            };
            for name in list_rings(directory.as_fd()).unwrap_or_default() {
                let place = (path.clone(), name);
                if !self.rings.contains_key(&place)
                    && let Ok(reader) = RingReader::open(directory.as_fd(), &place.1)
                {
                    let is_there = false;
                    self.rings
                        .insert(place.clone(), OpenRing { reader, is_there });
                    has_changed = true;
                }
                names.insert(place);
            }
        }
        let lost: Vec<(PathBuf, RingName)> = self
            .rings
            .iter()
            .filter(|(place, ring)| !names.contains(*place) || ring.reader.is_replaced())
            .map(|(place, _)| place.clone())
            .collect();
        has_changed |= !lost.is_empty();
        for place in lost {
            self.open_again(place);
        }
        has_changed
    }

    /// A ring is not what has its name now; the listing may not have seen what has, if it came meanwhile.
    fn open_again(&mut self, place: (PathBuf, RingName)) {
        let Some(ring) = self.rings.remove(&place) else {
            return;
        };
        self.gone.push((place.0.clone(), ring.reader));
        if let Some(reader) = place::reopen(&place.0, &place.1) {
            let is_there = ring.is_there;
            self.rings.insert(place, OpenRing { reader, is_there });
        }
    }

    /// Whether a camera is there that was not, or the other way round.
    fn look_at_states(&mut self) -> bool {
        let mut has_changed = false;
        for ((directory, name), ring) in &mut self.rings {
            let mut is_now = is_there(&ring.reader);
            if ring.is_there && !is_now {
                // A new run's ring has the name before the old one says that it was replaced: the camera has not gone.
                if let Some(reader) = open_there(directory, name) {
                    let old = std::mem::replace(&mut ring.reader, reader);
                    self.gone.push((directory.clone(), old));
                    is_now = true;
                }
            }
            has_changed |= is_now != ring.is_there;
            ring.is_there = is_now;
        }
        has_changed
    }
}

/// The ring that has the name now, if its camera is there.
fn open_there(directory: &Path, name: &RingName) -> Option<RingReader> {
    for _ in 0..REPLACEMENTS_MOST {
        let reader = place::reopen(directory, name)?;
        if is_there(&reader) {
            return Some(reader);
        }
        if reader.state() != StreamState::Moved {
            return None;
        }
    }
    None
}

/// Whether the daemon lives and hears the camera, or has heard it lately.
fn is_there(reader: &RingReader) -> bool {
    matches!(reader.state(), StreamState::Live | StreamState::Stale) && reader.writer_lives()
}
