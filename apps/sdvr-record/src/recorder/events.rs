//! What begins a recording where not everything is recorded: a signal, a file that is touched, a line in a pipe.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use sdvr_frame::Timestamp;

/// Who writes into the pipe for ever does not keep us there.
const READS_MOST: usize = 16;
/// A line in the pipe that is longer is not a camera's name.
const LINE_BYTES_MOST: usize = 1024;
/// Of so many events those of cameras that nobody knows are not kept: who writes nonsense into the pipe does not fill the memory.
const KEPT_MOST: usize = 256;
/// So many names of cameras are remembered: whose labels change for ever does not fill it either.
const MET_MOST: usize = 100_000;
/// So many names that no camera has are told; of so many letters each, and with so many that there are.
const TOLD_MOST: usize = 64;
const TOLD_LETTERS_MOST: usize = 64;
const LISTED_MOST: usize = 8;

/// What has happened, and until when it is recorded.
#[derive(Debug)]
pub(super) struct Events {
    /// For how long after an event.
    length: Duration,
    happened: Mutex<Happened>,
}

#[derive(Debug, Default)]
struct Happened {
    count: u64,
    /// The last of all cameras, and the last of each that was named.
    last: Vec<Event>,
    met: Met,
}

/// The cameras that there are, or were, by their names.
#[derive(Debug, Default)]
struct Met {
    /// Whatever one may be called.
    names: BTreeSet<String>,
    /// What each is called in the first place.
    labels: BTreeSet<String>,
    /// Names that events had and no camera has.
    unknown: Vec<String>,
    /// How many of them were told.
    told: usize,
}

#[derive(Debug)]
struct Event {
    /// `None`: all.
    camera: Option<String>,
    number: u64,
    /// Frames that were captured before this are recorded.
    until: Timestamp,
}

impl Event {
    fn is_of(&self, names: &[&str]) -> bool {
        let camera = self.camera.as_deref();
        camera.is_none_or(|camera| names.contains(&camera))
    }
}

impl Events {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            happened: Mutex::default(),
        }
    }

    /// A camera with these names, the best known first, is there.
    pub(super) fn meet(&self, names: &[&str]) {
        let met = &mut self.happened().met;
        if met.names.len() > MET_MOST {
            return;
        }
        met.names
            .extend(names.iter().map(|name| (*name).to_owned()));
        met.labels
            .extend(names.first().map(|label| (*label).to_owned()));
    }

    /// An event of all cameras, or of one that is called so.
    pub(super) fn happen(&self, camera: Option<&str>) {
        let now = Timestamp::now();
        let mut happened = self.happened();
        happened.last.retain(|other| other.until > now);
        if let Some(name) = camera
            && !happened.met.names.contains(name)
        {
            happened.met.hear_unknown(name);
            // It may come while the event lasts.
            if happened.last.len() >= KEPT_MOST {
                return;
            }
        }
        happened.count = happened.count.saturating_add(1);
        let event = Event {
            camera: camera.map(str::to_owned),
            number: happened.count,
            until: now + self.length,
        };
        happened.last.retain(|other| other.camera != event.camera);
        happened.last.push(event);
    }

    /// What people should know of events that no camera was meant by. Once of each name.
    pub(super) fn take_notices(&self) -> Vec<String> {
        self.happened().met.take_notices()
    }

    /// How many have happened.
    pub(super) fn count(&self) -> u64 {
        self.happened().count
    }

    /// The number of the last event of a camera with these names; `before` if there was none since that one.
    pub(super) fn count_of(&self, names: &[&str], before: u64) -> u64 {
        let happened = self.happened();
        let own = happened.last.iter().filter(|event| event.is_of(names));
        own.map(|event| event.number).fold(before, u64::max)
    }

    /// Whether a frame that was captured then by a camera with these names is recorded.
    pub(super) fn is_on(&self, names: &[&str], captured: Timestamp) -> bool {
        let happened = self.happened();
        let mut own = happened.last.iter().filter(|event| event.is_of(names));
        own.any(|event| captured < event.until)
    }

    fn happened(&self) -> MutexGuard<'_, Happened> {
        self.happened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Met {
    fn hear_unknown(&mut self, name: &str) {
        let mut letters = name.chars();
        let mut name: String = letters.by_ref().take(TOLD_LETTERS_MOST).collect();
        if letters.next().is_some() {
            name.push('…');
        }
        if self.unknown.len() < TOLD_MOST && !self.unknown.contains(&name) {
            self.unknown.push(name);
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        let untold = self.unknown.get(self.told..).unwrap_or_default();
        if untold.is_empty() {
            return Vec::new();
        }
        let listed: Vec<&str> = self
            .labels
            .iter()
            .take(LISTED_MOST)
            .map(String::as_str)
            .collect();
        let there = match self.labels.len().checked_sub(LISTED_MOST) {
            _ if listed.is_empty() => "none is there yet".to_owned(),
            None | Some(0) => format!("there are {}", listed.join(", ")),
            Some(more) => format!("there are {} and {more} more", listed.join(", ")),
        };
        let tell = |name| format!("--on-trigger: no camera is called {name:?}; {there}");
        let notices = untold.iter().map(tell).collect();
        self.told = self.unknown.len();
        notices
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
            if signals.swap(0, Ordering::Relaxed) > 0 {
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
                for _ in 0..READS_MOST {
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
        assert!(!events.is_on(&["door"], Timestamp::now()));
        events.happen(Some("door"));
        assert!(events.is_on(&["door", "SHA256:x"], Timestamp::now()));
        assert!(!events.is_on(&["yard"], Timestamp::now()));
        events.happen(None);
        assert!(events.is_on(&["yard"], Timestamp::now()));
        assert_eq!(events.count_of(&["yard"], 0), 2);
        assert_eq!(events.count_of(&["yard"], 7), 7, "known already");
        let short = Events::new(Duration::ZERO);
        short.happen(None);
        assert!(!short.is_on(&["yard"], Timestamp::now()));
        // What came before, and is taken only now, belongs to it.
        assert!(short.is_on(&["yard"], Timestamp::from_nanoseconds(0)));
    }

    #[test]
    fn a_file_that_is_made_or_touched_is_an_event_and_one_that_is_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alarm");
        let mut triggers = Triggers::new(None, Some(&path)).unwrap();
        let looked = |triggers: &mut Triggers| {
            let events = Events::new(LONG);
            triggers.look(&events);
            events.is_on(&["door"], Timestamp::now())
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
        assert!(!events.is_on(&["door"], Timestamp::now()));
        let mut second = File::options().write(true).open(&path).unwrap();
        second.write_all(b"or\n").unwrap();
        drop(second);
        triggers.look(&events);
        assert!(
            events.is_on(&["door"], Timestamp::now()) && !events.is_on(&["yard"], Timestamp::now())
        );
        std::fs::write(&path, "\n").unwrap();
        triggers.look(&events);
        assert!(events.is_on(&["yard"], Timestamp::now()));
    }

    #[test]
    fn names_that_no_camera_has_are_told_once_with_those_that_there_are() {
        let (line, events) = (&mut Vec::new(), Events::new(LONG));
        let mut write = |bytes: &[u8]| {
            bytes
                .iter()
                .for_each(|byte| take_byte(line, *byte, &events));
            events.take_notices()
        };
        assert_eq!(
            write(b"door\n"),
            ["--on-trigger: no camera is called \"door\"; none is there yet"]
        );
        events.meet(&["door", "SHA256:x"]);
        events.meet(&["yard"]);
        assert!(events.is_on(&["door"], Timestamp::now()), "it came in time");
        assert!(write(b"door\n\nSHA256:x\n yard \n").is_empty());
        assert_eq!(
            write(b"dor\nyrd\ndor\n\xff\x1b[2J\ndor\n"),
            ["dor", "yrd", "\u{fffd}\u{1b}[2J"].map(|name| format!(
                "--on-trigger: no camera is called {name:?}; there are door, yard"
            ))
        );
        for n in 0..10 {
            events.meet(&[&format!("gate-{n}")]);
        }
        let told = write(&[&[b'x'; 1 << 20][..], b"\n"].concat());
        assert_eq!(
            told,
            [format!(
                "--on-trigger: no camera is called \"{}…\"; there are door, {}, gate-6 and 4 more",
                "x".repeat(64),
                (0..6)
                    .map(|n| format!("gate-{n}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )]
        );
    }

    #[test]
    fn nonsense_takes_little_memory_and_keeps_no_event_from_happening() {
        let events = Events::new(LONG);
        events.meet(&["door"]);
        for n in 0..10_000 {
            events.happen(Some(&n.to_string()));
        }
        assert_eq!(events.happened().last.len(), KEPT_MOST);
        assert_eq!(events.take_notices().len(), TOLD_MOST);
        events.happen(Some("door"));
        assert!(events.is_on(&["door"], Timestamp::now()));
        assert!(!events.is_on(&["yard"], Timestamp::now()));
    }

    #[test]
    fn nonsense_is_forgotten_when_its_time_is_over() {
        let events = Events::new(Duration::from_millis(1));
        for n in 0..KEPT_MOST {
            events.happen(Some(&n.to_string()));
        }
        std::thread::sleep(Duration::from_millis(5));
        let before = events.count();
        events.happen(Some("door"));
        assert_eq!(events.count(), before + 1);
        assert_eq!(events.happened().last.len(), 1);
    }

    #[test]
    fn a_signal_is_an_event_once() {
        let signals = Arc::new(AtomicUsize::new(3));
        let mut triggers = Triggers::new(Some(Arc::clone(&signals)), None).unwrap();
        let events = Events::new(LONG);
        triggers.look(&events);
        assert!(events.is_on(&["door"], Timestamp::now()));
        let events = Events::new(LONG);
        triggers.look(&events);
        assert!(!events.is_on(&["door"], Timestamp::now()));
    }
}
