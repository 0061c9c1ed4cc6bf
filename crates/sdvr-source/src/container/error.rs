//! What can be wrong with a container, and where.

use std::fmt;

use crate::play_from::PlayFromError;

/// Why no frames, or no more, come out of a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The file or pipe ended early.
    #[error("the file ends within {0}: it was cut off, or its recording never ended")]
    CutOff(&'static str),
    /// More than is held in memory.
    #[error("{what} says that it has {bytes} bytes; at most {most} are read")]
    TooLarge {
        /// With its article.
        what: &'static str,
        /// As the file says.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// The bytes contradict the format.
    #[error("it is damaged: {0}")]
    Malformed(&'static str),
    /// Sound or text only.
    #[error("it has no video track; nothing else is carried")]
    NoVideo,
    /// Video in a track, of which there is none.
    #[error("its video track is empty")]
    NoSamples,
    /// Video of another kind.
    #[error(
        "its video is {0}, which is not carried; H.264, H.265, VP8, VP9, AV1, MJPEG and, in Matroska, uncompressed YUYV, NV12 and their like are. Convert it first: ffmpeg -i FILE -an -c:v libx264 -f matroska - | sdvrc -i -"
    )]
    Codec(String),
    /// Only who has its key can play it.
    #[error("its video is encrypted; frames of it would be of no use")]
    Encrypted,
    /// Compressed once more.
    #[error(
        "its video track is packed by {0}, which is not read; pack it anew first: ffmpeg -i FILE -map 0:v -c copy -f matroska - | sdvrc -i -"
    )]
    Packed(&'static str),
    /// A pipe cannot go back.
    #[error(
        "this MP4 has its index behind its frames, and a pipe cannot go back to those; name the file instead of -, or have it written with: ffmpeg -i FILE -c copy -movflags +faststart"
    )]
    IndexAtEnd,
    /// There is no such place in it, or nothing by which it could be found.
    #[error(transparent)]
    PlayFrom(#[from] PlayFromError),
    /// A pipe cannot go back.
    #[error(
        "the frames of this MP4 are not in the order in which they are played, and a pipe cannot go back; name the file instead of -"
    )]
    Backwards,
}

/// Where in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// The track's number in the file, and how many of its samples were before this one since playing began.
    pub sample: Option<(u64, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((track, sample)) = self.sample {
            write!(formatter, "track {track}, sample {sample}, ")?;
        }
        write!(formatter, "byte {}", self.offset)
    }
}
