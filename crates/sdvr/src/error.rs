//! What can go wrong for a program that reads frames.

use std::path::PathBuf;

/// Why there is no frame, or no camera.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No camera of that name is there.
    #[error(
        "there is no camera {wanted:?} ({known}). Is sdvrd running, by this user or with --group? Set SDVR_SHM_DIR if it has a --shm-dir"
    )]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is, for people.
        known: String,
    },
    /// Several other users publish a camera of that name, and anybody can: this user has to say whose is meant.
    #[error(
        "several users publish a camera {wanted:?}, in {}. Set SDVR_SHM_DIR to the directory of the one that is meant",
        listed(directories)
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Where there is one.
        directories: Vec<PathBuf>,
    },
    /// The camera is there, and this user may not read it.
    #[error("this user may not read the frames; the daemon's --group lets others in")]
    Forbidden,
    /// The camera said that it ends. Asking again waits for it to come back.
    #[error("the camera has ended")]
    Ended,
    /// A frame gave no picture. Asking again goes on behind it.
    #[cfg(feature = "decode")]
    #[error("frame {frame} of {camera} cannot be shown: {cause}")]
    Undecodable {
        /// Whose frame it is.
        camera: String,
        /// Which one.
        frame: sdvr_frame::FrameNumber,
        /// Why.
        cause: sdvr_decode::DecodeError,
    },
    /// The daemon's files are damaged, or of another version.
    #[error("the frames cannot be used: {0}")]
    Unusable(String),
}

fn listed(directories: &[PathBuf]) -> String {
    let names = directories.iter().map(|path| path.display().to_string());
    names.collect::<Vec<_>>().join(" and ")
}
