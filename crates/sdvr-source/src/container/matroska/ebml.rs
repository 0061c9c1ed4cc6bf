//! EBML, of which Matroska is made: elements of an id, a length and a body (RFC 8794).

/// Segments and clusters have this length while they are written.
pub(super) const UNKNOWN_LENGTH: u64 = u64::MAX;
/// An id of four bytes and a length of eight.
pub(super) const HEADER_MOST_BYTES: usize = 12;

/// What comes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u32,
    /// Of the body; [`UNKNOWN_LENGTH`] if the file does not say.
    pub(super) length: u64,
    /// Of the header itself.
    pub(super) bytes: usize,
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<T> {
    Whole(T),
    /// More bytes are needed to tell.
    Short,
    /// It is none.
    Wrong,
}

pub(super) fn header(bytes: &[u8]) -> Parsed<Header> {
    let Some(&first) = bytes.first() else {
        return Parsed::Short;
    };
    let id_bytes = first.leading_zeros() as usize + 1;
    if id_bytes > 4 {
        return Parsed::Wrong;
    }
    let Some((id, rest)) = bytes.split_at_checked(id_bytes) else {
        return Parsed::Short;
    };
    let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
    match number(rest) {
        Parsed::Whole((length, length_bytes)) => Parsed::Whole(Header {
            id,
            length,
            bytes: id_bytes.saturating_add(length_bytes),
        }),
        Parsed::Short => Parsed::Short,
        Parsed::Wrong => Parsed::Wrong,
    }
}

/// A number of variable length, and how long it is; one of ones only is [`UNKNOWN_LENGTH`].
pub(super) fn number(bytes: &[u8]) -> Parsed<(u64, usize)> {
    let Some(&first) = bytes.first() else {
        return Parsed::Short;
    };
    let count = first.leading_zeros() as usize + 1;
    if count > 8 {
        return Parsed::Wrong;
    }
    let Some(bytes) = bytes.get(..count) else {
        return Parsed::Short;
    };
    let value = bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    // The bits behind the marker.
    let mask = (1_u64 << (7 * count)) - 1;
    let value = value & mask;
    Parsed::Whole((if value == mask { UNKNOWN_LENGTH } else { value }, count))
}

/// The elements in a body, up to the first that is none or goes beyond it.
pub(super) fn elements(mut body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let Parsed::Whole(header) = header(body) else {
            return None;
        };
        let rest = body.get(header.bytes..)?;
        let (content, rest) = rest.split_at_checked(usize::try_from(header.length).ok()?)?;
        body = rest;
        Some((header.id, content))
    })
}

/// The unsigned number in a body of at most eight bytes.
pub(super) fn unsigned(body: &[u8]) -> Option<u64> {
    (body.len() <= 8).then(|| {
        body.iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_width_are_read_and_unknown_ones_told() {
        assert_eq!(number(&[0x81]), Parsed::Whole((1, 1)));
        assert_eq!(number(&[0x40, 0x7f]), Parsed::Whole((127, 2)));
        assert_eq!(
            number(&[0x01, 0, 0, 0, 0, 0, 1, 2]),
            Parsed::Whole((258, 8))
        );
        assert_eq!(number(&[0xff]), Parsed::Whole((UNKNOWN_LENGTH, 1)));
        let unknown = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(number(&unknown), Parsed::Whole((UNKNOWN_LENGTH, 8)));
        assert_eq!(number(&unknown[..7]), Parsed::Short);
        assert_eq!(number(&[0]), Parsed::Wrong);
        assert_eq!(header(&[0x08, 0, 0, 0, 0, 0]), Parsed::Wrong);
        assert_eq!(header(&[0x1a, 0x45, 0xdf]), Parsed::Short);
    }

    #[test]
    fn what_goes_beyond_its_parent_is_left_out() {
        let body = [0xd7, 0x81, 5, 0x83, 0x84, 1];
        let found: Vec<_> = elements(&body).collect();
        assert_eq!(found, [(0xd7, [5].as_slice())]);
    }
}
