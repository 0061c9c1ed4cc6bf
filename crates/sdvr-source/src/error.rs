//! What can go wrong with a source.

use std::io;

use crate::container::{ContainerError, Place};
use crate::play_from::PlayFromError;
use crate::splitter::SplitError;
use crate::v4l2::DeviceError;

/// Why a source gives no frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be opened or read.
    #[error("cannot {action} {name}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        name: String,
        /// What the system says.
        error: io::Error,
    },
    /// Its bytes are not what they should be.
    #[error("{name}, byte {offset}: {error}")]
    Content {
        /// Of which.
        name: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        error: SplitError,
    },
    /// A container is damaged, cut off, or holds nothing that is carried.
    #[error("{name}, {place}: {error}")]
    Container {
        /// Of which file or pipe.
        name: String,
        /// Where.
        place: Place,
        /// What is wrong.
        error: ContainerError,
    },
    /// A recording has no such place, or does not say when it was recorded.
    #[error("{name}: {error}")]
    PlayFrom {
        /// Of which file or pipe.
        name: String,
        /// What there is instead.
        error: PlayFromError,
    },
    /// Standard input is a keyboard.
    #[error(
        "standard input is a terminal; pipe a stream into it, such as: rpicam-vid -t 0 --codec mjpeg -o - | sdvrc -i -"
    )]
    Terminal,
    /// A camera.
    #[error(transparent)]
    Camera(#[from] DeviceError),
    /// Two options do not go together, or not with this source.
    #[error("{0}")]
    Options(&'static str),
    /// A picture of the test pattern could not be made.
    #[error("cannot make the test picture: {0}")]
    Encode(String),
}
