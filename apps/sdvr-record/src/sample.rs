//! What is recorded: a frame and its time.

use std::fmt;
use std::time::{Duration, SystemTime};

use sdvr_frame::{Fingerprint, StreamFormat, StreamLabel};

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime(pub i64);

/// A frame as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// When it was captured. Within a file later than that of the frame before.
    pub captured: UtcTime,
    /// Whether decoding can begin here.
    pub is_key: bool,
    /// As the camera sent it.
    pub bytes: &'a [u8],
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The camera.
    pub label: StreamLabel,
    /// Its key's; none of a derived stream.
    pub fingerprint: Option<Fingerprint>,
    /// What its frames are.
    pub format: StreamFormat,
    /// When the first frame was captured.
    pub begins: UtcTime,
}

impl fmt::Display for UtcTime {
    /// `2026-11-23T14:05:00.123456789Z`; what is before 1970 as its beginning.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No camera films before 1970, but a clock may say so; dates before it are not formatted.
        let since_epoch = Duration::from_nanos(u64::try_from(self.0).unwrap_or(0));
        let time = SystemTime::UNIX_EPOCH
            .checked_add(since_epoch)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        write!(formatter, "{}", humantime::format_rfc3339_nanos(time))
    }
}
