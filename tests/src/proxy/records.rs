//! Where the records begin in one direction of a connection, as anybody on the way can see.

use sdvr_session::{HELLO_BYTES, HELLO_REPLY_BYTES, INITIATION_BYTES, RESPONSE_BYTES};

use super::Direction;

const HEADER_BYTES: usize = 8;

/// What the header of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Without the tag.
    pub content_bytes: usize,
    /// Modulo 256.
    pub epoch: u8,
}

impl Record {
    fn parse(header: [u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, _, epoch, ..] = header;
        let sealed = u32::from_le_bytes([a, b, c, d]) as usize;
        Self {
            content_bytes: sealed.saturating_sub(16),
            epoch,
        }
    }
}

/// Follows one direction from its beginning, in pieces of any size.
#[derive(Debug)]
pub(super) struct Records {
    /// Bytes before the next header.
    until_header: usize,
    /// The beginning of a header whose rest has not come yet. It has not been passed on.
    header: Vec<u8>,
}

impl Records {
    pub(super) const fn new(direction: Direction) -> Self {
        Self {
            until_header: match direction {
                Direction::ToDaemon => HELLO_BYTES + INITIATION_BYTES,
                Direction::ToClient => HELLO_REPLY_BYTES + RESPONSE_BYTES,
            },
            header: Vec::new(),
        }
    }

    /// Gives `bytes` to `pass` in pieces, but for the beginning of a header. Before a record begins, `begins` hears of it.
    pub(super) fn follow(
        &mut self,
        mut bytes: &[u8],
        mut begins: impl FnMut(Record),
        mut pass: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        loop {
            let (piece, rest) = bytes.split_at(self.until_header.min(bytes.len()));
            self.until_header -= piece.len();
            if !piece.is_empty() && !pass(piece) {
                return false;
            }
            let (of_header, rest) = rest.split_at(rest.len().min(HEADER_BYTES - self.header.len()));
            self.header.extend_from_slice(of_header);
            let Ok(header) = self.header.as_slice().try_into() else {
                return true;
            };
            let record = Record::parse(header);
            begins(record);
            if !pass(&self.header) {
                return false;
            }
            self.header.clear();
            self.until_header = record.content_bytes + 16;
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_pieces_of_any_size() {
        let handshake = HELLO_REPLY_BYTES + RESPONSE_BYTES;
        let mut stream = vec![0xff; handshake];
        let lengths = [28_usize, 0, 5000];
        for (epoch, length) in (7..).zip(lengths) {
            stream.extend(u32::try_from(length + 16).unwrap().to_le_bytes());
            stream.extend([0x20, epoch, 0, 0]);
            stream.extend(std::iter::repeat_n(0xff, length + 16));
        }
        for size in [1, 3, 7, 64, 100_000] {
            let mut records = Records::new(Direction::ToClient);
            let (mut seen, mut passed) = (Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                let pass = |bytes: &[u8]| {
                    passed.extend_from_slice(bytes);
                    true
                };
                assert!(records.follow(piece, |record| seen.push(record), pass));
            }
            let expected = (7..).zip(lengths).map(|(epoch, content_bytes)| Record {
                content_bytes,
                epoch,
            });
            assert_eq!(seen, expected.collect::<Vec<_>>(), "in pieces of {size}");
            assert_eq!(passed, stream);
        }
    }
}
