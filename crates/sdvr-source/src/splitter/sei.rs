//! Supplemental enhancement information: H.264, 7.3.2.3 and annex D; H.265, 7.3.5 and annex D.

use sdvr_frame::bits::raw_bytes;

/// The message's type, of both standards.
const RECOVERY_POINT: usize = 6;

/// Whether one of the messages in a NAL unit, given without its header, is a recovery point.
pub(super) fn has_recovery_point(nal: &[u8]) -> bool {
    let mut bytes = raw_bytes(nal);
    while let (Some(kind), Some(length)) = (number(&mut bytes), number(&mut bytes)) {
        if kind == RECOVERY_POINT {
            // One without its content is none.
            return length > 0 && bytes.next().is_some();
        }
        if length > 0 && bytes.nth(length - 1).is_none() {
            break;
        }
    }
    false
}

/// The type or the length of a message: a byte less than 255, and 255 for every FF before it.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<usize> {
    let mut sum = 0_usize;
    loop {
        let byte = bytes.next()?;
        sum = sum.saturating_add(byte.into());
        if byte != 0xff {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_point_is_found_among_other_messages() {
        // recovery_frame_cnt 0 is the code 1; then three flags and the end.
        for nal in [
            [6, 1, 0x84, 0x80].as_slice(),
            &[1, 2, 6, 6, 6, 1, 0x84, 0x80],
            // A type and a length with FF bytes; what looks like a message is inside another.
            &[
                &[0xff, 0xff, 3, 0xff, 1],
                [0x55; 256].as_slice(),
                &[6, 1, 0x84, 0x80],
            ]
            .concat(),
            // The 03 counts for nothing.
            &[5, 4, 0, 0, 3, 1, 9, 6, 1, 0x84, 0x80],
        ] {
            assert!(has_recovery_point(nal), "{nal:02x?}");
        }
        for nal in [
            [].as_slice(),
            &[6],
            &[6, 1],
            &[6, 0, 0x80],
            &[5, 4, 6, 1, 0x84, 0x80],
            &[5, 200, 6, 1, 0x84, 0x80],
            &[0xff; 100],
            &[0xff, 6, 1, 0x84, 0x80],
            &[0, 1, 0x80, 0x80],
        ] {
            assert!(!has_recovery_point(nal), "{nal:02x?}");
        }
    }
}
