//! The end of a session from this side. Datagrams overtake each other, so what was sent is waited for before the end is said.

use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_session::CloseCode;

use super::{Ending, SILENCE_MOST, StreamState, Streaming};

/// How long the last frame may take to arrive when the user wants to go.
const LEAVING: Duration = Duration::from_millis(150);
/// And otherwise, once it has left.
const REPORTED: Duration = Duration::from_secs(2);
/// How often the server is asked whether it has.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// An end that was not said yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    code: CloseCode,
    text: &'static str,
    /// Whether the server is to report every frame first.
    is_sent_whole: bool,
    has_left: bool,
    until: Timestamp,
    /// When the server is asked what has arrived.
    ask_at: Timestamp,
}

impl Settling {
    pub(super) fn poll_timeout(&self) -> Timestamp {
        self.until.min(self.ask_at)
    }
}

impl Streaming {
    /// Says that nothing more comes; what was sent before still goes out. The server's answer is [`Ending::Said`] with the
    /// same code.
    pub(crate) fn close(
        &mut self,
        now: Timestamp,
        code: CloseCode,
        text: &'static str,
    ) -> Result<(), Ending> {
        // It waits for a stream that will not be opened any more.
        self.frames_given_up += u64::from(self.holds_frame());
        let is_sent_whole = code == CloseCode::EndOfSource;
        let most = if is_sent_whole { SILENCE_MOST } else { LEAVING };
        let settling = Settling {
            code,
            text,
            is_sent_whole,
            has_left: false,
            until: now + most,
            ask_at: Timestamp::NEVER,
        };
        if self.carrier.loses() {
            self.state = StreamState::Settling(settling);
        } else {
            self.say_end(settling);
        }
        self.transmit(now)
    }

    fn say_end(&mut self, settling: Settling) {
        self.state = StreamState::Closing;
        self.session.close(settling.code, settling.text);
    }

    /// Says the end when it is time.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let StreamState::Settling(mut settling) = self.state else {
            return;
        };
        if !settling.has_left && self.carrier.is_drained(&self.session) {
            settling.has_left = true;
            settling.ask_at = now;
            if settling.is_sent_whole {
                settling.until = now + REPORTED;
            }
        }
        if now >= settling.ask_at {
            settling.ask_at = now + ASK_AGAIN;
            self.session.ping(now);
        }
        self.state = StreamState::Settling(settling);
        let is_reported = settling.has_left && self.frames_unconfirmed() == 0;
        if is_reported || now >= settling.until {
            self.say_end(settling);
        }
    }
}
