//! How far the link to the server is, and what it waits for in each state.

use std::time::Duration;

use rustix::event::PollFlags;
use sdvr_frame::Timestamp;
use sdvr_session::CloseCode;
use sdvr_transport::TcpLink;

use crate::dial::Dial;
use crate::greeting::{GREETING_TIME, Greeting};
use crate::streaming::Streaming;

/// How long the server may take to confirm the end, once the last bytes are on their way.
const FINISH_TIME: Duration = Duration::from_secs(10);
/// … when only new keys are due: a camera must not stand still for it.
const FINISH_TIME_NEW_KEYS: Duration = Duration::from_secs(2);
/// … when the user wants to go.
const FINISH_TIME_INTERRUPTED: Duration = Duration::from_secs(1);

/// How far the link is.
#[derive(Debug)]
pub(crate) enum Link {
    /// The source has not shown what it is.
    Preparing,
    /// Trying again later.
    Waiting { until: Timestamp },
    /// Connecting.
    Dialling(Dial),
    /// Shaking hands.
    Greeting(Box<Greeting>),
    /// Frames flow.
    Streaming(Box<Streaming>),
    /// The end was said; the server has not confirmed it.
    Finishing {
        streaming: Box<Streaming>,
        until: Timestamp,
        finish: Finish,
    },
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The source has come to its end.
    EndOfSource,
    /// The user wants to go.
    Interrupted,
    /// The source cannot go on.
    SourceFailed,
    /// The session's keys have sealed enough; the next one goes on.
    NewKeys,
}

impl Finish {
    pub(crate) const fn code(self) -> CloseCode {
        match self {
            Self::EndOfSource => CloseCode::EndOfSource,
            Self::Interrupted | Self::SourceFailed => CloseCode::ShuttingDown,
            Self::NewKeys => CloseCode::KeysUsedUp,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::EndOfSource => "the source has come to its end",
            Self::Interrupted => "the camera program was ended",
            Self::SourceFailed => "the camera's source has failed",
            Self::NewKeys => "new keys are due",
        }
    }

    pub(crate) const fn time(self) -> Duration {
        match self {
            Self::EndOfSource | Self::SourceFailed => FINISH_TIME,
            Self::NewKeys => FINISH_TIME_NEW_KEYS,
            Self::Interrupted => FINISH_TIME_INTERRUPTED,
        }
    }
}

impl Link {
    /// Whether the source should be asked for frames now: a live one, and after frames have been sent.
    pub(crate) fn wants_source(&self, is_live: bool, has_streamed: bool) -> bool {
        match self {
            Self::Preparing => true,
            // The frame that it holds goes first.
            Self::Streaming(streaming) if streaming.holds_frame() => false,
            Self::Streaming(streaming) if streaming.takes_frames() => {
                is_live || streaming.is_drained()
            }
            // Nothing is captured for a server that was never there.
            _ if !has_streamed => false,
            // A live source goes on; what nobody takes is dropped.
            Self::Waiting { .. } | Self::Dialling(_) | Self::Greeting(_) | Self::Streaming(_) => {
                is_live
            }
            Self::Finishing { .. } => false,
        }
    }

    /// When the link wants to be looked at if nothing else happens first.
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        match self {
            Self::Preparing | Self::Dialling(_) => Timestamp::NEVER,
            Self::Waiting { until } => *until,
            Self::Greeting(greeting) => greeting.since + GREETING_TIME,
            Self::Streaming(streaming) => streaming.poll_timeout(),
            Self::Finishing {
                streaming, until, ..
            } => streaming.poll_timeout().min(*until),
        }
    }

    /// The socket, and what is waited for there.
    pub(crate) fn socket(&self) -> Option<(&TcpLink, PollFlags)> {
        match self {
            Self::Greeting(greeting) => Some((&greeting.link, PollFlags::IN)),
            Self::Streaming(streaming) | Self::Finishing { streaming, .. } => Some((
                &streaming.link,
                if streaming.is_drained() {
                    PollFlags::IN
                } else {
                    PollFlags::IN | PollFlags::OUT
                },
            )),
            Self::Preparing | Self::Waiting { .. } | Self::Dialling(_) => None,
        }
    }
}
