//! What an MP4 file ends with: `mfra`, which says where key frames are (ISO/IEC 14496-12, 8.8.9 to 8.8.11).

use super::super::ticks::NS_PER_TICK;
use super::super::{Ending, Media, Stretch};
use super::TRACK;
use super::boxes::boxed;
use super::head;
use crate::sample::UtcTime;

/// Numbers of the track's part and of its run have one byte, that of the sample four.
const NUMBER_WIDTHS: u32 = 3;
/// Of `mfro`, which is the last and says how long `mfra` is.
const OFFSET_BYTES: usize = 16;

/// What ends a file.
pub(in super::super) fn ending(head: &[u8], media: &Media) -> Ending {
    let duration = media.duration.to_be_bytes().to_vec();
    let patches = head::duration_places(head).map(|place| (place, duration.clone()));
    Ending {
        tail: tail(media),
        patches: patches.collect(),
    }
}

fn tail(media: &Media) -> Vec<u8> {
    let begins = media.stretches.first().map_or(UtcTime(0), |one| one.first);
    let mut entries = Vec::new();
    let mut count = 0_u32;
    for stretch in &media.stretches {
        if let Some(entry) = entry(begins, stretch) {
            entries.extend(entry);
            count = count.saturating_add(1);
        }
    }
    let mut body = vec![1, 0, 0, 0];
    for number in [TRACK, NUMBER_WIDTHS, count] {
        body.extend(number.to_be_bytes());
    }
    body.extend(entries);
    let table = boxed(b"tfra", &body);
    let length = table.len().saturating_add(8).saturating_add(OFFSET_BYTES);
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let offset = boxed(b"mfro", &[[0; 4], length].concat());
    boxed(b"mfra", &[table, offset].concat())
}

fn entry(begins: UtcTime, stretch: &Stretch) -> Option<Vec<u8>> {
    let key = stretch.key?;
    let since = key.captured.0.saturating_sub(begins.0) / NS_PER_TICK;
    let since = u64::try_from(since).unwrap_or(0);
    let mut entry = Vec::with_capacity(22);
    entry.extend(since.to_be_bytes());
    entry.extend(stretch.offset.to_be_bytes());
    entry.extend([1, 1]);
    entry.extend(key.index.saturating_add(1).to_be_bytes());
    Some(entry)
}
