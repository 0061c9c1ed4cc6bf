//! A cluster: one frame and its time.
//!
//! A cluster for each frame, as the time of a frame within its cluster has 16 bits: with ticks of a microsecond, that is less than from one frame to
//! the next. And whatever is cut off, no more than one frame is lost.
//!
//! ```text
//! bytes  4          8              2      8     1    8              1    2      1
//!      +----------+--------------+------+-----+----+--------------+----+------+-------+----------
//!      | 1f43b675 | its length   | e788 |time | a3 | its length   | 81 | 0000 | flags | the frame
//!      +----------+--------------+------+-----+----+--------------+----+------+-------+----------
//!        Cluster                  Timestamp     SimpleBlock         track, time within, 80 of a key frame
//! ```
//!
//! Numbers are big-endian; lengths have 01 before their other seven bytes.

use super::super::fields::Fields;
use super::TRACK;
use super::ebml::long_length;

/// What comes before the frame.
pub(super) const HEAD_BYTES: usize = 35;
/// Of the head, what belongs to the cluster's length, and to the block's.
const CLUSTER_BYTES: u64 = 23;
const BLOCK_BYTES: u64 = 4;

const KEY: u8 = 0x80;

/// What is said of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) time: u64,
    pub(super) is_key: bool,
    pub(super) frame_bytes: u64,
}

impl Cluster {
    /// How long it is with its frame.
    pub(super) const fn bytes(self) -> u64 {
        self.frame_bytes.saturating_add(HEAD_BYTES as u64)
    }
}

/// What comes before a frame.
pub(super) fn write(time: u64, is_key: bool, frame_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    bytes.extend([0x1f, 0x43, 0xb6, 0x75]);
    bytes.extend(long_length(frame_bytes.saturating_add(CLUSTER_BYTES)));
    bytes.extend([0xe7, 0x88]);
    bytes.extend(time.to_be_bytes());
    bytes.push(0xa3);
    bytes.extend(long_length(frame_bytes.saturating_add(BLOCK_BYTES)));
    bytes.extend([TRACK | 0x80, 0, 0, if is_key { KEY } else { 0 }]);
    bytes
}

/// The first [`HEAD_BYTES`] of a cluster; `None` if they are none of ours.
pub(super) fn parse(bytes: &[u8]) -> Option<Cluster> {
    let mut fields = Fields::new(bytes);
    fields.expect(&[0x1f, 0x43, 0xb6, 0x75])?;
    let cluster_bytes = fields.u64()?;
    fields.expect(&[0xe7, 0x88])?;
    let time = fields.u64()?;
    fields.expect(&[0xa3])?;
    let block_bytes = fields.u64()?;
    fields.expect(&[TRACK | 0x80, 0, 0])?;
    let [flags] = fields.array()?;
    let without_marker = |length: u64| length.checked_sub(1 << 56);
    let frame_bytes = without_marker(block_bytes)?.checked_sub(BLOCK_BYTES)?;
    let is_right = frame_bytes < 1 << 55
        && without_marker(cluster_bytes) == frame_bytes.checked_add(CLUSTER_BYTES)
        && matches!(flags, 0 | KEY);
    is_right.then_some(Cluster {
        time,
        is_key: flags == KEY,
        frame_bytes,
    })
}

/// Whether fewer than [`HEAD_BYTES`] can be the first ones of a cluster.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    let length = bytes.get(4..12).and_then(|length| length.first_chunk());
    let frame_bytes = length.map_or(0, |length| {
        (u64::from_be_bytes(*length) & ((1 << 56) - 1)).saturating_sub(CLUSTER_BYTES)
    });
    // A length that is not all there may be any, but for what tells how long it is.
    let told = if length.is_some() { bytes.len() } else { 5 };
    let told = bytes.get(..told).unwrap_or(bytes);
    let mut whole = write(0, false, frame_bytes);
    if let Some(place) = whole.get_mut(..told.len()) {
        place.copy_from_slice(told);
    }
    parse(&whole).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        for (time, is_key, frame_bytes) in [(0, true, 1), (u64::MAX, false, 64 << 20)] {
            let bytes = write(time, is_key, frame_bytes);
            assert_eq!(bytes.len(), HEAD_BYTES);
            let expected = Cluster {
                time,
                is_key,
                frame_bytes,
            };
            assert_eq!(parse(&bytes), Some(expected));
            for cut in 0..HEAD_BYTES {
                assert_eq!(parse(&bytes[..cut]), None);
                assert!(is_beginning(&bytes[..cut]), "{cut}");
                for index in (0..cut).filter(|index| !matches!(index, 5..12 | 14..22 | 34)) {
                    let mut wrong = bytes[..cut].to_vec();
                    wrong[index] ^= 1;
                    assert!(!is_beginning(&wrong), "{cut}, {index}");
                }
            }
            // All but the time, and whether it is a key frame.
            for index in (0..14).chain(22..HEAD_BYTES) {
                let mut wrong = bytes.clone();
                wrong[index] ^= 1;
                assert_eq!(parse(&wrong), None, "{index}");
            }
        }
    }
}
