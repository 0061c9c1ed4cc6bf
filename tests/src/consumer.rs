//! A program that reads every frame of a measuring camera and holds it to what is promised.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sdvr::{Camera, Error, Policy};
use sdvr_frame::{FrameNumber, InstanceId, bench_frame};

/// Reads until it is dropped.
#[derive(Debug)]
pub struct Consumer {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// What a consumer has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Frames that were whole.
    pub frames: u64,
    /// What was not as promised: torn, out of order, a second time, another camera's number.
    pub wrong: Vec<String>,
    /// The last frame of each run of the camera.
    pub last: HashMap<InstanceId, FrameNumber>,
}

impl Consumer {
    /// Waits for the camera in the directory of rings, and reads it through all its ends and returns.
    #[must_use]
    pub fn start(directory: &Path, label: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut camera = Camera::wait_for_in(directory, label);
        let reader = {
            let (seen, is_over) = (Arc::clone(&seen), Arc::clone(&is_over));
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    match camera.next(Policy::Every, Duration::from_millis(100)) {
                        Ok(Some(frame)) => seen.lock().unwrap().take(&frame),
                        Ok(None) | Err(Error::Ended) => {}
                        Err(error) => {
                            seen.lock().unwrap().wrong.push(error.to_string());
                            return;
                        }
                    }
                }
            })
        };
        Self {
            seen,
            is_over,
            reader: Some(reader),
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `count` more frames have come; gives how long that took.
    ///
    /// # Panics
    ///
    /// When they do not come within `patience`.
    #[track_caller]
    pub fn wait_for_frames(&self, count: u64, patience: Duration) -> Duration {
        let begin = Instant::now();
        let before = self.seen().frames;
        while self.seen().frames < before + count {
            assert!(
                begin.elapsed() < patience,
                "{} of {count} frames came within {patience:?}",
                self.seen().frames - before
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        begin.elapsed()
    }
}

impl Seen {
    fn take(&mut self, frame: &sdvr::Frame) {
        let (instance, number) = (frame.instance(), frame.number());
        match bench_frame::check(frame.bytes()) {
            Some(header) if header.sequence == number => self.frames += 1,
            Some(header) => {
                let other = header.sequence;
                self.wrong.push(format!("{number:?} holds {other:?}"));
            }
            None => self.wrong.push(format!("{number:?} is torn")),
        }
        if let Some(last) = self.last.insert(instance, number)
            && last >= number
        {
            self.wrong.push(format!("{number:?} came after {last:?}"));
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let has_panicked = reader.join().is_err();
            assert!(!has_panicked || std::thread::panicking());
        }
    }
}
