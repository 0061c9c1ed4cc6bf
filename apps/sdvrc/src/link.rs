//! How far the link to the server is, and what it waits for in each state.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::PollFlags;
use sdvr_frame::Timestamp;

use crate::dial::Dial;
use crate::finish::Finish;
use crate::greeting::Greeting;
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
                is_live || streaming.has_room()
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
            Self::Greeting(greeting) => greeting.poll_timeout(),
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

    /// The sockets, and what is waited for there.
    pub(crate) fn descriptors(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 2] {
        match self {
            Self::Greeting(greeting) => greeting
                .descriptors()
                .map(|descriptor| descriptor.map(|descriptor| (descriptor, PollFlags::IN))),
            Self::Streaming(streaming) | Self::Finishing { streaming, .. } => {
                let flags = if streaming.is_blocked() {
                    PollFlags::IN | PollFlags::OUT
                } else {
                    PollFlags::IN
                };
                [Some((streaming.as_fd(), flags)), None]
            }
            Self::Preparing | Self::Waiting { .. } | Self::Dialling(_) => [None, None],
        }
    }
}
