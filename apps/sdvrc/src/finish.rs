//! Why a session is ended from this side, and how long the server may take to confirm it.

use std::time::Duration;

use sdvr_session::CloseCode;

use crate::failure::Failure;

/// How long the server may take to confirm the end, once the last bytes are on their way.
const FINISH_TIME: Duration = Duration::from_secs(10);
/// … when the user wants to go.
const FINISH_TIME_INTERRUPTED: Duration = Duration::from_secs(1);

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum Finish {
    /// The source has come to its end.
    EndOfSource,
    /// The user wants to go.
    Interrupted,
    /// The source cannot go on, for this reason.
    SourceFailed(Failure),
}

impl Finish {
    pub(crate) const fn code(&self) -> CloseCode {
        match self {
            Self::EndOfSource => CloseCode::EndOfSource,
            Self::Interrupted | Self::SourceFailed(_) => CloseCode::ShuttingDown,
        }
    }

    pub(crate) const fn text(&self) -> &'static str {
        match self {
            Self::EndOfSource => "the source has come to its end",
            Self::Interrupted => "the camera program was ended",
            Self::SourceFailed(_) => "the camera's source has failed",
        }
    }

    pub(crate) const fn time(&self) -> Duration {
        match self {
            Self::EndOfSource | Self::SourceFailed(_) => FINISH_TIME,
            Self::Interrupted => FINISH_TIME_INTERRUPTED,
        }
    }
}
