//! A stream that a program makes, published beside the cameras.

mod about;
mod error;
mod memory;
mod sizing;

use std::path::Path;
use std::time::Duration;

use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, StreamFormat, StreamKind, StreamLabel,
    Timestamp,
};
use sdvr_ring::{DerivedDirectory, DerivedOptions, FrameMeta, RingWriter, TakenOver};

use crate::frame::Frame;

pub use self::about::Published;
pub use self::error::PublishError;
use self::memory::{give_back, give_back_later};
use self::sizing::RingSize;

/// How often the measured rate is worked out, and whether the ring still has its name is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// For so long nothing is tried for a larger ring for which there was no room, while the smaller one does.
const GROWTH_PAUSE: Duration = Duration::from_secs(1);

/// What a stream is that a program publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// What its frames look like.
    pub format: StreamFormat,
    /// What it carries.
    pub kind: StreamKind,
    /// How long frames are at most, as far as that is known. A longer one is no error: it has the ring made anew, once. `None`: what `format` tells.
    pub frame_most_bytes: Option<u64>,
    /// How many frames are kept for those who are slow. Of frames that vary in length, so many of a quarter of `frame_most_bytes`, and up to eight of the
    /// longest. `None`: eight uncompressed ones, else those of two seconds, at least eight.
    pub frames: Option<u32>,
    /// The stream that it is made of, if it is made of one: `sdvr ls` shows it. It need not be there.
    pub source: Option<StreamLabel>,
    /// What a decoder needs beforehand, at most 1,024 bytes.
    pub extradata: Vec<u8>,
}

impl PublishOptions {
    /// Pictures of this format, made of nothing in particular.
    #[must_use]
    pub const fn new(format: StreamFormat) -> Self {
        Self {
            format,
            kind: StreamKind::Video,
            frame_most_bytes: None,
            frames: None,
            source: None,
            extradata: Vec::new(),
        }
    }

    /// Something that belongs to moments, such as detections: `format` names what its bytes are, such as `FourCc(*b"JSON")`.
    #[must_use]
    pub fn metadata(format: FourCc, rate: FrameRate) -> Self {
        let format = StreamFormat {
            fourcc: format,
            width: 0,
            height: 0,
            rate,
        };
        Self {
            kind: StreamKind::Metadata,
            ..Self::new(format)
        }
    }
}

/// Publishes frames beside the cameras: other programs read them as they read a camera's, with [`crate::Camera`], `sdvr watch` or `sdvr pipe`, and
/// find them with [`crate::Cameras`] and `sdvr ls`.
///
/// ```
/// use std::time::Duration;
/// use sdvr::{Camera, FourCc, FrameRate, Policy, PublishOptions, Published, Publisher, Start};
///
/// # let folder = tempfile::tempdir_in("/dev/shm")?;
/// let options = PublishOptions {
///     source: Some("door".parse()?),
///     ..PublishOptions::metadata(FourCc(*b"JSON"), FrameRate::from_whole(25))
/// };
/// // `Publisher::create` publishes where the cameras are.
/// let mut people = Publisher::create_in(folder.path(), "door/people", options)?;
///
/// // What was made of a camera's frame: people.publish_from(&frame, bytes). What was not:
/// people.publish(br#"{"people": 1}"#, &Published::now())?;
///
/// let mut camera = Camera::open_in(folder.path(), "door/people", Start::Oldest)?;
/// let frame = camera.next(Policy::Every, Duration::from_secs(1))?.ok_or("nothing came")?;
/// assert_eq!(frame.bytes(), br#"{"people": 1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Publishing waits for nobody and costs the same for any number of readers. A frame that is longer than the ring is good for has it made anew and larger,
/// which takes about a millisecond a megabyte; readers follow without a gap.
///
/// The stream is there until the publisher is dropped: then readers are told that it has ended, and the memory is given back as soon as they have let go of it,
/// by a thread that waits two seconds at most. A program that ends sooner leaves that to them: [`Self::close`] waits. Of a program that was killed the
/// stream is [lost](crate::StreamState::Lost) at once, and what is left can be read until a program of this user publishes anything, or
/// its daemon is started. Who publishes under the same label again is followed by those who read.
#[derive(Debug)]
pub struct Publisher {
    directory: DerivedDirectory,
    label: StreamLabel,
    options: PublishOptions,
    size: RingSize,
    ring: RingWriter,
    run: Run,
    /// Whose it is: the child of a fork has a copy.
    process: u32,
    rate: MeasuredRate,
    /// When there was no room for a larger ring.
    growth_refused: Option<Timestamp>,
}

/// One run of the stream: its numbers grow.
#[derive(Debug)]
struct Run {
    instance: InstanceId,
    /// Of the source, if frames have told it.
    source: Option<InstanceId>,
    last: Option<FrameNumber>,
    /// The number of a frame that has none of its own.
    next: FrameNumber,
}

#[derive(Debug)]
struct MeasuredRate {
    since: Timestamp,
    published: u64,
    /// As it is in the ring.
    frames_per_1000_s: u64,
}

impl Publisher {
    /// Begins to publish under a label, which is one of a camera (`quad`) or several with `/` between (`door/people`), where this user's programs
    /// search first: in the directory that `SDVR_SHM_DIR` names, else in this user's own under `/dev/shm`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the label is taken, there is no room, or the directory cannot be used.
    pub fn create(label: &str, options: PublishOptions) -> Result<Self, PublishError> {
        Self::create_in(&DerivedDirectory::usual_path(), label, options)
    }

    /// As [`Self::create`], in a directory that is not the usual one. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn create_in(
        directory: &Path,
        label: &str,
        options: PublishOptions,
    ) -> Result<Self, PublishError> {
        let label: StreamLabel = label.parse()?;
        let directory = DerivedDirectory::join(directory)?;
        let size = RingSize::of(&options)?;
        let run = Run::new()?;
        let asked = ring_options(&label, &options, size, run.instance);
        let (ring, stale) = directory
            .create(asked)
            .map_err(|error| PublishError::new(&directory, &label, error))?;
        give_back_later(stale.still_read);
        Ok(Self {
            directory,
            label,
            options,
            size,
            ring,
            run,
            process: std::process::id(),
            rate: MeasuredRate {
                since: Timestamp::now(),
                published: 0,
                frames_per_1000_s: 0,
            },
            growth_refused: None,
        })
    }

    /// What it is called.
    #[must_use]
    pub const fn label(&self) -> &StreamLabel {
        &self.label
    }

    /// What its frames look like.
    #[must_use]
    pub const fn format(&self) -> StreamFormat {
        self.options.format
    }

    /// Publishes what was made of `frame`: as captured when that was, and with its number, by which programs that read both find what belongs together.
    /// Of a source with B-frames, whose pictures come in another order than their numbers, it is the next number where that frame's is not greater; the
    /// time of capture is that frame's, and tells it. Frames that are left out count as missed. When the source begins a new run, so does this stream.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`].
    pub fn publish_from(
        &mut self,
        frame: &Frame,
        bytes: &[u8],
    ) -> Result<FrameNumber, PublishError> {
        self.publish(bytes, &Published::from(frame))
    }

    /// Publishes a frame; gives the number that it has. Copies it once, and waits for nobody.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the frame has no bytes or more than 256 MiB, its number is not greater than the last one's and it was made of no other frame, or it
    /// needs a larger ring and there is no room. It then counts as missed, but for its number being wrong; the next one can be published.
    pub fn publish(
        &mut self,
        bytes: &[u8],
        about: &Published,
    ) -> Result<FrameNumber, PublishError> {
        let received = Timestamp::now();
        self.follow_run(about.source_run)?;
        let mut number = about.number.unwrap_or(self.run.next);
        // Frames are numbered as they are coded, and with B-frames pictures come as they are shown: what those move ahead, others soon make up for.
        if about.source_run.is_some() && self.run.last.is_some_and(|last| last >= number) {
            number = self.run.next;
        }
        if let Some(last) = self.run.last.filter(|last| *last >= number) {
            return Err(PublishError::NotLater { number, last });
        }
        // Also if it cannot be published: then it is missed.
        self.run.next = FrameNumber(number.0.saturating_add(1));
        self.look(received)?;
        self.make_room(received, bytes.len() as u64)?;
        let missed = self
            .run
            .last
            .map_or(0, |last| number.0.saturating_sub(last.0).saturating_sub(1));
        let meta = FrameMeta {
            number,
            flags: about.flags.unwrap_or_else(|| self.usual_flags()),
            missed,
            captured_at_source: about.captured_at_source,
            captured: about.captured,
            clock_error_ns: about.clock_error_ns,
            received,
            published: Timestamp::now(),
        };
        let is_published = self.ring.begin(bytes.len() as u64)
            && self.ring.write(bytes)
            && self.ring.publish(&meta);
        debug_assert!(is_published, "room was made for it");
        self.run.last = Some(number);
        Ok(number)
    }

    /// Says that frames look different from now on. The ring is made anew, without the frames that are there; readers take those
    /// first, and follow. [`Frame::format`] tells them apart. Does nothing if they do not.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; the stream then goes on as it was.
    pub fn set_format(&mut self, format: StreamFormat) -> Result<(), PublishError> {
        if format == self.options.format {
            return Ok(());
        }
        let options = PublishOptions {
            format,
            ..self.options.clone()
        };
        let size = RingSize::of(&options)?;
        let before = std::mem::replace(&mut self.options, options);
        self.replace_ring(size, Some(TakenOver::Nothing))
            .inspect_err(|_| self.options = before)
    }

    /// Ends the stream, and returns when its readers have taken what is left and have let go of its memory, which takes milliseconds, and after two seconds if one of them is
    /// stopped or slow. To drop a publisher is to leave that to a thread.
    pub fn close(mut self) {
        give_back(self.end());
    }

    /// Nothing more comes. Gives the memory of the ring.
    fn end(&mut self) -> Vec<sdvr_ring::StaleRing> {
        // What a child of a fork drops, such as at its exit, goes on in the process that has made it.
        if self.ring.state().is_final() || self.process != std::process::id() {
            return Vec::new();
        }
        self.ring.set_state(sdvr_frame::StreamState::Closed);
        self.ring.unlink();
        self.ring.memory().into_iter().collect()
    }

    fn usual_flags(&self) -> FrameFlags {
        if self.options.format.fourcc.is_inter_coded() {
            FrameFlags::NONE
        } else {
            FrameFlags::KEY
        }
    }

    /// Begins a new run if the source has.
    fn follow_run(&mut self, source: Option<InstanceId>) -> Result<(), PublishError> {
        if source.is_none() || source == self.run.source {
            return Ok(());
        }
        if self.run.source.is_none() {
            self.run.source = source;
            return Ok(());
        }
        let run = Run {
            source,
            ..Run::new()?
        };
        let before = std::mem::replace(&mut self.run, run);
        self.replace_ring(self.size, None)
            .inspect_err(|_| self.run = before)?;
        self.rate.published = 0;
        Ok(())
    }

    /// Now and then works out the rate, and makes the ring anew if somebody has removed its file.
    fn look(&mut self, now: Timestamp) -> Result<(), PublishError> {
        let elapsed = now.saturating_since(self.rate.since);
        if elapsed < LOOK_INTERVAL {
            return Ok(());
        }
        let published = self.ring.published();
        let frames = published.saturating_sub(self.rate.published);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.rate = MeasuredRate {
            since: now,
            published,
            frames_per_1000_s: frames.saturating_mul(1_000_000) / milliseconds.max(1),
        };
        self.ring.set_measured_rate(self.rate.frames_per_1000_s);
        if self.ring.is_replaced() {
            // The directory may be gone, too.
            self.directory = DerivedDirectory::join(self.directory.path())?;
            self.replace_ring(self.size, Some(TakenOver::Everything))?;
        }
        Ok(())
    }

    /// Sees to it that a frame of so many bytes is not alone in the ring.
    fn make_room(&mut self, now: Timestamp, bytes: u64) -> Result<(), PublishError> {
        let Some(size) = self.size.for_frame(&self.options, bytes)? else {
            return Ok(());
        };
        let fits = bytes <= self.ring.frame_most_bytes();
        let was_refused = self
            .growth_refused
            .is_some_and(|at| now.saturating_since(at) < GROWTH_PAUSE);
        if fits && was_refused {
            return Ok(());
        }
        match self.replace_ring(size, Some(TakenOver::Everything)) {
            Err(_) if fits => {
                self.growth_refused = Some(now);
                Ok(())
            }
            result => result,
        }
    }

    /// Goes over to a newer ring: a generation that takes over what is said, or without that the first one of a run.
    fn replace_ring(
        &mut self,
        size: RingSize,
        taken_over: Option<TakenOver>,
    ) -> Result<(), PublishError> {
        let asked = ring_options(&self.label, &self.options, size, self.run.instance);
        let mut next = self
            .directory
            .replace(&self.ring, asked, taken_over)
            .map_err(|error| PublishError::new(&self.directory, &self.label, error))?;
        next.set_measured_rate(self.rate.frames_per_1000_s);
        let mut old = std::mem::replace(&mut self.ring, next);
        self.size = size;
        let memory = old.memory();
        old.was_replaced();
        drop(old);
        give_back_later(memory.into_iter().collect());
        Ok(())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        give_back_later(self.end());
    }
}

impl Run {
    fn new() -> Result<Self, PublishError> {
        Ok(Self {
            instance: random_instance()?,
            source: None,
            last: None,
            next: FrameNumber(0),
        })
    }
}

fn random_instance() -> Result<InstanceId, PublishError> {
    let mut bytes = [0; 16];
    // A request as short as this is answered whole, but for a signal in the first moments of a machine.
    loop {
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(16) => return Ok(InstanceId(bytes)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(PublishError::Random(error.into())),
        }
    }
}

fn ring_options(
    label: &StreamLabel,
    options: &PublishOptions,
    size: RingSize,
    instance: InstanceId,
) -> DerivedOptions {
    DerivedOptions {
        label: label.clone(),
        source: options.source.clone(),
        kind: options.kind,
        instance,
        format: options.format,
        extradata: options.extradata.clone(),
        slots: size.slots,
        data_bytes: size.data_bytes,
    }
}
