//! What is recorded: a frame and its time.

use std::fmt;

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
    /// `2026-11-23T14:05:00.123456789Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = std::time::Duration::from_nanos(self.0.unsigned_abs());
        let time = if self.0 < 0 {
            std::time::SystemTime::UNIX_EPOCH.checked_sub(since_epoch)
        } else {
            std::time::SystemTime::UNIX_EPOCH.checked_add(since_epoch)
        };
        // Every i64 of nanoseconds is a date that this formats.
        let time = time.unwrap_or(std::time::SystemTime::UNIX_EPOCH);
        write!(formatter, "{}", humantime::format_rfc3339_nanos(time))
    }
}
