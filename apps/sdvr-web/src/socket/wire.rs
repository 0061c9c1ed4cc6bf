//! A WebSocket on a connection: messages come out of it, and what goes in waits for nobody.
//!
//! A page's own task reads it. Frames are written by whoever has them, in one loop over all pages, without waking a task for each; only what the network
//! does not take at once is left to the page's task. A server's side is not masked, so the bytes of a frame are the same for all pages, header and all.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Longer messages of a page end its socket.
const MESSAGE_BYTES_MOST: usize = 64 << 10;
/// What is read of a socket at a time: a page says little.
const READ_BYTES: usize = 4 << 10;
/// The end of a message, and that there is no part of it elsewhere.
const FINAL: u8 = 0x80;
/// A control message has at most so many bytes (RFC 6455, 5.5).
const CONTROL_BYTES_MOST: usize = 125;

/// What a message is (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
}

impl Opcode {
    /// The header before a payload of so many bytes that a server sends in one part.
    ///
    /// ```text
    /// byte 0               1                       2                                 payload
    ///      +---------------+-----------------------+---------------------------------+--------
    ///      | 0x80 | opcode | length, or 126 or 127 | u16 after 126, u64 after 127    |
    ///      +---------------+-----------------------+---------------------------------+--------
    /// ```
    ///
    /// Integers are big-endian.
    pub(crate) fn header(self, payload_bytes: usize) -> Vec<u8> {
        let first = FINAL | self as u8;
        match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
            (Ok(length @ 0..=125), _) => vec![first, length],
            (_, Ok(length)) => [&[first, 126][..], &length.to_be_bytes()].concat(),
            _ => [&[first, 127][..], &(payload_bytes as u64).to_be_bytes()].concat(),
        }
    }

    /// A whole message.
    pub(crate) fn message(self, payload: &[u8]) -> Bytes {
        let mut message = self.header(payload.len());
        message.extend_from_slice(payload);
        message.into()
    }
}

/// What says to a page that its socket ends, and why.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(CONTROL_BYTES_MOST - size_of::<u16>());
    while !reason.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let reason = reason.get(..end).unwrap_or_default();
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    Opcode::Close.message(&payload)
}

/// What a page's task finds on its wire.
#[derive(Debug)]
pub(crate) enum Event {
    Message(Message),
    /// What was stuck has been taken: there is room for more.
    Room,
}

/// Why no more messages come.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The page has gone, or its network.
    Gone,
    /// It sent what no page sends; what, for people.
    Broken(String),
}

pub(crate) struct Wire {
    io: TokioIo<Upgraded>,
    protocol: WebSocketContext,
    outgoing: Outgoing,
}

/// What the network has not taken yet.
#[derive(Debug, Default)]
struct Outgoing {
    queue: VecDeque<Bytes>,
    /// All was written, and may still be held back by what encrypts it.
    is_unflushed: bool,
    /// Since when nothing of it was taken.
    stuck_since: Option<Instant>,
}

impl Wire {
    pub(crate) fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MOST))
            .max_frame_size(Some(MESSAGE_BYTES_MOST));
        Self {
            io: TokioIo::new(upgraded),
            protocol: WebSocketContext::new(Role::Server, Some(config)),
            outgoing: Outgoing::default(),
        }
    }

    /// Sends a whole message, behind those that wait. If [it is stuck](Self::is_stuck) only then, the page's task has to look at it.
    pub(crate) fn send(&mut self, message: &Bytes) {
        // The page's task waits for the network if it has to be waited for.
        let mut nobody = Context::from_waker(Waker::noop());
        let is_first = self.outgoing.queue.is_empty() && !self.is_stuck();
        let written = if is_first {
            Pin::new(&mut self.io).poll_write(&mut nobody, message)
        } else {
            Poll::Pending
        };
        let written = match written {
            Poll::Ready(Ok(written)) => written.min(message.len()),
            // An error is there for the page's task, too.
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.outgoing.is_unflushed |= written > 0;
        if written < message.len() {
            self.outgoing.queue.push_back(message.slice(written..));
        }
        if is_first {
            let _ = self.poll_flush(&mut nobody);
        }
    }

    /// Whether the network has not taken all that was sent.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.outgoing.stuck_since.is_some()
    }

    /// For how long the network has taken nothing of what was sent.
    pub(crate) fn stuck_for(&self, now: Instant) -> Duration {
        let since = self.outgoing.stuck_since;
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The next event. Messages come when all that was sent has been taken: a page that does not read is not heard.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Ended>> {
        loop {
            let was_stuck = self.is_stuck();
            match self.poll_flush(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Gone)),
                Poll::Ready(Ok(())) if was_stuck => return Poll::Ready(Ok(Event::Room)),
                Poll::Ready(Ok(())) => {}
            }
            let mut halves = Halves {
                io: &mut self.io,
                context,
                outgoing: &mut self.outgoing,
            };
            match self.protocol.read(&mut halves) {
                Ok(message) => return Poll::Ready(Ok(Event::Message(message))),
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.outgoing.queue.is_empty() {
                        return Poll::Pending;
                    }
                    // It has answered something.
                }
                Err(error) => return Poll::Ready(Err(Ended::from(error))),
            }
        }
    }

    /// Writes what waits.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, outgoing, .. } = self;
        while let Some(message) = outgoing.queue.front_mut() {
            match Pin::new(&mut *io).poll_write(context, message) {
                Poll::Pending => {
                    outgoing.stuck_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return self.fail(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Ready(Ok(written)) => {
                    message.advance(written.min(message.len()));
                    if message.is_empty() {
                        outgoing.queue.pop_front();
                    }
                    outgoing.stuck_since = None;
                    outgoing.is_unflushed = true;
                }
            }
        }
        if outgoing.is_unflushed {
            match Pin::new(&mut *io).poll_flush(context) {
                Poll::Pending => {
                    outgoing.stuck_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Ready(Ok(())) => {}
            }
            outgoing.is_unflushed = false;
        }
        outgoing.stuck_since = None;
        Poll::Ready(Ok(()))
    }

    /// The page's task finds the error again: it is stuck until then.
    fn fail(&mut self, error: io::Error) -> Poll<io::Result<()>> {
        self.outgoing.stuck_since.get_or_insert_with(Instant::now);
        Poll::Ready(Err(error))
    }
}

impl From<tungstenite::Error> for Ended {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::Error;
        use tungstenite::error::ProtocolError;
        match error {
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            error => Self::Broken(format!("not a message: {error}")),
        }
    }
}

/// The connection as the protocol wants it: what it reads comes from there, what it answers waits behind what was sent.
struct Halves<'a, 'b> {
    io: &'a mut TokioIo<Upgraded>,
    context: &'a mut Context<'b>,
    outgoing: &'a mut Outgoing,
}

impl Read for Halves<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.context, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
        }
    }
}

impl Write for Halves<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.queue.push_back(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_shortest_length_that_holds_theirs() {
        for (bytes, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(Opcode::Binary.header(bytes), header, "{bytes}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let message = close(1002, &"ä".repeat(100));
        assert_eq!(message.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(message.get(4..).unwrap_or_default()).is_ok());
        assert_eq!(close(1001, "why"), &b"\x88\x05\x03\xe9why"[..]);
    }
}
