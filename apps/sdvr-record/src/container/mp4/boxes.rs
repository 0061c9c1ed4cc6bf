//! Boxes, of which MP4 is made: a length, four characters, a body (ISO/IEC 14496-12, 4.2).

use super::super::fields::Fields;

pub(super) const HEADER_BYTES: usize = 8;

/// A box with its header.
pub(super) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = body.len().saturating_add(HEADER_BYTES);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(kind);
    bytes.extend(body);
    bytes
}

/// The length of a box, with its header, and what it is; `None` of one that says its length in another way than ours do.
pub(super) fn header(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let mut fields = Fields::new(bytes);
    let (length, kind) = (fields.u32()?, fields.array()?);
    (length as usize >= HEADER_BYTES).then_some((length.into(), kind))
}

/// The first box of this kind in `body`: where its own body begins, and that.
pub(super) fn find<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<(usize, &'a [u8])> {
    let mut at = 0_usize;
    loop {
        let rest = body.get(at..)?;
        let (length, found) = header(rest)?;
        let length = usize::try_from(length).ok()?;
        let content = rest.get(HEADER_BYTES..length)?;
        if found == *kind {
            return Some((at.checked_add(HEADER_BYTES)?, content));
        }
        at = at.checked_add(length)?;
    }
}

/// The box at the end of a path of them.
pub(super) fn find_within<'a>(body: &'a [u8], path: &[&[u8; 4]]) -> Option<(usize, &'a [u8])> {
    path.iter().try_fold((0, body), |(at, body), kind| {
        let (offset, content) = find(body, kind)?;
        Some((offset.checked_add(at)?, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_where_they_are_and_wrong_ones_end_it() {
        let inner = [boxed(b"free", &[1, 2, 3]), boxed(b"mvhd", &[7])].concat();
        let file = [boxed(b"ftyp", b"isom"), boxed(b"moov", &inner)].concat();
        let (at, body) = find_within(&file, &[b"moov", b"mvhd"]).unwrap();
        assert_eq!((at, body), (file.len() - 1, [7].as_slice()));
        assert_eq!(find(&file, b"mdat"), None);
        for cut in 0..file.len() {
            assert_eq!(find_within(&file[..cut], &[b"moov", b"mvhd"]), None);
        }
        assert_eq!(find(&[0, 0, 0, 7, b'a', b'a', b'a', b'a'], b"aaaa"), None);
    }
}
