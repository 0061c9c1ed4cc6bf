//! What can go wrong, by who can do something about it.

/// Bytes that are not of this protocol. The peer, the network or an attacker is at fault, never this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// It goes on after its end.
    #[error("it goes on after its end")]
    Trailing,
    /// Reserved bytes are not zero.
    #[error("reserved bytes are not zero")]
    ReservedNotZero,
    /// The magic bytes are missing: this is not SDVR.
    #[error("it is not SDVR")]
    NotSdvr,
    /// A packet type that does not belong here.
    #[error("a packet of type {0} does not belong here")]
    UnexpectedType(u8),
    /// A length outside its range.
    #[error("a length of {0} is out of range")]
    Length(u64),
    /// Not UTF-8, or not a label.
    #[error("a text is not a valid one")]
    Text,
    /// A number without a meaning in its place.
    #[error("the number {0} has no meaning here")]
    Number(u64),
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The bytes are not a handshake of this protocol.
    #[error("the other end does not speak SDVR: {0}")]
    Malformed(#[from] Malformed),
    /// The two ends have no protocol version in common.
    #[error("no common protocol version: the other end speaks {lowest} to {highest}, this one 2")]
    Version {
        /// The lowest the other end speaks.
        lowest: u8,
        /// The highest the other end speaks.
        highest: u8,
    },
    /// The two ends have no cipher in common.
    #[error("no common cipher")]
    Suite,
    /// The reply is to another HELLO.
    #[error("the reply does not belong to this request")]
    WrongNonce,
    /// The server has no capacity now.
    #[error("the server is busy")]
    Busy {
        /// When to try again, in milliseconds.
        retry_after_ms: u32,
    },
    /// The token is not ours, too old, or from another address. A fresh HELLO helps.
    #[error("the token is not valid")]
    Token,
    /// The token was used before.
    #[error("the token was used before")]
    Replayed,
    /// Something was altered on the way, or the peer does not own the key it names.
    #[error("the handshake is not authentic")]
    NotAuthentic,
}

/// Why a session ended by what the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A record whose content is not of this protocol, though the peer sealed it.
    #[error("malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// A record does not open: damaged, forged or sealed with other keys.
    #[error("a record is not authentic")]
    NotAuthentic,
    /// A record is longer than agreed.
    #[error("a record of {0} bytes is longer than agreed")]
    RecordTooLong(u32),
    /// A message that the session's state does not allow.
    #[error("a {0} message does not belong here")]
    Unexpected(&'static str),
    /// A piece of a frame contradicts the frame it belongs to.
    #[error("a frame contradicts itself or its stream: {0}")]
    Frame(&'static str),
    /// A record of an epoch that cannot be the next: it is another one's, or nobody has confirmed the one before.
    #[error("a record of epoch {0} does not belong here")]
    Epoch(u8),
    /// A key has sealed as much as it safely can, or fresh keys are overdue.
    #[error("the session's keys are used up")]
    KeysUsedUp,
}

impl From<HandshakeError> for SessionError {
    /// Whatever was wrong with a handshake inside a session, its message was sealed by a peer that breaks the protocol.
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Malformed(malformed) => Self::Malformed(malformed),
            _ => Self::NotAuthentic,
        }
    }
}
