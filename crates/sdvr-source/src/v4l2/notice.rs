//! What a camera's user should be told, and only the program that captures can say: it has the log.

use std::fmt;
use std::path::PathBuf;

use sdvr_frame::StreamFormat;

/// Something that happened to a camera. Its text is meant for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Frames will come.
    Capturing {
        /// The node.
        path: PathBuf,
        /// What the driver calls the camera.
        card: String,
        /// What the frames are.
        format: StreamFormat,
    },
    /// The driver does not do what was asked for.
    Differs {
        /// As asked for.
        asked: String,
        /// What it does instead.
        given: String,
    },
    /// It is gone; it is looked for until it is back.
    Gone {
        /// Where it was.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is there, but cannot be used; tried again.
    Unusable(String),
    /// It is there, and gives nothing.
    Silent(PathBuf),
    /// Its frames are fields.
    SingleFields(PathBuf),
    /// Its picture has become another one.
    Changed(StreamFormat),
}

impl Notice {
    /// Whether somebody may have to do something.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::Capturing { .. } | Self::Changed(_) => false,
            Self::Differs { .. }
            | Self::Gone { .. }
            | Self::Unusable(_)
            | Self::Silent(_)
            | Self::SingleFields(_) => true,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capturing { path, card, format } => {
                write!(
                    formatter,
                    "capturing {} from {card} ({})",
                    words(format),
                    path.display()
                )
            }
            Self::Differs { asked, given } => {
                write!(
                    formatter,
                    "the camera gives {given}, not {asked} as asked for"
                )
            }
            Self::Gone { path, reason } => {
                write!(
                    formatter,
                    "the camera at {} is gone ({reason}); streaming goes on when it is back",
                    path.display()
                )
            }
            Self::Unusable(problem) => write!(formatter, "{problem}; trying again"),
            Self::Silent(path) => write!(
                formatter,
                "the camera at {} gives no frames; it is started anew (one that waits for a trigger is right to)",
                path.display()
            ),
            Self::SingleFields(path) => write!(
                formatter,
                "the picture at {} is interlaced, and its driver gives single fields: frames have half the lines",
                path.display()
            ),
            Self::Changed(format) => write!(formatter, "the picture is now {}", words(format)),
        }
    }
}

/// `MJPG 1280x720 at 30`
pub(crate) fn words(format: &StreamFormat) -> String {
    let StreamFormat {
        fourcc,
        width,
        height,
        rate,
    } = format;
    format!("{fourcc} {width}x{height} at {rate} frames a second")
}
