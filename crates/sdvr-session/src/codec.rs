//! Bytes to values and back: the only place that moves along a buffer.

use crate::error::Malformed;

/// Reads a buffer from front to back; every read is checked.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text whose length stands before it in one byte.
    pub(crate) fn short_text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.u8()?;
        std::str::from_utf8(self.take(length.into())?).map_err(|_| Malformed::Text)
    }

    /// Reads `length` bytes that must be zero.
    pub(crate) fn zeros(&mut self, length: usize) -> Result<(), Malformed> {
        if self.take(length)?.iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(Malformed::ReservedNotZero)
        }
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes after the end.
    pub(crate) const fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }
}

/// Appends values to a buffer.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    /// A text with its length in one byte before it, cut to what that byte can count.
    fn put_short_text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        self.put_u8(length);
        self.put(bytes.get(..length.into()).unwrap_or(bytes));
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Makes a packet of a fixed size of a buffer that is shorter, filling up with zeros.
pub(crate) fn padded<const N: usize>(mut bytes: Vec<u8>) -> [u8; N] {
    debug_assert!(bytes.len() <= N, "a packet outgrew its size");
    bytes.resize(N, 0);
    bytes.try_into().unwrap_or([0; N])
}
