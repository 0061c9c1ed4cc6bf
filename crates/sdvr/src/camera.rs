//! One camera, followed through everything that happens to it.

mod frames;
mod open_ring;
mod search;
mod taking;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sdvr_frame::{FrameNumber, InstanceId, StreamState, Timestamp};
use sdvr_ring::{FrameMeta, FrameWords, ReadError, RingInfo, RingName, RingReader, RingWatch};

use self::open_ring::{Begin, OpenRing, Target, Waited};
use crate::account::Account;
use crate::each::Stay;
use crate::error::Error;
use crate::frame::About;
use crate::place::{self, Found, Listed, Wanted};
use crate::ready::Readiness;

use self::search::LOOK_INTERVAL;
pub use frames::Frames;
#[cfg(feature = "decode")]
pub(crate) use frames::{LONG, next_of_all};
pub(crate) use search::Awaits;

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
    ring: Ring,
    account: Account,
    /// Says when directories change, while a ring is waited for.
    watch: Option<RingWatch>,
    /// When all rings may be looked through again.
    next_search: Timestamp,
    /// Of the descriptor that tells when there is something to say, if there is one.
    pub(crate) readiness: Weak<Readiness>,
    /// Whether somebody else looks through all rings for it, who does that for many cameras at once.
    pub(crate) is_sought_elsewhere: bool,
    /// Until when it is somebody's to work with, if it was given for a time.
    stay: Option<Arc<Stay>>,
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

impl Camera {
    /// Opens a camera by its label, its fingerprint or the name of its file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] names those that are there; [`Self::wait_for`] waits instead. [`Error::Ambiguous`] when this user's daemon has no such camera
    /// and several others' have.
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
        Self::open_with(wanted, start, Account::default())
    }

    /// A camera by its directory and the name of its file, for the time of a stay: after the frame that was taken last in an earlier one,
    /// if that was of the same run.
    pub(crate) fn open_for(
        (directory, name): (&Path, &str),
        start: Start,
        last: Option<(InstanceId, FrameNumber)>,
        stay: Arc<Stay>,
    ) -> Result<Self, Error> {
        let wanted = Wanted::new_in(directory, name);
        Ok(Self {
            stay: Some(stay),
            ..Self::open_with(wanted, start, Account::after(last))?
        })
    }

    /// As [`Self::open`] and [`Self::open_in`], for one of many cameras: not all rings are opened for each.
    pub(crate) fn open_listed(wanted: Wanted, listed: &mut Listed) -> Result<Self, Error> {
        let found = match listed.find(&wanted)?.into_iter().next() {
            Some(found) => found,
            // It may have come meanwhile; else the error names those that are there.
            None => place::find(&wanted)?,
        };
        Ok(Self::of_found(
            wanted,
            found,
            Start::Now,
            Account::default(),
        ))
    }

    fn open_with(wanted: Wanted, start: Start, account: Account) -> Result<Self, Error> {
        let found = place::find(&wanted)?;
        Ok(Self::of_found(wanted, found, start, account))
    }

    fn of_found(wanted: Wanted, found: Found, start: Start, mut account: Account) -> Self {
        let begin = Begin::Chosen(start);
        let ring = Ring::Open(OpenRing::new(found, begin, &mut account));
        Self {
            wanted,
            ring,
            account,
            watch: None,
            next_search: Timestamp::now(),
            readiness: Weak::new(),
            is_sought_elsewhere: false,
            stay: None,
        }
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
        let mut account = Account::default();
        let ring = match place::find(&wanted) {
            Ok(found) if found.may_go_on() => {
                let begin = Begin::Chosen(Start::Now);
                Ring::Open(OpenRing::new(found, begin, &mut account))
            }
            // What has ended before is not what is waited for.
            found => Ring::Gone {
                known: None,
                state: StreamState::Lost,
                ended: found.ok().map(|found| found.reader.info().instance),
            },
        };
        Self {
            wanted,
            ring,
            account,
            watch: None,
            next_search: Timestamp::now(),
            readiness: Weak::new(),
            is_sought_elsewhere: false,
            stay: None,
        }
    }

    /// How the camera is doing. [`StreamState::Lost`] also while its daemon is not there.
    #[must_use]
    pub fn state(&self) -> StreamState {
        match &self.ring {
            Ring::Open(ring) => place::state_of(&ring.reader),
            Ring::Gone { state, .. } => *state,
        }
    }

    /// How many frames were captured and did not arrive at the daemon, since its ring was made; 0 while the camera is not there.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.reader().map_or(0, RingReader::frames_lost)
    }

    /// Waits until the camera is there, at most `timeout`, and takes no frame: then [`Self::info`] tells what its stream is. False when it did not
    /// come; true at once while a ring of it is open, also one that has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Ambiguous`], as [`Self::next`].
    pub fn wait_until_there(&mut self, timeout: Duration) -> Result<bool, Error> {
        let deadline = Timestamp::now() + timeout;
        while self.info().is_none() {
            if !self.look_for_ring(deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What its stream is; `None` while it is not there.
    #[must_use]
    pub fn info(&self) -> Option<&RingInfo> {
        match &self.ring {
            Ring::Open(ring) => Some(ring.reader.info()),
            Ring::Gone { .. } => None,
        }
    }

    /// All frames that `policy` wants, for ever: through the camera's ends and returns, as [`Self::next`] tells, but that
    /// [`Error::Ended`] is not given; [`Frame::missed_between_runs`](crate::Frame::missed_between_runs) has what was missed there. Blocks while there is none. Ends when a camera that
    /// [`crate::for_each_camera`] gave has gone, after its last frame.
    pub const fn frames(&mut self, policy: Policy) -> Frames<'_> {
        Frames {
            camera: self,
            policy,
            ends: false,
        }
    }

    /// Whether a camera that [`crate::for_each_camera`] gave has gone, or the work is to stop: take the frames that are left, and return. False for
    /// every other camera; [`Self::state`] tells how it is.
    #[must_use]
    pub fn has_gone(&self) -> bool {
        self.stay.as_ref().is_some_and(|stay| stay.over().is_some())
    }

    /// The label, or what the camera was opened by while it is not there.
    #[must_use]
    pub fn label(&self) -> &str {
        self.info()
            .map_or_else(|| self.wanted.text(), |info| info.label.as_str())
    }

    /// How many frames of runs and rings that have ended were published and not handed out, and no frame has told of yet: for a program
    /// that stops here, such as after [`Error::Ended`]. They were overwritten or given up by the daemon before they were read, or not
    /// wanted by the policy. The next frame tells of them again, in [`Frame::missed`](crate::Frame::missed) if it is of the same run, else in
    /// [`Frame::missed_between_runs`](crate::Frame::missed_between_runs).
    #[must_use]
    pub const fn missed_at_end(&self) -> u64 {
        self.account.untold()
    }

    /// The ring that is read, if it is there.
    pub(crate) const fn reader(&self) -> Option<&RingReader> {
        match &self.ring {
            Ring::Open(ring) => Some(&ring.reader),
            Ring::Gone { .. } => None,
        }
    }

    /// Whether frames are there that were not read: the next call need not wait.
    #[cfg(feature = "decode")]
    pub(crate) fn has_more(&self) -> bool {
        matches!(&self.ring, Ring::Open(ring) if ring.next < ring.reader.head())
    }

    /// Goes on at the newest key frame, if there is one that was not read.
    #[cfg(feature = "decode")]
    pub(crate) fn skip_to_newest_key(&mut self) {
        if let Ring::Open(ring) = &mut self.ring
            && let Some(key) = ring.reader.last_key()
            && key < ring.reader.head()
        {
            ring.next = ring.next.max(key);
        }
    }

    pub(crate) fn next_with<T>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(About, T)>, Error> {
        let next = self.wait_while_there(policy, timeout, look);
        if let Some(stay) = &self.stay {
            match &next {
                Ok(Some((about, _))) => stay.took(about.instance, about.meta.number),
                Err(Error::Ended) => stay.has_ended(),
                _ => {}
            }
        }
        let next = next?;
        if next.is_none()
            && let Some(readiness) = self.readiness.upgrade()
        {
            readiness.arm(self.awaits(policy));
        }
        Ok(next)
    }

    /// As [`Self::wait_with`]; when the camera has gone that was given for a time, what is left and no more.
    fn wait_while_there<T>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        mut look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(About, T)>, Error> {
        let deadline = Timestamp::now() + timeout;
        let Some(stay) = self.stay.clone() else {
            return self.wait_with(policy, deadline, None, look);
        };
        loop {
            // Before the frame is looked for, so that the last one is not missed.
            let over = if self.is_sought_elsewhere {
                // A group asks without waiting, and is told of frames whoever they are for.
                None
            } else {
                stay.over()
            };
            let now = Timestamp::now();
            let until = match over {
                Some(_) => now,
                None => deadline.min(now + LOOK_INTERVAL),
            };
            let next = self.wait_with(policy, until, over, &mut look)?;
            if next.is_some() || over.is_some() || now >= deadline {
                return Ok(next);
            }
        }
    }

    /// The next frame, unless it was published later than `newest`: work that is to stop would else never see the end of a camera that is faster than it.
    fn wait_with<T>(
        &mut self,
        policy: Policy,
        deadline: Timestamp,
        newest: Option<Timestamp>,
        mut look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(About, T)>, Error> {
        loop {
            let Ring::Open(ring) = &mut self.ring else {
                if !self.look_for_ring(deadline)? {
                    return Ok(None);
                }
                continue;
            };
            let n = match ring.target(policy) {
                Target::Read(n) => n,
                Target::WaitFor(n) => match ring.wait(n, deadline) {
                    Waited::GoOn => continue,
                    Waited::Ended => {
                        self.account.end_ring(&ring.progress, &ring.reader);
                        return Err(Error::Ended);
                    }
                    Waited::TimedOut => return Ok(None),
                    Waited::Gone => {
                        self.ring_is_gone();
                        continue;
                    }
                },
            };
            if let Some(newest) = newest
                && let Ok(meta) = ring.reader.meta(n)
                && meta.published > newest
            {
                return Ok(None);
            }
            match ring.reader.with_words(n, &mut look) {
                Ok((meta, seen)) => {
                    ring.next = n + 1;
                    let info = ring.reader.info();
                    // What the ring took over and was read in the one before. From the first new frame on the ring is told as it is, in whatever
                    // order its frames are.
                    if ring.handed_out.is_some_and(|last| meta.number <= last) {
                        Account::pass_over(&mut ring.progress, n);
                        continue;
                    }
                    ring.handed_out = None;
                    let about = About {
                        place: n,
                        meta,
                        format: info.format,
                        instance: info.instance,
                        missed: self.account.hand_out(
                            &mut ring.progress,
                            info.instance,
                            n,
                            meta.number,
                        ),
                    };
                    return Ok(Some((about, seen)));
                }
                Err(ReadError::Lapped) => ring.next = ring.reader.oldest().max(n + 1),
                Err(ReadError::NotYet) => ring.next = n,
                Err(ReadError::Corrupt) => {
                    return Err(Error::Unusable("the ring is corrupt".to_owned()));
                }
            }
        }
    }
}
