//! What is said of one stream of a camera.

use std::fmt;

use data_encoding::HEXLOWER;

/// Which of a camera's streams: 0 for the video of a camera that has only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// Random per run of a source. The same instance goes on with its frame numbers after a reconnect;
/// a new one starts again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(pub [u8; 16]);

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InstanceId({self})")
    }
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamKind {
    /// Pictures.
    #[default]
    Video,
    /// Sound.
    Audio,
    /// Anything else that belongs to a moment, such as detections.
    Metadata,
}

impl StreamKind {
    /// The kind as a number, for wire and shared memory.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Video => 0,
            Self::Audio => 1,
            Self::Metadata => 2,
        }
    }

    /// The kind of a number; `None` when there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Video),
            1 => Some(Self::Audio),
            2 => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// How a stream is doing. The same words are used everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// The camera's link is up. (A camera that sends one frame an hour is live.)
    Live,
    /// The link has been silent for 3 s, or was cut.
    Stale,
    /// Silent for 60 s. The ring is kept for ten minutes more, or until others need its memory, and goes on if the same instance comes back.
    Lost,
    /// The camera said that the stream ended.
    Closed,
    /// No more frames come here; what comes next is in another ring under the same name. There may be none until the camera is back.
    Moved,
}

impl StreamState {
    /// The state as a number, for shared memory.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Stale => 1,
            Self::Lost => 2,
            Self::Closed => 3,
            Self::Moved => 4,
        }
    }

    /// The state of a number; `None` when there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Live),
            1 => Some(Self::Stale),
            2 => Some(Self::Lost),
            3 => Some(Self::Closed),
            4 => Some(Self::Moved),
            _ => None,
        }
    }

    /// Whether no more frames will come into this ring.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Moved)
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Lost => "lost",
            Self::Closed => "closed",
            Self::Moved => "moved",
        })
    }
}

/// What a stream arrives over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Link {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Ethernet frames without IP.
    Ethernet,
}

impl Link {
    /// The link as a number, for shared memory.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 0,
            Self::Udp => 1,
            Self::Ethernet => 2,
        }
    }

    /// The link of a number; `None` when there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Tcp),
            1 => Some(Self::Udp),
            2 => Some(Self::Ethernet),
            _ => None,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ethernet => "eth",
        })
    }
}
