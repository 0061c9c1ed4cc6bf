//! One camera, followed through everything that happens to it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdvr_frame::{FrameNumber, InstanceId, StreamState, Timestamp};
use sdvr_ring::{
    FrameMeta, FrameWords, ReadError, RingInfo, RingName, RingReader, RingWatch, Wait,
};

use crate::error::Error;
use crate::frame::{About, Frame};
use crate::place::{self, Found, Wanted};

/// How often a ring that is not there is looked for, besides being told.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Which frames are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The newest one, always. What a slow program has no time for is skipped.
    #[default]
    Latest,
    /// All, in order, as far as they have not been overwritten.
    Every,
    /// The newest one at which decoding can begin.
    KeyFrames,
}

/// Where reading begins when a camera is opened that streams already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the next frame; for H.264 and H.265 with the newest key frame, which is there already.
    #[default]
    Now,
    /// With the oldest frame that is still there.
    Oldest,
}

/// A camera's frames.
///
/// ```no_run
/// use std::time::Duration;
/// use sdvr::{Camera, Policy};
///
/// let mut camera = Camera::open("front-door")?;
/// match camera.next(Policy::Every, Duration::from_secs(1))? {
///     Some(frame) => println!("{} bytes", frame.bytes().len()),
///     None => println!("nothing for a second; the camera is {}", camera.state()),
/// }
/// # Ok::<(), sdvr::Error>(())
/// ```
#[derive(Debug)]
pub struct Camera {
    wanted: Wanted,
    start: Start,
    ring: Ring,
    last: Option<(InstanceId, FrameNumber)>,
    /// Frames that were overwritten unread since the last one that was handed out.
    overwritten: u64,
    /// Says when directories change, while a ring is waited for.
    watch: Option<RingWatch>,
}

/// The ring of the camera.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a camera, and it is rarely moved"
)]
enum Ring {
    /// It is read.
    Open(OpenRing),
    /// It is not there (any more); looked for from time to time.
    Gone {
        /// Its name, if it had one.
        known: Option<(PathBuf, RingName)>,
        state: StreamState,
        /// The run whose ring has ended, and may still be there for a moment.
        ended: Option<InstanceId>,
    },
}

#[derive(Debug)]
struct OpenRing {
    directory: PathBuf,
    name: RingName,
    reader: RingReader,
    /// The next frame to look at, by the ring's count.
    next: u64,
    /// Whether the end was told.
    end_was_told: bool,
}

/// A frame to read, or what to do instead.
enum Target {
    Read(u64),
    WaitFor(u64),
}

impl Camera {
    /// Opens a camera by its label, its fingerprint or the name of its file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] names those that are there; [`Self::wait_for`] waits instead.
    pub fn open(camera: &str) -> Result<Self, Error> {
        Self::open_at(camera, Start::Now)
    }

    /// Opens a camera and chooses where reading begins.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_at(camera: &str, start: Start) -> Result<Self, Error> {
        Self::open_wanted(Wanted::new(camera), start)
    }

    /// As [`Self::open_at`], in a directory that is not one of the usual ones.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_in(directory: &Path, camera: &str, start: Start) -> Result<Self, Error> {
        Self::open_wanted(Wanted::new_in(directory, camera), start)
    }

    fn open_wanted(wanted: Wanted, start: Start) -> Result<Self, Error> {
        let found = place::find(&wanted)?;
        let ring = Ring::Open(OpenRing::new(found, start, None));
        Ok(Self {
            wanted,
            start,
            ring,
            last: None,
            overwritten: 0,
            watch: None,
        })
    }

    /// A camera that may not be there yet: the first call for a frame waits for it, and begins with its first frame.
    #[must_use]
    pub fn wait_for(camera: &str) -> Self {
        Self::wait_for_wanted(Wanted::new(camera))
    }

    /// As [`Self::wait_for`], in a directory that is not one of the usual ones.
    #[must_use]
    pub fn wait_for_in(directory: &Path, camera: &str) -> Self {
        Self::wait_for_wanted(Wanted::new_in(directory, camera))
    }

    fn wait_for_wanted(wanted: Wanted) -> Self {
        // Before looking, so that nothing comes unseen in between.
        let watch = Some(RingWatch::new(&wanted.likely_directory()));
        let (ring, start) = match place::find(&wanted) {
            Ok(found) if found.may_go_on() => (
                Ring::Open(OpenRing::new(found, Start::Now, None)),
                Start::Now,
            ),
            // What has ended before is not what is waited for.
            found => {
                let ended = found.ok().map(|found| found.reader.info().instance);
                (
                    Ring::Gone {
                        known: None,
                        state: StreamState::Lost,
                        ended,
                    },
                    Start::Oldest,
                )
            }
        };
        Self {
            wanted,
            start,
            ring,
            last: None,
            overwritten: 0,
            watch,
        }
    }

    /// How the camera is doing. [`StreamState::Lost`] also while its daemon is not there.
    #[must_use]
    pub fn state(&self) -> StreamState {
        match &self.ring {
            Ring::Open(ring) if ring.reader.state().is_final() || ring.reader.writer_lives() => {
                ring.reader.state()
            }
            Ring::Open(_) => StreamState::Lost,
            Ring::Gone { state, .. } => *state,
        }
    }

    /// What its stream is; `None` while it is not there.
    #[must_use]
    pub fn info(&self) -> Option<&RingInfo> {
        match &self.ring {
            Ring::Open(ring) => Some(ring.reader.info()),
            Ring::Gone { .. } => None,
        }
    }

    /// The next frame that `policy` wants; waits for it at most `timeout`. `None` when none came. Copies the frame once.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] once when the camera says that it ends; the next call waits for it to come back.
    pub fn next(&mut self, policy: Policy, timeout: Duration) -> Result<Option<Frame>, Error> {
        let mut bytes = Vec::new();
        let about = self.next_with(policy, timeout, |_, words| words.copy_into(&mut bytes))?;
        Ok(about.map(|(about, ())| Frame { bytes, about }))
    }

    /// As [`Self::next`], into the memory of a frame that is not needed any more. False when none came; `frame` then holds
    /// nothing of use.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_into(
        &mut self,
        policy: Policy,
        timeout: Duration,
        frame: &mut Frame,
    ) -> Result<bool, Error> {
        let bytes = &mut frame.bytes;
        match self.next_with(policy, timeout, |_, words| words.copy_into(bytes))? {
            Some((about, ())) => {
                frame.about = about;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The next frame where it lies, without a copy: `look` sees it, and what `look` returns is given back only if the frame
    /// was not overwritten meanwhile. `look` may be called again for another frame, and must bear to see a mixture of two.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_in_place<T>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(FrameMeta, T)>, Error> {
        Ok(self
            .next_with(policy, timeout, look)?
            .map(|(about, seen)| (about.meta, seen)))
    }

    /// All frames that `policy` wants, for ever: through the camera's ends and returns. Blocks while there is none.
    pub const fn frames(&mut self, policy: Policy) -> Frames<'_> {
        Frames {
            camera: self,
            policy,
            ends: false,
        }
    }

    /// The label, or what the camera was opened by while it is not there.
    #[must_use]
    pub fn label(&self) -> &str {
        self.info()
            .map_or_else(|| self.wanted.text(), |info| info.label.as_str())
    }

    /// After [`Error::Ended`]: how many frames at the end were overwritten, or given up by the daemon, before they were read
    /// here. No later frame tells of them.
    #[must_use]
    pub const fn missed_at_end(&self) -> u64 {
        self.overwritten
    }

    fn next_with<T>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        mut look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(About, T)>, Error> {
        let deadline = Timestamp::now() + timeout;
        loop {
            let Ring::Open(ring) = &mut self.ring else {
                if !self.look_for_ring(deadline) {
                    return Ok(None);
                }
                continue;
            };
            let n = match ring.target(policy) {
                Target::Read(n) => n,
                Target::WaitFor(n) => match ring.wait(n, deadline)? {
                    Waited::GoOn => continue,
                    Waited::TimedOut => return Ok(None),
                    Waited::Gone => {
                        self.ring_is_gone();
                        continue;
                    }
                },
            };
            match ring.reader.with_words(n, &mut look) {
                Ok((meta, seen)) => {
                    ring.next = n + 1;
                    let info = ring.reader.info();
                    let about = About {
                        meta,
                        format: info.format,
                        instance: info.instance,
                        missed: missed(self.last, info.instance, meta.number),
                        realtime_offset_ns: info.realtime_offset_ns,
                    };
                    self.last = Some((info.instance, meta.number));
                    self.overwritten = 0;
                    return Ok(Some((about, seen)));
                }
                Err(ReadError::Lapped) => {
                    let next = ring.reader.oldest().max(n + 1);
                    self.overwritten = self.overwritten.saturating_add(next - n);
                    ring.next = next;
                }
                Err(ReadError::NotYet) => ring.next = n,
                Err(ReadError::Corrupt) => {
                    return Err(Error::Unusable("the ring is corrupt".to_owned()));
                }
            }
        }
    }

    /// The ring has no writer, or lost its name: look for the one that comes after it.
    fn ring_is_gone(&mut self) {
        if let Ring::Open(ring) = &self.ring {
            let is_closed = ring.reader.state() == StreamState::Closed;
            self.watch = Some(RingWatch::new(&ring.directory));
            self.ring = Ring::Gone {
                known: Some((ring.directory.clone(), ring.name.clone())),
                state: if is_closed {
                    StreamState::Closed
                } else {
                    StreamState::Lost
                },
                ended: is_closed.then(|| ring.reader.info().instance),
            };
        }
    }

    /// Looks for the ring; false when the deadline has passed without one.
    fn look_for_ring(&mut self, deadline: Timestamp) -> bool {
        let Ring::Gone { known, ended, .. } = &self.ring else {
            return true;
        };
        let found = match known {
            Some((directory, name)) => place::reopen(directory, name).map(|reader| Found {
                directory: directory.clone(),
                name: name.clone(),
                reader,
            }),
            None => place::find(&self.wanted).ok(),
        };
        // One that came and ended meanwhile is read, too; one that had ended before is not.
        let is_new = |found: &Found| {
            found.reader.writer_lives()
                && (found.may_go_on() || Some(found.reader.info().instance) != *ended)
        };
        if let Some(found) = found.filter(is_new) {
            // After a gap, what is there is what was missed: begin with the oldest frame that was not seen.
            let start = if known.is_some() {
                Start::Oldest
            } else {
                self.start
            };
            self.ring = Ring::Open(OpenRing::new(found, start, self.last));
            self.watch = None;
            return true;
        }
        let rest = deadline.saturating_since(Timestamp::now());
        if rest.is_zero() {
            return false;
        }
        match &mut self.watch {
            Some(watch) => {
                watch.wait(rest.min(LOOK_INTERVAL));
            }
            None => std::thread::sleep(rest.min(LOOK_INTERVAL)),
        }
        true
    }
}

/// How waiting for a frame ended.
enum Waited {
    GoOn,
    TimedOut,
    Gone,
}

impl OpenRing {
    fn new(found: Found, start: Start, last: Option<(InstanceId, FrameNumber)>) -> Self {
        let Found {
            directory,
            name,
            reader,
        } = found;
        let next = match (start, last) {
            (_, Some((instance, number))) if instance == reader.info().instance => {
                first_after(&reader, number)
            }
            (Start::Oldest, _) => reader.oldest(),
            (Start::Now, _) if reader.info().format.fourcc.is_inter_coded() => {
                reader.last_key().unwrap_or_else(|| reader.head())
            }
            (Start::Now, _) => reader.head(),
        };
        Self {
            directory,
            name,
            reader,
            next,
            end_was_told: false,
        }
    }

    fn target(&self, policy: Policy) -> Target {
        let head = self.reader.head();
        match policy {
            Policy::Every if self.next < head => Target::Read(self.next),
            Policy::Latest if self.next < head => Target::Read(head - 1),
            Policy::KeyFrames => match self.reader.last_key() {
                Some(key) if key >= self.next && key < head => Target::Read(key),
                _ => Target::WaitFor(head),
            },
            Policy::Every | Policy::Latest => Target::WaitFor(self.next),
        }
    }

    fn wait(&mut self, n: u64, deadline: Timestamp) -> Result<Waited, Error> {
        let state = self.reader.state();
        if state.is_final() {
            // The state came after the last frame, which may have come after it was looked for.
            if self.reader.head() > n {
                return Ok(Waited::GoOn);
            }
            if state == StreamState::Closed && !self.end_was_told {
                self.end_was_told = true;
                return Err(Error::Ended);
            }
            return Ok(Waited::Gone);
        }
        Ok(match self.reader.wait(n, state, deadline) {
            Wait::Ready | Wait::StateChanged => Waited::GoOn,
            Wait::Nothing if self.is_over() => Waited::Gone,
            Wait::Nothing if Timestamp::now() >= deadline => Waited::TimedOut,
            Wait::Nothing => Waited::GoOn,
        })
    }

    /// Whether nothing more will come: the daemon is gone, or the ring has lost its name to another.
    fn is_over(&self) -> bool {
        !self.reader.writer_lives() || self.reader.is_replaced() && !self.reader.state().is_final()
    }
}

/// The first frame after the one that was read last, in another ring of the same run.
fn first_after(reader: &RingReader, number: FrameNumber) -> u64 {
    let (oldest, head) = (reader.oldest(), reader.head());
    (oldest..head)
        .find(|&n| reader.meta(n).is_ok_and(|meta| meta.number > number))
        .unwrap_or(head)
}

/// The numbers between the frame before and this one, of the same run.
fn missed(
    last: Option<(InstanceId, FrameNumber)>,
    instance: InstanceId,
    number: FrameNumber,
) -> Range<u64> {
    match last {
        Some((last_instance, last)) if last_instance == instance && last < number => {
            last.0 + 1..number.0
        }
        _ => number.0..number.0,
    }
}

/// An endless series of frames. See [`Camera::frames`].
#[derive(Debug)]
pub struct Frames<'a> {
    camera: &'a mut Camera,
    policy: Policy,
    ends: bool,
}

impl Frames<'_> {
    /// Ends when the camera says that it ends, instead of waiting for it to come back.
    #[must_use]
    pub const fn until_end(mut self) -> Self {
        self.ends = true;
        self
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.camera.next(self.policy, Duration::from_secs(3600)) {
                Ok(Some(frame)) => return Some(Ok(frame)),
                Ok(None) => {}
                Err(Error::Ended) if self.ends => return None,
                Err(Error::Ended) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
