//! The newest picture of a camera that is good enough.

use std::time::{Duration, Instant};

use anyhow::bail;
use sdvr::{
    Camera, DecodeError, Decoded, Error, FourCc, Frame, Pictures, Pixels, Policy, Start,
    StreamFormat, StreamState, Timestamp,
};
use sdvr_image::ImageKind;

use super::{Arguments, remedy};
use crate::output::{Interrupted, WrongUsage};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How often it is looked whether the user wants to go.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// A frame of a camera whose link is not up is stale when it is older. The link may be silent for as long before that is noticed.
const STALE: Duration = Duration::from_secs(3);
/// A live camera's frame is stale when so many more should be there: dark rooms make webcams several times slower than they announce.
const STALE_INTERVALS: u64 = 10;

/// Inter-coded frames are decoded from the newest key frame up to the newest frame, unless that takes longer: then the picture is an older one.
const DECODING_MOST: Duration = Duration::from_secs(2);

/// A picture, as it is written.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) camera: Camera,
    pub(super) frame: Frame,
    pub(super) image: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How the camera's frames become images.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Reader {
    /// They are images already, or it is not known yet what they are.
    AsTheyCame(Camera),
    /// Frames of this format are decoded.
    Pictures(FourCc, Pictures),
}

/// A frame and the image of it.
struct Shot {
    frame: Frame,
    image: Vec<u8>,
    width: u32,
    height: u32,
}

/// Waits for the newest picture that is whole and not stale.
pub(super) fn picture(
    arguments: &Arguments,
    kind: ImageKind,
    interrupted: &Interrupted,
) -> anyhow::Result<Newest> {
    let timeout = match arguments.timeout {
        Some(seconds) => Some(Duration::from_secs_f64(seconds)),
        None if arguments.wait => None,
        None => Some(TIMEOUT_DEFAULT),
    };
    let deadline = timeout.map_or(Timestamp::NEVER, |timeout| Timestamp::now() + timeout);
    // A frame that is there already is the newest until another comes.
    let camera = match Camera::open_at(&arguments.camera, Start::Oldest) {
        Err(Error::NotFound { .. }) if arguments.wait => Camera::wait_for(&arguments.camera),
        camera => camera?,
    };
    let mut reader = Reader::AsTheyCame(camera);
    let mut refused = None;
    while !interrupted.is_set() {
        let rest = deadline.saturating_since(Timestamp::now());
        reader = reader.fitting(kind, rest.min(LOOK_INTERVAL))?;
        match reader.shot(rest.min(LOOK_INTERVAL), kind) {
            Ok(Some(shot)) => match refusal(arguments, reader.camera(), &shot.frame) {
                None => {
                    return Ok(Newest {
                        camera: reader.into_camera(),
                        frame: shot.frame,
                        image: shot.image,
                        width: shot.width,
                        height: shot.height,
                    });
                }
                why => refused = why,
            },
            Ok(None) if rest.is_zero() => return Err(no_frame(reader.camera(), timeout, refused)),
            Ok(None) | Err(NoShot::Ended) => {}
            Err(NoShot::Damaged(why)) => refused = Some(why),
            Err(NoShot::Never { format, cause }) => {
                let remedy = remedy::for_format(&arguments.camera, &format, &cause);
                bail!(WrongUsage(remedy));
            }
            Err(NoShot::Other(error)) => return Err(error),
        }
    }
    bail!("interrupted before there was a picture")
}

/// Why there is no image.
enum NoShot {
    /// The camera has ended, and may come back until the time is up.
    Ended,
    /// The next frame may be better.
    Damaged(String),
    /// No frame of this format gives one.
    Never {
        format: StreamFormat,
        cause: DecodeError,
    },
    Other(anyhow::Error),
}

impl Reader {
    /// This reader, or another one if the camera has come (back) with frames that need another. Waits at most `timeout` for a camera that is not there.
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
        if kind == ImageKind::Jpeg && is_jpeg(fourcc) {
            return Ok(Self::AsTheyCame(camera));
        }
        let is_gray = [FourCc::GREY, FourCc::Y16].contains(&fourcc);
        let pixels = if is_gray { Pixels::Gray } else { Pixels::Rgb };
        Ok(Self::Pictures(fourcc, camera.decoded(pixels)))
    }

    const fn camera(&self) -> &Camera {
        match self {
            Self::AsTheyCame(camera) => camera,
            Self::Pictures(_, pictures) => pictures.camera(),
        }
    }

    fn into_camera(self) -> Camera {
        match self {
            Self::AsTheyCame(camera) => camera,
            Self::Pictures(_, pictures) => pictures.into_camera(),
        }
    }

    /// The newest frame's image; waits at most `timeout` for one.
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
                let image = sdvr_image::encode(kind, picture, frame.captured_date());
                Ok(Some(Shot {
                    image: image.map_err(|error| NoShot::Other(error.into()))?,
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
            error => Self::Other(error.into()),
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

/// V4L2 has two names for JPEG images.
fn is_jpeg(fourcc: FourCc) -> bool {
    [FourCc::MJPG, FourCc(*b"JPEG")].contains(&fourcc)
}

/// Why a frame is not taken, for people; `None` when it is.
fn refusal(arguments: &Arguments, camera: &Camera, frame: &Frame) -> Option<String> {
    let limit = stale_after(camera.state(), frame.format())?;
    let age = frame.age();
    (age > limit && !arguments.stale_ok).then(|| {
        format!(
            "its newest frame is {:.0} s old; --stale-ok takes it",
            age.as_secs_f64()
        )
    })
}

/// From which age on a frame is stale; `None`: never.
fn stale_after(state: StreamState, format: StreamFormat) -> Option<Duration> {
    if state != StreamState::Live {
        return Some(STALE);
    }
    let interval_ns = format.rate.interval_ns()?;
    let intervals = Duration::from_nanos(interval_ns.saturating_mul(STALE_INTERVALS));
    Some(intervals.max(STALE))
}

fn no_frame(camera: &Camera, timeout: Option<Duration>, refused: Option<String>) -> anyhow::Error {
    let (label, state) = (camera.label(), camera.state());
    let seconds = timeout.unwrap_or_default().as_secs_f64();
    match refused {
        None => anyhow::anyhow!("no frame of {label} came in {seconds} s; the camera is {state}"),
        Some(why) => anyhow::anyhow!(
            "no good frame of {label} came in {seconds} s; the camera is {state}, and {why}"
        ),
    }
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
