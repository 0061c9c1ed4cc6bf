//! One place to take frames from, whatever they come from.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sdvr_frame::{FourCc, FrameFlags, FrameNumber, FrameRate, StreamFormat, Timestamp};

use crate::error::SourceError;
use crate::input::{Filled, Input};
use crate::pace::Pace;
use crate::spec::{CaptureOptions, SourceSpec, is_camera_device};
use crate::splitter::{FrameEnd, Jpeg, SplitError, Splitter};
use crate::test_pattern::TestPattern;
use crate::v4l2::{self, Camera, Notice};

/// A source of frames.
#[derive(Debug)]
pub struct Source {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Test(Box<TestPattern>),
    Stream(Box<ByteStream>),
    Camera(Box<Camera>),
}

/// What is known of a source before its first frame is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDescription {
    /// What its frames look like.
    pub format: StreamFormat,
    /// What a decoder needs beforehand.
    pub extradata: Vec<u8>,
    /// How long every frame is, at most, if that is known.
    pub frame_bytes: Option<usize>,
    /// How long the first frame is.
    pub first_frame_bytes: usize,
}

/// One frame, borrowed from its source.
#[derive(Clone, Copy, Debug)]
pub struct CapturedFrame<'a> {
    /// Counts frames captured, handed out or not.
    pub number: FrameNumber,
    /// When, on this host's clock.
    pub captured: Timestamp,
    /// Facts about it.
    pub flags: FrameFlags,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What a source has to give.
#[derive(Debug)]
pub enum Next<'a> {
    /// A frame.
    Frame(CapturedFrame<'a>),
    /// Nothing now: wait for [`Source::descriptor`] and [`Source::poll_timeout`].
    NotYet,
    /// Nothing now, and [`Source::description`] has become another: frames from now on are as it says.
    Changed,
    /// Nothing more.
    Ended,
}

impl Source {
    /// Opens what `spec` names.
    ///
    /// # Errors
    ///
    /// [`SourceError`]: it is not there, or the options do not fit it.
    pub fn open(spec: &SourceSpec, options: &CaptureOptions) -> Result<Self, SourceError> {
        let kind = match spec {
            SourceSpec::Test(test) => Kind::Test(Box::new(TestPattern::open(test, options)?)),
            SourceSpec::StandardInput => {
                let file = std::io::stdin()
                    .as_fd()
                    .try_clone_to_owned()
                    .map(File::from);
                let file = file.map_err(|error| SourceError::Io {
                    action: "open",
                    name: "standard input".to_owned(),
                    error,
                })?;
                Kind::Stream(Box::new(ByteStream::new(
                    Input::new(file, "standard input".to_owned())?,
                    options,
                )?))
            }
            SourceSpec::Device(path) => Kind::Camera(Box::new(Camera::open(path, options)?)),
            // Reading one would set it going in a format that nobody has chosen.
            SourceSpec::File(path) if is_camera_device(path) => {
                Kind::Camera(Box::new(Camera::open(path, options)?))
            }
            SourceSpec::File(path) => {
                let name = path.display().to_string();
                let file = open_for_reading(path).map_err(|error| SourceError::Io {
                    action: "open",
                    name: name.clone(),
                    error,
                })?;
                Kind::Stream(Box::new(ByteStream::new(Input::new(file, name)?, options)?))
            }
        };
        Ok(Self { kind })
    }

    /// What is known of the frames; `None` until the first one of a byte stream was found.
    #[must_use]
    pub fn description(&self) -> Option<SourceDescription> {
        match &self.kind {
            Kind::Test(test) => Some(SourceDescription {
                format: *test.format(),
                extradata: Vec::new(),
                frame_bytes: Some(test.frame_bytes()),
                first_frame_bytes: test.frame_bytes(),
            }),
            Kind::Stream(stream) => stream.description(),
            Kind::Camera(camera) => camera.description(),
        }
    }

    /// What to wait for reading when there is no frame.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Test(_) => None,
            Kind::Stream(stream) => stream.descriptor(),
            Kind::Camera(camera) => camera.descriptor(),
        }
    }

    /// When the next frame is due; `None` when that does not depend on time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.kind {
            // Unpaced, there is always a frame.
            Kind::Test(test) => Some(test.due().unwrap_or(Timestamp::from_nanoseconds(i64::MIN))),
            Kind::Stream(stream) => stream.due(),
            Kind::Camera(camera) => Some(camera.due()),
        }
    }

    /// Whether frames come whether or not somebody takes them. What the network cannot take of a live source is dropped; any other
    /// source waits.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match &self.kind {
            Kind::Test(test) => test.is_live(),
            Kind::Stream(stream) => stream.pace.is_some(),
            Kind::Camera(_) => true,
        }
    }

    /// Looks for the first frame, without handing it out, so that [`Self::description`] has something to say. False when
    /// it has not come yet.
    ///
    /// # Errors
    ///
    /// [`SourceError`]: there will be none.
    pub fn prepare(&mut self, now: Timestamp) -> Result<bool, SourceError> {
        match &mut self.kind {
            Kind::Test(_) => Ok(true),
            Kind::Stream(stream) => {
                Ok(stream.pending.is_some() || stream.find(now)? != Filled::NotYet)
            }
            Kind::Camera(camera) => Ok(camera.prepare(now)),
        }
    }

    /// A name for it out of local facts: what a camera is called if the user does not say.
    #[must_use]
    pub fn stable_name(spec: &SourceSpec) -> String {
        match spec {
            SourceSpec::StandardInput => "stdin".to_owned(),
            SourceSpec::Test(_) => "test".to_owned(),
            SourceSpec::Device(path) => v4l2::stable_name(path),
            SourceSpec::File(path) => path.file_stem().map_or_else(
                || "file".to_owned(),
                |stem| stem.to_string_lossy().into_owned(),
            ),
        }
    }

    /// The next frame, if there is one. Never blocks on a pipe or a camera; reads at most 256 KiB of a pipe and up to a frame of a file. A camera that is unplugged
    /// has no frames until it is back.
    ///
    /// # Errors
    ///
    /// [`SourceError`]: there will be no more.
    pub fn try_next(&mut self, now: Timestamp) -> Result<Next<'_>, SourceError> {
        match &mut self.kind {
            Kind::Test(test) => {
                if test.is_at_end() {
                    return Ok(Next::Ended);
                }
                let Some(tick) = test.take(now) else {
                    return Ok(Next::NotYet);
                };
                let payload = test.frame(tick);
                Ok(Next::Frame(CapturedFrame {
                    number: tick.number,
                    captured: tick.captured,
                    flags: FrameFlags::KEY,
                    payload,
                }))
            }
            Kind::Stream(stream) => stream.try_next(now),
            Kind::Camera(camera) => Ok(camera.try_next(now)),
        }
    }

    /// Bytes at the end of a file or pipe that were no whole frame, and were not sent.
    #[must_use]
    pub fn cut_off_bytes(&self) -> usize {
        match &self.kind {
            Kind::Test(_) | Kind::Camera(_) => 0,
            Kind::Stream(stream) => stream.cut_off_bytes,
        }
    }

    /// Asks the encoder for a key frame, because frames were lost that the next ones need. False when it cannot be asked. Calling it for every
    /// frame that is of no use is fine: it is asked twice a second at most.
    pub fn force_key_frame(&mut self, now: Timestamp) -> bool {
        match &mut self.kind {
            Kind::Test(_) | Kind::Stream(_) => false,
            Kind::Camera(camera) => camera.force_key_frame(now),
        }
    }

    /// Has a key frame come next, where that can be brought about: a server has come back, and has none of the frames before. A camera that cannot be
    /// asked for one is stopped and started, which blocks for as long as its driver takes.
    pub fn begin_with_key_frame(&mut self, now: Timestamp) {
        match &mut self.kind {
            Kind::Test(_) | Kind::Stream(_) => {}
            Kind::Camera(camera) => camera.begin_with_key_frame(now),
        }
    }

    /// Something that happened to a camera and that the user should know.
    pub fn take_notice(&mut self) -> Option<Notice> {
        match &mut self.kind {
            Kind::Test(_) | Kind::Stream(_) => None,
            Kind::Camera(camera) => camera.take_notice(),
        }
    }
}

/// Opens a named pipe without waiting for somebody to write into it, and a terminal without making it ours.
fn open_for_reading(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Frames out of a file or a pipe.
#[derive(Debug)]
struct ByteStream {
    input: Input,
    splitter: Option<Splitter>,
    options: CaptureOptions,
    pace: Option<Pace>,
    /// The frame that is known to be whole.
    pending: Option<Pending>,
    /// Whether what is in the buffer was searched in vain: until then nothing is to be waited for.
    is_searched: bool,
    next_number: FrameNumber,
    found: u64,
    found_this_round: u64,
    first_frame_bytes: usize,
    cut_off_bytes: usize,
}

#[derive(Debug)]
struct Pending {
    /// Up to here the frame's bytes are, and nothing of the next one.
    payload: std::ops::Range<usize>,
    trailer: Vec<u8>,
    flags: FrameFlags,
    /// When its last byte was read.
    came_at: Timestamp,
}

impl ByteStream {
    fn new(input: Input, options: &CaptureOptions) -> Result<Self, SourceError> {
        if options.looped && input.is_pipe() {
            return Err(SourceError::Options(
                "--loop needs a file; a pipe cannot begin again",
            ));
        }
        if options.size.is_some() {
            return Err(SourceError::Options(
                "-s goes with cameras and the test pattern; the size of a stream is its own",
            ));
        }
        let pace = options.rate.and_then(Pace::new);
        Ok(Self {
            input,
            splitter: None,
            options: options.clone(),
            pace,
            pending: None,
            is_searched: true,
            next_number: FrameNumber(0),
            found: 0,
            found_this_round: 0,
            first_frame_bytes: 0,
            cut_off_bytes: 0,
        })
    }

    fn description(&self) -> Option<SourceDescription> {
        let splitter = self.splitter.as_ref().filter(|_| self.found > 0)?;
        let mut format = splitter.format();
        // A rate in the stream's header is what it was recorded with; unpaced, it comes as fast as it goes.
        format.rate = self
            .options
            .announced(self.options.rate.unwrap_or(FrameRate::UNPACED));
        let frame_bytes = match format.fourcc {
            // Room for the parameters of a FRAME line.
            fourcc if fourcc.is_raw() => Some(self.first_frame_bytes + 256),
            _ => None,
        };
        let first_frame_bytes = self.first_frame_bytes;
        Some(SourceDescription {
            format,
            extradata: splitter.extradata().to_vec(),
            frame_bytes,
            first_frame_bytes,
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if self.pending.is_some() {
            None
        } else {
            self.input.descriptor()
        }
    }

    fn due(&self) -> Option<Timestamp> {
        match (&self.pace, &self.pending) {
            (Some(pace), Some(_)) => Some(pace.due()),
            // A file is read on the next call; of a pipe, frames may be here that came together with the last one.
            (_, None) if !self.is_searched || self.input.descriptor().is_none() => {
                Some(Timestamp::from_nanoseconds(i64::MIN))
            }
            (None, Some(_)) => Some(Timestamp::from_nanoseconds(i64::MIN)),
            (_, None) => None,
        }
    }

    fn try_next(&mut self, now: Timestamp) -> Result<Next<'_>, SourceError> {
        loop {
            if self.pending.is_none() {
                match self.find(now)? {
                    Filled::More => {}
                    Filled::NotYet => return Ok(Next::NotYet),
                    Filled::End => return Ok(Next::Ended),
                }
            }
            let due = match &mut self.pace {
                Some(pace) => match pace.take(now, false) {
                    Some((due, _)) => Some(due),
                    None => return Ok(Next::NotYet),
                },
                None => None,
            };
            let Some(pending) = self.pending.take() else {
                return Ok(Next::NotYet);
            };
            let captured = match (due, self.input.is_pipe()) {
                // What is in a file was captured long ago; it plays the camera now.
                (due, false) => due.unwrap_or(now),
                // A frame is not there before its bytes are.
                (due, true) => due.map_or(pending.came_at, |due| due.max(pending.came_at)),
            };
            let index = self.found.saturating_sub(1);
            if !index.is_multiple_of(self.options.every_nth.max(1).into()) {
                self.input.consume(pending.payload.end);
                // A file is read on at the next call, so that many frames to leave out do not keep us here.
                if !self.input.is_pipe() {
                    return Ok(Next::NotYet);
                }
                continue;
            }
            let number = self.next_number;
            self.next_number.0 = number.0.saturating_add(1);
            return Ok(Next::Frame(self.hand_out(number, captured, pending)));
        }
    }

    fn hand_out(
        &mut self,
        number: FrameNumber,
        captured: Timestamp,
        pending: Pending,
    ) -> CapturedFrame<'_> {
        let Pending {
            payload,
            trailer,
            flags,
            ..
        } = pending;
        let payload_bytes = payload.len() + trailer.len();
        self.input.consume(payload.end);
        if !trailer.is_empty() {
            self.input.insert_after_consumed(&trailer);
        }
        CapturedFrame {
            number,
            captured,
            flags,
            payload: self.input.consumed_last(payload_bytes),
        }
    }

    /// Looks for the next whole frame.
    fn find(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        loop {
            if self.find_in_buffer(now)? {
                return Ok(Filled::More);
            }
            match self.input.fill(now)? {
                // A writer that is faster than we are must not keep us here: its pipe stays readable.
                Filled::More if self.input.is_pipe() => {
                    return Ok(if self.find_in_buffer(now)? {
                        Filled::More
                    } else {
                        Filled::NotYet
                    });
                }
                Filled::More => {}
                Filled::NotYet => return Ok(Filled::NotYet),
                Filled::End => {
                    // The end may complete the last frame.
                    if self.find_in_buffer(now)? {
                        return Ok(Filled::More);
                    }
                    self.finish()?;
                    if !self.options.looped || self.found_this_round == 0 {
                        return Ok(Filled::End);
                    }
                    self.found_this_round = 0;
                    self.input.rewind()?;
                    if let Some(splitter) = &mut self.splitter {
                        splitter.restart();
                    }
                }
            }
        }
    }

    /// Whether the bytes that are there begin with a whole frame, which is then pending.
    fn find_in_buffer(&mut self, now: Timestamp) -> Result<bool, SourceError> {
        let end = self.split()?;
        self.is_searched = end.is_none();
        let Some(mut end) = end else {
            return Ok(false);
        };
        end.payload.end += self.padding_at_end(end.consumed, now)?;
        if self.found == 0 {
            self.first_frame_bytes = end.payload.len() + end.trailer.len();
        }
        self.found = self.found.saturating_add(1);
        self.found_this_round = self.found_this_round.saturating_add(1);
        self.check_options()?;
        let FrameEnd {
            payload,
            trailer,
            flags,
            ..
        } = end;
        self.pending = Some(Pending {
            payload,
            trailer,
            flags,
            came_at: self.input.came_at(end.consumed).unwrap_or(now),
        });
        Ok(true)
    }

    /// How many bytes stand between the last image of a file and its end. They go with that image, for no other follows. A
    /// pipe's image has been handed out before they come.
    fn padding_at_end(&mut self, consumed: usize, now: Timestamp) -> Result<usize, SourceError> {
        if self.input.is_pipe() || !matches!(self.splitter, Some(Splitter::Jpeg(_))) {
            return Ok(0);
        }
        loop {
            let rest = self.input.bytes().get(consumed..).unwrap_or_default();
            if !Jpeg::is_padding(rest) {
                return Ok(0);
            }
            if self.input.is_at_end() {
                return Ok(rest.len());
            }
            self.input.fill(now)?;
        }
    }

    fn split(&mut self) -> Result<Option<FrameEnd>, SourceError> {
        let (offset, is_end) = (self.input.offset(), self.input.is_at_end());
        let failed = |error, at: usize| SourceError::Content {
            name: self.input.name().to_owned(),
            offset: offset + at as u64,
            error,
        };
        if self.splitter.is_none() {
            self.splitter = Splitter::detect(self.input.bytes(), is_end, self.options.fourcc)
                .map_err(|error| failed(error, 0))?;
        }
        match &mut self.splitter {
            Some(splitter) => splitter
                .next_frame(self.input.bytes(), is_end)
                .map_err(|error| failed(error, splitter.error_position(error))),
            None => Ok(None),
        }
    }

    fn check_options(&self) -> Result<(), SourceError> {
        let Some(splitter) = self.splitter.as_ref().filter(|_| self.found == 1) else {
            return Ok(());
        };
        let fourcc = splitter.format().fourcc;
        if self.options.every_nth > 1 && fourcc.is_inter_coded() {
            return Err(SourceError::Options(
                "-x cannot thin out H.264 or H.265: every frame is needed to decode the next",
            ));
        }
        if self
            .options
            .fourcc
            .is_some_and(|wanted| wanted != fourcc && !(fourcc == FourCc::Y4M && wanted.is_raw()))
        {
            return Err(SourceError::Options(
                "-f names another format than the stream has; a stream is never converted",
            ));
        }
        Ok(())
    }

    /// Looks at what is left at the end.
    fn finish(&mut self) -> Result<(), SourceError> {
        let rest = self.input.bytes();
        let Some(splitter) = &self.splitter else {
            return Ok(());
        };
        if self.found == 0 {
            let error = if self.input.offset() == 0 && rest.is_empty() {
                SplitError::Empty
            } else {
                SplitError::NoWholeFrame
            };
            return Err(SourceError::Content {
                name: self.input.name().to_owned(),
                offset: self.input.offset(),
                error,
            });
        }
        self.cut_off_bytes = if splitter.is_cut_off(rest) {
            rest.len()
        } else {
            0
        };
        Ok(())
    }
}
