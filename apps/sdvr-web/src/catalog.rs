//! Which cameras there are, and the numbers by which pages call them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use sdvr::{CameraInfo, Cameras, Fingerprint, Origin, StreamId, StreamLabel};
use tokio::sync::watch;

use crate::messages::{CameraDescription, CameraFigures};

/// A camera's own, as long as the server runs.
pub(crate) type CameraNumber = u32;

/// How often all cameras are looked at while a page is open.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

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
    numbers: Arc<Mutex<BTreeMap<Key, CameraNumber>>>,
    listed: watch::Sender<Listed>,
    follower: Thread,
}

impl Catalog {
    /// Begins to follow them, on a thread that ends when `is_to_end` says so.
    pub(crate) fn follow(
        is_to_end: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let numbers = Arc::new(Mutex::new(BTreeMap::new()));
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

    /// Whether a page can know this number.
    pub(crate) fn was_told(&self, number: CameraNumber) -> bool {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        (number as usize) < numbers.len()
    }
}

fn follow(
    numbers: &Mutex<BTreeMap<Key, CameraNumber>>,
    listed: &watch::Sender<Listed>,
    is_to_end: impl Fn() -> bool,
) {
    let mut cameras = Cameras::new();
    let mut rates = Rates::default();
    while !is_to_end() {
        if listed.receiver_count() == 0 {
            std::thread::park_timeout(LOOK_INTERVAL);
            continue;
        }
        let now = list(numbers, &mut rates);
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

fn list(
    numbers: &Mutex<BTreeMap<Key, CameraNumber>>,
    rates: &mut Rates,
) -> BTreeMap<CameraNumber, Arc<Known>> {
    let cameras = Cameras::list();
    let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
    cameras
        .into_iter()
        .map(|info| {
            let next = CameraNumber::try_from(numbers.len()).unwrap_or(CameraNumber::MAX);
            let number = *numbers.entry(key_of(&info)).or_insert(next);
            let known = Known {
                number,
                description: describe(number, &info),
                figures: rates.figures(number, &info),
                info,
            };
            (number, Arc::new(known))
        })
        .collect()
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

/// Bits a second, from look to look.
#[derive(Debug, Default)]
struct Rates(BTreeMap<CameraNumber, (Instant, u64, f64)>);

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    fn figures(&mut self, number: CameraNumber, info: &CameraInfo) -> CameraFigures {
        let now = Instant::now();
        let (at, bytes, rate) = self.0.entry(number).or_insert((now, info.bytes, 0.0));
        let since = now.saturating_duration_since(*at);
        if since >= Duration::from_millis(900) {
            *rate = info.bytes.saturating_sub(*bytes) as f64 * 8.0 / since.as_secs_f64();
            (*at, *bytes) = (now, info.bytes);
        }
        CameraFigures {
            camera: number,
            frames_per_second: info.frames_per_second,
            bits_per_second: *rate,
            frames: info.frames,
            lost: info.lost,
            latency_p50_us: None,
            latency_p99_us: None,
        }
    }
}
