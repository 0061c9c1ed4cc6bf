//! Sealed bytes that the kernel has not taken yet.

use std::io;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_transport::TcpLink;

/// Bytes that are written at once: with a quarter of it, a client flat out on loopback pays half more to the kernel (0.34 CPU s/GB, not 0.20).
const WRITE_BYTES: usize = 512 * 1024;
/// A live frame is dropped when bytes have waited for so long: the network is slower than the camera.
const LATE: Duration = Duration::from_millis(150);
/// … or when so many wait.
const MOST_BYTES: usize = 16 << 20;

/// Bytes to write, in order.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    written: usize,
    waiting_since: Option<Timestamp>,
    last_progress: Option<Timestamp>,
}

impl Backlog {
    /// Where to append what is to be written.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether all is written.
    pub(super) const fn is_empty(&self) -> bool {
        self.written >= self.bytes.len()
    }

    /// Whether there is enough for a write to be worth it.
    pub(super) const fn is_worth_writing(&self) -> bool {
        self.bytes.len() - self.written >= WRITE_BYTES
    }

    /// Whether a live frame would come too late behind what waits.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let waits = self
            .waiting_since
            .is_some_and(|since| now.saturating_since(since) > LATE);
        waits || self.bytes.len() - self.written > MOST_BYTES
    }

    /// When the kernel last took bytes; `None` when none wait.
    pub(super) fn last_progress(&self) -> Option<Timestamp> {
        self.last_progress.filter(|_| !self.is_empty())
    }

    /// Writes what the kernel takes.
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub(super) fn write(&mut self, now: Timestamp, link: &TcpLink) -> io::Result<()> {
        while let Some(rest) = self
            .bytes
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            let written = link.write(rest)?;
            if written == 0 {
                self.waiting_since.get_or_insert(now);
                return Ok(());
            }
            self.written += written;
            self.last_progress = Some(now);
        }
        self.bytes.clear();
        self.written = 0;
        self.waiting_since = None;
        Ok(())
    }
}
