//! What a source is called on the command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::FileType;
use sdvr_frame::{FourCc, FrameRate};

use crate::error::SourceError;
use crate::pace::Pace;
use crate::play_from::{CaptureTimes, PlayFrom};
use crate::v4l2::ControlSetting;

/// A source as named with `-i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// `-`
    StandardInput,
    /// A file or a named pipe.
    File(PathBuf),
    /// A camera of this host, by its node: `/dev/video0`.
    Device(PathBuf),
    /// `test:?size=1280x720&fps=30&format=MJPG&bytes=100000&count=300`
    Test(TestSpec),
}

/// What the test pattern is asked for; what is not said is up to the options, then to the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestSpec {
    /// Pixels across and down.
    pub size: Option<(u32, u32)>,
    /// Frames a second; 0: as fast as they are taken.
    pub rate: Option<FrameRate>,
    /// MJPG, YUYV, NV12, GREY or BNCH.
    pub fourcc: Option<FourCc>,
    /// Bytes of a BNCH frame; frames of the other formats are as long as their picture makes them.
    pub bytes: Option<usize>,
    /// Frames until it ends.
    pub count: Option<u64>,
}

/// What holds for any source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Frames a second (`-r`).
    pub rate: Option<FrameRate>,
    /// Pixels across and down (`-s`).
    pub size: Option<(u32, u32)>,
    /// The format (`-f`).
    pub fourcc: Option<FourCc>,
    /// Hand out every n-th frame only (`-x`). Frames that are left out on purpose get no number. Refused for H.264, H.265, VP8, VP9 and AV1, where
    /// each frame is needed to decode the next.
    pub every_nth: u32,
    /// Begin again at the end of a file (`--loop`).
    pub looped: bool,
    /// Where in a recording to begin (`--from`), also at each further round.
    pub from: Option<PlayFrom>,
    /// Whose times the frames of a recording have (`--times`).
    pub times: CaptureTimes,
    /// Controls of a camera to set before it is started (`--set`).
    pub controls: Vec<ControlSetting>,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            rate: None,
            size: None,
            fourcc: None,
            every_nth: 1,
            looped: false,
            from: None,
            times: CaptureTimes::Now,
            controls: Vec::new(),
        }
    }
}

/// Why a text is not a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSpecError {
    /// Nothing was named.
    #[error("the source is empty; name a camera such as /dev/video0, a file, - or test:")]
    Empty,
    /// An address on the network.
    #[error(
        "{0} is an address, which sdvrc does not open; let ffmpeg do so: ffmpeg -i {0} -c:v copy -f h264 - | sdvrc -i -   (or -f hevc, mjpeg; a file of this name is file:{0})"
    )]
    Url(String),
    /// A key that the test pattern does not have.
    #[error(
        "the test pattern has no {0:?}; it has size, fps, format, bytes and count, as in test:?size=1280x720&fps=30&format=MJPG"
    )]
    Key(String),
    /// A value that does not fit its key.
    #[error("{value:?} is not a value for {key}: {wanted}")]
    Value {
        /// Which key.
        key: &'static str,
        /// As given.
        value: String,
        /// What would be one.
        wanted: &'static str,
    },
}

impl CaptureOptions {
    /// Whether frames come at a rate that the user has set.
    pub(crate) fn has_pace(&self) -> bool {
        self.rate.and_then(Pace::new).is_some()
    }

    /// Whether they fit what is no recording.
    pub(crate) fn check_no_recording(&self) -> Result<(), SourceError> {
        if self.from.is_some() {
            return Err(SourceError::Options(
                "--from needs a recording, which has times: an MP4, Matroska, WebM or IVF file",
            ));
        }
        if self.times == CaptureTimes::Recorded {
            return Err(SourceError::Options(
                "--times recorded needs a recording that says when it was made: an MP4 or Matroska file",
            ));
        }
        Ok(())
    }

    /// Whether they fit a file's or a pipe's frames.
    pub(crate) fn check_stream(&self, fourcc: FourCc) -> Result<(), SourceError> {
        if self.every_nth > 1 && fourcc.is_inter_coded() {
            return Err(SourceError::Options(
                "-x cannot thin out H.264, H.265, VP8, VP9 or AV1: every frame is needed to decode the next",
            ));
        }
        if self
            .fourcc
            .is_some_and(|wanted| wanted != fourcc && !(fourcc == FourCc::Y4M && wanted.is_raw()))
        {
            return Err(SourceError::Options(
                "-f names another format than the stream has; a stream is never converted",
            ));
        }
        Ok(())
    }

    /// The rate of the frames that are handed out, when they are captured at `rate`.
    pub(crate) fn announced(&self, rate: FrameRate) -> FrameRate {
        rate.denominator
            .checked_mul(self.every_nth.max(1))
            .and_then(|denominator| FrameRate::new(rate.numerator, denominator))
            .unwrap_or(rate)
    }
}

impl FromStr for SourceSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, ParseSpecError> {
        match text {
            "" => Err(ParseSpecError::Empty),
            "-" => Ok(Self::StandardInput),
            _ => match text.strip_prefix("test:") {
                Some(query) => parse_test(query).map(Self::Test),
                None => parse_file(text).map(|path| {
                    if is_camera_device(&path) {
                        Self::Device(path)
                    } else {
                        Self::File(path)
                    }
                }),
            },
        }
    }
}

/// Whether a path leads to a device of Video4Linux (character devices of major number 81: Linux, `admin-guide/devices.txt`), or is called like
/// one and is not there.
pub(crate) fn is_camera_device(path: &Path) -> bool {
    const VIDEO_MAJOR: u32 = 81;
    match rustix::fs::stat(path) {
        Ok(stat) => {
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && rustix::fs::major(stat.st_rdev) == VIDEO_MAJOR
        }
        Err(_) => {
            let name = path.as_os_str().as_encoded_bytes();
            name.starts_with(b"/dev/video") || name.starts_with(b"/dev/v4l/")
        }
    }
}

fn parse_file(text: &str) -> Result<PathBuf, ParseSpecError> {
    if let Some(path) = text.strip_prefix("file:") {
        return Ok(PathBuf::from(path));
    }
    let is_scheme = |scheme: &str| {
        scheme.len() > 1
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => Err(ParseSpecError::Url(text.to_owned())),
        _ => Ok(PathBuf::from(text)),
    }
}

fn parse_test(query: &str) -> Result<TestSpec, ParseSpecError> {
    let mut spec = TestSpec::default();
    for pair in query
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let wrong = |key, wanted| ParseSpecError::Value {
            key,
            value: value.to_owned(),
            wanted,
        };
        match key {
            "size" => {
                spec.size =
                    Some(parse_size(value).ok_or_else(|| {
                        wrong("size", "WIDTHxHEIGHT, each from 16 to 8192 and even")
                    })?)
            }
            "fps" => {
                spec.rate = Some(value.parse().map_err(|_| {
                    wrong(
                        "fps",
                        "a number such as 30, 29.97 or 30000/1001; 0 is as fast as possible",
                    )
                })?)
            }
            "format" => {
                let fourcc = value.parse().ok().filter(|fourcc| FORMATS.contains(fourcc));
                spec.fourcc =
                    Some(fourcc.ok_or_else(|| wrong("format", "MJPG, YUYV, NV12, GREY or BNCH"))?);
            }
            "bytes" => {
                let bytes = value
                    .parse()
                    .ok()
                    .filter(|bytes| (24..=1 << 28).contains(bytes));
                spec.bytes =
                    Some(bytes.ok_or_else(|| wrong("bytes", "a number from 24 to 268435456"))?);
            }
            "count" => {
                spec.count = Some(
                    value
                        .parse()
                        .map_err(|_| wrong("count", "a number of frames"))?,
                )
            }
            other => return Err(ParseSpecError::Key(other.to_owned())),
        }
    }
    Ok(spec)
}

/// What the test pattern comes in.
pub(crate) const FORMATS: [FourCc; 5] = [
    FourCc::MJPG,
    FourCc::YUYV,
    FourCc::NV12,
    FourCc::GREY,
    FourCc::BNCH,
];

/// Reads `1280x720`.
pub(crate) fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    is_size(width, height).then_some((width, height))
}

/// Whether the test pattern can be that large.
pub(crate) fn is_size(width: u32, height: u32) -> bool {
    [width, height]
        .iter()
        .all(|side| (16..=8192).contains(side) && side.is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources() {
        assert_eq!("-".parse(), Ok(SourceSpec::StandardInput));
        assert_eq!("a/b.mjpg".parse(), Ok(SourceSpec::File("a/b.mjpg".into())));
        let spec = TestSpec {
            size: Some((64, 48)),
            rate: Some(FrameRate::from_whole(5)),
            fourcc: Some(FourCc::GREY),
            bytes: None,
            count: Some(3),
        };
        assert_eq!(
            "test:?size=64x48&fps=5&format=grey&count=3".parse(),
            Ok(SourceSpec::Test(spec))
        );
        assert_eq!("test:".parse(), Ok(SourceSpec::Test(TestSpec::default())));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            "test:?sice=1x1".parse::<SourceSpec>(),
            Err(ParseSpecError::Key("sice".to_owned()))
        );
        for wrong in [
            "test:?size=0x0",
            "test:?size=17x16",
            "test:?fps=x",
            "test:?format=H264",
            "test:?bytes=1",
            "test:?count=-1",
        ] {
            assert!(
                matches!(
                    wrong.parse::<SourceSpec>(),
                    Err(ParseSpecError::Value { .. })
                ),
                "{wrong}"
            );
        }
    }
}
