//! Which cameras there are, and the numbers by which pages call them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use sdvr::{
    CameraInfo, Cameras, Error, Fingerprint, Monitor, Origin, StreamId, StreamLabel, StreamState,
};
use tokio::sync::watch;

use crate::messages::{CameraDescription, CameraFigures};

/// A camera's own, as long as the server runs.
pub(crate) type CameraNumber = u32;

/// How often all cameras are looked at while a page is open. That they come and go is seen sooner.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Over how long rates are measured.
const FIGURES_INTERVAL: Duration = Duration::from_millis(990);

/// A camera that is there, or was a moment ago.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) number: CameraNumber,
    pub(crate) info: CameraInfo,
    pub(crate) description: CameraDescription,
    pub(crate) figures: CameraFigures,
}

/// All cameras, at one time.
pub(crate) type Listed = Arc<BTreeMap<CameraNumber, Arc<Known>>>;

/// What makes a camera itself, over all its runs and rings.
type Key = (StreamLabel, Option<Fingerprint>, StreamId, PathBuf);

/// The cameras of this host, followed while somebody looks.
#[derive(Debug)]
pub(crate) struct Catalog {
    numbers: Arc<Numbers>,
    listed: watch::Sender<Listed>,
    follower: Thread,
}

impl Catalog {
    /// Begins to follow them, on a thread that ends when `is_to_end` says so.
    pub(crate) fn follow(
        is_to_end: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let numbers = Arc::new(Numbers::default());
        let listed = watch::Sender::new(Listed::default());
        let thread = std::thread::Builder::new().name("cameras".to_owned());
        let follower = {
            let (numbers, listed) = (Arc::clone(&numbers), listed.clone());
            thread.spawn(move || follow(&numbers, &listed, is_to_end))?
        };
        let catalog = Self {
            numbers,
            listed,
            follower: follower.thread().clone(),
        };
        Ok((catalog, follower))
    }

    /// All cameras, at once as they were when somebody last looked, and whenever something of them changes; figures change without being told.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Listed> {
        let mut receiver = self.listed.subscribe();
        receiver.mark_changed();
        self.follower.unpark();
        receiver
    }

    /// The camera that somebody calls by its label, its fingerprint or its file, in a directory or in those where cameras usually are. Blocks for a moment.
    pub(crate) fn find(&self, camera: &str, directory: Option<&Path>) -> Result<Known, Error> {
        let info = match directory {
            None => Cameras::find(camera)?,
            // Only one that is searched anyway: nobody else's files are tried.
            Some(path) if Cameras::list().iter().any(|it| it.directory == path) => {
                Cameras::find_in(path, camera)?
            }
            Some(path) => {
                return Err(Error::NotFound {
                    wanted: camera.to_owned(),
                    known: format!("there are none in {}", path.display()),
                });
            }
        };
        Ok(self.numbers.known(info, CameraFigures::default()))
    }

    /// All cameras now, with figures since the last look of this monitor. Blocks for a moment.
    pub(crate) fn look(&self, monitor: &mut Monitor) -> Vec<Known> {
        let looked = monitor.look().into_iter().map(|it| {
            let figures = figures_of(&it);
            self.numbers.known(it.camera, figures)
        });
        one_each(looked).into_values().collect()
    }

    /// Whether a page can know this number.
    pub(crate) fn was_told(&self, number: CameraNumber) -> bool {
        let numbers = &self.numbers.0;
        let numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
        (number as usize) < numbers.len()
    }
}

/// Looks at all cameras while somebody is told of them.
fn follow(numbers: &Numbers, listed: &watch::Sender<Listed>, is_to_end: impl Fn() -> bool) {
    let mut cameras = Cameras::new();
    let mut figures = Figures::default();
    while !is_to_end() {
        if listed.receiver_count() == 0 {
            // What was long ago makes no rates of now.
            figures = Figures::default();
            std::thread::park_timeout(LOOK_INTERVAL);
            continue;
        }
        let looked = figures.look().into_iter();
        let looked = looked.map(|(info, figures)| numbers.known(info, figures));
        let now: BTreeMap<CameraNumber, Arc<Known>> = one_each(looked)
            .into_iter()
            .map(|(number, known)| (number, Arc::new(known)))
            .collect();
        listed.send_if_modified(|before| {
            let is_other = !now
                .values()
                .map(|camera| &camera.description)
                .eq(before.values().map(|camera| &camera.description));
            *before = Arc::new(now);
            is_other
        });
        cameras.wait(LOOK_INTERVAL);
    }
}

/// Each camera once: a ring of an earlier run may lie beside the one into which frames come, and says nothing that is true any more.
fn one_each(all: impl Iterator<Item = Known>) -> BTreeMap<CameraNumber, Known> {
    let rank = |known: &Known| {
        let is_live = known.info.state == StreamState::Live;
        (is_live, known.info.last_frame)
    };
    let mut cameras = BTreeMap::new();
    for known in all {
        match cameras.entry(known.number) {
            Entry::Vacant(place) => {
                place.insert(known);
            }
            Entry::Occupied(mut other) if rank(&known) > rank(other.get()) => {
                other.insert(known);
            }
            Entry::Occupied(_) => {}
        }
    }
    cameras
}

/// Figures of all cameras; those of rates are of a second, however often somebody looks.
#[derive(Debug, Default)]
struct Figures {
    monitor: Monitor,
    next: Option<Instant>,
    last: BTreeMap<Key, CameraFigures>,
}

impl Figures {
    fn look(&mut self) -> Vec<(CameraInfo, CameraFigures)> {
        let now = Instant::now();
        let cameras = if self.next.is_none_or(|next| now >= next) {
            self.next = Some(now + FIGURES_INTERVAL);
            let looked = self.monitor.look();
            let keyed = looked.iter().map(|it| (key_of(&it.camera), figures_of(it)));
            self.last = keyed.collect();
            looked.into_iter().map(|it| it.camera).collect()
        } else {
            Cameras::list()
        };
        cameras
            .into_iter()
            .map(|info| {
                let figures = self.last.get(&key_of(&info)).cloned();
                (info, figures.unwrap_or_default())
            })
            .collect()
    }
}

/// Which number a camera has; the next one if it is new.
#[derive(Debug, Default)]
struct Numbers(Mutex<BTreeMap<Key, CameraNumber>>);

impl Numbers {
    fn known(&self, info: CameraInfo, figures: CameraFigures) -> Known {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = CameraNumber::try_from(numbers.len()).unwrap_or(CameraNumber::MAX);
        let number = *numbers.entry(key_of(&info)).or_insert(next);
        Known {
            number,
            description: describe(number, &info),
            figures: CameraFigures {
                frames: info.frames,
                lost: info.lost,
                ..figures
            },
            info,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "of less than 300,000 years"
)]
fn figures_of(figures: &sdvr::CameraFigures) -> CameraFigures {
    let latency = figures.latency.as_ref();
    CameraFigures {
        frames_per_second: figures.frames_per_second,
        bits_per_second: figures.bits_per_second,
        latency_p50_us: latency.map(|latency| latency.p50.as_micros() as u64),
        latency_p99_us: latency.map(|latency| latency.p99.as_micros() as u64),
        ..CameraFigures::default()
    }
}

fn key_of(info: &CameraInfo) -> Key {
    (
        info.label.clone(),
        info.fingerprint(),
        info.stream,
        info.directory.clone(),
    )
}

fn describe(number: CameraNumber, info: &CameraInfo) -> CameraDescription {
    CameraDescription {
        camera: number,
        label: info.label.to_string(),
        state: info.state.to_string(),
        format: info.format.fourcc.to_string(),
        width: info.format.width,
        height: info.format.height,
        link: info.link.map(|link| link.to_string()),
        fingerprint: info.fingerprint().map(|it| it.to_string()),
        derived: info.origin.is_derived(),
        source: match &info.origin {
            Origin::Derived { source } => source.as_ref().map(ToString::to_string),
            Origin::Camera(_) => None,
        },
        directory: info.directory.to_string_lossy().into_owned(),
        stream: info.stream.0,
    }
}
