//! The newest pictures of a camera, as images.

use std::time::{Duration, Instant};

use sdvr::{
    Camera, DecodeError, Decoded, Error, FourCc, Frame, Pictures, Pixels, Policy, StreamFormat,
    StreamState,
};

use crate::encode::{EncodeError, ImageKind, encode};

/// A frame of a camera whose link is not up is stale when it is older. The link may be silent for as long before that is noticed.
const STALE: Duration = Duration::from_secs(3);
/// A live camera's frame is stale when so many more should be there: dark rooms make webcams several times slower than they announce.
const STALE_INTERVALS: u64 = 10;

/// Inter-coded frames are decoded from the newest key frame up to the newest frame, unless that takes longer: then the picture is an older one.
const DECODING_MOST: Duration = Duration::from_secs(2);

/// A camera whose newest frames become images, whatever it sends: its own where it sends such, else made of decoded pictures.
#[derive(Debug)]
pub struct Shots {
    kind: ImageKind,
    reader: Reader,
}

/// How the camera's frames become images.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a camera")]
enum Reader {
    /// They are images already, or it is not known yet what they are.
    AsTheyCame(Camera),
    /// Frames of this format are decoded.
    Pictures(FourCc, Pictures),
}

/// A frame and the image of it.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The frame, as it was published.
    pub frame: Frame,
    /// The image, as a file has it.
    pub image: Vec<u8>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoShot {
    /// The camera has ended, and may come back.
    #[error("the camera has ended")]
    Ended,
    /// This frame gave none; the next may be better. The text says which and why.
    #[error("{0}")]
    Damaged(String),
    /// No frame of this format gives one.
    #[error("the camera sends {}: {cause}", format.fourcc)]
    Never {
        /// What the camera sends.
        format: StreamFormat,
        /// Why it cannot be decoded.
        cause: DecodeError,
    },
    /// The camera cannot be read.
    #[error(transparent)]
    Camera(Error),
    /// There is no image of this kind of such a picture.
    #[error(transparent)]
    Image(#[from] EncodeError),
}

impl Shots {
    /// Of a camera that was opened; its newest frame is the first if it was opened at [`sdvr::Start::Oldest`].
    #[must_use]
    pub const fn new(camera: Camera, kind: ImageKind) -> Self {
        Self {
            kind,
            reader: Reader::AsTheyCame(camera),
        }
    }

    /// Whose pictures they are.
    #[must_use]
    pub const fn camera(&self) -> &Camera {
        match &self.reader {
            Reader::AsTheyCame(camera) => camera,
            Reader::Pictures(_, pictures) => pictures.camera(),
        }
    }

    /// The camera, to read its frames as they are.
    #[must_use]
    pub fn into_camera(self) -> Camera {
        match self.reader {
            Reader::AsTheyCame(camera) => camera,
            Reader::Pictures(_, pictures) => pictures.into_camera(),
        }
    }

    /// The same, if it was told before what the camera sends now: to be asked before every [`Self::next`], since it may have come back with frames of another
    /// format. Waits at most `timeout` for a camera that is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Ambiguous`], as [`Camera::next`].
    pub fn fitting(self, timeout: Duration) -> Result<Self, Error> {
        let kind = self.kind;
        let reader = self.reader.fitting(kind, timeout)?;
        Ok(Self { kind, reader })
    }

    /// The image of the newest frame that was not given before; waits at most `timeout` for one. `None` when none came.
    ///
    /// # Errors
    ///
    /// [`NoShot`] says whether asking again may help.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Shot>, NoShot> {
        self.reader.shot(timeout, self.kind)
    }
}

impl Reader {
    /// This reader, or another one if the camera has come (back) with frames that need another.
    fn fitting(self, kind: ImageKind, timeout: Duration) -> Result<Self, Error> {
        let camera = match self {
            Self::AsTheyCame(mut camera) => {
                camera.wait_until_there(timeout)?;
                camera
            }
            Self::Pictures(fourcc, pictures) => {
                let now = pictures.camera().info().map(|info| info.format.fourcc);
                if now.is_none_or(|now| now == fourcc) {
                    return Ok(Self::Pictures(fourcc, pictures));
                }
                pictures.into_camera()
            }
        };
        let Some(fourcc) = camera.info().map(|info| info.format.fourcc) else {
            return Ok(Self::AsTheyCame(camera));
        };
        if kind != ImageKind::Png && is_jpeg(fourcc) {
            return Ok(Self::AsTheyCame(camera));
        }
        let is_gray = [FourCc::GREY, FourCc::Y16].contains(&fourcc);
        let pixels = if is_gray { Pixels::Gray } else { Pixels::Rgb };
        Ok(Self::Pictures(fourcc, camera.decoded(pixels)))
    }

    fn shot(&mut self, timeout: Duration, kind: ImageKind) -> Result<Option<Shot>, NoShot> {
        match self {
            Self::AsTheyCame(camera) => {
                let Some(frame) = camera.next(Policy::Latest, timeout)? else {
                    return Ok(None);
                };
                let image = sdvr::jpeg::with_huffman_tables(frame.bytes());
                let image = image.map_err(|error| NoShot::damaged(&frame, error))?;
                Ok(Some(Shot {
                    image: image.into_owned(),
                    width: frame.format().width,
                    height: frame.format().height,
                    frame,
                }))
            }
            Self::Pictures(_, pictures) => {
                let format = pictures.camera().info().map(|info| info.format);
                let decoded = newest(pictures, timeout).map_err(|error| match (error, format) {
                    (
                        Error::Undecodable {
                            cause: cause @ (DecodeError::Unsupported { .. } | DecodeError::Size { .. }),
                            ..
                        },
                        Some(format),
                    ) => NoShot::Never { format, cause },
                    (error, _) => NoShot::from(error),
                })?;
                let Some(decoded) = decoded else {
                    return Ok(None);
                };
                let frame = decoded.frame().clone();
                let picture = decoded.picture();
                Ok(Some(Shot {
                    image: encode(kind, picture, frame.captured_date())?,
                    width: picture.width(),
                    height: picture.height(),
                    frame,
                }))
            }
        }
    }
}

impl NoShot {
    fn damaged(frame: &Frame, error: impl std::fmt::Display) -> Self {
        Self::Damaged(format!("frame {} is damaged: {error}", frame.number()))
    }
}

impl From<Error> for NoShot {
    fn from(error: Error) -> Self {
        match error {
            Error::Ended => Self::Ended,
            Error::Undecodable { frame, cause, .. } => {
                Self::Damaged(format!("frame {frame} is damaged: {cause}"))
            }
            error => Self::Camera(error),
        }
    }
}

/// The newest picture. Of an inter-coded stream the first is the newest key frame's, from which on all are decoded.
fn newest(pictures: &mut Pictures, timeout: Duration) -> Result<Option<Decoded>, Error> {
    let Some(mut newest) = pictures.next(Policy::Latest, timeout)? else {
        return Ok(None);
    };
    let begin = Instant::now();
    while newest.frame().format().fourcc.is_inter_coded() && begin.elapsed() < DECODING_MOST {
        match pictures.next(Policy::Latest, Duration::ZERO) {
            Ok(Some(next)) => newest = next,
            // The one that there is is good.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(Some(newest))
}

/// Whether every frame of a format is an image. V4L2 has two names for JPEG images.
#[must_use]
pub fn is_jpeg(fourcc: FourCc) -> bool {
    [FourCc::MJPG, FourCc(*b"JPEG")].contains(&fourcc)
}

/// From which age on a frame is stale: one that is shown as the newest would deceive. `None`: never.
#[must_use]
pub fn stale_after(state: StreamState, format: StreamFormat) -> Option<Duration> {
    if state != StreamState::Live {
        return Some(STALE);
    }
    let interval_ns = format.rate.interval_ns()?;
    let intervals = Duration::from_nanos(interval_ns.saturating_mul(STALE_INTERVALS));
    Some(intervals.max(STALE))
}

#[cfg(test)]
mod tests {
    use sdvr::FrameRate;

    use super::*;

    #[test]
    fn a_slow_camera_s_frame_is_not_stale_before_its_time() {
        let check = |state, rate, limit: Option<u64>| {
            let format = StreamFormat {
                fourcc: FourCc::MJPG,
                width: 640,
                height: 480,
                rate,
            };
            assert_eq!(
                stale_after(state, format),
                limit.map(Duration::from_secs),
                "{state} {rate}"
            );
        };
        let hourly = FrameRate::new(1, 3600).expect("the denominator is not 0");
        check(StreamState::Live, FrameRate::from_whole(30), Some(3));
        check(StreamState::Live, FrameRate::from_whole(1), Some(10));
        check(StreamState::Live, hourly, Some(36_000));
        check(StreamState::Live, FrameRate::UNPACED, None);
        for state in [StreamState::Stale, StreamState::Lost, StreamState::Closed] {
            check(state, hourly, Some(3));
        }
    }
}
