//! Signals as something that can be waited for together with keys.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};

use crate::output::Interrupted;

/// Those that a program on a terminal gets.
#[derive(Debug)]
pub(super) struct Signals {
    interrupted: Interrupted,
    hung_up: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
    /// Has a byte when one has come.
    bell: UnixStream,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let interrupted = Interrupted::listen()?;
        let (bell, ringing) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let flag = |signal| -> anyhow::Result<Arc<AtomicBool>> {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            Ok(flag)
        };
        let (hung_up, stop, continued) = (flag(SIGHUP)?, flag(SIGTSTP)?, flag(SIGCONT)?);
        // After the flags, so that who hears of one finds it set.
        for signal in [SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH] {
            signal_hook::low_level::pipe::register(signal, ringing.try_clone()?)?;
        }
        Ok(Self {
            interrupted,
            hung_up,
            stop,
            continued,
            bell,
        })
    }

    /// Takes note of what the bell has told.
    pub(super) fn hear(&self) {
        let mut bytes = [0; 64];
        // Until there are no more.
        while matches!((&self.bell).read(&mut bytes), Ok(count) if count > 0) {}
    }

    /// Whether the program is to end.
    pub(super) fn end(&self) -> bool {
        // Relaxed, here and below: nothing else hangs on it.
        self.interrupted.is_set() || self.hung_up.load(Ordering::Relaxed)
    }

    /// Whether the program was asked to stop since the last call.
    pub(super) fn take_stop(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Whether it goes on after it was stopped, since the last call.
    pub(super) fn take_continued(&self) -> bool {
        self.continued.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
