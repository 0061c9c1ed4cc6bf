//! What C is told of cameras, frames and pictures, and the numbers by which it chooses.

use std::ffi::c_char;

use sdvr::{FrameMeta, Origin, StreamFormat, StreamKind, StreamLabel, StreamState, Timestamp};

/// A label, with its end.
pub const SDVR_LABEL_BYTES: usize = 64;
/// `SHA256:` and 43 characters, with their end.
pub const SDVR_FINGERPRINT_BYTES: usize = 64;

/// Which frames are wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum sdvr_policy {
    /// The newest one, always. What a slow program has no time for is skipped.
    SDVR_LATEST = 0,
    /// All, in order, as far as they have not been overwritten.
    SDVR_EVERY = 1,
    /// The newest one at which decoding can begin.
    SDVR_KEY_FRAMES = 2,
}

/// Where reading begins when a camera is opened that streams already.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum sdvr_start {
    /// With the next frame; for H.264 and H.265 with the newest key frame, which is there already.
    SDVR_NOW = 0,
    /// With the oldest frame that is still there.
    SDVR_OLDEST = 1,
}

/// What is wanted of a picture.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum sdvr_pixels {
    /// Red, green, blue: three bytes a pixel.
    SDVR_RGB = 0,
    /// Blue, green, red: three bytes a pixel, as OpenCV has them.
    SDVR_BGR = 1,
    /// Red, green, blue and 255: four bytes a pixel.
    SDVR_RGBA = 2,
    /// Brightness from 0 to 255: one byte a pixel.
    SDVR_GRAY = 3,
    /// As the camera or the decoder has them, without conversion: sdvr_layout says how they lie.
    SDVR_PLANES = 4,
}

/// How a stream is doing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum sdvr_state {
    /// The camera's link is up.
    SDVR_LIVE = 0,
    /// The link has been silent for 3 s, or was cut.
    SDVR_STALE = 1,
    /// Silent for 60 s, or its daemon is not there.
    SDVR_LOST = 2,
    /// The camera said that the stream ended.
    SDVR_CLOSED = 3,
    /// What comes next is in another ring. Programs that follow a camera do not see this.
    SDVR_MOVED = 4,
}

impl From<StreamState> for sdvr_state {
    fn from(state: StreamState) -> Self {
        match state {
            StreamState::Live => Self::SDVR_LIVE,
            StreamState::Stale => Self::SDVR_STALE,
            StreamState::Lost => Self::SDVR_LOST,
            StreamState::Closed => Self::SDVR_CLOSED,
            StreamState::Moved => Self::SDVR_MOVED,
        }
    }
}

/// What a stream carries.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum sdvr_kind {
    /// Pictures.
    SDVR_VIDEO = 0,
    /// Sound.
    SDVR_AUDIO = 1,
    /// Anything else that belongs to a moment, such as detections.
    SDVR_METADATA = 2,
}

impl From<StreamKind> for sdvr_kind {
    fn from(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Video => Self::SDVR_VIDEO,
            StreamKind::Audio => Self::SDVR_AUDIO,
            _ => Self::SDVR_METADATA,
        }
    }
}

/// Whether a camera came or went.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub enum sdvr_change {
    /// It is there now, for the first time or again.
    SDVR_CAME = 0,
    /// It is not there any more.
    SDVR_WENT = 1,
}

/// Decoding can begin at this frame.
pub const SDVR_FLAG_KEY: u32 = 1;
/// No other frame needs this one.
pub const SDVR_FLAG_DISCARDABLE: u32 = 2;
/// After the pixels come the parameters of a YUV4MPEG2 FRAME line.
pub const SDVR_FLAG_TRAILER: u32 = 4;
/// `clock_error_ns` while a camera's clock is not known.
pub const SDVR_CLOCK_UNKNOWN: u64 = u64::MAX;

/// What a stream's frames look like.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_format {
    /// The pixel or bitstream format by V4L2's four characters, such as "MJPG", "H264" or "GREY"; ends with a zero byte.
    pub name: [c_char; 8],
    /// Pixels across; 0 when unknown.
    pub width: u32,
    /// Pixels down; 0 when unknown.
    pub height: u32,
    /// Frames, in so many seconds as rate_denominator says; 0 without a fixed rate.
    pub rate_numerator: u32,
    /// Seconds; never 0.
    pub rate_denominator: u32,
}

impl From<StreamFormat> for sdvr_format {
    fn from(format: StreamFormat) -> Self {
        Self {
            name: fixed(&format.fourcc.to_string()),
            width: format.width,
            height: format.height,
            rate_numerator: format.rate.numerator,
            rate_denominator: format.rate.denominator,
        }
    }
}

/// What is known of a frame beside its bytes. All times are nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_frame_info {
    /// The number its source gave it: one more for every frame captured.
    pub number: u64,
    /// When it was captured, on this host's CLOCK_BOOTTIME.
    pub captured_ns: i64,
    /// By how much captured_ns may be wrong; SDVR_CLOCK_UNKNOWN when the camera's clock is not known yet.
    pub clock_error_ns: u64,
    /// When it was captured, since 1970, by this host's clock as it was set when the frame was handed out. For people.
    pub captured_date_ns: i64,
    /// When its last byte had arrived at the daemon, on CLOCK_BOOTTIME.
    pub received_ns: i64,
    /// When programs could read it, on CLOCK_BOOTTIME.
    pub published_ns: i64,
    /// How many frames of the same run were captured between the one handed out before and this one.
    pub missed: u64,
    /// For the first frame of a run of the source: how many frames were not handed out of the runs before, and before this one.
    pub missed_between_runs: u64,
    /// SDVR_FLAG_…
    pub flags: u32,
    /// What its bytes are.
    pub format: sdvr_format,
    /// Which run of the source it is from; numbers of different runs do not belong together.
    pub instance: [u8; 16],
    /// The camera's label, UTF-8; ends with a zero byte.
    pub label: [c_char; SDVR_LABEL_BYTES],
    /// How many bytes it has.
    pub len_bytes: usize,
}

impl sdvr_frame_info {
    pub(crate) fn of(frame: &sdvr::Frame, label: &[c_char; SDVR_LABEL_BYTES]) -> Self {
        let meta: &FrameMeta = frame.meta();
        let date = frame
            .captured_date()
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            number: frame.number().0,
            captured_ns: meta.captured.as_nanoseconds(),
            clock_error_ns: meta.clock_error_ns.map_or(SDVR_CLOCK_UNKNOWN, u64::from),
            captured_date_ns: i64::try_from(date.as_nanos()).unwrap_or(i64::MAX),
            received_ns: meta.received.as_nanoseconds(),
            published_ns: meta.published.as_nanoseconds(),
            missed: frame.missed(),
            missed_between_runs: frame.missed_between_runs(),
            flags: meta.flags.bits(),
            format: frame.format().into(),
            instance: frame.instance().0,
            label: *label,
            len_bytes: frame.bytes().len(),
        }
    }
}

/// What is known of a picture.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_picture_info {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// How its bytes lie.
    pub layout: crate::picture::sdvr_layout,
    /// How many planes it has; packed pixels are one.
    pub planes: u32,
    /// How many bits of a sample are in use: 8, or of layouts with two bytes a sample up to 16.
    pub sample_bits: u8,
    /// How many frames of the same run were captured between the picture handed out before and this one.
    pub missed: u64,
    /// The frame that it is of.
    pub frame: sdvr_frame_info,
}

/// One plane of a picture. Rows have no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_plane {
    /// Its bytes, row by row; good as long as the picture's are.
    pub bytes: *const u8,
    /// How many they are: row_bytes times rows.
    pub len_bytes: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
    /// How many rows.
    pub rows: usize,
}

/// What is known of a camera's stream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_camera_info {
    /// Its name, UTF-8; ends with a zero byte.
    pub label: [c_char; SDVR_LABEL_BYTES],
    /// Who it is: "SHA256:…", or "" for a stream that a program publishes; ends with a zero byte.
    pub fingerprint: [c_char; SDVR_FINGERPRINT_BYTES],
    /// Of a stream that a program publishes: the label of the one that it is made of, or ""; ends with a zero byte.
    pub source: [c_char; SDVR_LABEL_BYTES],
    /// Where its daemon publishes; good until the list or the watch that told it is given back or asked again.
    pub directory: *const c_char,
    /// Which run of its source.
    pub instance: [u8; 16],
    /// What its frames look like.
    pub format: sdvr_format,
    /// How it is doing.
    pub state: sdvr_state,
    /// Which of the camera's streams.
    pub stream: u16,
    /// Frames a second, measured over the last second.
    pub frames_per_second: f64,
    /// Frames published since the ring was made.
    pub frames: u64,
    /// Frames that were captured and did not arrive, since the ring was made.
    pub lost: u64,
    /// Bytes of the frames published since the ring was made.
    pub bytes: u64,
    /// When the newest frame was published, on CLOCK_BOOTTIME; 0 when there is none.
    pub last_frame_ns: i64,
}

impl sdvr_camera_info {
    /// `directory` is the camera's, kept by whoever gives this out.
    pub(crate) fn of(camera: &sdvr::CameraInfo, directory: &std::ffi::CStr) -> Self {
        Self {
            label: fixed(camera.label.as_str()),
            fingerprint: fingerprint_of(&camera.origin),
            source: source_of(&camera.origin),
            directory: directory.as_ptr(),
            instance: camera.instance.0,
            format: camera.format.into(),
            state: camera.state.into(),
            stream: camera.stream.0,
            frames_per_second: camera.frames_per_second,
            frames: camera.frames,
            lost: camera.lost,
            bytes: camera.bytes,
            last_frame_ns: camera.last_frame.map_or(0, Timestamp::as_nanoseconds),
        }
    }
}

/// What a camera's stream is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_stream_info {
    /// The camera's label, UTF-8; ends with a zero byte.
    pub label: [c_char; SDVR_LABEL_BYTES],
    /// Who it is: "SHA256:…", or "" for a stream that a program publishes; ends with a zero byte.
    pub fingerprint: [c_char; SDVR_FINGERPRINT_BYTES],
    /// Of a stream that a program publishes: the label of the one that it is made of, or ""; ends with a zero byte.
    pub source: [c_char; SDVR_LABEL_BYTES],
    /// Which run of its source.
    pub instance: [u8; 16],
    /// What its frames look like.
    pub format: sdvr_format,
    /// Which of the camera's streams.
    pub stream: u16,
    /// What it carries.
    pub kind: sdvr_kind,
}

impl sdvr_stream_info {
    /// `None` while the camera is not there.
    pub(crate) fn of(camera: &sdvr::Camera) -> Option<Self> {
        let info = camera.info()?;
        Some(Self {
            label: fixed(info.label.as_str()),
            fingerprint: fingerprint_of(&info.origin),
            source: source_of(&info.origin),
            instance: info.instance.0,
            format: info.format.into(),
            stream: info.stream.0,
            kind: info.kind.into(),
        })
    }
}

fn fingerprint_of(origin: &Origin) -> [c_char; SDVR_FINGERPRINT_BYTES] {
    let fingerprint = origin.fingerprint();
    fixed(&fingerprint.map_or_else(String::new, |it| it.to_string()))
}

fn source_of(origin: &Origin) -> [c_char; SDVR_LABEL_BYTES] {
    match origin {
        Origin::Derived { source } => fixed(source.as_ref().map_or("", StreamLabel::as_str)),
        Origin::Camera(_) => fixed(""),
    }
}

/// The text in a place of fixed length, with a zero byte at its end. What has no room is left out, which labels, fingerprints and formats never are.
pub(crate) fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut fixed = [0; N];
    let but_end = N.saturating_sub(1);
    for (to, from) in fixed.iter_mut().take(but_end).zip(text.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_texts_have_room() {
        const { assert!(sdvr::Label::MAX_BYTES < SDVR_LABEL_BYTES) };
        assert!(sdvr::FourCc(*b"Y16\xa0").to_string().len() < 8);
        let fingerprint = "SHA256:".len() + 43;
        assert!(fingerprint < SDVR_FINGERPRINT_BYTES);
        assert_eq!(fixed::<4>("longer"), fixed::<4>("lon"));
    }
}
