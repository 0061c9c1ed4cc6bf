//! Cutting a byte stream into frames, without decoding it.
//!
//! A [`Splitter`] looks at the bytes from a frame's start on and says where the frame ends as soon as that is known. All frames of a well-formed
//! stream put together are the stream, byte for byte (of YUV4MPEG2: what its header and `FRAME` lines say is kept apart).
//!
//! ```
//! use sdvr_source::splitter::{SplitError, Splitter};
//!
//! let stream = b"YUV4MPEG2 W2 H2 F25:1 Cmono\nFRAME\nabcdFRAME\nefgh";
//! let mut splitter = Splitter::detect(stream, true, None)?.expect("all of the stream is there");
//! let first = splitter.next_frame(stream, true)?.expect("so is its first frame");
//! assert_eq!(&stream[first.payload], b"abcd");
//! let second = splitter.next_frame(&stream[first.consumed..], true)?.expect("and its second");
//! assert_eq!(second.consumed, b"FRAME\nefgh".len());
//! # Ok::<(), SplitError>(())
//! ```

mod annex_b;
mod beginning;
mod field;
mod jpeg;
mod sei;
mod y4m;

use sdvr_frame::{FourCc, FrameFlags, FrameRate, StreamFormat};

pub use annex_b::AnnexB;
pub use beginning::Beginning;
pub use jpeg::Jpeg;
pub use y4m::Y4m;

/// A frame that is longer is none.
pub const FRAME_MOST_BYTES: usize = 64 << 20;

/// What may be needed beyond a frame to see its end: header lines before it, the start of the next frame after it.
const AROUND_FRAME_MOST_BYTES: usize = 4096;

/// Bytes that are looked at to find out what a stream is.
const DETECT_BYTES: usize = 64;

/// Why bytes are not frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The beginning fits none of the known formats.
    #[error(
        "this is no MJPEG, H.264 or H.265 (Annex B), or YUV4MPEG2 stream, and no MP4, Matroska or IVF file: it begins with {0}; name its format with -f if it is one"
    )]
    Unknown(Beginning),
    /// Video is in it, but packed.
    #[error(
        "this is {0} file; take the video out of it first: ffmpeg -i FILE -c:v copy -f h264 - | sdvrc -i -   (or -f hevc, mjpeg)"
    )]
    Container(&'static str),
    /// It is video or a picture, but not coded in any way that is carried.
    #[error(
        "this is {0}, which is not carried; convert it first: ffmpeg -i FILE -c:v mjpeg -f mjpeg - | sdvrc -i -   (or libx264 and h264)"
    )]
    Codec(&'static str),
    /// As cameras send their images over HTTP.
    #[error(
        "this is a multipart stream; take the images out of it first: ffmpeg -f mpjpeg -i URL -c:v copy -f mjpeg - | sdvrc -i -   (or -f MJPG sends the boundaries along)"
    )]
    Multipart,
    /// The stream fits its format, but ends too early.
    #[error("it ends before its first frame is whole")]
    NoWholeFrame,
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// No end was found.
    #[error("a frame has no end within 64 MiB")]
    TooLong,
    /// A marker stands where none may.
    #[error("it is no JPEG: the marker FF {0:02X} does not belong there")]
    Marker(u8),
    /// No marker stands where one must.
    #[error("it is no JPEG: {0:02X} stands where a marker must begin with FF")]
    NoMarker(u8),
    /// No image begins.
    #[error("no JPEG image begins where one should")]
    NoImage,
    /// Bytes before the first start code.
    #[error("no NAL unit begins where one should")]
    NoStartCode,
    /// The header is none.
    #[error("it is no YUV4MPEG2 stream: {0}")]
    Y4m(&'static str),
}

/// Where a frame ends, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameEnd {
    /// Bytes of the stream that the frame takes up.
    pub consumed: usize,
    /// Where in them its payload is.
    pub payload: std::ops::Range<usize>,
    /// Parameters of a `FRAME` line, to be put after the payload; mostly empty.
    pub trailer: Vec<u8>,
    /// Facts about it.
    pub flags: FrameFlags,
}

impl FrameEnd {
    /// A frame that is all of its bytes.
    const fn whole(consumed: usize, flags: FrameFlags) -> Self {
        Self {
            consumed,
            payload: 0..consumed,
            trailer: Vec::new(),
            flags,
        }
    }
}

/// Cuts one kind of stream.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a source, and it is never moved"
)]
#[derive(Debug)]
pub enum Splitter {
    /// JPEG images one after the other.
    Jpeg(Jpeg),
    /// H.264 or H.265 with start codes.
    AnnexB(AnnexB),
    /// YUV4MPEG2.
    Y4m(Y4m),
}

impl Splitter {
    /// Finds out what a stream is from its beginning; `None` when more bytes are needed.
    ///
    /// `forced` is what the user says it is.
    ///
    /// # Errors
    ///
    /// [`SplitError::Unknown`] and its more helpful siblings [`SplitError::Container`], [`SplitError::Codec`] and [`SplitError::Multipart`];
    /// [`SplitError::Empty`].
    pub fn detect(
        start: &[u8],
        is_end: bool,
        forced: Option<FourCc>,
    ) -> Result<Option<Self>, SplitError> {
        match forced {
            Some(FourCc::MJPG) => return Ok(Some(Self::Jpeg(Jpeg::default()))),
            Some(FourCc::H264) => return Ok(Some(Self::AnnexB(AnnexB::h264()))),
            Some(FourCc::HEVC) => return Ok(Some(Self::AnnexB(AnnexB::h265()))),
            Some(_) | None => {}
        }
        if start.len() < DETECT_BYTES && !is_end {
            return Ok(None);
        }
        if start.is_empty() {
            return Err(SplitError::Empty);
        }
        // No more, so that the answer does not depend on how the bytes come.
        let start = start.get(..DETECT_BYTES).unwrap_or(start);
        if let Some(error) = beginning::stranger(start) {
            return Err(error);
        }
        if start.starts_with(b"YUV4MPEG2") {
            return Ok(Some(Self::Y4m(Y4m::default())));
        }
        if start.starts_with(&[0xff, 0xd8, 0xff]) {
            return Ok(Some(Self::Jpeg(Jpeg::default())));
        }
        AnnexB::detect(start)
            .map(Self::AnnexB)
            .map(Some)
            .ok_or_else(|| SplitError::Unknown(Beginning::of(start)))
    }

    /// Looks for the end of the frame that `buffer` begins with; `None` when it is not there yet. At the end of the stream
    /// (`is_end`) the rest is a frame, if it is whole. What was looked at is not looked at again while the buffer only grows.
    ///
    /// # Errors
    ///
    /// [`SplitError`].
    pub fn next_frame(
        &mut self,
        buffer: &[u8],
        is_end: bool,
    ) -> Result<Option<FrameEnd>, SplitError> {
        let end = match self {
            Self::Jpeg(jpeg) => jpeg.next_frame(buffer)?,
            Self::AnnexB(annex_b) => annex_b.next_frame(buffer, is_end)?,
            Self::Y4m(y4m) => y4m.next_frame(buffer)?,
        };
        let is_too_long = match &end {
            Some(end) => end.payload.len() > FRAME_MOST_BYTES,
            None => buffer.len() > FRAME_MOST_BYTES + AROUND_FRAME_MOST_BYTES,
        };
        if is_too_long {
            return Err(SplitError::TooLong);
        }
        Ok(end)
    }

    /// Where in the buffer that was looked at last the bytes are that `error` speaks of.
    #[must_use]
    pub const fn error_position(&self, error: SplitError) -> usize {
        match (self, error) {
            (Self::Jpeg(jpeg), SplitError::Marker(_) | SplitError::NoMarker(_)) => jpeg.position(),
            (Self::Y4m(y4m), SplitError::Y4m(_)) => y4m.position(),
            _ => 0,
        }
    }

    /// Begins a stream again from its start.
    pub fn restart(&mut self) {
        match self {
            Self::Jpeg(jpeg) => *jpeg = Jpeg::default(),
            Self::AnnexB(annex_b) => annex_b.restart(),
            Self::Y4m(y4m) => y4m.restart(),
        }
    }

    /// The stream's format, as far as the frames handed out tell.
    #[must_use]
    pub fn format(&self) -> StreamFormat {
        let (fourcc, (width, height), rate) = match self {
            Self::Jpeg(jpeg) => (
                FourCc::MJPG,
                jpeg.size().unwrap_or((0, 0)),
                FrameRate::UNPACED,
            ),
            Self::AnnexB(annex_b) => (
                annex_b.fourcc(),
                annex_b.size().unwrap_or((0, 0)),
                FrameRate::UNPACED,
            ),
            Self::Y4m(y4m) => y4m.format(),
        };
        StreamFormat {
            fourcc,
            width,
            height,
            rate,
        }
    }

    /// What a decoder needs beforehand.
    #[must_use]
    pub fn extradata(&self) -> &[u8] {
        match self {
            Self::Y4m(y4m) => y4m.header(),
            Self::Jpeg(_) | Self::AnnexB(_) => &[],
        }
    }

    /// Whether bytes that are left at the end of the stream are a frame that was cut off (and not just padding).
    #[must_use]
    pub fn is_cut_off(&self, rest: &[u8]) -> bool {
        match self {
            Self::Jpeg(jpeg) => jpeg.is_in_image(),
            Self::AnnexB(_) | Self::Y4m(_) => rest.iter().any(|&byte| byte != 0),
        }
    }
}
