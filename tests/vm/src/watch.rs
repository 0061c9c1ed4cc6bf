//! A program on the host that keeps all frames of a camera.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sdvr::{Camera, Error, Frame, Policy};
use sdvr_tests::{PATIENCE, System};

/// Reads every frame until it is dropped.
#[derive(Debug)]
pub struct Watch {
    frames: Arc<Mutex<Vec<Seen>>>,
    /// Between all frames that were read.
    missed: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// A frame, and when it was here.
#[derive(Debug)]
pub struct Seen {
    /// As the crate `sdvr` gave it.
    pub frame: Frame,
    /// By this host's clock.
    pub at: Instant,
}

impl Watch {
    /// Waits for a camera of the system, and reads it through all its ends and returns.
    #[must_use]
    pub fn start(system: &System, label: &str) -> Self {
        let frames = Arc::new(Mutex::new(Vec::new()));
        let missed = Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut camera = Camera::wait_for_in(&system.shm(), label);
        let reader = {
            let (frames, missed) = (Arc::clone(&frames), Arc::clone(&missed));
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    match camera.next(Policy::Every, Duration::from_millis(100)) {
                        Ok(Some(frame)) => {
                            missed.fetch_add(frame.missed(), Ordering::Relaxed);
                            let at = Instant::now();
                            frames.lock().unwrap().push(Seen { frame, at });
                        }
                        Ok(None) | Err(Error::Ended) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        Self {
            frames,
            missed,
            is_over,
            reader: Some(reader),
        }
    }

    /// How many frames were read.
    #[must_use]
    pub fn count(&self) -> usize {
        self.frames.lock().unwrap().len()
    }

    /// How many frames were missed between those that were read, by the camera's own numbers.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Waits for so many more frames.
    #[track_caller]
    pub fn wait_for(&self, more: usize) {
        let (begin, before) = (Instant::now(), self.count());
        while self.count() < before + more {
            assert!(
                begin.elapsed() < PATIENCE,
                "{} of {more} frames came",
                self.count() - before
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the first frame that came after `since`; gives how long after.
    #[track_caller]
    pub fn first_since(&self, since: Instant) -> Duration {
        loop {
            let frames = self.frames.lock().unwrap();
            if let Some(first) = frames.iter().find(|seen| seen.at > since) {
                return first.at - since;
            }
            drop(frames);
            assert!(since.elapsed() < PATIENCE, "no frames came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no frame has come for a while.
    #[track_caller]
    pub fn wait_for_silence(&self) {
        let begin = Instant::now();
        loop {
            let before = self.count();
            std::thread::sleep(Duration::from_millis(400));
            if self.count() == before {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "frames still come");
        }
    }

    /// All frames up to now, taken out.
    #[must_use]
    pub fn take(&self) -> Vec<Frame> {
        let mut frames = self.frames.lock().unwrap();
        frames.drain(..).map(|seen| seen.frame).collect()
    }

    /// Waits for frames and takes out so many, which came one after the other.
    #[must_use]
    #[track_caller]
    pub fn take_next(&self, count: usize) -> Vec<Frame> {
        self.wait_for(count.saturating_sub(self.count()));
        let mut frames = self.take();
        frames.truncate(count);
        frames
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let has_panicked = reader.join().is_err();
            assert!(!has_panicked || std::thread::panicking());
        }
    }
}
