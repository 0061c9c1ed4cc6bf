//! Figures of all cameras from look to look, for programs that show how they are doing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sdvr_frame::{InstanceId, StreamState, Timestamp, percentile};
use sdvr_ring::{FrameMeta, RingReader};

use crate::cameras::{CameraInfo, Key, describe, key_of};
use crate::open_rings::OpenRings;

/// Over how long the first look at a camera goes back for latencies.
const FIRST_LOOK_BACK: Duration = Duration::from_secs(1);
/// How many frames of a camera a look goes through: a ring may have a million, and anybody can make one.
const FRAMES_MOST: usize = 1000;

/// How long frames took from capture to being published on this host.
///
/// Of a stream that a program makes of another's: from the capture of the frame that it was made of, so that the program's own work counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the frames took as long or less.
    pub p50: Duration,
    /// Of a hundred frames 99 took as long or less. Of fewer than a hundred frames it is the longest.
    pub p99: Duration,
    /// The longest.
    pub most: Duration,
    /// How many frames these figures are of.
    pub frames: usize,
    /// By how much the figures may be wrong: the worst error of a frame's time of capture on this host's clock.
    pub clock_error: Duration,
}

/// How a camera's stream, or a derived one, is doing since the last look.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraFigures {
    /// What is known of it; its counts are since the ring was made. Its `frames_per_second` is what the daemon last measured, and stays when no more come.
    pub camera: CameraInfo,
    /// Frames a second since the last look. At the first look at a run of the camera: what its ring says of its last second.
    pub frames_per_second: f64,
    /// Bits of frames a second since the last look, without what the network adds. At the first look at a run: its mean frame at
    /// [`Self::frames_per_second`].
    pub bits_per_second: f64,
    /// Of the frames since the last look; at the first look at a run, of those of the last second. Goes back 1,000 frames at most, and only to those that the ring still has. `None` when there were none, or only such
    /// whose time of capture on this host's clock is not known: they are left out.
    pub latency: Option<Latency>,
    /// Frames that were captured and did not arrive, of those that were missed since the last look; 0 at the first.
    pub newly_lost: u64,
}

/// Figures of all cameras of this host, from look to look.
///
/// ```no_run
/// use std::time::Duration;
///
/// let mut monitor = sdvr::Monitor::new();
/// loop {
///     for figures in monitor.look() {
///         let latency = figures.latency.map_or(Duration::ZERO, |latency| latency.p50);
///         println!("{}: {:.1} frames/s, {:.2} Mbit/s, {latency:?}", figures.camera.label, figures.frames_per_second, figures.bits_per_second / 1e6);
///     }
///     std::thread::sleep(Duration::from_secs(1));
/// }
/// ```
#[derive(Debug, Default)]
pub struct Monitor {
    rings: OpenRings,
    /// As they were at the last look.
    known: BTreeMap<Key, Known>,
    /// Memory that is used again.
    latencies: Vec<Duration>,
}

/// What the last look has seen of a stream.
#[derive(Clone, Copy, Debug)]
struct Known {
    instance: InstanceId,
    at: Timestamp,
    frames: u64,
    bytes: u64,
    lost: u64,
}

impl Monitor {
    /// Of the cameras in the usual directories. Looks at nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Self::new`], for the cameras of a directory that is not one of the usual ones.
    #[must_use]
    pub fn new_in(directory: &Path) -> Self {
        Self {
            rings: OpenRings::only_in(directory),
            ..Self::default()
        }
    }

    /// The figures of all cameras that are there now, sorted by label; also of those that are lost or have just ended, as their state says. Empty when
    /// there are none, or no daemon.
    ///
    /// Does not block and copies no frame: times are read where the ring has them. Rings are kept open between looks, with a descriptor a camera; those
    /// for which this process has none left (`ulimit -n`) are not told of until it has. A look costs a few system calls a camera and some
    /// 50 ns a frame: once a second at 1,000 cameras of 30 frames a second, less than a hundredth of a core (5.9 ms, measured).
    pub fn look(&mut self) -> Vec<CameraFigures> {
        self.rings.look();
        let mut known = BTreeMap::new();
        let mut all: Vec<(Key, CameraFigures)> = Vec::new();
        for (directory, reader) in self.rings.open() {
            // Its successor is not there yet; what is wanted of it is told when it is.
            if reader.state() == StreamState::Moved {
                continue;
            }
            let camera = describe(directory, reader);
            let key = key_of(&camera);
            let now = Known {
                instance: camera.instance,
                at: Timestamp::now(),
                frames: camera.frames,
                bytes: camera.bytes,
                lost: camera.lost,
            };
            let before = self.known.get(&key);
            let before = before.filter(|before| before.instance == now.instance);
            let figures = compare(before, &now, camera, reader, &mut self.latencies);
            known.insert(key.clone(), now);
            all.push((key, figures));
        }
        self.known = known;
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.into_iter().map(|(_, figures)| figures).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates for display")]
fn compare(
    before: Option<&Known>,
    now: &Known,
    camera: CameraInfo,
    reader: &RingReader,
    latencies: &mut Vec<Duration>,
) -> CameraFigures {
    let first = now.frames.saturating_sub(FRAMES_MOST as u64);
    let newest_first = (first..now.frames).rev();
    let metas = newest_first.map_while(|n| reader.meta(n).ok());
    if let Some(before) = before {
        // A ring may say anything: what goes down, or seems not to take any time, makes rates of 0.
        let seconds = now.at.saturating_since(before.at).as_secs_f64();
        let a_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let frames = now.frames.saturating_sub(before.frames);
        let new = metas.take(usize::try_from(frames).unwrap_or(usize::MAX));
        return CameraFigures {
            frames_per_second: a_second(frames),
            bits_per_second: a_second(now.bytes.saturating_sub(before.bytes)) * 8.0,
            latency: latency(new, latencies),
            newly_lost: now.lost.saturating_sub(before.lost),
            camera,
        };
    }
    let is_alive = camera.state == StreamState::Live;
    let frames_per_second = if is_alive {
        camera.frames_per_second
    } else {
        0.0
    };
    let mean_bytes = now.bytes as f64 / now.frames.max(1) as f64;
    let lately = metas.take_while(|meta| now.at.saturating_since(meta.published) < FIRST_LOOK_BACK);
    CameraFigures {
        frames_per_second,
        bits_per_second: mean_bytes * 8.0 * frames_per_second,
        latency: latency(lately, latencies),
        newly_lost: 0,
        camera,
    }
}

/// Works with `latencies` as memory; what is in it does not matter.
fn latency(
    metas: impl Iterator<Item = FrameMeta>,
    latencies: &mut Vec<Duration>,
) -> Option<Latency> {
    latencies.clear();
    let mut clock_error_ns = 0;
    latencies.extend(metas.filter_map(|meta| {
        clock_error_ns = clock_error_ns.max(meta.clock_error_ns?);
        Some(meta.published.saturating_since(meta.captured))
    }));
    latencies.sort_unstable();
    Some(Latency {
        p50: percentile(latencies, 50)?,
        p99: percentile(latencies, 99)?,
        most: *latencies.last()?,
        frames: latencies.len(),
        clock_error: Duration::from_nanos(clock_error_ns.into()),
    })
}
