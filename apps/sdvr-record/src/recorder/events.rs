//! What begins a recording where not everything is recorded: a signal, a file that is touched, a line in a pipe.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use sdvr_frame::Timestamp;

/// A line in the pipe that is longer is not a camera's name.
const LINE_BYTES_MOST: usize = 1024;

/// Until when cameras are recorded.
#[derive(Debug)]
pub(super) struct Events {
    /// For how long after an event.
    length: Duration,
    until: Mutex<Until>,
}

#[derive(Debug, Default)]
struct Until {
    all: Option<Timestamp>,
    /// Those that were called by a name of theirs.
    named: Vec<(String, Timestamp)>,
    count: u64,
}

impl Events {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            until: Mutex::default(),
        }
    }

    /// An event of all cameras, or of one that is called so.
    pub(super) fn happen(&self, camera: Option<&str>) {
        let now = Timestamp::now();
        let until = now + self.length;
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        match camera {
            None => state.all = Some(until),
            Some(camera) => {
                state
                    .named
                    .retain(|(name, end)| name != camera && *end > now);
                state.named.push((camera.to_owned(), until));
            }
        }
    }

    /// Whether a camera with these names is recorded now.
    pub(super) fn is_on(&self, names: &[&str]) -> bool {
        let now = Timestamp::now();
        let state = self.state();
        state.all.is_some_and(|until| now < until)
            || state
                .named
                .iter()
                .any(|(name, until)| now < *until && names.contains(&name.as_str()))
    }

    fn state(&self) -> MutexGuard<'_, Until> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where events come from.
#[derive(Debug)]
pub(super) struct Triggers {
    signals: Option<Arc<AtomicUsize>>,
    place: Option<Place>,
}

#[derive(Debug)]
enum Place {
    /// Touched, written or made.
    File {
        path: PathBuf,
        modified: Option<SystemTime>,
    },
    /// Each line is an event: of the camera it names, or of all if it is empty.
    Pipe { pipe: File, line: Vec<u8> },
}

impl Triggers {
    /// # Errors
    ///
    /// When the pipe cannot be opened.
    pub(super) fn new(
        signals: Option<Arc<AtomicUsize>>,
        path: Option<&Path>,
    ) -> std::io::Result<Self> {
        let place = path.map(Place::open).transpose()?;
        Ok(Self { signals, place })
    }

    /// Tells of what has happened since it was looked last.
    pub(super) fn look(&mut self, events: &Events) {
        if let Some(signals) = &self.signals {
            // Relaxed: nothing else hangs on it.
            for _ in 0..signals.swap(0, Ordering::Relaxed).min(1) {
                events.happen(None);
            }
        }
        if let Some(place) = &mut self.place {
            place.look(events);
        }
    }
}

impl Place {
    fn open(path: &Path) -> std::io::Result<Self> {
        let is_pipe = std::fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo());
        if is_pipe {
            // Open for writing, too: it has no end then when a program that wrote a line goes.
            let pipe = File::options()
                .read(true)
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(path)?;
            return Ok(Self::Pipe {
                pipe,
                line: Vec::new(),
            });
        }
        Ok(Self::File {
            path: path.to_owned(),
            modified: modified(path),
        })
    }

    fn look(&mut self, events: &Events) {
        match self {
            Self::File {
                path,
                modified: before,
            } => {
                let now = modified(path);
                if now.is_some() && now != *before {
                    events.happen(None);
                }
                *before = now;
            }
            Self::Pipe { pipe, line } => {
                let mut buffer = [0; 4096];
                loop {
                    match pipe.read(&mut buffer) {
                        Ok(0) => return,
                        Ok(length) => {
                            for byte in buffer.get(..length).unwrap_or_default() {
                                take_byte(line, *byte, events);
                            }
                        }
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        // Nothing more now.
                        Err(_) => return,
                    }
                }
            }
        }
    }
}

fn take_byte(line: &mut Vec<u8>, byte: u8, events: &Events) {
    if byte != b'\n' {
        if line.len() <= LINE_BYTES_MOST {
            line.push(byte);
        }
        return;
    }
    let name = String::from_utf8_lossy(line);
    let name = name.trim();
    events.happen(Some(name).filter(|name| !name.is_empty()));
    line.clear();
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LONG: Duration = Duration::from_secs(1000);

    #[test]
    fn an_event_is_of_all_cameras_or_of_one() {
        let events = Events::new(LONG);
        assert!(!events.is_on(&["door"]));
        events.happen(Some("door"));
        assert!(events.is_on(&["door", "SHA256:x"]));
        assert!(!events.is_on(&["yard"]));
        events.happen(None);
        assert!(events.is_on(&["yard"]));
        let short = Events::new(Duration::ZERO);
        short.happen(None);
        assert!(!short.is_on(&["yard"]));
    }

    #[test]
    fn a_file_that_is_made_or_touched_is_an_event_and_one_that_is_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarm");
        let mut triggers = Triggers::new(None, Some(&path)).unwrap();
        let looked = |triggers: &mut Triggers| {
            let events = Events::new(LONG);
            triggers.look(&events);
            events.is_on(&["door"])
        };
        assert!(!looked(&mut triggers));
        std::fs::write(&path, "").unwrap();
        assert!(looked(&mut triggers));
        assert!(!looked(&mut triggers));
        let touched = File::options().write(true).open(&path).unwrap();
        touched.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(looked(&mut triggers));
        std::fs::remove_file(&path).unwrap();
        assert!(!looked(&mut triggers));
    }

    #[test]
    fn lines_in_a_pipe_name_cameras() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarm");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let mut triggers = Triggers::new(None, Some(&path)).unwrap();
        let events = Events::new(LONG);
        // Two programs, one after the other, and a line in two parts.
        std::fs::write(&path, "do").unwrap();
        triggers.look(&events);
        assert!(!events.is_on(&["door"]));
        let mut second = File::options().write(true).open(&path).unwrap();
        second.write_all(b"or\n").unwrap();
        drop(second);
        triggers.look(&events);
        assert!(events.is_on(&["door"]) && !events.is_on(&["yard"]));
        std::fs::write(&path, "\n").unwrap();
        triggers.look(&events);
        assert!(events.is_on(&["yard"]));
    }

    #[test]
    fn a_signal_is_an_event_once() {
        let signals = Arc::new(AtomicUsize::new(3));
        let mut triggers = Triggers::new(Some(Arc::clone(&signals)), None).unwrap();
        let events = Events::new(LONG);
        triggers.look(&events);
        assert!(events.is_on(&["door"]));
        let events = Events::new(LONG);
        triggers.look(&events);
        assert!(!events.is_on(&["door"]));
    }
}
