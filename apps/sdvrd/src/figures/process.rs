//! What the daemon's own process takes of the machine.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::time::ClockId;

/// Longer than the file: seven numbers.
const STATM_MOST_BYTES: usize = 256;

/// This process, as the kernel sees it. What is needed for that is opened before the daemon is confined, and only read afterwards.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    /// `None` where there is no `/proc`.
    statm: Option<OwnedFd>,
}

impl OwnProcess {
    pub(crate) fn open() -> Self {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Self {
            statm: rustix::fs::open("/proc/self/statm", flags, Mode::empty()).ok(),
        }
    }

    /// Memory that it has now; `None` when the kernel does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let mut text = [0; STATM_MOST_BYTES];
        let length = rustix::io::pread(self.statm.as_ref()?, &mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        let page_bytes = u64::try_from(rustix::param::page_size()).ok()?;
        pages.checked_mul(page_bytes)
    }

    /// Processor time that all its threads have used, in microseconds.
    pub(crate) fn cpu_us() -> u64 {
        let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
        let microseconds = time
            .tv_sec
            .saturating_mul(1_000_000)
            .saturating_add(time.tv_nsec / 1000);
        u64::try_from(microseconds).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_that_are_used_are_seen() {
        const BYTES: usize = 64 << 20;
        let process = OwnProcess::open();
        let memory = vec![1_u8; BYTES];
        let resident = process.resident_bytes().unwrap();
        // It has all of this now, and no machine that runs this has a terabyte in one test.
        assert!((BYTES as u64..1 << 40).contains(&resident), "{resident}");
        let before = OwnProcess::cpu_us();
        let sum: usize = memory.iter().map(|byte| usize::from(*byte)).sum();
        assert_eq!(sum, BYTES);
        assert!(before > 0 && OwnProcess::cpu_us() > before);
    }
}
