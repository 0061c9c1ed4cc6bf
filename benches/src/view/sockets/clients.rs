//! Who reads: pages, as a browser's, and ends of plain connections.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tungstenite::{Message, WebSocket};

use super::Counts;

/// After which a page says of frames that they were shown, however few they are.
const UNSAID: Duration = Duration::from_millis(500);
/// How often it is looked whether that time is over.
const LOOK_INTERVAL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
const BUFFER_BYTES: usize = 1 << 20;

/// One of those who read.
pub(super) trait Client {
    fn descriptor(&self) -> BorrowedFd<'_>;
    /// Takes what is there.
    fn handle_readable(&mut self, counts: &Counts) -> anyhow::Result<()>;
    /// Looks whether something is due.
    fn handle_time(&mut self) -> anyhow::Result<()>;
}

/// Reads whatever comes, until somebody hangs up.
pub(super) fn look_at<C: Client>(clients: &mut [C], counts: &Counts) -> anyhow::Result<()> {
    loop {
        let mut waited: Vec<PollFd<'_>> = clients
            .iter()
            .map(|client| PollFd::from_borrowed_fd(client.descriptor(), PollFlags::IN))
            .collect();
        poll(&mut waited, Some(&LOOK_INTERVAL))?;
        let is_readable: Vec<bool> = waited.iter().map(|it| !it.revents().is_empty()).collect();
        for (client, is_readable) in clients.iter_mut().zip(is_readable) {
            if is_readable {
                client.handle_readable(counts)?;
            }
            client.handle_time()?;
        }
    }
}

/// A page: watches the camera and says that its frames were shown as often as the page of `sdvr web` does.
pub(super) struct Page {
    socket: WebSocket<TcpStream>,
    /// How many frames it says at a time.
    every: u64,
    said_number: Option<u64>,
    /// The newest frame that was not said, as it is said, and since when there is one.
    unsaid: Option<(String, Instant)>,
}

impl Page {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (socket, _) = tungstenite::client(format!("ws://{address}/socket"), stream)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        socket.get_ref().set_nonblocking(true)?;
        Ok(Self {
            socket,
            every: 1,
            said_number: None,
            unsaid: None,
        })
    }

    fn handle_text(&mut self, text: &str) -> anyhow::Result<()> {
        let said: serde_json::Value = serde_json::from_str(text)?;
        for camera in said["changed"].as_array().into_iter().flatten() {
            let watch = serde_json::json!({
                "type": "watch", "camera": camera["camera"], "kinds": ["h264", "jpeg"],
            });
            self.socket.send(Message::text(watch.to_string()))?;
        }
        if let Some(window) = said["window"].as_u64() {
            self.every = window.div_ceil(2);
            self.said_number = None;
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let word = |at: usize| {
            let bytes = frame.get(at..at + 4);
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes
                .map(u32::from_le_bytes)
                .context("a frame has a header")
        };
        let number = u64::from(word(16)?);
        let shown = format!(
            "{{\"type\":\"shown\",\"frames\":[[{},{},{number}]]}}",
            word(4)?,
            word(8)?,
        );
        let since = self
            .unsaid
            .take()
            .map_or_else(Instant::now, |(_, since)| since);
        if self
            .said_number
            .is_none_or(|said| number - said >= self.every)
        {
            self.said_number = Some(number);
            self.socket.send(Message::text(shown))?;
        } else {
            self.unsaid = Some((shown, since));
        }
        Ok(())
    }
}

impl Client for Page {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }

    fn handle_readable(&mut self, counts: &Counts) -> anyhow::Result<()> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.handle_text(&text)?,
                Ok(Message::Binary(frame)) => {
                    counts.add(1, frame.len());
                    self.handle_frame(&frame)?;
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn handle_time(&mut self) -> anyhow::Result<()> {
        match self.unsaid.take() {
            Some((shown, since)) if since.elapsed() >= UNSAID => {
                Ok(self.socket.send(Message::text(shown))?)
            }
            unsaid => {
                self.unsaid = unsaid;
                Ok(())
            }
        }
    }
}

/// The end of a plain connection.
pub(super) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
        })
    }
}

impl Client for Reader {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn handle_readable(&mut self, counts: &Counts) -> anyhow::Result<()> {
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(length) => {
                    ensure!(length > 0, "the program has hung up");
                    counts.add(0, length);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn handle_time(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
