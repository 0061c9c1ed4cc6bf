//! One camera, gone and back: while it is away it is looked for by its stable name, under whatever node it comes back.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use sdvr_frame::{FrameFlags, FrameRate, StreamFormat, Timestamp};

use super::capture::{Capture, Nothing, Ready};
use super::choice::Asked;
use super::error::{DeviceError, missing};
use super::notice::Notice;
use super::numbering::Numbering;
use super::search::Search;
use crate::error::SourceError;
use crate::source::{CapturedFrame, Next, SourceDescription};
use crate::spec::CaptureOptions;

/// How often a camera that is away is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// A camera that stops sooner after it was started is left alone a little, and not every time is told of.
const BRIEF: Duration = Duration::from_secs(2);
const BRIEF_WAIT: Duration = Duration::from_secs(1);
/// How long nothing is waited for at a camera that is silent: not every driver wakes who waits for it when it is unplugged.
const WATCH: Duration = Duration::from_millis(500);
/// A first frame that has waited longer for a server is not sent, where nobody knows when the next one comes.
const STALE: Duration = Duration::from_millis(250);
/// Encoders are not asked for key frames more often.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(500);
/// How long a key frame is waited for before a camera that cannot be asked for one is stopped and started: its first frame is one.
const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(1);
/// … and how long after that, until it is done again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// What nobody takes is not kept for ever.
const NOTICES_MOST: usize = 16;

/// A camera as a source of frames.
#[derive(Debug)]
pub(crate) struct Camera {
    path: PathBuf,
    search: Search,
    options: CaptureOptions,
    state: State,
    numbering: Numbering,
    description: Described,
    notices: VecDeque<Notice>,
    key_request: Option<KeyRequest>,
    /// Whether a frame was handed out: from then on, all are counted.
    has_begun: bool,
    /// How many times one after the other it stopped soon after it was started.
    brief_runs: u32,
}

#[derive(Debug)]
enum State {
    /// It captures; perhaps the first frame is here.
    Capturing {
        capture: Box<Capture>,
        first: Option<Ready>,
        look_again: Timestamp,
    },
    /// It is gone.
    Away {
        look_again: Timestamp,
        /// What was said of it last.
        problem: Option<String>,
    },
}

/// A key frame is wanted, and has not come.
#[derive(Clone, Copy, Debug)]
struct KeyRequest {
    asked: Timestamp,
    /// When the camera is stopped and started for it.
    restart_at: Timestamp,
}

/// What is said of the frames.
#[derive(Clone, Debug)]
struct Described {
    format: StreamFormat,
    frame_bytes: Option<usize>,
    first_frame_bytes: usize,
    /// It has become different, and nobody was told.
    is_news: bool,
}

impl Camera {
    pub(crate) fn open(path: &Path, options: &CaptureOptions) -> Result<Self, SourceError> {
        if options.looped {
            return Err(SourceError::Options(
                "--loop needs a file; a camera has no end",
            ));
        }
        if !path.exists() {
            return Err(missing(path).into());
        }
        let mut notices = Vec::new();
        let capture = Capture::start(path, &asked(options), &options.controls, &mut notices)?;
        if options.every_nth > 1 && capture.format().fourcc.is_inter_coded() {
            return Err(SourceError::Options(
                "-x cannot thin out H.264 or H.265: every frame is needed to decode the next",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            search: Search::of(path),
            options: options.clone(),
            numbering: Numbering::new(options.every_nth),
            description: Described {
                format: *capture.format(),
                frame_bytes: capture.frame_bytes(),
                first_frame_bytes: 0,
                is_news: false,
            },
            state: State::Capturing {
                capture: Box::new(capture),
                first: None,
                look_again: Timestamp::now() + WATCH,
            },
            notices: notices.into(),
            key_request: None,
            has_begun: false,
            brief_runs: 0,
        })
    }

    pub(crate) fn description(&self) -> Option<SourceDescription> {
        let Described {
            mut format,
            frame_bytes,
            first_frame_bytes,
            ..
        } = self.description;
        if frame_bytes.is_none() && first_frame_bytes == 0 {
            return None;
        }
        format.rate = self.options.announced(format.rate);
        Some(SourceDescription {
            format,
            extradata: Vec::new(),
            frame_bytes,
            first_frame_bytes: frame_bytes.unwrap_or(first_frame_bytes),
        })
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Capturing {
                capture,
                first: None,
                ..
            } => Some(capture.descriptor()),
            State::Capturing { .. } | State::Away { .. } => None,
        }
    }

    pub(crate) const fn due(&self) -> Timestamp {
        match &self.state {
            State::Capturing { first: Some(_), .. } => Timestamp::from_nanoseconds(i64::MIN),
            State::Capturing { look_again, .. } | State::Away { look_again, .. } => *look_again,
        }
    }

    pub(crate) fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Asks the encoder for a key frame, if it can be asked and was not a moment ago. One that cannot is waited for, then started anew.
    pub(crate) fn force_key_frame(&mut self, now: Timestamp) -> bool {
        let State::Capturing { capture, .. } = &mut self.state else {
            return false;
        };
        let request = self.key_request.get_or_insert(KeyRequest {
            asked: now - KEY_FRAME_PAUSE,
            restart_at: now + KEY_FRAME_PATIENCE,
        });
        if now < request.asked + KEY_FRAME_PAUSE {
            return true;
        }
        request.asked = now;
        if capture.force_key_frame() {
            return true;
        }
        if !self.description.format.fourcc.is_inter_coded() || now < request.restart_at {
            return false;
        }
        request.restart_at = now + RESTART_PAUSE;
        self.restart(now)
    }

    /// Stops the camera and starts it at once; false when it could not be.
    fn restart(&mut self, now: Timestamp) -> bool {
        let State::Capturing { capture, .. } = &mut self.state else {
            return false;
        };
        self.numbering.restart();
        match capture.restart() {
            Ok(()) => true,
            Err(error) => {
                self.leave(now, error);
                false
            }
        }
    }

    /// Waits for the first frame, which is kept; false when it has not come.
    pub(crate) fn prepare(&mut self, now: Timestamp) -> bool {
        if matches!(self.state, State::Capturing { first: Some(_), .. }) {
            return true;
        }
        let Some(ready) = self.advance(now) else {
            return false;
        };
        if let State::Capturing { first, .. } = &mut self.state {
            *first = Some(ready);
        }
        self.description.is_news = false;
        true
    }

    pub(crate) fn try_next(&mut self, now: Timestamp) -> Next<'_> {
        let first = match &mut self.state {
            State::Capturing { first, .. } => first.take(),
            State::Away { .. } => None,
        };
        let is_unused = !self.has_begun;
        let ready = match first {
            Some(ready) if is_unused && now.saturating_since(ready.captured) > self.stale() => {
                self.begin_anew(now);
                None
            }
            Some(ready) => Some(ready),
            None => None,
        };
        let Some(ready) = ready.or_else(|| self.advance(now)) else {
            return Next::NotYet;
        };
        if std::mem::take(&mut self.description.is_news) {
            // The frame comes with the next call.
            if let State::Capturing { first, .. } = &mut self.state {
                *first = Some(ready);
            }
            return Next::Changed;
        }
        let State::Capturing { capture, .. } = &self.state else {
            return Next::NotYet;
        };
        self.has_begun = true;
        if ready.flags.contains(FrameFlags::KEY) {
            self.key_request = None;
        }
        Next::Frame(CapturedFrame {
            number: ready.number,
            captured: ready.captured,
            flags: ready.flags,
            payload: capture.payload(&ready),
        })
    }

    /// After how long a first frame is too old: the driver has run out of buffers, or soon will.
    fn stale(&self) -> Duration {
        let interval_ns = self.description.format.rate.interval_ns();
        interval_ns.map_or(STALE, |interval_ns| {
            Duration::from_nanos(interval_ns) * 3 / 2
        })
    }

    /// Nobody had a use for the frames up to now: they are not counted. Of pictures that build on each other, the first is needed.
    fn begin_anew(&mut self, now: Timestamp) {
        self.numbering = Numbering::new(self.options.every_nth);
        if self.description.format.fourcc.is_inter_coded() {
            self.restart(now);
            return;
        }
        let State::Capturing { capture, .. } = &mut self.state else {
            return;
        };
        if let Err(error) = capture.drain() {
            self.leave(now, error);
        }
    }

    /// The next frame, if the camera is there and has one.
    fn advance(&mut self, now: Timestamp) -> Option<Ready> {
        if let State::Away { look_again, .. } = &self.state {
            if now < *look_again {
                return None;
            }
            self.look(now);
        }
        let State::Capturing {
            capture,
            look_again,
            ..
        } = &mut self.state
        else {
            return None;
        };
        *look_again = now + WATCH;
        match capture.next(&mut self.numbering) {
            Ok(Ok(ready)) => {
                if self.description.first_frame_bytes == 0 {
                    self.description.first_frame_bytes = capture.payload(&ready).len();
                }
                Some(ready)
            }
            Ok(Err(Nothing::Yet)) => None,
            Ok(Err(Nothing::SourceChanged)) => {
                self.state = State::Away {
                    look_again: now,
                    problem: None,
                };
                None
            }
            Err(error) => {
                self.leave(now, error);
                None
            }
        }
    }

    /// The device gives no more frames as it is. It is closed, so that it can go, and looked for at once: it may only have to be started again.
    fn leave(&mut self, now: Timestamp, error: Errno) {
        let is_brief = match &self.state {
            State::Capturing { capture, .. } => now < capture.started() + BRIEF,
            State::Away { .. } => true,
        };
        self.brief_runs = if is_brief {
            self.brief_runs.saturating_add(1)
        } else {
            0
        };
        if self.is_told() {
            let reason = std::io::Error::from(error).to_string();
            self.say(Notice::Gone {
                path: self.path.clone(),
                reason,
            });
        }
        self.state = State::Away {
            look_again: if is_brief { now + BRIEF_WAIT } else { now },
            problem: None,
        };
    }

    /// Whether what happens is worth a line: of a camera that fails again and again, ever fewer times are.
    const fn is_told(&self) -> bool {
        self.brief_runs == 0 || self.brief_runs.is_power_of_two()
    }

    /// Looks for the camera, first where it was.
    fn look(&mut self, now: Timestamp) {
        let mut problem = None;
        for node in self.search.nodes(&self.path) {
            let mut notices = Vec::new();
            let controls = &self.options.controls;
            match Capture::start(&node, &asked(&self.options), controls, &mut notices) {
                Ok(capture) => return self.back(now, node, capture, notices),
                // Another node of the same hardware.
                Err(DeviceError::NotACamera { .. }) => {}
                Err(error) => problem = problem.or_else(|| Some(error.to_string())),
            }
        }
        let State::Away {
            look_again,
            problem: said,
        } = &mut self.state
        else {
            return;
        };
        *look_again = now + LOOK_AGAIN;
        if problem.is_some() && *said != problem {
            said.clone_from(&problem);
            self.notices.extend(problem.map(Notice::Unusable));
        }
    }

    fn back(&mut self, now: Timestamp, node: PathBuf, capture: Capture, notices: Vec<Notice>) {
        if self.is_told() {
            for notice in notices {
                self.say(notice);
            }
        }
        let described = &mut self.description;
        let is_same =
            described.format == *capture.format() && described.frame_bytes == capture.frame_bytes();
        if !is_same {
            described.is_news = true;
            described.format = *capture.format();
            described.frame_bytes = capture.frame_bytes();
            described.first_frame_bytes = 0;
            let format = described.format;
            self.say(Notice::Changed(format));
        }
        self.search.found(&node);
        self.path = node;
        self.numbering.restart();
        self.key_request = None;
        self.state = State::Capturing {
            capture: Box::new(capture),
            first: None,
            look_again: now,
        };
    }

    fn say(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES_MOST {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }
}

fn asked(options: &CaptureOptions) -> Asked {
    Asked {
        fourcc: options.fourcc,
        size: options.size,
        rate: options.rate.filter(|rate| *rate != FrameRate::UNPACED),
    }
}
