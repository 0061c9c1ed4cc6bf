//! What can go wrong for a program that reads frames.

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
    /// The camera is there, and this user may not read it.
    #[error("this user may not read the frames; the daemon's --group lets others in")]
    Forbidden,
    /// The camera said that it ends. Asking again waits for it to come back.
    #[error("the camera has ended")]
    Ended,
    /// The daemon's files are damaged, or of another version.
    #[error("the frames cannot be used: {0}")]
    Unusable(String),
}
