//! Video files with tracks and times: MP4 (QuickTime, fragmented), Matroska (`WebM`), IVF.
//!
//! A demuxer looks at the bytes where it stands and says what it needs next ([`Step`]): more of them, to go somewhere else, or that a sample
//! begins here. It never reads, waits or allocates by a number that it was told, so what is at hand is bounded by a frame or an index,
//! and pipes do as well as files. Samples become frames in `frames.rs`.

mod av1;
mod error;
mod fields;
mod frames;
mod ivf;
mod matroska;
mod mp4;
mod nal;
mod raw;
mod search;
mod times;

use sdvr_frame::{FourCc, FrameRate};

use crate::play_from::PlayFrom;

pub use error::{ContainerError, Place};
pub(crate) use frames::Frames;
pub(crate) use times::Timeline;

/// Bytes that are looked at to tell a container.
pub(crate) const DETECT_BYTES: usize = 64;

const NS_PER_S: i128 = 1_000_000_000;

/// How frames are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    H265,
    Vp8,
    Vp9,
    Av1,
    Jpeg,
    /// Pixels, in this format.
    Raw(FourCc),
}

impl Codec {
    pub(crate) const fn fourcc(self) -> FourCc {
        match self {
            Self::H264 => FourCc::H264,
            Self::H265 => FourCc::HEVC,
            Self::Vp8 => FourCc::VP80,
            Self::Vp9 => FourCc::VP90,
            Self::Av1 => FourCc::AV01,
            Self::Jpeg => FourCc::MJPG,
            Self::Raw(fourcc) => fourcc,
        }
    }
}

/// What a decoder has to know before samples of this kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) codec: Codec,
    /// `avcC`, `hvcC` or `av1C`; empty where the codec needs none.
    pub(crate) record: Vec<u8>,
    /// Bytes that every sample begins with and that are not in the file (Matroska's header stripping).
    pub(crate) stripped: Vec<u8>,
}

/// The track that is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) number: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rate: FrameRate,
    /// Not empty, and all of one codec.
    pub(crate) descriptions: Vec<Description>,
}

/// What the times in a file are times of, in nanoseconds from wherever the file counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// When it is to be decoded: never less than that of the sample before, unless the file is damaged.
    Decoding(i64),
    /// When it is to be shown. Frames that are shown before frames that stand before them make it go back.
    Presentation(i64),
}

impl Time {
    /// Whatever it is a time of.
    pub(crate) const fn nanoseconds(self) -> i64 {
        let (Self::Decoding(time) | Self::Presentation(time)) = self;
        time
    }
}

/// A sample that begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) bytes: usize,
    /// Counts from 0.
    pub(crate) number: u64,
    pub(crate) time: Time,
    /// Which of the track's descriptions is its own.
    pub(crate) description: usize,
}

/// What a demuxer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes from here on at once, or as many as there are.
    Need(usize),
    /// To stand so many bytes further.
    Skip(u64),
    /// To stand there.
    Seek(u64),
    /// This sample to be taken, and to stand behind it.
    Sample(Sample),
    /// Nothing more.
    Ended,
}

/// What a demuxer sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The bytes from where it stands.
    pub(crate) bytes: &'a [u8],
    /// How many bytes are before them.
    pub(crate) offset: u64,
    /// Whether no others follow.
    pub(crate) is_end: bool,
}

impl View<'_> {
    /// [`Step::Need`], or an error if there will not be so many.
    fn need(&self, count: usize, what: &'static str) -> Result<Step, ContainerError> {
        if self.is_end && self.bytes.len() < count {
            return Err(ContainerError::CutOff(what));
        }
        Ok(Step::Need(count))
    }
}

/// Finds samples.
#[derive(Debug)]
pub(crate) enum Demuxer {
    Mp4(Box<mp4::Mp4>),
    Matroska(Box<matroska::Matroska>),
    Ivf(Box<ivf::Ivf>),
}

impl Demuxer {
    /// By the beginning of a file; `None` if that is no container's.
    pub(crate) fn detect(start: &[u8], is_pipe: bool) -> Option<Self> {
        if mp4::is_beginning(start) {
            Some(Self::Mp4(Box::new(mp4::Mp4::new(is_pipe))))
        } else if start.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
            Some(Self::Matroska(Box::default()))
        } else if start.starts_with(b"DKIF") {
            Some(Self::Ivf(Box::default()))
        } else {
            None
        }
    }

    /// Begins again at the start of the file.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Mp4(mp4) => mp4.restart(),
            Self::Matroska(matroska) => **matroska = matroska::Matroska::default(),
            Self::Ivf(ivf) => **ivf = ivf::Ivf::default(),
        }
    }

    /// Whether its samples have times of presentation only, of which the first ones tell how frames overtake each other.
    pub(crate) const fn has_times_of_presentation(&self) -> bool {
        matches!(self, Self::Matroska(_))
    }

    /// Looks for where to begin in a file of `file_bytes`, from its start on: the first sample that is given is the last key frame at or before that.
    /// Nothing is given as a sample until then, and [`ContainerError::PlayFrom`] if there is no such place.
    pub(crate) fn search(&mut self, from: PlayFrom, file_bytes: u64) {
        match self {
            Self::Mp4(mp4) => mp4.search(from, file_bytes),
            Self::Matroska(matroska) => matroska.search(from, file_bytes),
            Self::Ivf(ivf) => ivf.search(from, file_bytes),
        }
    }

    /// Whether it looks for where to begin: little is read then at a time.
    pub(crate) const fn is_searching(&self) -> bool {
        match self {
            Self::Mp4(mp4) => mp4.is_searching(),
            Self::Matroska(matroska) => matroska.is_searching(),
            Self::Ivf(ivf) => ivf.is_searching(),
        }
    }

    /// When the file's first sample is, in the file, if playing did not begin with it.
    pub(crate) const fn first_time(&self) -> Option<i64> {
        match self {
            Self::Mp4(mp4) => mp4.first_time(),
            Self::Matroska(matroska) => matroska.first_time(),
            Self::Ivf(ivf) => ivf.first_time(),
        }
    }

    /// When the sample at `first`, which is the file's first one, was recorded: nanoseconds since 1970, if the file says it.
    pub(crate) fn date(&self, first: i64) -> Option<i64> {
        match self {
            Self::Mp4(mp4) => mp4.date(first),
            Self::Matroska(matroska) => matroska.date(),
            Self::Ivf(_) => None,
        }
    }

    /// The track, from its first sample on.
    pub(crate) fn track(&self) -> Option<&Track> {
        match self {
            Self::Mp4(mp4) => mp4.track(),
            Self::Matroska(matroska) => matroska.track(),
            Self::Ivf(ivf) => ivf.track(),
        }
    }

    /// How many samples there were.
    pub(crate) fn samples(&self) -> u64 {
        match self {
            Self::Mp4(mp4) => mp4.samples(),
            Self::Matroska(matroska) => matroska.samples(),
            Self::Ivf(ivf) => ivf.samples(),
        }
    }

    /// What is wanted next, which is done before this is called again.
    pub(crate) fn next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        match self {
            Self::Mp4(mp4) => mp4.next(view),
            Self::Matroska(matroska) => matroska.next(view),
            Self::Ivf(ivf) => ivf.next(view),
        }
    }
}

/// `ticks` of `numerator / denominator` seconds each, as nanoseconds; the longest there is if they are more.
fn nanoseconds(ticks: i128, numerator: u64, denominator: u64) -> i64 {
    let ns = ticks
        .saturating_mul(numerator.into())
        .saturating_mul(NS_PER_S)
        / i128::from(denominator.max(1));
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

/// `frames` in `ticks / ticks_per_second` seconds; no rate if that is none of video.
fn rate(frames: u64, ticks: u64, ticks_per_second: u64) -> FrameRate {
    let unknown = FrameRate::UNPACED;
    let frames = u128::from(frames).saturating_mul(ticks_per_second.into());
    let (mut numerator, mut denominator) = (frames, u128::from(ticks));
    if numerator == 0 || denominator == 0 || numerator / denominator > 1000 {
        return unknown;
    }
    let divisor = greatest_common_divisor(numerator, denominator);
    (numerator, denominator) = (numerator / divisor, denominator / divisor);
    while numerator > u128::from(u32::MAX) || denominator > u128::from(u32::MAX) {
        (numerator, denominator) = (numerator / 2, denominator / 2);
    }
    match (u32::try_from(numerator), u32::try_from(denominator)) {
        (Ok(numerator), Ok(denominator)) if numerator > 0 => {
            FrameRate::new(numerator, denominator).unwrap_or(unknown)
        }
        _ => unknown,
    }
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_fractions_as_small_as_they_go() {
        let of = |frames, ticks, scale| {
            let rate = rate(frames, ticks, scale);
            (rate.numerator, rate.denominator)
        };
        assert_eq!(of(300, 300 * 1001, 30_000), (30_000, 1001));
        assert_eq!(of(50, 2_000_000_000, 1_000_000_000), (25, 1));
        assert_eq!(of(1, 0, 1000), (0, 1));
        assert_eq!(of(0, 10, 1000), (0, 1));
        assert_eq!(of(2000, 1, 1), (0, 1));
        assert_eq!(of(1, u64::MAX, 1), (0, 1));
    }

    #[test]
    fn times_beyond_all_measure_are_the_last_there_is() {
        assert_eq!(nanoseconds(3, 1, 1000), 3_000_000);
        assert_eq!(nanoseconds(-3, 1001, 30_000), -100_100_000);
        assert_eq!(nanoseconds(i128::MAX, u64::MAX, 1), i64::MAX);
        assert_eq!(nanoseconds(i128::MIN, u64::MAX, 1), i64::MIN);
        assert_eq!(nanoseconds(1, 1, 0), 1_000_000_000);
    }
}
