//! What a driver says of a buffer it has filled, and how much of that can be true.

use std::ops::Range;

use super::abi::{self, PLANES_MOST};

/// A buffer that the driver has given us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) sequence: u32,
    pub(crate) seconds: i64,
    pub(crate) microseconds: i64,
    pub(crate) planes: [PlaneFill; PLANES_MOST],
}

/// How much of a plane is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlaneFill {
    /// From the plane's start, with what stands before the picture.
    pub(crate) bytes_used: u32,
    /// Where the picture begins.
    pub(crate) data_offset: u32,
}

impl PlaneFill {
    /// Where the picture is in a plane of `length` bytes; `None` when the driver's numbers cannot be.
    pub(crate) fn range(self, length: usize) -> Option<Range<usize>> {
        let start = usize::try_from(self.data_offset).ok()?;
        let end = usize::try_from(self.bytes_used).ok()?;
        (start <= end && end <= length).then_some(start..end)
    }
}

impl Filled {
    /// Whether the driver itself says that the picture is broken.
    pub(crate) const fn is_broken(&self) -> bool {
        self.flags & abi::BUFFER_ERROR != 0
    }

    /// When it was captured, in nanoseconds of `CLOCK_MONOTONIC`; `None` when that is another clock, or no time.
    pub(crate) fn monotonic_ns(&self) -> Option<i64> {
        if self.flags & abi::BUFFER_TIMESTAMP_MASK != abi::BUFFER_TIMESTAMP_MONOTONIC {
            return None;
        }
        let seconds = self.seconds.checked_mul(1_000_000_000)?;
        let time = seconds.checked_add(self.microseconds.checked_mul(1000)?)?;
        (time > 0).then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_cannot_be_give_no_range() {
        let range = |bytes_used, data_offset, length| {
            PlaneFill {
                bytes_used,
                data_offset,
            }
            .range(length)
        };
        assert_eq!(range(10, 0, 10), Some(0..10));
        assert_eq!(range(10, 4, 10), Some(4..10));
        assert_eq!(range(0, 0, 10), Some(0..0));
        assert_eq!(range(11, 0, 10), None);
        assert_eq!(range(10, 11, 20), None);
        assert_eq!(range(u32::MAX, u32::MAX, 10), None);
        assert_eq!(range(u32::MAX, 0, 10), None);
    }

    #[test]
    fn a_time_of_another_clock_is_none() {
        let filled = |flags, seconds, microseconds| Filled {
            flags,
            seconds,
            microseconds,
            ..Default::default()
        };
        let monotonic = abi::BUFFER_TIMESTAMP_MONOTONIC;
        assert_eq!(filled(monotonic, 2, 3).monotonic_ns(), Some(2_000_003_000));
        assert_eq!(filled(0, 2, 3).monotonic_ns(), None);
        assert_eq!(filled(0x4000, 2, 3).monotonic_ns(), None);
        assert_eq!(filled(monotonic, 0, 0).monotonic_ns(), None);
        assert_eq!(filled(monotonic, -1, 0).monotonic_ns(), None);
        assert_eq!(filled(monotonic, i64::MAX, 0).monotonic_ns(), None);
        assert_eq!(filled(monotonic, 1, i64::MAX).monotonic_ns(), None);
    }
}
