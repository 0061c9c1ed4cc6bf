//! Blocks, which hold a frame, or several laced together (RFC 9559, 10).

use super::ebml::{Parsed, UNKNOWN_LENGTH, number};
use crate::container::ContainerError;
use crate::container::fields::Fields;

/// A track's number, a time, flags.
pub(super) const HEADER_MOST_BYTES: usize = 8 + 2 + 1;

const WRONG_LACING: ContainerError =
    ContainerError::Malformed("the lengths of a block's frames do not fit its own");

/// What stands before a block's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) track: u64,
    /// In ticks, from the cluster's.
    pub(super) time: i16,
    pub(super) lacing: Lacing,
    /// As a block alone says it; in a group, what it refers to does.
    pub(super) is_key: bool,
    /// Of the head itself.
    pub(super) bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacing {
    None,
    Xiph,
    Fixed,
    Ebml,
}

/// `None` if it is none.
pub(super) fn head(block: &[u8]) -> Option<Head> {
    let Parsed::Whole((track, track_bytes)) = number(block) else {
        return None;
    };
    let mut fields = Fields::new(block.get(track_bytes..)?);
    let time = fields.i16()?;
    let flags = fields.u8()?;
    let lacing = match flags & 6 {
        0 => Lacing::None,
        2 => Lacing::Xiph,
        4 => Lacing::Fixed,
        _ => Lacing::Ebml,
    };
    Some(Head {
        track,
        time,
        lacing,
        is_key: flags & 0x80 != 0,
        bytes: track_bytes.checked_add(3)?,
    })
}

/// The lengths of the frames in what follows a block's head, and how many bytes say them.
pub(super) fn laced(lacing: Lacing, body: &[u8]) -> Result<(Vec<usize>, usize), ContainerError> {
    if lacing == Lacing::None {
        return Ok((vec![body.len()], 0));
    }
    lengths(lacing, body).ok_or(WRONG_LACING)
}

fn lengths(lacing: Lacing, body: &[u8]) -> Option<(Vec<usize>, usize)> {
    let mut fields = Fields::new(body);
    let count = usize::from(fields.u8()?) + 1;
    let mut lengths = Vec::with_capacity(count);
    match lacing {
        Lacing::None => {}
        Lacing::Fixed => {
            let each = fields.rest().len() / count;
            if !fields.rest().len().is_multiple_of(count) {
                return None;
            }
            lengths.resize(count, each);
            return Some((lengths, 1));
        }
        Lacing::Xiph => {
            for _ in 1..count {
                let mut length = 0_usize;
                loop {
                    let byte = fields.u8()?;
                    length = length.checked_add(byte.into())?;
                    if byte != 255 {
                        break;
                    }
                }
                lengths.push(length);
            }
        }
        Lacing::Ebml => {
            let mut length = 0_i64;
            for index in 1..count {
                let Parsed::Whole((value, bytes)) = number(fields.rest()) else {
                    return None;
                };
                // All ones is no special length here.
                let value = match value {
                    UNKNOWN_LENGTH => (1 << (7 * bytes)) - 1,
                    value => value,
                };
                fields.take(bytes)?;
                let value = i64::try_from(value).ok()?;
                // Differences are around the middle of what so many bytes can say.
                let middle = if index == 1 {
                    0
                } else {
                    (1_i64 << (7 * bytes - 1)) - 1
                };
                length = length.checked_add(value.checked_sub(middle)?)?;
                lengths.push(usize::try_from(length).ok()?);
            }
        }
    }
    let said = lengths
        .iter()
        .try_fold(0_usize, |sum, &length| sum.checked_add(length))?;
    lengths.push(fields.rest().len().checked_sub(said)?);
    Some((lengths, body.len().checked_sub(fields.rest().len())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_in_every_lacing() {
        let body = |head: &[u8], bytes: usize| [head, &vec![7; bytes]].concat();
        // RFC 9559, 10.3: frames of 800, 500 and 1000 bytes.
        let xiph = body(&[2, 0xff, 0xff, 0xff, 0x23, 0xff, 0xf5], 2300);
        assert_eq!(laced(Lacing::Xiph, &xiph), Ok((vec![800, 500, 1000], 7)));
        let ebml = body(&[2, 0x43, 0x20, 0x5e, 0xd3], 2300);
        assert_eq!(laced(Lacing::Ebml, &ebml), Ok((vec![800, 500, 1000], 5)));
        let fixed = body(&[2], 2400);
        assert_eq!(laced(Lacing::Fixed, &fixed), Ok((vec![800; 3], 1)));
        assert_eq!(laced(Lacing::None, &[1, 2]), Ok((vec![2], 0)));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for (lacing, body) in [
            (Lacing::Xiph, [2, 0xff, 0xff].as_slice()),
            (Lacing::Xiph, &[1, 5, 1, 2]),
            (Lacing::Ebml, &[2, 0x81, 0x80, 1, 1]),
            (Lacing::Ebml, &[1, 0x8f, 1]),
            (Lacing::Ebml, &[3, 0]),
            (Lacing::Fixed, &[1, 1, 2, 3]),
            (Lacing::Fixed, &[]),
        ] {
            assert_eq!(laced(lacing, body), Err(WRONG_LACING), "{body:?}");
        }
    }
}
