//! What is said of one frame.

use std::fmt;
use std::ops::BitOr;

/// The number a source gives a frame: counts up by one for every frame captured, sent or not.
///
/// A jump is a gap: those frames existed and were not delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameNumber(pub u64);

impl fmt::Display for FrameNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// Yes-or-no facts about a frame.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FrameFlags(u32);

impl FrameFlags {
    /// Nothing is set.
    pub const NONE: Self = Self(0);
    /// Decoding can begin at this frame, if the parameter sets of its stream are in it or were sent before.
    ///
    /// Mostly its picture is whole. Where an encoder refreshes in stripes (H.264 and H.265 with `recovery_frame_cnt` above 0), its pictures mend
    /// from this frame on; of an open group of pictures, a decoder leaves out those that are shown before this one.
    pub const KEY: Self = Self(1);
    /// No other frame needs this one.
    pub const DISCARDABLE: Self = Self(1 << 1);
    /// After the pixels, whose length the format tells, come the parameters of a YUV4MPEG2 `FRAME`
    /// line.
    pub const TRAILER: Self = Self(1 << 2);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// The flags as bits, for wire and shared memory.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The flags of `bits`; unknown ones are dropped.
    #[must_use]
    pub const fn from_bits_truncate(bits: u32) -> Self {
        Self(bits & 0b111)
    }
}

impl BitOr for FrameFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for FrameFlags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::KEY, "key"),
            (Self::DISCARDABLE, "discardable"),
            (Self::TRAILER, "trailer"),
        ];
        let set: Vec<&str> = names
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .map(|(_, name)| *name)
            .collect();
        write!(formatter, "FrameFlags({})", set.join("|"))
    }
}
