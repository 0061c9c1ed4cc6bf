//! Why the client gives up.

use sdvr_source::SourceError;
use sdvr_trust::TrustError;

/// Why the client gave up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The server has a different key.
    #[error("the server's identity is not the expected one")]
    Identity,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Options(_) | SourceError::Terminal | SourceError::PlayFrom { .. } => {
                Self::Usage(error.to_string())
            }
            SourceError::Camera(problem) if problem.is_usage() => Self::Usage(problem.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::KeyInUse { .. } => Self::Usage(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}
