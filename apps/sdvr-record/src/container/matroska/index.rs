//! What a Matroska file ends with: cues, which say where key frames are (RFC 9559, 5.1.5).

use super::super::ticks::Ticks;
use super::super::{Ending, Media};
use super::TRACK;
use super::ebml::{element, long_length, unsigned};
use super::head::{CUES, Places, seek};
use crate::sample::UtcTime;

/// What ends a file.
pub(in super::super) fn ending(head: &[u8], media: &Media) -> Ending {
    let Some(places) = Places::of(head) else {
        return Ending {
            tail: Vec::new(),
            patches: Vec::new(),
        };
    };
    let tail = tail(media, places);
    let end = media.end.saturating_add(tail.len() as u64);
    let duration = element(0x4489, &as_float(media.duration).to_be_bytes());
    let cues = seek(CUES, media.end.saturating_sub(places.segment()));
    let length = long_length(end.saturating_sub(places.segment()));
    Ending {
        tail,
        patches: vec![
            (places.cues, cues),
            (places.duration, duration),
            (places.segment_length, length.to_vec()),
        ],
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "of 285 years the last microseconds are rounded"
)]
const fn as_float(ticks: u64) -> f64 {
    ticks as f64
}

fn tail(media: &Media, places: Places) -> Vec<u8> {
    let begins = media.stretches.first().map_or(UtcTime(0), |one| one.first);
    let mut points = Vec::new();
    for stretch in &media.stretches {
        // Only the first of a file may have no key frame, which is at its beginning.
        let Some(key) = stretch.key else { continue };
        let place = stretch.offset.saturating_sub(places.segment());
        let position = [unsigned(0xf7, TRACK.into()), unsigned(0xf1, place)];
        let point = [
            unsigned(0xb3, Ticks::of_date(begins, key.captured)),
            element(0xb7, &position.concat()),
        ];
        points.extend(element(0xbb, &point.concat()));
    }
    if points.is_empty() {
        // Cues without a point are none.
        return super::ebml::void(CUES_EMPTY_BYTES);
    }
    element(CUES, &points)
}

/// What stands for cues that there are none of.
const CUES_EMPTY_BYTES: usize = 16;
