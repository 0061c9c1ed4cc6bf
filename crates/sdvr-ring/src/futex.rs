//! The system's futex on the words of a mapped ring. All of it works on memory mapped read-only.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use crate::shared_memory::Mapping;
use crate::wakeup::{Futex, Sleep};

impl Futex for Mapping {
    fn word(&self, index: usize) -> &AtomicU32 {
        self.futex(index)
    }

    fn wait(&self, index: usize, value: u32, timeout: Duration) -> Sleep {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // No flags: shared between processes.
        match futex::wait(
            self.futex(index),
            futex::Flags::empty(),
            value,
            Some(&timeout),
        ) {
            Ok(()) => Sleep::Woken,
            Err(Errno::TIMEDOUT) => Sleep::TimedOut,
            Err(Errno::AGAIN | Errno::INTR) => Sleep::Again,
            Err(_) => Sleep::Refused,
        }
    }

    fn wake(&self, index: usize, count: u32) {
        // Fails only for memory that is none.
        let _ = futex::wake(self.futex(index), futex::Flags::empty(), count);
    }
}
