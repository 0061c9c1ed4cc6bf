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
use super::key_request::KeyRequest;
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
/// How often it is looked whether a camera has a twin.
const LOOK_FOR_TWINS: Duration = Duration::from_secs(3);
/// How long a camera may give nothing before that is said, and it is started anew. Longer where its frames are far apart.
const SILENCE: Duration = Duration::from_secs(5);
/// … and how long until it is done again: some cameras wait for something to happen.
const SILENCE_AGAIN: Duration = Duration::from_secs(60);
/// Who may open a new node is decided a moment after it is there: a refusal is said when it has come so often in a row.
const REFUSALS_SAID_FROM: u32 = 4;
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
    key_request: KeyRequest,
    /// Whether a frame was handed out: from then on, all are counted.
    has_begun: bool,
    /// When it is said that it gives nothing.
    speak_by: Timestamp,
    look_for_twins: Timestamp,
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
        /// How many times one after the other it could not be opened by this user.
        refusals: u32,
    },
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
        options.check_no_recording()?;
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
            key_request: KeyRequest::default(),
            has_begun: false,
            speak_by: Timestamp::now() + SILENCE,
            look_for_twins: Timestamp::now() + LOOK_FOR_TWINS,
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
        if !self.key_request.want(now) || capture.force_key_frame() {
            return true;
        }
        self.description.format.fourcc.is_inter_coded()
            && self.key_request.wants_restart(now)
            && self.restart(now)
    }

    /// A server has come back, which has nothing yet: of pictures that build on each other it needs a key frame next, however that is had.
    pub(crate) fn begin_with_key_frame(&mut self, now: Timestamp) {
        let State::Capturing { capture, .. } = &mut self.state else {
            return;
        };
        if self.description.format.fourcc.is_inter_coded()
            && !capture.force_key_frame()
            && self.key_request.wants_restart_for_server(now)
        {
            self.restart(now);
        }
    }

    /// Stops the camera and starts it at once; false when it could not be. What it had captured is counted, and not handed out.
    fn restart(&mut self, now: Timestamp) -> bool {
        let State::Capturing { capture, first, .. } = &mut self.state else {
            return false;
        };
        // Its buffer will be filled anew.
        *first = None;
        match capture.restart(&mut self.numbering) {
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
            self.key_request.fulfilled();
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
        self.speak_by = now + self.silence();
        let State::Capturing { capture, .. } = &mut self.state else {
            return;
        };
        let begun = if self.description.format.fourcc.is_inter_coded() {
            capture.restart(&mut self.numbering)
        } else {
            capture.drain()
        };
        self.numbering = Numbering::new(self.options.every_nth);
        if let Err(error) = begun {
            self.leave(now, error);
        }
    }

    /// How long it may give nothing.
    fn silence(&self) -> Duration {
        const FRAMES: u32 = 10;
        let interval_ns = self.description.format.rate.interval_ns().unwrap_or(0);
        SILENCE.max(Duration::from_nanos(interval_ns) * FRAMES)
    }

    /// It has given nothing for long: that is said, and it is started anew. Some drivers hang.
    fn handle_silence(&mut self, now: Timestamp) {
        self.say(Notice::Silent(self.path.clone()));
        self.restart(now);
        self.speak_by = now + SILENCE_AGAIN;
    }

    /// The next frame, if the camera is there and has one.
    fn advance(&mut self, now: Timestamp) -> Option<Ready> {
        if let State::Away { look_again, .. } = &self.state {
            if now < *look_again {
                return None;
            }
            self.look(now);
        }
        let silence = self.silence();
        let State::Capturing {
            capture,
            look_again,
            ..
        } = &mut self.state
        else {
            return None;
        };
        if now > *look_again + WATCH {
            // Nobody has looked for a while.
            self.speak_by = now + silence;
        }
        *look_again = now + WATCH;
        if now >= self.look_for_twins {
            self.look_for_twins = now + LOOK_FOR_TWINS;
            self.search.look_for_twins();
        }
        match capture.next(&mut self.numbering) {
            Ok(Ok(ready)) => {
                self.speak_by = now + silence;
                if self.description.first_frame_bytes == 0 {
                    self.description.first_frame_bytes = capture.payload(&ready).len();
                }
                Some(ready)
            }
            Ok(Err(Nothing::Yet)) => {
                if now >= self.speak_by {
                    self.handle_silence(now);
                }
                None
            }
            Ok(Err(Nothing::SourceChanged)) => {
                let wait = self.note_end(now);
                self.go_away(now + wait);
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
        let wait = self.note_end(now);
        if self.is_told() {
            let reason = std::io::Error::from(error).to_string();
            self.say(Notice::Gone {
                path: self.path.clone(),
                reason,
            });
        }
        self.go_away(now + wait);
    }

    fn go_away(&mut self, look_again: Timestamp) {
        self.state = State::Away {
            look_again,
            problem: None,
            refusals: 0,
        };
    }

    /// A run of the camera is over; gives how long it is to be left alone: a little, if it was a brief one.
    fn note_end(&mut self, now: Timestamp) -> Duration {
        let is_brief = match &self.state {
            State::Capturing { capture, .. } => now < capture.started() + BRIEF,
            State::Away { .. } => true,
        };
        if is_brief {
            self.brief_runs = self.brief_runs.saturating_add(1);
            BRIEF_WAIT
        } else {
            self.brief_runs = 0;
            Duration::ZERO
        }
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
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        let State::Away {
            look_again,
            problem: said,
            refusals,
        } = &mut self.state
        else {
            return;
        };
        *look_again = now + LOOK_AGAIN;
        let is_refused = matches!(problem, Some(DeviceError::Permission { .. }));
        *refusals = if is_refused {
            refusals.saturating_add(1)
        } else {
            0
        };
        let Some(problem) = problem.map(|problem| problem.to_string()) else {
            return;
        };
        if said.as_ref() != Some(&problem) && (!is_refused || *refusals >= REFUSALS_SAID_FROM) {
            *said = Some(problem.clone());
            self.notices.push_back(Notice::Unusable(problem));
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
        self.key_request.fulfilled();
        self.speak_by = now + self.silence();
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
