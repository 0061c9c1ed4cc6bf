//! Signals as descriptors to wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;

use crate::config::Config;
use crate::failure::Failure;

/// The signals that a client acts on. They are caught before anything else is done, which may take its time.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) interrupted: SignalPipe,
    pub(crate) trigger: Option<SignalPipe>,
}

impl Signals {
    /// Those that the options ask for.
    pub(crate) fn catch(config: &Config) -> Result<Self, Failure> {
        let other = |error: std::io::Error| Failure::Other(error.to_string());
        let trigger = config.on_trigger.then(SignalPipe::trigger).transpose();
        Ok(Self {
            interrupted: SignalPipe::interruption().map_err(other)?,
            trigger: trigger.map_err(other)?,
        })
    }

    /// Readable when the user wants the program to end.
    pub(crate) const fn interrupted(&self) -> &SignalPipe {
        &self.interrupted
    }
}

/// Readable when one of its signals has come. Each of several gets every signal.
#[derive(Debug)]
pub(crate) struct SignalPipe {
    stream: UnixStream,
    ids: Vec<SigId>,
}

impl SignalPipe {
    /// SIGINT and SIGTERM: the user wants the program to end.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(crate) fn interruption() -> io::Result<Self> {
        Self::new(&[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])
    }

    /// SIGUSR1: the user wants a frame.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(crate) fn trigger() -> io::Result<Self> {
        Self::new(&[signal_hook::consts::SIGUSR1])
    }

    fn new(signals: &[i32]) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let mut pipe = Self {
            stream,
            ids: Vec::new(),
        };
        for &signal in signals {
            let id = signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
            pipe.ids.push(id);
        }
        Ok(pipe)
    }

    /// How many signals have come since this was asked last. Several of one kind at once may count as one, as signals do.
    pub(crate) fn take(&self) -> usize {
        let mut bytes = [0; 64];
        (&self.stream).read(&mut bytes).unwrap_or(0)
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        for &id in &self.ids {
            signal_hook::low_level::unregister(id);
        }
    }
}
