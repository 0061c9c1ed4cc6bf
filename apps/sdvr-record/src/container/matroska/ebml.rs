//! EBML, of which Matroska is made: elements of an id, a length and a body (RFC 8794).

/// A length of eight bytes that says nothing: of a segment that is being written.
pub(super) const LENGTH_UNKNOWN: [u8; 8] = [1, 255, 255, 255, 255, 255, 255, 255];

const VOID: u32 = 0xec;

/// An id as it is written: it tells its own length.
pub(super) fn id(id: u32) -> impl Iterator<Item = u8> {
    id.to_be_bytes().into_iter().skip_while(|&byte| byte == 0)
}

/// A length of eight bytes.
pub(super) fn long_length(length: u64) -> [u8; 8] {
    (length & ((1 << 56) - 1) | 1 << 56).to_be_bytes()
}

/// An element whose length has as few bytes as it needs: one or eight.
pub(super) fn element(name: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = id(name).collect();
    match u8::try_from(body.len()) {
        Ok(length) if length < 0x7f => bytes.push(length | 0x80),
        _ => bytes.extend(long_length(body.len() as u64)),
    }
    bytes.extend(body);
    bytes
}

pub(super) fn unsigned(name: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(7).take_while(|&&byte| byte == 0).count();
    element(name, bytes.get(zeros..).unwrap_or_default())
}

pub(super) fn text(name: u32, text: &str) -> Vec<u8> {
    element(name, text.as_bytes())
}

/// Nothing, of `length` bytes in all: at least two, and less than 129.
pub(super) fn void(length: usize) -> Vec<u8> {
    element(VOID, &vec![0; length.saturating_sub(2)])
}

/// What comes before a body: the id, the length of the body if it is said, and the length of the header itself. `None` where none begins.
pub(super) fn header(bytes: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let id_bytes = width(bytes, 4)?;
    let (id, rest) = bytes.split_at_checked(id_bytes)?;
    let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
    let length_bytes = width(rest, 8)?;
    let length = rest.get(..length_bytes)?;
    let value = length
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    // The bits behind the one that tells the width.
    let mask = (1_u64 << (7 * length_bytes)) - 1;
    let length = Some(value & mask).filter(|&length| length != mask);
    Some((id, length, id_bytes.checked_add(length_bytes)?))
}

/// How many bytes a number has that begins here.
fn width(bytes: &[u8], most: usize) -> Option<usize> {
    let width = bytes.first()?.leading_zeros() as usize + 1;
    (width <= most).then_some(width)
}

/// The elements in a body, up to the first that is none or goes beyond it: where each begins, its id, where its own body begins, and that.
pub(super) fn elements(body: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let rest = body.get(at..)?;
        let (id, length, header_bytes) = header(rest)?;
        let length = usize::try_from(length?).ok()?;
        let end = header_bytes.checked_add(length)?;
        let content = rest.get(header_bytes..end)?;
        let found = Element {
            id,
            at,
            body_at: at.checked_add(header_bytes)?,
            body: content,
        };
        at = at.checked_add(end)?;
        Some(found)
    })
}

/// An element in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) id: u32,
    /// Where it begins.
    pub(super) at: usize,
    /// Where its own body begins.
    pub(super) body_at: usize,
    pub(super) body: &'a [u8],
}

impl Element<'_> {
    /// How long it is with its header.
    pub(super) const fn bytes(&self) -> usize {
        self.body_at
            .saturating_sub(self.at)
            .saturating_add(self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let body = [
            unsigned(0xd7, 0),
            unsigned(0x002a_d7b1, 1_000_000),
            text(0x7ba9, "front"),
            element(0x1254_c367, &[7; 300]),
            void(11),
        ]
        .concat();
        let found: Vec<_> = elements(&body).map(|one| (one.id, one.body)).collect();
        assert_eq!(
            found,
            [
                (0xd7, [0].as_slice()),
                (0x002a_d7b1, &[0x0f, 0x42, 0x40]),
                (0x7ba9, b"front"),
                (0x1254_c367, &[7; 300]),
                (VOID, &[0; 9]),
            ]
        );
        let last = elements(&body).last().unwrap();
        assert_eq!((last.at, last.body_at), (body.len() - 11, body.len() - 9));
        assert_eq!(elements(&body[..body.len() - 1]).count(), 4);
    }

    #[test]
    fn unknown_lengths_and_wrong_ids_are_told() {
        let segment = [id(0x1853_8067).collect(), LENGTH_UNKNOWN.to_vec()].concat();
        assert_eq!(header(&segment), Some((0x1853_8067, None, 12)));
        let known = [id(0xa3).collect(), long_length(5).to_vec()].concat();
        assert_eq!(header(&known), Some((0xa3, Some(5), 9)));
        assert_eq!(header(&[0x08, 0x81]), None);
        assert_eq!(header(&[0xa3, 0]), None);
        assert_eq!(header(&segment[..11]), None);
    }
}
