//! Finds what is whole in an MP4 file of ours.

use std::io;

use super::super::scan::{Head, Input, SampleAt};
use super::super::ticks::Ticks;
use super::super::{Key, Media, ScanError, Stretch};
use super::boxes::{self, HEADER_BYTES};
use super::fragment::{self, FIXED_BYTES, Sample};
use super::head;

/// Whether a file begins as an MP4 does.
pub(in super::super) fn is_one(start: &[u8]) -> bool {
    start.get(4..8) == Some(b"ftyp".as_slice())
}

/// The same of fewer bytes than it takes.
pub(in super::super) fn can_be_one(start: &[u8]) -> bool {
    let name = start.get(4..).unwrap_or_default();
    start.iter().take(3).all(|&byte| byte == 0) && b"ftyp".starts_with(name)
}

/// The head, which must be whole, and the fragments that are.
pub(in super::super) fn scan(input: &Input<'_>) -> Result<(Head, Media), ScanError> {
    let head = head(input)?;
    let mut media = Media {
        end: head.bytes.len() as u64,
        ..Media::default()
    };
    let mut ticks = Ticks::new(&head.about);
    while let Some(found) = fragment_at(input, media.end)? {
        let stretch = found.stretch(&mut ticks);
        media.frames = media.frames.saturating_add(stretch.frames.into());
        media.end = stretch.offset.saturating_add(stretch.bytes);
        media.stretches.push(stretch);
        let last = ticks.last().unwrap_or(0);
        media.last = Some(ticks.date(last));
        let duration = found.samples.last().map_or(0, |sample| sample.duration);
        media.duration = last.saturating_add(duration.into());
    }
    Ok((head, media))
}

fn head(input: &Input<'_>) -> Result<Head, ScanError> {
    let mut length = 0_u64;
    for expected in [b"ftyp", b"moov"] {
        let header = input.read(length, HEADER_BYTES)?;
        let Some((bytes, kind)) = boxes::header(&header) else {
            return Err(short_or_wrong(input)?);
        };
        if kind != *expected {
            return Err(ScanError::NotOurs);
        }
        length = length.saturating_add(bytes);
    }
    if length > head::MOST_BYTES {
        return Err(ScanError::NotOurs);
    }
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    let bytes = input.read(0, count)?;
    if bytes.len() < count {
        return Err(short_or_wrong(input)?);
    }
    let (about, restorer) = head::parse(&bytes).ok_or(ScanError::NotOurs)?;
    Ok(Head {
        about,
        bytes,
        restorer: Some(restorer),
    })
}

/// A file that has less than its head says was cut off in it, or its head is not what was written: then fragments are behind it.
fn short_or_wrong(input: &Input<'_>) -> io::Result<ScanError> {
    // No longer head is looked at.
    let most = usize::try_from(head::MOST_BYTES).unwrap_or(usize::MAX);
    let bytes = input.read(0, most)?;
    let has_fragment = bytes.len() == most
        || bytes.windows(4).enumerate().any(|(at, name)| {
            let start = at.checked_sub(4).and_then(|at| bytes.get(at..));
            name == b"moof" && start.is_some_and(|start| fragment::parse_start(start).is_some())
        });
    Ok(if has_fragment {
        ScanError::NotOurs
    } else {
        ScanError::NoHead
    })
}

/// Whether what is behind `offset` is the beginning of a fragment, all of which is as it must be, and which goes on behind the end of the file.
pub(in super::super) fn is_cut_off(input: &Input<'_>, mut offset: u64) -> io::Result<bool> {
    let mut start = input.read(offset, FIXED_BYTES)?;
    if let Some(padding) = fragment::parse_padding(&start) {
        let count = usize::try_from(padding).unwrap_or(usize::MAX);
        let nothing = input.read(offset, count)?;
        let body = nothing.get(HEADER_BYTES..).unwrap_or_default();
        if body.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        offset = offset.saturating_add(padding);
        start = input.read(offset, FIXED_BYTES)?;
    }
    if start.len() < FIXED_BYTES {
        return Ok(fragment::is_beginning(&start));
    }
    let Some(start) = fragment::parse_start(&start) else {
        return Ok(false);
    };
    let rest_at = offset.saturating_add(FIXED_BYTES as u64);
    let rest_bytes = fragment::rest_bytes(start);
    if rest_at.saturating_add(rest_bytes) > input.bytes() {
        return Ok(true);
    }
    let rest = input.read(rest_at, usize::try_from(rest_bytes).unwrap_or(usize::MAX))?;
    // It would have been found if it were whole.
    Ok(fragment::parse_samples(start, &rest).is_some())
}

/// A whole fragment.
struct Found {
    /// Where it begins, behind what may be before it.
    offset: u64,
    time: u64,
    samples: Vec<Sample>,
    /// Of the whole fragment.
    bytes: u64,
}

/// The fragment at this place; `None` where none is, or not all of it.
fn fragment_at(input: &Input<'_>, mut offset: u64) -> io::Result<Option<Found>> {
    let mut start = input.read(offset, FIXED_BYTES)?;
    if let Some(padding) = fragment::parse_padding(&start) {
        offset = offset.saturating_add(padding);
        start = input.read(offset, FIXED_BYTES)?;
    }
    let Some(start) = fragment::parse_start(&start) else {
        return Ok(None);
    };
    let rest_at = offset.saturating_add(FIXED_BYTES as u64);
    let rest_bytes = fragment::rest_bytes(start);
    if rest_at.saturating_add(rest_bytes) > input.bytes() {
        return Ok(None);
    }
    let rest = input.read(rest_at, usize::try_from(rest_bytes).unwrap_or(usize::MAX))?;
    let Some((samples, payload_bytes)) = fragment::parse_samples(start, &rest) else {
        return Ok(None);
    };
    let bytes = (FIXED_BYTES as u64)
        .saturating_add(rest_bytes)
        .saturating_add(payload_bytes);
    if offset.saturating_add(bytes) > input.bytes() {
        return Ok(None);
    }
    Ok(Some(Found {
        offset,
        time: start.time,
        samples,
        bytes,
    }))
}

impl Found {
    /// When each of its samples was captured, in ticks.
    fn times(&self) -> impl Iterator<Item = u64> {
        self.samples.iter().scan(self.time, |time, sample| {
            let this = *time;
            *time = this.saturating_add(sample.duration.into());
            Some(this)
        })
    }

    fn stretch(&self, ticks: &mut Ticks) -> Stretch {
        let mut key = None;
        for (index, (time, sample)) in self.times().zip(&self.samples).enumerate() {
            ticks.went_on(time);
            if sample.is_key && key.is_none() {
                key = Some(Key {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    captured: ticks.date(time),
                });
            }
        }
        Stretch {
            offset: self.offset,
            bytes: self.bytes,
            first: ticks.date(self.time),
            frames: u32::try_from(self.samples.len()).unwrap_or(u32::MAX),
            key,
        }
    }
}

/// Where the samples of a stretch are.
pub(in super::super) fn samples(
    input: &Input<'_>,
    stretch: &Stretch,
    ticks: &Ticks,
) -> io::Result<Vec<SampleAt>> {
    let Some(found) = fragment_at(input, stretch.offset)? else {
        return Ok(Vec::new());
    };
    let payload: u64 = found.samples.iter().map(|one| u64::from(one.bytes)).sum();
    let end = found.offset.saturating_add(found.bytes);
    let mut at = end.saturating_sub(payload);
    let mut samples = Vec::with_capacity(found.samples.len());
    for (time, sample) in found.times().zip(&found.samples) {
        samples.push(SampleAt {
            offset: at,
            bytes: sample.bytes.into(),
            captured: ticks.date(time),
            is_key: sample.is_key,
        });
        at = at.saturating_add(sample.bytes.into());
    }
    Ok(samples)
}
