//! TCP records: sealed, counted, in order, under keys that renew themselves.
//!
//! ```text
//! byte 0                  4      5       6        8
//!      +------------------+------+-------+--------+---------------------+-----+
//!      | length u32       | type | epoch | zero   | sealed messages     | tag |
//!      +------------------+------+-------+--------+---------------------+-----+
//! ```

use std::fmt;

use aws_lc_rs::aead::Aad;
use sdvr_frame::Timestamp;

use crate::codec::{Put, Reader};
use crate::error::{Malformed, SessionError};
use crate::key_limits::KeyLimits;
use crate::keys::{Suite, TrafficKey, TrafficSecret, wipe_stack};

pub(crate) const RECORD_TYPE: u8 = 0x20;
pub(crate) const RECORD_HEADER_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// What sealing adds to the messages of a record.
pub const RECORD_OVERHEAD_BYTES: usize = RECORD_HEADER_BYTES + TAG_BYTES;

/// Where the keys of the next epoch come from.
enum Next {
    /// From this epoch's secret, of which nothing else is left.
    Ratchet(TrafficSecret),
    /// From a handshake that goes on: there is no next epoch until it is done.
    Awaited,
    /// From a handshake that is done.
    Fresh(TrafficSecret),
}

impl Next {
    const fn secret(&self) -> Option<&TrafficSecret> {
        match self {
            Self::Ratchet(secret) | Self::Fresh(secret) => Some(secret),
            Self::Awaited => None,
        }
    }
}

/// Seals one direction's records.
pub struct RecordSealer {
    suite: Suite,
    key: TrafficKey,
    next: Next,
    epoch: u8,
    /// The number of the epoch's first record.
    epoch_begins: u64,
    epoch_began: Timestamp,
    /// Whether the other end has named a record of this epoch.
    is_confirmed: bool,
    /// In the epochs before this one, since the last handshake.
    bytes_before: u64,
}

impl RecordSealer {
    /// Begins with record 0 of `secret`, in epoch 0.
    pub fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        let (key, next) = secret.epoch(suite, 0)?;
        Some(Self {
            suite,
            key,
            next: Next::Ratchet(next),
            epoch: 0,
            epoch_begins: 0,
            epoch_began: Timestamp::NEVER,
            is_confirmed: false,
            bytes_before: 0,
        })
    }

    /// Records sealed so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.key.counter()
    }

    /// Bytes sealed since the last handshake.
    pub(crate) const fn bytes_since_handshake(&self) -> u64 {
        self.bytes_before.saturating_add(self.key.bytes())
    }

    /// The other end has opened `records` records: whether there were so many.
    pub(crate) const fn confirm(&mut self, records: u64) -> bool {
        let is_possible = records <= self.key.counter();
        self.is_confirmed |= is_possible && records > self.epoch_begins;
        is_possible
    }

    /// The other end has answered a record of epoch 0, without naming it.
    pub(crate) const fn confirm_first_epoch(&mut self) {
        self.is_confirmed |= self.epoch_begins == 0;
    }

    /// A handshake has begun: this epoch is the last of its chain.
    pub(crate) fn await_fresh(&mut self) {
        self.next = Next::Awaited;
    }

    /// A handshake is done: the next epoch begins with its secret.
    pub(crate) fn set_fresh(&mut self, secret: TrafficSecret) {
        self.next = Next::Fresh(secret);
    }

    /// Whether no handshake is under way.
    pub(crate) const fn is_settled(&self) -> bool {
        matches!(self.next, Next::Ratchet(_))
    }

    /// Goes on to the next epoch if it is time and this one is confirmed.
    pub(crate) fn renew_if_due(
        &mut self,
        now: Timestamp,
        limits: &KeyLimits,
    ) -> Result<(), SessionError> {
        // The session's first record: its time begins.
        if self.epoch_began == Timestamp::NEVER {
            self.epoch_began = now;
        }
        let is_due = match self.next {
            Next::Fresh(_) => true,
            Next::Awaited => false,
            Next::Ratchet(_) => {
                now >= self.epoch_began + limits.epoch_time
                    || self.key.bytes() >= limits.epoch_bytes
                    || self.key.records() >= limits.epoch_records
            }
        };
        if is_due && self.is_confirmed {
            self.renew(now)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn renew(&mut self, now: Timestamp) -> Result<(), SessionError> {
        let counter = self.key.counter();
        let (key, next) = self
            .next
            .secret()
            .and_then(|secret| secret.epoch(self.suite, counter))
            .ok_or(SessionError::KeysUsedUp)?;
        self.bytes_before = if self.is_settled() {
            self.bytes_since_handshake()
        } else {
            0
        };
        self.key = key;
        self.next = Next::Ratchet(next);
        self.epoch = self.epoch.wrapping_add(1);
        self.epoch_begins = counter;
        self.epoch_began = now;
        self.is_confirmed = false;
        wipe_stack();
        Ok(())
    }

    /// Appends one record to `out`, holding what `write` appends.
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`]; `out` is then as before.
    pub fn seal(
        &mut self,
        out: &mut Vec<u8>,
        content_bytes: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SessionError> {
        let start = out.len();
        out.reserve(content_bytes.saturating_add(RECORD_OVERHEAD_BYTES));
        let length = u32::try_from(content_bytes.saturating_add(TAG_BYTES))
            .map_err(|_| SessionError::RecordTooLong(u32::MAX))?;
        let [a, b, c, d] = length.to_le_bytes();
        let header = [a, b, c, d, RECORD_TYPE, self.epoch, 0, 0];
        out.put(&header);
        write(out);
        let sealed = self.seal_content(
            header,
            out.get_mut(start.saturating_add(RECORD_HEADER_BYTES)..)
                .unwrap_or_default(),
            content_bytes,
        );
        match sealed {
            Ok(tag) => out.put(&tag),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    fn seal_content(
        &mut self,
        header: [u8; RECORD_HEADER_BYTES],
        content: &mut [u8],
        announced_bytes: usize,
    ) -> Result<[u8; TAG_BYTES], SessionError> {
        debug_assert_eq!(
            content.len(),
            announced_bytes,
            "the header announces what is written"
        );
        let nonce = self.key.next_nonce(content.len())?;
        let tag = self
            .key
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(header), content)
            .map_err(|_| SessionError::KeysUsedUp)?;
        tag.as_ref()
            .try_into()
            .map_err(|_| SessionError::KeysUsedUp)
    }
}

/// Opens one direction's records.
pub struct RecordOpener {
    suite: Suite,
    key: TrafficKey,
    next: Next,
    epoch: u8,
}

/// What was in a record.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The messages.
    pub messages: &'a [u8],
    /// Whether it is the first of its epoch, other than epoch 0.
    pub begins_epoch: bool,
}

impl RecordOpener {
    /// Begins with record 0 of `secret`, in epoch 0.
    pub fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        let (key, next) = secret.epoch(suite, 0)?;
        Some(Self {
            suite,
            key,
            next: Next::Ratchet(next),
            epoch: 0,
        })
    }

    /// Records opened so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.key.counter()
    }

    /// The epoch of the last record.
    pub(crate) const fn epoch(&self) -> u8 {
        self.epoch
    }

    /// A handshake has begun: until it is done no other epoch may come.
    pub(crate) fn await_fresh(&mut self) {
        self.next = Next::Awaited;
    }

    /// A handshake is done: the next epoch begins with its secret.
    pub(crate) fn set_fresh(&mut self, secret: TrafficSecret) {
        self.next = Next::Fresh(secret);
    }

    /// Whether no handshake is under way.
    pub(crate) const fn is_settled(&self) -> bool {
        matches!(self.next, Next::Ratchet(_))
    }

    /// Opens `record`, header included, in place. A record of the next epoch ends the present one, if it opens: over TCP
    /// nothing of it can follow.
    ///
    /// # Errors
    ///
    /// When it is no record or does not open; the connection is then of no more use.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<Opened<'a>, SessionError> {
        let (header, sealed) = record
            .split_first_chunk_mut::<RECORD_HEADER_BYTES>()
            .ok_or(Malformed::Short)?;
        let mut reader = Reader::new(header.as_slice());
        let length = reader.u32()?;
        let record_type = reader.u8()?;
        if record_type != RECORD_TYPE {
            return Err(Malformed::UnexpectedType(record_type).into());
        }
        let epoch = reader.u8()?;
        reader.zeros(2)?;
        if usize::try_from(length) != Ok(sealed.len()) {
            return Err(Malformed::Length(length.into()).into());
        }
        if epoch == self.epoch {
            let messages = open_with(&mut self.key, *header, sealed)?;
            return Ok(Opened {
                messages,
                begins_epoch: false,
            });
        }
        let messages = self.open_next(epoch, *header, sealed)?;
        wipe_stack();
        Ok(Opened {
            messages,
            begins_epoch: true,
        })
    }

    #[cold]
    fn open_next<'a>(
        &mut self,
        epoch: u8,
        header: [u8; RECORD_HEADER_BYTES],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], SessionError> {
        let secret = self
            .next
            .secret()
            .filter(|_| epoch == self.epoch.wrapping_add(1))
            .ok_or(SessionError::Epoch(epoch))?;
        let (mut key, next) = secret
            .epoch(self.suite, self.key.counter())
            .ok_or(SessionError::KeysUsedUp)?;
        let messages = open_with(&mut key, header, sealed)?;
        self.key = key;
        self.next = Next::Ratchet(next);
        self.epoch = epoch;
        Ok(messages)
    }
}

fn open_with<'a>(
    key: &mut TrafficKey,
    header: [u8; RECORD_HEADER_BYTES],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], SessionError> {
    let sealed_bytes = sealed.len();
    let nonce = key.peek_nonce()?;
    let content = key
        .key
        .open_in_place(nonce, Aad::from(header), sealed)
        .map_err(|_| SessionError::NotAuthentic)?;
    key.advance(sealed_bytes);
    Ok(content)
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordSealer")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordOpener")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
