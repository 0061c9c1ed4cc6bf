//! TCP records: sealed, counted, in order.
//!
//! ```text
//! byte 0                  4      5       6        8
//!      +------------------+------+-------+--------+---------------------+-----+
//!      | length u32       | type | epoch | zero   | sealed messages     | tag |
//!      +------------------+------+-------+--------+---------------------+-----+
//! ```

use std::fmt;

use aws_lc_rs::aead::Aad;

use crate::codec::{Put, Reader};
use crate::error::{Malformed, SessionError};
use crate::keys::{Suite, TrafficKey, TrafficSecret};

pub(crate) const RECORD_TYPE: u8 = 0x20;
pub(crate) const RECORD_HEADER_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
/// What sealing adds to the messages of a record.
pub const RECORD_OVERHEAD_BYTES: usize = RECORD_HEADER_BYTES + TAG_BYTES;

/// Seals one direction's records.
pub struct RecordSealer(TrafficKey);

impl RecordSealer {
    /// Begins with record 0 of `secret`.
    pub fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        secret.key(suite).map(Self)
    }

    pub(crate) const fn is_used_up(&self) -> bool {
        self.0.is_used_up()
    }

    /// Records sealed so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.0.counter()
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
        let header = [a, b, c, d, RECORD_TYPE, 0, 0, 0];
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
        let nonce = self.0.next_nonce(content.len())?;
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(header), content)
            .map_err(|_| SessionError::KeysUsedUp)?;
        tag.as_ref()
            .try_into()
            .map_err(|_| SessionError::KeysUsedUp)
    }
}

/// Opens one direction's records.
pub struct RecordOpener(TrafficKey);

impl RecordOpener {
    /// Begins with record 0 of `secret`.
    pub fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        secret.key(suite).map(Self)
    }

    /// Records opened so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.0.counter()
    }

    /// Opens `record`, header included, in place and gives its messages.
    ///
    /// # Errors
    ///
    /// When it is no record or does not open; the connection is then of no more use.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a [u8], SessionError> {
        let (header, sealed) = record
            .split_first_chunk_mut::<RECORD_HEADER_BYTES>()
            .ok_or(Malformed::Short)?;
        let mut reader = Reader::new(header.as_slice());
        let length = reader.u32()?;
        let record_type = reader.u8()?;
        if record_type != RECORD_TYPE {
            return Err(Malformed::UnexpectedType(record_type).into());
        }
        reader.zeros(3)?;
        if usize::try_from(length) != Ok(sealed.len()) {
            return Err(Malformed::Length(length.into()).into());
        }
        let sealed_bytes = sealed.len();
        let nonce = self.0.peek_nonce()?;
        let content = self
            .0
            .key
            .open_in_place(nonce, Aad::from(*header), sealed)
            .map_err(|_| SessionError::NotAuthentic)?;
        self.0.advance(sealed_bytes);
        Ok(content)
    }
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RecordSealer")
            .field(&self.0)
            .finish()
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("RecordOpener")
            .field(&self.0)
            .finish()
    }
}
