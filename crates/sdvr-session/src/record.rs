//! TCP records: sealed, counted, in order, under keys that renew themselves.
//!
//! ```text
//! byte 0                  4      5       6        8
//!      +------------------+------+-------+--------+---------------------+-----+
//!      | length u32       | type | epoch | zero   | sealed messages     | tag |
//!      +------------------+------+-------+--------+---------------------+-----+
//! ```

use crate::codec::{Put, Reader};
use crate::epochs::{Chain, SendingKeys, TAG_BYTES};
use crate::error::{Malformed, SessionError};
use crate::keys::{Suite, TrafficKey, TrafficSecret, wipe_stack};

pub(crate) const RECORD_TYPE: u8 = 0x20;
pub(crate) const RECORD_HEADER_BYTES: usize = 8;
/// What sealing adds to the messages of a record.
pub const RECORD_OVERHEAD_BYTES: usize = RECORD_HEADER_BYTES + TAG_BYTES;

/// Seals one direction's records.
#[derive(Debug)]
pub struct RecordSealer {
    pub(crate) keys: SendingKeys,
}

impl RecordSealer {
    /// Begins with record 0 of `secret`, in epoch 0.
    pub fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        let keys = SendingKeys::new(secret, suite)?;
        Some(Self { keys })
    }

    /// Records sealed so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.keys.counter()
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
        let header = [a, b, c, d, RECORD_TYPE, self.keys.epoch(), 0, 0];
        out.put(&header);
        write(out);
        let content = out
            .get_mut(start.saturating_add(RECORD_HEADER_BYTES)..)
            .unwrap_or_default();
        debug_assert_eq!(
            content.len(),
            content_bytes,
            "the header announces what is written"
        );
        match self.keys.seal(header, content) {
            Ok(tag) => out.put(&tag),
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Opens one direction's records.
#[derive(Debug)]
pub struct RecordOpener {
    pub(crate) chain: Chain,
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
        let chain = Chain::new(secret, suite)?;
        Some(Self { chain })
    }

    /// Records opened so far.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.chain.key.counter()
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
        if epoch == self.chain.epoch() {
            let messages = open_with(&mut self.chain.key, *header, sealed)?;
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
        let mut upcoming = self
            .chain
            .upcoming()
            .filter(|_| epoch == self.chain.epoch().wrapping_add(1))
            .ok_or(SessionError::Epoch(epoch))?;
        let messages = open_with(&mut upcoming.key, header, sealed)?;
        drop(self.chain.begin(upcoming));
        Ok(messages)
    }
}

fn open_with<'a>(
    key: &mut TrafficKey,
    header: [u8; RECORD_HEADER_BYTES],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], SessionError> {
    let counter = key.counter();
    key.open(counter, header, sealed)
}
