//! Files that frames are recorded in: fragmented MP4 of H.264, H.265 and AV1, Matroska of everything else.
//!
//! A [`Muxer`] makes bytes of frames and performs no I/O. A file is a *head*, then *fragments*, each of which is written at once and never touched again,
//! and when it ends a *tail*, an index by which players seek. Only the head is changed then, at few places of fixed length. So a file that was cut off
//! anywhere is whole up to the last fragment that is all there; `scan` finds that place, and `recover` gives the file the tail that it would have
//! had. How the bytes lie is in `mp4/fragment.rs` and `matroska/cluster.rs`.

mod about_line;
mod fields;
mod fragment;
mod frames;
mod matroska;
mod mp4;
mod scan;
mod ticks;

use std::fmt;

use sdvr_frame::{FourCc, StreamFormat};

pub use fragment::{Added, Fragment};
pub use frames::{FrameAt, Frames, frames};
pub use scan::{End, Recovered, Scan, ScanError, recover, scan};

use crate::sample::{About, Sample, UtcTime};
use ticks::Ticks;

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fragmented MP4 (ISO/IEC 14496-12).
    Mp4,
    /// Matroska (RFC 9559).
    Matroska,
}

impl Kind {
    /// The container for frames of this format: any format has one.
    #[must_use]
    pub fn of(fourcc: FourCc) -> Self {
        match fourcc {
            FourCc::H264 | FourCc::HEVC | FourCc::AV01 => Self::Mp4,
            _ => Self::Matroska,
        }
    }

    /// What file names end with, without a dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "mkv",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska",
        })
    }
}

/// Why no file can begin with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRecordable {
    /// Nothing could be decoded before the next key frame.
    #[error(
        "a recording of {0} begins with a key frame, and this frame is none: wait for the next key frame"
    )]
    NotKey(FourCc),
    /// Without parameter sets nothing can be decoded at all.
    #[error(
        "this key frame of {0} has no {1}, without which nothing can be decoded: have the camera send it with every key frame"
    )]
    NoParameters(FourCc, &'static str),
    /// The parameter sets are none.
    #[error("the {1} in this key frame of {0} is damaged: wait for the next key frame")]
    WrongParameters(FourCc, &'static str),
    /// A frame of no bytes.
    #[error("the first frame of a recording cannot be empty: wait for the next one")]
    Empty,
}

/// A part of a file, from a place where playing can begin if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where in the file it begins. Between it and the one before there may be some bytes that mean nothing.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// When its first frame was captured.
    pub first: UtcTime,
    /// How many frames it has.
    pub frames: u32,
    /// Its first key frame, if it has any.
    pub key: Option<Key>,
}

/// A place where decoding can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// How many frames of its stretch come before it.
    pub index: u32,
    /// When it was captured.
    pub captured: UtcTime,
}

/// What makes a file whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// To be written behind the last fragment, and before [`Self::patches`].
    pub tail: Vec<u8>,
    /// To be written over what is at these places of the head.
    pub patches: Vec<(u64, Vec<u8>)>,
}

/// What is known of the media in a file: enough to end it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Media {
    stretches: Vec<Stretch>,
    /// Where the last whole fragment ends.
    end: u64,
    frames: u64,
    last: Option<UtcTime>,
    /// Ticks from the beginning of the first frame to the end of the last.
    duration: u64,
}

/// A frame that is written apart: see [`Muxer::announce`].
#[derive(Debug)]
pub struct Announced(matroska::Announced);

impl Announced {
    /// What comes before the frame.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.0.head
    }
}

/// Makes a file of frames.
///
/// Times in the file are microseconds since its first frame was captured, and go up: a frame that was not captured later than the one before
/// is put one microsecond after that.
#[derive(Debug)]
pub struct Muxer {
    format: StreamFormat,
    head: Vec<u8>,
    inner: Inner,
    media: Media,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a camera")]
enum Inner {
    Mp4(mp4::Muxer),
    Matroska(matroska::Muxer),
}

impl Muxer {
    /// Begins a file with `first`, which is to be [added](Self::add) then, and whose time is `about.begins`.
    ///
    /// # Errors
    ///
    /// [`NotRecordable`], if nobody could decode what would be in the file; try again with the next key frame.
    pub fn begin(about: &About, first: &Sample<'_>) -> Result<Self, NotRecordable> {
        if first.bytes.is_empty() {
            return Err(NotRecordable::Empty);
        }
        let fourcc = about.format.fourcc;
        if fourcc.is_inter_coded() && !first.is_key {
            return Err(NotRecordable::NotKey(fourcc));
        }
        let ticks = Ticks::new(about);
        let (head, inner) = match Kind::of(fourcc) {
            Kind::Mp4 => {
                let (head, muxer) = mp4::Muxer::begin(about, first.bytes, ticks)?;
                (head, Inner::Mp4(muxer))
            }
            Kind::Matroska => {
                let (head, muxer) = matroska::Muxer::begin(about, ticks);
                (head, Inner::Matroska(muxer))
            }
        };
        let end = head.len() as u64;
        Ok(Self {
            format: about.format,
            head,
            inner,
            media: Media {
                end,
                ..Media::default()
            },
            spare: Vec::new(),
        })
    }

    /// Which container it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.inner {
            Inner::Mp4(_) => Kind::Mp4,
            Inner::Matroska(_) => Kind::Matroska,
        }
    }

    /// What the file begins with.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether the file can hold this frame. Frames of another format or size, and key frames with other parameter sets, need a file of their own; the rate
    /// may change.
    #[must_use]
    pub fn fits(&self, format: &StreamFormat, sample: &Sample<'_>) -> bool {
        let of = |format: &StreamFormat| (format.fourcc, format.width, format.height);
        let is_same = of(format) == of(&self.format);
        is_same
            && match &self.inner {
                Inner::Mp4(muxer) => !sample.is_key || muxer.fits(sample.bytes),
                Inner::Matroska(_) => true,
            }
    }

    /// Takes a frame into the fragment that is being made.
    pub fn add(&mut self, captured: UtcTime, is_key: bool, bytes: Vec<u8>) -> Added {
        if bytes.is_empty() {
            return Added::Empty;
        }
        match &mut self.inner {
            Inner::Mp4(muxer) => {
                let added = muxer.add(captured, is_key, &bytes);
                self.spare.push(bytes);
                added
            }
            Inner::Matroska(muxer) => {
                muxer.add(
                    captured,
                    is_key || !self.format.fourcc.is_inter_coded(),
                    bytes,
                );
                Added::Taken
            }
        }
    }

    /// For a frame whose bytes need not be in memory at once: what comes before them in the file. They are to be written behind it and behind what was written before,
    /// and then this is to be given to [`Self::wrote`]; if that fails, nothing has happened. `None` where that is not possible: in MP4, where other frames wait, and for a
    /// frame without bytes.
    #[must_use]
    pub fn announce(&self, captured: UtcTime, is_key: bool, frame_bytes: u64) -> Option<Announced> {
        match &self.inner {
            Inner::Matroska(muxer) if frame_bytes > 0 => {
                let is_key = is_key || !self.format.fourcc.is_inter_coded();
                let announced = muxer.announce(captured, is_key, frame_bytes)?;
                Some(Announced(announced))
            }
            _ => None,
        }
    }

    /// The frame that was announced last is in the file, behind its head.
    pub fn wrote(&mut self, announced: Announced) {
        if let Inner::Matroska(muxer) = &mut self.inner {
            muxer.wrote(announced.0, &mut self.media);
        }
    }

    /// How many bytes of frames wait to be written.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Mp4(muxer) => muxer.pending_bytes(),
            Inner::Matroska(muxer) => muxer.pending_bytes(),
        }
    }

    /// What was added since the last time, to be written behind what was written before; nothing if there was nothing. In MP4 the last frames of a stream with B frames wait
    /// for the next fragment: when they are shown depends on those that follow.
    pub fn take_fragment(&mut self) -> Fragment {
        self.take(false)
    }

    /// All of it: no frame follows soon, or ever.
    pub fn take_rest(&mut self) -> Fragment {
        self.take(true)
    }

    fn take(&mut self, is_all: bool) -> Fragment {
        let fragment = match &mut self.inner {
            Inner::Mp4(muxer) => muxer.take(is_all, &mut self.media),
            Inner::Matroska(muxer) => muxer.take(&mut self.media),
        };
        fragment.with_spare(std::mem::take(&mut self.spare))
    }

    /// The parts of the file so far, but for what waits to be written.
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.media.stretches
    }

    /// How long head and fragments are together.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.media.end
    }

    /// What ends the file behind the fragments that were taken; what waits still is not in it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        ending(self.kind(), &self.head, &self.media)
    }
}

/// What ends a file with this head and these media.
fn ending(kind: Kind, head: &[u8], media: &Media) -> Ending {
    match kind {
        Kind::Mp4 => mp4::ending(head, media),
        Kind::Matroska => matroska::ending(head, media),
    }
}
