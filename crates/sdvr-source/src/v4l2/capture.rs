//! A camera while it is there: set up, started, and asked for frame after frame.
//!
//! A frame of one plane is handed out where the driver wrote it, and its buffer goes back with the next call. Planes apart are put together in
//! memory that is kept: one copy, and no allocation a frame.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::io::Errno;
use sdvr_frame::{FrameFlags, FrameNumber, FrameRate, StreamFormat, Timestamp};

use super::abi::{self, BufferType, Capability};
use super::choice::{Asked, Choice, choose};
use super::clock::Clocks;
use super::controls::{self, ControlSetting};
use super::device::{Device, Stream};
use super::error::{DeviceError, not_a_camera, open_problem};
use super::filled::Filled;
use super::formats::{self, Layout};
use super::keys::KeyFinder;
use super::notice::{Notice, words};
use super::numbering::Numbering;
use super::planes::{self, Packing};
use super::{devices, signal, text};

/// One is being filled, one waits, one is being sent, one is to spare.
const BUFFERS: u32 = 4;
/// Frames that are looked at in one call, when they are all unusable.
const LOOKS_MOST: usize = 8;

/// What a device is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) kind: BufferType,
    pub(crate) card: String,
}

/// Opens a camera, without disturbing anybody who uses it.
pub(crate) fn open(path: &Path) -> Result<(Device, Identity), DeviceError> {
    let device = Device::open(path).map_err(|error| open_problem(path, error))?;
    let mut capability = Capability::default();
    device
        .query_capability(&mut capability)
        .map_err(|error| match error {
            Errno::NOTTY | Errno::INVAL => not_a_camera(path),
            error => DeviceError::of_call("query", path, error),
        })?;
    let kind = devices::capture_type(&capability).ok_or_else(|| not_a_camera(path))?;
    if devices::abilities(&capability) & abi::CAP_STREAMING == 0 {
        return Err(DeviceError::NoStreaming(path.to_owned()));
    }
    let card = text(&capability.card);
    Ok((device, Identity { kind, card }))
}

/// A camera that captures.
#[derive(Debug)]
pub(crate) struct Capture {
    stream: Stream,
    format: StreamFormat,
    /// How long every frame is at most, if they are about as long as one another.
    frame_bytes: Option<usize>,
    started: Timestamp,
    last_captured: Timestamp,
    /// The buffer that was handed out.
    taken: Option<u32>,
    packing: Packing,
    /// A frame that was put together.
    joined: Vec<u8>,
    keys: KeyFinder,
    has_events: bool,
}

/// A frame that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    index: u32,
    pub(crate) number: FrameNumber,
    pub(crate) captured: Timestamp,
    pub(crate) flags: FrameFlags,
    place: Place,
}

/// Where the bytes of a frame are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Where the driver wrote them.
    Buffer(Range<usize>),
    Joined,
}

/// Why there is no frame now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// It has not come.
    Yet,
    /// The picture that comes in has become another one: the device must be set up anew.
    SourceChanged,
}

impl Capture {
    /// Opens and sets up a camera, and starts it. Notices say what it does.
    pub(crate) fn start(
        path: &Path,
        asked: &Asked,
        settings: &[ControlSetting],
        notices: &mut Vec<Notice>,
    ) -> Result<Self, DeviceError> {
        let (device, identity) = open(path)?;
        let failed = |action| move |error| DeviceError::of_call(action, path, error);
        let signal = signal::set_up(&device).map_err(|error| signal_problem(path, error))?;
        let listed = formats::list(&device, identity.kind);
        let mut choice = choose(&listed, asked).map_err(|error| DeviceError::Choice {
            path: path.to_owned(),
            error,
        })?;
        if signal.is_some() {
            // What comes in has its size; a device that can scale would make another one of it.
            choice.size = asked.size;
        }
        let (layout, rate) =
            set_up(&device, identity.kind, &choice).map_err(failed("set the format of"))?;
        let rate = rate.or_else(|| signal.and_then(|signal| signal.rate));
        controls::apply(&device, settings).map_err(|error| DeviceError::Control {
            path: path.to_owned(),
            error,
        })?;
        let is_compressed = listed
            .iter()
            .any(|format| format.fourcc == layout.fourcc && format.is_compressed);
        let format = StreamFormat {
            fourcc: planes::stream_fourcc(layout.fourcc),
            width: layout.width,
            height: layout.height,
            rate: rate.unwrap_or(FrameRate::UNPACED),
        };
        notices.extend(difference(asked, &format));
        if layout.is_single_fields {
            notices.push(Notice::SingleFields(path.to_owned()));
        }
        // Events of video nodes are those of one input.
        let mut subscription = abi::EventSubscription {
            kind: abi::EVENT_SOURCE_CHANGE,
            id: signal::input(&device),
            ..Default::default()
        };
        let has_events = device.subscribe(&mut subscription).is_ok();
        let started = Timestamp::now();
        let stream = Stream::start(device, identity.kind, BUFFERS).map_err(failed("start"))?;
        notices.push(Notice::Capturing {
            path: path.to_owned(),
            card: identity.card,
            format,
        });
        let packing = Packing::of(&layout);
        let frame_bytes = packing.frame_bytes();
        Ok(Self {
            frame_bytes: (!is_compressed)
                .then(|| frame_bytes.unwrap_or_else(|| image_bytes(&layout))),
            packing,
            keys: KeyFinder::new(format.fourcc, is_compressed),
            stream,
            format,
            started,
            last_captured: started - std::time::Duration::from_secs(1),
            taken: None,
            joined: Vec::new(),
            has_events,
        })
    }

    pub(crate) const fn format(&self) -> &StreamFormat {
        &self.format
    }

    pub(crate) const fn started(&self) -> Timestamp {
        self.started
    }

    pub(crate) const fn frame_bytes(&self) -> Option<usize> {
        self.frame_bytes
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.device().as_fd()
    }

    pub(crate) fn force_key_frame(&self) -> bool {
        controls::force_key_frame(self.stream.device())
    }

    /// Gives back the buffer that was handed out last.
    pub(crate) fn release(&mut self) -> Result<(), Errno> {
        match self.taken.take() {
            Some(index) => self.stream.queue(index),
            None => Ok(()),
        }
    }

    /// Gives back everything that is filled: it is too old.
    pub(crate) fn drain(&mut self) -> Result<(), Errno> {
        self.release()?;
        for _ in 0..LOOKS_MOST {
            let Some(filled) = self.stream.dequeue()? else {
                break;
            };
            self.stream.queue(filled.index)?;
        }
        Ok(())
    }

    /// Stops the camera and starts it again: what it gives first can be decoded by itself. What it has given up to now is counted.
    pub(crate) fn restart(&mut self, numbering: &mut Numbering) -> Result<(), Errno> {
        self.taken = None;
        self.count_filled(numbering)?;
        numbering.restart();
        self.stream.restart()
    }

    /// Counts everything that is filled; it is not handed out, and does not go back.
    fn count_filled(&mut self, numbering: &mut Numbering) -> Result<(), Errno> {
        for _ in 0..LOOKS_MOST {
            let Some(filled) = self.stream.dequeue()? else {
                break;
            };
            self.note(&filled, numbering);
        }
        Ok(())
    }

    /// Takes the next usable frame from the driver. What is unusable is counted and given back.
    pub(crate) fn next(
        &mut self,
        numbering: &mut Numbering,
    ) -> Result<Result<Ready, Nothing>, Errno> {
        // Before the frames: where the host never catches up, one always waits.
        if self.has_source_changed() {
            // A driver may say that in place of frames; it is no other end.
            let _ = self.count_filled(numbering);
            return Ok(Err(Nothing::SourceChanged));
        }
        self.release()?;
        for _ in 0..LOOKS_MOST {
            let Some(filled) = self.stream.dequeue()? else {
                return Ok(Err(Nothing::Yet));
            };
            let captured = self.note(&filled, numbering);
            if let Some(place) = self.place(&filled)
                && let Some(number) = numbering.take()
            {
                self.taken = Some(filled.index);
                let ready = Ready {
                    index: filled.index,
                    number,
                    captured,
                    flags: FrameFlags::NONE,
                    place,
                };
                return Ok(Ok(self.with_flags(ready, filled.flags)));
            }
            self.stream.queue(filled.index)?;
        }
        Ok(Err(Nothing::Yet))
    }

    /// Counts a buffer, whatever is in it; gives the time of its capture.
    fn note(&mut self, filled: &Filled, numbering: &mut Numbering) -> Timestamp {
        let captured =
            Clocks::read().captured(filled.monotonic_ns(), self.started, self.last_captured);
        self.last_captured = captured;
        numbering.note(filled.sequence, captured, self.format.rate);
        captured
    }

    fn with_flags(&mut self, ready: Ready, buffer_flags: u32) -> Ready {
        let payload = payload(&self.stream, &self.joined, &ready);
        let flags = self.keys.flags(payload, buffer_flags);
        Ready { flags, ..ready }
    }

    /// Where the bytes of a filled buffer are; `None` when it is of no use: the driver says that it is broken, it is empty, or what the driver
    /// says of it cannot be.
    fn place(&mut self, filled: &Filled) -> Option<Place> {
        if filled.is_broken() {
            return None;
        }
        let Self {
            stream,
            packing,
            joined,
            ..
        } = self;
        let range = |plane: usize| {
            let length = stream.plane_length(filled.index, plane)?;
            let range = filled.planes.get(plane)?.range(length)?;
            (!range.is_empty()).then_some(range)
        };
        let bytes = |plane: usize| stream.bytes(filled.index, plane, range(plane)?);
        match packing {
            Packing::AsTheyAre if stream.plane_count() == 1 => Some(Place::Buffer(range(0)?)),
            Packing::AsTheyAre => {
                joined.clear();
                for plane in 0..stream.plane_count() {
                    joined.extend_from_slice(bytes(plane)?);
                }
                Some(Place::Joined)
            }
            Packing::First(length) => {
                let range = range(0)?;
                let end = range.start.checked_add(*length)?;
                // A picture of which lines are missing is none.
                (end <= range.end).then_some(Place::Buffer(range.start..end))
            }
            Packing::Lines(parts) => planes::join(parts, bytes, joined).then_some(Place::Joined),
        }
    }

    /// The bytes of a frame that was not released yet.
    pub(crate) fn payload(&self, ready: &Ready) -> &[u8] {
        payload(&self.stream, &self.joined, ready)
    }

    /// Whether the driver has said that the picture that comes in has become another one. Costs nothing at devices where it cannot.
    fn has_source_changed(&self) -> bool {
        let mut event = abi::Event::default();
        while self.has_events && self.stream.device().dequeue_event(&mut event).is_ok() {
            if event.kind == abi::EVENT_SOURCE_CHANGE {
                return true;
            }
        }
        false
    }
}

fn payload<'a>(stream: &'a Stream, joined: &'a [u8], ready: &Ready) -> &'a [u8] {
    match &ready.place {
        Place::Buffer(range) => stream
            .bytes(ready.index, 0, range.clone())
            .unwrap_or_default(),
        Place::Joined => joined,
    }
}

fn signal_problem(path: &Path, error: Errno) -> DeviceError {
    if signal::is_missing(error) {
        DeviceError::NoSignal {
            path: path.to_owned(),
            error: error.into(),
        }
    } else {
        DeviceError::of_call("set up the input of", path, error)
    }
}

/// Sets format, size and rate; gives what the driver makes of them.
fn set_up(
    device: &Device,
    kind: BufferType,
    choice: &Choice,
) -> Result<(Layout, Option<FrameRate>), Errno> {
    let size = match choice.size {
        Some(size) => size,
        None => {
            let current = formats::current(device, kind)?;
            (current.width, current.height)
        }
    };
    let layout = formats::set(device, kind, choice.fourcc, size)?;
    let rate = formats::set_rate(device, kind, choice.rate);
    Ok((layout, rate))
}

/// What the driver does otherwise than it was asked.
fn difference(asked: &Asked, given: &StreamFormat) -> Option<Notice> {
    let wanted = StreamFormat {
        fourcc: asked.fourcc.map_or(given.fourcc, planes::stream_fourcc),
        width: asked.size.map_or(given.width, |size| size.0),
        height: asked.size.map_or(given.height, |size| size.1),
        rate: asked.rate.unwrap_or(given.rate),
    };
    let is_near = (wanted.rate.as_f64() - given.rate.as_f64()).abs() < 0.01;
    let is_same = is_near
        && StreamFormat {
            rate: given.rate,
            ..wanted
        } == *given;
    (!is_same).then(|| Notice::Differs {
        asked: words(&wanted),
        given: words(given),
    })
}

fn image_bytes(layout: &Layout) -> usize {
    let bytes: u64 = layout
        .planes
        .iter()
        .map(|plane| u64::from(plane.image_bytes))
        .sum();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use sdvr_frame::FourCc;

    use super::*;

    #[test]
    fn what_the_driver_does_otherwise_is_said() {
        let given = StreamFormat {
            fourcc: FourCc::NV12,
            width: 640,
            height: 360,
            rate: FrameRate {
                numerator: 30_000,
                denominator: 1001,
            },
        };
        let asked = |size, rate: &str| Asked {
            fourcc: Some(FourCc(*b"NM12")),
            size,
            rate: rate.parse().ok(),
        };
        assert_eq!(difference(&Asked::default(), &given), None);
        assert_eq!(difference(&asked(Some((640, 360)), "29.97"), &given), None);
        let notice = difference(&asked(Some((640, 480)), "29.97"), &given).unwrap();
        assert_eq!(
            notice.to_string(),
            "the camera gives NV12 640x360 at 29.97 frames a second, not NV12 640x480 at 29.97 frames a second as asked for"
        );
        assert!(difference(&asked(None, "30"), &given).is_some());
    }
}
