//! Boxes, of which MP4 is made: a length, four characters, a body (ISO/IEC 14496-12, 4.2).

use crate::container::ContainerError;
use crate::container::fields::Fields;

/// A length of 32 bits, four characters, a length of 64 bits.
pub(super) const HEADER_MOST_BYTES: usize = 16;
pub(super) const HEADER_BYTES: usize = 8;

const WRONG: ContainerError =
    ContainerError::Malformed("a box is longer than the one it is in, or shorter than its header");

/// What comes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: [u8; 4],
    /// With the header; `None` if the box goes to the end of what it is in.
    pub(super) length: Option<u64>,
    /// Of the header itself.
    pub(super) bytes: usize,
}

/// `None` if there are not enough bytes.
pub(super) fn header(bytes: &[u8]) -> Option<Result<Header, ContainerError>> {
    let mut fields = Fields::new(bytes);
    let (length, kind) = (fields.u32()?, fields.four()?);
    let header = match length {
        0 => Header {
            kind,
            length: None,
            bytes: HEADER_BYTES,
        },
        1 => Header {
            kind,
            length: Some(fields.u64()?),
            bytes: HEADER_MOST_BYTES,
        },
        _ => Header {
            kind,
            length: Some(length.into()),
            bytes: HEADER_BYTES,
        },
    };
    let is_right = header
        .length
        .is_none_or(|length| length >= header.bytes as u64);
    Some(if is_right { Ok(header) } else { Err(WRONG) })
}

/// The boxes in a body. Fewer bytes behind them than a header has are none.
pub(super) fn boxes(
    mut body: &[u8],
) -> impl Iterator<Item = Result<([u8; 4], &[u8]), ContainerError>> {
    std::iter::from_fn(move || {
        let header = match header(body)? {
            Ok(header) => header,
            Err(error) => {
                body = &[];
                return Some(Err(error));
            }
        };
        let length = match header.length {
            Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
            None => body.len(),
        };
        let parts = body.split_at_checked(length);
        let (content, rest) = parts.unwrap_or((&[], &[]));
        body = rest;
        Some(match (parts, content.get(header.bytes..)) {
            (Some(_), Some(content)) => Ok((header.kind, content)),
            _ => Err(WRONG),
        })
    })
}

/// The body of the first box of a kind, if there is one.
pub(super) fn find<'a>(body: &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, ContainerError> {
    for found in boxes(body) {
        let (found, content) = found?;
        if found == *kind {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// The version and the flags that a full box begins with.
pub(super) fn version_and_flags(fields: &mut Fields<'_>) -> Option<(u8, u32)> {
    let word = fields.u32()?;
    let [version, ..] = word.to_be_bytes();
    Some((version, word & 0x00ff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_every_kind_of_length_are_found_and_wrong_ones_end_it() {
        let large = [&[0, 0, 0, 1], b"free", [0; 7].as_slice(), &[17, 7]].concat();
        let body = [
            &[0, 0, 0, 9],
            b"aaaa",
            [1].as_slice(),
            &large,
            &[0, 0, 0, 0],
            b"last",
            &[2, 3],
        ]
        .concat();
        let found: Result<Vec<_>, _> = boxes(&body).collect();
        assert_eq!(
            found.unwrap(),
            [
                (*b"aaaa", [1].as_slice()),
                (*b"free", &[7]),
                (*b"last", &[2, 3])
            ]
        );
        assert_eq!(find(&body, b"last"), Ok(Some([2, 3].as_slice())));
        for length in [1_u8, 7, 10] {
            let wrong = [&[0, 0, 0, length], b"aaaa", [0_u8; 1].as_slice()].concat();
            let found: Vec<_> = boxes(&wrong).collect();
            // A length of 64 bits is not all there.
            let expected: &[_] = if length == 1 { &[] } else { &[Err(WRONG)] };
            assert_eq!(found, expected, "{length}");
        }
    }
}
