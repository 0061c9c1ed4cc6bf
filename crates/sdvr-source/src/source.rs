//! One place to take frames from, whatever they come from.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sdvr_frame::{FrameFlags, FrameNumber, StreamFormat, Timestamp};

use crate::byte_stream::ByteStream;
use crate::container::{DETECT_BYTES, Demuxer};
use crate::error::SourceError;
use crate::input::{Filled, Input};
use crate::play_from::CaptureTimes;
use crate::recording::Recording;
use crate::spec::{CaptureOptions, SourceSpec, is_camera_device};
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
    /// A file or a pipe of which nothing was read.
    Begun(Box<Begun>),
    Stream(Box<ByteStream>),
    Recording(Box<Recording>),
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
                Kind::Begun(Box::new(Begun::new(
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
                Kind::Begun(Box::new(Begun::new(Input::new(file, name)?, options)?))
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
            Kind::Begun(_) => None,
            Kind::Stream(stream) => stream.description(),
            Kind::Recording(recording) => recording.description(),
            Kind::Camera(camera) => camera.description(),
        }
    }

    /// What to wait for reading when there is no frame.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Test(_) => None,
            Kind::Begun(begun) => begun.descriptor(),
            Kind::Stream(stream) => stream.descriptor(),
            Kind::Recording(recording) => recording.descriptor(),
            Kind::Camera(camera) => camera.descriptor(),
        }
    }

    /// When the next frame is due; `None` when that does not depend on time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.kind {
            // Unpaced, there is always a frame.
            Kind::Test(test) => Some(test.due().unwrap_or(Timestamp::from_nanoseconds(i64::MIN))),
            Kind::Begun(begun) => begun.due(),
            Kind::Stream(stream) => stream.due(),
            Kind::Recording(recording) => recording.due(),
            Kind::Camera(camera) => Some(camera.due()),
        }
    }

    /// Whether frames come whether or not somebody takes them. What the network cannot take of a live source is dropped; any other
    /// source waits.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match &self.kind {
            Kind::Test(test) => test.is_live(),
            Kind::Begun(begun) => begun.options.has_pace(),
            Kind::Stream(stream) => stream.is_live(),
            Kind::Recording(recording) => recording.is_live(),
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
        self.begin(now)?;
        match &mut self.kind {
            Kind::Test(_) => Ok(true),
            Kind::Begun(_) => Ok(false),
            Kind::Stream(stream) => stream.prepare(now),
            Kind::Recording(recording) => recording.prepare(now),
            Kind::Camera(camera) => Ok(camera.prepare(now)),
        }
    }

    /// Finds out what a file or a pipe holds, once its first bytes have come.
    fn begin(&mut self, now: Timestamp) -> Result<(), SourceError> {
        if let Kind::Begun(begun) = &mut self.kind
            && let Some(kind) = begun.decide(now)?
        {
            self.kind = kind;
        }
        Ok(())
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
        self.begin(now)?;
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
            Kind::Begun(_) => Ok(Next::NotYet),
            Kind::Stream(stream) => stream.try_next(now),
            Kind::Recording(recording) => recording.try_next(now),
            Kind::Camera(camera) => Ok(camera.try_next(now)),
        }
    }

    /// Bytes at the end of a file or pipe that were no whole frame, and were not sent.
    #[must_use]
    pub fn cut_off_bytes(&self) -> usize {
        match &self.kind {
            Kind::Test(_) | Kind::Begun(_) | Kind::Recording(_) | Kind::Camera(_) => 0,
            Kind::Stream(stream) => stream.cut_off_bytes(),
        }
    }

    /// Asks the encoder for a key frame, because frames were lost that the next ones need. False when it cannot be asked. Calling it for every
    /// frame that is of no use is fine: it is asked twice a second at most.
    pub fn force_key_frame(&mut self, now: Timestamp) -> bool {
        match &mut self.kind {
            Kind::Test(_) | Kind::Begun(_) | Kind::Stream(_) | Kind::Recording(_) => false,
            Kind::Camera(camera) => camera.force_key_frame(now),
        }
    }

    /// Has a key frame come next, where that can be brought about: a server has come back, and has none of the frames before. A camera that cannot be
    /// asked for one is stopped and started, which blocks for as long as its driver takes.
    pub fn begin_with_key_frame(&mut self, now: Timestamp) {
        match &mut self.kind {
            Kind::Test(_) | Kind::Begun(_) | Kind::Stream(_) | Kind::Recording(_) => {}
            Kind::Camera(camera) => camera.begin_with_key_frame(now),
        }
    }

    /// Something that happened to a camera and that the user should know.
    pub fn take_notice(&mut self) -> Option<Notice> {
        match &mut self.kind {
            Kind::Test(_) | Kind::Begun(_) | Kind::Stream(_) | Kind::Recording(_) => None,
            Kind::Camera(camera) => camera.take_notice(),
        }
    }
}

/// A file or a pipe of which it is not known what it holds.
#[derive(Debug)]
struct Begun {
    /// Until that is known.
    input: Option<Input>,
    options: CaptureOptions,
}

impl Begun {
    fn new(input: Input, options: &CaptureOptions) -> Result<Self, SourceError> {
        if options.looped && input.is_pipe() {
            return Err(SourceError::Options(
                "--loop needs a file; a pipe cannot begin again",
            ));
        }
        if options.times == CaptureTimes::Recorded && options.looped {
            return Err(SourceError::Options(
                "--times recorded does not go with --loop: what was recorded once would come again and again with the same times",
            ));
        }
        if options.size.is_some() {
            return Err(SourceError::Options(
                "-s goes with cameras and the test pattern; the size of a stream is its own",
            ));
        }
        Ok(Self {
            input: Some(input),
            options: options.clone(),
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().and_then(Input::descriptor)
    }

    fn due(&self) -> Option<Timestamp> {
        match self.descriptor() {
            Some(_) => None,
            None => Some(Timestamp::from_nanoseconds(i64::MIN)),
        }
    }

    /// By the first bytes, whatever the name; `None` until they have come.
    fn decide(&mut self, now: Timestamp) -> Result<Option<Kind>, SourceError> {
        let Some(input) = &mut self.input else {
            return Ok(None);
        };
        while input.bytes().len() < DETECT_BYTES && !input.is_at_end() {
            if input.fill(now)? == Filled::NotYet {
                return Ok(None);
            }
        }
        let start = input.bytes();
        let start = start.get(..DETECT_BYTES).unwrap_or(start);
        let demuxer = Demuxer::detect(start, input.is_pipe());
        if demuxer.is_none() {
            self.options.check_no_recording()?;
        }
        Ok(self.input.take().map(|input| match demuxer {
            Some(demuxer) => {
                Kind::Recording(Box::new(Recording::new(input, demuxer, &self.options)))
            }
            None => Kind::Stream(Box::new(ByteStream::new(input, &self.options))),
        }))
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
