//! Datagrams of one length, which one system call sends.

use sdvr_frame::Timestamp;
use sdvr_session::{Session, SessionError};
use sdvr_transport::Sent;

use crate::datagram_link::DatagramLink;

/// Datagrams of one length, the last of which may be shorter.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    each_bytes: usize,
    count: usize,
    /// A longer one that came after them.
    next: Vec<u8>,
    /// The socket has not taken them.
    is_blocked: bool,
}

impl Batch {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the socket has to have room first.
    pub(super) const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Takes what the session has to say now, as far as it can be sent at once.
    pub(super) fn fill(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        link: &DatagramLink,
    ) -> Result<(), SessionError> {
        std::mem::swap(&mut self.bytes, &mut self.next);
        self.next.clear();
        self.each_bytes = self.bytes.len();
        self.count = usize::from(!self.bytes.is_empty());
        while self.count == 0 || self.count < link.most_at_once(self.each_bytes) {
            let begin = self.bytes.len();
            if !session.poll_datagram(now, &mut self.bytes)? {
                break;
            }
            let bytes = self.bytes.len().saturating_sub(begin);
            if self.count == 0 {
                self.each_bytes = bytes;
            } else if bytes > self.each_bytes {
                self.next.extend(self.bytes.drain(begin..));
                break;
            }
            self.count = self.count.saturating_add(1);
            if bytes < self.each_bytes {
                break;
            }
        }
        Ok(())
    }

    /// Whether the socket has taken them all, or they are lost.
    pub(super) fn send(&mut self, link: &DatagramLink) -> bool {
        self.is_blocked = false;
        match link.send(&self.bytes, self.each_bytes) {
            Sent::Taken | Sent::Lost => self.bytes.clear(),
            Sent::Full { taken } => {
                let taken_bytes = taken.saturating_mul(self.each_bytes);
                self.bytes.drain(..taken_bytes.min(self.bytes.len()));
                self.is_blocked = !self.bytes.is_empty();
            }
        }
        !self.is_blocked
    }
}
