//! How far the link to the server is, and what it waits for in each state.

use rustix::event::PollFlags;
use sdvr_frame::Timestamp;
use sdvr_transport::TcpLink;

use crate::dial::Dial;
use crate::finish::Finish;
use crate::greeting::{GREETING_TIME, Greeting};
use crate::streaming::Streaming;

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

impl Link {
    /// Whether the source should be asked for frames now: a live one, and after frames have been sent.
    pub(crate) fn wants_source(&self, now: Timestamp, is_live: bool, has_streamed: bool) -> bool {
        match self {
            Self::Preparing => true,
            // The frame that it holds goes first.
            Self::Streaming(streaming) if streaming.holds_frame() => false,
            Self::Streaming(streaming) if streaming.takes_frames() => {
                is_live || streaming.is_drained()
            }
            Self::Streaming(streaming)
                if streaming
                    .leaves_frames_until()
                    .is_some_and(|until| now < until) =>
            {
                false
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
    pub(crate) fn poll_timeout(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Preparing | Self::Dialling(_) => Timestamp::NEVER,
            Self::Waiting { until } => *until,
            Self::Greeting(greeting) => greeting.since + GREETING_TIME,
            Self::Streaming(streaming) => {
                let leaves_until = streaming.leaves_frames_until();
                let is_later = leaves_until.filter(|until| *until > now);
                streaming
                    .poll_timeout()
                    .min(is_later.unwrap_or(Timestamp::NEVER))
            }
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
