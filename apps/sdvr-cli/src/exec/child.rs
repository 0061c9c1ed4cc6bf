//! A program that is given frames on its standard input, and ended.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::stop::Stop;
use crate::output::say;

/// A user who has asked for the end hears after this why it does not come.
const SILENCE_MOST: Duration = Duration::from_secs(1);
/// How long a program may take at the end of its input, and then after SIGTERM: to write what it holds, such as the index of a film.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How often it is looked whether a program that does not read is to be given up.
const READ_INTERVAL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A running program, in a process group of its own: what it starts is ended with it, and Ctrl-C at a terminal leaves it to this program how it ends.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    /// `None` once it is closed.
    input: Option<ChildStdin>,
    started: Instant,
}

/// What became of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// They are in the pipe.
    All,
    /// The program does not read any more, or has ended.
    Unwanted,
    /// It did not read in time, and would see a part of a frame if it went on.
    TooLate,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).process_group(0).spawn()?;
        let input = child.stdin.take();
        if let Some(input) = &input {
            // Only this end: the other is another description of the pipe.
            rustix::io::ioctl_fionbio(input, true)?;
        }
        Ok(Self {
            child,
            input,
            started: Instant::now(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn life(&self) -> Duration {
        self.started.elapsed()
    }

    /// How it has ended; `None` while it runs.
    ///
    /// # Errors
    ///
    /// When somebody else has taken it away.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Gives it what `write` writes. While it does not read it is asked whether to give up, ten times a second.
    pub(super) fn give(
        &mut self,
        mut gives_up: impl FnMut() -> bool,
        write: impl FnOnce(&mut Input<'_>) -> io::Result<()>,
    ) -> Given {
        let Some(pipe) = &self.input else {
            return Given::Unwanted;
        };
        let result = write(&mut Input {
            pipe,
            child: &mut self.child,
            gives_up: &mut gives_up,
        });
        let given = match result {
            Ok(()) => return Given::All,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Given::TooLate,
            Err(_) => Given::Unwanted,
        };
        self.input = None;
        given
    }

    /// Ends it: by the end of its input, then by SIGTERM, then by SIGKILL; at once when that is urgent.
    ///
    /// # Errors
    ///
    /// When somebody else has taken it away.
    pub(super) fn end(mut self, stop: &Stop) -> io::Result<ExitStatus> {
        self.input = None;
        let begin = Instant::now();
        let mut was_told = false;
        for signal in [Signal::TERM, Signal::KILL] {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline && !stop.is_urgent() {
                if let Some(status) = self.child.try_wait()? {
                    return Ok(status);
                }
                if stop.is_set() && !was_told && begin.elapsed() >= SILENCE_MOST {
                    was_told = true;
                    say(format_args!(
                        "sdvr: process {} has not ended yet; Ctrl-C again kills it",
                        self.child.id()
                    ));
                }
                thread::sleep(LOOK_INTERVAL);
            }
            // It was not waited for yet, so the number is still its own.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
        self.child.wait()
    }
}

/// The pipe to a program, which never blocks for long.
pub(super) struct Input<'a> {
    pipe: &'a ChildStdin,
    child: &'a mut Child,
    gives_up: &'a mut dyn FnMut() -> bool,
}

impl Write for Input<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let mut pipe = self.pipe;
            match pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            let mut room = [PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::OUT)];
            let _ = poll(&mut room, Some(&READ_INTERVAL));
            if room.iter().any(|pipe| !pipe.revents().is_empty()) {
                continue;
            }
            // Something that it has started may hold the other end.
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if (self.gives_up)() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
